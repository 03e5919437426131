"""Pooling over the last n dimensions of (N, C, *S), n being 1, 2 or 3: the primitives.

A maximum is found by MAX_POOL (values) or by an index primitive (where it is: the flat position
within *S, int64). TAKE and PUT_BACK carry values along such indices and are each other's
derivatives, so the derivatives of a maximum follow, of every order. Of equal elements the first
one counts, in row-major order; a NaN counts as larger than anything, and of several NaN the last.

Parameters are flat tuples of integers, one of each for every dimension:

- MAX_POOL, MAX_INDEX, MAX_PUT: (*kernel, *stride, *padding, *dilation, *L). Windows as in
  `windows.py`; padding never is the maximum.
- ADAPTIVE_INDEX: (*L). Window i of a dimension of size S is floor(i S / L) .. ceil((i + 1) S / L).
- FRACTIONAL_INDEX: (*kernel, *L); a second operand (N, C, n) holds the random numbers in 0 .. 1
  from which the windows' places follow.
- AVG_POOL: (*kernel, *stride, *padding, *L, include_pad, divisor); AVG_SPREAD, its transpose, with
  *S in place of *L and L that of its operand. The divisor is the given one or, where that is 0,
  the number of elements of the window, padding included or not; a window that reaches beyond the
  padding is cut there.
- ADAPTIVE_AVG: (*L), and ADAPTIVE_SPREAD: (*S), its transpose.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from facula import dtypes
from facula.ops import windows
from facula.ops.movement import tied
from facula.ops.registry import Op, widened
from facula.trace.recorder import record

Ints = tuple[int, ...]


# ---- values along indices


def _planes(a: Any) -> Any:
    """Each plane of (N, C, *L) in a row; the sizes are named, for a -1 has no meaning among 0s."""
    return a.reshape(*a.shape[:2], int(np.prod(a.shape[2:])))


def _take(p: Any, s: Any, a: Any, b: Any) -> Any:
    return np.take_along_axis(_planes(b), _planes(a), 2).reshape(a.shape)


def _put_back(p: Any, s: Any, a: Any, b: Any) -> Any:
    planes, size = a.shape[0] * a.shape[1], int(np.prod(p))
    at = _planes(a).reshape(planes, -1 if a.size else 0) + np.arange(planes)[:, None] * size
    at = at.reshape(-1)
    if b.dtype.kind == "f":
        sums = np.bincount(at, b.reshape(-1), planes * size).astype(b.dtype)
    else:
        sums = np.zeros(planes * size, b.dtype)
        np.add.at(sums, at, b.reshape(-1))
    return sums.reshape(*a.shape[:2], *p)


# The first operand is the indices (N, C, *L).
TAKE: Op = Op(
    "pool_take",
    lambda p, st, a, b: (a.shape, b.dtype, None, 0),
    _take,
    (None, lambda g, a, bn, z: tied(record(PUT_BACK, (a, g), bn.shape[2:]), z)),
)
PUT_BACK: Op = Op(
    "pool_put",
    lambda p, st, a, b: ((*a.shape[:2], *p), b.dtype, None, 0),
    widened(_put_back),
    (None, lambda g, a: record(TAKE, (a, g))),
)


# ---- maxima


def _least(d: Any) -> Any:
    if d.kind == "f" or d.kind == "V":
        return -np.inf
    return False if d.kind == "b" else np.iinfo(d).min


def _along(x: Any, dim: int, k: int, stride: int, dilation: int, out: int) -> Any:
    """Element k of every window along one dimension of a padded array."""
    at = k * dilation
    return x[(slice(None),) * dim + (slice(at, at + stride * (out - 1) + 1, stride),)]


def _max_pool(p: Any, s: Any, a: Any) -> Any:
    kernel, stride, padding, dilation, out = windows.split(p, 5)
    x = windows.padded(a, padding, windows.reach(kernel, stride, dilation, out), _least(a.dtype))
    # The maximum over a box is that of maxima along its sides. Of equal zeros `np.maximum` gives
    # its second operand: the first in the window.
    for i in reversed(range(len(kernel))):
        best = _along(x, 2 + i, 0, stride[i], dilation[i], out[i])
        if kernel[i] > 1:
            best = np.maximum(_along(x, 2 + i, 1, stride[i], dilation[i], out[i]), best)
        for k in range(2, kernel[i]):
            np.maximum(_along(x, 2 + i, k, stride[i], dilation[i], out[i]), best, out=best)
        x = best
    return np.ascontiguousarray(x)


def _search(candidates: Any, floating: bool) -> tuple[Any, Any]:
    """The maximum of arrays that come with indices, by the rule for ties and NaN."""
    best, at = next(candidates)
    for value, index in candidates:
        better = value > best
        if floating:
            better |= value != value
        best, at = np.where(better, value, best), np.where(better, index, at)
    return best, at


def _max_index(p: Any, s: Any, a: Any) -> Any:
    kernel, stride, padding, dilation, out = windows.split(p, 5)
    size = a.shape[2:]
    need = windows.reach(kernel, stride, dilation, out)
    x = windows.padded(a, padding, need, _least(a.dtype))
    flat = np.arange(int(np.prod(size)), dtype=np.int64).reshape(1, 1, *size)
    # Where a window holds nothing but minus infinities, its first element counts; not the padding.
    at = _padded_index(flat, padding, x.shape[2:])
    for i in range(len(kernel) - 1, -1, -1):
        settings = (stride[i], dilation[i], out[i])
        steps = range(kernel[i])
        x, at = _search(
            ((_along(x, 2 + i, k, *settings), _along(at, 2 + i, k, *settings)) for k in steps),
            a.dtype.kind in "fV",
        )
    return np.ascontiguousarray(np.broadcast_to(at, x.shape))


def _padded_index(flat: Any, padding: Ints, total: Ints) -> Any:
    """Indices of the nearest elements, for every place of the padded array."""
    for i, (before, n) in enumerate(zip(padding, total)):
        size = flat.shape[2 + i]
        if before or n != size:
            flat = flat.take(np.clip(np.arange(n) - before, 0, size - 1), 2 + i)
    return flat


def _index_infer(p: Any, st: Any, a: Any, *rest: Any) -> Any:
    return (*a.shape[:2], *p[-(len(a.shape) - 2) :]), dtypes.int64, None, 0


MAX_INDEX: Op = Op("max_pool_index", _index_infer, widened(_max_index))


def _max_put(p: Any, s: Any, a: Any, b: Any) -> Any:
    kernel, stride, padding, dilation, out = windows.split(p, 5)
    meet = any([d * (k - 1) >= t for k, t, d in zip(kernel, stride, dilation)])
    if any(padding) or meet or a.dtype.kind != "f":
        return _put_back(a.shape[2:], s, _max_index(p, s, a), b)
    best = _max_pool(p, s, a)
    if np.isnan(best).any():
        return _put_back(a.shape[2:], s, _max_index(p, s, a), b)
    # Windows that don't meet: each gives its gradient to the first of its elements that is largest.
    need = windows.reach(kernel, stride, dilation, out)
    x = windows.padded(a, padding, need, _least(a.dtype))
    made = np.zeros(x.shape, b.dtype)
    b = b + 0  # no negative zeros, as in a sum
    left: Any = None
    for _, index in windows.taps(kernel, stride, dilation, out):
        hit = x[index] == best
        if left is None:
            left = ~hit
        else:
            hit &= left
            left &= ~hit
        np.copyto(made[index], b, where=hit)
    return windows.crop(made, padding, a.shape[2:])


# MAX_INDEX and PUT_BACK in one: the gradient b of a maximum, where the maximum of a was found.
MAX_PUT: Op = Op(
    "max_pool_put",
    lambda p, st, a, b: (a.shape, b.dtype, None, 0),
    widened(_max_put),
    (None, lambda g, a, p: record(TAKE, (record(MAX_INDEX, (a,), p), g))),
)
MAX_POOL: Op = Op(
    "max_pool",
    lambda p, st, a: ((*a.shape[:2], *windows.split(p, 5)[4]), a.dtype, None, 0),
    widened(_max_pool),
    (lambda g, a, p, z: tied(record(MAX_PUT, (a, g), p), z),),
)


def bounds(size: int, out: int) -> tuple[Any, Any]:
    """Where the windows of adaptive pooling begin and end."""
    i = np.arange(out)
    return i * size // out, -((-(i + 1) * size) // out)


def _adaptive_index(p: Any, s: Any, a: Any) -> Any:
    size = a.shape[2:]
    x, at = a, np.arange(int(np.prod(size)), dtype=np.int64).reshape(1, 1, *size)
    for i in range(len(p) - 1, -1, -1):
        first, end = bounds(size[i], p[i])
        longest = int((end - first).max()) if p[i] else 1
        # A shorter window sees its last element again, which changes nothing.
        picks = [np.minimum(first + k, end - 1) for k in range(longest)]
        x, at = _search(
            ((x.take(j, 2 + i), at.take(j, 2 + i)) for j in picks), a.dtype.kind in "fV"
        )
    return np.ascontiguousarray(np.broadcast_to(at, x.shape))


ADAPTIVE_INDEX: Op = Op("adaptive_max_index", _index_infer, widened(_adaptive_index))


def _fractional_index(p: Any, s: Any, a: Any, b: Any) -> Any:
    n = len(p) // 2
    kernel, out, size = p[:n], p[n:], a.shape[2:]
    flat = _planes(a)
    places = []
    # The draws belong to the dimensions from the last to the first where there are two of them.
    order = (1, 0) if n == 2 else (0, 1, 2)
    for i in range(n):
        u = b[:, :, order[i], None]
        places.append(_interval(u, size[i], out[i], kernel[i]))
    best: list[tuple[Any, Any]] = []
    for at in product(*[range(k) for k in kernel]):
        index: Any = 0
        for i in range(n):
            shape = [1] * n
            shape[i] = out[i]
            index = index * size[i] + (places[i] + at[i]).reshape(*a.shape[:2], *shape)
        value = np.take_along_axis(flat, _planes(index), 2).reshape(index.shape)
        best = [_search(iter([*best, (value, index)]), a.dtype.kind in "fV")]
    return best[0][1].astype(np.int64)


def _interval(u: Any, size: int, out: int, kernel: int) -> Any:
    """Where the windows begin: nearly equal steps from a random phase, the last at the end."""
    last = size - kernel
    i = np.arange(out)
    if out == 1:
        return np.full((*u.shape[:2], 1), last, np.int64)
    step = u.dtype.type(last / (out - 1))
    starts = ((i.astype(u.dtype) + u) * step).astype(np.int64) - (u * step).astype(np.int64)
    starts[..., -1] = last
    return starts


FRACTIONAL_INDEX: Op = Op("fractional_max_index", _index_infer, widened(_fractional_index))


# ---- means


def _divisors(size: Ints, kernel: Ints, stride: Ints, padding: Ints, out: Ints, pad: int) -> Any:
    """The number of elements of every window, as an array of shape L."""
    counts: Any = np.ones((), np.float64)
    for s, k, t, p, n in zip(size, kernel, stride, padding, out):
        first = np.arange(n) * t - p
        end = np.minimum(first + k, s + p)
        if not pad:
            first, end = np.maximum(first, 0), np.minimum(end, s)
        counts = counts[..., None] * (end - first)
    return np.maximum(counts, 1)  # an empty window sums to zero


def _divided(x: Any, size: Ints, settings: list[Ints], out: Ints, pad: int, divisor: int) -> Any:
    if divisor:
        by = x.dtype.type(divisor)
    else:
        kernel, stride, padding = settings
        by = _divisors(size, kernel, stride, padding, out, pad).astype(x.dtype)
    if x.dtype.kind in "iu":  # integers are divided as C does it
        return np.where((x < 0) != (by < 0), -(np.abs(x) // np.abs(by)), np.abs(x) // np.abs(by))
    return x / by


def _avg_pool(p: Any, s: Any, a: Any) -> Any:
    *settings, out = windows.split(p[:-2], 4)
    kernel, stride, padding = settings
    ones = (1,) * len(out)
    x = windows.padded(a, padding, windows.reach(kernel, stride, ones, out))
    for i in range(len(out) - 1, -1, -1):
        total = _along(x, 2 + i, 0, stride[i], 1, out[i])
        if kernel[i] > 1:
            total = total.copy()
        for k in range(1, kernel[i]):
            total += _along(x, 2 + i, k, stride[i], 1, out[i])
        x = total
    return np.ascontiguousarray(_divided(x, a.shape[2:], settings, out, *p[-2:]))


def _avg_spread(p: Any, s: Any, a: Any) -> Any:
    *settings, size = windows.split(p[:-2], 4)
    kernel, stride, padding = settings
    out = a.shape[2:]
    x = _divided(a, size, settings, out, *p[-2:])
    reach = windows.reach(kernel, stride, (1,) * len(out), out)
    for i in range(len(out)):
        total = max(size[i] + padding[i], reach[i])
        sums = np.zeros((*x.shape[: 2 + i], total, *x.shape[3 + i :]), x.dtype)
        for k in range(kernel[i]):
            _along(sums, 2 + i, k, stride[i], 1, out[i])[...] += x
        x = sums
    return np.ascontiguousarray(windows.crop(x, padding, size))


def _swapped(p: Ints, shape: Ints) -> Ints:
    n = (len(p) - 2) // 4
    return (*p[: 3 * n], *shape[2:], *p[-2:])


def _avg_infer(p: Any, st: Any, a: Any) -> Any:
    return (*a.shape[:2], *windows.split(p[:-2], 4)[3]), a.dtype, None, 0


AVG_POOL: Op = Op(
    "avg_pool",
    _avg_infer,
    widened(_avg_pool),
    (lambda g, an, p, z: tied(record(AVG_SPREAD, (g,), _swapped(p, an.shape)), z),),
)
AVG_POOL.watches = "a"
AVG_SPREAD: Op = Op(
    "avg_pool_spread",
    _avg_infer,
    widened(_avg_spread),
    (lambda g, an, p: record(AVG_POOL, (g,), _swapped(p, an.shape)),),
)


def _sums(x: Any, first: Any, end: Any, dim: int) -> Any:
    """Sums over first[i] .. end[i] along a dimension."""
    edges = np.stack([first, end], 1).reshape(-1)[:-1]
    if end[-1] != x.shape[dim] or x.shape[dim] in edges:
        # Every end must be the index of an element: one more, which is in no sum.
        x = np.concatenate([x, np.zeros_like(x.take([0], dim))], dim)
        edges = np.append(edges, end[-1])
    sums = np.add.reduceat(x, edges, dim)
    return sums[(slice(None),) * dim + (slice(None, None, 2),)]


def _shaped(values: Any, x: Any, dim: int) -> Any:
    return values.astype(x.dtype).reshape([-1 if d == dim else 1 for d in range(x.ndim)])


def _adaptive_avg(p: Any, s: Any, a: Any) -> Any:
    x = a
    for i, out in enumerate(p):
        first, end = bounds(a.shape[2 + i], out)
        if not x.size or not out:
            return np.zeros((*a.shape[:2], *p), a.dtype)
        x = _sums(x, first, end, 2 + i) / _shaped(end - first, x, 2 + i)
    return np.ascontiguousarray(x)


def _adaptive_spread(p: Any, s: Any, a: Any) -> Any:
    x = a
    for i, size in enumerate(p):
        if not x.size:
            return np.zeros((*a.shape[:2], *p), a.dtype)
        first, end = bounds(size, a.shape[2 + i])
        at = np.arange(size)  # which windows an element lies in: a range, for both ends only grow
        x = x / _shaped(end - first, x, 2 + i)
        x = _sums(
            x,
            np.searchsorted(end, at, side="right"),
            np.searchsorted(first, at, side="right"),
            2 + i,
        )
    return np.ascontiguousarray(x)


def _adaptive_infer(p: Any, st: Any, a: Any) -> Any:
    return (*a.shape[:2], *p), a.dtype, None, 0


ADAPTIVE_AVG: Op = Op(
    "adaptive_avg_pool",
    _adaptive_infer,
    widened(_adaptive_avg),
    (lambda g, an, z: tied(record(ADAPTIVE_SPREAD, (g,), an.shape[2:]), z),),
)
ADAPTIVE_AVG.watches = lambda p: "a" if set(p) != {1} else ""  # else it is a mean
ADAPTIVE_SPREAD: Op = Op(
    "adaptive_avg_spread",
    _adaptive_infer,
    widened(_adaptive_spread),
    (lambda g, an: record(ADAPTIVE_AVG, (g,), an.shape[2:]),),
)
