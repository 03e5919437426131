"""cuSPARSELt: not used."""

from __future__ import annotations

from facula.errors import honest


def is_available() -> bool:
    """False: the library is not used."""
    return False


__getattr__ = honest(__name__)
