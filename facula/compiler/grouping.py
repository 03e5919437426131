"""Grouping operations into kernels.

Operations are visited in the order of the trace; each joins the latest cluster that it can, so a
chain of any length becomes one pass over memory. Joining never makes a cycle: what an operation
reads besides the members of its cluster must come from clusters before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import Any

from facula.compiler.cluster import ALL, COLUMN, FULL, REDUCTIONS, ROW, Cluster, kind_of, wide
from facula.compiler.expressions import MASKED, expression
from facula.compiler.layout import Place, place
from facula.cpu import turning
from facula.cpu.emitters import EMITTERS
from facula.cpu.kernels import CHUNK, UNITS
from facula.trace.node import INPUT, Node, contiguous_strides

MOST = 120  # operations in one cluster: expressions are written by recursion, code stays small
PIECE = 16  # elements of a row that lie together, at least
ROWS = 16  # rows that a reduction of rows in pieces has at least: they are what is divided
LOOK_BACK = 24  # clusters that an operation without a producer among them may join


def _steps(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([s if m != 1 else 0 for m, s in zip(shape, strides, strict=True)])


@lru_cache(4096)
def _in_order(shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    return 0, _steps(shape, contiguous_strides(shape))


def same_element(p: Place) -> bool:
    """Whether the place goes through its base in order, from its first element to its last."""
    return p.key() == _in_order(p.shape)


def same_row(p: Place, split: tuple[int, ...]) -> bool:
    """Whether each row of the place is one element of its base, in order."""
    rows = tuple([p.shape[d] for d in split])
    want = [0] * len(p.shape)
    for d, step in zip(split, _steps(rows, contiguous_strides(rows)), strict=True):
        want[d] = step
    return p.key() == (0, tuple(want))


def _span(dims: tuple[int, ...], shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]] | None:
    """How a reduction over dims lies in the domain: its level and the split it asks for."""
    rank = len(shape)
    real = [d for d in range(rank) if shape[d] != 1]
    gone = [d for d in real if d in dims]
    if gone == real:
        return ALL, ()
    kept = [d for d in real if d not in dims]
    if not gone:
        return None
    if max(kept) < min(gone):
        return ROW, tuple(kept)
    if max(gone) < min(kept):
        return COLUMN, tuple(gone)
    # Rows in several pieces: worth it if there is enough of them, and of each.
    run = prod(shape[max(kept) + 1 :])
    if run >= PIECE and prod([shape[d] for d in kept]) >= ROWS:
        return ROW, tuple(kept)
    return None


def _few_long(shape: tuple[int, ...], gone: tuple[int, ...]) -> bool:
    """Whether a sum of columns adds up so few and so long rows that the partial results of units
    would be as large as the rows."""
    rows = prod([shape[d] for d in gone])
    return rows <= UNITS and prod(shape) >= rows * CHUNK


class Grouping:
    """Assigns every entry of a program to a cluster."""

    def __init__(
        self, entries: list[Node], places: dict[Node, Place], emitters: Mapping[str, Any] = EMITTERS
    ) -> None:
        self.places = places
        self.emitters = emitters  # of the operations with kernels of their own, on this device
        self.clusters: list[Cluster] = []
        self.home: dict[Node, Cluster] = {}
        self.read: dict[Node, list[Place]] = {}
        self.constants: set[Node] = set()
        self.filled = self._filled(entries)
        for n in entries:
            self._visit(n)

    def _filled(self, entries: list[Node]) -> set[Node]:
        """Constants that an operation with kernels of its own reads from memory; and large ones
        that are all of a program, which threads then fill together."""
        fulls = [n for n in entries if place(n, self.places).base is n]
        if all([n.op.name == "full" for n in fulls]):
            return {n for n in fulls if prod(n.shape) >= 2 * CHUNK and kind_of(n) is not None}
        out = set()
        for n in entries:
            e = self.emitters.get(n.op.name)
            if e is not None and e.accepts(n):
                for k, i in enumerate(n.inputs):
                    base = place(i, self.places).base
                    if base.op.name == "full" and k not in e.constants:
                        out.add(base)
        return out

    def operands(self, n: Node) -> list[Place]:
        """Where the operands of an entry lie: settled by now, and asked for by every part."""
        found = self.read.get(n)
        if found is None:
            known = self.places
            found = self.read[n] = [known.get(i) or place(i, known) for i in n.inputs]
        return found

    def _visit(self, n: Node) -> None:
        p = place(n, self.places)
        if p.base is not n:
            return  # a view, or another name
        name = n.op.name
        if name == "full" and kind_of(n) is not None and n not in self.filled:
            self.constants.add(n)
            return
        if 0 in n.shape or any([0 in i.shape for i in n.inputs]):
            self._fallback(n)
        elif name in ("reshape", "clone", "flatten_copy") and kind_of(n) is not None:
            self._copy(n)
        elif name in REDUCTIONS and kind_of(n) in (
            ("f32", "f64", "i64") if name == "sum" else ("f32", "f64")
        ):
            self._reduce(n)
        elif name in self.emitters and self.emitters[name].accepts(n):
            self._core(n)
        elif self._pointwise(n):
            self._join(n, n.shape)
        else:
            self._fallback(n)

    def _pointwise(self, n: Node) -> bool:
        kinds = [kind_of(i) for i in n.inputs]
        if n in self.filled:
            return kind_of(n) is not None
        if kind_of(n) is None or None in kinds or (n.op.name == "to" and not n.inputs):
            return False
        if n.op.name in ("to", "pow_s"):
            return n.op.name == "to" or kind_of(n) != "b"
        if not n.op.pointwise or any([t not in (int, float, bool) for t in n.stypes]):
            return False
        if n.op.name not in MASKED and len(set(kinds)) > 1:
            return False
        return expression(n, tuple([wide(k) for k in kinds if k is not None])) is not None

    # Making and joining clusters.
    def _new(self, shape: tuple[int, ...]) -> Cluster:
        c = Cluster(len(self.clusters), shape)
        self.clusters.append(c)
        return c

    def _add(self, c: Cluster, n: Node, level: str) -> None:
        c.add(n, level)
        self.home[n] = c
        for p in self.operands(n):
            c.reads.add(p.base)

    def _fallback(self, n: Node) -> None:
        c = self._new(n.shape)
        c.fallback = True
        self._add(c, n, FULL)

    def _core(self, n: Node) -> None:
        """An operation that has kernels of its own."""
        c = self._new(n.shape)
        c.core = n
        c.open = self.emitters[n.op.name].joins
        self._add(c, n, FULL)

    def _copy(self, n: Node) -> None:
        """A copy into contiguous order: an identity over the operand's domain."""
        (p,) = self.operands(n)
        turns = n.op.name in self.emitters and kind_of(n) in turning.KINDS
        if turns and turning.exchanged(p.shape, p.strides):
            self._core(n)
        else:
            self._join(n, p.shape)

    def _before(self, base: Node, c: Cluster) -> bool:
        if base.op is INPUT or base in self.constants:
            return True
        home = self.home.get(base)
        return home is not None and home.index < c.index

    def _fits(self, n: Node, c: Cluster, shape: tuple[int, ...]) -> str | None:
        """The level at which n can join c, or None."""
        if c.fallback or not c.open or len(c.nodes) >= MOST:
            return None
        rows = c.row_shape() if c.split is not None else None
        if shape == c.shape:
            level = FULL
        elif rows is not None and tuple([m for m in shape if m != 1]) == tuple(
            [m for m in rows if m != 1]
        ):
            level = ROW
        else:
            return None
        for p in self.operands(n):
            if p.base not in c.level:
                if not self._before(p.base, c):
                    return None
                continue
            held = c.level[p.base]
            if held == FULL:
                if level != FULL or p.shape != shape or not same_element(p):
                    return None
            elif held == ROW:
                if level == ROW:
                    if prod(p.shape) != prod(shape) or not same_element(p):
                        return None
                elif not _row_of(p, shape, c.split or ()):
                    return None
            else:
                return None
        return level

    def _join(self, n: Node, shape: tuple[int, ...]) -> None:
        own = {p.base for p in self.operands(n)}
        homes = {self.home[b].index for b in own if b in self.home}
        if len(homes) > 1:
            homes = self._gather(homes, shape)
        for k in sorted(homes, reverse=True):
            c = self.clusters[k]
            if c.core is not None and self._beside(n, c, own, shape):
                return
            level = self._fits(n, c, shape)
            if level is not None:
                self._add(c, n, level)
                return
        for c in self.clusters[: -LOOK_BACK - 1 : -1]:
            if c.core is None and not c.fallback and c.shape == shape and own & c.reads and c.nodes:
                level = self._fits(n, c, shape)
                if level is not None:
                    self._add(c, n, level)
                    return
        c = self._new(shape)
        self._add(c, n, FULL)

    def _beside(self, n: Node, core: Cluster, own: set[Node], shape: tuple[int, ...]) -> bool:
        """Join a later cluster of rows that reads from memory what a core has made: there it need
        not be stored for what the row's sums are used for."""
        made = {b for b in own if self.home.get(b) is core}
        for c in self.clusters[: max(core.index, len(self.clusters) - LOOK_BACK - 1) : -1]:
            if c.core is None and c.split is not None and c.shape == shape and made <= c.reads:
                level = self._fits(n, c, shape)
                if level is not None:
                    self._add(c, n, level)
                    return True
        return False

    def _gather(self, homes: set[int], shape: tuple[int, ...]) -> set[int]:
        """Move clusters that wait for nothing into the first one, which then has all in registers:
        what an optimiser does to its state comes to where the gradient is made."""
        first = self.clusters[min(homes)]
        if first.shape != shape or first.fallback or not first.open:
            return homes
        left = {first.index}
        for k in sorted(homes)[1:]:
            c = self.clusters[k]
            if (
                c.core is None
                and not c.fallback
                and c.shape == shape
                and len(first.nodes) + len(c.nodes) < MOST
                and all([level == FULL for level in c.level.values()])
                and all([b in c.level or self._before(b, first) for b in c.reads])
            ):
                for n in c.nodes:
                    first.add(n, FULL)
                    self.home[n] = first
                first.reads |= c.reads - set(c.level)
                c.nodes, c.level, c.reads = [], {}, set()
            else:
                left.add(k)
        return left

    def _reduce(self, n: Node) -> None:
        (p,) = self.operands(n)
        span = _span(n.params[0], p.shape)
        if span is None:
            self._core(n)
            return
        level, split = span
        if level == COLUMN and _few_long(p.shape, split):
            self._core(n)
            return
        c = self.home.get(p.base)
        if (
            c is None
            or c.fallback
            or c.core is not None
            or c.level.get(p.base) != FULL
            or p.shape != c.shape
            or not same_element(p)
            or (c.split not in (None, split) and level != ALL)
            or (level != ROW and n.op.name != "sum")
        ):
            if level != ROW and n.op.name != "sum":
                self._core(n)
                return
            c = self._new(p.shape)
        if level != ALL:
            c.split = split
        self._add(c, n, level)


def _row_of(p: Place, shape: tuple[int, ...], split: tuple[int, ...]) -> bool:
    """Whether a broadcast operand of a full operation is one element of its base for each row."""
    extra = len(shape) - len(p.shape)
    if extra < 0:
        return False
    steps = [0] * extra + [s if m != 1 else 0 for m, s in zip(p.shape, p.strides, strict=True)]
    return same_row(Place(p.base, p.offset, shape, tuple(steps)), split)
