"""Warnings about what PyTorch changed before version 1: switches that programs of then set.

Neither does anything in PyTorch any longer: they are kept, and read.
"""

from __future__ import annotations

from facula.errors import honest


class Warning:
    """A switch."""

    def __init__(self) -> None:
        self.enabled = False

    def set_enabled(self, value: bool) -> None:
        """Turn it on or off."""
        self.enabled = value

    def get_enabled(self) -> bool:
        """Whether it is on."""
        return self.enabled


broadcast_warning = Warning()
keepdim_warning = Warning()
__getattr__ = honest(__name__)
