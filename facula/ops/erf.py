"""The error function in NumPy, to double precision.

Source: W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of
Computation 23 (1969), is the usual choice; here the continued fraction and the Taylor series of
Abramowitz and Stegun 7.1.6 and 7.1.14 are summed to a fixed depth, which needs no tables.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_SPLIT = 2.5


def _series(x: Any) -> Any:
    """erf near zero (A&S 7.1.6): all terms have one sign, so nothing cancels."""
    x2 = x * x
    term = np.ones_like(x)
    total = np.ones_like(x)
    for n in range(1, 64):
        term = term * (2 * x2) / (2 * n + 1)
        total = total + term
    return 2 / math.sqrt(math.pi) * x * np.exp(-x2) * total


def _tail(x: Any) -> Any:
    """erfc for x >= 2.5 (A&S 7.1.14), evaluated from the innermost fraction outwards."""
    f = x
    for n in range(60, 0, -1):
        f = x + (n / 2) / f
    return np.exp(-x * x) / (math.sqrt(math.pi) * f)


def _both(a: Any) -> tuple[Any, Any, Any, Any]:
    x = np.asarray(a, np.float64)
    ax = np.abs(x)
    small = ax < _SPLIT
    return x, ax, small, np.where(small, 0.0, np.exp(-np.minimum(ax, 27.0)))


def erf(a: Any) -> Any:
    """erf of a real array, in the array's dtype."""
    x, ax, small, _ = _both(a)
    near = _series(np.where(small, x, 0.0))
    far = np.sign(x) * (1 - _tail(np.where(small | np.isnan(ax), _SPLIT, np.minimum(ax, 30.0))))
    out = np.where(small, near, far)
    return np.where(np.isnan(x), x, out).astype(a.dtype)


def erfc(a: Any) -> Any:
    """1 - erf, accurate where erf is close to 1."""
    x, ax, small, _ = _both(a)
    near = 1 - _series(np.where(small, x, 0.0))
    tail = _tail(np.where(small | np.isnan(ax), _SPLIT, np.minimum(ax, 30.0)))
    out = np.where(small, near, np.where(x > 0, tail, 2 - tail))
    return np.where(np.isnan(x), x, out).astype(a.dtype)
