"""Indexing: `t[...]` for reading and writing, and the operations whose indices are tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula import devices, dtypes
from facula.in_place import check_distinct, check_in_place, check_overlap, forbidden, replace
from facula.meta import META, is_meta, like
from facula.ops import indexing as ix
from facula.ops import layouts
from facula.ops import movement as mv
from facula.ops import pointwise as pw
from facula.ops.arithmetic import _NUMBERS, number, tensor_of
from facula.ops.creation import FULL, full_on
from facula.ops.registry import pointwise_strides
from facula.ops.shapes import expand, slice_dim
from facula.ops.table import FUNCTIONS, METHODS, OVERRIDES, api, dispatch, in_place
from facula.storage import make_view, version_of
from facula.tensor import Tensor
from facula.tensor_base import wrap_dim
from facula.trace.node import LEAF, STALE, Marker, Other
from facula.trace.recorder import TLS, record
from facula.values import from_array, own_memory, present, realise, values
from facula.writes import sole, write


def _array(t: Any) -> Any:
    """The values of an index tensor, now: bounds are checked at the call.

    Numbers of a meta tensor may be taken for zeros: only their shape matters.
    """
    if t.node.op is META and t.node.dtype.category == dtypes.INT:
        return np.broadcast_to(np.zeros((), t.node.dtype.np), t.node.shape)
    return values(t)


def known(t: Any) -> Any:
    """The values of a tensor in whatever shape, for checks; also of a batch of tensors.

    Of a meta tensor there are none to check.
    """
    there = present(t)
    if there is not None:
        return there
    if t.node.op is META:
        return np.empty((0,) * max(t.ndim, 1), t.dtype.np)
    while t.node.op.__class__ is Other and t.node.op.inner is not None:
        t = t.node.op.inner(t)
    return _array(t.detach())


def positions(a: Any) -> tuple[Any, ...]:
    """np.nonzero, from positions in one dimension: a quarter of its time where there are more."""
    if a.ndim < 2 or not a.size:
        return np.nonzero(a)
    n = a.shape[-1]
    rows = np.ascontiguousarray(a if a.dtype == bool else a != 0).reshape(-1, n)
    counts = np.count_nonzero(rows, axis=1)
    row = np.repeat(np.arange(len(rows)), counts)
    last = np.flatnonzero(rows) - row * n
    if a.ndim == 2:
        return row, last
    leading = np.unravel_index(np.arange(len(rows)), a.shape[:-1])
    return (*[np.repeat(x, counts) for x in leading], last)


def _parse(t: Any, index: Any, check: Any = None) -> tuple[Any, list[Any] | None]:
    """The basic part of an index as a view, and the tensors of the advanced part (or None).

    The list has one item for every dimension of the view: None, or an integer index array.
    `check` is called before an error for an index that is a tensor.
    """

    def fail(message: str) -> None:
        if check is not None:
            check()
        raise IndexError(message)

    items = list(index) if isinstance(index, tuple) else [index]
    rank = len(t.node.shape)
    used = 0
    for i in items:
        if i is None or i is Ellipsis or isinstance(i, bool):
            continue
        if isinstance(i, Tensor) and i.node.dtype in (dtypes.bool, dtypes.uint8):
            used += len(i.node.shape)
        elif isinstance(i, np.ndarray) and i.dtype == bool:
            used += i.ndim
        else:
            used += 1
    if used > rank:
        raise IndexError(f"too many indices for tensor of dimension {rank}")
    if not any(i is Ellipsis for i in items):
        items.append(Ellipsis)
    params: list[Any] = []  # for SLICE, one for each dimension of t
    layout: list[Any] = []  # for each dimension of the view: 'keep', 'new', or an index array
    after: list[int] = []  # for each new dimension: how many of t's come before it
    wrong = ""
    d = 0
    for i in items:
        if i is Ellipsis:
            for _ in range(rank - used):
                params.append((0, t.node.shape[d], 1))
                layout.append("keep")
                d += 1
            used = rank  # a second Ellipsis stands for nothing
            continue
        if i is None:
            layout.append("new")
            after.append(d)
            continue
        if isinstance(i, bool):
            layout.append(("flag", i))
            after.append(d)
            continue
        if isinstance(i, slice):
            n = t.node.shape[d]
            step = 1 if i.step is None else int(i.step)
            if step <= 0:
                raise ValueError("step must be greater than zero")
            start, stop, step = slice(_int(i.start), _int(i.stop), step).indices(n)
            count = max(0, -(-(stop - start) // step))
            params.append((start, count, step))
            layout.append("keep")
            d += 1
            continue
        if isinstance(i, (int, np.integer)) or (
            isinstance(i, Tensor)
            and not i.node.shape
            and i.node.dtype.category == dtypes.INT
            and i.node.dtype is not dtypes.uint8
        ):
            n, k = t.node.shape[d], int(i)
            if not -n <= k < n:
                raise IndexError(f"index {k} is out of bounds for dimension {d} with size {n}")
            params.append(k + n if k < 0 else k)
            d += 1
            continue
        a = _array(i) if isinstance(i, Tensor) else np.asarray(i)
        if a.dtype.kind == "f" and a.size == 0:
            a = a.astype(np.int64)
        if a.dtype == bool or a.dtype == np.uint8:
            a = a.astype(bool)
            for k, n in enumerate(a.shape):
                if t.node.shape[d + k] != n:
                    fail(
                        f"The shape of the mask {list(a.shape)} at index {k} does not "
                        f"match the shape of the indexed tensor "
                        f"{list(t.node.shape)} at index {d + k}"
                    )
            if not a.ndim:
                layout.append(("flag", bool(a)))
                after.append(d)
                continue
            for part in positions(a):
                params.append((0, t.node.shape[d], 1))
                layout.append(part)
                d += 1
            continue
        elif a.dtype.kind in "iu":
            parts = [a]
        else:
            fail(f"tensors used as indices must be long, int, byte or bool tensors, got {a.dtype}")
        for part in parts:
            n = t.node.shape[d]
            low = part.min() if part.size else 0
            if part.size and (low < -n or part.max() >= n):
                bad = part[(part < -n) | (part >= n)].reshape(-1)[0]
                wrong = f"index {bad} is out of bounds for dimension {d} with size {n}"
                if n == 0:
                    fail(wrong)
            params.append((0, n, 1))
            if low < 0:
                part = np.where(part < 0, part + n, part)
            layout.append(part.astype(np.int64, copy=False))
            d += 1
    if wrong:
        # Where no element is picked, none is out of bounds.
        if 0 not in [p[1] for p in params if type(p) is tuple] and all(
            [type(x) is not np.ndarray or x.size for x in layout]
        ):
            fail(wrong)
        layout = [np.zeros_like(x) if type(x) is np.ndarray else x for x in layout]
    v = t
    if after:
        v = _with_ones(t, params, after)
    if any(p != (0, n, 1) for p, n in zip(params, v.node.shape, strict=True)):
        v = make_view(v, mv.SLICE, tuple(params))
    advanced = [
        None if type(x) is str else (np.zeros(int(x[1]), np.int64) if type(x) is tuple else x)
        for x in layout
    ]
    if all(x is None for x in advanced):
        return v, None
    return v, advanced


def _with_ones(t: Any, params: list[Any], after: list[int]) -> Any:
    """The tensor with a dimension of size 1 for every None and bool of an index.

    They are put in before t is cut, so that their strides are what they are in PyTorch.
    `params` has an item for every dimension of t, and gets one for each of the new ones.
    """
    shape = list(t.node.shape)
    for d in reversed(after):
        shape.insert(d, 1)
        params.insert(d, (0, 1, 1))
    return make_view(t, mv.RESHAPE, tuple(shape))


def _int(x: Any) -> Any:
    return None if x is None else int(x)


def _table(advanced: list[Any], shape: tuple[int, ...]) -> tuple[Any, Any]:
    """The stacked index table (as a tensor) and the parameters of the primitives."""
    arrays = [a for a in advanced if a is not None]
    if len(arrays) == 1:
        where = tuple([None if a is None else 0 for a in advanced])
        return from_array(arrays[0].reshape(1, -1).copy()), (where, arrays[0].shape)
    try:
        common = np.broadcast_shapes(*[a.shape for a in arrays])
    except ValueError:
        raise IndexError(
            "shape mismatch: indexing tensors could not be broadcast together with "
            f"shapes {', '.join([str(list(a.shape)) for a in arrays])}"
        ) from None
    table = np.stack([np.broadcast_to(a, common).reshape(-1) for a in arrays])
    places, k = [], 0
    for a in advanced:
        places.append(None if a is None else k)
        k += a is not None
    return from_array(table), (tuple(places), common)


def getitem(self: Any, index: Any) -> Any:
    """t[index]: a view for slices and integers, a copy for index tensors and masks."""
    if OVERRIDES:
        done = dispatch(getitem, (self, index), {})
        if done is not NotImplemented:
            return done
    if isinstance(index, list):
        index = _list_index(index)
    elif (
        isinstance(index, Tensor)
        and index.node.dtype is dtypes.bool
        and len(index.node.shape) > 1
        and index.node.shape == self.node.shape
    ):  # the elements one after the other: one index each, instead of one a dimension
        self, index = _flat(self), _flat(index)
    try:
        v, advanced = _parse(self, index)
    except (IndexError, RuntimeError):
        forbidden((self,))
        raise
    if advanced is None:
        return make_view(v, mv.ALIAS, ()) if v is self else v
    table, p = _table(advanced, v.node.shape)
    if any([is_meta(getattr(i, "device", None)) for i in _items(index)]):
        table = like(table)
    return mv.in_layout(record(ix.INDEX, (v, table), p), _picked_strides(v.node, p))


def _flat(t: Any) -> Any:
    return record(mv.RESHAPE, (t,), (math.prod(t.node.shape),))


def _items(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


class _Operand:
    """What `pointwise_strides` looks at."""

    def __init__(self, shape: tuple[int, ...], strides: tuple[int, ...] | None) -> None:
        self.shape = shape
        self.strides = strides


def _picked_strides(n: Any, p: Any) -> Any:
    """The layout of an indexed tensor: that of its operands, as of a pointwise operation."""
    if n.strides is None:
        return None
    where, common = p
    used = [d for d, k in enumerate(where) if k is not None]
    rest = [s for s, k in zip(n.strides, where, strict=True) if k is None]
    at = used[0] if used == list(range(used[0], used[-1] + 1)) else 0
    shape = ix._index_shape(p, n)
    source = (*rest[:at], *[0] * len(common), *rest[at:])
    table = (*[1] * at, *common, *[1] * (len(rest) - at))
    return pointwise_strides(shape, (_Operand(shape, source), _Operand(table, None)))


def _list_index(index: list[Any]) -> Any:
    # A list that holds anything but numbers is a tuple of indices.
    if any(isinstance(i, (slice, type(None), type(Ellipsis), Tensor, list, tuple)) for i in index):
        return tuple(index)
    return np.asarray(index) if index else np.zeros(0, np.int64)


def _value(value: Any, like: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = from_array(value)
    value = number(value)
    if not isinstance(value, (Tensor, *_NUMBERS)):
        raise TypeError(
            f"__setitem__: can't assign a {type(value).__name__} to a {like.dtype} tensor"
        )
    t = tensor_of(value, like.node.dtype)
    if t.node.device is not like.node.device:
        t = devices.moved(t, like.device)
    return t if t.node.dtype is like.node.dtype else pw.cast(t, like.node.dtype)


def _filled(t: Any) -> bool:
    """Realise a tensor that is written again and again, now and then; whether its memory is its
    own then. The first writes are recorded: they may be few, and part of a step."""
    if t.node.op.__class__ is Other or t.node.op is META or t.node.rg or version_of(t) % 16 != 15:
        return False
    realise(t)
    return t._storage is None or sole(t, t._storage)


def _set_one(t: Any, index: Any, value: Any) -> bool:
    """Write one element of memory that nothing recorded reads, at once; whether that was done.

    Data that is filled element by element would otherwise be a new program for every element.
    """
    n = t.node
    items = index if index.__class__ is tuple else (index,)
    if len(items) != len(n.shape):
        return False
    for i, size in zip(items, n.shape, strict=True):
        if not (i.__class__ is int or isinstance(i, np.integer)) or not -size <= i < size:
            return False
    if (n.op is not LEAF or t._storage is not None) and not _filled(t):
        return False
    n = t.node
    if n.op is not LEAF or n.rg or n.strides is not None or n.device is not None:
        return False
    if t._storage is not None or t._token is not None:
        return False
    if t._gfn is not None or t._exported is not None or t._counter is not None or TLS.dual:
        return False
    if isinstance(value, Tensor):
        v = value.node
        kind = v.op.__class__ is Marker and v.op is not META and v.op is not STALE
        if not (kind or v.rec is TLS.r) or value is t:
            return False
        if v.rg or v.shape or v.device is not None or v.dtype is not n.dtype or value._leaf_rg:
            return False
        value = realise(value)._data
        if t.node.op is not LEAF:
            return False
    elif n.dtype is dtypes.float32 or n.dtype is dtypes.float64:
        if value.__class__ not in (int, float) or not (abs(value) < 3e38 or value != value):
            return False
    elif n.dtype is not dtypes.int64 or value.__class__ is not int or abs(value) >= 1 << 63:
        return False
    own_memory(t)
    t._data[items] = value
    t._writes += 1
    return True


def setitem(self: Any, index: Any, value: Any) -> None:
    """t[index] = value."""
    if OVERRIDES:
        done = dispatch(setitem, (self, index, value), {})
        if done is not NotImplemented:
            return
    if _set_one(self, index, value):
        return
    if isinstance(index, list):
        index = _list_index(index)
    v, advanced = _parse(self, index, lambda: check_in_place(self, "__setitem__", False))
    check_in_place(v, "__setitem__")
    if advanced is None:
        _copy_into(v, value, "__setitem__")
        return
    if isinstance(value, Tensor) and not (value.numel() == 1 and _one_mask(index)):
        check_overlap(v, (_stripped(value),), "__setitem__", False)
        if value.node.dtype is not v.node.dtype:
            raise RuntimeError(
                f"Index put requires the source and destination dtypes match, got {v.dtype} for "
                f"the destination and {value.dtype} for the source."
            )
    table, p = _table(advanced, v.node.shape)
    want = ix._index_shape(p, v.node)
    new = _fit(_value(value, v), want)
    write(v, record(ix.INDEX_PUT, (v, table, new), p))


def _stripped(t: Any) -> Any:
    """A value without leading dimensions of size 1."""
    shape = t.node.shape
    k = next((i for i, n in enumerate(shape) if n != 1), len(shape))
    return t.reshape(shape[k:]) if k else t


def _is_number(i: Any) -> bool:
    """Whether an index is a tensor that counts as an integer."""
    if not isinstance(i, Tensor) or i.node.shape:
        return False
    return i.node.dtype.category == dtypes.INT and i.node.dtype is not dtypes.bool


def _one_mask(index: Any) -> bool:
    """Whether an index has one mask and nothing else that picks elements."""
    items = [
        i
        for i in (index if isinstance(index, tuple) else (index,))
        if not (i is None or i is Ellipsis or isinstance(i, (slice, int)) or _is_number(i))
    ]
    return (
        len(items) == 1
        and isinstance(items[0], Tensor)
        and items[0].dtype is dtypes.bool
        and items[0].ndim > 0
    )


def _fit(t: Any, shape: tuple[int, ...]) -> Any:
    have = t.node.shape
    while len(have) > len(shape) and have[0] == 1:
        t = t.reshape(have[1:])
        have = t.node.shape
    try:
        return t if have == shape else expand.__wrapped__(t, shape)
    except RuntimeError:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(have)} cannot be "
            f"broadcast to indexing result of shape {list(shape)}"
        ) from None


def _copy_into(v: Any, value: Any, name: str) -> None:
    n = v.node
    if isinstance(value, Tensor) and (value.node.shape or not n.shape):
        source = value
        if n.shape != value.node.shape and value.numel() == 1:
            source = value.reshape(())  # as PyTorch sees it, which strips leading ones
        check_overlap(v, (_fit(source, n.shape),), name)
    new = _fit(_value(value, v), n.shape)
    _write_copy(v, new)


def _write_copy(v: Any, new: Any) -> None:
    # The copy is v's own: `new` itself must not count as living in v's memory.
    if v.requires_grad and TLS.r.grad:
        write(v, record(pw.COPY, (v, new)))
    else:
        write(v, record(mv.CONTIGUOUS if new.node.strides else mv.SELF, (new,), 0))


METHODS["__getitem__"] = getitem
METHODS["__setitem__"] = setitem


@api(function=False)
def copy_(self: Any, src: Any, non_blocking: bool = False) -> Any:
    """Copy the values of another tensor (broadcast, converted) into this one."""
    check_in_place(self, "copy_")
    check_overlap(self, (src,), "copy_")
    return _copied(self, src)


def _copied(self: Any, src: Any) -> Any:
    t = devices.moved(pw.cast(tensor_of(src), self.node.dtype), self.device)
    if t.node.shape != self.node.shape:
        try:
            t = expand.__wrapped__(t, self.node.shape)
        except RuntimeError as error:
            raise RuntimeError(f"copy_: {error}") from None
    _write_copy(self, t)
    return self


METHODS["copy_"] = METHODS.pop("copy")


def _fill(self: Any, value: Any) -> Any:
    check_in_place(self, "fill_", False)  # one value: elements that share memory may get it twice
    if isinstance(value, Tensor):
        if value.node.shape:
            raise RuntimeError(
                f"fill_ only supports 0-dimension value tensor but got tensor with "
                f"{len(value.node.shape)} dimensions."
            )
        check_distinct(self, "fill_")
        return _copied(self, value)
    n = self.node
    new = (
        record(pw.FILL, (self,), (), (value,))
        if self.requires_grad and TLS.r.grad
        else record(FULL, (), full_on(n.shape, n.dtype, n.device), (value,))
    )
    write(self, new)
    return self


METHODS["fill_"] = _fill
METHODS["zero_"] = lambda self: _fill(self, 0)


@api(method=False)
def fill(input: Any, value: Any) -> Any:
    """A tensor like this one, filled with a value."""
    return _fill(input.clone(), value)


@api
def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """input with input[indices] = values (or += with accumulate)."""
    v, advanced = _parse(input, tuple(indices))
    if advanced is None:
        raise NotImplementedError("index_put without index tensors is not in Facula")
    table, p = _table(advanced, v.node.shape)
    if values.node.dtype is not input.node.dtype:
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got "
            f"{input.dtype} for the destination and {values.dtype} for the source."
        )
    new = _fit(values, ix._index_shape(p, v.node))
    return record(ix.INDEX_ADD if accumulate else ix.INDEX_PUT, (v, table, new), p)


_put = in_place(index_put.__wrapped__, "index_put_")


def index_put_(self: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """In-place form of `index_put`."""
    if not accumulate and values.numel() == 1 and _one_mask(tuple(indices)):
        self[tuple(indices)] = values  # a masked fill, whose value may lie in the memory written
        return self
    return _put(self, indices, values, accumulate)


METHODS["index_put_"] = index_put_


@api
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The positions of the elements that are not zero (computed at once: the shape is data)."""
    found = (
        positions(np.atleast_1d(_array(input)) if as_tuple else _array(input))
        if (input.node.shape or as_tuple)
        else ()
    )
    if as_tuple:
        return tuple([devices.moved(from_array(x), input.device) for x in found])
    if not input.node.shape:
        return from_array(np.zeros((int(bool(input.item())), 0), np.int64))
    return devices.moved(from_array(np.stack(found, 1)), input.device)


def triangle(name: str, keep: Any) -> None:
    def f(input: Any, diagonal: int = 0) -> Any:
        if len(input.node.shape) < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
        m, n = input.node.shape[-2:]
        rows = from_array(np.arange(m, dtype=np.int64).reshape(m, 1))
        columns = from_array(np.arange(n, dtype=np.int64) - diagonal)
        if input.node.device is not None:
            rows, columns = [devices.moved(t, input.device) for t in (rows, columns)]
        mask = record(keep, (columns, rows))
        return mv.in_layout(record(pw.WHERE, (mask, input, input.new_zeros(()))), None)

    f.__name__ = name
    f.__doc__ = f"The {name} part of matrices; zeros elsewhere."
    api(f, inplace=True)


triangle("tril", pw.LE)
triangle("triu", pw.GE)


@api
def repeat_interleave(
    input: Any, repeats: Any = None, dim: Any = None, *, output_size: Any = None
) -> Any:
    """Elements repeated, each next to its copies."""
    if repeats is None:
        counts = _array(input)
        return from_array(np.repeat(np.arange(len(counts)), counts))
    t = input if dim is not None else input.reshape(-1)
    d = wrap_dim(dim or 0, len(t.node.shape))
    counts = _array(repeats) if isinstance(repeats, Tensor) else repeats
    if np.any(np.asarray(counts) < 0):
        raise RuntimeError("repeats can not be negative")
    if not isinstance(repeats, Tensor):
        if not t.node.shape:
            raise IndexError("repeat_interleave: a 0-d tensor has no dimension to repeat along")
        rows = t.unsqueeze(d + 1)
        wide = [repeats if i == d + 1 else n for i, n in enumerate(rows.node.shape)]
        shape = tuple([n * repeats if i == d else n for i, n in enumerate(t.node.shape)])
        return make_view(record(mv.CONTIGUOUS, (rows.expand(wide),), 0), mv.RESHAPE, shape)
    index = np.repeat(np.arange(t.node.shape[d]), counts)
    return FUNCTIONS["index_select"](t, d, from_array(index))


_ = slice_dim, replace, layouts
