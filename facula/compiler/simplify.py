"""Algebra before grouping: the same values from fewer or better operations."""

from __future__ import annotations

from facula.compiler.layout import Place, source
from facula.interpreter.program import PASSES
from facula.ops.movement import PERMUTE
from facula.trace.node import ASSIGN, Node, contiguous_strides


def simplify(entries: list[Node], roots: list[Node], places: dict[Node, Place]) -> list[Node]:
    """The entries to compute; `places` learns where the values of those left out are found."""
    users: dict[Node, int] = {}
    for n in entries:
        if n.op is not ASSIGN and n.op.name not in PASSES:
            for i in n.inputs:
                s = source(i)
                users[s] = users.get(s, 0) + 1
    for n in roots:
        s = source(n)
        users[s] = users.get(s, 0) + 1
    instead: dict[Node, Node] = {}
    for n in entries:
        if n.op is not ASSIGN and n.op.name == "permute":
            product = source(n.a)
            if (
                product.op.name == "matmul"
                and product not in places
                and users[product] == 1
                and _swaps(n.params)
            ):
                made = instead[product] = _transposed(product, n)
                places[n] = Place(made, 0, n.shape, contiguous_strides(n.shape))
    return [instead.get(n, n) for n in entries]


def _swaps(p: tuple[int, ...]) -> bool:
    """Whether a permutation exchanges the last two dimensions and no others."""
    last = len(p) - 1
    return len(p) >= 2 and p == (*range(last - 1), last, last - 1)


def _transposed(product: Node, n: Node) -> Node:
    """A product whose transpose alone is wanted, as the product of the transposed operands: it is
    then written in the order in which what follows reads it, and what follows can join it."""
    a, b = product.inputs
    made = Node(product.op, n.shape, n.dtype)
    made.inputs = (_turned(b), _turned(a))
    made.a, made.b = made.inputs
    made.index = product.index
    made.scalar_at = product.scalar_at
    return made


def _turned(n: Node) -> Node:
    rank = len(n.shape)
    p = (*range(rank - 2), rank - 1, rank - 2)
    made = Node(PERMUTE, tuple([n.shape[d] for d in p]), n.dtype)
    made.params = p
    made.inputs = (n,)
    made.a = n
    made.index = n.index
    return made


__all__ = ["simplify"]
