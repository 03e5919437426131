"""The word in which kernels say that an index was out of range or a divisor zero.

A kernel can't raise: it stores a one here and goes on with an index that is in range. The word is
looked at whenever values come to the CPU, and at `synchronize()`; PyTorch finds such errors no
sooner (its device-side assert).
"""

from __future__ import annotations

import ctypes
from typing import Any

from facula.cuda import driver

_state: dict[str, Any] = {}


def address() -> int:
    """Where the word is, on the device."""
    if "at" not in _state:
        device = driver.get()
        _state["at"] = device.allocate(512)
        _state["host"] = ctypes.c_int(0)
        device.clear(_state["at"], 4)
    return int(_state["at"])


def check() -> None:
    """Raise if a kernel has found an error since the last check. Waits for the queue."""
    if "at" not in _state:
        return
    host = _state["host"]
    device = driver.get()
    device.download(ctypes.addressof(host), _state["at"], 4)
    if host.value:
        device.clear(_state["at"], 4)
        raise RuntimeError(
            "CUDA error: device-side assert: an index was out of range, or an integer divided by "
            "zero, in an operation that was recorded before"
        )


__all__ = ["address", "check"]
