"""The gamma function and its kin, to double precision in NumPy.

Sources: Abramowitz and Stegun, chapter 6 (Stirling's series, recurrence, reflection) and 23.2 (the
zeta functions, by the Euler-Maclaurin formula); DLMF 8.7 and 8.9 (incomplete gamma functions).
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

# Bernoulli numbers B_2, B_4, ...
_BERNOULLI = (
    1 / 6,
    -1 / 30,
    1 / 42,
    -1 / 30,
    5 / 66,
    -691 / 2730,
    7 / 6,
    -3617 / 510,
    43867 / 798,
    -174611 / 330,
)
_SHIFT = 10  # Stirling's series is used from here on


def _is_pole(x: Any) -> Any:
    return (x <= 0) & (x == np.floor(x))


def _sin_pi(x: Any) -> Any:
    """sin(pi x), exact at integers."""
    r = x - 2 * np.round(x / 2)  # exact near zero
    r = np.where(r > 0.5, 1 - r, np.where(r < -0.5, -1 - r, r))
    return np.sin(np.pi * r)


@cache
def _near_two() -> list[float]:
    """The coefficients of log gamma(2 + e) as a series in e, from the first power on (6.1.33)."""
    k = np.arange(2.0, 32.0)
    return [1 - np.euler_gamma, *((-1) ** k * _hurwitz(k, np.full_like(k, 2)) / k).tolist()]


def _between(x: Any) -> Any:
    """log gamma(x) for 0.5 <= x <= 2.5, right in its last bits also near its zeros 1 and 2."""
    low = x < 1.5
    e = np.where(low, x - 1, x - 2)
    series = np.zeros_like(e)
    for c in reversed(_near_two()):
        series = (series + c) * e
    return np.where(low, series - np.log1p(e), series)


def lgamma(a: Any) -> Any:
    """log |gamma(x)|; infinite at the poles."""
    x = np.asarray(a, np.float64)
    y = np.where(x < 0.5, 1 - x, x)
    product = np.ones_like(y)
    z = y.copy()
    for _ in range(_SHIFT):
        low = z < _SHIFT
        product = np.where(low, product * z, product)
        z = np.where(low, z + 1, z)
    w = 1 / z
    series = np.zeros_like(z)
    for k in range(len(_BERNOULLI), 0, -1):
        series = series * (w * w) + _BERNOULLI[k - 1] / (2 * k * (2 * k - 1))
    out = (z - 0.5) * np.log(z) - z + 0.5 * math.log(2 * math.pi) + series * w - np.log(product)
    out = np.where(np.isinf(y), np.inf, out)
    out = np.where(y <= 2.5, _between(np.minimum(y, 2.5)), out)
    below = math.log(math.pi) - np.log(np.abs(_sin_pi(x))) - out
    out = np.where(x < 0.5, below, out)
    return np.where(_is_pole(x) | np.isinf(x), np.inf, out)


def digamma(a: Any) -> Any:
    """The derivative of log gamma; -inf at zero (by its sign), NaN at the other poles."""
    x = np.asarray(a, np.float64)
    y = np.where(x < 0.5, 1 - x, x)
    total = np.zeros_like(y)
    z = y.copy()
    for _ in range(_SHIFT):
        low = z < _SHIFT
        total = np.where(low, total - 1 / z, total)
        z = np.where(low, z + 1, z)
    w = 1 / (z * z)
    series = np.zeros_like(z)
    for k in range(len(_BERNOULLI), 0, -1):
        series = (series + _BERNOULLI[k - 1] / (2 * k)) * w
    out = np.where(np.isinf(z), z, np.log(z) - 0.5 / z - series + total)
    r = x - np.round(x)
    out = np.where(x < 0.5, out - np.pi / np.tan(np.pi * r), out)
    out = np.where(x == 0, np.copysign(np.inf, -x), out)
    return np.where(((x < 0) & (x == np.floor(x))), np.nan, out)


def _hurwitz(s: Any, q: Any) -> Any:
    """zeta(s, q) for s > 1 and q > 0."""
    n = 12
    out = np.zeros(np.broadcast_shapes(s.shape, q.shape))
    for k in range(n):
        out = out + np.power(q + k, -s)
    z = q + n
    power = np.power(z, -s)
    out = out + z * power / (s - 1) + 0.5 * power
    factor = s * power / z
    for k, b in enumerate(_BERNOULLI, 1):
        out = out + b / math.factorial(2 * k) * factor
        factor = factor * (s + 2 * k - 1) * (s + 2 * k) / (z * z)
    return np.where(np.isinf(q), 0.0, out)


def zeta(x: Any, q: Any) -> Any:
    """Hurwitz's zeta function, the sum of (q + k)^-x over k >= 0."""
    s, q = np.asarray(x, np.float64), np.asarray(q, np.float64)
    safe = np.where(s > 1, s, 2.0)
    positive = np.where(q > 0, q, 1.0)
    out = _hurwitz(safe, positive)
    if np.any(q < 0):  # negative terms have the size of positive ones, counted from the fraction
        size = np.where(q < 0, -q, 0.5)
        part = size - np.floor(size)
        inner = np.where(part == 0, 0.5, part)
        even = np.where(np.remainder(s, 2) == 0, 1.0, -1.0)
        below = _hurwitz(safe, 1 - inner) + even * (
            _hurwitz(safe, inner) - _hurwitz(safe, size + 1)
        )
        out = np.where(q < 0, below, out)
        out = np.where((q < 0) & (s != np.floor(s)), np.nan, out)
    out = np.where((q <= 0) & (q == np.floor(q)), np.inf, out)
    out = np.where(s == 1, np.inf, np.where(s < 1, np.nan, out))
    return np.where(np.isnan(s) | np.isnan(q), np.nan, out)


def polygamma(n: int, x: Any) -> Any:
    """The n-th derivative of digamma."""
    if n == 0:
        return digamma(x)
    x = np.asarray(x)
    sign = 1.0 if n % 2 else -1.0
    out = sign * math.factorial(n) * zeta(np.asarray(n + 1.0), x)
    if n == 1:  # a pole is as high as the rounding of pi lets it be, as in PyTorch
        pi = x.dtype.type(np.pi)
        out = np.where(_is_pole(x), np.square(pi / np.sin(pi * x)), out)
    return out


def _lower(a: Any, x: Any) -> Any:
    """P(a, x) by its series, for x < a + 1."""
    term = np.ones_like(a)
    total = np.ones_like(a)
    k = a.copy()
    for _ in range(20_000):
        k = k + 1
        term = term * (x / k)
        total = total + term
        if not np.any(np.abs(term) > 1e-17 * np.abs(total)):
            break
    return total * np.exp(a * np.log(x) - x - lgamma(a + 1))


def _upper(a: Any, x: Any) -> Any:
    """Q(a, x) by its continued fraction (Lentz's method), for x >= a + 1."""
    tiny = 1e-300
    b = x + 1 - a
    c = np.full_like(a, 1 / tiny)
    d = 1 / b
    h = d
    for i in range(1, 20_000):
        an = -i * (i - a)
        b = b + 2
        d = an * d + b
        d = 1 / np.where(np.abs(d) < tiny, tiny, d)
        c = b + an / c
        c = np.where(np.abs(c) < tiny, tiny, c)
        step = d * c
        h = h * step
        if not np.any(np.abs(step - 1) > 1e-16):
            break
    return h * np.exp(a * np.log(x) - x - lgamma(a))


def incomplete(a: Any, x: Any, upper: bool) -> Any:
    """The regularised incomplete gamma functions P(a, x) and, for `upper`, Q(a, x)."""
    a, x = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(x, np.float64))
    plain = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    sa, sx = np.where(plain, a, 1.0), np.where(plain, x, 1.0)
    below = sx < sa + 1
    p = _lower(np.where(below, sa, 1.0), np.where(below, sx, 1.0))
    q = _upper(np.where(below, 1.0, sa), np.where(below, 3.0, sx))
    low = np.where(below, p, 1 - q)
    low = np.where(plain, low, np.nan)
    low = np.where(np.isinf(x), 1.0, low)
    low = np.where(np.isinf(a), np.where(np.isinf(x), np.nan, 0.0), low)
    low = np.where(x == 0, 0.0, low)
    low = np.where(a == 0, np.where(x > 0, 1.0, np.nan), low)
    low = np.where((x < 0) | (a < 0), np.nan, low)
    if not upper:
        return low
    return np.where(plain & ~below, q, 1 - low)
