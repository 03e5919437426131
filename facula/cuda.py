"""CUDA: not in this release, and says so."""

from __future__ import annotations


def is_available() -> bool:
    """False: this release computes on the CPU only."""
    return False


def device_count() -> int:
    """The number of CUDA devices: none."""
    return 0


def is_initialized() -> bool:
    """Whether CUDA has been initialised: never."""
    return False


def manual_seed(seed: int) -> None:
    """Does nothing without a device, as in PyTorch."""


def manual_seed_all(seed: int) -> None:
    """Does nothing without a device, as in PyTorch."""


def empty_cache() -> None:
    """Does nothing without a device, as in PyTorch."""
