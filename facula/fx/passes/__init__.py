"""Work on graphs that is done often."""

from __future__ import annotations

from facula.errors import honest

__getattr__ = honest(__name__)
