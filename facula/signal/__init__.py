"""Signal processing."""

from __future__ import annotations

from facula.errors import honest
from facula.signal import windows

__all__ = ["windows"]


__getattr__ = honest(__name__)
