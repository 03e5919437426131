"""The device of these tests: a real one where there is one, else an emulation on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import facula as torch

from . import emulator

REAL = torch.cuda.is_available()


@pytest.fixture
def device() -> Iterator[Any]:
    """A driver to compute with; 'cuda' then is a device."""
    if REAL:
        from facula.cuda import driver

        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # as the CPU computes
            yield driver.get()
        return
    if emulator.COMPILER is None:
        pytest.skip("there is neither a CUDA device nor a C++ compiler to emulate one with")
    yield emulator.install()
    emulator.remove()


@pytest.fixture
def emulated(device: Any) -> Any:
    """The emulation, for tests that look at what was queued."""
    if REAL:
        pytest.skip("there is a real device, whose driver does not count launches")
    return device


@pytest.fixture
def real() -> Any:
    """A real device."""
    if not REAL:
        pytest.skip("there is no CUDA device")
    from facula.cuda import driver

    return driver.get()
