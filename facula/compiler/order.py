"""Results whose dimensions lie in another order in memory: transposed ones, channels last.

Kernels write what they compute row by row. A pointwise operation whose result and operands lie in
one and the same other order is computed in that order, row by row too, as PyTorch does. Other
results of such an order get a kernel that copies them. Both are seen by their tensors as they are:
`with_order` gives the strides that a buffer without gaps has in the order of its dimensions.
Reductions go over their operand as it lies, where the dimensions that they keep stay in order.
What a pointwise operation reads across (a transposed matrix beside a plain one) is copied first.
"""

from __future__ import annotations

from math import prod
from typing import Any

from facula.compiler.cluster import kind_of
from facula.compiler.layout import Place, place
from facula.cpu import turning
from facula.interpreter.program import PASSES, source
from facula.ops.movement import AS_STRIDED, CONTIGUOUS
from facula.ops.reduce import reduced
from facula.trace.node import ASSIGN, Node, contiguous_strides

Order = tuple[int, ...]  # the dimensions, the outermost in memory first
REDUCED = frozenset(("sum", "prod", "amax", "amin", "any", "all", "argmax", "argmin"))
ACROSS = 1 << 13  # elements of an operand that is copied rather than read across, at least


def order_of(shape: tuple[int, ...], strides: tuple[int, ...] | None) -> Order | None:
    """The order in which dimensions lie in memory without gaps; None where it is their own, or
    where there are gaps or repetitions."""
    if strides is None or 0 in shape:
        return None
    order = sorted(range(len(shape)), key=lambda d: (-strides[d], shape[d] == 1, d))
    own = contiguous_strides(tuple([shape[d] for d in order]))
    for d, step in zip(order, own, strict=True):
        if shape[d] != 1 and strides[d] != step:
            return None
    real = [d for d in order if shape[d] != 1]
    return None if real == sorted(real) else tuple(order)


def with_order(p: Place) -> bool:
    """Whether a place is all of its base, its dimensions in another order."""
    b = p.base
    whole = p.offset == 0 and prod(p.shape) == prod(b.shape)
    return whole and order_of(p.shape, p.strides) is not None


def in_memory_order(
    entries: list[Node], roots: list[Node], places: dict[Node, Place]
) -> list[Node]:
    """The entries with pointwise ones computed in the order in which their results lie, where all
    operands lie so too, and nothing but such operations, reductions of these and results reads
    them; and with reductions in the order of what they reduce. `places` learns where they are."""
    found: dict[Node, Order] = {}
    sums: dict[Node, Order] = {}  # reductions, and the orders of what they reduce
    for n in entries:
        if n.op is ASSIGN or (n in places and places[n].base is not n):
            continue
        if n.op.name in REDUCED:
            order = _reduces_in(n, found, places)
            if order is not None:
                sums[n] = order
        elif n.strides is not None and _pointwise(n) and kind_of(n) is not None:
            order = order_of(n.shape, n.strides)
            if order is not None and _reads_in(n, order, found, places):
                found[n] = order
    while found:  # what others read in the order of its dimensions is computed in that
        lost = _read_otherwise(entries, roots, found, sums, places)
        for n in lost:
            del found[n]
        lost += [n for n, order in found.items() if not _reads_in(n, order, found, places)]
        for n in lost:
            found.pop(n, None)
        for n in [n for n, order in sums.items() if _reduces_in(n, found, places) != order]:
            lost.append(n)
            del sums[n]
        if not lost:
            break
    if not found and not sums:
        return entries
    made: dict[Node, Node] = {}
    for n in entries:
        if n in found:
            made[n] = _turned(n, found[n], found, places, made)
        elif n in sums:
            made[n] = _reduced(n, sums[n], found, places, made)
    for n, p in places.items():
        if p.base in sums:
            places[n] = Place(made[p.base], p.offset, p.shape, p.strides)
        elif p.base in found:
            places[n] = Place(made[p.base], 0, p.shape, p.base.strides or ())
    return [made.get(n, n) for n in entries]


def copied_across(entries: list[Node], places: dict[Node, Place]) -> list[Node]:
    """The entries, with copies of large operands of pointwise ones of which what is read one after
    the other lies far apart: each element would be a line of memory. All that reads such an operand
    then reads the copy; `places` learns so."""
    wanted: dict[Node, int] = {}  # and after which entry: that which makes what they look at
    made_at = {n: k for k, n in enumerate(entries)}
    for n in entries:
        if n.op is ASSIGN or not _pointwise(n) or place(n, places).base is not n:
            continue
        for i in n.inputs:
            if i not in wanted and prod(i.shape) >= ACROSS and kind_of(i) in turning.KINDS:
                p = place(i, places)
                if turning.exchanged(p.shape, p.strides):
                    wanted[i] = made_at.get(p.base, -1)
    if not wanted:
        return entries
    after: dict[int, list[Node]] = {}
    copies: dict[Any, Node] = {}
    for i, at in wanted.items():
        p = place(i, places)
        key = p.base, p.shape, p.key()
        if key not in copies:
            made = copies[key] = Node(CONTIGUOUS, i.shape, i.dtype)
            made.params, made.index = 0, entries[at + 1].index
            made.a = look(made, places, p, p.shape, p.strides)
            made.inputs = (made.a,)
            after.setdefault(at, []).append(made)
        places[i] = Place(copies[key], 0, i.shape, contiguous_strides(i.shape))
    out = after.get(-1, [])
    for k, n in enumerate(entries):
        out += [n, *after.get(k, ())]
    return out


def _pointwise(n: Node) -> bool:
    return n.op.pointwise or (n.op.name == "to" and kind_of(n.inputs[0]) is not None)


def _reduces_in(n: Node, found: dict[Node, Order], places: dict[Node, Place]) -> Order | None:
    """The order in which a reduction goes over its operand, if that is another one than its own
    and the dimensions that are kept have the same in both."""
    (i,) = n.inputs
    s = source(i)
    if s in found and s.shape == i.shape:
        order = found[s]
    else:
        p = place(i, places)
        if p.base in found or kind_of(i) is None or 0 in i.shape or min(p.strides, default=0) <= 0:
            return None
        order = tuple(sorted(range(len(i.shape)), key=lambda d: (-p.strides[d], d)))
    dims = n.params[0]
    real = [d for d in order if i.shape[d] != 1]
    kept = [d for d in real if d not in dims]
    if real == sorted(real) or kept != sorted(kept):
        return None
    return None if len(dims) > 1 and n.op.name.startswith("arg") else order


def _reads_in(n: Node, order: Order, found: dict[Node, Order], places: dict[Node, Place]) -> bool:
    """Whether operands lie in this order, or are repeated, and one of them is no repetition. Beside
    one that does, large ones may lie otherwise: they are copied (`copied_across`)."""
    some, large = False, prod(n.shape) >= ACROSS
    for i in n.inputs:
        if found.get(source(i)) == order and i.shape == n.shape:
            some = True
            continue
        p = place(i, places)
        if p.base in found:
            return False
        if prod(p.shape) != prod(n.shape):
            continue
        if len(p.shape) != len(order):
            return False
        steps = tuple([p.strides[d] for d in order])
        shape = tuple([p.shape[d] for d in order])
        own = contiguous_strides(shape)
        if all([m == 1 or s == t for m, s, t in zip(shape, steps, own, strict=True)]):
            some = True
        elif not large or not turning.exchanged(shape, steps):
            return False
    return some


def _read_otherwise(
    entries: list[Node],
    roots: list[Node],
    found: dict[Node, Order],
    sums: dict[Node, Order],
    places: dict[Node, Place],
) -> list[Node]:
    """Those that a view, or an operation that is not among them, reads, or a result that lies in
    another order shows."""
    lost: set[Node] = set()
    for n in entries:
        if n.op is ASSIGN or n.op.name in PASSES:
            s = source(n)
            if s in found and n.shape != s.shape:
                lost.add(s)
            continue
        for i in n.inputs:
            s = source(i)
            if s in found and n in sums and i.shape == s.shape:
                continue
            if s in found and (n not in found or found[n] != found[s] or i.shape != n.shape):
                lost.add(s)
            p = place(i, places)  # of a view of what is left out, say of a copy
            own = place(p.base, places)
            if p.base in found and (p.shape, p.key()) != (own.shape, own.key()):
                lost.add(p.base)
    for n in roots:
        s = source(n)
        if s in found and (n.shape != s.shape or order_of(n.shape, n.strides) != found[s]):
            lost.add(s)
    return [n for n in found if n in lost]


def _operand(
    i: Node, found: dict[Node, Order], places: dict[Node, Place], made: dict[Node, Node]
) -> Place:
    """Where an operand is. A reduction may have been made anew, and this a view of it that was
    there before."""
    s = source(i)
    p = place(s if s in found else i, places)
    return Place(made.get(p.base, p.base), p.offset, p.shape, p.strides)


def _turned(
    n: Node,
    order: Order,
    found: dict[Node, Order],
    places: dict[Node, Place],
    made: dict[Node, Node],
) -> Node:
    """An entry that computes the same in this order of dimensions, of operands looked at so."""
    looks = []
    for i in n.inputs:
        p = _operand(i, found, places, made)
        extra = len(n.shape) - len(p.shape)
        steps = [0] * extra + [0 if m == 1 else s for m, s in zip(p.shape, p.strides, strict=True)]
        shape = tuple([n.shape[d] for d in order])
        looks.append(look(n, places, p, shape, tuple([steps[d] for d in order]), i.dtype))
    out = _like(n, tuple([n.shape[d] for d in order]), n.params, looks)
    places[n] = Place(out, 0, n.shape, n.strides or ())
    return out


def _reduced(
    n: Node,
    order: Order,
    found: dict[Node, Order],
    places: dict[Node, Place],
    made: dict[Node, Node],
) -> Node:
    """A reduction of its operand, looked at in this order of dimensions."""
    (i,) = n.inputs
    p = _operand(i, found, places, made)
    shape = tuple([p.shape[d] for d in order])
    seen = look(n, places, p, shape, tuple([p.strides[d] for d in order]), i.dtype)
    dims = tuple(sorted([order.index(d) for d in n.params[0]]))
    params = (dims, *n.params[1:])
    out = _like(n, reduced(shape, dims, n.params[1]), params, [seen])
    places[n] = Place(out, 0, n.shape, contiguous_strides(n.shape))
    return out


def _like(n: Node, shape: tuple[int, ...], params: Any, inputs: list[Node]) -> Node:
    """An entry of the same operation."""
    made = Node(n.op, shape, n.dtype)
    made.params, made.stypes, made.scalar_at = params, n.stypes, n.scalar_at
    made.index = n.index
    made.inputs = tuple(inputs)
    made.a = inputs[0]
    made.b = inputs[1] if len(inputs) > 1 else None
    return made


def look(
    n: Node, places: dict[Node, Place], p: Place, shape: Any, strides: Any, dtype: Any = None
) -> Node:
    """A view of what `p` is in, made for the entry `n`; `places` learns where it is. `dtype`: that
    of what is looked at, if it is not the entry's."""
    made = Node(AS_STRIDED, shape, dtype or n.dtype)
    made.params = (shape, strides, p.offset)
    made.inputs = (p.base,)
    made.a, made.index = p.base, n.index
    places[made] = Place(p.base, p.offset, shape, strides)
    return made


def copied_in_order(
    n: Node, places: dict[Node, Place], of: Node | None = None
) -> tuple[Node, Node] | None:
    """For a result that lies in another order than what computes it: the entry that copies it,
    and the result as it is then seen. None where nothing has to be copied. `of`: what the result
    is a copy of, if that copy is not wanted for itself."""
    order = order_of(n.shape, n.strides)
    if order is None or kind_of(n) is None:
        return None
    p = place(of or n, places)
    there = of is None and p.strides == n.strides and with_order(p)
    if p.base.op.name == "full" or there:
        return None
    shape = tuple([n.shape[d] for d in order])
    made = Node(CONTIGUOUS, shape, n.dtype)
    made.params = 0
    made.a = look(n, places, p, shape, tuple([p.strides[d] for d in order]))
    made.inputs = (made.a,)
    made.index = source(n).index
    seen = Node(AS_STRIDED, n.shape, n.dtype, n.strides)
    places[seen] = Place(made, 0, n.shape, n.strides or ())
    return made, seen


__all__ = ["copied_across", "copied_in_order", "in_memory_order", "look", "order_of", "with_order"]
