"""Views by sizes and strides of the memory under a tensor."""

from __future__ import annotations

from typing import Any

from facula.in_place import fills, forbidden
from facula.ops import movement as mv
from facula.ops import pointwise as pw
from facula.ops.promotion import need
from facula.ops.registry import like_strides
from facula.ops.shapes import sizes
from facula.ops.table import FUNCTIONS, api
from facula.sharing import with_bits
from facula.storage import Beyond, group_of, mark, settle_lent
from facula.trace.node import contiguous_strides
from facula.trace.recorder import TLS, record
from facula.unresolved import bits_of
from facula.views import make_view, whole


def checked_strides(base: Any, size: Any, stride: Any, offset: int) -> tuple[Any, Any]:
    """Sizes and strides for as_strided, checked against the memory of a base."""
    shape, strides = sizes((size,)), sizes((stride,))
    if len(shape) != len(strides):
        raise RuntimeError(
            f"as_strided: mismatch in length of strides and shape, got {list(strides)} and "
            f"{list(shape)}"
        )
    if any([n < 0 for n in shape]):
        raise RuntimeError(f"as_strided: negative sizes are not possible, got {list(shape)}")
    if any([st < 0 for st in strides]):
        raise RuntimeError(
            f"as_strided: Negative strides are not supported at the moment, got {list(strides)}"
        )
    if offset < 0:
        raise RuntimeError(f"as_strided: Tensor: invalid storage offset {offset}")
    span = _end(shape, strides, offset)
    if 0 not in shape and span > base.numel():
        step = base.itemsize
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset {offset}, "
            f"and itemsize {step} requiring a storage size of {span * step} are out of bounds for "
            f"storage of size {base.numel() * step}"
        )
    return shape, strides


def _holds(t: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> bool:
    """Whether all positions are among those of a tensor without gaps (or there are none)."""
    if 0 in shape and 0 in t.node.shape:
        return bool(offset >= t._offset)
    if not fills(t.node) or offset < t._offset:
        return False
    return _end(shape, strides, offset) <= t._offset + t.numel()


def _alike(base: Any, t: Any) -> Any:
    """What t is a view of, as elements of its dtype."""
    have, want = base.node.dtype, t.node.dtype
    if have is want:
        return base
    if have.is_complex:
        base = with_bits(base, *bits_of(base))  # what is in memory
    if have.is_complex and have.to_real() is want:
        return FUNCTIONS["view_as_real"](base)
    if have.itemsize == want.itemsize:
        return base.view(want)
    if base.is_contiguous() and base.numel() * have.itemsize % want.itemsize == 0:
        return base.view(-1).view(want)
    raise NotImplementedError(
        f"as_strided of memory beyond a view of {want} of memory of {have} is not in Facula"
    )


def _end(shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> int:
    """The position after the last element."""
    if 0 in shape:
        return offset
    return offset + sum([(n - 1) * st for n, st in zip(shape, strides, strict=True)]) + 1


@api
def as_strided(input: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """A view by sizes and strides of the whole storage."""
    forbidden((input,))
    for name, given in (("size", size), ("stride", stride)):
        if not isinstance(given, (tuple, list)):
            raise TypeError(
                f"as_strided(): argument '{name}' must be tuple of ints, not {type(given).__name__}"
            )
    offset = input._offset if storage_offset is None else storage_offset
    shape, strides = sizes((size,)), sizes((stride,))
    # What is looked at is a part of the input, else of what it is a view of, else of the memory.
    base: Any = input
    inside = True
    if len(shape) == len(strides) and not _holds(input, shape, strides, offset):
        inside = False
        base = None if input._base_t is None else _alike(input._base_t, input)
        if base is None or not _holds(base, shape, strides, offset):
            inner = input._storage is not None and input._chain
            base = _alike(whole(input), input) if inner else input
    (conj, neg), (other, minus) = bits_of(base), bits_of(input)
    base = with_bits(base, conj != other, neg != minus)
    start = base._offset
    shape, strides = checked_strides(base, size, stride, offset - start)
    if not base.is_contiguous():
        steps = base.stride()
        if not fills(base.node):
            raise NotImplementedError("as_strided of a storage with gaps is not in Facula")
        order = sorted(range(len(steps)), key=lambda d: -steps[d])
        base = make_view(base, mv.PERMUTE, tuple(order))  # as it lies in memory
    params: Any = (shape, strides, offset - start)
    n = input.node
    known = n.shape, n.strides or contiguous_strides(n.shape), input._offset - start
    if inside or not (input.requires_grad or group_of(base) is not group_of(input)):
        v = make_view(base, mv.AS_STRIDED, params)
    else:
        v = _beyond(input, base, (params, known, base.node.shape))
    if v._base_t is not None:
        v._base_t = input if input._base_t is None else input._base_t
    v._offset = offset
    v._multi = input._multi
    return v


def _beyond(input: Any, base: Any, how: Any) -> Any:
    """A view of memory around an input that has, or may get, a history, which is the view's: what
    lies beyond the input has no gradient."""
    v = make_view(base, mv.AS_STRIDED, how[0])
    if group_of(base) is not group_of(input):
        v._own = Beyond(v._chain, how)
    else:
        v._hooked = True  # a write through it goes into the history of the base
    if TLS.r.grad and input.requires_grad:
        v.node = record(mv.BEYOND, (input, v), how).node
        TLS.r.add(v)
        if v._counter is not None:
            mark(v)
        settle_lent(v._storage)
    return v


@api
def as_strided_scatter(
    input: Any, src: Any, size: Any, stride: Any, storage_offset: Any = None
) -> Any:
    """A copy of input (laid out as clone would) in which what as_strided would show is src."""
    need("as_strided_scatter", input=input, src=src)
    offset = 0 if storage_offset is None else storage_offset
    shape, strides = checked_strides(input, size, stride, offset)
    if src.node.shape != shape:
        raise RuntimeError(
            f"as_strided_scatter: expected src to have a size equal to the slice of self, got "
            f"{list(src.node.shape)} and {list(shape)}"
        )
    n = input.node
    order = tuple(range(len(n.shape)))
    if n.strides is not None and like_strides(n) == n.strides:
        order = tuple(sorted(order, key=lambda d: -n.strides[d]))
    base = record(mv.CONTIGUOUS, (record(mv.PERMUTE, (input,), order),), 0)
    p = (shape, strides, offset)
    out = record(mv.AS_STRIDED_SCATTER, (base, pw.cast(src, input.dtype)), p)
    return record(mv.PERMUTE, (out,), mv.inverse(order))
