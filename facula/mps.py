"""Apple's GPUs: not supported, and says so."""

from __future__ import annotations

from facula.errors import honest


def is_available() -> bool:
    """False: Facula does not compute on these devices."""
    return False


def device_count() -> int:
    """The number of devices that can be used: none."""
    return 0


def is_initialized() -> bool:
    """Whether the device has been initialised: never."""
    return False


def manual_seed(seed: int) -> None:
    """Does nothing without a device."""


def manual_seed_all(seed: int) -> None:
    """Does nothing without a device."""


__getattr__ = honest(__name__)
