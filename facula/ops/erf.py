"""The error function in NumPy, to the precision of its argument's dtype.

Between the points of a grid it is a Taylor series: d/dx erf(x) = 2 / sqrt(pi) exp(-x**2), and

    exp(-(c + s)**2) = exp(-c**2) exp(-2 c s - s**2),

whose second factor is f with f' = -2 (c + s) f. Its coefficients follow from the two before.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

_STEPS = 128  # points of the grid in one
_BLOCK = 1 << 13  # elements at a time: what is in between stays in the second cache


@cache
def _grid(largest: int) -> tuple[Any, Any, Any, Any]:
    """Points from 0 on; erf, erfc and the derivative of erf there."""
    c = np.arange(largest * _STEPS + 1) / _STEPS
    points = c.tolist()
    slope = 2 / math.sqrt(math.pi) * np.exp(-c * c)
    return c, np.array([*map(math.erf, points)]), np.array([*map(math.erfc, points)]), slope


def _parts(a: Any, largest: int) -> tuple[Any, Any, Any]:
    """For |x|: its place in the grid, and how far erf rises from there to it."""
    grid, _, _, slope = _grid(largest)
    ax = np.minimum(np.abs(a), largest)
    at = np.rint(ax * _STEPS).astype(np.intp)
    c = grid[at]
    s = ax - c
    square, product = s * s, s * c
    before, term, total = 0.0, np.ones_like(s), np.ones_like(s)
    bound, n = 1.0, 0  # of a term's size
    while bound > 2.0**-54:
        n += 1
        before, term = term, (product * term + square * before) * (-2.0 / n)
        total += term * (1.0 / (n + 1))
        bound *= (2 * largest + 1.0) / (2 * _STEPS) / n
    return at, ax, total * s * slope[at]


def _by_blocks(a: Any, f: Any, dtype: Any = np.float64) -> Any:
    x = np.asarray(a, dtype).reshape(-1)
    out = np.empty(x.shape, a.dtype)
    for i in range(0, x.size, _BLOCK):
        piece = x[i : i + _BLOCK]
        missing = np.isnan(piece)
        y = f(np.where(missing, x.dtype.type(0), piece))
        out[i : i + _BLOCK] = np.where(missing, piece, y)
    return out.reshape(a.shape)


_FINE = 1024  # points of the grid in one, for single precision
_ONE = 4  # where erf is 1 in single precision


@cache
def _fine_grid() -> tuple[Any, Any, Any]:
    """Points from 0 on, as float32: erf, its derivative, and a third of the second derivative's
    derivative by it."""
    c = np.arange(_ONE * _FINE + 1) / _FINE
    slope = 2 / math.sqrt(math.pi) * np.exp(-c * c)
    third = (2 * c * c - 1) / 3
    values = np.array([*map(math.erf, c.tolist())]), slope, third
    return tuple([x.astype(np.float32) for x in values])  # type: ignore[return-value]


def _erf32(x: Any) -> Any:
    """erf of float32: what it rises from the nearest point of a fine grid,

    erf(c + s) - erf(c) = erf'(c) s (1 - c s + (2 c**2 - 1) / 3 s**2 + ...).
    """
    value, slope, third = _fine_grid()
    s = np.abs(x)
    np.minimum(s, np.float32(_ONE), out=s)
    c = s * np.float32(_FINE)
    np.rint(c, out=c)
    at = c.astype(np.intp)
    c *= np.float32(1 / _FINE)
    s -= c  # exact
    y = third.take(at)
    y *= s
    y -= c
    y *= s
    y += np.float32(1)
    y *= s
    y *= slope.take(at)
    y += value.take(at)
    return np.copysign(y, x, out=y)


def erf(a: Any) -> Any:
    """erf of a real array, in the array's dtype."""
    if a.dtype == np.float32:
        return _by_blocks(a, _erf32, np.float32)

    def piece(x: Any) -> Any:
        at, _, rise = _parts(x, 6)
        return np.copysign(_grid(6)[1][at] + rise, x)

    return _by_blocks(a, piece)


def erfc(a: Any) -> Any:
    """1 - erf, accurate where erf is close to 1."""

    def piece(x: Any) -> Any:
        at, _, rise = _parts(x, 28)
        y = _grid(28)[2][at] - rise
        return np.where(x < 0, 2.0 - y, y)

    return _by_blocks(a, piece)
