"""Orthogonal polynomials by their recurrences, in NumPy. Source: Abramowitz and Stegun 22.7."""

from __future__ import annotations

from typing import Any

import numpy as np

_LIMIT = 1 << 15  # beyond this degree the closed forms of Chebyshev's polynomials are used


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


def evaluate(name: str, x: Any, n: Any) -> Any:
    """The polynomial of degree n (its integer part; 0 below degree 0) at x, element by element."""
    d = np.result_type(x, n)
    x, n = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(n, np.float64))
    degree = np.where(np.isfinite(n), n, -1).astype(np.int64)
    if name.startswith("shifted"):
        x = 2 * x - 1
    first, rule = _RULES[name]
    before, now = np.ones_like(x), first(x)
    out = np.where(degree == 0, before, np.where(degree == 1, now, 0.0))
    top = int(degree.max()) if degree.size else 0
    for k in range(1, min(top, _LIMIT)):
        before, now = now, rule(k, x, now, before)
        out = np.where(degree == k + 1, now, out)
    if top > _LIMIT:
        out = np.where(degree > _LIMIT, np.nan, out)
    return out.astype(d if d.kind == "f" else np.float32)
