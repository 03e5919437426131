"""Results whose dimensions lie in another order in memory: transposed ones, channels last.

Kernels write what they compute row by row. A pointwise operation whose result and operands lie in
one and the same other order is computed in that order, row by row too, as PyTorch does. Other
results of such an order get a kernel that copies them. Both are seen by their tensors as they are:
`with_order` gives the strides that a buffer without gaps has in the order of its dimensions.
"""

from __future__ import annotations

from math import prod
from typing import Any

from facula.compiler.cluster import kind_of
from facula.compiler.layout import Place, place, source
from facula.interpreter.program import PASSES
from facula.ops.movement import AS_STRIDED, CONTIGUOUS
from facula.trace.node import ASSIGN, Node, contiguous_strides

Order = tuple[int, ...]  # the dimensions, the outermost in memory first


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
    operands lie so too, and nothing but such operations and results reads them. `places` learns
    where they are."""
    found: dict[Node, Order] = {}
    for n in entries:
        if n.op is ASSIGN or n.strides is None or not n.op.pointwise or kind_of(n) is None:
            continue
        order = order_of(n.shape, n.strides)
        own = n not in places or places[n].base is n
        if order is not None and own and _reads_in(n, order, found, places):
            found[n] = order
    if not found:
        return entries
    while True:  # what others read in the order of its dimensions is computed in that
        lost = _read_otherwise(entries, roots, found, places)
        for n in lost:
            del found[n]
        lost += [n for n, order in found.items() if not _reads_in(n, order, found, places)]
        for n in lost:
            found.pop(n, None)
        if not lost:
            break
    made: dict[Node, Node] = {}
    for n, order in found.items():
        made[n] = _turned(n, order, found, places)
    for n, p in places.items():
        if p.base in made:
            places[n] = Place(made[p.base], 0, p.shape, p.base.strides or ())
    return [made.get(n, n) for n in entries]


def _reads_in(n: Node, order: Order, found: dict[Node, Order], places: dict[Node, Place]) -> bool:
    """Whether operands lie in this order, or are repeated, and one of them is no repetition."""
    some = False
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
        if any([m != 1 and s != t for m, s, t in zip(shape, steps, own, strict=True)]):
            return False
        some = True
    return some


def _read_otherwise(
    entries: list[Node], roots: list[Node], found: dict[Node, Order], places: dict[Node, Place]
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


def _turned(n: Node, order: Order, found: dict[Node, Order], places: dict[Node, Place]) -> Node:
    """An entry that computes the same in this order of dimensions, of operands looked at so."""
    shape = tuple([n.shape[d] for d in order])
    made = Node(n.op, shape, n.dtype)
    made.params, made.stypes, made.scalar_at = n.params, n.stypes, n.scalar_at
    made.index = n.index
    looks = []
    for i in n.inputs:
        s = source(i)
        p = place(s if s in found else i, places)
        extra = len(n.shape) - len(p.shape)
        steps = [0] * extra + [0 if m == 1 else s for m, s in zip(p.shape, p.strides, strict=True)]
        looks.append(look(n, places, p, shape, tuple([steps[d] for d in order]), i.dtype))
    made.inputs = tuple(looks)
    made.a = looks[0]
    made.b = looks[1] if len(looks) > 1 else None
    places[n] = Place(made, 0, n.shape, n.strides or ())
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


def copied_in_order(n: Node, places: dict[Node, Place]) -> tuple[Node, Node] | None:
    """For a result that lies in another order than what computes it: the entry that copies it,
    and the result as it is then seen. None where nothing has to be copied."""
    order = order_of(n.shape, n.strides)
    if order is None or kind_of(n) is None:
        return None
    p = place(n, places)
    if p.base.op.name == "full" or (p.strides == n.strides and with_order(p)):
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


__all__ = ["copied_in_order", "in_memory_order", "look", "order_of", "with_order"]
