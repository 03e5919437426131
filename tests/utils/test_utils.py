"""The package `utils` itself (`facula/utils/__init__.py`)."""

from __future__ import annotations

import pytest

import facula


def test_modules_are_loaded_when_they_are_asked_for():
    assert facula.utils.data.DataLoader.__name__ == "DataLoader"
    assert facula.utils.hooks.RemovableHandle.__name__ == "RemovableHandle"


def test_a_missing_name_is_named():
    with pytest.raises(AttributeError, match=r"torch\.utils\.nothing is not in Facula"):
        facula.utils.nothing


def test_warnings_of_old_are_switches():
    for switch in (
        facula.utils.backcompat.broadcast_warning,
        facula.utils.backcompat.keepdim_warning,
    ):
        switch.enabled = True
        assert switch.get_enabled()
        switch.set_enabled(False)
        assert not switch.enabled
