"""The steps of which the algorithms' updates consist.

All are written with operators, which is the shortest way into the recorder. In float16 and
bfloat16 that would round every intermediate result, so there they are the operations that compute
in float32 and round once, as PyTorch's updates do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import facula
from facula import Tensor
from facula.values import from_array


def like(p: Tensor, value: float = 0.0) -> Tensor:
    """State of one value, shaped as p. It has its memory at once, where that is simple: then the
    first step is the same program as those after it."""
    n = p.node
    if n.device is not None or n.strides is not None or not isinstance(n.dtype, facula.dtype):
        return facula.full_like(p, value)
    a = np.zeros(n.shape, n.dtype.np)
    if str(value) != "0.0":  # of zeros the system writes none
        a.fill(value)
    return from_array(a)  # type: ignore[no-any-return]


def approach(average: Tensor, value: Tensor, weight: Any) -> None:
    """average += weight * (value - average), in place."""
    if average.node.dtype.itemsize == 2:
        average.lerp_(value, weight)
    else:
        average += (value - average) * weight


def average_square(average: Tensor, value: Tensor, keep: Any, weight: Any) -> None:
    """average = keep * average + weight * value^2, in place, where weight is 1 - keep.

    Not by the difference of both: once a square has overflowed, the average is to stay infinite.
    """
    average *= keep
    if average.node.dtype.itemsize == 2 and not isinstance(keep, Tensor):
        average.addcmul_(value, value, value=weight)
    else:
        average += value * value * weight


def add_ratio(p: Tensor, over: Tensor, under: Tensor, factor: Any = None) -> None:
    """p += factor * over / under, in place; without `factor` it is 1."""
    if p.node.dtype.itemsize == 2 and not isinstance(factor, Tensor):
        p.addcdiv_(over, under, value=1 if factor is None else factor)
    else:
        p += over / under if factor is None else over / under * factor
