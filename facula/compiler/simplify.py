"""Algebra before grouping: the same values from fewer or better operations."""

from __future__ import annotations

from math import prod
from typing import Any

from facula.compiler.cluster import kind_of
from facula.compiler.layout import VIEWS, Place, place
from facula.compiler.order import copied_in_order, look
from facula.interpreter.program import PASSES, source
from facula.ops.movement import CONTIGUOUS, PERMUTE
from facula.ops.pointwise import ADD, MUL
from facula.ops.reduce import SUM
from facula.trace.node import ASSIGN, INPUT, Node, contiguous_strides

LARGE = 1 << 14  # elements from which on a kernel copies what NumPy could, or threads add up
DOTS = 64  # elements of each row of many products of one row and one column, at least
FEWEST, MOST = 8, 128  # rows of products that do not repay copying a matrix for each of them
REPEATED = 4  # products, at least, for which a matrix is copied once
PARTS = 2  # of the rows that a gradient by weights sums over
NEAR = 1 << 20  # bytes of such parts, at most: those of a core's own cache
ROW = 64  # elements that lie together, where a copy is left out that would close gaps


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


def without_copies(entries: list[Node], roots: list[Node], places: dict[Node, Place]) -> list[Node]:
    """The entries without copies that only the program reads and that lie as what they copy, or
    repeat one element, or have long rows and are read element by element. Comes last before
    grouping, since `places` then knows of all bases."""
    shown = {_shown(n) for n in roots}
    walked = _walked(entries)
    out: list[Node] = []
    for n in entries:
        if n.op is not ASSIGN and n.op.name == "clone" and n not in shown and 0 not in n.shape:
            p = place(n.a, places)
            whole = Place(n, 0, n.shape, contiguous_strides(n.shape))
            if p.key()[1] in (whole.key()[1], (0,) * len(n.shape)) or (
                n in walked and _long_rows(p)
            ):
                places[n] = Place(p.base, p.offset, n.shape, p.strides)
                continue
        out.append(n)
    return out


def turned_once(entries: list[Node], roots: list[Node], places: dict[Node, Place]) -> list[Node]:
    """The entries with a copy of each transposed matrix that several products of few rows read, as
    those of all time steps do: each of them would copy it anew. `places` learns where it is."""
    shown = {source(n) for n in roots}
    readers: dict[Any, list[tuple[Node, Place]]] = {}
    for n in entries:
        if n.op is not ASSIGN and n.op.name == "matmul" and kind_of(n) is not None:
            b = source(n.inputs[1])
            p = place(b, places)
            *batch, down, across = p.strides
            few = FEWEST <= prod(n.shape[:-1]) <= MOST and min(p.shape[-2:]) >= FEWEST
            turned = down == 1 != across and not any(batch)
            if few and turned and b.op is not INPUT and b not in shown:
                readers.setdefault((p.base, p.offset, p.shape[-2:], across), []).append((b, p))
    after: dict[Node, list[Node]] = {}
    for found in readers.values():
        if len(found) < REPEATED:
            continue
        b, p = found[0]
        made = Node(CONTIGUOUS, p.shape[-2:], b.dtype)
        matrix = Node(PERMUTE, made.shape, b.dtype)
        matrix.params, matrix.inputs, matrix.a = (0, 1), (b,), b
        places[matrix] = Place(p.base, p.offset, made.shape, p.strides[-2:])
        made.params, made.inputs, made.a, made.index = 0, (matrix,), matrix, b.index
        after.setdefault(p.base, []).append(made)
        for b, p in found:
            steps = (*p.strides[:-2], *contiguous_strides(made.shape))
            places[b] = Place(made, 0, p.shape, steps)
    first = [made for base, copies in after.items() if base.op is INPUT for made in copies]
    return first + [x for n in entries for x in (n, *after.get(n, ()))]


def long_dots(entries: list[Node], places: dict[Node, Place]) -> list[Node]:
    """The entries with each product of one long row and one column, or of many, as a sum of
    products, which all threads make together: a product is cut by its rows and columns alone."""
    out: list[Node] = []
    instead: dict[Node, Node] = {}
    for n in entries:
        if n.op is ASSIGN or n.op.name != "matmul" or kind_of(n) is None or n.shape[-2:] != (1, 1):
            out.append(n)
            continue
        a, b = n.inputs
        many = prod(n.shape) > 1
        if prod(a.shape) < LARGE or a.shape[:-2] != b.shape[:-2] or many > (a.shape[-1] >= DOTS):
            out.append(n)
            continue
        products = Node(MUL, a.shape, n.dtype)
        products.inputs = products.a, products.b = a, _turned(b)
        products.index = n.index
        made = Node(SUM, n.shape, n.dtype)
        made.params, made.inputs, made.a = ((len(a.shape) - 1,), True), (products,), products
        made.index = n.index
        instead[n] = made
        out += [products, made]
    _move(places, instead)
    return out


def _move(places: dict[Node, Place], instead: dict[Node, Node]) -> None:
    """Say that what lay in some entries lies in others that are made like them. Earlier passes may
    have looked at views of them, too."""
    if instead:
        for n, p in places.items():
            if p.base in instead:
                places[n] = Place(instead[p.base], p.offset, p.shape, p.strides)
        for n, made in instead.items():
            places[n] = Place(made, 0, n.shape, contiguous_strides(n.shape))


def in_parts(entries: list[Node], places: dict[Node, Place]) -> list[Node]:
    """The entries with products that sum over the rows of both operands, as gradients by weights
    do, as the sum of the products of the first half of the rows and of the second.

    The threads that made these rows then read their own alone. If all read all of them, memory
    that is written next is written where another core has a copy of each line, and that is slow:
    on an EPYC 9 GB/s a core, and 2 GB/s if the cores share no third cache.
    """
    out: list[Node] = []
    instead: dict[Node, Node] = {}
    for n in entries:
        if n.op is ASSIGN or n.op.name != "matmul" or kind_of(n) not in ("f32", "f64"):
            out.append(n)
            continue
        p, q = (place(i, places) for i in n.inputs)
        if not _over_rows(p, q):
            out.append(n)
            continue
        (m, k), width = p.shape, q.shape[1]
        part = k // PARTS
        made = Node(n.op, (PARTS, m, width), n.dtype)
        halves = [
            look(n, places, p, (PARTS, m, part), (part * p.strides[1], *p.strides)),
            look(n, places, q, (PARTS, part, width), (part * q.strides[0], *q.strides)),
        ]
        made.inputs = made.a, made.b = halves[0], halves[1]
        total = Node(ADD, n.shape, n.dtype)
        steps = contiguous_strides(n.shape)
        each = [Place(made, i * m * width, n.shape, steps) for i in range(PARTS)]
        terms = [look(n, places, x, x.shape, x.strides) for x in each]
        total.inputs = total.a, total.b = terms[0], terms[1]
        made.index = total.index = n.index
        made.scalar_at = total.scalar_at = n.scalar_at
        instead[n] = total
        out += [made, total]
    _move(places, instead)
    return out


def _over_rows(p: Place, q: Place) -> bool:
    """Whether a product of these is to be made in parts: two matrices, the left one turned, of
    whose rows there are many beside the result, and which this program does not just read."""
    if len(p.shape) != 2 or len(q.shape) != 2 or p.base.op is q.base.op is INPUT:
        return False
    (m, k), width = p.shape, q.shape[1]
    read, made = (m + width) * k, m * width
    return (
        p.strides[0] == q.strides[1] == 1
        and (p.strides[1] >= m and q.strides[0] >= width)
        and k % PARTS == 0
        and (read >= 4 * LARGE and read >= 4 * made)
        and PARTS * made * p.base.dtype.itemsize <= NEAR
    )


def _walked(entries: list[Node]) -> set[Node]:
    """The values whose readers all go over them element by element: pointwise operations, sums and
    other copies."""
    out: set[Node] = set()
    other: set[Node] = set()
    for n in entries:
        if n.op is ASSIGN or n.op.name in PASSES or n.op.name in VIEWS:
            continue
        walks = n.op.pointwise or n.op.name in ("clone", "sum")
        (out if walks else other).update([_shown(i) for i in n.inputs])
    return out - other


def _long_rows(p: Place) -> bool:
    """Whether the last dimensions lie together for some vectors."""
    run = 1
    for m, s in zip(reversed(p.shape), reversed(p.strides), strict=True):
        if m != 1 and s != run:
            break
        run *= m
    return run >= ROW


def with_copies(
    entries: list[Node], roots: list[Node], places: dict[Node, Place]
) -> tuple[list[Node], list[Node]]:
    """Entries and results, with a copy of each large result that is a view of something else, or
    lies in another order: a kernel makes it, often in passing, into memory that is used again."""
    copies: dict[Node, Node] = {}
    shown: dict[Node, Node] = {}
    spared: set[Node] = set()  # copies of which the copies that are shown are made at once
    for n in roots:
        s = source(n)
        if n.strides is not None and s.op is not INPUT and n not in shown:
            alone = s.op is CONTIGUOUS and s.shape == n.shape and _shown_alone(s, entries, roots)
            turned = copied_in_order(n, places, s.a) if alone else None
            if turned is not None:
                spared.add(s)
            else:
                turned = copied_in_order(n, places)
            if turned is not None:
                copies[n], shown[n] = turned
        if s.op is INPUT or s.op.name not in VIEWS or n.strides is not None or kind_of(n) is None:
            continue
        p = place(s, places)
        b = p.base
        whole = Place(b, 0, n.shape, contiguous_strides(n.shape))
        own = b.op is not INPUT and p.key() == whole.key() and prod(n.shape) == prod(b.shape)
        if own or (b.op is not INPUT and b.op.name == "full") or prod(n.shape) < LARGE:
            continue
        made = copies[n] = shown[n] = Node(CONTIGUOUS, n.shape, n.dtype)
        made.params = 0
        made.inputs = (n,)
        made.a = n
        made.index = s.index
    entries = [n for n in entries if n not in spared]
    return [*entries, *copies.values()], [shown.get(n, n) for n in roots]


def _shown_alone(copy: Node, entries: list[Node], roots: list[Node]) -> bool:
    """Whether nothing reads a copy, and it is one result."""
    read = any([copy in [_shown(i) for i in n.inputs] for n in entries if source(n) is n])
    return not read and len([n for n in roots if _shown(n) is copy]) == 1


def _shown(n: Node) -> Node:
    """What computes the memory that a result is seen in."""
    n = source(n)
    while n.op is not INPUT and n.op.name in VIEWS:
        n = source(n.a)
    return n


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


__all__ = ["in_parts", "long_dots", "simplify", "turned_once", "with_copies", "without_copies"]
