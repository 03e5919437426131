"""Writing values: `t[...] = value`, `copy_`, `fill_`, `index_put_`."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from facula import devices, dtypes
from facula.in_place import (
    check_distinct,
    check_in_place,
    check_overlap,
    forbidden,
    write_indexed,
)
from facula.meta import META
from facula.ops import indexing as ix
from facula.ops import movement as mv
from facula.ops import pointwise as pw
from facula.ops.composed import whole
from facula.ops.creation import FULL, full_on
from facula.ops.indices import array_of, list_index, parse, plain_views, saved_by, table_of
from facula.ops.promotion import NUMBERS, number, tensor_of
from facula.ops.registry import like_strides
from facula.ops.shapes import expand
from facula.ops.table import METHODS, OVERRIDES, api, dispatch, in_place
from facula.storage import version_of
from facula.tensor import Tensor
from facula.trace.node import LEAF, STALE, Marker, Other, leaf
from facula.trace.recorder import TLS, flush, record
from facula.values import own_memory, realise
from facula.views import fresh, settle_alias
from facula.writes import alone, bump, sharing, short, sole, write


def assigned(value: Any, like: Any) -> Any:
    """A value that is no tensor as the Python number that is to be written into `like`.

    TypeError for what is no number to PyTorch: arrays, lists, and of NumPy's numbers all that are
    neither integers nor of Python's own classes (a float64 is a float).
    """
    d = like.node.dtype
    if isinstance(value, np.integer):
        value = value.item()
    elif not isinstance(value, NUMBERS):
        kind = type(value)
        name = f"{kind.__module__}.{kind.__name__}".removeprefix("builtins.")
        raise TypeError(
            f"__setitem__: can't assign a {name} to a {like.type()} of shape {list(like.shape)}"
        )
    if isinstance(value, int):
        dtypes.check_long(value)
    value = real_number(value, d)
    dtypes.check_fits(value, d, 1)
    return value


def value_like(value: Any, like: Any) -> Any:
    """What is to be written into `like`, as a tensor of its dtype and device."""
    t = value
    if not isinstance(value, Tensor):
        t = tensor_of(assigned(value, like), like.node.dtype)
    if t.node.device is not like.node.device:
        t = devices.moved(t, like.device)
    return t if t.node.dtype is like.node.dtype else pw.cast(t, like.node.dtype)


def filler(value: Any, like: Any) -> Any:
    """The value of `masked_fill` and its kin, which has to have a place in the dtype."""
    value = real_number(number(value), like.node.dtype)
    if isinstance(value, NUMBERS):
        dtypes.check_fits(value, like.node.dtype)
    return value_like(value, like)


def real_number(value: Any, d: Any) -> Any:
    """A complex number that is real, for a dtype that is not complex; others as they are."""
    if d.is_complex or d.category is None:
        return value
    if isinstance(value, Tensor) and value.node.dtype.is_complex and not value.node.shape:
        value = value.item()
    if isinstance(value, complex):
        if d is dtypes.bool:
            return bool(value)
        if value.imag:
            raise RuntimeError(f"value {value} cannot be converted to type {d} without overflow")
        return value.real
    return value


def _filled(t: Any) -> bool:
    """Realise a tensor that is written again and again, now and then; whether its memory is its
    own then. The first writes are recorded: they may be few, and part of a step."""
    if t.node.op.__class__ is Other or t.node.op is META or t.node.rg or version_of(t) % 16 != 15:
        return False
    realise(t)
    return t._storage is None or sole(t, t._storage)


def _made_constant(t: Any) -> bool:
    """Give a pending constant (`zeros`) memory of its own now, if nothing recorded but its views
    reads it; whether that was done. Its entry stays in the trace, where nobody sees it."""
    s = t._storage
    owner = t if s is None else s
    n, r = owner.node, TLS.r
    if n.op is not FULL or n.rec is not r or n.rg or n.device is not None or r.values:
        return False
    if t._leaf_rg or owner._token is not None or owner._exported is not None:
        return False
    family = {n}
    e = r.cur
    for _ in range(16):  # what was recorded since: usually the views that lead to the element
        if e is n:
            break
        if any([i in family for i in e.inputs]) and not e.op.view:
            return False
        e = e.parent
    else:
        return False
    others = [] if s is None else sharing(s)
    for a in others:
        pending = a.node.op is FULL or a.node.op.view
        if not pending or a.node.rg or a._counter is not None or a._own is not None:
            return False
    owner._data = FULL.body(n.params, (r.scalars[n.scalar_at],))
    owner.node = leaf(n.shape, n.dtype)
    for a in others:
        settle_alias(a)
    return True


def _set_part(t: Any, index: Any, value: Any) -> bool:
    """Write elements or rows of memory that nothing recorded reads, at once; whether that was done.

    Data that is filled piece by piece would otherwise be a new program for every piece.
    """
    n = t.node
    items = index if index.__class__ is tuple else (index,)
    if len(items) > len(n.shape):
        return False
    shape = n.shape[len(items) :]  # of what is written, but for the slices
    for i, size in zip(items, n.shape):
        if i.__class__ is slice:
            for x in (i.start, i.stop, i.step):
                if x is not None and x.__class__ is not int:
                    return False
            if i.step is not None and i.step < 1:
                return False
            shape = None  # asked below
        elif not (i.__class__ is int or isinstance(i, np.integer)) or not -size <= i < size:
            return False
    v = None
    if isinstance(value, Tensor):
        v = value.node
        kind = v.op.__class__ is Marker and v.op is not META and v.op is not STALE
        if not (kind or v.rec is TLS.r) or value is t:
            return False
        if v.rg or v.device is not None or v.dtype is not n.dtype or value._leaf_rg:
            return False
        if v.shape and n.op is not LEAF and v.op is not LEAF:
            return False  # part of a step
    elif n.dtype is dtypes.float32 or n.dtype is dtypes.float64:
        if value.__class__ is int:
            if abs(value) >= 1 << 63:
                return False
        elif value.__class__ is not float or not (abs(value) < 3e38 or value != value):
            return False
    elif n.dtype is not dtypes.int64 or value.__class__ is not int or abs(value) >= 1 << 63:
        return False
    if v is not None and not v.shape and v.op is not LEAF and short(TLS.r):
        flush(TLS.r)
    if t.node.op is not LEAF and not _made_constant(t) and not _filled(t):
        return False
    if TLS.dual or not alone(t):
        return False
    if v is not None:
        if v.shape:
            if value._storage is not None and value._storage is t._storage:
                return False  # which may overlap
            if shape is None:
                shape = t._data[items].shape
            if v.shape != shape:
                return False
        value = realise(value)._data
        if not alone(t):
            return False
    own_memory(t)
    if not t._data.flags.writeable:  # `expand`: several elements may be one
        return False
    t._data[items] = value
    if t._storage is None:
        t._writes += 1
    else:
        t._storage._version += 1
    return True


def _in_place(t: Any, index: Any, value: Any) -> bool:
    """Whether a value is the view of t that the index makes, so that nothing has to be written:
    `t[index] += x` ends so."""
    if not isinstance(value, Tensor) or value._storage is None or value._storage is not t._storage:
        return False
    views = plain_views(t, index)
    if views is None or value._chain != (*t._chain, *views):
        return False
    if value._counter is not t._counter or value.node.op.__class__ is Other:
        return False
    return not (value.requires_grad or t.requires_grad) and not TLS.dual


def setitem(self: Any, index: Any, value: Any) -> None:
    """t[index] = value."""
    if OVERRIDES:
        done = dispatch(setitem, (self, index, value), {})
        if done is not NotImplemented:
            return
    if _in_place(self, index, value):
        check_in_place(value, "__setitem__")
        bump(self)
        return
    if _set_part(self, index, value):
        return
    if not isinstance(value, Tensor):
        value = assigned(value, self)
    if index is False:
        return
    if index is True:  # alone it is a dimension; among others an index
        index = None
    if isinstance(index, list):
        index = list_index(index)
    if _fill_masked(self, index, value):
        return
    one_value = value.numel() == 1 if isinstance(value, Tensor) else True
    if one_value and _one_mask(index, dtypes.uint8):
        raise RuntimeError(
            "masked_fill_ only supports boolean masks, but got mask with dtype torch.uint8"
        )
    fills = one_value and _one_mask(index)
    check = not (isinstance(value, Tensor) and fills)

    def before() -> None:
        check_in_place(self, "__setitem__", False)
        if check and isinstance(index, Tensor):
            check_overlap(self, (value,), "__setitem__", False)

    def place(v: Any, advanced: Any) -> Any:
        """Where the value goes, and the value: what can be wrong with them, in PyTorch's order."""
        check_in_place(v, "__setitem__", False)
        if check and isinstance(value, Tensor):
            check_overlap(v, (_stripped(value),), "__setitem__", False)
        check_overlap(v, index if type(index) is tuple else (index,), "__setitem__", fills)
        table, p = table_of(advanced, v.node.shape)
        want = ix._index_shape(p, v.node)
        if check and isinstance(value, Tensor) and value.node.dtype is not v.node.dtype:
            fit(value, want)
            raise RuntimeError(
                f"Index put requires the source and destination dtypes match, got {v.dtype} for "
                f"the destination and {value.dtype} for the source."
            )
        return table, p, fit(value_like(value, v), want)

    v, advanced = parse(self, index, before, place)
    if advanced is None:
        check_in_place(v, "__setitem__")
        _copy_into(v, value, "__setitem__")
        return
    table, p, new = place(v, advanced)
    saved_by(v if v.requires_grad else new, table, *(index if type(index) is tuple else (index,)))
    write_indexed(v, record(ix.INDEX_PUT, (fresh(v), table, new), p))


def _fill_masked(t: Any, mask: Any, value: Any) -> bool:
    """Write a number where a mask is true, without looking for where that is; whether that was
    done. What has a history is left to the operation that PyTorch's history names."""
    if not isinstance(mask, Tensor) or mask.node.dtype is not dtypes.bool:
        return False
    shape, rank = t.node.shape, len(mask.node.shape)
    if not rank or mask.node.shape != shape[:rank]:
        return False
    if isinstance(value, Tensor):
        if value.node.shape or value.node.dtype.is_complex:
            return False
    elif value.__class__ not in (int, float, bool):
        return False
    for x in (t, mask, value):
        if isinstance(x, Tensor):
            n = x.node
            if n.op.__class__ is Other or n.op is META or n.op is STALE or n.rg or x._leaf_rg:
                return False
    if mask.node.device is not t.node.device or TLS.dual:
        return False
    check_in_place(t, "__setitem__", False)
    check_overlap(t, (mask,), "__setitem__")
    if rank < len(shape):
        mask = mask.reshape((*shape[:rank], *[1] * (len(shape) - rank)))
    new = record(pw.WHERE, (mask, value_like(value, t), t))
    write_indexed(t, mv.in_layout(new, like_strides(t.node)))
    return True


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


def _one_mask(index: Any, dtype: Any = dtypes.bool) -> bool:
    """Whether an index has one mask and nothing else that picks elements."""
    items = [
        i
        for i in (index if isinstance(index, tuple) else (index,))
        if not (i is None or i is Ellipsis or isinstance(i, (slice, int)) or _is_number(i))
    ]
    return (
        len(items) == 1
        and isinstance(items[0], Tensor)
        and items[0].dtype is dtype
        and items[0].ndim > 0
    )


def fit(t: Any, shape: tuple[int, ...]) -> Any:
    """A value in the shape that it is to fill; RuntimeError where it does not fit."""
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
        if source._storage is v._storage is not None:
            if source.node.shape != n.shape:  # a view is taken: of size 1 strides may be others
                source = fit(_stripped(source.reshape(source.node.shape)), n.shape)
            check_overlap(v, (source,), name)
    new = fit(value_like(value, v), n.shape)
    _write_copy(v, new)


def _write_copy(v: Any, new: Any) -> None:
    # The copy is v's own: `new` itself must not count as living in v's memory.
    if v.requires_grad and TLS.r.grad:
        write(v, record(pw.COPY, (fresh(v), new)))
    else:
        write(v, record(mv.CONTIGUOUS if new.node.strides else mv.SELF, (new,), 0))


setitem.__name__ = "__setitem__"  # as it is called in `__torch_function__`
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
            forbidden((self, src), True)
            raise RuntimeError(f"copy_: {error}") from None
    _write_copy(self, t)
    return self


METHODS["copy_"] = METHODS.pop("copy")
METHODS["copy_"].__name__ = METHODS["copy_"].__qualname__ = "copy_"  # as it is offered


def _fill(self: Any, value: Any) -> Any:
    """Set all elements, in place, to a number or to the value of a 0-d tensor."""
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
    if value.__class__ is complex:
        value = real_number(value, n.dtype)
    if value or value.__class__ not in dtypes.OF_PYTHON:
        dtypes.check_fits(value, n.dtype, math.prod(n.shape))
    new = (
        record(pw.FILL, (fresh(self),), (), (value,))
        if self.requires_grad and TLS.r.grad
        else record(FULL, (), full_on(n.shape, n.dtype, n.device), (value,))
    )
    write(self, new)
    return self


METHODS["fill_"] = _fill


def zero_(self: Any) -> Any:
    """Fill a tensor with zeros."""
    return _fill(self, 0)


METHODS["zero_"] = zero_


@api(method=False)
def fill(input: Any, value: Any) -> Any:
    """A tensor like this one, filled with a value."""
    return _fill(input.clone(), value)


@api
def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """input with input[indices] = values (or += with accumulate)."""
    items = _index_tensors(input, indices)
    if not accumulate and _fills(items, values):
        out = input.clone()
        out[_wide(items[0], out)] = values
        return out
    # Numbers are indices too, not views; a mask without dimensions picks nothing out of any.
    picks = [i if i.ndim else array_of(i) for i in items if i.ndim or i.dtype not in MASKS]
    return put_at(input, tuple(picks), values, accumulate)


def put_at(input: Any, index: tuple[Any, ...], values: Any, accumulate: bool) -> Any:
    """A copy of input with values at an index, of which some part is a tensor."""
    v, advanced = parse(input, index, None, functools.partial(_placed, values=values))
    if advanced is None and not input.numel():
        fit(values, input.node.shape)
        return input.clone()
    if advanced is None:
        raise RuntimeError(
            f"index_put: no index has a dimension, for a tensor of shape {list(input.shape)} and "
            f"values of shape {list(values.shape)}"
        )
    table, p, new = _placed(v, advanced, values)
    # Accumulating leaves the gradient of the input alone; PyTorch saves the indices all the same.
    saved_by(v if v.requires_grad else new, table, *index)
    if not accumulate:
        return record(ix.INDEX_PUT, (v, table, new), p)
    out = record(ix.INDEX_ADD, (v, table, new), p)
    return whole(out, "IndexPut", v, table) if v.requires_grad else out


def _index_tensors(input: Any, indices: Any) -> tuple[Any, ...]:
    """The indices of an `index_put`, all of which have to be tensors."""
    if isinstance(indices, Tensor):
        raise TypeError("index_put: argument 'indices' must be tuple of Tensors, not Tensor")
    items = tuple(indices)
    for i in items:
        if not isinstance(i, Tensor):
            raise TypeError(f"index_put: indices must be Tensors, but got {type(i).__name__}")
    if len(items) > input.dim():
        raise IndexError(
            f"index_put: too many indices for tensor of dimension {input.dim()} (got {len(items)})"
        )
    return items


MASKS = (dtypes.bool, dtypes.uint8)


def _fills(items: tuple[Any, ...], values: Any) -> bool:
    """Whether an `index_put` of these is a masked fill, whose value may have another dtype."""
    if len(items) != 1 or items[0].dtype not in MASKS or values.numel() != 1:
        return False
    if items[0].dtype is not dtypes.bool:
        raise RuntimeError(
            f"index_put: one value is put by a boolean mask only, but got one of {items[0].dtype}"
        )
    return True


def _wide(mask: Any, t: Any) -> Any:
    """A mask without dimensions as one of the whole tensor."""
    return mask if mask.ndim else mask.expand(t.node.shape)


def _placed(input: Any, advanced: Any, values: Any) -> Any:
    """Where the values of an `index_put` go, and the values in the shape of what they replace."""
    table, p = table_of(advanced, input.node.shape)
    if values.node.dtype is not input.node.dtype:
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got "
            f"{input.dtype} for the destination and {values.dtype} for the source."
        )
    want = ix._index_shape(p, input.node)
    if len(values.node.shape) > len(want):
        raise RuntimeError(
            f"index_put: shape mismatch: value tensor of shape {list(values.node.shape)} cannot be "
            f"broadcast to indexing result of shape {list(want)}"
        )
    return table, p, fit(values, want)


_put = in_place(index_put.__wrapped__, "index_put_")


def index_put_(self: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """In-place form of `index_put`."""
    if not isinstance(indices, (tuple, list)):
        raise TypeError(
            "index_put_(): argument 'indices' must be tuple of Tensors, not "
            f"{type(indices).__name__}"
        )
    if not isinstance(values, Tensor):
        raise TypeError(
            f"index_put_(): argument 'values' must be Tensor, not {type(values).__name__}"
        )
    if not isinstance(accumulate, bool):
        raise TypeError(
            f"index_put_(): argument 'accumulate' must be bool, not {type(accumulate).__name__}"
        )
    items = _index_tensors(self, indices)
    if not accumulate and _fills(items, values):
        self[_wide(items[0], self)] = (
            values  # a masked fill, whose value may lie in the memory written
        )
        return self
    if accumulate:
        check_distinct(self, "index_put_")
    check_overlap(self, (values, *items), "index_put_", False)
    return _put(self, indices, values, accumulate)


METHODS["index_put_"] = index_put_
