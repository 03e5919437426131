"""Tensors of random values for tests."""

from __future__ import annotations

import math
from typing import Any

import facula

__all__ = ["make_tensor"]


def make_tensor(
    *shape: Any,
    dtype: Any,
    device: Any,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Any:
    """Values uniform in [low, high), by default [-9, 9) (unsigned: [0, 10), bool: [0, 2)).

    Source: https://pytorch.org/docs/stable/testing.html#torch.testing.make_tensor
    """
    if not isinstance(dtype, facula.dtype):
        raise TypeError(
            f"The requested dtype '{dtype}' is not supported by torch.testing.make_tensor()."
        )
    if len(shape) == 1 and not isinstance(shape[0], int):
        (shape,) = shape
    shape = tuple(shape)
    if noncontiguous and memory_format is not None:
        raise ValueError(
            f"The parameters `noncontiguous` and `memory_format` are mutually exclusive, but got "
            f"noncontiguous={noncontiguous} and memory_format={memory_format}"
        )
    if requires_grad and dtype.category < 2:
        raise ValueError(
            "`requires_grad=True` is not supported for boolean and integral dtypes, but got "
            f"{dtype}"
        )
    lowest, highest = _bounds(dtype)
    low = lowest if low is None else low
    high = highest if high is None else high
    if math.isnan(low) or math.isnan(high):
        raise ValueError(f"`low` and `high` cannot be NaN, but got low={low} and high={high}")
    if low >= high:
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    sizes = (*shape[:-1], 2 * shape[-1]) if noncontiguous and shape else shape
    if dtype is facula.bool:
        out = facula.randint(0, 2, sizes, device=device).to(facula.bool)
    elif dtype.category < 2:
        out = facula.randint(math.floor(low), math.ceil(high), sizes, device=device).to(dtype)
    elif dtype.is_complex:
        parts = facula.empty((*sizes, 2), dtype=dtype.to_real())
        out = facula.view_as_complex(_uniform(parts, low, high))
    else:
        out = _uniform(facula.empty(sizes, dtype=dtype), low, high)
    if noncontiguous and shape:
        out = out[..., ::2]
    if exclude_zero:
        least = 1 if dtype.category < 2 else facula.finfo(dtype).tiny
        out = out.masked_fill(out == 0, least)
    if memory_format is not None:
        out = out.clone(memory_format=memory_format)
    return out.requires_grad_() if requires_grad else out


def _uniform(out: Any, low: float, high: float) -> Any:
    """Fill with uniform numbers, also between bounds further apart than a number can be."""
    largest = facula.finfo(out.dtype).max
    low, high = max(low, -largest), min(high, largest)
    if high - low > largest:
        return out.uniform_(low / 2, high / 2).mul_(2)
    return out.uniform_(low, high)


def _bounds(dtype: Any) -> tuple[float, float]:
    if dtype is facula.bool:
        return 0, 2
    if dtype.category < 2 and not dtype.is_signed:
        return 0, 10
    return (-9, 10) if dtype.category < 2 else (-9, 9)
