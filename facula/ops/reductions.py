"""Reductions, scans and ordering, on their primitives."""

from __future__ import annotations

import math
from typing import Any

from facula import dtypes
from facula.ops import pointwise as pw
from facula.ops import reduce as rd
from facula.ops.comparison import truth
from facula.ops.composed import whole
from facula.ops.indexing import GATHER, only
from facula.ops.movement import PERMUTE, RESHAPE, in_layout, shaped
from facula.ops.promotion import need, real_only
from facula.ops.shapes import dims_of
from facula.ops.table import FUNCTIONS, api
from facula.return_types import fields
from facula.tensor import Tensor
from facula.tensor_base import whole_dim, wrap_dim
from facula.trace.recorder import TLS, record
from facula.trace.spans import pure, run
from facula.warned import warn


def every(dim: Any) -> bool:
    """Whether a reduction's setting means all dimensions: None, or an empty tuple or list."""
    return dim is None or (isinstance(dim, (tuple, list)) and not dim)


def _dims(t: Any, dim: Any) -> tuple[int, ...]:
    if dim.__class__ is not int and every(dim):
        return tuple(range(len(t.node.shape)))
    return dims_of(dim, len(t.node.shape)) if t.node.shape else (dims_of(dim, 0) and ())


def _wide(t: Any, dtype: Any) -> Any:
    if dtype is not None:
        if TLS.r.grad and t.requires_grad and dtype.category < dtypes.FLOAT:
            raise RuntimeError(
                f"a result of {dtype} has no gradients, but the operand ({t.dtype}, shape "
                f"{list(t.shape)}) requires one: detach() it first"
            )
        return pw.cast(t, dtype)
    return pw.cast(t, dtypes.int64) if t.node.dtype.category < dtypes.FLOAT else t


@api(steady=True)
def sum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum over some dimensions; integers and bools are summed as int64."""
    return record(rd.SUM, (_wide(input, dtype),), (_dims(input, dim), keepdim))


@api(steady=True)
def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The arithmetic mean over some dimensions."""
    t = input if dtype is None else pw.cast(input, dtype)
    if t.node.dtype.category < dtypes.FLOAT:
        raise RuntimeError(
            f"mean(): could not infer output dtype. Input dtype must be either a "
            f"floating point or complex dtype. Got: {t.node.dtype}"
        )
    dims = _dims(t, dim)
    n = math.prod([t.node.shape[d] for d in dims])
    s = record(rd.SUM, (t,), (dims, keepdim, True))
    if n:
        return record(pw.OVER, (s,), (), (n,))
    # Divided is what is spread over the elements, so that of none even a second derivative is 0.
    return s + (complex(math.nan, math.nan) if t.node.dtype.is_complex else math.nan)


@api(steady=True)
def prod(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The product over one dimension or all."""
    t = _wide(input, dtype)
    if dim is None:
        need_dim("prod", keepdim)
        if t.node.strides is not None:  # in the order in which they lie: no copy
            order = sorted(range(len(t.node.shape)), key=lambda d: -t.node.strides[d])
            t = record(PERMUTE, (t,), tuple(order))
        t, dim = shaped(t, (math.prod(t.node.shape),)), 0
    d = wrap_dim(dim, len(t.node.shape))
    if not t.node.shape:
        return t.clone()
    return record(rd.PROD, (t,), ((d,), keepdim))


@api(steady=True)
def var(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> Any:
    """The variance, divided by n - correction (Bessel's by default)."""
    value, how = _variance("var", input, dim, unbiased, keepdim, correction)
    return record(rd.VAR, (pw.cast(value, input.node.dtype.to_real()), input), how)


def _variance(
    name: str, input: Any, dim: Any, unbiased: Any, keepdim: bool, correction: Any
) -> Any:
    """The value, which has no history, in float32 at least; the parameters of VAR and STD."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    if input.dtype.category < dtypes.FLOAT:
        raise RuntimeError("std and var only support floating point and complex dtypes")
    dims = _dims(input, dim)
    n = math.prod([input.node.shape[d] for d in dims])
    x = _precise(input.detach())
    d = x - mean.__wrapped__(x, dims if dims else None, True)
    sq = (d * d.conj_physical()).real if d.dtype.is_complex else d * d
    s = record(rd.SUM, (sq,), (dims, keepdim))
    left = n - correction
    if left <= 0:
        warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than "
            "the reduction factor (input numel divided by output numel)."
        )
    if left > 0:
        value = s / left
    elif s.numel() and left == 0 and n <= 1:
        value = s * math.nan
    else:
        value = s / max(left, 0.0)
    return value, (dims, keepdim, left)


def select(c: Any, a: Any, b: Any) -> Any:
    """One of two tensors for each element."""
    return record(pw.WHERE, (c, a, b))


@api(steady=True)
def std(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> Any:
    """The standard deviation."""
    value, how = _variance("std", input, dim, unbiased, keepdim, correction)
    return record(rd.STD, (pw.cast(value.sqrt(), input.node.dtype.to_real()), input), how)


def _empty(name: str, t: Any, dims: tuple[int, ...], all_dims: bool = False) -> None:
    if all_dims and 0 in t.node.shape:
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify "
            f"the reduction dim with the 'dim' argument. Shape: {list(t.node.shape)}"
        )
    for d in dims:
        if t.node.shape[d] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")


@api(steady=True)
def amax(input: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The largest value over some dimensions; equal shares of gradient to ties."""
    dims = _dims(input, dim)
    _empty("amax", input, dims, every(dim))
    real_only("amax", input)
    return record(rd.AMAX, (input,), (dims, keepdim))


@api(steady=True)
def amin(input: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The smallest value over some dimensions."""
    dims = _dims(input, dim)
    _empty("amin", input, dims, every(dim))
    real_only("amin", input)
    return record(rd.AMIN, (input,), (dims, keepdim))


def _pick(t: Any, index: Any, dim: int, keep: bool) -> Any:
    """The values at the indices of a reduction."""
    if not t.node.shape:
        return t.clone()
    at = index if keep else index.unsqueeze(dim)
    v = record(GATHER, (t, at), dim)
    return v if keep else v.squeeze(dim)


def need_dim(name: str, keepdim: Any) -> None:
    """TypeError for `keepdim` where no dimension is said, of which there is no such form."""
    if keepdim:
        raise TypeError(f"{name}(): keepdim={keepdim!r} needs 'dim', which is missing")


def _extreme(name: str, all_prim: Any, arg_prim: Any, binary: str) -> None:
    kind = fields(name)

    def f(input: Any, dim: Any = None, keepdim: bool = False, other: Any = None) -> Any:
        need(name, input=input)
        if isinstance(dim, Tensor) or other is not None:
            return FUNCTIONS[binary](input, dim if other is None else other)
        if dim is not None and input.dtype.is_complex:
            wrap_dim(dim, len(input.node.shape))
            raise RuntimeError(f"{name}(): does not support complex input, {input.dtype}")
        real_only(name, input)
        if dim is None:
            need_dim(name, keepdim)
            if input.numel() == 0:
                raise RuntimeError(
                    f"{name}(): Expected reduction dim to be specified for "
                    "input.numel() == 0. Specify the reduction dim with the 'dim' "
                    "argument."
                )
            return record(all_prim, (input,), (tuple(range(len(input.node.shape))), False))
        return run(along, (input,), (whole_dim(dim), keepdim))

    @pure
    def along(tensors: Any, static: Any, numbers: Any) -> Any:
        (input,), (dim, keepdim) = tensors, static
        d = wrap_dim(dim, len(input.node.shape))
        if not input.node.shape:
            return kind((only(input), input.to(dtypes.int64) * 0))
        _empty(name, input, (d,))
        index = record(arg_prim, (input,), ((d,), keepdim))
        return kind((_pick(input, index, d, keepdim), index))

    f.__name__ = name
    f.__doc__ = f"{name} of all elements, along a dimension (values, indices), or of two tensors."
    api(f, steady=True)


_extreme("max", rd.AMAX, rd.ARGMAX, "maximum")
_extreme("min", rd.AMIN, rd.ARGMIN, "minimum")


def _arg(name: str, prim: Any) -> None:
    def f(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if input.dtype is dtypes.bool or input.dtype.is_complex:
            raise RuntimeError(f"{name}(): not implemented for {input.dtype}")
        if dim is None:
            if input.numel() == 0:
                raise IndexError(
                    f"{name}(): Expected reduction dim to be specified for input.numel() == 0."
                )
            flat = input
            if len(input.node.shape) != 1:
                flat = record(RESHAPE, (input,), (input.numel(),))
            out = record(prim, (flat,), ((0,), False))
            return out.reshape((1,) * len(input.node.shape)) if keepdim else out
        d = wrap_dim(dim, len(input.node.shape))
        if not input.node.shape:
            return input.to(dtypes.int64) * 0
        _empty(name, input, (d,))
        return record(prim, (input,), ((d,), keepdim))

    f.__name__ = name
    f.__doc__ = f"The index of the first {name[3:]}imum."
    api(f, steady=True)


_arg("argmax", rd.ARGMAX)
_arg("argmin", rd.ARGMIN)


def _logical(name: str, prim: Any) -> None:
    def f(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
        dims = () if isinstance(dim, (tuple, list)) and not dim else _dims(input, dim)
        out = record(prim, (truth(input),), (dims, keepdim))
        return out.to(dtypes.uint8) if input.dtype is dtypes.uint8 else out

    f.__name__ = name
    f.__doc__ = f"Whether {name} elements are non-zero."
    api(f, steady=True)


_logical("any", rd.ANY)
_logical("all", rd.ALL)


@api(steady=True)
def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """log(sum(exp(input))), without overflow."""
    return run(_logsumexp, (input,), (_dims(input, dim), keepdim))


@pure
def _logsumexp(tensors: Any, static: Any, numbers: Any) -> Any:
    (input,), (dims, keepdim) = tensors, static
    t = input if input.dtype.category >= dtypes.FLOAT else input.to(dtypes.get_default_dtype())
    if 0 in [t.node.shape[d] for d in dims]:
        return whole(t.exp().sum(dims, keepdim).log(), "Logsumexp", input)
    top = t.detach()
    m = record(rd.AMAX, (top.real if top.dtype.is_complex else top,), (dims, True))
    m = FUNCTIONS["where"](m.abs() == math.inf, m.new_zeros(()), m)
    out = record(rd.SUM, ((t - m).exp(),), (dims, True)).log() + m
    return whole(out if keepdim else out.squeeze(dims), "Logsumexp", input)


@api(names=("special_softmax",), steady=True)
def softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along a dimension."""
    return run(_softmax, (input,), (whole_dim(dim), dtype))


@pure
def _softmax(tensors: Any, static: Any, numbers: Any) -> Any:
    (input,), (dim, dtype) = tensors, static
    t = input if dtype is None else pw.cast(input, dtype)
    at = wrap_dim(dim, len(t.node.shape))
    if not t.dtype.is_floating_point:
        raise NotImplementedError(f'"softmax_lastdim_kernel_impl" not implemented for {t.dtype}')
    d = (at,) if t.node.shape else ()
    if 0 in t.node.shape:
        return whole(t.clone(), "Softmax", input)
    x = _precise(t.detach())
    e = (x - record(rd.AMAX, (x,), (d, True))).exp()
    out = in_layout(e / record(rd.SUM, (e,), (d, True)), None)
    return record(rd.SOFTMAX, (pw.cast(out, t.node.dtype), t), (d, True))


def _precise(t: Any) -> Any:
    """16-bit floats as float32: what is made of them is rounded once."""
    low = t.node.dtype is dtypes.float16 or t.node.dtype is dtypes.bfloat16
    return pw.cast(t, dtypes.float32) if low else t


@api(steady=True)
def log_softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """log(softmax(x)), without underflow."""
    return run(_log_softmax, (input,), (whole_dim(dim), dtype))


@pure
def _log_softmax(tensors: Any, static: Any, numbers: Any) -> Any:
    (input,), (dim, dtype) = tensors, static
    t = input if dtype is None else pw.cast(input, dtype)
    at = wrap_dim(dim, len(t.node.shape))
    if not t.dtype.is_floating_point:
        raise NotImplementedError(
            f'"log_softmax_lastdim_kernel_impl" not implemented for {t.dtype}'
        )
    d = (at,) if t.node.shape else ()
    if 0 in t.node.shape:
        return whole(t.clone(), "LogSoftmax", input)
    x = _precise(t)
    s = x - record(rd.AMAX, (x.detach(),), (d, True))
    out = in_layout(s - record(rd.SUM, (s.exp(),), (d, True)).log(), None)
    return whole(pw.cast(out, t.node.dtype), "LogSoftmax", input)


@api
def allclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether |input - other| <= atol + rtol * |other| everywhere."""
    return bool(isclose.__wrapped__(input, other, rtol, atol, equal_nan).all())


@api
def isclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """Where |input - other| <= atol + rtol * |other|."""
    need("isclose", input=input, other=other)
    for what, x in (("rtol", rtol), ("atol", atol)):
        if x < 0:
            raise RuntimeError(f"isclose(): {what} must be greater than or equal to zero, got {x}")
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{input.dtype} did not match {other.dtype}")
    x, y = input, other
    if input.dtype.category < dtypes.FLOAT:
        x, y = [t.to(dtypes.get_default_dtype()) for t in (x, y)]
    close = input == other
    if rtol or atol:
        close = close | (((x - y).abs() <= atol + rtol * y.abs()) & y.isfinite())
    if equal_nan:
        close = close | (input.isnan() & other.isnan())
    return close


@api
def equal(input: Any, other: Any) -> bool:
    """Whether shapes and all values are equal."""
    if input.node.shape != other.node.shape:
        return False
    return bool((input.detach() == other.detach()).all())  # nobody's history is asked for
