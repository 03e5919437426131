"""The tracer that `make_fx` starts: never at work here."""

from __future__ import annotations

from facula.errors import honest

__all__ = ["get_proxy_mode"]


def get_proxy_mode() -> None:
    """The tracer at work: None."""


__getattr__ = honest(__name__)
