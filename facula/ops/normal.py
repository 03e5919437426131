"""Inverse and scaled error functions and the normal distribution, to double precision in NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula.ops.erf import erf, erfc

_SPLIT = 2.5


def erfcx(a: Any) -> Any:
    """exp(x^2) erfc(x), by the continued fraction of A&S 7.1.14 from 2.5 on."""
    x = np.asarray(a, np.float64)
    far = np.where(x < _SPLIT, _SPLIT, x)
    f = far
    for n in range(60, 0, -1):
        f = far + (n / 2) / f
    near = np.where(x < _SPLIT, x, 0.0)
    small = np.exp(near * near) * erfc(near)
    return np.where(np.isnan(x), np.nan, np.where(x < _SPLIT, small, 1 / (math.sqrt(math.pi) * f)))


def _tail(q: Any) -> Any:
    """x >= 0 with erfc(x) = q, for 0 < q <= 1: Newton's method on the logarithm."""
    low = np.log(q)
    t = np.sqrt(np.maximum(-low, 1e-300))
    x = np.where(q > 0.4, (1 - q) * math.sqrt(math.pi) / 2, t - 0.3 / np.maximum(t, 0.3))
    for _ in range(8):
        scaled = erfcx(x)
        error = np.log(scaled) - x * x - low
        x = x + error * scaled * (math.sqrt(math.pi) / 2)
    return x


def erfinv(a: Any) -> Any:
    """x with erf(x) = y; infinite at -1 and 1, NaN outside."""
    y = np.asarray(a, np.float64)
    size = np.abs(y)
    inner = np.where(size < 0.5, y, 0.0)
    x = inner * (math.sqrt(math.pi) / 2)
    for _ in range(6):
        x = x - (erf(x) - inner) * np.exp(x * x) * (math.sqrt(math.pi) / 2)
    outer = np.where((size >= 0.5) & (size < 1), 1 - size, 0.5)
    out = np.where(size < 0.5, x, np.copysign(_tail(outer), y))
    out = np.where(size == 1, np.copysign(np.inf, y), out)
    return np.where((size > 1) | np.isnan(y), np.nan, out)


def ndtr(a: Any) -> Any:
    """The distribution function of the standard normal distribution."""
    x = np.asarray(a, np.float64)
    return 0.5 * erfc(-x / math.sqrt(2))


def log_ndtr(a: Any) -> Any:
    """Its logarithm, exact far down the tail."""
    x = np.asarray(a, np.float64)
    t = x / math.sqrt(2)
    low = np.where(x < -1, t, -1.0)
    high = np.where(x < -1, 0.0, t)
    left = np.log(erfcx(-low) / 2) - low * low
    return np.where(x < -1, left, np.log1p(-erfc(high) / 2))


def ndtri(a: Any) -> Any:
    """The inverse of ndtr; infinite at 0 and 1, NaN outside."""
    p = np.asarray(a, np.float64)
    least = np.minimum(p, 1 - p)
    inside = (p > 0) & (p < 1)
    x = _tail(2 * np.where(inside, least, 0.25)) * math.sqrt(2)
    out = np.where(p < 0.5, -x, x)
    out = np.where(p == 0, -np.inf, np.where(p == 1, np.inf, out))
    return np.where((p < 0) | (p > 1) | np.isnan(p), np.nan, out)
