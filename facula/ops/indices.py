"""Reading by an index: `t[...]`; what indices are, for all operations that take them."""

from __future__ import annotations

import math
from functools import lru_cache
from operator import index as whole
from typing import Any

import numpy as np

from facula import dtypes
from facula.autograd.graph import stands_for
from facula.errors import describe
from facula.in_place import forbidden
from facula.meta import META, is_meta, like
from facula.ops import indexing as ix
from facula.ops import movement as mv
from facula.ops.registry import pointwise_strides
from facula.ops.shapes import with_ones
from facula.ops.table import FUNCTIONS, METHODS, OVERRIDES, api, dispatch
from facula.tensor import Tensor
from facula.tensor_base import wrap_dim
from facula.trace.node import Other
from facula.trace.recorder import TLS, record
from facula.values import from_array, present, values
from facula.views import make_view
from facula.warned import warn


def array_of(t: Any) -> Any:
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
    return array_of(t)


def saved_by(input: Any, table: Any, *indices: Any) -> Any:
    """The table that was made of indices, for an operation on `input`: PyTorch saves the indices
    for the backward pass, so they may not be written to before it."""
    if TLS.r.grad and input.requires_grad:
        return stands_for(table, [i for i in indices if isinstance(i, Tensor)])
    return table


FEW = 4096  # indices
_UNSIGNED = {n: np.dtype(f"u{n}") for n in (1, 2, 4, 8)}


def outside(a: Any, n: int) -> bool:
    """Whether some of these integers are negative, or n or more."""
    # As unsigned numbers the negative ones are the largest: one pass is enough.
    if not a.size:
        return False
    a = a.view(_UNSIGNED[a.itemsize])
    if a.size <= FEW:  # where the largest is, NumPy says in a third of the time that `max` takes
        return a.item(a.argmax()) >= n  # type: ignore[no-any-return]
    return bool(a.max() >= n)


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


def _from_front(a: Any, n: int) -> Any:
    """Indices along n elements, all counted from the first, in an array that is their own; None
    where one is out of bounds."""
    beyond = bool(a.size) and (not a.dtype.isnative or outside(a, n))
    if beyond and (a.min() < -n or a.max() >= n):
        return None
    a = a.astype(np.int64)
    if beyond:
        a[a < 0] += n
    return a


def _picks(t: Any, index: Any) -> list[Any] | None:
    """What `parse` returns beside t itself, for integer tensors and slices that take everything;
    None where it is something else, or out of bounds."""
    shape = t.node.shape
    if index.__class__ is not tuple or len(index) > len(shape) or t._multi or t._no_grad:
        return None
    advanced: list[Any] = [None] * len(shape)
    for d, i in enumerate(index):
        if i.__class__ is slice:
            if i.start is None and i.stop is None and i.step is None:
                continue
            return None
        if not isinstance(i, Tensor) or not i.node.shape or i.node.dtype.category != dtypes.INT:
            return None
        if i.node.op.__class__ is Other or i.node.op is META or i.node.dtype is dtypes.uint8:
            return None
        counted = _from_front(array_of(i), shape[d])
        if counted is None:
            return None
        advanced[d] = counted
    return None if all([a is None for a in advanced]) else advanced


def parse(t: Any, index: Any, check: Any = None, late: Any = None) -> tuple[Any, list[Any] | None]:
    """The basic part of an index as a view, and the tensors of the advanced part (or None).

    The list has one item for every dimension of the view: None, or an integer index array.
    `check` is called before an error for an index that is a tensor, and `late`, with the result,
    before one for indices out of bounds. What forbids t a history comes before an error for an
    index that follows one which makes a view.
    """

    def fail(message: str) -> None:
        if check is not None:
            check()
        forbidden((t,), True)
        raise IndexError(message)

    known = _picks(t, index)
    if known is not None:
        return t, known
    wary = t._base_t is not None and (t._multi or t._no_grad)

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
        elif isinstance(i, np.generic) and not isinstance(i, (np.integer, str, bytes)):
            raise IndexError(
                f"an index is an integer, a slice, an ellipsis, None or a tensor of integers or "
                f"bools; got {type(i).__name__} {i} for {describe(t)}"
            )
        else:
            used += 1
    if used > rank:
        hint = "" if rank else "; its number is what .item() returns"
        raise IndexError(f"too many indices for tensor of dimension {rank}{hint}")
    if not any(i is Ellipsis for i in items):
        items.append(Ellipsis)
    params: list[Any] = []  # for SLICE, one for each dimension of t
    layout: list[Any] = []  # for each dimension of the view: 'keep', 'new', or an index array
    after: list[int] = []  # for each new dimension: how many of t's come before it
    wrong = bad = ""
    cut = False  # whether a slice makes a view though it takes everything
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
            if wary:
                forbidden((t,))
            layout.append("new")
            after.append(d)
            continue
        if isinstance(i, bool):
            if wary:
                forbidden((t,))
            layout.append(("flag", i))
            after.append(d)
            continue
        if isinstance(i, slice):
            n = t.node.shape[d]
            step = 1 if i.step is None else _int(i.step)
            if step <= 0:
                raise ValueError("step must be greater than zero")
            first, last = _int(i.start), _int(i.stop)
            cut = cut or bool(first) or (last is not None and last < n)
            start, stop, step = slice(first, last, step).indices(n)
            count = max(0, -(-(stop - start) // step))
            if wary and (cut or (start, count, step) != (0, n, 1)):
                forbidden((t,))
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
            dtypes.check_long(k)
            if not -n <= k < n:
                if after or cut or any([p != (0, m, 1) for p, m in zip(params, t.node.shape)]):
                    forbidden((t,), True)  # a view was made for what comes before it
                raise IndexError(f"index {k} is out of bounds for dimension {d} with size {n}")
            if wary:
                forbidden((t,))
            params.append(k + n if k < 0 else k)
            d += 1
            continue
        a = array_of(i) if isinstance(i, Tensor) else np.asarray(i)
        if a.dtype.kind == "f" and isinstance(i, (list, tuple, np.ndarray)):
            a = a.astype(np.int64)  # data for a tensor of integers, which rounds towards zero
        if a.dtype == np.uint8 and a.ndim and isinstance(i, Tensor):
            warn(
                "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool "
                "instead."
            )
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
        elif isinstance(i, (str, bytes)):
            raise TypeError(f"__getitem__(): {i!r} is no index; the tensor is {describe(t)}")
        else:
            fail(f"tensors used as indices must be long, int, byte or bool tensors, got {a.dtype}")
        for part in parts:
            n = t.node.shape[d]
            counted = _from_front(part, n)
            if counted is None:
                first = part[(part < -n) | (part >= n)].reshape(-1)[0]
                wrong = f"index {first} is out of bounds for dimension {d} with size {n}"
                if n == 0:
                    fail(wrong)
            params.append((0, n, 1))
            layout.append(part.astype(np.int64) if counted is None else counted)
            d += 1
    if wrong:
        # Where no element is picked, none is out of bounds.
        if 0 not in [p[1] for p in params if type(p) is tuple] and all(
            [type(x) is not np.ndarray or x.size for x in layout]
        ):
            bad = wrong
        layout = [np.zeros_like(x) if type(x) is np.ndarray else x for x in layout]
    if bad and late is None:
        fail(bad)
    v = t
    if after:
        v = _with_ones(t, params, after)
    if cut or any(p != (0, n, 1) for p, n in zip(params, v.node.shape, strict=True)):
        v = make_view(v, mv.SLICE, tuple(params))
    advanced = [
        None if type(x) is str else (np.zeros(int(x[1]), np.int64) if type(x) is tuple else x)
        for x in layout
    ]
    if all(x is None for x in advanced):
        return v, None
    if bad:
        late(v, advanced)
        fail(bad)
    return v, advanced


def _with_ones(t: Any, params: list[Any], after: list[int]) -> Any:
    """The tensor with a dimension of size 1 for every None and bool of an index.

    They are put in before t is cut, so that their strides are what they are in PyTorch.
    `params` has an item for every dimension of t, and gets one for each of the new ones.
    """
    for d in reversed(after):
        params.insert(d, (0, 1, 1))
    return with_ones(t, tuple(after))


def _int(x: Any) -> Any:
    if x is None or x.__class__ is int:
        return x
    if isinstance(x, Tensor):
        if x.numel() != 1 or x.dtype.category > dtypes.INT:
            raise TypeError(
                "only integer tensors of a single element can be converted to an index, got "
                f"{x.dtype} of shape {list(x.shape)}"
            )
        return int(x)
    if not hasattr(x, "__index__"):
        raise TypeError(
            "slice indices must be integers or None or have an __index__ method, got "
            f"{type(x).__name__}"
        )
    return x.__index__()


def table_of(advanced: list[Any], shape: tuple[int, ...]) -> tuple[Any, Any]:
    """The stacked index table (as a tensor) and the parameters of the primitives."""
    arrays = [a for a in advanced if a is not None]
    if len(arrays) == 1:
        where = tuple([None if a is None else 0 for a in advanced])
        return from_array(arrays[0].reshape(1, -1).copy()), (where, arrays[0].shape)
    try:
        shapes = {a.shape for a in arrays}
        common = shapes.pop() if len(shapes) == 1 else np.broadcast_shapes(*shapes)
    except ValueError:
        raise IndexError(
            "shape mismatch: indexing tensors could not be broadcast together with "
            f"shapes {', '.join([str(list(a.shape)) for a in arrays])}"
        ) from None
    table = np.empty((len(arrays), *common), np.int64)
    for k, a in enumerate(arrays):
        table[k] = a
    table = table.reshape(len(arrays), -1)
    places, k = [], 0
    for a in advanced:
        places.append(None if a is None else k)
        k += a is not None
    return from_array(table), (tuple(places), common)


@lru_cache(1024)
def _row(shape: tuple[int, ...], k: int) -> tuple[Any, ...]:
    """The parameters of SLICE for t[k]."""
    return (k, *[(0, n, 1) for n in shape[1:]])


_CUTS: dict[Any, Any] = {}  # of a layout and a plain index: the views that it makes
_BOUNDS = {int, type(None)}
_INTS = {int}


def _plain(index: Any) -> Any:
    """A key for an index of nothing but integers, slices, None and Ellipsis, or None."""
    key = []
    for i in index if index.__class__ is tuple else (index,):
        if i.__class__ is slice:
            i = i.start, i.stop, i.step
            if not _BOUNDS.issuperset(map(type, i)):
                return None
        elif i.__class__ is not int and i is not Ellipsis and i is not None:
            return None
        key.append(i)
    return tuple(key)


def _rows(t: Any, index: Any) -> Any:
    """The numbers of whole rows that an index picks, as an array that is its own, none of them
    negative; None where it is something else, or out of bounds."""
    if index.__class__ is np.ndarray:
        a = index
    elif isinstance(index, Tensor) and index.node.op.__class__ is not Other and index.node.shape:
        if index.node.op is META:
            return None
        a = array_of(index)
    else:
        return None
    if not a.ndim or not t.node.shape:
        return None
    n = t.node.shape[0]
    if a.dtype == bool and a.shape == (n,):
        return np.flatnonzero(a)
    if a.dtype.kind != "i":
        return None
    return _from_front(a, n)


def plain_views(t: Any, index: Any) -> Any:
    """The views that a plain index makes of t, as steps of a chain, if that has been met before;
    None otherwise."""
    n = t.node
    if t._multi or t._no_grad:
        return None
    if index.__class__ is int:
        if n.shape and -n.shape[0] <= index < n.shape[0]:
            return ((mv.SLICE, _row(n.shape, index % n.shape[0])),)
        return None
    key = _plain(index)
    return None if key is None else _CUTS.get((n.shape, n.strides, key))


def getitem(self: Any, index: Any) -> Any:
    """t[index]: a view for slices and integers, a copy for index tensors and masks."""
    if OVERRIDES:
        done = dispatch(getitem, (self, index), {})
        if done is not NotImplemented:
            return done
    views = plain_views(self, index)
    if views is not None:
        v = self
        for op, params in views:
            v = make_view(v, op, params)
        return v
    given = index
    if isinstance(index, list):
        index = list_index(index)
    elif (
        isinstance(index, Tensor)
        and index.node.dtype is dtypes.bool
        and len(index.node.shape) > 1
        and index.node.shape == self.node.shape
    ):  # the elements one after the other: one index each, instead of one a dimension
        self, index = _flat(self), _flat(index)
    if not (self._multi or self._no_grad) and (rows := _rows(self, index)) is not None:
        p = (0, *[None] * (len(self.node.shape) - 1)), rows.shape
        table = saved_by(self, from_array(rows.reshape(1, -1)), given)
        return mv.in_layout(record(ix.INDEX, (self, table), p), _picked_strides(self.node, p))
    v, advanced = parse(self, index)
    if advanced is None:
        if v is self:
            return make_view(v, mv.ALIAS, ())
        made = len(v._chain) - len(self._chain)
        key = _plain(index)
        if key is not None and made > 0:
            if len(_CUTS) > 4096:
                _CUTS.clear()
            _CUTS[self.node.shape, self.node.strides, key] = v._chain[-made:]
        return v
    forbidden((v,))
    table, p = table_of(advanced, v.node.shape)
    if any([is_meta(getattr(i, "device", None)) for i in _items(index)]):
        table = like(table)
    table = saved_by(v, table, *_items(given))
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


def list_index(index: list[Any]) -> Any:
    # A list of fewer than 32 items that holds anything but numbers is a tuple of indices.
    if _INTS.issuperset(map(type, index)):
        return np.array(index, np.int64)
    if any([isinstance(i, _NO_NUMBERS) for i in index]):
        if len(index) < 32:
            return tuple(index)
        index = [i.numpy() if isinstance(i, Tensor) else i for i in index]
    return np.asarray(index) if index else np.zeros(0, np.int64)


_NO_NUMBERS = (slice, type(None), type(Ellipsis), Tensor, list, tuple, np.ndarray)


getitem.__name__ = "__getitem__"  # as it is called in `__torch_function__`
METHODS["__getitem__"] = getitem


def _check_output_size(given: int | None, size: int) -> None:
    if given is not None and given != size:
        raise RuntimeError(
            f"repeat_interleave: Invalid output_size, expected {size} but got {given}"
        )


@api
def repeat_interleave(
    input: Any, repeats: Any = None, dim: Any = None, *, output_size: int | None = None
) -> Any:
    """Elements repeated, each next to its copies."""
    if repeats is None and dim is not None:
        raise TypeError("repeat_interleave(): argument 'repeats' is missing")
    if repeats is None:
        if len(input.node.shape) != 1:
            raise RuntimeError(
                "repeat_interleave only accept 1D vector as repeat, got one of shape "
                f"{list(input.node.shape)}"
            )
        if input.dtype not in (dtypes.int32, dtypes.int64):
            raise NotImplementedError(f'"repeat_interleave_cpu" not implemented for {input.dtype}')
        counts = array_of(input)
        kind = counts.dtype if counts.dtype == np.int32 else np.int64
        return from_array(np.repeat(np.arange(len(counts), dtype=kind), counts))
    t = input if dim is not None else input.reshape(-1)
    d = wrap_dim(dim or 0, len(t.node.shape))
    if isinstance(repeats, Tensor) and repeats.dtype not in (dtypes.int32, dtypes.int64):
        kind = NotImplementedError if repeats.dtype is dtypes.bool else RuntimeError
        raise kind(f"repeat_interleave: repeats must be int32 or int64, got {repeats.dtype}")
    counts = array_of(repeats) if isinstance(repeats, Tensor) else whole(repeats)
    if np.any(np.asarray(counts) < 0):
        raise RuntimeError("repeats can not be negative")
    if not isinstance(repeats, Tensor):
        if not t.node.shape:
            raise IndexError("repeat_interleave: a 0-d tensor has no dimension to repeat along")
        rows = t.unsqueeze(d + 1)
        wide = [counts if i == d + 1 else n for i, n in enumerate(rows.node.shape)]
        shape = tuple([n * counts if i == d else n for i, n in enumerate(t.node.shape)])
        _check_output_size(output_size, shape[d])
        return make_view(record(mv.CONTIGUOUS, (rows.expand(wide),), 0), mv.RESHAPE, shape)
    n = t.node.shape[d] if t.node.shape else 1
    if np.size(counts) not in (1, n):
        raise RuntimeError(
            f"repeat_interleave: repeats must have the same size as input along dim, but got "
            f"{np.size(counts)} repeats for dimension {d} of a tensor of shape {list(t.shape)}"
        )
    index = np.repeat(np.arange(n), counts)
    _check_output_size(output_size, len(index))
    return FUNCTIONS["index_select"](t, d, from_array(index))
