"""Sliding windows over the spatial dimensions of (N, C, *S): what convolution and pooling share.

For every spatial dimension of size S, window number i of L holds the elements
`i * stride - padding + k * dilation` for k in 0 .. K-1; where that is outside of 0 .. S-1 there is
padding. L may be smaller than what would fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from facula.ops.registry import Op, widened
from facula.trace.recorder import record

Ints = tuple[int, ...]


def count(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many windows lie inside the padded dimension (not positive: none)."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def padded(x: Any, padding: Ints, need: Ints, value: Any = 0) -> Any:
    """x with `padding` elements before each spatial dimension, and at least `need` in all."""
    n = len(padding)
    size = x.shape[-n:]
    total = tuple([max(p + s, m) for p, s, m in zip(padding, size, need)])
    if total == size:
        return x
    out = np.full((*x.shape[:-n], *total), value, x.dtype)
    inner: Any = (..., *[slice(p, p + s) for p, s in zip(padding, size)])
    out[inner] = x
    return out


def reach(kernel: Ints, stride: Ints, dilation: Ints, out: Ints) -> Ints:
    """How many elements from the first window's first to the last window's last."""
    return tuple(
        [(o - 1) * s + d * (k - 1) + 1 for k, s, d, o in zip(kernel, stride, dilation, out)]
    )


def view(x: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, out: Ints) -> Any:
    """All windows of an array (N, C, *S): (N, C, *K, *L), a view of it or of its padded copy."""
    n = len(kernel)
    x = padded(x, padding, reach(kernel, stride, dilation, out))
    lead, steps = x.strides[:-n], x.strides[-n:]
    return np.lib.stride_tricks.as_strided(
        x,
        (*x.shape[:-n], *kernel, *out),
        (*lead, *[d * t for d, t in zip(dilation, steps)], *[s * t for s, t in zip(stride, steps)]),
        writeable=False,
    )


def taps(kernel: Ints, stride: Ints, dilation: Ints, out: Ints) -> Iterator[tuple[Ints, Any]]:
    """Each position in the kernel, with the index of what it sees in the padded array."""
    for at in product(*[range(k) for k in kernel]):
        index = [
            slice(k * d, k * d + s * (o - 1) + 1, s) if o > 0 else slice(0, 0)
            for k, s, d, o in zip(at, stride, dilation, out)
        ]
        yield at, (Ellipsis, *index)


def overlay(
    columns: Any, size: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints
) -> Any:
    """The transpose of `view`: the windows (N, C, *K, *L) added up into (N, C, *S)."""
    n = len(kernel)
    out = columns.shape[-n:]
    total = tuple(
        [max(s + p, m) for s, p, m in zip(size, padding, reach(kernel, stride, dilation, out))]
    )
    sums = np.zeros((*columns.shape[: -2 * n], *total), columns.dtype)
    for at, index in taps(kernel, stride, dilation, out):
        sums[index] += columns[(slice(None), slice(None), *at)]
    return crop(sums, padding, size)


def crop(x: Any, padding: Ints, size: Ints) -> Any:
    """The part of a padded array that is not padding."""
    if x.shape[-len(size) :] == size:
        return x
    return np.ascontiguousarray(x[(..., *[slice(p, p + s) for p, s in zip(padding, size)])])


def split(p: Ints, parts: int) -> list[Ints]:
    """A flat tuple of parameters as `parts` tuples of one number for each dimension."""
    n = len(p) // parts
    return [p[i * n : (i + 1) * n] for i in range(parts)]


# im2col: (N, C, *S) to (N, C, *K, *L). Parameters: kernel, stride, padding, dilation, L, one number
# for each dimension. col2im adds the windows up; its last numbers are S instead of L.
IM2COL: Op = Op(
    "im2col",
    lambda p, st, a: ((*a.shape[:2], *split(p, 5)[0], *split(p, 5)[4]), a.dtype, None, 0),
    lambda p, s, a: np.ascontiguousarray(view(a, *split(p, 5))),
    (lambda g, an, p: record(COL2IM, (g,), (*p[: 4 * (len(p) // 5)], *an.shape[2:])),),
)


def _col2im(p: Any, s: Any, a: Any) -> Any:
    kernel, stride, padding, dilation, size = split(p, 5)
    return overlay(a, size, kernel, stride, padding, dilation)


COL2IM: Op = Op(
    "col2im",
    lambda p, st, a: ((*a.shape[:2], *split(p, 5)[4]), a.dtype, None, 0),
    widened(_col2im),
    (
        lambda g, an, p: record(
            IM2COL, (g,), (*p[: 4 * (len(p) // 5)], *an.shape[2 + len(p) // 5 :])
        ),
    ),
)
