"""What one kernel computes.

A *cluster* holds pointwise operations and reductions over one domain, or a *core*, an operation
that has kernels of its own (`facula.cpu.emitters`), with the pointwise operations that follow it.
"""

from __future__ import annotations

from facula.cpu.vector import KINDS
from facula.trace.node import Node

FULL, ROW, COLUMN, ALL = "full", "row", "column", "all"
REDUCTIONS = ("sum", "amax", "amin")


class Cluster:
    """What one kernel computes. `split`: how many leading dimensions are rows, once it matters."""

    def __init__(self, index: int, shape: tuple[int, ...]) -> None:
        self.index = index
        self.shape = shape
        self.split: int | None = None
        self.nodes: list[Node] = []
        self.level: dict[Node, str] = {}
        self.core: Node | None = None  # an operation with kernels of its own
        self.open = True  # whether pointwise operations may join
        self.fallback = False
        self.reads: set[Node] = set()

    def add(self, n: Node, level: str) -> None:
        self.nodes.append(n)
        self.level[n] = level

    def row_shape(self) -> tuple[int, ...]:
        return self.shape[: self.split]


def kind_of(n: Node) -> str | None:
    """The kind of a node's elements; None where no kernel handles them."""
    return KINDS.get(n.dtype._name)


def number_kind(n: Node) -> str:
    """The kind in which the Python numbers of an operation are used."""
    kind = kind_of(n.inputs[-1] if n.inputs else n)
    assert kind is not None
    return kind


__all__ = ["ALL", "COLUMN", "FULL", "REDUCTIONS", "ROW", "Cluster", "kind_of", "number_kind"]
