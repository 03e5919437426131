"""Primitives whose indices are data. Bounds are checked where the call is made."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from facula import dtypes
from facula.ops.movement import RESHAPE, zeros_node
from facula.ops.registry import Op, like_strides, widened
from facula.trace.recorder import record


# gather / scatter along one dimension. Parameter: the dimension.
def _gather_infer(p: Any, st: Any, a: Any, b: Any) -> Any:
    return b.shape, a.dtype, None, 0


@lru_cache(256)
def _grid(shape: tuple[int, ...]) -> Any:
    return np.ogrid[tuple([slice(n) for n in shape])]


def _along(shape: tuple[int, ...], index: Any, dim: int) -> Any:
    """Full index arrays for 'element index[i, j, ..] along dim'."""
    if index.ndim == 1:
        return (index,)
    grid = list(_grid(index.shape))
    grid[dim] = index
    return tuple(grid)


def _gather(p: Any, s: Any, a: Any, b: Any) -> Any:
    if a.ndim == 0:
        return np.broadcast_to(a, b.shape).copy()
    return a[_along(a.shape, b, p)]


GATHER: Op = Op(
    "gather",
    _gather_infer,
    _gather,
    (lambda g, b, an, p: record(SCATTER_ADD, (zeros_node(an, g.node.dtype), b, g), p), None),
)


def only(t: Any) -> Any:
    """The element of a 0-d tensor, picked by its index, which autograd saves as of any other."""
    first = zeros_node(t.node, dtypes.int64)
    first = record(RESHAPE, (first,), (1,))
    return record(RESHAPE, (record(GATHER, (record(RESHAPE, (t,), (1,)), first), 0),), ())


def _like_first(p: Any, st: Any, a: Any, *rest: Any) -> Any:
    return a.shape, a.dtype, like_strides(a), 0


def _part(a: Any, b: Any, c: Any) -> Any:
    """The part of the source that the index covers."""
    return c[tuple([slice(n) for n in b.shape])] if c.shape != b.shape else c


def _scatter(p: Any, s: Any, a: Any, b: Any, c: Any) -> Any:
    out = np.array(a)
    if a.ndim == 0:
        if b.size:
            out[...] = c.reshape(-1)[-1]
        return out
    out[_along(a.shape, b, p)] = _part(a, b, c)
    return out


def _scatter_add(p: Any, s: Any, a: Any, b: Any, c: Any) -> Any:
    out = np.array(a)
    if a.ndim == 0:
        out[...] = a + c.reshape(-1)[: b.size].sum()
        return out
    np.add.at(out, _along(a.shape, b, p), _part(a, b, c))
    return out


def _source_grad(g: Any, b: Any, cn: Any, p: Any) -> Any:
    t = record(GATHER, (g, b), p)
    if t.node.shape == cn.shape:
        return t
    from facula.ops.movement import RESHAPE, SLICE_SCATTER

    if not t.node.shape:  # as the source, which counts as a vector
        t = record(RESHAPE, (t,), (1,))
        if t.node.shape == cn.shape:
            return t
    at = tuple([(0, n, 1) for n in t.node.shape])
    return record(SLICE_SCATTER, (zeros_node(cn, g.node.dtype), t), at)


SCATTER: Op = Op(
    "scatter",
    _like_first,
    _scatter,
    (lambda g, b, cn, p: record(SCATTER, (g, b, g.new_zeros(cn.shape)), p), None, _source_grad),
)
SCATTER_ADD: Op = Op(
    "scatter_add", _like_first, widened(_scatter_add), (lambda g: g, None, _source_grad)
)


class _Named(tuple[Any, ...]):
    """The parameter of an index that PyTorch has another name for: equal to none but its own."""

    __slots__ = ()
    backward = ""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and tuple.__eq__(self, other)

    __hash__ = tuple.__hash__


class Embedded(_Named):
    """That of an index that looks up rows of an embedding."""

    __slots__ = ()
    backward = "EmbeddingBackward0"


class Selected(_Named):
    """That of an index along one dimension."""

    __slots__ = ()
    backward = "IndexSelectBackward0"


class Distinct(_Named):
    """That of an index that names no element twice: its gradient is put there, not added."""

    __slots__ = ()
    backward = "PackPaddedSequenceBackward0"


# Advanced indexing. Parameter: for every dimension of the base None (a full slice) or the number
# of the index tensor that picks along it; index tensors come stacked, one 1-d table each, already
# broadcast and normalised to be non-negative.
def _pick(p: Any, index: Any) -> Any:
    where, shape = p
    return (*[slice(None) if k is None else index[k].reshape(shape) for k in where],)


def _index_shape(p: Any, a: Any) -> tuple[int, ...]:
    where, shape = p
    used = [d for d, k in enumerate(where) if k is not None]
    rest = [n for d, n in enumerate(a.shape) if where[d] is None]
    adjacent = used == list(range(used[0], used[-1] + 1))
    at = used[0] if adjacent else 0
    return (*rest[:at], *shape, *rest[at:])


def _index(p: Any, s: Any, a: Any, b: Any) -> Any:
    return np.ascontiguousarray(a[_pick(p, b)]).reshape(_index_shape(p, a))


INDEX: Op = Op(
    "index",
    lambda p, st, a, b: (_index_shape(p, a), a.dtype, None, 0),
    _index,
    (lambda g, b, an, p: _index_grad(g, b, an, p), None),
)


def _index_grad(g: Any, b: Any, an: Any, p: Any) -> Any:
    d = g.node.dtype
    if p.__class__ is Distinct:
        return record(INDEX_PUT, (zeros_node(an, d), b, g), p)
    if p.__class__ is Selected and len(an.shape) > 1:
        return added(zeros_node(an, d), b, g, p)
    return record(INDEX_ADD, (zeros_node(an, d), b, g), p)


def distinct_rows(t: Any, table: Any) -> Any:
    """The rows of a tensor that a table (1, n) names, none of them twice."""
    p = (0, *[None] * (len(t.node.shape) - 1)), table.node.shape[1:]
    return record(INDEX, (t, table), Distinct(p))


def spread_rows(t: Any, table: Any, rows: int, fill: float = 0.0) -> Any:
    """The reverse: so many rows, those that a table (1, n) names, and others filled."""
    from facula.ops.creation import FULL, full_on

    n, shape = t.node, (rows, *t.node.shape[1:])
    filled = record(FULL, (), full_on(shape, n.dtype, n.device), (fill,))
    p = (0, *[None] * (len(shape) - 1)), table.node.shape[1:]
    return record(INDEX_PUT, (filled, table, t), Distinct(p))


def added(base: Any, table: Any, source: Any, p: Any) -> Any:
    """INDEX_ADD; 16-bit floats are added up in float32 and rounded once, as PyTorch does where
    `index_add` has slices to add (elements are added one by one, and by `x[index]` all are)."""
    d = source.node.dtype
    if d is dtypes.bfloat16 or d is dtypes.float16:
        from facula.ops.pointwise import cast

        wide = cast(base, dtypes.float32), table, cast(source, dtypes.float32)
        return cast(record(INDEX_ADD, wide, p), d)
    return record(INDEX_ADD, (base, table, source), p)


def _index_put(p: Any, s: Any, a: Any, b: Any, c: Any) -> Any:
    out = np.array(a)
    out[_pick(p, b)] = c
    return out


def _index_add(p: Any, s: Any, a: Any, b: Any, c: Any) -> Any:
    out = np.array(a)
    np.add.at(out, _pick(p, b), c)
    return out


INDEX_PUT: Op = Op(
    "index_put",
    _like_first,
    _index_put,
    (
        lambda g, b, cn, p: record(INDEX_PUT, (g, b, g.new_zeros(cn.shape)), p),
        None,
        lambda g, b, p: record(INDEX, (g, b), p),
    ),
)
INDEX_ADD: Op = Op(
    "index_put_accumulate",
    _like_first,
    _index_add,
    (lambda g: g, None, lambda g, b, p: record(INDEX, (g, b), p)),
)
