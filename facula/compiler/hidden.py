"""What a causal mask hides: of each matrix of a value, the elements above a diagonal.

Such an element is often known, minus infinity in the masked scores and zero after the softmax, or
nobody looks at it. Products then need not compute it, nor multiply by it, and kernels of rows end
where the mask begins: of attention over L positions half is left. What is known follows from the
operation `triangle` (`tril`, `triu`) and from numbers, for which the program is then made
(`guards`); a mask that comes from memory says nothing.

A zero here is a zero where all is finite. A row that has a NaN, or only minus infinity, is NaN in
all of it, and its first element, which no mask hides, says so to all that read it; but a NaN or an
infinity in a key or a value reaches only the rows that see it, as in PyTorch's own kernel, which
leaves out what is hidden too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from facula.compiler.cluster import FULL, REDUCTIONS, ROW, Cluster, kind_of
from facula.compiler.grouping import same_element
from facula.compiler.layout import Place, place
from facula.trace.node import ASSIGN, INPUT, Node

ANY, FINITE = "any", "finite"  # what an element that does not matter may be
EVERYWHERE = -(1 << 60)  # above which diagonal all is
Known = tuple[int, float]  # above which diagonal, and the value there
NOTHING = {"sum": 0.0, "amax": -math.inf, "amin": math.inf}  # what leaves a reduction as it is


class Hidden(NamedTuple):
    """What a kernel need not compute: of all it stores, what lies above a diagonal. It writes
    there what is known; what is not in `fills` it leaves as it is."""

    diagonal: int
    fills: dict[Node, float]


class Reach(NamedTuple):
    """Where the rows of a product's left operand are not zero: row i to column i + diagonal, or,
    `turned`, from column i - diagonal on."""

    turned: bool
    diagonal: int


def matrix_of(p: Place, base: Node) -> bool | None:
    """Whether a place has the base's matrices, as they lie (False) or transposed (True)."""
    if len(base.shape) < 2 or len(p.shape) < 2:
        return None
    rows, columns = base.shape[-2:]
    size = rows * columns
    others = [s for m, s in zip(p.shape[:-2], p.strides[:-2], strict=True) if m != 1]
    if min(rows, columns) < 2 or p.offset % size or any([s % size for s in others]):
        return None
    if p.shape[-2:] == (rows, columns) and p.strides[-2:] == (columns, 1):
        return False
    if p.shape[-2:] == (columns, rows) and p.strides[-2:] == (1, columns):
        return True
    return None


class Masks:
    """What is known of the entries of a program."""

    def __init__(
        self,
        entries: list[Node],
        roots: Iterable[Place],
        places: dict[Node, Place],
        scalars: list[Any],
        guards: dict[int, Any],
    ) -> None:
        self.places = places
        self.scalars = scalars
        self.guards = guards
        self.known: dict[Node, Known] = {}
        self.spare: dict[Node, tuple[int, str]] = {}  # what does not matter above a diagonal
        if not any([n.op is not ASSIGN and n.op.name == "triangle" for n in entries]):
            return
        own = [n for n in entries if n.op is not ASSIGN and place(n, places).base is n]
        for n in own:
            found = self._above(n)
            if found is not None and found[0] >= 0:
                self.known[n] = found
        if self.known:
            self._spared(own, {p.base for p in roots})

    # What is known.
    def _operand(self, n: Node, k: int) -> Known | None:
        """What is known of an operand that has an element for each of the result."""
        p = place(n.inputs[k], self.places)
        b = p.base
        known = self.known.get(b)
        if known is None or p.shape[-2:] != n.shape[-2:]:
            return None
        return known if matrix_of(p, b) is False else None

    def _constant(self, n: Node) -> Known | None:
        """A number everywhere, for which the program is to be made: 0, 1 or minus infinity."""
        b = place(n, self.places).base
        while b.op.name == "to" and b.inputs:
            b = place(b.inputs[0], self.places).base
        value = self.scalars[b.scalar_at] if b.op.name == "full" else None
        if type(value) not in (bool, int, float) or value not in (0, 1, -math.inf):
            return None
        self.guards[b.scalar_at] = value
        return EVERYWHERE, float(value)

    def _above(self, n: Node) -> Known | None:
        """The value of an entry above a diagonal."""
        name = n.op.name
        if len(n.shape) < 2:
            return None
        if name == "triangle":
            side, diagonal = n.params
            if side == "tril":
                return diagonal, 0.0
            found = self._constant(n.inputs[1])
            return None if found is None else (diagonal - 1, found[1])
        if name == "where":
            condition = self._operand(n, 0)
            if condition is None:
                return None
            k = 1 if condition[1] else 2
            taken = self._operand(n, k) or self._constant(n.inputs[k])
            return None if taken is None else (max(condition[0], taken[0]), taken[1])
        if name == "mul":
            zeros = [a for a in (self._operand(n, 0), self._operand(n, 1)) if a and a[1] == 0]
            return min(zeros) if zeros else None
        first = self._operand(n, 0) if n.inputs else None
        if first is None:
            return None
        at, value = first
        if name in ("add", "sub"):
            if name == "sub" and value == -math.inf and self._reduces(n, "amax"):
                return at, value
            second = self._operand(n, 1)
            zero = second is not None and value == second[1] == 0
            return (max(at, second[0]), 0.0) if zero and second is not None else None
        if name == "exp" and value == -math.inf:
            return at, 0.0
        if name == "div":
            return first if value == 0 and self._reduces(n, "sum") else None
        if name in ("mul_s", "neg", "clone", "to"):
            same = name == "clone" or value == 0 or (name == "to" and value == 1)
            return first if same else None
        if name == "logical_not":
            return at, float(not value)
        if name in ("eq_s", "ne_s"):
            other = self.scalars[n.scalar_at]
            self.guards[n.scalar_at] = other
            return at, float((value == other) is (name == "eq_s"))
        return None

    def _reduces(self, n: Node, how: str) -> bool:
        """Whether the second operand is a reduction of the first, along rows."""
        a, r = [place(i, self.places) for i in n.inputs]
        b = r.base
        if b.op is INPUT or b.op.name != how or b.params[0] != (len(n.shape) - 1,):
            return False
        of = place(b.inputs[0], self.places)
        whole = of.base is a.base and of.key() == a.key() and of.shape == a.shape == n.shape
        return whole and r.shape == (*n.shape[:-1], 1) and same_element(r)

    # What does not matter.
    def _spared(self, own: list[Node], held: set[Node]) -> None:
        """Find what no reader looks at above a diagonal. `held`: what is read from outside."""
        self.users: dict[Node, list[tuple[Node, int]]] = {}
        for n in own:
            for k, i in enumerate(n.inputs):
                self.users.setdefault(place(i, self.places).base, []).append((n, k))
        for b in reversed(own):
            if b in held or len(b.shape) < 2 or not (b.op.pointwise or b.op.name == "matmul"):
                continue
            found = [self._ignored(b, n, k) for n, k in self.users.get(b, [])]
            if found and all(found):
                diagonals = [f[0] for f in found if f]
                kinds = [f[1] for f in found if f]
                self.spare[b] = max(diagonals), ANY if FINITE not in kinds else FINITE

    def _ignored(self, b: Node, n: Node, k: int) -> tuple[int, str] | None:
        """Above which diagonal an entry does not look at its operand b."""
        p = place(n.inputs[k], self.places)
        if n.shape != b.shape or p.shape != b.shape or matrix_of(p, b) is not False:
            return None
        if p.offset or p.strides != place(b, self.places).strides:
            return None
        if n.op.name == "where" and k:
            condition = self._operand(n, 0)
            if condition is not None and condition[1] == (k == 2):
                return condition[0], ANY
        if n.op.name == "mul":
            other = self._operand(n, 1 - k)
            if other is not None and other[1] == 0:
                return other[0], FINITE
        found = self.spare.get(n) if n.op.pointwise else None
        if found is not None and (found[1] == ANY or n.op.name in ("mul_s", "neg")):
            return found
        return None

    # What kernels are told.
    def of(self, c: Cluster, stored: set[Node]) -> Hidden | None:
        """What the kernel of a cluster need not compute."""
        if not self.known or c.fallback or len(c.shape) < 2 or not c.nodes:
            return None
        if c.core is None:
            rows = [d for d, m in enumerate(c.shape[:-1]) if m != 1]
            if c.split != tuple(rows):
                return None
        elif c.core.op.name != "matmul":
            return None
        diagonals: list[int] = []
        fills: dict[Node, float] = {}
        for n in c.nodes:
            if c.level[n] == ROW and n.op.name in REDUCTIONS:
                known = self._operand_of_rows(n)
                if known is None or known[1] != NOTHING[n.op.name]:
                    return None
                diagonals.append(known[0])
            elif c.level[n] == ROW:
                continue
            elif c.level[n] != FULL or n.shape != c.shape:
                return None
            elif n in stored:
                if n in self.known:
                    at, fills[n] = self.known[n]
                elif n in self.spare:
                    at, kind = self.spare[n]
                    if kind == FINITE:
                        fills[n] = 0.0
                else:
                    return None
                diagonals.append(at)
        if not diagonals:
            return None
        diagonal = max(diagonals)
        return Hidden(diagonal, fills) if 0 <= diagonal < c.shape[-1] - 1 else None

    def _operand_of_rows(self, n: Node) -> Known | None:
        p = place(n.inputs[0], self.places)
        known = self.known.get(p.base)
        return known if known is not None and matrix_of(p, p.base) is False else None

    def reach(self, c: Cluster) -> Reach | None:
        """Where the left operand of a cluster's product is not zero."""
        n = c.core
        if not self.known or n is None or n.op.name != "matmul" or c.fallback:
            return None
        p = place(n.inputs[0], self.places)
        known = self.known.get(p.base)
        turned = matrix_of(p, p.base)
        if known is None or known[1] != 0 or turned is None or kind_of(p.base) is None:
            return None
        return Reach(turned, known[0])


__all__ = ["Hidden", "Masks", "Reach"]
