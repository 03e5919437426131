"""The order in which products of float32 matrices are summed.

What float32 rounds off depends on it, and shows in the losses of long runs. It is that of the
library which PyTorch's CPU wheels use (oneMKL 2024.2), as seen on a Zen 4 and found by trying
orders until every bit of many products was the same:

- The summed dimension is gone over in blocks of `BLOCK`: within one, product and sum are one
  operation (fused), from the first to the last; each block's sum is added to the total.
- A result of fewer than `NARROW` columns has neither blocks nor fused sums. Its columns are gone
  over four at a time from the first one that is aligned to 16 bytes. Those before it are *peeled*:
  of each eight of the summed dimension the first four are added to the total one by one, and the
  sum of the last four at once.

The compiled kernels (`cpu/tiles.py`, `cpu/peeled.py`) do the same, so the first steps of a program,
which are interpreted, round as those after them. Not so where the right operand of a narrow product
is transposed, for one row or column, and for narrow products that are too small or too large to be
worth it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from facula.numpy_threads import matmul

BLOCK = 192
NARROW = 12
ALIGNED = 4  # elements between addresses that are aligned
SMALL = 1_000_000  # multiplications of a small product
LEAST, MOST = 1 << 15, 1 << 22  # multiplications of narrow products that are summed so


def product(a: Any, b: Any) -> Any:
    """The product of float32 matrices (m, k) and (k, n)."""
    (m, k), n = a.shape, b.shape[1]
    if n >= NARROW:
        if k <= BLOCK or m == 1:
            return matmul(a, b)
        rest = k % BLOCK
        if rest and m * rest * n < SMALL:
            # NumPy's library sums the last columns of small products otherwise; zeros add nothing.
            a = np.concatenate([a, np.zeros((m, BLOCK - rest), a.dtype)], 1)
            b = np.concatenate([b, np.zeros((BLOCK - rest, n), b.dtype)])
        out = matmul(a[:, :BLOCK], b[:BLOCK])
        for first in range(BLOCK, k, BLOCK):
            some = slice(first, first + BLOCK)
            out += matmul(a[:, some], b[some])
        return out
    if m > 1 < n and b.strides[1] == b.itemsize and LEAST <= m * k * n <= MOST:
        return _narrow(a, b)
    return matmul(a, b)


def peeled(lines: Any, columns: int) -> Any:
    """How many elements of rows of so many columns are summed in the other order."""
    before = -(lines * columns) % ALIGNED
    return np.where(before + ALIGNED <= columns, before, 0)


def _narrow(a: Any, b: Any) -> Any:
    m, n = len(a), b.shape[1]
    # All products, those of one k after those of another: a sum along the first dimension adds one
    # after the other. Rows are the innermost, since they are many.
    terms = b[:, :, None] * np.ascontiguousarray(a.T)[:, None, :]
    out = terms.sum(0)
    begin = peeled(np.arange(m), n)
    if begin.any():
        first = terms[:, : ALIGNED - 1]
        groups, rest = divmod(len(first), 8)
        eights = first[: len(first) - rest].reshape(groups, 8, ALIGNED - 1, m)
        steps = np.empty((groups, 5, ALIGNED - 1, m), a.dtype)
        steps[:, :4] = eights[:, :4]
        steps[:, 4] = ((eights[:, 4] + eights[:, 5]) + eights[:, 6]) + eights[:, 7]
        steps = steps.reshape(5 * groups, ALIGNED - 1, m)
        other = np.concatenate([steps, first[len(first) - rest :]]).sum(0)
        these = np.arange(ALIGNED - 1)[:, None] < begin
        out[: ALIGNED - 1] = np.where(these, other, out[: ALIGNED - 1])
    return np.ascontiguousarray(out.T)
