"""Reductions and normalisations over the elements that a mask selects.

Source: https://pytorch.org/docs/stable/masked.html. `mask` is bool and broadcasts to the input;
elements where it is False take no part. What is left where nothing takes part is the operation's
identity, as in PyTorch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula import dtypes
from facula import linalg as _linalg
from facula.errors import honest
from facula.ops import pointwise as pw
from facula.ops.reductions import every
from facula.ops.registry import broadcast
from facula.ops.table import FUNCTIONS
from facula.tensor_base import wrap_dim
from facula.trace.recorder import record

_LOW = ("amax", "argmax", "logsumexp", "softmax", "log_softmax", "logaddexp")


def _identity(name: str, d: Any) -> Any:
    if name in ("sum", "cumsum", "norm", "normalize"):
        return 0
    if name in ("prod", "cumprod"):
        return 1
    if name == "median":
        return math.nan
    low = name in _LOW
    if d.category >= dtypes.FLOAT:
        return -math.inf if low else math.inf
    if d is dtypes.bool:
        return not low
    limits = np.iinfo(d.np)
    return int(limits.min if low else limits.max)


def _masked(name: str, t: Any, mask: Any, fill: Any = None) -> Any:
    """The input with what the mask excludes replaced by the operation's identity."""
    if mask is None:
        return t
    if mask.dtype is not dtypes.bool:
        mask = mask != 0
    shape = t.node.shape
    if len(mask.node.shape) > len(shape):
        raise IndexError(
            f"masked.{name}: mask has {len(mask.node.shape)} dimensions, the input {len(shape)}"
        )
    if broadcast([mask.node.shape, shape], f"masked.{name}") != shape:
        raise RuntimeError(
            f"masked.{name}: mask of shape {list(mask.node.shape)} does not broadcast to the "
            f"input's shape {list(shape)}"
        )
    value = _identity(name, t.dtype) if fill is None else fill
    return record(pw.WHERE, (mask, t, t.new_full((), value)))


def _dims(t: Any, dim: Any) -> list[int]:
    rank = len(t.node.shape)
    if every(dim):
        return list(range(rank))
    given = dim if isinstance(dim, (tuple, list)) else (dim,)
    if not rank:
        for d in given:
            wrap_dim(d, 0)
        return []
    out = [wrap_dim(d, rank) for d in given]
    if len(set(out)) != len(out):
        raise RuntimeError(f"masked: duplicate value in dim={dim}")
    return out


def _dim(t: Any, dim: Any) -> int:
    """The one dimension that is gone along: of several the first, as in PyTorch."""
    return dim if isinstance(dim, int) else _dims(t, dim)[0]


def _wide(t: Any, dtype: Any) -> Any:
    """The type that sums and products are taken in."""
    if dtype is not None:
        return t.to(dtype)
    return t.to(dtypes.int64) if t.dtype.category < dtypes.FLOAT else t


def _as(t: Any, dtype: Any) -> Any:
    return t if dtype is None else t.to(dtype)


def sum(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """The sum."""
    t = _masked("sum", _wide(input, dtype), mask)
    dims = _dims(t, dim)
    return t.sum(dims, keepdim) if dims else t.clone()


def prod(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """The product."""
    t = _masked("prod", _wide(input, dtype), mask)
    if isinstance(dim, (tuple, list)) and not dim:
        return t.clone()  # as in PyTorch, unlike in the other reductions
    for d in sorted(_dims(t, dim), reverse=True):
        t = t.prod(d, keepdim)
    return t


def cumsum(input: Any, dim: Any, *, dtype: Any = None, mask: Any = None) -> Any:
    """Running sums."""
    return _masked("cumsum", input, mask).cumsum(_dim(input, dim), dtype=dtype or input.dtype)


def cumprod(input: Any, dim: Any, *, dtype: Any = None, mask: Any = None) -> Any:
    """Running products."""
    return _masked("cumprod", input, mask).cumprod(_dim(input, dim), dtype=dtype or input.dtype)


def amax(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """The largest element."""
    t = _masked("amax", _as(input, dtype), mask)
    dims = _dims(t, dim)
    return t.amax(dims, keepdim) if dims else t.clone()


def amin(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """The smallest element."""
    t = _masked("amin", _as(input, dtype), mask)
    dims = _dims(t, dim)
    return t.amin(dims, keepdim) if dims else t.clone()


def argmax(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """The position of the largest element, in the input's dtype."""
    t = _as(input, dtype)
    return _masked("argmax", t, mask).argmax(dim, keepdim).to(t.dtype)


def argmin(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """The position of the smallest element, in the input's dtype."""
    t = _as(input, dtype)
    return _masked("argmin", t, mask).argmin(dim, keepdim).to(t.dtype)


def _count(t: Any, dim: Any, keepdim: bool, mask: Any) -> Any:
    """How many elements take part, for each result."""
    ones = t.new_ones(t.node.shape, dtype=dtypes.int64)
    return sum(ones, dim, keepdim=keepdim, mask=mask)


def mean(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """The mean; NaN where nothing takes part."""
    t = _as(input, dtype)
    if t.dtype.category < dtypes.FLOAT:
        raise ValueError(f"masked.mean: expected a floating point or complex dtype, got {t.dtype}")
    return sum(t, dim, keepdim=keepdim, mask=mask) / _count(t, dim, keepdim, mask)


def median(
    input: Any, dim: Any = -1, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """The median; NaN where nothing takes part, ValueError for integers there."""
    t = _as(input, dtype)
    real = t if t.dtype.category >= dtypes.FLOAT else t.to(dtypes.float32)
    out = _masked("median", real, mask).nanmedian(_dim(t, dim), keepdim).values
    if real is not t:
        if bool(out.isnan().any()):
            raise ValueError(
                "masked.median expects no fully masked out rows if dtype is not floating point"
            )
        out = out.to(t.dtype)
    return out


def logsumexp(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """log(sum(exp(input)))."""
    t = _as(input, dtype)
    dims = _dims(t, dim)
    return _masked("logsumexp", t, mask).logsumexp(dims or None, keepdim).to(t.dtype)


def logaddexp(
    input: Any,
    other: Any,
    *,
    dtype: Any = None,
    input_mask: Any = None,
    other_mask: Any = None,
) -> Any:
    """log(exp(input) + exp(other))."""
    a, b = _as(input, dtype), _as(other, dtype)
    return FUNCTIONS["logaddexp"](
        _masked("logaddexp", a, input_mask), _masked("logaddexp", b, other_mask)
    )


def norm(
    input: Any,
    ord: float | None = 2.0,
    dim: Any = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Any:
    """The vector norm of order `ord`."""
    t = _as(input, dtype)
    order = 2.0 if ord is None else float(ord)
    t = _masked("norm", t, mask, math.inf if order < 0 else 0)
    return _linalg.vector_norm(t, order, _dims(t, dim) or None, keepdim)


def normalize(
    input: Any, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None
) -> Any:
    """The input over its norm along a dimension (at least eps)."""
    t = _as(input, dtype)
    n = norm(t, ord, dim, keepdim=True, mask=mask)
    return _masked("normalize", t, mask) / FUNCTIONS["maximum"](n, n.new_full((), eps))


def var(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    *,
    correction: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Any:
    """The variance (divided by n - 1 unless `unbiased` is False)."""
    t = _as(input, dtype)
    if t.dtype.category < dtypes.FLOAT:
        t = t.to(dtypes.get_default_dtype())
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    wide = t.float() if t.dtype.itemsize == 2 else t
    count = _count(wide, dim, True, mask)
    centre = sum(wide, dim, keepdim=True, mask=mask) / count
    d = wide - centre
    square = (d * d.conj_physical()).real if d.dtype.is_complex else d * d
    total = sum(square, dim, keepdim=keepdim, mask=mask)
    left = count.reshape(total.node.shape) - correction
    return (total / left.clamp(min=0)).to(t.dtype)


def std(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    *,
    correction: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Any:
    """The standard deviation."""
    return var(
        input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask
    ).sqrt()


def softmax(input: Any, dim: Any, *, dtype: Any = None, mask: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along a dimension; 0 for what the mask excludes."""
    return _masked("softmax", _as(input, dtype), mask).softmax(_dim(input, dim))


def log_softmax(input: Any, dim: Any, *, dtype: Any = None, mask: Any = None) -> Any:
    """The logarithm of softmax."""
    return _masked("log_softmax", _as(input, dtype), mask).log_softmax(_dim(input, dim))


def softmin(input: Any, dim: Any, *, dtype: Any = None, mask: Any = None) -> Any:
    """softmax of the negated input."""
    return (-_masked("softmin", _as(input, dtype), mask)).softmax(_dim(input, dim))


__all__ = [
    "amax",
    "amin",
    "argmax",
    "argmin",
    "cumprod",
    "cumsum",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "mean",
    "median",
    "norm",
    "normalize",
    "prod",
    "softmax",
    "softmin",
    "std",
    "sum",
    "var",
]


__getattr__ = honest(__name__)
