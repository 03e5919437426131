"""Copies of a module on CUDA devices: an error, as there are no such devices."""

from __future__ import annotations

from typing import Any, NoReturn

from facula.errors import NoDeviceError

__all__ = ["replicate"]


def replicate(network: Any, devices: Any, detach: bool = False) -> NoReturn:
    """Copy a module to devices; gradients of the copies are summed."""
    raise NoDeviceError(f"replicate(): there are not several CUDA devices, got {list(devices)}")
