"""Orthogonal polynomials by their recurrences, in NumPy. Source: Abramowitz and Stegun 22.7."""

from __future__ import annotations

from typing import Any

import numpy as np

_LIMIT = 1 << 15  # beyond this degree there is no answer but by closed forms


def _chebyshev(first: Any) -> Any:
    def recurrence(k: int, x: Any, now: Any, before: Any) -> Any:
        return 2 * x * now - before

    return first, recurrence


# For each: the polynomial of degree 1, and degree k + 1 from degrees k and k - 1.
_RULES: dict[str, Any] = {
    "chebyshev_polynomial_t": _chebyshev(lambda x: x),
    "chebyshev_polynomial_u": _chebyshev(lambda x: 2 * x),
    "chebyshev_polynomial_v": _chebyshev(lambda x: 2 * x - 1),
    "chebyshev_polynomial_w": _chebyshev(lambda x: 2 * x + 1),
    "hermite_polynomial_h": (
        lambda x: 2 * x,
        lambda k, x, now, before: 2 * x * now - 2 * k * before,
    ),
    "hermite_polynomial_he": (lambda x: x, lambda k, x, now, before: x * now - k * before),
    "laguerre_polynomial_l": (
        lambda x: 1 - x,
        lambda k, x, now, before: ((2 * k + 1 - x) * now - k * before) / (k + 1),
    ),
    "legendre_polynomial_p": (
        lambda x: x,
        lambda k, x, now, before: ((2 * k + 1) * x * now - k * before) / (k + 1),
    ),
}
for _kind in "tuvw":
    _RULES["shifted_chebyshev_polynomial_" + _kind] = _RULES["chebyshev_polynomial_" + _kind]
NAMES = tuple(_RULES)


def _closed(kind: str, x: Any, n: Any) -> Any:
    """A Chebyshev polynomial for |x| < 1, by its angle, in the operands' own precision."""
    angle = np.arccos(x)
    if kind == "t":
        return np.cos(n * angle)
    if kind == "u":
        return np.sin((n + 1) * angle) / np.sin(angle)
    half = angle / 2
    if kind == "v":
        return np.cos((n + x.dtype.type(0.5)) * angle) / np.cos(half)
    return np.sin((n + x.dtype.type(0.5)) * angle) / np.sin(half)


def evaluate(name: str, x: Any, n: Any) -> Any:
    """The polynomial of degree n (its integer part; 0 below degree 0) at x, element by element."""
    d = np.result_type(x, n)
    d = d if d.kind == "f" else np.dtype(np.float32)
    own_x, own_n = np.broadcast_arrays(np.asarray(x, d), np.asarray(n, d))
    x, n = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(n, np.float64))
    degree = np.where(np.isfinite(n), n, -1).astype(np.int64)
    if name.startswith("shifted"):
        x = 2 * x - 1
        own_x = own_x + own_x - 1
    by_angle = np.zeros(x.shape, np.bool_)
    if "chebyshev" in name:
        by_angle = (np.abs(x) < 1) & (degree > (6 if name[-1] == "t" else 8))
        angle = _closed(name[-1], np.where(by_angle, own_x, d.type(0.5)), np.trunc(own_n))
        degree = np.where(by_angle, -1, degree)
    first, rule = _RULES[name]
    before, now = np.ones_like(x), first(x)
    out = np.where(degree == 0, before, np.where(degree == 1, now, 0.0))
    top = int(degree.max()) if degree.size else 0
    for k in range(1, min(top, _LIMIT)):
        before, now = now, rule(k, x, now, before)
        out = np.where(degree == k + 1, now, out)
    if top > _LIMIT:
        out = np.where(degree > _LIMIT, np.nan, out)
    out = out.astype(d)
    return np.where(by_angle, angle, out) if by_angle.any() else out
