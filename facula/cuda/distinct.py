"""Distinct values and counts on the device, of operations that it has: their number is read.

The shapes of the results are data, so the device is waited for at the call, as for `nonzero`.
"""

from __future__ import annotations

import math
from typing import Any

from facula import dtypes
from facula.ops.table import FUNCTIONS


def _runs(ordered: Any, inverse: bool, counts: bool) -> tuple[Any, Any | None, Any | None]:
    """The first of each run of equal values in a vector, or of equal rows of a matrix, the run of
    each element, run lengths."""
    cat = FUNCTIONS["cat"]
    n = ordered.shape[0]
    first = ordered.new_ones(min(n, 1), dtype=dtypes.bool)
    other = ordered[1:] != ordered[:-1]
    new = cat([first, other if other.ndim == 1 else other.any(1)])
    starts = new.nonzero().reshape(-1).to(ordered.device)
    place = new.to(dtypes.int64).cumsum(0) - 1 if inverse else None
    lengths = cat([starts, starts.new_full((1,), n)]).diff() if counts else None
    return ordered[starts], place, lengths


def _given(parts: Any, inverse: bool, counts: bool) -> Any:
    values, place, lengths = parts
    wanted = [values]
    if inverse:
        wanted.append(place)
    if counts:
        wanted.append(lengths)
    return wanted[0] if len(wanted) == 1 else tuple(wanted)


def _lines(t: Any, dim: Any) -> Any:
    """All elements as a vector, or what lies along a dimension as rows."""
    t = t.detach()
    if dim is None or t.ndim <= 1:
        return t.reshape(-1)
    rows = t.movedim(dim, 0)
    return rows.reshape(rows.shape[0], math.prod(rows.shape[1:]))


def _order(lines: Any) -> Any:
    """The positions of the elements in order; of rows, by their first elements first."""
    if lines.ndim == 1:
        return lines.argsort()
    order = FUNCTIONS["arange"](lines.shape[0], device=lines.device)
    for k in range(lines.shape[1] - 1, -1, -1):  # equal elements stay in the order before
        order = order[lines[:, k][order].argsort(stable=True)]
    return order


def _along(values: Any, t: Any, dim: Any) -> Any:
    """Rows as they lie along a dimension of `t`."""
    if values.ndim == 1:
        return values
    rest = [n for d, n in enumerate(t.shape) if d != dim % t.ndim]
    return values.reshape(values.shape[0], *rest).movedim(0, dim)


def unique(t: Any, inverse: bool, counts: bool, dim: Any) -> Any:
    """`torch.unique` of a tensor on the device."""
    lines = _lines(t, dim)
    order = _order(lines)
    values, place, lengths = _runs(lines[order], inverse, counts)
    if place is not None:
        place = place.new_zeros(place.shape).scatter(0, order, place)
        place = place.reshape(t.shape) if dim is None else place
    return _given((_along(values, t, dim), place, lengths), inverse, counts)


def unique_consecutive(t: Any, inverse: bool, counts: bool, dim: Any) -> Any:
    """`torch.unique_consecutive` of a tensor on the device."""
    values, place, lengths = _runs(_lines(t, dim), inverse, counts)
    if place is not None and dim is None:
        place = place.reshape(t.shape)
    return _given((_along(values, t, dim), place, lengths), inverse, counts)


def bincount(t: Any, weights: Any, minlength: int) -> Any:
    """`torch.bincount` of a vector on the device that holds no negative numbers."""
    length = max(int(t.max()) + 1 if t.numel() else 0, minlength)
    if weights is None:
        weights = t.new_ones(t.shape, dtype=dtypes.int64)
    elif weights.dtype is not dtypes.float32:
        weights = weights.to(dtypes.float64)
    out = weights.new_zeros(length)
    return out.index_add(0, t.to(dtypes.int64), weights.detach()) if t.numel() else out


__all__ = ["bincount", "unique", "unique_consecutive"]
