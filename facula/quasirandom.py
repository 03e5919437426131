"""Sobol's sequences, whose points fill a cube more evenly than random ones.

Source: https://docs.pytorch.org/docs/stable/generated/torch.quasirandom.SobolEngine.html

Each dimension has 30 direction numbers. They follow from a primitive polynomial over the field of
two elements and as many first numbers as its degree, which S. Joe and F. Y. Kuo have searched for
(Constructing Sobol sequences with better two-dimensional projections, 2008); `sobol.bin` has these
as bits, made by tests/generate/quasirandom.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import facula
from facula.errors import honest

__all__ = ["SobolEngine"]

MAXBIT = 30
# How many primitive polynomials there are of degrees 1, 2, ...: a dimension each, after the first.
COUNTS = (1, 1, 2, 2, 6, 6, 18, 16, 48, 60, 176, 144, 630, 756, 1800, 2048, 7710, 7776)


def _directions(dimension: int) -> np.ndarray[Any, Any]:
    """The direction numbers, dimension by dimension.

    The bits of a dimension of degree s: the polynomial's s - 1 inner coefficients, and of the k-th
    of its first numbers, which are odd and smaller than 2**k, all but the last bit.
    """
    out = np.zeros((dimension, MAXBIT), np.int64)
    out[0] = 1 << np.arange(MAXBIT - 1, -1, -1)
    file = np.fromfile(Path(__file__).with_name("sobol.bin"), np.uint8)
    bits = np.unpackbits(file).astype(np.int64)
    row, at = 1, 0
    for s, count in enumerate(COUNTS, 1):
        n = min(count, dimension - row)
        if n <= 0:
            break
        size = s - 1 + s * (s - 1) // 2
        part = bits[at : at + n * size].reshape(n, size)
        at += count * size
        v = out[row : row + n]
        inner, first = part[:, : s - 1], s - 1
        for k in range(s):
            number = np.ones(n, np.int64)
            for j in range(k):
                number += part[:, first + j] << (k - j)
            first += k
            v[:, k] = number << (MAXBIT - 1 - k)
        for k in range(s, MAXBIT):
            v[:, k] = v[:, k - s] ^ (v[:, k - s] >> s)
            for j in range(1, s):
                v[:, k] ^= inner[:, j - 1] * v[:, k - j]
        row += n
    return out


class SobolEngine:
    """Points of a Sobol sequence, in order.

    Args:
        dimension: how many numbers a point has, at most 21201.
        scramble: whether the points are scrambled at random, which keeps them even.
        seed: what the scrambling starts from; the default generator draws where it is None.
    """

    MAXBIT = MAXBIT
    MAXDIM = 1 + sum(COUNTS)

    def __init__(self, dimension: int, scramble: bool = False, seed: int | None = None) -> None:
        if dimension > self.MAXDIM or dimension < 1:
            raise ValueError(
                f"Supported range of dimensionality for SobolEngine is [1, {self.MAXDIM}], got "
                f"{dimension}"
            )
        self.dimension, self.scramble, self.seed = dimension, scramble, seed
        self.sobolstate = facula.from_numpy(_directions(dimension))
        self.shift = facula.zeros(dimension, dtype=facula.long)
        if scramble:
            self._scramble()
        self.quasi = self.shift.clone()
        self.num_generated = 0

    def draw(self, n: int = 1, out: Any = None, dtype: Any = None) -> Any:
        """The next `n` points, a row each."""
        dtype = facula.get_default_dtype() if dtype is None else dtype
        v, at = self.sobolstate.numpy(), self.num_generated
        steps = np.array([_lowest_zero(k) for k in range(at - 1, at - 1 + n) if k >= 0], np.intp)
        rows = np.concatenate((self.quasi.numpy()[None], v[:, steps].T))
        points = np.bitwise_xor.accumulate(rows)
        self.quasi = facula.from_numpy(points[-1].copy())
        self.num_generated += n
        found = facula.from_numpy(points[len(points) - n :].copy()).to(dtype) / 2**MAXBIT
        return found if out is None else out.resize_as_(found).copy_(found)

    def draw_base2(self, m: int, out: Any = None, dtype: Any = None) -> Any:
        """The next 2**m points, after which their number has to be a power of two."""
        n = 2**m
        total = self.num_generated + n
        if total & (total - 1):
            raise ValueError(
                "The balance properties of Sobol' points require n to be a power of 2. "
                f"{self.num_generated} points have been previously generated, then: "
                f"n={self.num_generated}+2**{m}={total}. If you still want to do this, please use "
                "'SobolEngine.draw()' instead."
            )
        return self.draw(n, out, dtype)

    def reset(self) -> SobolEngine:
        """Begin again."""
        self.quasi = self.shift.clone()
        self.num_generated = 0
        return self

    def fast_forward(self, n: int) -> SobolEngine:
        """Pass over `n` points."""
        before, after = [max(k - 1, 0) for k in (self.num_generated, self.num_generated + n)]
        turned = before ^ (before >> 1) ^ after ^ (after >> 1)  # by the two Gray codes
        v = self.sobolstate.numpy()
        columns = [v[:, k] for k in range(MAXBIT) if turned >> k & 1]
        moved = np.bitwise_xor.reduce([self.quasi.numpy(), *columns])
        self.quasi = facula.from_numpy(moved)
        self.num_generated += n
        return self

    def _scramble(self) -> None:
        g = None if self.seed is None else facula.Generator().manual_seed(self.seed)
        shift = facula.randint(2, (self.dimension, MAXBIT), generator=g).numpy()
        self.shift = facula.from_numpy(shift @ (1 << np.arange(MAXBIT)))
        matrices = facula.randint(2, (self.dimension, MAXBIT, MAXBIT), generator=g).numpy()
        matrices = np.tril(matrices, -1) | np.eye(MAXBIT, dtype=np.int64)
        # A row of a matrix is a number; a bit of the result is the parity of row and direction.
        rows = matrices @ (1 << np.arange(MAXBIT - 1, -1, -1))
        v = self.sobolstate.numpy()
        scrambled = np.zeros_like(v)
        for p in range(MAXBIT):
            odd = rows[:, p, None] & v
            for by in (16, 8, 4, 2, 1):  # the parity of the bits ends in the lowest
                odd ^= odd >> by
            scrambled |= (odd & 1) << (MAXBIT - 1 - p)
        self.sobolstate = facula.from_numpy(scrambled)

    def __repr__(self) -> str:
        text = f"dimension={self.dimension}"
        if self.scramble:
            text += ", scramble=True"
        if self.seed is not None:
            text += f", seed={self.seed}"
        return f"{type(self).__name__}({text})"


def _lowest_zero(k: int) -> int:
    return (~k & (k + 1)).bit_length() - 1


__getattr__ = honest(__name__)
