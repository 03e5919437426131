"""Values put together from parts: joined tensors, regions written into a base, sums of such.

What splitting a tensor leaves in its backward is a sum of zeros with one region each written in;
an unrolled network leaves one for every time step. Where the regions are apart, all of it is one
operation here that copies each part to its place, and the zeros are never written where parts are.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula.compiler.cluster import kind_of
from facula.compiler.layout import Place, _diagonal, _slice
from facula.interpreter.program import PASSES, source
from facula.trace.node import ASSIGN, INPUT, Node, contiguous_strides, laid

SCATTERS = ("slice_scatter", "diagonal_scatter", "as_strided_scatter")
Region = tuple[tuple[int, ...], tuple[int, ...], int]  # shape, strides, offset in the result
Box = tuple[tuple[int, int, int], ...]  # first, count and step along each dimension


class Assemble:
    """The operation: `params` are the regions of its last inputs; a first input is the base."""

    name = "assemble"
    view = pointwise = False

    @staticmethod
    def body(regions: tuple[Region, ...], s: Any, *arrays: Any) -> Any:
        """Copies the parts over the base."""
        shape, parts = regions[0][0], regions[1:]
        based = len(arrays) > len(parts)
        first = arrays[0]
        out = np.array(first, order="C") if based else np.empty(shape, first.dtype)
        flat = out.reshape(-1)
        for a, (size, strides, offset) in zip(arrays[based:], parts, strict=True):
            steps = tuple([x * out.itemsize for x in strides])
            laid(flat[offset:], size, steps)[...] = a
        return out


ASSEMBLE = Assemble()


def region(n: Node) -> Region:
    """Where a scatter writes, in a contiguous result."""
    strides = contiguous_strides(n.shape)
    if n.op.name == "as_strided_scatter":
        return n.params
    fold = _slice if n.op.name == "slice_scatter" else _diagonal
    return fold(n.params, n.shape, strides, 0)


def apart(boxes: list[Box], d: int = 0) -> bool:
    """Whether no two boxes have an element in common."""
    if len(boxes) < 2:
        return True
    if d == len(boxes[0]):
        return False
    groups: list[list[Box]] = []
    end = -1
    for b in sorted(boxes, key=lambda b: b[d][0]):
        first, count, step = b[d]
        if first > end:
            groups.append([])
        groups[-1].append(b)
        end = max(end, first + (count - 1) * step)
    for g in groups:
        steps = {b[d][2] for b in g if b[d][1] > 1}
        if len(g) > 1 and len(steps) == 1 and steps != {1}:
            (step,) = steps
            kinds: dict[int, list[Box]] = {}
            for b in g:
                kinds.setdefault(b[d][0] % step, []).append(b)
            if not all([apart(k, d + 1) for k in kinds.values()]):
                return False
        elif not apart(g, d + 1):
            return False
    return True


def _box(n: Node) -> Box:
    return tuple([(i, 1, 1) if type(i) is int else i for i in n.params])


def _distinct(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether a strided region certainly names each element once."""
    reach = 0
    for s, m in sorted([(s, m) for m, s in zip(shape, strides, strict=True) if m > 1]):
        if s <= reach:
            return False
        reach += s * (m - 1)
    return True


class Assembly:
    """Finds what can be put together in the entries of a program."""

    def __init__(
        self,
        entries: list[Node],
        roots: list[Node],
        scalars: list[Any],
        guards: dict[int, Any],
        places: dict[Node, Place],
    ) -> None:
        self.scalars = scalars
        self.guards = guards
        self.users: dict[Node, int] = {}
        self.fits: dict[Node, bool] = {}  # what can be a tree: whether all but its parts is zero
        for n in entries:
            if n.op is not ASSIGN and n.op.name not in PASSES:
                for i in n.inputs:
                    self._count(i)
        for n in roots:
            self._count(n)
        for n in entries:
            if n.op is not ASSIGN and self._fits(n):
                self.fits[n] = self._zeros(n)
        replaced: dict[Node, Node] = {}
        gone: set[Node] = set()
        for n in reversed(entries):
            if n in self.fits and n not in gone:
                made = self._assemble(n, gone)
                if made is not None:
                    replaced[n] = made
                    places[n] = Place(made, 0, n.shape, contiguous_strides(n.shape))
        self.entries: list[Node] = []
        for n in entries:
            if n in replaced:
                self.entries.append(replaced[n])
            if n not in gone:
                self.entries.append(n)

    def _count(self, n: Node) -> None:
        s = source(n)
        self.users[s] = self.users.get(s, 0) + 1

    def _fits(self, n: Node) -> bool:
        name = n.op.name
        if name not in ("add", "cat") and name not in SCATTERS:
            return False
        kinds = {kind_of(i) for i in n.inputs}
        if kinds != {kind_of(n)} or None in kinds:
            return False
        if 0 in n.shape or any([0 in i.shape for i in n.inputs]):
            return False
        if name in SCATTERS:
            shape, strides, _ = region(n)
            return shape == n.inputs[1].shape and _distinct(shape, strides)
        if name != "add":
            return name == "cat"
        a, b = [source(i) for i in n.inputs]
        return a.shape == b.shape and self._term(a) and self._term(b)

    def _term(self, s: Node) -> bool:
        """Whether a value is zeros but for its regions, and of use for one sum only."""
        return (
            self.fits.get(s, False) and s.op.name in ("add", "slice_scatter") and self.users[s] == 1
        )

    def _zeros(self, n: Node) -> bool:
        """Whether what can be a tree is zeros but for its regions."""
        if n.op.name == "add":
            return True
        return n.op.name == "slice_scatter" and (
            self._zero(n.inputs[0]) or self.fits.get(source(n.inputs[0]), False)
        )

    def _zero(self, n: Node) -> bool:
        """Whether the value is a constant that is zero in this occurrence."""
        s = source(n)
        if s.op is INPUT or s.op.name != "full":
            return False
        x = self.scalars[s.scalar_at]
        return type(x) in (int, float, bool) and x == 0

    def _inner(self, n: Node) -> list[Node]:
        """The operands that become part of the tree of n."""
        name = n.op.name
        if name == "add":
            return [source(i) for i in n.inputs]
        if name == "cat":
            out = [source(i) for i in n.inputs]
            return [s for s in out if s in self.fits and self.users[s] == 1 and s.op is n.op]
        s = source(n.inputs[0])
        if name == "slice_scatter" and s in self.fits and self.users[s] == 1:
            if s.op.name in ("slice_scatter", "add"):
                return [s]
        return []

    def _assemble(self, top: Node, gone: set[Node]) -> Node | None:
        """The tree under `top` as one node; None for a sum whose regions overlap."""
        strides = contiguous_strides(top.shape)
        parts: list[tuple[Node, Region]] = []
        boxes: list[Box] = []
        inside: list[Node] = []
        bases: list[Node] = []
        stack: list[tuple[Node, int]] = [(top, 0)]
        while stack:
            n, at = stack.pop()
            inside.append(n)
            inner = self._inner(n)
            if n.op.name == "add":
                stack += [(s, 0) for s in inner]
            elif n.op.name == "cat":
                for i in n.inputs:
                    if source(i) in inner:
                        stack.append((source(i), at))
                    else:
                        parts.append((i, (i.shape, strides, at)))
                    at += i.shape[n.params] * strides[n.params]
            else:
                parts.append((n.inputs[1], region(n)))
                if n.op.name == "slice_scatter":
                    boxes.append(_box(n))
                if inner:
                    stack.append((inner[0], 0))
                else:
                    bases.append(n.inputs[0])
        if boxes and not apart(boxes):
            if top.op.name == "add":
                for n in inside:
                    if n.op.name == "add":
                        del self.fits[n]
                return None
            parts, inside, bases = parts[:1], [top], [top.inputs[0]]
        if sum([math.prod(i.shape) for i, _ in parts]) == math.prod(top.shape):
            base: list[Node] = []
        else:
            base = bases[:1]
        if any([n.op.name == "add" for n in inside]):
            for n in bases:  # the sum is one only as long as they are zero
                at = source(n).scalar_at
                self.guards[at] = self.scalars[at]
        gone.update(inside)
        made = Node(ASSEMBLE, top.shape, top.dtype)
        made.inputs = (*base, *[i for i, _ in parts])
        made.params = ((top.shape, strides, 0), *[r for _, r in parts])
        made.a = made.inputs[0]
        made.index = top.index
        return made


__all__ = ["ASSEMBLE", "Assembly"]
