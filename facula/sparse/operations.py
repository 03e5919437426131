"""What operations do with sparse tensors, primitive by primitive.

Anything that is not here raises NotImplementedError with the operation's name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from facula.sparse.tensor import SparseTensor, make
from facula.trace.node import Other
from facula.trace.recorder import record
from facula.values import from_array


def take(op: Any, ts: tuple[Any, ...], params: Any, scalars: tuple[Any, ...]) -> Any:
    """The result of a primitive of which an operand is sparse."""
    name = op.name
    for t in ts:
        if t.node.op.__class__ is Other and t.node.op.name == "compressed":
            return t.node.op.take(op, ts, params, scalars)
    if name in _BY_NAME:
        return _BY_NAME[name](op, ts, params, scalars)
    if len(ts) == 1 and name in _KEEP_ZERO:
        s = ts[0].coalesce()
        return s._with(record(op, (s._elements,), params, scalars))
    raise NotImplementedError(
        f"{name}: not in Facula for sparse tensors (a {ts[0].dtype} tensor of shape "
        f"{list(ts[0].shape)}); use to_dense()"
    )


# Functions of one operand that are zero at zero.
_KEEP_ZERO = {
    *("abs", "asin", "asinh", "atan", "atanh", "ceil", "conj_physical", "erf", "erfinv", "expm1"),
    *("floor", "isnan", "log1p", "relu", "round", "sgn", "sign", "sin", "sinh", "sqrt", "tan"),
    *("tanh", "trunc"),
}  # fmt: skip


def _linear(op: Any, ts: Any, params: Any, scalars: Any) -> Any:
    """Operations that may be done to values before they are added up."""
    return ts[0]._with(record(op, (ts[0]._elements,), params, scalars))


def _same(op: Any, ts: Any, params: Any, scalars: Any) -> Any:
    return ts[0] if op.name == "self" else ts[0]._with(record(op, (ts[0]._elements,), params))


def _detached(op: Any, ts: Any, params: Any, scalars: Any) -> Any:
    return ts[0].detach()


def _power(op: Any, ts: Any, params: Any, scalars: Any) -> Any:
    if not scalars[0] > 0:
        raise NotImplementedError(
            f"pow: exponent {scalars[0]} of a sparse tensor, whose zeros are not kept"
        )
    s = ts[0].coalesce()
    return s._with(record(op, (s._elements,), params, scalars))


def _check_sizes(name: str, a: Any, b: Any) -> None:
    if a.shape != b.shape:
        raise RuntimeError(
            f"{name}: expected 'self' and 'other' to have same size, but self has size "
            f"{list(a.shape)} while other has size {list(b.shape)}"
        )


def _add(op: Any, ts: Any, params: Any, scalars: Any) -> Any:
    a, b = ts
    _check_sizes(op.name, a, b)
    if not isinstance(b, SparseTensor):
        raise RuntimeError(
            f"{op.name}(sparse, dense) is not supported. Use {op.name}(dense, sparse) instead."
        )
    minus = op.name == "sub"
    if not isinstance(a, SparseTensor):
        index = from_array(np.asarray(b._flat(), np.int64))
        values = -b._elements if minus else b._elements
        flat = a.reshape((-1, *a.shape[b.sparse_dim() :]))
        return flat.index_add(0, index, values).reshape(a.shape)
    if a._positions.shape == b._positions.shape and (a._positions == b._positions).all():
        return a._with(record(op, (a._elements, b._elements)))
    import facula

    positions = np.concatenate([a._positions, b._positions], 1)
    values = facula.cat([a._elements, -b._elements if minus else b._elements])
    out = make(positions, values, a.shape)
    return out.coalesce() if a._coalesced and b._coalesced else out


def _scale(op: Any, ts: Any, params: Any, scalars: Any) -> Any:
    """Products (and quotients) with a dense tensor, or of two sparse ones."""
    a, b = ts
    if isinstance(b, SparseTensor) and op.name == "div":
        raise RuntimeError("div: sparse division requires a dense divisor")
    if isinstance(a, SparseTensor) and isinstance(b, SparseTensor):
        return _both(a.coalesce(), b.coalesce(), op)
    s, d = (a, b) if isinstance(a, SparseTensor) else (b, a)
    d = d.expand(s.shape) if d.shape != s.shape else d
    if d.shape != s.shape:
        _check_sizes(op.name, a, b)
    picked = d[tuple([from_array(row) for row in s._positions])]
    return s._with(record(op, (s._elements, picked)))


def _both(a: Any, b: Any, op: Any) -> Any:
    _check_sizes(op.name, a, b)
    _, i, j = np.intersect1d(a._flat(), b._flat(), assume_unique=True, return_indices=True)
    x = a._elements.index_select(0, from_array(i.astype(np.int64)))
    y = b._elements.index_select(0, from_array(j.astype(np.int64)))
    return make(a._positions[:, i], record(op, (x, y)), a.shape, True)


def _matmul(op: Any, ts: Any, params: Any, scalars: Any) -> Any:
    a, b = ts
    if (isinstance(a, SparseTensor) and a.dense_dim()) or (
        isinstance(b, SparseTensor) and b.dense_dim()
    ):
        raise NotImplementedError("matmul: sparse tensors with dense dimensions; use to_dense()")
    if isinstance(a, SparseTensor) and isinstance(b, SparseTensor):
        return _sparse_product(a, b)
    if isinstance(b, SparseTensor):
        return _matmul(op, (b.transpose(-2, -1), a.transpose(-2, -1)), (), ()).transpose(-2, -1)
    rows, columns = a._positions[-2], a._positions[-1]
    batch = a.shape[:-2]
    if batch:
        lead = np.ravel_multi_index(tuple(a._positions[:-2]), tuple(batch))
        rows, columns = lead * a.shape[-2] + rows, lead * a.shape[-1] + columns
        b = b.expand((*batch, *b.shape[-2:])).reshape((-1, b.shape[-1]))
    picked = b.index_select(0, from_array(np.ascontiguousarray(columns)))
    terms = a._elements.unsqueeze(1) * picked
    n = int(np.prod(a.shape[:-1]))
    out = terms.new_zeros((n, b.shape[-1]))
    out = out.index_add(0, from_array(np.ascontiguousarray(rows)), terms)
    return out.reshape((*a.shape[:-1], b.shape[-1]))


def _sparse_product(a: Any, b: Any) -> Any:
    """Each element of a with every element of b in the row that its column names."""
    if a.dim() != 2 or b.dim() != 2:
        raise NotImplementedError("matmul: batches of two sparse tensors; use to_dense()")
    if a.shape[1] != b.shape[0]:
        raise RuntimeError(
            f"mm: mat1 and mat2 shapes cannot be multiplied ({a.shape[0]}x{a.shape[1]} and "
            f"{b.shape[0]}x{b.shape[1]})"
        )
    a, b = a.coalesce(), b.coalesce()
    starts = np.searchsorted(b._positions[0], a._positions[1])
    counts = np.searchsorted(b._positions[0], a._positions[1], side="right") - starts
    i = np.repeat(np.arange(len(counts)), counts)
    j = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts) + starts[i]
    x = a._elements.index_select(0, from_array(i.astype(np.int64)))
    y = b._elements.index_select(0, from_array(j.astype(np.int64)))
    positions = np.stack([a._positions[0, i], b._positions[1, j]])
    return make(positions, x * y, (a.shape[0], b.shape[1])).coalesce()


def _permute(op: Any, ts: Any, params: Any, scalars: Any) -> Any:
    s, n = ts[0], ts[0].sparse_dim()
    order = params
    if set(order[:n]) != set(range(n)):
        raise NotImplementedError("permute: sparse and dense dimensions can't be exchanged")
    values = s._elements
    if tuple(order[n:]) != tuple(range(n, s.dim())):
        values = values.permute(0, *[d - n + 1 for d in order[n:]])
    size = tuple([s.shape[d] for d in order])
    same = tuple(order[:n]) == tuple(range(n))
    return make(s._positions[list(order[:n])], values, size, s._coalesced and same)


def _reshape(op: Any, ts: Any, params: Any, scalars: Any) -> Any:
    """Dimensions of size 1 that come or go."""
    s, size = ts[0], tuple(params)
    if tuple([n for n in size if n != 1]) != tuple([n for n in s.shape if n != 1]) or s.dense_dim():
        raise RuntimeError("reshape is not implemented for sparse tensors")
    kept = iter(s._positions[[d for d, n in enumerate(s.shape) if n != 1]])
    zeros = np.zeros(s._nnz(), np.int64)
    rows = [next(kept) if n != 1 else zeros for n in size]
    positions = np.stack(rows) if rows else np.zeros((0, s._nnz()), np.int64)
    return make(positions, s._elements, size, s._coalesced)


def _cat(op: Any, ts: Any, params: Any, scalars: Any) -> Any:
    import facula

    if not all([isinstance(t, SparseTensor) for t in ts]):
        raise RuntimeError("cat: sparse and dense tensors can't be joined")
    d, n = params, ts[0].sparse_dim()
    size = list(ts[0].shape)
    size[d] = sum([t.shape[d] for t in ts])
    if d >= n:
        raise NotImplementedError("cat: sparse tensors along a dense dimension; use to_dense()")
    at, rows = 0, []
    for t in ts:
        moved = t._positions.copy()
        moved[d] += at
        at += t.shape[d]
        rows.append(moved)
    values = facula.cat([t._elements for t in ts])
    return make(np.concatenate(rows, 1), values, size, d == 0 and all([t._coalesced for t in ts]))


def _sum(op: Any, ts: Any, params: Any, scalars: Any) -> Any:
    import facula

    dims, keepdim = params
    if keepdim:
        raise NotImplementedError("sum: keepdim of a sparse tensor is not in Facula")
    return facula.sparse.sum(ts[0], tuple(dims))


def _refuse_index(op: Any, ts: Any, params: Any, scalars: Any) -> Any:
    raise NotImplementedError(
        f"{op.name}: this index of a sparse tensor is not in Facula; use to_dense()"
    )


_BY_NAME: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(
        ("to", "neg", "mul_s", "div_s", "scale", "over", "copy_slices", "real"), _linear
    ),
    **dict.fromkeys(("self", "clone", "alias"), _same),
    "detach": _detached,
    "pow_s": _power,
    "add": _add,
    "sub": _add,
    "mul": _scale,
    "div": _scale,
    "matmul": _matmul,
    "permute": _permute,
    "reshape": _reshape,
    "cat": _cat,
    "sum": _sum,
    "slice": _refuse_index,
}


def select(s: Any, dim: int, index: int) -> Any:
    """The slice at an index of a sparse dimension."""
    n = s.shape[dim]
    if not -n <= index < n:
        raise IndexError(f"index {index} is out of bounds for dimension {dim} with size {n}")
    hit = np.flatnonzero(s._positions[dim] == index % n)
    rows = [d for d in range(s.sparse_dim()) if d != dim]
    values = s._elements.index_select(0, from_array(hit))
    size = tuple([m for d, m in enumerate(s.shape) if d != dim])
    if not rows:
        return values.sum(0)
    return make(s._positions[rows][:, hit], values, size, s._coalesced)


def pick(s: Any, index: Any) -> Any:
    """s[index] for integers, slices without steps and None at the end of nothing."""
    items = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis in items:
        at = items.index(Ellipsis)
        missing = s.dim() - (len(items) - 1)
        items[at : at + 1] = [slice(None)] * missing
    d = 0
    for item in items:
        if isinstance(item, slice):
            start, stop, step = item.indices(s.shape[d])
            if (start, stop, step) != (0, s.shape[d], 1):
                s = between(s, d, start, max(stop, start), step)
            d += 1
        elif hasattr(item, "__index__") and not isinstance(item, bool):
            if not isinstance(s, SparseTensor) or d >= s.sparse_dim():
                raise NotImplementedError("an index of a dense dimension of a sparse tensor")
            s = select(s, d, item.__index__())
        else:
            raise NotImplementedError(
                f"an index of type {type(item).__name__} of a sparse tensor; use to_dense()"
            )
    return s


def between(s: Any, dim: int, start: int, stop: int, step: int = 1) -> Any:
    """The elements of a range of a sparse dimension."""
    if dim >= s.sparse_dim() or step < 1:
        raise NotImplementedError("a range of a dense dimension of a sparse tensor; use to_dense()")
    row = s._positions[dim]
    hit = np.flatnonzero((row >= start) & (row < stop) & ((row - start) % step == 0))
    positions = s._positions[:, hit]
    positions[dim] = (positions[dim] - start) // step
    size = list(s.shape)
    size[dim] = len(range(start, stop, step))
    return make(positions, s._elements.index_select(0, from_array(hit)), size, s._coalesced)


def index_select(s: Any, dim: int, index: Any) -> Any:
    """The slices of a sparse dimension that a vector names, in its order."""
    wanted = index.detach().numpy()
    row = s._positions[dim]
    order = np.argsort(row, kind="stable")
    starts = np.searchsorted(row[order], wanted)
    counts = np.searchsorted(row[order], wanted, side="right") - starts
    new = np.repeat(np.arange(len(wanted)), counts)
    old = order[np.arange(len(new)) - np.repeat(np.cumsum(counts) - counts, counts) + starts[new]]
    positions = s._positions[:, old]
    positions[dim] = new
    size = list(s.shape)
    size[dim] = len(wanted)
    values = s._elements.index_select(0, from_array(old.astype(np.int64)))
    return make(positions, values, size)
