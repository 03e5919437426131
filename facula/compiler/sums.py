"""Sums of many products over few elements each, as one product over all of them.

A matrix that an unrolled network uses at every step has a gradient that is a sum of one product
for each step, and a bias one that is a sum of sums. Each term would read and write the whole
result. Put side by side, the operands of all terms are those of a single product (or sum), and
often they are there already: what a network's steps give and take is one tensor.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from facula.compiler.assembly import ASSEMBLE
from facula.compiler.cluster import kind_of
from facula.compiler.layout import VIEWS, Place, place
from facula.interpreter.program import PASSES
from facula.ops.movement import AS_STRIDED, PERMUTE
from facula.trace.node import ASSIGN, INPUT, Node, contiguous_strides

TERMS = 4  # that are worth it, at least


class Sums:
    """Finds such sums in the entries of a program. Comes after what is assembled is known."""

    def __init__(self, entries: list[Node], roots: list[Node], places: dict[Node, Place]) -> None:
        self.look = dict(places)  # of its own: what is found here may be replaced
        self.at = {n: k for k, n in enumerate(entries)}
        self.users: dict[Node, int] = {}
        self.whole: dict[Node, list[tuple[Node, int]]] = {}  # what it is a part of, and where there
        self.made: list[Node] = []  # before the present sum
        for n in entries:
            if n.op is not ASSIGN and n.op.name not in PASSES and n.op.name not in VIEWS:
                self._count(n.inputs)
            if n.op is ASSEMBLE:
                self._learn(n)
        self._count(roots)
        gone: set[Node] = set()
        before: dict[Node, list[Node]] = {}
        for name in ("matmul", "sum"):  # what products are made of, sums may be made of too
            self.poor: set[Node] = set()  # within sums that have too few terms of this name
            for n in reversed(entries):
                if n not in gone and n not in self.poor and self._adds(n):
                    self._sum(n, name, gone, before, places)
        self.entries: list[Node] = []
        out: set[Node] = set()
        for n in entries:
            new = before.get(n, ())
            for m in (*new, n):
                if m not in gone and m not in out:
                    out.add(m)
                    self.entries.append(m)

    def _count(self, nodes: Iterable[Node]) -> None:
        users, look = self.users, self.look
        for i in nodes:
            base = (look.get(i) or place(i, look)).base
            users[base] = users.get(base, 0) + 1

    def _learn(self, whole: Node) -> None:
        """Remember which values have a copy within a larger one, in one piece."""
        parts = whole.params[1:]
        for i, (shape, strides, offset) in zip(whole.inputs[-len(parts) :], parts, strict=True):
            p = place(i, self.look)
            lies = Place(whole, 0, shape, strides).key()
            if lies == Place(whole, 0, shape, contiguous_strides(shape)).key() and self._all(p):
                self.whole.setdefault(p.base, []).append((whole, offset))

    def _all(self, p: Place) -> bool:
        """Whether a place is all that its base has, in order."""
        if p.offset == 0 and p.strides == contiguous_strides(p.shape):
            return p.shape == p.base.shape or prod(p.shape) == prod(p.base.shape)
        everything = Place(p.base, 0, p.shape, contiguous_strides(p.shape))
        return p.key() == everything.key() and prod(p.shape) == prod(p.base.shape)

    def _adds(self, n: Node) -> bool:
        return (
            n.op is not ASSIGN
            and n.op.name == "add"
            and kind_of(n) in ("f32", "f64")
            and all([i.shape == n.shape and i.dtype == n.dtype for i in n.inputs])
        )

    def _terms(self, top: Node) -> tuple[list[Node], list[Node]]:
        """What is added up, in order, and the sums in between that nobody else sees."""
        terms: list[Node] = []
        inside: list[Node] = []
        stack = list(reversed(top.inputs))
        while stack:
            i = stack.pop()
            p = place(i, self.look)
            b = p.base
            if b.shape == i.shape and self._all(p) and self.users[b] == 1 and self._adds(b):
                inside.append(b)
                stack += reversed(b.inputs)
            else:
                terms.append(i)
        return terms, inside

    def _fits(self, i: Node, name: str) -> bool:
        """Whether a term can be put together with others of its name."""
        p = place(i, self.look)
        b = p.base
        if b.op is INPUT or b.op.name != name or b.shape != i.shape:
            return False
        if not self._all(p) or self.users[b] != 1 or any([0 in n.shape for n in (b, *b.inputs)]):
            return False
        if name == "matmul":
            return len(b.inputs[0].shape) == len(b.inputs[1].shape) == 2
        return b.dtype == b.inputs[0].dtype and b.params == ((0,), False)

    def _sum(
        self,
        top: Node,
        name: str,
        gone: set[Node],
        before: dict[Node, list[Node]],
        places: dict[Node, Place],
    ) -> None:
        """Put the terms of one sum that have this name together, if that pays."""
        terms, inside = self._terms(top)
        alike = [place(i, self.look).base for i in terms if self._fits(i, name)]
        if len(alike) < TERMS:
            self.poor.update(inside)
            return
        self.made = []
        self.limit = self.at[top]
        made = self._product(alike) if name == "matmul" else self._columns(alike)
        if made is None:  # of what is within, sums of nearly as many terms are not tried either
            counts: dict[Node, int] = {}
            for n in reversed(inside):
                counts[n] = sum([counts.get(place(i, self.look).base, 1) for i in n.inputs])
            self.poor.update([n for n, count in counts.items() if 2 * count > len(terms)])
            return
        self.made.append(made)
        gone.update([top, *inside, *alike])
        for i in terms:
            if not self._fits(i, name):
                made = self._new(top.op, top.shape, (made, i))
                self.made.append(made)
        places[top] = Place(made, 0, top.shape, contiguous_strides(top.shape))
        before[top] = self.made

    def _new(self, op: object, shape: tuple[int, ...], inputs: tuple[Node, ...]) -> Node:
        made = Node(op, shape, inputs[0].dtype)
        made.inputs = inputs
        made.a = inputs[0]
        made.b = inputs[1] if len(inputs) > 1 else None
        made.index = inputs[-1].index
        return made

    def _columns(self, sums: list[Node]) -> Node | None:
        """Sums over the first dimension as one, where their operands lie one after the other."""
        parts = self._ordered([s.inputs[0] for s in sums])
        found = self._together(parts, 0)
        if found is None:
            return None
        whole, shape = found.a, sums[0].shape
        lead = len(whole.shape) - len(shape)
        plain = found.params[1] == contiguous_strides(found.shape)
        if plain and whole.shape[lead:] == shape and prod(whole.shape) == prod(found.shape):
            found = whole  # other sums over it are then alike, and computed along with this one
        made = self._new(sums[0].op, shape, (found,))
        made.params = (tuple(range(len(found.shape) - len(shape))), False)
        return made

    def _product(self, products: list[Node]) -> Node | None:
        """Products as one: their left operands side by side, their right ones below each other."""
        pairs = [(p.inputs[0], p.inputs[1]) for p in products]
        rows, columns = products[0].shape
        order = self._order([a for a, _ in pairs]) or self._order([b for _, b in pairs])
        pairs = [pairs[k] for k in order or range(len(pairs))]
        lefts, rights = [a for a, _ in pairs], [b for _, b in pairs]
        left, right = self._together(lefts, 1), self._together(rights, 0)
        inner = sum([a.shape[1] for a in lefts])
        copied = inner * ((rows if left is None else 0) + (columns if right is None else 0))
        if copied > (len(pairs) - 1) * rows * columns:
            return None
        left = left or self._copied(lefts, 1)
        right = right or self._copied(rights, 0)
        return self._new(products[0].op, products[0].shape, (left, right))

    def _wholes(self, n: Node) -> list[Place]:
        """Where else a value lies: as a piece of something larger."""
        p = place(n, self.look)
        return [
            Place(whole, offset + p.offset, p.shape, p.strides)
            for whole, offset in self.whole.get(p.base, ())
        ]

    def _order(self, parts: list[Node]) -> list[int] | None:
        """In which order parts lie in something larger."""
        for first in self._wholes(parts[0]):
            found = []
            for k, n in enumerate(parts):
                found += [(p.offset, k) for p in self._wholes(n) if p.base is first.base]
            order = [k for _, k in sorted(found)]
            if sorted(order) == list(range(len(parts))):
                return order
        return None

    def _ordered(self, parts: list[Node]) -> list[Node]:
        return [parts[k] for k in self._order(parts) or range(len(parts))]

    def _together(self, parts: list[Node], d: int) -> Node | None:
        """Parts side by side along dimension d as a look at something larger, if they lie so."""
        shape = list(parts[0].shape)
        shape[d] = sum([n.shape[d] for n in parts])
        for first in self._wholes(parts[0]):
            at = first.offset
            for n in parts:
                lies = [p for p in self._wholes(n) if p.base is first.base and p.offset == at]
                if not lies or lies[0].strides != first.strides:
                    break
                at += n.shape[d] * first.strides[d]
            else:
                if not self._early(first.base):
                    continue
                out = self._new(AS_STRIDED, tuple(shape), (first.base,))
                out.params = (out.shape, first.strides, first.offset)
                return out
        return None

    def _early(self, whole: Node) -> bool:
        """Have a value made before the present sum, if what it is made of is there by then."""
        if self.at[whole] < self.limit or whole in self.made:
            return True
        bases = [place(i, self.look).base for i in whole.inputs]
        if any([self.at[b] >= self.limit for b in bases if b.op is not INPUT]):
            return False
        self.made.append(whole)
        return True

    def _copied(self, parts: list[Node], d: int) -> Node:
        """Parts side by side along dimension d, copied so that what lies together stays so."""
        if d == 1 and place(parts[0], self.look).strides[0] == 1:
            return self._turned(self._copied([self._turned(n) for n in parts], 0))
        shape = list(parts[0].shape)
        shape[d] = sum([n.shape[d] for n in parts])
        made = self._new(ASSEMBLE, tuple(shape), tuple(parts))
        strides = contiguous_strides(made.shape)
        regions, at = [], 0
        for n in parts:
            regions.append((n.shape, strides, at * strides[d]))
            at += n.shape[d]
        made.params = ((made.shape, strides, 0), *regions)
        self.made.append(made)
        self.at[made] = self.limit
        self._learn(made)
        return made

    def _turned(self, n: Node) -> Node:
        made = self._new(PERMUTE, (n.shape[1], n.shape[0]), (n,))
        made.params = (1, 0)
        return made


__all__ = ["Sums"]
