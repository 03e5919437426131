"""Signal processing."""

from __future__ import annotations

from facula.signal import windows

__all__ = ["windows"]
