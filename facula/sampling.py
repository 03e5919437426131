"""What random draws need besides random numbers: dtypes, memory order, ranges, weighted choice.

Sources: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.random_.html,
https://docs.pytorch.org/docs/stable/generated/torch.multinomial.html; P. S. Efraimidis,
P. G. Spirakis, "Weighted random sampling with a reservoir" (2006) for choice without replacement.
"""

from __future__ import annotations

import math
import warnings
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike

    Shape = tuple[int, ...]
    Strides = tuple[int, ...] | None

# Significant bits and the largest value of each floating-point dtype, by name.
FLOATS = {
    "float16": (11, 65504.0),
    "bfloat16": (8, 3.3895313892515355e38),
    "float32": (24, 3.4028234663852886e38),
    "float64": (53, 1.7976931348623157e308),
}
FEW = 64  # weights that are looked at one by one
# NumPy makes the name of a dtype anew each time.
name_of = cache(attrgetter("name"))
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")
UNSIGNED = ("uint16", "uint32", "uint64")


def check_float(op: str, dtype: np.dtype) -> str:
    """The name of a floating-point dtype; NotImplementedError for another one."""
    if name_of(dtype) not in FLOATS:
        raise NotImplementedError(f"{op} is not implemented for {dtype.name}")
    return name_of(dtype)


def require_float(op: str, dtype: DTypeLike) -> np.dtype:
    """The dtype, if it is a floating-point one; RuntimeError for another one."""
    dtype = np.dtype(dtype)
    if name_of(dtype) not in FLOATS:
        raise RuntimeError(f"{op}: expected a floating-point dtype, but got {dtype.name}")
    return dtype


def cast(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values in another dtype; as in PyTorch, 16-bit floats are reached by way of float32."""
    if dtype.itemsize == 2 and name_of(dtype) in FLOATS:
        values = values.astype(np.float32, copy=False)
    return values.astype(dtype, copy=False)


# ---- memory order ------------------------------------------------------------------------------


def contiguous(shape: Shape, strides: Strides) -> bool:
    """Whether these strides, in elements, are those of a contiguous tensor (None says yes)."""
    if strides is None:
        return True
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


def arrange(values: np.ndarray, shape: Shape, strides: Strides) -> np.ndarray:
    """Values drawn in memory order, in the logical order of a tensor with these strides."""
    if contiguous(shape, strides):
        return values.reshape(shape)
    assert strides is not None
    order = sorted(range(len(shape)), key=lambda dim: -strides[dim])
    place = sorted(range(len(shape)), key=order.__getitem__)
    return values.reshape([shape[dim] for dim in order]).transpose(place)


# ---- integer ranges ----------------------------------------------------------------------------


def integer_range(name: str, low: int, high: int | None) -> tuple[int, int]:
    """The first and last integer of ``random_(low, high)`` for a dtype.

    RuntimeError if there is none or the dtype cannot hold them. A bound that a floating-point
    dtype cannot hold moves inwards; UserWarning where the dtype skips integers of the range.
    """
    op = f"random_(from={low}, to={high}) for {name}"
    if high is not None and low >= high:
        raise RuntimeError(f"{op}: expected from < to")
    if name in FLOATS:
        return _float_range(op, name, low, high)
    if name == "bool":
        smallest, largest = 0, 1
    else:
        info = np.iinfo(name)
        # PyTorch's bounds are int64, whatever the dtype.
        smallest, largest = int(info.min), min(int(info.max), 2**63 - 1)
        if high is None and name == "uint64":
            raise RuntimeError(f"{op}: the upper bound is missing")
    last = largest if high is None else high - 1
    if not smallest <= low <= last <= largest:
        raise RuntimeError(f"{op}: {name} holds {smallest} to {largest} only")
    return low, last


def _float_range(op: str, name: str, low: int, high: int | None) -> tuple[int, int]:
    digits, largest = FLOATS[name]
    last = 2**digits if high is None else high - 1
    if low < -largest or last > largest:
        raise RuntimeError(f"{op}: {name} holds {-largest} to {largest} only")
    first = low
    near = _nearest_float(low + 1, digits)
    if near < low:
        first = near + (1 << (abs(low + 1).bit_length() - digits))
    if high is not None:
        near = _nearest_float(last, digits)
        # A bound that rounds to 2**63 overflows in PyTorch and stays as it is.
        if last < near < 2**63:
            last = near - (1 << (abs(last).bit_length() - digits)) - 1
    if first > last or (high is None and first == last):
        raise RuntimeError(f"{op}: {name} holds no two integers of this range")
    for bound in (first, last):
        if abs(bound) > 2**digits:
            warnings.warn(
                f"{op}: {name} holds every integer in [-(2**{digits}), 2**{digits}] only; beyond "
                "it the draw is not uniform over the integers",
                UserWarning,
                stacklevel=5,
            )
    return first, last


def _nearest_float(value: int, digits: int) -> int:
    """An integer rounded to a floating-point dtype, by way of float32 if that is a longer one."""
    if digits < 24:
        value = _nearest(value, 24)
    return _nearest(value, digits)


def _nearest(value: int, digits: int) -> int:
    """An integer rounded to that many binary digits, ties to even."""
    excess = abs(value).bit_length() - digits
    if excess <= 0:
        return value
    quotient, rest = divmod(abs(value), 1 << excess)
    half = 1 << (excess - 1)
    if rest > half or (rest == half and quotient & 1):
        quotient += 1
    return (quotient << excess) * (1 if value > 0 else -1)


# ---- weighted choice ---------------------------------------------------------------------------


def fit(weights: np.ndarray) -> bool:
    """Whether no weight is negative, infinite or NaN, and every row has a positive one."""
    if not weights.size or name_of(weights.dtype) not in FLOATS:
        return False
    if weights.size <= FEW and weights.ndim < 3:
        rows = weights.tolist() if weights.ndim == 2 else [weights.tolist()]
        return all([all([0 <= w < math.inf for w in r]) and max(r) > 0 for r in rows])
    # Read as integers the finite ones are in order, and infinity, NaN and what has a sign follow.
    bits = weights.view(np.dtype(f"u{weights.itemsize}")).max(axis=-1)
    if bits.min() > 0 and bits.max() < np.full(1, np.inf, weights.dtype).view(bits.dtype)[0]:
        return True
    largest = weights.max(axis=-1)  # NaN where there is one; this one lets negative zeros pass
    return bool(weights.min() >= 0 and largest.min() > 0 and largest.max() < np.inf)


def check_weights(weights: np.ndarray, n: int, replacement: bool, known: bool = False) -> None:
    """RuntimeError unless ``n`` indices can be drawn by these weights, `known` to be fit or not."""
    if known and n == 1 and weights.ndim in (1, 2) and weights.size <= 2**24:
        return
    op = f"multinomial of {weights.dtype} weights of shape {weights.shape}, n={n}"
    if weights.ndim not in (1, 2):
        raise RuntimeError(f"{op}: expected 1 or 2 dimensions")
    if name_of(weights.dtype) not in FLOATS:
        raise RuntimeError(f"{op}: expected a floating-point dtype")
    if n <= 0:
        raise RuntimeError(f"{op}: expected n > 0")
    categories = weights.shape[-1]
    if not replacement and n > categories:
        raise RuntimeError(f"{op}: only {categories} to draw without replacement")
    if categories > 2**24:
        raise RuntimeError(f"{op}: at most 2**24 categories")
    if weights.ndim == 2 and weights.shape[0] == 0:
        return
    if categories == 0:
        raise RuntimeError(f"{op}: there is nothing to draw from")
    if known or fit(weights):
        return
    if not ((weights >= 0) & (weights < np.inf)).all():
        raise RuntimeError(f"{op}: some entry is negative, infinite or NaN")
    if not (weights > 0).any(axis=-1).all():
        raise RuntimeError(f"{op}: invalid distribution, the sum of weights is not positive")


def running_sums(weights: np.ndarray) -> np.ndarray:
    """Along the last dimension, one after the other, in the dtype of the weights."""
    return np.add.accumulate(weights, axis=-1, dtype=weights.dtype)


def with_replacement(
    weights: np.ndarray,
    uniforms: np.ndarray,
    sums: Callable[[np.ndarray], np.ndarray] = running_sums,
) -> np.ndarray:
    """For each float64 uniform, the first index whose cumulative weight reaches it.

    ``weights`` (categories,) or (rows, categories); ``uniforms`` (n,) or (rows, n). ``sums`` does
    what ``running_sums`` does, to the bit.
    """
    if weights.dtype.itemsize == 2:
        weights = weights.astype(np.float32)
    # Sequential sums in the dtype of the weights, then normalised: both as in PyTorch.
    with np.errstate(all="ignore"):
        cumulative = sums(weights)
        total = cumulative[..., -1:].copy()
    if weights.ndim == 1:
        with np.errstate(all="ignore"):
            cumulative /= total
        cumulative[-1] = 1
        return np.searchsorted(cumulative, uniforms).astype(np.int64, copy=False)
    # A binary search in all rows at once. Only what it looks at is normalised; the last sum of a
    # row is 1, and so never below.
    left = cumulative.shape[1] - 1
    flat = cumulative.reshape(-1)
    first = np.arange(len(cumulative))[:, None] * (left + 1)
    at = np.repeat(first, uniforms.shape[1], 1)
    with np.errstate(all="ignore"):
        while left:
            half = (left + 1) // 2
            at += half * (flat.take(at + (half - 1)) / total < uniforms)
            left -= half
    return at - first


def largest(weights: np.ndarray, rivals: np.ndarray, n: int) -> np.ndarray:
    """Indices of the ``n`` largest of ``weights / rivals`` in each row, the largest first."""
    with np.errstate(all="ignore"):
        keys = (weights / rivals).astype(np.float32 if weights.dtype.itemsize == 2 else None)
    if n == 1:
        return keys.argmax(axis=-1)[..., None].astype(np.int64, copy=False)
    np.negative(keys, out=keys)
    if keys.ndim == 1 and n * 8 < keys.size:
        # Sort only what can be among the first n.
        candidates = np.flatnonzero(keys <= np.partition(keys, n - 1)[n - 1])
        return candidates[np.argsort(keys[candidates], kind="stable")[:n]]
    return np.argsort(keys, axis=-1, kind="stable")[..., :n].astype(np.int64, copy=False)
