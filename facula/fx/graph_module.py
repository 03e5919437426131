"""Modules made of graphs: there are none."""

from __future__ import annotations

from typing import Any, NoReturn

from facula.errors import honest, refuse
from facula.nn import Module

_USER_PRESERVED_ATTRIBUTES_KEY = "_user_preserved_attributes"


class GraphModule(Module):
    """A module made of a graph: can't be made, so `isinstance` says False."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("torch.fx.GraphModule", "rewriting programs as graphs is not in Facula")


class _CodeOnlyModule(GraphModule):
    """A graph module without its graph: can't be made."""


def _copy_attr(*args: Any, **kwargs: Any) -> NoReturn:
    refuse("torch.fx.graph_module._copy_attr", "rewriting programs as graphs is not in Facula")


__getattr__ = honest(__name__)
