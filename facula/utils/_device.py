"""New tensors on a device other than the CPU: what `with torch.device(...)` is made of.

Source: https://docs.pytorch.org/docs/stable/generated/torch.set_default_device.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import facula
from facula import devices
from facula.errors import honest
from facula.meta import FACTORIES


class DeviceContext:
    """A block in which new tensors are made on a device."""

    def __init__(self, device: Any) -> None:
        self.device = devices.device(device)

    def __enter__(self) -> None:
        self.device.__enter__()

    def __exit__(self, *exc: object) -> None:
        self.device.__exit__(*exc)


def set_device(device: Any) -> Callable[[Any], Any]:
    """A decorator: the function makes its new tensors on a device."""

    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with DeviceContext(device):
                return function(*args, **kwargs)

        return call

    return decorate


@functools.lru_cache(1)
def _device_constructors() -> frozenset[Any]:
    """The functions that make new tensors where the block says."""
    modules = facula, facula.fft
    return frozenset(f for m in modules for n in FACTORIES if (f := getattr(m, n, None)))


__getattr__ = honest(__name__)
