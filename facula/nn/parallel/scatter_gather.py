"""Batches split over CUDA devices and joined again: errors, as there are no such devices."""

from __future__ import annotations

from typing import Any, NoReturn

from facula.errors import NoDeviceError, honest

__all__ = ["gather", "scatter"]


def scatter(inputs: Any, target_gpus: Any, dim: int = 0) -> NoReturn:
    """Split tensors over CUDA devices."""
    raise NoDeviceError(f"scatter(): there is no CUDA device, but got {list(target_gpus)}")


def gather(outputs: Any, target_device: Any, dim: int = 0) -> NoReturn:
    """Join tensors of CUDA devices."""
    raise NoDeviceError(
        f"gather(): there is no CUDA device that the tensors to join are on, got {target_device}"
    )


__getattr__ = honest(__name__)
