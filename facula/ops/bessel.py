"""Bessel and Airy functions, to double precision in NumPy.

Integrals over a period or over the whole line converge exponentially under the trapezoidal rule;
large arguments use the asymptotic series. Source: Abramowitz and Stegun 9.1.21, 9.1.88, 9.2.5,
9.6.16, 9.6.24, 9.7.1, 10.4.14, 10.4.60.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_FAR = 30.0


def _asymptotic(nu: float, x: Any, sign: float) -> Any:
    """The sum over k of sign^k a_k(nu) / x^k."""
    total = term = np.ones_like(x)
    for k in range(1, 40):
        step = sign * (4 * nu * nu - (2 * k - 1) ** 2) / (8 * k * x)
        term = np.where(np.abs(step) < 1, term * step, 0.0)
        total = total + term
    return total


def ie(nu: int, a: Any) -> Any:
    """exp(-|x|) I_nu(x) for nu 0 or 1."""
    x = np.abs(np.asarray(a, np.float64))
    near = np.where(x < _FAR, x, 1.0)
    n = 64
    total = np.zeros_like(near)
    for k in range(n + 1):
        c = math.cos(math.pi * k / n)
        weight = (0.5 if k in (0, n) else 1.0) * (c if nu else 1.0)
        total = total + weight * np.exp(near * (c - 1))
    far = np.where(x < _FAR, _FAR, x)
    big = _asymptotic(nu, far, -1.0) / np.sqrt(2 * np.pi * far)
    out = np.where(x < _FAR, total / n, big)
    if nu:  # the sum cancels near zero
        small = x < 1e-2
        t = np.where(small, x, 0.0)
        series = t / 2 * (1 + t * t / 8 * (1 + t * t / 24 * (1 + t * t / 48))) * np.exp(-t)
        out = np.where(small, series, out)
    out = np.where(np.isnan(x), np.nan, out)
    return out * np.sign(a) if nu else out


def i(nu: int, a: Any) -> Any:
    """I_nu(x) for nu 0 or 1."""
    x = np.asarray(a, np.float64)
    return ie(nu, x) * np.exp(np.abs(x))  # NaN at infinity, as PyTorch gives


def ke(nu: float, a: Any) -> Any:
    """exp(x) K_nu(x) for x > 0, nu in [0, 1]; infinite at zero, NaN below."""
    x = np.asarray(a, np.float64)
    tiny = x < 1e-8
    near = np.where((x < _FAR) & ~tiny, x, 1.0)
    step = 0.1
    total = np.full_like(near, 0.5)
    least = float(near.min()) if near.size else 1.0
    for k in range(1, int(math.acosh(1 + 45 / least) / step) + 2):
        t = step * k
        total = total + np.exp(-near * (math.cosh(t) - 1)) * math.cosh(nu * t)
    far = np.where(x < _FAR, _FAR, x)
    big = _asymptotic(nu, far, 1.0) * np.sqrt(np.pi / (2 * far))
    out = np.where(x < _FAR, total * step, big)
    small = np.where(tiny & (x > 0), x, 1e-9)
    if nu == 0:
        first = -np.log(small / 2) - np.euler_gamma
    else:
        first = 0.5 * math.gamma(nu) * np.power(small / 2, -nu)
    out = np.where(tiny, first * np.exp(np.where(tiny, x, 0.0)), out)
    return np.where(x == 0, np.inf, np.where((x < 0) | np.isnan(x), np.nan, out))


def k(nu: float, a: Any) -> Any:
    """K_nu(x) for x > 0."""
    x = np.asarray(a, np.float64)
    return np.where(x == np.inf, 0.0, ke(nu, x) * np.exp(-np.maximum(x, 0)))


def _hankel(nu: int, x: Any) -> tuple[Any, Any]:
    """J and Y for large x."""
    p, q = np.ones_like(x), np.zeros_like(x)
    term = np.ones_like(x)
    for m in range(1, 40):
        step = (4 * nu * nu - (2 * m - 1) ** 2) / (8 * m * x)
        term = np.where(np.abs(step) < 1, term * step, 0.0)
        sign = -1.0 if (m // 2) % 2 else 1.0
        if m % 2:
            q = q + sign * term
        else:
            p = p + sign * term
    phase = x - (nu / 2 + 0.25) * np.pi
    scale = np.sqrt(2 / (np.pi * x))
    c, s = np.cos(phase), np.sin(phase)
    return scale * (p * c - q * s), scale * (p * s + q * c)


def _miller(x: Any) -> tuple[Any, Any, Any, Any]:
    """J_0, J_1 and the sums of 9.1.88 for Y_0 and Y_1, by backward recurrence, 0 < x < 30."""
    above, here = np.zeros_like(x), np.full_like(x, 1e-250)
    norm, s0, s1 = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    j1 = np.zeros_like(x)
    for m in range(80, 0, -1):  # `here` is J_m
        half = m // 2
        if m % 2 == 0:
            norm = norm + 2 * here
            s0 = s0 + (-1) ** half * here / half
        elif half:
            s1 = s1 + (-1) ** half * (1 + 2 * half) * here / (half * (half + 1))
        else:
            j1 = here
        above, here = here, 2 * m / x * here - above
        big = np.abs(here) > 1e100
        scale = np.where(big, 1e-100, 1.0)
        above, here, norm = above * scale, here * scale, norm * scale
        s0, s1, j1 = s0 * scale, s1 * scale, j1 * scale
    norm = norm + here
    return here / norm, j1 / norm, s0 / norm, s1 / norm


def j(nu: int, a: Any) -> Any:
    """J_0 or J_1; NaN at infinity."""
    x = np.asarray(a, np.float64)
    size = np.abs(x)
    close = (size < _FAR) & (size > 1e-8)
    near = _miller(np.where(close, size, 1.0))[nu]
    far = _hankel(nu, np.where(size < _FAR, _FAR, size))[0]
    out = np.where(size < _FAR, near, far)
    out = np.where(size <= 1e-8, size / 2 if nu else 1.0, out)
    out = np.where(np.isfinite(x), out, np.nan)  # also at infinity, as PyTorch gives
    return np.where(x < 0, -out, out) if nu else out


def y(nu: int, a: Any) -> Any:
    """Y_0 or Y_1; -inf at zero, NaN below."""
    x = np.asarray(a, np.float64)
    close = (x < _FAR) & (x > 1e-30)
    near = np.where(close, x, 1.0)
    j0, j1, s0, s1 = _miller(near)
    log = np.log(near / 2) + np.euler_gamma
    if nu == 0:
        small = 2 / np.pi * (log * j0 - 2 * s0)
    else:
        small = 2 / np.pi * (-j0 / near + (log - 1) * j1 - s1)
    far = _hankel(nu, np.where(x < _FAR, _FAR, x))[1]
    out = np.where(x < _FAR, small, far)
    return np.where(x == 0, -np.inf, np.where((x < 0) | ~np.isfinite(x), np.nan, out))


def airy(a: Any) -> Any:
    """Ai(x)."""
    x = np.asarray(a, np.float64)
    near = np.where((x < 2) & (x > -8), x, 0.0)
    f = term = np.ones_like(near)
    g = other = near
    for n in range(1, 60):
        term = term * near**3 / ((3 * n - 1) * (3 * n))
        other = other * near**3 / ((3 * n) * (3 * n + 1))
        f, g = f + term, g + other
    c1 = 3 ** (-2 / 3) / math.gamma(2 / 3)
    c2 = 3 ** (-1 / 3) / math.gamma(1 / 3)
    out = c1 * f - c2 * g
    big = np.where(x >= 2, x, 2.0)
    xi = 2 / 3 * big**1.5
    out = np.where(x >= 2, np.sqrt(big / 3) / np.pi * k(1 / 3, xi), out)
    deep = np.where(x <= -8, -x, 8.0)
    xi = 2 / 3 * deep**1.5
    even, odd, c = np.ones_like(xi), np.zeros_like(xi), 1.0
    for n in range(1, 20):
        c = c * (6 * n - 5) * (6 * n - 3) * (6 * n - 1) / (216 * n * (2 * n - 1))
        t = c / xi**n
        t = np.where(t < 1, t, 0.0)
        if n % 2:
            odd = odd + (-1) ** (n // 2) * t
        else:
            even = even + (-1) ** (n // 2) * t
    phase = xi + np.pi / 4
    wave = (np.sin(phase) * even - np.cos(phase) * odd) / (np.sqrt(np.pi) * deep**0.25)
    out = np.where(x <= -8, wave, out)
    return np.where(np.isnan(x), np.nan, np.where(x == np.inf, 0.0, out))
