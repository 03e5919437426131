"""Functions of the standard that reduce, search, sort and compare sets."""

from __future__ import annotations

import builtins
import math
from typing import Any, NamedTuple

import numpy as np

import facula as torch
from facula.array_api.array import common, lift, standard
from facula.array_api.dtypes import isdtype
from facula.values import from_array


def _axes(x: Any, axis: Any) -> tuple[int, ...]:
    """The dimensions meant, counted from the front; all for None."""
    if axis is None:
        return tuple(range(x.ndim))
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    if builtins.any([not -x.ndim <= a < x.ndim for a in axes]):
        raise IndexError(f"axis {axis} is out of range for shape {tuple(x.shape)}")
    return tuple([a % x.ndim for a in axes])


def _one_by_one(f: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """A reduction that takes one dimension at a time, over several."""
    out = x
    for a in sorted(_axes(x, axis), reverse=True):
        out = f(out, a, keepdims)
    return out.clone() if out is x else out


def _accumulated(x: Any, dtype: Any) -> Any:
    """The dtype of a sum or product."""
    if dtype is not None:
        return dtype
    if isdtype(x.dtype, "unsigned integer"):
        return torch.uint64
    return torch.int64 if isdtype(x.dtype, ("bool", "integral")) else x.dtype


@standard
def all(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether all elements are true."""
    return _one_by_one(torch.all, x.to(torch.bool), axis, keepdims)


@standard
def any(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether any element is true."""
    return _one_by_one(torch.any, x.to(torch.bool), axis, keepdims)


@standard
def sum(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The sum of the elements."""
    d = _accumulated(x, dtype)
    axes = _axes(x, axis)
    return torch.sum(x.to(d), axes, keepdim=keepdims, dtype=d) if axes else x.to(d, copy=True)


@standard
def prod(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The product of the elements."""
    d = _accumulated(x, dtype)
    return _one_by_one(lambda t, a, k: torch.prod(t, a, k, dtype=d), x.to(d), axis, keepdims)


@standard
def max(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest element."""
    axes = _axes(x, axis)
    return torch.amax(x, axes, keepdims) if axes else x.clone()


@standard
def min(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest element."""
    axes = _axes(x, axis)
    return torch.amin(x, axes, keepdims) if axes else x.clone()


@standard
def mean(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean of the elements."""
    axes = _axes(x, axis)
    return torch.mean(x, axes, keepdims) if axes else x.clone()


@standard
def var(x: Any, /, *, axis: Any = None, correction: Any = 0.0, keepdims: bool = False) -> Any:
    """The variance of the elements: squared distances by their number less a correction."""
    axes = _axes(x, axis)
    n = math.prod([x.shape[a] for a in axes])
    d = x - torch.mean(x, axes, True) if axes else x - x
    squares = torch.sum(d * d, axes, keepdims) if axes else d * d
    return squares / builtins.max(n - correction, 0)


@standard
def std(x: Any, /, *, axis: Any = None, correction: Any = 0.0, keepdims: bool = False) -> Any:
    """The square root of the variance."""
    return torch.sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def _cumulative(f: Any, x: Any, axis: Any, dtype: Any, include_initial: bool, first: int) -> Any:
    if axis is None:
        if x.ndim != 1:
            raise ValueError(f"an axis is needed for shape {tuple(x.shape)}")
        axis = 0
    d = _accumulated(x, dtype)
    out = f(x.to(d), axis, dtype=d)
    if not include_initial:
        return out
    shape = list(x.shape)
    shape[axis] = 1
    return torch.cat([torch.full(shape, first, dtype=d), out], axis)


@standard
def cumulative_sum(
    x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """The sums of the elements up to each."""
    return _cumulative(torch.cumsum, x, axis, dtype, include_initial, 0)


@standard
def cumulative_prod(
    x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """The products of the elements up to each."""
    return _cumulative(torch.cumprod, x, axis, dtype, include_initial, 1)


@standard
def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Any:
    """The differences of neighbours."""
    return torch.diff(x, n, axis, prepend, append)


# Searching.
@standard
def argmax(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Where the largest element is."""
    out = torch.argmax(x, axis, keepdims)
    return out.reshape([1] * x.ndim) if axis is None and keepdims else out


@standard
def argmin(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Where the smallest element is."""
    out = torch.argmin(x, axis, keepdims)
    return out.reshape([1] * x.ndim) if axis is None and keepdims else out


@standard
def count_nonzero(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """How many elements are not zero."""
    return sum((x != 0).to(torch.int64), axis=axis, keepdims=keepdims)


def nonzero(x: Any, /) -> Any:
    """The positions of the elements that are not zero, one array for each dimension."""
    if x.ndim == 0:
        raise ValueError("nonzero(): an array with dimensions is needed")
    return tuple([lift(t) for t in torch.nonzero(x, as_tuple=True)])


@standard
def searchsorted(x1: Any, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Any:
    """Where elements would be put into a sorted array."""
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted(): side is 'left' or 'right', not {side!r}")
    a, b = common(x1, x2)
    if sorter is not None:
        a = torch.index_select(a, 0, sorter.to(torch.int64))
    return torch.searchsorted(a, b, side=side)


@standard
def where(condition: Any, x1: Any, x2: Any, /) -> Any:
    """An element of the one array where a condition holds, of the other elsewhere."""
    if isinstance(x1, torch.Tensor) or isinstance(x2, torch.Tensor):
        return torch.where(condition, *common(x1, x2))
    return torch.where(condition, x1, x2)


# Sets: equal values once. NaN is equal to none, so it may appear several times.
class UniqueAll(NamedTuple):
    """What `unique_all` returns."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns."""

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """What `unique_inverse` returns."""

    values: Any
    inverse_indices: Any


@standard
def unique_all(x: Any, /) -> UniqueAll:
    """The values, where each is first, which of them each element is, and how often each is."""
    values, first, inverse, counts = np.unique(
        x.detach().numpy().reshape(-1), True, True, True, equal_nan=False
    )
    return UniqueAll(
        from_array(values),
        from_array(first.astype(np.int64)),
        from_array(inverse.astype(np.int64).reshape(tuple(x.shape))),
        from_array(counts.astype(np.int64)),
    )


@standard
def unique_counts(x: Any, /) -> UniqueCounts:
    """The values and how often each is there."""
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


@standard
def unique_inverse(x: Any, /) -> UniqueInverse:
    """The values and which of them each element is."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


@standard
def unique_values(x: Any, /) -> Any:
    """The values."""
    return unique_all(x).values


@standard
def isin(x1: Any, x2: Any, /, *, invert: bool = False) -> Any:
    """Whether each element of the first array is in the second."""
    a, b = common(x1, x2)
    return torch.isin(a, b, invert=invert)


# Sorting.
@standard
def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The positions of the elements in ascending (or descending) order."""
    return torch.sort(x, dim=axis, descending=descending, stable=stable)[1]


@standard
def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The elements in ascending (or descending) order."""
    return torch.sort(x, dim=axis, descending=descending, stable=stable)[0]
