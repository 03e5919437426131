"""What one kernel computes.

A *cluster* holds pointwise operations and reductions over one domain, or a *core*, an operation
that has kernels of its own (`facula.cpu.emitters`), with the pointwise operations that follow it.
"""

from __future__ import annotations

import functools
from typing import Any

from facula.compiler.builder import KINDS, NARROW
from facula.trace.node import Node

FULL, ROW, COLUMN, ALL = "full", "row", "column", "all"
REDUCTIONS = ("sum", "amax", "amin")


class Cluster:
    """What one kernel computes. `split`: the dimensions of which a row has one element each, once
    it matters: those that a reduction of rows keeps."""

    def __init__(self, index: int, shape: tuple[int, ...]) -> None:
        self.index = index
        self.shape = shape
        self.split: tuple[int, ...] | None = None
        self.nodes: list[Node] = []
        self.level: dict[Node, str] = {}
        self.core: Node | None = None  # an operation with kernels of its own
        self.open = True  # whether pointwise operations may join
        self.fallback = False
        self.reads: set[Node] = set()
        self.hidden: Any = None  # what its kernel need not compute (hidden.py)
        self.reach: Any = None  # how far the rows of a product's left operand reach

    def add(self, n: Node, level: str) -> None:
        self.nodes.append(n)
        self.level[n] = level

    def row_shape(self) -> tuple[int, ...]:
        return tuple([self.shape[d] for d in self.split or ()])


def kind_of(n: Node) -> str | None:
    """The kind of a node's elements; None where no kernel handles them."""
    kind = KINDS.get(n.dtype._name)
    return None if kind == "f16" and not _converts_half() else kind


@functools.cache
def _converts_half() -> bool:
    """Whether the processor has instructions for float16."""
    from facula.cpu.jit import FEATURES, TRIPLE

    return "+f16c" in FEATURES or TRIPLE.startswith(("aarch64", "arm64"))


def wide(kind: str) -> str:
    """The kind in which values of a kind are computed."""
    return "f32" if kind in NARROW else kind


def number_kind(n: Node) -> str:
    """The kind to which the Python numbers of an operation are converted (on the CPU)."""
    kind = kind_of(n.inputs[-1] if n.inputs else n)
    assert kind is not None
    return wide(kind) if n.inputs and not n.op.rounds else kind


__all__ = [
    "ALL",
    "COLUMN",
    "FULL",
    "REDUCTIONS",
    "ROW",
    "Cluster",
    "kind_of",
    "number_kind",
    "wide",
]
