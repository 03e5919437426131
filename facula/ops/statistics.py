"""Statistics: moments, quantiles, histograms, covariances, and reductions that skip NaN."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula import dtypes
from facula.ops import pointwise as pw
from facula.ops import reduce as rd
from facula.ops.composed import whole
from facula.ops.indexing import GATHER
from facula.ops.indices import known
from facula.ops.promotion import need
from facula.ops.reductions import _dims, _empty, amax, amin, every, mean, std, sum, var
from facula.ops.registry import Op, widened
from facula.ops.table import api
from facula.ops.underived import underived
from facula.return_types import fields
from facula.tensor import Tensor
from facula.tensor_base import wrap_dim
from facula.trace.recorder import record
from facula.values import from_array, realise
from facula.warned import warn

_AMINMAX = fields("aminmax")
_HISTOGRAM = fields("histogram")
_HISTOGRAMDD = fields("histogramdd")


def _with_mean(name: str, spread: Any) -> None:
    def f(
        input: Any,
        dim: Any = None,
        unbiased: Any = None,
        keepdim: bool = False,
        *,
        correction: Any = None,
    ) -> Any:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        s = spread.__wrapped__(input, dim, unbiased, keepdim, correction=correction)
        return s, mean.__wrapped__(input, dim, keepdim)

    f.__name__ = name
    f.__doc__ = f"{name[:3]} and mean."
    api(f, method=False)


_with_mean("var_mean", var)
_with_mean("std_mean", std)


@api
def aminmax(input: Any, *, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest and the largest value, of all or along a dimension."""
    shape = input.node.shape
    if dim is not None:
        d = wrap_dim(dim, len(shape))
        if shape and shape[d] == 0:
            raise IndexError(f"aminmax: Expected reduction dim {d} to have non-zero size.")
    where = () if dim is None else dim
    low, high = amin.__wrapped__(input, where, keepdim), amax.__wrapped__(input, where, keepdim)
    return _AMINMAX((low, high))


def _no_nan(t: Any) -> Any:
    return record(pw.WHERE, (record(pw.ISNAN, (t,)), t.new_zeros(()), t))


@api
def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum over some dimensions, NaN counted as zero."""
    if input.dtype.is_complex:
        raise RuntimeError(f"nansum does not support complex inputs, got {input.dtype}")
    t = _no_nan(input) if input.dtype.category == dtypes.FLOAT else input
    return whole(sum.__wrapped__(t, dim, keepdim, dtype=dtype), "Nansum", input)


@api
def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean over some dimensions of the elements that are not NaN."""
    if input.dtype.category < dtypes.FLOAT:
        raise RuntimeError(
            f"nanmean(): expected input to have floating point dtype, got {input.dtype}"
        )
    count = sum.__wrapped__(~input.isnan(), dim, keepdim)
    total = nansum.__wrapped__(input, dim, keepdim, dtype=dtype)
    return total / count.to(total.dtype)


@api
def count_nonzero(input: Any, dim: Any = None, *more: int) -> Any:
    """How many elements are not zero, over some dimensions."""
    return sum.__wrapped__(input != 0, (dim, *more) if more else dim)


# Quantiles: order, then interpolate between two ranks.
def _quantile(name: str, skip_nan: bool) -> None:
    def f(
        input: Any,
        q: Any,
        dim: Any = None,
        keepdim: bool = False,
        *,
        interpolation: str = "linear",
    ) -> Any:
        need(name, input=input)
        if input.dtype not in (dtypes.float32, dtypes.float64):
            raise RuntimeError(
                f"{name}() input tensor must be either float or double dtype, got {input.dtype}"
            )
        if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
            raise RuntimeError(
                f"{name}() interpolation must be one of linear, lower, higher, midpoint or "
                f"nearest, but got {interpolation}"
            )
        if isinstance(q, Tensor):
            if len(q.node.shape) > 1 or q.dtype is not input.dtype:
                raise RuntimeError(
                    f"{name}() q must be a scalar or 1D tensor of the input's dtype "
                    f"{input.dtype}, got {q.dtype} {list(q.node.shape)}"
                )
            values = realise(q.detach().cpu())._data
        else:
            if not isinstance(q, (int, float, np.number)):
                raise TypeError(
                    f"{name}(): argument 'q' must be float or Tensor, not {type(q).__name__}"
                )
            values = np.asarray(q, input.dtype.np)
            q = from_array(values)
            if input.node.device is not None:
                q = q.to(input.node.device)
        if values.size and not ((values >= 0) & (values <= 1)).all():
            raise RuntimeError(f"{name}() q values must be in the range [0, 1], got {values}")
        if input.numel() == 0:
            raise RuntimeError(f"{name}() input tensor must be non-empty")
        return _ranks(input, q, dim, keepdim, interpolation, skip_nan)

    f.__name__ = name
    f.__doc__ = f"The values below which the fractions `q` of the elements lie ({name})."
    api(f)


def _ranks(t: Any, q: Any, dim: Any, keep: bool, mode: str, skip_nan: bool) -> Any:
    rank = len(t.node.shape)
    if dim is None:
        rows, kept = t.reshape(1, -1), (1,) * rank
    else:
        d = wrap_dim(dim, rank)
        rows = t.movedim(d, -1) if rank else t.reshape(1)
        kept = tuple([1 if i == d else n for i, n in enumerate(t.node.shape)])
    shape = () if dim is None else rows.node.shape[:-1]
    n = rows.node.shape[-1]
    rows = rows.reshape(-1, n)
    order = record(rd.ARGSORT, (rows,), (1, False))
    rows = record(GATHER, (rows, order), 1)
    nans = record(pw.ISNAN, (rows,)).sum(1, keepdim=True)
    last = n - 1 - nans if skip_nan else rows.new_full((1, 1), n - 1).to(dtypes.int64)
    at = q.reshape(1, -1) * last.to(q.dtype)
    at = at.clamp(min=0)
    if not skip_nan:
        at = record(
            pw.WHERE,
            ((nans > 0).expand(rows.node.shape[0], at.node.shape[1]), at.new_full((), n - 1.0), at),
        )
    if mode == "nearest":
        at = at.round()
    elif mode == "lower":
        at = at.floor()
    elif mode == "higher":
        at = at.ceil()
    at = at.expand(rows.node.shape[0], at.node.shape[1])
    low = at.detach().floor()
    below = record(GATHER, (rows, low.to(dtypes.int64)), 1)
    out = below
    if mode in ("linear", "midpoint"):
        above = record(GATHER, (rows, at.detach().ceil().to(dtypes.int64)), 1)
        weight = at - low if mode == "linear" else at.new_full((), 0.5)
        out = below.lerp(above, weight.expand(below.node.shape))
    q_shape = q.node.shape
    out = out.transpose(0, 1).reshape((*q_shape, *(kept if keep else shape)))
    return out


_quantile("quantile", False)
_quantile("nanquantile", True)


# Histograms.
def _histc(p: Any, s: Any, a: Any) -> Any:
    bins, low, high = p
    if low == high and a.size:
        low, high = float(a.min()), float(a.max())
    if low == high:
        low, high = low - 1, high + 1
    x = a.reshape(-1)
    inside = (x >= low) & (x <= high)
    x = (x if inside.all() else x[inside]).astype(np.float64)
    x -= low
    x *= bins / (high - low)
    at = np.minimum(x.astype(np.intp), bins - 1)
    return np.bincount(at, minlength=bins).astype(a.dtype)


HISTC: Op = Op("histc", lambda p, st, a: ((p[0],), a.dtype, None, 0), widened(_histc))


@api
def histc(input: Any, bins: int = 100, min: Any = 0, max: Any = 0) -> Any:
    """How many elements fall into each of `bins` equal parts of [min, max] (the data's range
    where both are equal)."""
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f'"histogram_cpu" not implemented for {input.dtype}')
    if bins <= 0:
        raise RuntimeError(f"histc: bins must be > 0, but got {bins}")
    if max < min:
        raise RuntimeError(f"histc: max must be larger than min, got min={min} and max={max}")
    low, high = float(min), float(max)
    if low == high and input.numel():
        there = known(input)
        low, high = float(there.min()), float(there.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"torch.histc: range of [{low:g}, {high:g}] is not finite")
    return record(HISTC, (input,), (bins, float(min), float(max)))


def _edges(x: Any, bins: int, limits: Any, d: Any) -> Any:
    if limits is not None:
        low, high = float(limits[0]), float(limits[1])
        if low > high:
            raise RuntimeError(f"histogram: max should not be less than min, got {limits}")
    else:
        low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 1.0)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"histogram: the range [{low:g}, {high:g}] is not finite")
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, bins + 1).astype(d)


def _bins(x: Any, e: Any) -> Any:
    """In which bin of these edges each number between the first and the last is."""
    last, width = len(e) - 2, float(e[-1]) - float(e[0])
    if 0 < width < math.inf and len(x) > len(e):
        # As if all were of one width, and mended by one; if that is not enough, they are not.
        at = np.minimum(((x - e[0]) * ((last + 1) / width)).astype(np.intp), last)
        at -= (x < e[at]) & (at > 0)
        at += (x >= e[at + 1]) & (at < last)
        if ((x >= e[at]) & ((x < e[at + 1]) | (at == last))).all():
            return at
    return np.minimum(np.searchsorted(e, x, "right") - 1, last)


def _count(name: str, a: Any, edges: list[Any], weight: Any, density: bool) -> Any:
    """Counts of the rows of a (n, k) in the product of k partitions."""
    w = None if weight is None else weight.reshape(-1)
    if w is not None and len(w) != len(a):
        raise RuntimeError(f"{name}: weight has {len(w)} elements for {len(a)} samples")
    keep = np.ones(len(a), bool)
    for k, e in enumerate(edges):
        keep &= (a[:, k] >= e[0]) & (a[:, k] <= e[-1])
    a = a[keep]
    shape = tuple([len(e) - 1 for e in edges])
    at = np.zeros(len(a), np.intp)
    for k, e in enumerate(edges):
        at = at * shape[k] + _bins(a[:, k], e)
    out = np.bincount(at, None if w is None else w[keep], math.prod(shape))
    out = out.reshape(shape).astype(np.float64)
    if density:
        out = out / out.sum()
        for k, e in enumerate(edges):
            out = out / np.diff(e).reshape([-1 if i == k else 1 for i in range(len(edges))])
    return from_array(out.astype(a.dtype))


def _check_bins(name: str, input: Any, bins: list[Any], weight: Any) -> None:
    """RuntimeError or NotImplementedError for bins, or a dtype, of which nothing is counted."""
    if weight is not None and weight.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}: input tensor and weight tensor should have the same dtype, but got input "
            f"{input.dtype} and weight {weight.dtype}"
        )
    for i, b in enumerate(bins):
        if isinstance(b, Tensor):
            if len(b.node.shape) != 1:
                raise RuntimeError(
                    f"{name}: bins tensor should have one dimension, but got {len(b.node.shape)} "
                    f"dimensions in the bins tensor for dimension {i}"
                )
            if b.dtype is not input.dtype:
                raise RuntimeError(
                    f"{name}: input tensor and bins tensors should have the same dtype, but got "
                    f"input with dtype {input.dtype} and bins for dimension {i} with {b.dtype}"
                )
            if b.numel() < 2:
                raise RuntimeError(
                    f"{name}: bins must be > 0, but got {b.numel()} edges for dimension {i}"
                )
        elif b <= 0:
            raise RuntimeError(f"{name}: bins must be > 0, but got {b} for dimension {i}")
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise NotImplementedError(f'"{name}" not implemented for {input.dtype}')


@api
def histogram(
    input: Any, bins: Any = 100, *, range: Any = None, weight: Any = None, density: bool = False
) -> Any:
    """Counts (or weights, or a density) in bins, and the bins' edges; computed at once."""
    _check_bins("histogram", input, [bins], weight)
    a = realise(input.detach())._data.reshape(-1, 1)
    w = None if weight is None else realise(weight.detach())._data
    if isinstance(bins, Tensor):
        e = realise(bins.detach())._data
    else:
        if range is not None and len(range) != 2:
            raise RuntimeError(f"histogram: range should have 2 elements, got {len(range)}")
        e = _edges(a, bins, range, a.dtype)
    found = _count("histogram", a, [e], w, density), from_array(e)
    return _HISTOGRAM([underived("histogram", t, input, weight) for t in found])


@api(method=False)
def histogramdd(
    input: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False
) -> Any:
    """Counts of points, the last dimension of the input, in bins of every coordinate."""
    if len(input.node.shape) < 2:
        raise RuntimeError(
            "histogramdd: input tensor should have at least 2 dimensions, but got shape "
            f"{list(input.node.shape)}"
        )
    k = input.node.shape[-1]
    a = realise(input.detach())._data.reshape(math.prod(input.node.shape[:-1]), k)
    w = None if weight is None else realise(weight.detach())._data
    given = [bins] * k if isinstance(bins, int) else list(bins)
    if len(given) != k:
        raise RuntimeError(
            f"histogramdd: The size of bins must be equal to the innermost dimension of the "
            f"input, got {len(given)} and {k}"
        )
    _check_bins("histogramdd", input, given, weight)
    edges = []
    for i, b in enumerate(given):
        if isinstance(b, Tensor):
            edges.append(realise(b.detach())._data)
        else:
            limits = None if range is None else range[2 * i : 2 * i + 2]
            edges.append(_edges(a[:, i], b, limits, a.dtype))
    found = _count("histogramdd", a, edges, w, density)
    return _HISTOGRAMDD(
        (
            underived("histogramdd", found, input, weight),
            tuple([underived("histogramdd", from_array(e), input, weight) for e in edges]),
        )
    )


@api
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each number from 0 on occurs in a vector; the length is data, so at once."""
    if input.dtype.category != dtypes.INT:
        raise NotImplementedError(f'"bincount_cpu" not implemented for {input.dtype}')
    away = input.node.device is not None
    a = input.detach() if away else realise(input)._data
    whole = away or a.dtype.kind in "iu"
    if a.ndim != 1 or not whole or (input.numel() and int(a.min()) < 0):
        raise RuntimeError(
            "bincount only supports 1-d non-negative integral inputs, got "
            f"{input.dtype} of shape {list(input.node.shape)}"
        )
    if minlength < 0:
        raise RuntimeError(f"bincount: minlength should be >= 0, got {minlength}")
    if weights is not None and weights.node.shape != input.node.shape:
        raise RuntimeError(
            f"bincount: weights should be 1-d and have the same length as input, got "
            f"{list(weights.node.shape)} and {list(input.node.shape)}"
        )
    if away:
        from facula.cuda import distinct

        return underived("bincount", distinct.bincount(a, weights, minlength), weights)
    if weights is None:
        return from_array(np.bincount(a, minlength=minlength).astype(np.int64))
    w = realise(weights.detach())._data
    out = np.bincount(a, w.astype(np.float64), minlength)
    found = from_array(out.astype(np.float32 if w.dtype == np.float32 else np.float64))
    return underived("bincount", found, weights)


# Covariance.
@api
def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariance matrix of variables (rows) over observations (columns)."""
    if len(input.node.shape) > 2:
        raise RuntimeError(
            "cov(): expected input to have two or fewer dimensions but got an input with "
            f"{len(input.node.shape)} dimensions"
        )
    if input.dtype is dtypes.bool:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = input if len(input.node.shape) == 2 else input.reshape(1, -1)
    n = x.node.shape[1]
    if x.dtype.category < dtypes.FLOAT:
        x = x.to(dtypes.get_default_dtype())
    w = None
    for what, given, kind in (
        ("fweights", fweights, dtypes.INT),
        ("aweights", aweights, dtypes.FLOAT),
    ):
        if given is None:
            continue
        if len(given.node.shape) > 1:
            raise RuntimeError(
                f"cov(): expected {what} to have one or fewer dimensions but got {what} with "
                f"{len(given.node.shape)} dimensions"
            )
        if given.dtype.category != kind:
            raise RuntimeError(
                f"cov(): expected {what} to have "
                f"{'integral' if kind == dtypes.INT else 'floating point'} dtype but got {what} "
                f"with {given.dtype} dtype"
            )
        if given.numel() != n:
            raise RuntimeError(
                f"cov(): expected {what} to have the same numel as there are observations in the "
                f"input but got {given.numel()} != {n}"
            )
        if bool((given.detach() < 0).any()):
            raise RuntimeError(f"cov(): {what} cannot be negative")
        w = given if w is None else w * given
    if w is None:
        total: Any = n
        centred = x - x.mean(1, keepdim=True) if n else x
        weighted = centred
    else:
        w = w.to(x.dtype.to_real()) if w.dtype.category < dtypes.FLOAT else w
        total = w.sum()
        centred = x - (x * w).sum(1, keepdim=True) / total
        weighted = centred * w
    norm: Any = total - correction
    if w is not None and aweights is not None and correction:
        norm = total - correction * ((w * aweights).sum() / total)
    if norm <= 0:
        warn(
            "cov(): degrees of freedom is <= 0. Correction should be strictly less than the number "
            "of observations."
        )
    norm = norm.clamp(min=0) if isinstance(norm, Tensor) else max(norm, 0)
    out = weighted @ centred.transpose(0, 1).conj_physical()
    return (out / norm if isinstance(norm, Tensor) or norm else out * math.inf).squeeze()


@api
def corrcoef(input: Any) -> Any:
    """The correlation coefficients of variables (rows) over observations (columns)."""
    if len(input.node.shape) > 2:
        raise RuntimeError(
            "corrcoef(): expected input to have two or fewer dimensions but got an input with "
            f"{len(input.node.shape)} dimensions"
        )
    c = cov.__wrapped__(input)
    if not c.node.shape:
        return c / c
    d = c.diagonal()
    s = (d.real if d.dtype.is_complex else d).sqrt()
    c = c / s.unsqueeze(1) / s.unsqueeze(0)
    return c if c.dtype.is_complex else c.clamp(-1, 1)


def _hash(p: Any, s: Any, a: Any) -> Any:
    wide = a.astype(np.float64) if a.dtype.kind not in "iub" else a.astype(np.int64)
    return np.asarray(np.bitwise_xor.reduce(wide.view(np.uint64), axis=p[0], keepdims=p[1]))


HASH: Op = Op(
    "hash_tensor",
    lambda p, st, a: (rd.reduced(a.shape, p[0], p[1]), dtypes.uint64, None, 0),
    _hash,
)


@api
def hash_tensor(input: Any, dim: Any = (), *, keepdim: bool = False, mode: int = 0) -> Any:
    """The exclusive or of the elements' 64-bit patterns over some dimensions."""
    if mode != 0:
        raise RuntimeError(f"hash_tensor: mode must be 0 (xor), got {mode}")
    dims = _dims(input, dim)
    _empty("hash_tensor", input, dims, every(dim))
    return record(HASH, (input,), (dims, keepdim))
