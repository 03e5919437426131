"""Distinct values and counts on the device, of operations that it has: their number is read.

The shapes of the results are data, so the device is waited for at the call, as for `nonzero`.
"""

from __future__ import annotations

from typing import Any

from facula import dtypes
from facula.ops.table import FUNCTIONS


def _runs(ordered: Any, inverse: bool, counts: bool) -> tuple[Any, Any | None, Any | None]:
    """The first of each run of equal values in a vector, the run of each element, run lengths."""
    cat = FUNCTIONS["cat"]
    n = ordered.numel()
    first = ordered.new_ones(min(n, 1), dtype=dtypes.bool)
    new = cat([first, ordered[1:] != ordered[:-1]])
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


def _flat(name: str, t: Any, dim: Any) -> Any:
    if dim is not None and len(t.shape) != 1:
        raise NotImplementedError(
            f"{name}(): slices of a dimension ({dim}) of a {t.dtype} tensor of shape "
            f"{list(t.shape)} are not compared on cuda; use .cpu() to compare them there"
        )
    return t.detach().reshape(-1)


def unique(t: Any, inverse: bool, counts: bool, dim: Any) -> Any:
    """`torch.unique` of a tensor on the device."""
    flat = _flat("unique", t, dim)
    order = flat.argsort()
    values, place, lengths = _runs(flat[order], inverse, counts)
    if place is not None:
        place = place.new_zeros(place.shape).scatter(0, order, place).reshape(t.shape)
    return _given((values, place, lengths), inverse, counts)


def unique_consecutive(t: Any, inverse: bool, counts: bool, dim: Any) -> Any:
    """`torch.unique_consecutive` of a tensor on the device."""
    values, place, lengths = _runs(_flat("unique_consecutive", t, dim), inverse, counts)
    place = None if place is None else place.reshape(t.shape)
    return _given((values, place, lengths), inverse, counts)


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
