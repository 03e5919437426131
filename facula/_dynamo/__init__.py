"""The few names of PyTorch's tracer of Python code that libraries ask for: it never runs."""

from __future__ import annotations

from typing import Any

from facula._dynamo import config, eval_frame, exc, utils
from facula.compiler import (
    allow_in_graph,
    assume_constant_result,
    disable,
    is_compiling,
    reset,
)
from facula.errors import honest
from facula.optimized import OptimizedModule

__all__ = [
    "OptimizedModule",
    "allow_in_graph",
    "assume_constant_result",
    "config",
    "disable",
    "eval_frame",
    "exc",
    "is_compiling",
    "reset",
    "utils",
]


def mark_dynamic(t: Any, index: Any, **kwargs: Any) -> None:
    """Accepted, with no effect: there is nothing to mark."""


maybe_mark_dynamic = mark_unbacked = mark_dynamic


def mark_static(t: Any, index: Any = None, **kwargs: Any) -> None:
    """Accepted, with no effect."""


def mark_static_address(t: Any, guard: bool = False) -> None:
    """Accepted, with no effect."""


def graph_break() -> None:
    """Accepted, with no effect."""


__getattr__ = honest(__name__)
