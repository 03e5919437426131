"""Programs as graphs to rewrite: not in Facula, and the names that other libraries need say so.

Facula records programs, but as what they compute and not as Python code; see `facula explain`.

Source: https://pytorch.org/docs/stable/fx.html
"""

from __future__ import annotations

from typing import Any, NoReturn

from facula.errors import honest, refuse
from facula.fx import graph_module, node, proxy
from facula.fx.graph_module import GraphModule
from facula.fx.node import Node
from facula.fx.proxy import Proxy

__all__ = ["Graph", "GraphModule", "Interpreter", "Node", "Proxy", "Tracer", "symbolic_trace"]


class Graph:
    """A graph of calls: can't be made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse(f"torch.fx.{type(self).__name__}", "rewriting programs as graphs is not in Facula")


class Tracer(Graph):
    """Makes a graph of a module: can't be made."""


class Interpreter(Graph):
    """Runs a graph: can't be made."""


class Transformer(Graph):
    """Rewrites a graph: can't be made."""


def symbolic_trace(*args: Any, **kwargs: Any) -> NoReturn:
    """NotImplementedError: modules are not turned into graphs."""
    refuse("torch.fx.symbolic_trace", "rewriting programs as graphs is not in Facula")


def wrap(fn_or_name: Any) -> Any:
    """Mark a function as one call of a graph: no effect, there are no graphs."""
    return fn_or_name


__getattr__ = honest(__name__)
