"""Apple's GPUs: not supported."""

from __future__ import annotations

from facula.errors import honest


def is_available() -> bool:
    """False: Facula does not compute on these devices."""
    return False


def is_built() -> bool:
    """False: Facula does not compute on these devices."""
    return False


def is_macos13_or_newer() -> bool:
    """Of no matter without the device: False."""
    return False


__getattr__ = honest(__name__)
