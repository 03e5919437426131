"""opt_einsum: not used; `einsum` multiplies its operands from left to right."""

from __future__ import annotations

from facula.errors import honest

enabled = False
strategy: str | None = None


def is_available() -> bool:
    """False: the library is not used."""
    return False


def get_opt_einsum() -> None:
    """The library: None."""


__getattr__ = honest(__name__)
