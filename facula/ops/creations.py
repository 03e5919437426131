"""Tensors from nothing: constants, ranges, layouts of memory."""

from __future__ import annotations

import math
import numbers
import operator
import os
from functools import lru_cache
from typing import Any

import numpy as np

from facula import devices, dtypes, meta
from facula.boxmuller import fma32, fma64
from facula.ops.creation import FULL, full_on
from facula.ops.movement import in_layout, strides_in, strides_like
from facula.ops.shapes import sizes
from facula.ops.table import api
from facula.quiet import quietly
from facula.tensor import Tensor
from facula.trace.entry_checks import MOST_DIMENSIONS
from facula.trace.node import laid
from facula.trace.recorder import record
from facula.values import from_array


def finish(t: Any, requires_grad: bool | None, device: Any = None) -> Any:
    where = devices.check(device)
    if where is devices.META:  # what was recorded is never computed
        t = meta.like(t)
    elif device is not None and where is not t.device:
        t = devices.moved(t, where)
    return t.requires_grad_(True) if requires_grad else t


def _room() -> int:
    """More bytes than the machine can give: twice its memory. They are refused at the call, as by
    the allocator that PyTorch asks; a constant takes no memory before somebody reads it."""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return 2 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 1 << 47


_MOST = 2**60  # elements: what has more of them has no size in bytes
_ROOM = _room()  # bytes


def checked_shape(args: tuple[Any, ...], size: Any = None) -> tuple[int, ...]:
    return _allowed(sizes(args if size is None else (size,)))


@lru_cache(4096)
def _allowed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that a tensor can have; raises otherwise."""
    for n in shape:
        if n < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {n}: {list(shape)}"
            )
    if math.prod(shape) > _MOST:
        if max(shape) >= 1 << 63:
            raise TypeError(f"argument 'size' overflows an int64: {list(shape)}")
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(shape)}")
    return shape


def several(name: str, **lists: Any) -> None:
    """TypeError for one size where several are asked for."""
    for argument, x in lists.items():
        if not isinstance(x, (tuple, list)):
            raise TypeError(
                f"{name}(): argument '{argument}' must be tuple of ints, not {type(x).__name__}"
            )


def _full(
    shape: tuple[int, ...],
    value: Any,
    dtype: Any,
    requires_grad: bool | None,
    device: Any,
    empty: bool = False,
) -> Any:
    where = devices.check(device)
    params = _params(shape, dtype, where)
    if empty and where is devices.CPU and len(shape) <= MOST_DIMENSIONS:
        # What is to be filled has memory at once: a parameter, before its first values.
        return finish(from_array(np.zeros(shape, dtype.np)), requires_grad, device)
    if (value and value != 1) or value.__class__ not in dtypes.OF_PYTHON:
        dtypes.check_fits(value, dtype, math.prod(shape))
    t = record(FULL, (), params, (value,))
    return finish(t, requires_grad, device) if requires_grad or device is not None else t


@lru_cache(4096)
def _params(shape: tuple[int, ...], dtype: Any, where: Any) -> tuple[Any, ...]:
    """The parameters of FULL; raises where there is no room for the tensor."""
    n = math.prod(shape) * dtype.itemsize
    if n > _ROOM and where is devices.CPU:
        raise RuntimeError(
            f"can't allocate memory: you tried to allocate {n} bytes for a tensor of shape "
            f"{list(shape)} and dtype {dtype}"
        )
    return full_on(shape, dtype, where)


def _full_like(
    t: Any, value: Any, dtype: Any, requires_grad: bool | None, device: Any, memory_format: Any
) -> Any:
    out = _full(t.node.shape, value, dtype or t.dtype, False, device or t.device)
    if value == 0 and getattr(t.node.op, "name", "") in ("sparse", "compressed"):
        return finish(out.to_sparse(layout=t.layout), requires_grad)
    return finish(in_layout(out, strides_like(t.node, memory_format)), requires_grad)


def _constant(name: str, value: Any) -> None:
    def f(
        *size: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool | None = False,
        layout: Any = None,
        pin_memory: bool | None = False,
        memory_format: Any = None,
        **kw: Any,
    ) -> Any:
        if not size and "size" not in kw:
            raise TypeError(f'{name}() missing 1 required positional argument: "size"')
        shape = checked_shape(size, kw.pop("size", None))
        if memory_format is not None and name != "empty":
            kw["memory_format"] = memory_format
        if kw:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(kw))}'")
        dtype = dtype or dtypes.get_default_dtype()
        if memory_format is not None:
            out = _full(shape, value, dtype, False, device, True)
            return finish(in_layout(out, strides_in(memory_format, shape)), requires_grad)
        if layout is None or str(layout) == "torch.strided":
            return _full(shape, value, dtype, requires_grad, device, name == "empty")
        out = _full(shape, value, dtype, False, device)
        if type(layout).__name__ != "layout":
            raise TypeError(
                f"{name}(): argument 'layout' must be torch.layout, not {type(layout).__name__}"
            )
        if value:
            raise RuntimeError(f"{name}(layout=...) is not implemented for layout {layout}")
        out = out.to_sparse(layout=layout)
        return finish(out, requires_grad)

    def like(
        input: Any,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool | None = False,
        layout: Any = None,
        pin_memory: bool | None = False,
        memory_format: Any = None,
    ) -> Any:
        return _full_like(input, value, dtype, requires_grad, device, memory_format)

    def new(
        self: Any,
        *size: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool | None = False,
        layout: Any = None,
        pin_memory: bool | None = False,
        **kw: Any,
    ) -> Any:
        if not size and "size" not in kw:
            raise TypeError(f'new_{name}() missing 1 required positional argument: "size"')
        shape = checked_shape(size, kw.pop("size", None))
        if kw:
            raise TypeError(f"new_{name}() got an unexpected keyword argument '{next(iter(kw))}'")
        where = device or self.device
        return _full(shape, value, dtype or self.dtype, requires_grad, where)

    f.__name__, like.__name__, new.__name__ = name, name + "_like", "new_" + name
    f.__doc__ = f"A tensor of {name}."
    like.__doc__ = f"A tensor of {name}, shaped like another."
    new.__doc__ = f"A tensor of {name} with this one's dtype."
    api(f, method=False)
    api(like, method=False)
    api(new, function=False)


_constant("zeros", 0)
_constant("ones", 1)
_constant("empty", 0)  # memory that nothing was written to reads as zero


@api(method=False)
def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool | None = False,
    layout: Any = None,
    pin_memory: bool | None = False,
) -> Any:
    """A tensor of one value, of the value's type."""
    several("full", size=size)
    if isinstance(fill_value, Tensor):
        dtype, fill_value = dtype or fill_value.dtype, fill_value.item()
    return _full(
        checked_shape((size,)),
        fill_value,
        dtype or dtypes.scalar_type(fill_value),
        requires_grad,
        device,
    )


@api(method=False)
def full_like(
    input: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool | None = False,
    layout: Any = None,
    pin_memory: bool | None = False,
    memory_format: Any = None,
) -> Any:
    """A tensor of one value, shaped like another."""
    return _full_like(input, fill_value, dtype, requires_grad, device, memory_format)


@api(function=False)
def new_full(
    self: Any,
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool | None = False,
    layout: Any = None,
    pin_memory: bool | None = False,
) -> Any:
    """A tensor of one value with this one's dtype."""
    where = device or self.device
    several("new_full", size=size)
    return _full(checked_shape((size,)), fill_value, dtype or self.dtype, requires_grad, where)


@api(method=False)
def arange(
    *args: Any,
    start: Any = None,
    end: Any = None,
    step: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool | None = False,
    layout: Any = None,
    pin_memory: bool | None = False,
) -> Any:
    """Numbers from start (0) to end, exclusive, in steps of `step` (1)."""
    if len(args) > 3:
        raise TypeError(f"arange() takes a start, an end and a step, but got {len(args)} numbers")
    for x in args:
        if isinstance(x, Tensor) and x.node.shape:
            raise TypeError(f"arange(): bounds must be numbers, not a tensor of shape {x.shape}")
    given = [x.item() if isinstance(x, (Tensor, np.generic)) else x for x in args]
    if len(given) == 1:
        given = [0, *given]
    if len(given) == 2 and end is not None and len(args) == 1:
        given = given[1:]  # arange(start, end=...)
    lo = given[0] if given else (0 if start is None else start)
    hi = given[1] if len(given) > 1 else end
    by = given[2] if len(given) > 2 else (1 if step is None else step)
    if hi is None:
        raise TypeError("arange(): 'end' is missing")
    if any([isinstance(x, complex) for x in (lo, hi, by)]):
        raise RuntimeError(
            f"arange(): a complex number cannot be converted to type double: {lo}, {hi}, {by}"
        )
    if by == 0:
        raise RuntimeError("arange(): step must be nonzero")
    if not (math.isfinite(lo) and math.isfinite(hi)):
        raise RuntimeError(f"arange(): unsupported range: {lo} -> {hi}")
    if (hi - lo) * by < 0:
        raise RuntimeError(
            f"upper bound and lower bound inconsistent with step sign: arange({lo}, {hi}, {by})"
        )
    if dtype is None:
        dtype = (
            dtypes.get_default_dtype()
            if any(isinstance(x, float) for x in (lo, hi, by))
            else dtypes.int64
        )
    size = (hi - lo) / by
    if dtype.category == dtypes.INT:  # the first number and the step are taken in the result's type
        lo, hi, by = int(lo), int(hi), int(by)
        if dtype is dtypes.int64:  # and here what their number is made of, too
            if by == 0:
                raise ValueError("arange(): step must be nonzero")
            size = (hi - lo) / by
    n = max(math.ceil(size), 0)
    wide = np.int64 if dtype.category == dtypes.INT else np.float64
    values = _counted(n, wide)
    if by != 1:
        values *= by
    if lo != 0 or by < 0:  # 0 * -1.0 is -0.0
        values += lo
    if values.dtype != dtype.np:
        values = dtypes.convert(values, dtype.np)
    return finish(from_array(values), requires_grad, device)


_ROW = 4096  # numbers that are made from others by one addition


def _counted(n: int, dtype: Any) -> Any:
    """The numbers 0 to n - 1. Many of them are sums of a row and a column, which takes two thirds
    of the time of `np.arange`."""
    rows = n // _ROW
    if rows < 16:
        return np.arange(n, dtype=dtype)
    out = np.empty(n, dtype)
    row = np.arange(_ROW, dtype=dtype)
    first = np.arange(0, rows * _ROW, _ROW, dtype=dtype)
    np.add(first[:, None], row, out=out[: rows * _ROW].reshape(rows, _ROW))
    out[rows * _ROW :] = np.arange(rows * _ROW, n, dtype=dtype)
    return out


def _ends(name: str, start: Any, end: Any, steps: Any, dtype: Any) -> tuple[Any, Any, Any]:
    """The ends of a range as numbers and its dtype, the number of steps checked."""
    if not isinstance(steps, (int, np.integer)):
        raise TypeError(f"{name}(): argument 'steps' must be int, not {type(steps).__name__}")
    if steps < 0:
        raise RuntimeError(f"{name}(): number of steps must be non-negative, got {steps}")
    for what, x in (("start", start), ("end", end)):
        if isinstance(x, Tensor) and x.node.shape:
            raise RuntimeError(
                f"{name}(): only supports 0-dimensional start and end tensors, but got {what} "
                f"with {len(x.node.shape)} dimension(s)."
            )
        if not isinstance(x, (Tensor, numbers.Number, np.generic)):
            raise TypeError(f"{name}(): argument '{what}' must be Number, not {type(x).__name__}")
    start, end = [x.item() if isinstance(x, Tensor) else x for x in (start, end)]
    if dtype is None:
        return start, end, dtypes.result_default(start, end)
    if not dtype.is_complex and (np.iscomplexobj(start) or np.iscomplexobj(end)):
        raise RuntimeError(
            f"{name}(): inferred dtype {dtypes.result_default(start, end)} can't be safely cast "
            f"to passed dtype {dtype}"
        )
    for x in (start, end):
        dtypes.check_fits(x, dtype)
    return start, end, dtype


@api(method=False)
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool | None = False,
    layout: Any = None,
    pin_memory: bool | None = False,
) -> Any:
    """`steps` numbers at equal distances, both ends included."""
    start, end, d = _ends("linspace", start, end, steps, dtype)
    wide = np.complex128 if d.is_complex else np.float64
    if d.category == dtypes.INT:  # the ends are taken in the result's type
        start, end = int(start), int(end)
    if d.np in (np.float32, np.float64) and 1 < steps < 1 << 24:
        a = _line(d.np.type, start, end, steps)
    else:
        a = dtypes.convert(np.linspace(start, end, steps, dtype=wide), d.np)
    return finish(from_array(a), requires_grad, device)


_PART = 1 << 15


def _line(real: Any, start: float, end: float, steps: int) -> Any:
    """From the start and, in the second half, back from the end, each rounded once."""
    fused = fma32 if real is np.float32 else fma64
    with np.errstate(all="ignore"):
        start, end = real(start), real(end)
        by = float((end - start) / real(steps - 1))
        half = steps // 2
        a = np.empty(steps, real)
        counts = np.arange(min(_PART, steps - half), dtype=real)
        for first, last in ((0, half), (half, steps)):
            for at in range(first, last, _PART):  # what is between stays in the cache
                i = counts[: min(_PART, last - at)]
                if first:
                    part = fused(real(steps - 1 - at) - i, -by, float(end))
                else:
                    part = fused(real(at) + i, by, float(start))
                a[at : at + len(i)] = part
    return a


@api(method=False)
def eye(
    n: int,
    m: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool | None = False,
    layout: Any = None,
    pin_memory: bool | None = False,
) -> Any:
    """The identity matrix."""
    if n < 0 or (m is not None and m < 0):
        raise RuntimeError(f"n must be greater or equal to 0, got {n}")
    return finish(
        from_array(np.eye(n, m, dtype=(dtype or dtypes.get_default_dtype()).np)),
        requires_grad,
        device,
    )


@api(method=False)
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool | None = False,
    layout: Any = None,
    pin_memory: bool | None = False,
) -> Any:
    """base raised to `steps` exponents at equal distances, both ends included."""
    start, end, d = _ends("logspace", start, end, steps, dtype)
    wide = np.complex128 if d.is_complex else np.float64
    if d.category == dtypes.INT:  # the ends are taken in the result's type
        start, end = int(start), int(end)
    exponents = np.linspace(start, end, steps, dtype=wide)
    a = quietly(np.power, np.asarray(base, wide), exponents)
    return finish(from_array(dtypes.convert(a, d.np)), requires_grad, device)


@api(method=False)
def empty_strided(
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool | None = False,
    layout: Any = None,
    pin_memory: bool | None = False,
) -> Any:
    """A tensor of zeros with the given steps through memory, in elements."""
    several("empty_strided", size=size, stride=stride)
    shape, steps = checked_shape((size,)), sizes((stride,))
    if len(shape) != len(steps):
        raise RuntimeError(
            f"empty_strided: mismatch in length of strides and shape: {len(steps)} and {len(shape)}"
        )
    d = (dtype or dtypes.get_default_dtype()).np
    span = sum([(n - 1) * s for n, s in zip(shape, steps, strict=True)]) + 1
    if min(steps, default=0) < 0 or span * d.itemsize > _MOST:
        raise RuntimeError(
            "empty_strided: Storage size calculation overflowed with "
            f"sizes={list(shape)} and strides={list(steps)}"
        )
    buffer = np.zeros(0 if 0 in shape else span, d)
    at = tuple([s * d.itemsize for s in steps])
    return finish(from_array(laid(buffer, shape, at)), requires_grad, device)


@api(function=False)
def new_empty_strided(
    self: Any,
    size: Any,
    stride: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool | None = False,
    layout: Any = None,
    pin_memory: bool | None = False,
) -> Any:
    """empty_strided with this tensor's dtype."""
    return empty_strided.__wrapped__(
        size,
        stride,
        dtype=dtype or self.dtype,
        device=device or self.device,
        requires_grad=requires_grad,
    )


@api(method=False)
def empty_permuted(
    size: Any,
    physical_layout: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool | None = False,
    layout: Any = None,
    pin_memory: bool | None = False,
) -> Any:
    """A tensor of zeros without gaps whose dimensions lie in memory in the given order."""
    several("empty_permuted", size=size, physical_layout=physical_layout)
    shape, order = checked_shape((size,)), sizes((physical_layout,))
    if len(shape) != len(order):
        raise RuntimeError(
            "empty_permuted: Number of dimensions in size does not match the length of the "
            f"physical_layout; i.e. len(size) = {len(shape)} is not equal to "
            f"len(physical_layout) = {len(order)}"
        )
    if sorted(order) != list(range(len(order))):
        raise RuntimeError(
            f"empty_permuted: Duplicate dim not allowed, or out of range: {list(order)}"
        )
    strides, step = [0] * len(shape), 1
    for i in reversed(order):
        strides[i] = step
        step *= shape[i] or 1
    return empty_strided.__wrapped__(
        shape, strides, dtype=dtype, device=device, requires_grad=requires_grad
    )


def _triangle(name: str, indices: Any) -> None:
    def f(
        row: int,
        col: int,
        offset: int = 0,
        *,
        dtype: Any = None,
        device: Any = None,
        layout: Any = None,
        pin_memory: bool | None = False,
    ) -> Any:
        if row < 0 or col < 0:
            raise RuntimeError(f"{name}(): row and col must be non-negative, got {row} and {col}")
        at = np.stack(indices(row, offset, col))
        at = np.ascontiguousarray(at.astype((dtype or dtypes.int64).np))
        return finish(from_array(at), False, device)

    f.__name__ = name
    f.__doc__ = f"Row and column numbers of a matrix's {name[:4]} triangle, in row-major order."
    api(f, method=False)


_triangle("tril_indices", np.tril_indices)
_triangle("triu_indices", np.triu_indices)


@api(method=False)
def vander(x: Any, N: Any = None, increasing: bool = False) -> Any:
    """The powers of a vector's elements as columns, the highest first."""
    if len(x.node.shape) != 1:
        raise RuntimeError(f"vander: x must be a one-dimensional tensor, got {list(x.node.shape)}")
    n = x.numel() if N is None else operator.index(N)
    if n < 0:
        raise RuntimeError(f"vander: N must be non-negative, got {n}")
    from facula.linalg import vander as powers

    columns = powers(x.long() if x.dtype is dtypes.bool else x, N=max(n, 2)).narrow(1, 0, n)
    return columns if increasing else columns.flip(1)
