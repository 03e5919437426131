"""Sums and extremes of rows that indices pick, without the rows: bags of an embedding.

    table[i].sum(1)    table[i].amax(1)    (table[i] * weights.unsqueeze(-1)).sum(1)

The rows of 256 bags of 256 indices into rows of 256 numbers are 64 MB that would be written and
read again. As one operation (*bag*) a row of the result is made in registers, of rows that mostly
lie in the caches.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from facula.compiler.cluster import kind_of, wide
from facula.compiler.layout import VIEWS, Place, place
from facula.cpu.gathering import NARROWEST
from facula.interpreter.program import PASSES
from facula.trace.node import ASSIGN, INPUT, Node, contiguous_strides

KINDS: dict[str, Any] = {"sum": np.sum, "amax": np.amax, "amin": np.amin}


class Bag:
    """The operation. Inputs: a matrix, the indices of its rows, and perhaps a factor for each.
    `params`: the reduction, and how many indices a bag has."""

    name = "bag"
    view = pointwise = False

    @staticmethod
    def body(p: tuple[str, int], s: Any, table: Any, index: Any, factors: Any = None) -> Any:
        """The rows, reduced; in float32 at least."""
        rows = table[index.reshape(-1, p[1])]
        rows = rows if rows.dtype.itemsize > 2 else rows.astype(np.float32)
        if factors is not None:
            rows = rows * factors.reshape(-1, p[1], 1)
        return KINDS[p[0]](rows, axis=1)


BAG = Bag()


class Bags:
    """Finds such sums in the entries of a program; `entries` are then those to compute."""

    def __init__(self, entries: list[Node], roots: list[Node], places: dict[Node, Place]) -> None:
        self.entries = entries
        if not any([_picks(n) for n in entries]):
            return
        self.look = dict(places)  # of its own: what is found here may be replaced
        self.users: dict[Node, int] = {}
        for n in entries:
            if n.op is not ASSIGN and n.op.name not in PASSES and n.op.name not in VIEWS:
                self._count(n.inputs)
        self._count(roots)
        made: dict[Node, Node] = {}
        gone: set[Node] = set()
        for n in entries:
            bag = self._bag(n, gone)
            if bag is not None:
                made[n] = bag
                places[n] = Place(bag, 0, n.shape, contiguous_strides(n.shape))
        self.entries = [made.get(n, n) for n in entries if n not in gone]

    def _count(self, nodes: Iterable[Node]) -> None:
        for i in nodes:
            base = place(i, self.look).base
            self.users[base] = self.users.get(base, 0) + 1

    def _whole(self, n: Node) -> Node | None:
        """What computes a value that nobody else reads, if it is all of that, in order."""
        p = place(n, self.look)
        whole = Place(p.base, 0, p.shape, contiguous_strides(p.shape))
        if p.base.op is INPUT or self.users.get(p.base) != 1 or p.key() != whole.key():
            return None
        same = prod(p.shape) == prod(p.base.shape) and p.shape[-1:] == p.base.shape[-1:]
        return p.base if same else None

    def _bag(self, n: Node, gone: set[Node]) -> Node | None:
        """A reduction over picked rows as one operation; `gone` are then its parts too."""
        if n.op is ASSIGN or n.op is INPUT or n.op.name not in KINDS or 0 in n.inputs[0].shape:
            return None
        dims, rank = n.params[0], len(n.inputs[0].shape)
        if not dims or tuple(dims) != tuple(range(rank - 1 - len(dims), rank - 1)):
            return None
        kind, inside = kind_of(n), []
        found, factors = self._whole(n.inputs[0]), None
        if found is not None and found.op.name == "mul":
            inside.append(found)
            found, factors = self._factors(found)
        if found is not None and found.op.name == "to":
            inside.append(found)
            found = self._whole(found.inputs[0])
        if found is None or not _picks(found) or kind not in ("f32", "f64"):
            return None
        table, index = found.inputs
        own = kind_of(table)
        if own is None or wide(own) != kind or index.shape[0] != 1:
            return None
        bag = Node(BAG, n.shape, n.dtype)
        bag.inputs = (table, index) if factors is None else (table, index, factors)
        bag.a, bag.b, bag.index = table, index, n.index
        bag.params = (n.op.name, prod([n.inputs[0].shape[d] for d in dims]))
        gone.update([found, *inside])
        return bag

    def _factors(self, n: Node) -> tuple[Node | None, Node | None]:
        """Of a product the picked rows, and a vector with a factor for each row."""
        for a, b in (n.inputs, n.inputs[::-1]):
            found, p = self._whole(a), place(b, self.look)
            if found is None or len(p.shape) != len(n.shape) or p.shape[:-1] != n.shape[:-1]:
                continue
            if p.shape[-1] != 1 or (p.base.op is not INPUT and p.base.op.name == "full"):
                continue
            lead = p.shape[:-1]
            flat = Place(p.base, p.offset, lead, contiguous_strides(lead))
            if Place(p.base, p.offset, lead, p.strides[:-1]).key() == flat.key():
                return found, b
        return None, None


def _picks(n: Node) -> bool:
    """Whether an entry picks rows of a matrix by indices that were looked at by the call."""
    if n.op is ASSIGN or n.op is INPUT or n.op.name != "index" or n.params[0] != (0, None):
        return False
    return n.shape[-1] >= NARROWEST and n.inputs[1].op is INPUT


__all__ = ["BAG", "Bags"]
