"""Order: sorting, selection by rank, search in sorted sequences, distinct values."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from facula import dtypes
from facula.ops import pointwise as pw
from facula.ops import reduce as rd
from facula.ops.composed import whole
from facula.ops.indexing import GATHER, only
from facula.ops.indices import known, outside
from facula.ops.movement import in_layout
from facula.ops.promotion import result_type, tensor_of
from facula.ops.reductions import _pick, need_dim
from facula.ops.registry import Op, like_strides, widened
from facula.ops.table import FUNCTIONS, api
from facula.ops.underived import underived
from facula.return_types import fields
from facula.tensor_base import wrap_dim
from facula.trace.recorder import record
from facula.values import from_array, realise

_SORT = fields("sort")
_TOPK = fields("topk")
_KTH = fields("kthvalue")
_MODE = fields("mode")


def _first(t: Any) -> Any:
    """The index of a 0-d tensor's only element."""
    return FUNCTIONS["zeros"]((), dtype=dtypes.int64)


def _no_complex(name: str, t: Any, dim: int = 0) -> None:
    if t.node.dtype.is_complex:
        kind = RuntimeError if name in ("sort", "topk") else NotImplementedError
        wrap_dim(dim, len(t.node.shape))  # what PyTorch finds first
        raise kind(f"{name}(): complex values have no order; got {t.dtype}")


@api
def sort(
    input: Any, dim: int = -1, descending: bool = False, *, stable: bool | None = False
) -> Any:
    """Values in order along a dimension, and where they were; equal ones keep their order."""
    _no_complex("sort", input, dim)
    d = wrap_dim(dim, len(input.node.shape))
    if not input.node.shape:
        return _SORT((only(input), _first(input)))
    i = record(rd.ARGSORT, (input,), (d, bool(descending)))
    strides = like_strides(input.node)
    return _SORT((in_layout(record(GATHER, (input, i), d), strides), in_layout(i, strides)))


@api
def argsort(input: Any, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Any:
    """The indices that sort along a dimension."""
    return sort.__wrapped__(input, dim, descending)[1]


@api
def msort(input: Any) -> Any:
    """Values in order along the first dimension."""
    return sort.__wrapped__(input, 0)[0]


@api
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The k largest (or smallest) values along a dimension, and where they were."""
    _no_complex("topk", input, dim)
    if input.dtype is dtypes.bool:
        raise RuntimeError("topk(): not implemented for torch.bool")
    d = wrap_dim(dim, len(input.node.shape))
    n = input.node.shape[d] if input.node.shape else 1
    k = index(k)
    if not 0 <= k <= n:
        raise RuntimeError(f"topk(): selected index k out of range: k = {k}, size {n}")
    if not input.node.shape:
        return _TOPK((only(input), _first(input)))
    i = record(rd.TOPK_INDEX, (input,), (d, k, largest))
    return _TOPK((record(GATHER, (input, i), d), i))


def _index_infer(p: Any, st: Any, a: Any) -> Any:
    return rd.reduced(a.shape, p[0], p[1]), dtypes.int64, None, 0


def _kth(p: Any, s: Any, a: Any) -> Any:
    (d,), keep, k = p
    at = np.argsort(a, axis=d, kind="stable").take([k] if keep else k, axis=d)
    return np.asarray(at, np.int64)


KTH_INDEX: Op = Op("kth_index", _index_infer, widened(_kth))


@api
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The k-th smallest value along a dimension, and where it is."""
    _no_complex("kthvalue", input, dim)
    if input.node.dtype is dtypes.bool:
        raise NotImplementedError("kthvalue(): not implemented for bools")
    d = wrap_dim(dim, len(input.node.shape))
    n = input.node.shape[d] if input.node.shape else 1
    if n == 0:
        raise IndexError(f"kthvalue(): Expected reduction dim {d} to have non-zero size.")
    if not 1 <= k <= n:
        raise RuntimeError(
            f"kthvalue(): selected number k out of range for dimension {d}: k = {k}, size {n}"
        )
    if not input.node.shape:
        return _KTH((only(input), _first(input)))
    if input.node.device is None:
        i = record(KTH_INDEX, (input,), ((d,), keepdim, k - 1))
    else:
        i = record(rd.ARGSORT, (input,), (d, False)).narrow(d, k - 1, 1)
        i = i.clone() if keepdim else i.squeeze(d).clone()
    return _KTH((whole(_pick(input, i, d, keepdim), "Kthvalue", input, i), i))


# Medians. The median of all elements shares its gradient between equal ones.
def _middle(ignore: bool) -> Any:
    def body(p: Any, s: Any, a: Any) -> Any:
        x = a.reshape(-1)
        if a.dtype.kind == "f":
            nan = np.isnan(x)
            if nan.any():
                if not ignore:
                    return np.array(np.nan, a.dtype)
                x = x[~nan]
        if not x.size:  # the smallest integer is what NaN is converted to
            return np.array(np.nan if a.dtype.kind == "f" else np.iinfo(a.dtype).min, a.dtype)
        k = (x.size - 1) // 2
        return np.array(np.partition(x, k)[k])

    return widened(body)


def _share(g: Any, a: Any, o: Any) -> Any:
    hit = ((a == o) | (a.isnan() & o.isnan())).to(g.dtype)
    return g * (hit / hit.sum())


def _middle_index(ignore: bool) -> Any:
    def body(p: Any, s: Any, a: Any) -> Any:
        (d,), keep = p
        order = np.argsort(a, axis=d, kind="stable")
        n = a.shape[d]
        nans = np.isnan(a).sum(d, keepdims=True) if a.dtype.kind == "f" else 0
        if ignore:
            k = np.maximum(n - nans - 1, 0) // 2
        else:
            k = np.where(np.asarray(nans) > 0, n - nans, (n - 1) // 2)
        shape = tuple([1 if i == d else m for i, m in enumerate(a.shape)])
        at = np.take_along_axis(order, np.broadcast_to(k, shape), d)
        return (at if keep else at.squeeze(d)).astype(np.int64)

    return widened(body)


def _median(name: str, ignore: bool) -> None:
    value = Op(name, lambda p, st, a: ((), a.dtype, None, 0), _middle(ignore), (_share,))
    index = Op(name + "_index", _index_infer, _middle_index(ignore))
    kind = fields(name)

    def f(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
        _no_complex(name, input, 0 if dim is None else dim)
        shape = input.node.shape
        d = None if dim is None else wrap_dim(dim, len(shape))
        if d is not None and shape and shape[d] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
        if input.node.dtype is dtypes.bool:
            raise NotImplementedError(
                f"{name}(): not implemented for bool; got a tensor of shape {list(shape)}"
            )
        if d is None:
            need_dim(name, keepdim)
            return record(value, (input,))
        if not shape:
            return kind((only(input), _first(input)))
        i = record(index, (input,), ((d,), keepdim))
        return kind((_pick(input, i, d, keepdim), i))

    f.__name__ = name
    f.__doc__ = "The median, the lower one of two" + ("; NaN is left out." if ignore else ".")
    api(f)


_median("median", False)
_median("nanmedian", True)


def _most_common(p: Any, s: Any, a: Any) -> Any:
    (d,), keep = p
    rows = np.moveaxis(a, d, -1)
    out = np.empty(rows.shape[:-1], np.int64)
    for at in np.ndindex(*out.shape):
        row = rows[at]
        values, counts = np.unique(row, return_counts=True)
        best = values[np.argmax(counts)]
        same = row == best if best == best else np.isnan(row)
        out[at] = np.flatnonzero(same)[-1]
    return np.expand_dims(out, d) if keep else out


MODE_INDEX: Op = Op("mode_index", _index_infer, widened(_most_common))


@api
def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Any:
    """The most common value along a dimension (the smallest of several), and where it is."""
    _no_complex("mode", input, dim)
    d = wrap_dim(dim, len(input.node.shape))
    if not input.node.shape:
        return _MODE((only(input), _first(input)))
    if input.node.shape[d] == 0 and input.numel() == 0:
        raise IndexError(f"mode(): Expected reduction dim {d} to have non-zero size.")
    i = record(MODE_INDEX, (input,), ((d,), keepdim))
    return _MODE((_pick(input, i, d, keepdim), i))


# Search.
def _search(p: Any, s: Any, a: Any, b: Any) -> Any:
    side, d = p
    if a.ndim == 1:
        return np.asarray(np.searchsorted(a, b, side)).astype(d.np)
    out = np.empty(b.shape, d.np)
    for at in np.ndindex(*b.shape[:-1]):
        out[at] = np.searchsorted(a[at], b[at], side)
    return out


SEARCH: Op = Op("searchsorted", lambda p, st, a, b: (b.shape, p[1], None, 0), widened(_search))


@api(method=False)
def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """Where values would be inserted to keep a sequence sorted along its last dimension."""
    if side not in (None, "left", "right"):
        raise RuntimeError(f"searchsorted(): side can only be 'left' or 'right' but got {side!r}")
    if side == "left" and right:
        raise RuntimeError(
            "searchsorted(): side and right can't be set to opposites, got side of left while "
            "right was True"
        )
    values = tensor_of(input).to(sorted_sequence.device)
    a, b = sorted_sequence.node.shape, values.node.shape
    if not a or (len(a) > 1 and (len(b) != len(a) or a[:-1] != b[:-1])):
        raise RuntimeError(
            "searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions "
            f"of boundaries tensor and input value tensor must match, but we got boundaries "
            f"tensor {list(a)} and input value tensor {list(b)}"
        )
    if sorter is not None:
        if sorter.node.shape != a or sorter.dtype is not dtypes.int64:
            raise RuntimeError(
                "searchsorted(): boundary and sorter must have the same size, sorter int64, but "
                f"got {list(a)} and {sorter.dtype} {list(sorter.node.shape)}"
            )
        if outside(known(sorter).reshape(-1), a[-1]):
            raise RuntimeError(f"searchsorted(): sorter index out of range for {a[-1]} boundaries")
        sorted_sequence = record(GATHER, (sorted_sequence, sorter), len(a) - 1)
    d = result_type(sorted_sequence, values)
    way = "right" if right or side == "right" else "left"
    kind = dtypes.int32 if out_int32 else dtypes.int64
    return record(SEARCH, (pw.cast(sorted_sequence, d), pw.cast(values, d)), (way, kind))


@api(method=False)
def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """The number of each value's bucket between sorted boundaries."""
    if len(boundaries.node.shape) != 1:
        raise RuntimeError(
            f"bucketize(): boundaries tensor must be 1 dimension, but got dim "
            f"{len(boundaries.node.shape)}"
        )
    values = tensor_of(input)
    d = result_type(boundaries, values)
    kind = dtypes.int32 if out_int32 else dtypes.int64
    way = ("right" if right else "left", kind)
    return record(SEARCH, (pw.cast(boundaries, d), pw.cast(values, d)), way)


ISIN: Op = Op(
    "isin",
    lambda p, st, a, b: (a.shape, dtypes.bool, None, 0),
    widened(lambda p, s, a, b: np.isin(a, b)),
)


@api(method=False)
def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Any:
    """Whether each element is among the test elements."""
    d = result_type(elements, test_elements)
    if d.is_complex or d is dtypes.bool:
        raise RuntimeError(f"isin: unsupported input type {d}")
    a, b = pw.cast(tensor_of(elements, d), d), pw.cast(tensor_of(test_elements, d), d)
    found = record(ISIN, (a, b))
    return ~found if invert else found


# Distinct values: computed at once, because the shape is data.
def _results(parts: list[Any], inverse: bool, counts: bool) -> Any:
    wanted = [parts[0]]
    if inverse:
        wanted.append(parts[1].astype(np.int64))
    if counts:
        wanted.append(parts[2].astype(np.int64))
    ts = tuple([from_array(np.ascontiguousarray(x).reshape(x.shape)) for x in wanted])
    return ts[0] if len(ts) == 1 else ts


def _without_gradient(name: str, of: Any, found: Any) -> Any:
    if isinstance(found, tuple):
        return underived(name, found[0], of), *found[1:]
    return underived(name, found, of)


def _values(t: Any) -> tuple[Any, Any]:
    """The values now, in a type that NumPy can sort, and the type to return to."""
    a = realise(t.detach())._data
    return (a.astype(np.float32) if t.dtype is dtypes.bfloat16 else a), a.dtype


@api
def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: Any = None,
) -> Any:
    """The distinct values (or slices of a dimension) in ascending order."""
    name = "_unique2" if dim is None else "unique_dim"
    if input.node.device is not None:
        from facula.cuda import distinct

        found = distinct.unique(input, return_inverse, return_counts, dim)
        return _without_gradient(name, input, found)
    a, kind = _values(input)
    if dim is not None:
        dim = wrap_dim(dim, a.ndim)
        if a.ndim and a.shape[dim] == 0 and a.size == 0 and 0 not in _without(a.shape, dim):
            pass
        elif 0 in a.shape:
            raise RuntimeError(
                "unique: There are 0 sized dimensions, and they aren't selected, so unique "
                f"cannot be applied; shape {list(a.shape)}"
            )
        a = a.reshape(1) if a.ndim == 0 else a
    values, inverse, counts = _distinct(a, return_inverse, return_counts, dim)
    if return_inverse:
        inverse = inverse.reshape(-1) if dim is not None else inverse.reshape(a.shape)
    parts = [values.astype(kind), inverse, counts]
    return _without_gradient(name, input, _results(parts, return_inverse, return_counts))


def _distinct(a: Any, inverse: bool, counts: bool, dim: int | None) -> tuple[Any, Any, Any]:
    """Distinct values, and where they are and how many, if that is asked for."""
    if dim is None and a.size and a.dtype.kind in "iu" and a.dtype != np.uint64:
        low, span = int(a.min()), int(a.max()) - int(a.min()) + 1
        if span <= a.size:  # counted, without sorting
            at = (a.reshape(-1).astype(np.int64) - low).astype(np.intp, copy=False)
            times = np.bincount(at, minlength=span)
            found = np.flatnonzero(times)
            place = np.cumsum(times > 0) - 1 if inverse else None
            return (
                (found + low).astype(a.dtype),
                None if place is None else place[at],
                times[found] if counts else None,
            )
    if dim is not None and a.size and not (a.dtype.kind == "f" and np.isnan(a).any()):
        rows = _ordered_rows(np.moveaxis(a, dim, 0))
        if rows is not None:
            order = np.argsort(rows, kind="stable")
            new = np.ones(len(rows), bool)
            new[1:] = rows[order[1:]] != rows[order[:-1]]
            where = np.empty(len(rows), np.int64)
            where[order] = np.cumsum(new) - 1
            first = np.flatnonzero(new)
            return a.take(order[first], dim), where, np.diff(first, append=len(rows))
    if not inverse and not counts:
        return np.unique(a, axis=dim, equal_nan=False), None, None
    # With the index of the first of each, sorting is stable.
    values, _, where, times = np.unique(
        a, return_index=True, return_inverse=True, return_counts=True, axis=dim, equal_nan=False
    )
    return values, where, times


def _ordered_rows(a: Any) -> Any:
    """Each row as a string of bytes that is less than another where the row is; None for a dtype
    that has none. NumPy's own comparison of rows goes by a field for each element."""
    kind, size = a.dtype.kind, a.dtype.itemsize
    if kind not in "iubf" or size > 8:
        return None
    unsigned = np.dtype(f"u{size}")
    high = unsigned.type(1 << (8 * size - 1))
    if kind == "f":
        bits = (a + a.dtype.type(0)).view(unsigned)  # -0.0 becomes 0.0
        bits = np.where(bits & high, ~bits, bits | high)
    else:
        bits = a.view(unsigned) if kind != "i" else a.view(unsigned) ^ high
    big = np.ascontiguousarray(bits.reshape(len(a), -1).astype(unsigned.newbyteorder(">")))
    return big.view(f"V{big.shape[1] * size}").reshape(-1)


def _without(shape: tuple[int, ...], d: int) -> tuple[int, ...]:
    return (*shape[:d], *shape[d + 1 :])


@api
def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: Any = None
) -> Any:
    """The values (or slices of a dimension) that differ from the one before."""
    if input.node.device is not None:
        from facula.cuda import distinct

        found = distinct.unique_consecutive(input, return_inverse, return_counts, dim)
        return _without_gradient("unique_consecutive", input, found)
    a, kind = _values(input)
    if dim is None:
        flat, d = a.reshape(-1), 0
    else:
        d = wrap_dim(dim, a.ndim)
        flat = a.reshape(1) if a.ndim == 0 else a
    rows = np.moveaxis(flat, d, 0)
    n = len(rows)
    if n and rows.size == 0 and dim is not None:
        raise RuntimeError(
            "unique_consecutive: There are 0 sized dimensions, and they aren't selected; shape "
            f"{list(a.shape)}"
        )
    flags = np.ones(n, bool)
    if n > 1:
        other = rows[1:] != rows[:-1]
        flags[1:] = other if other.ndim == 1 else other.reshape(n - 1, -1).any(1)
    starts = np.flatnonzero(flags)
    inverse = np.cumsum(flags) - 1 if return_inverse else None
    counts = np.diff(np.append(starts, n)) if return_counts else None
    values = np.moveaxis(rows[starts], 0, d).astype(kind)
    if inverse is not None and dim is None:
        inverse = inverse.reshape(a.shape)
    found = _results([values, inverse, counts], return_inverse, return_counts)
    return _without_gradient("unique_consecutive", input, found)
