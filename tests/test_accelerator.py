"""No accelerator: what that means, and what is an error."""

from __future__ import annotations

import pytest

import facula


def test_there_is_none() -> None:
    a = facula.accelerator
    assert not a.is_available()
    assert a.device_count() == 0
    assert a.current_accelerator(check_available=True) is None
    with a.device_index(None):
        assert facula.ones(1).is_cpu


@pytest.mark.parametrize(
    "name", ["current_device_index", "synchronize", "current_stream", "memory_allocated"]
)
def test_what_needs_one_is_an_error(name: str) -> None:
    with pytest.raises(RuntimeError, match=f"{name}.*no accelerator"):
        getattr(facula.accelerator, name)()
    with pytest.raises(RuntimeError, match="no accelerator"):
        facula.accelerator.device_index(0).__enter__()
