"""Streams and events of any kind of device."""

from __future__ import annotations

import pytest

import facula as torch


@pytest.mark.parametrize("name", ["Stream", "Event"])
def test_those_of_the_processor(name):
    made = getattr(torch, name)(device="cpu")
    assert isinstance(made, getattr(torch, name)) and isinstance(made, getattr(torch.cpu, name))
    assert not isinstance(1, getattr(torch, name))


def test_a_device_that_is_not_there_is_named():
    if torch.cuda.is_available():
        assert isinstance(torch.Stream(), torch.Stream)
    else:
        with pytest.raises((RuntimeError, AssertionError)):
            torch.Stream()
