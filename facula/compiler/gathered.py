"""Products of rows that indices pick, where the rows come from a table that has fewer.

The layer after an embedding multiplies the same few rows again and again. The rows of the product
of the table are those of all the products, so it is that product which is picked from. Backward,
what is given back for one row of the table is added up first; the gradients of the matrix and of
the table are then products of as few rows as the table has:

    table[i] @ w                   (table @ w)[i]
    table[i].T @ g                 table.T @ s      where s = zeros.index_add(0, i, g)
    zeros.index_add(0, i, g @ w)   s @ w

Rows that no index names take no part: of an infinity in them, zero times it would make NaN.
"""

from __future__ import annotations

from math import prod
from typing import Any

from facula import dtypes
from facula.compiler.cluster import kind_of
from facula.compiler.layout import Place, place
from facula.interpreter.program import PASSES
from facula.ops.contraction import MATMUL
from facula.ops.creation import FULL
from facula.ops.indexing import INDEX_ADD
from facula.ops.movement import PERMUTE, view_strides
from facula.ops.pointwise import EQ, EXP, WHERE
from facula.trace.node import ASSIGN, INPUT, Node, contiguous_strides

OFTEN = 2  # how often a row of the table is picked, at least, on average
WIDE = 64  # elements of the table's rows, at least: shorter products take no longer than sums


class Gathered:
    """Finds such products in the entries of a program; `entries` are then those to compute."""

    def __init__(
        self,
        entries: list[Node],
        roots: list[Node],
        scalars: list[Any],
        guards: dict[int, Any],
        places: dict[Node, Place],
    ) -> None:
        self.entries = entries
        picks = [n for n in entries if _named(n, "index") and _few(n)]
        if not picks:
            return
        self.scalars, self.guards, self.places = scalars, guards, places
        self.look = dict(places)  # of its own: what is found here may be replaced
        self.at = {n: k for k, n in enumerate(entries)}
        self.before: dict[Node, list[Node]] = {}
        self.instead: dict[Node, Node] = {}
        self.gone: set[Node] = set()
        self.products = [n for n in entries if _named(n, "matmul")]
        users = self._users(roots)
        for n in entries:
            if _named(n, "index_put_accumulate") and _few(n):
                self._sums(n, users)
        for n in self.products:
            if n not in self.gone:
                self._rows(n)
        for n, p in list(places.items()):
            if p.base in self.instead:
                places[n] = Place(self.instead[p.base], p.offset, p.shape, p.strides)
        users = self._users(roots)
        self.gone.update([n for n in picks if n not in users])
        self.entries = [
            m for n in entries for m in (*self.before.get(n, ()), n) if m not in self.gone
        ]

    def _users(self, roots: list[Node]) -> dict[Node, int]:
        """How many entries and results read each value that is computed."""
        read = [
            i
            for n in self.entries
            if n not in self.gone and n.op is not ASSIGN and n.op.name not in PASSES
            if place(n, self.look).base is n
            for i in n.inputs
        ]
        read += [i for made in self.before.values() for n in made for i in n.inputs]
        out: dict[Node, int] = {}
        for i in [*read, *roots]:
            base = place(i, self.look).base
            out[base] = out.get(base, 0) + 1
        return out

    def _instead(self, n: Node, *made: Node) -> None:
        """Compute the last of these, and the others for it, in the place of an entry."""
        self.before.setdefault(n, []).extend(made)
        self.instead[n] = made[-1]
        self.places[n] = Place(made[-1], 0, n.shape, contiguous_strides(n.shape))
        self.gone.add(n)

    def _flat(self, n: Node) -> tuple[Node, int, int, int] | None:
        """Where an operand lies as one matrix: base, offset and steps; None where it does not."""
        p = place(n, self.look)
        rows = prod(p.shape[:-1])
        steps = view_strides(p.shape, p.strides, (rows, p.shape[-1]))
        return None if steps is None else (p.base, p.offset, steps[0], steps[1])

    def _picked(self, n: Node) -> Node | None:
        """What picks the rows of an operand, all of them in order, from a table of few."""
        found = self._flat(n)
        if found is None or not _named(found[0], "index") or not _few(found[0]):
            return None
        b = found[0]
        width = b.shape[-1]
        whole = found[1:] == (0, width, 1) and prod(n.shape) == prod(b.shape)
        return b if whole and n.shape[-1] == width else None

    def _rows(self, n: Node) -> None:
        """The product of picked rows as rows that are picked from a product."""
        left, right = n.inputs
        picks = self._picked(left)
        if picks is None or len(right.shape) != 2 or 0 in n.shape:
            return
        table, index = picks.inputs
        product = _new(MATMUL, n, (table.shape[0], n.shape[-1]), table, right)
        rows = _new(picks.op, n, (*picks.params[1], n.shape[-1]), product, index)
        rows.params = picks.params
        self._instead(n, product, rows)

    def _sums(self, n: Node, users: dict[Node, int]) -> None:
        """What a product adds to the rows of a table as a product of sums, and with the same sums
        the gradient of the matrix that those rows were multiplied by."""
        base, index, source = n.inputs
        zero, product = place(base, self.look).base, place(source, self.look).base
        if not self._zero(zero) or not _named(product, "matmul") or users[product] != 1:
            return
        given, matrix = product.inputs
        common, flat = n.params[1], self._flat(given)
        whole = self._flat(source) == (product, 0, n.shape[1], 1)
        whole = whole and product.shape == source.shape == (*common, n.shape[1])
        if not whole or flat is None or len(matrix.shape) != 2 or 0 in given.shape:
            return
        self.guards[zero.scalar_at] = self.scalars[zero.scalar_at]

        def zeros(*shape: int) -> Node:
            made = _new(FULL, n, shape)
            made.params, made.stypes, made.scalar_at = (shape, n.dtype), zero.stypes, zero.scalar_at
            return made

        none, ones, nothing = zeros(n.shape[0], 1), zeros(*common, 1), zeros(*n.shape)
        ones_ = _new(EXP, n, ones.shape, ones)
        counts = _new(INDEX_ADD, n, none.shape, none, index, ones_)
        unnamed = _new(EQ, n, none.shape, counts, none)
        unnamed.dtype = dtypes.bool
        empty = zeros(n.shape[0], given.shape[-1])
        sums = _new(INDEX_ADD, n, empty.shape, empty, index, given)
        sums.params = counts.params = n.params
        start = product
        for other in self.products:
            found = self._beside(other, flat, index)
            if found is None:
                continue
            table, turned = found
            rows = _new(WHERE, other, n.shape, unnamed, nothing, table)
            operands = (_turned(rows), sums) if turned else (_turned(sums), rows)
            self._instead(other, rows, _new(MATMUL, other, other.shape, *operands))
            start = min(start, other, key=self.at.__getitem__)
        total = _new(MATMUL, n, n.shape, sums, matrix)
        self._instead(n, total, _new(WHERE, n, n.shape, unnamed, nothing, total))
        self.gone.add(product)
        first = [none, ones, nothing, ones_, counts, unnamed, empty, sums]
        self.before[start] = first + self.before.get(start, [])

    def _beside(
        self, n: Node, given: tuple[Node, int, int, int], index: Node
    ) -> tuple[Node, bool] | None:
        """The table whose rows, picked by these indices, a product multiplies by a matrix that
        was given, and whether they are its left operand. One operand is transposed."""
        if len(n.shape) != 2 or n in self.gone:
            return None
        left, right = n.inputs
        for rows, other, turned in ((right, _turned(left), False), (_turned(left), right, True)):
            picks = self._picked(rows)
            if picks is not None and self._flat(other) == given:
                a, b = place(index, self.look), place(picks.inputs[1], self.look)
                if a.base is b.base and a.key() == b.key():
                    return picks.inputs[0], turned
        return None

    def _zero(self, n: Node) -> bool:
        """Whether the value is a constant that is zero in this occurrence."""
        if n.op is INPUT or n.op.name != "full":
            return False
        x = self.scalars[n.scalar_at]
        return type(x) in (int, float) and x == 0


def _named(n: Node, name: str) -> bool:
    if n.op is ASSIGN or n.op is INPUT or n.op.name != name:
        return False
    return kind_of(n) in ("f32", "f64")


def _few(n: Node) -> bool:
    """Whether an entry picks whole rows of a matrix that has few of them, or adds to such."""
    where, common = n.params
    table = n.inputs[0].shape
    return where == (0, None) and OFTEN * table[0] <= prod(common) and table[1] >= WIDE


def _new(op: Any, like: Node, shape: tuple[int, ...], *inputs: Node) -> Node:
    made = Node(op, shape, like.dtype)
    made.inputs, made.index = inputs, like.index
    made.a = inputs[0] if inputs else None
    made.b = inputs[1] if len(inputs) > 1 else None
    return made


def _turned(n: Node) -> Node:
    made = _new(PERMUTE, n, n.shape[::-1], n)
    made.params = (1, 0)
    return made


__all__ = ["Gathered"]
