"""Nodes of graphs: there are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from facula.errors import honest, refuse

Target: TypeAlias = Callable[..., Any] | str
Argument: TypeAlias = Any


class Node:
    """A node of a graph: can't be made, so `isinstance` says False."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("torch.fx.Node", "rewriting programs as graphs is not in Facula")


__getattr__ = honest(__name__)
