"""Stand-ins for values while a graph is made: there are none."""

from __future__ import annotations

from typing import Any

from facula.errors import honest, refuse


class Proxy:
    """A stand-in for a value: can't be made, so `isinstance` says False."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("torch.fx.Proxy", "rewriting programs as graphs is not in Facula")


__getattr__ = honest(__name__)
