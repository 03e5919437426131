"""Orthogonal polynomials by their explicit forms."""

from __future__ import annotations

import numpy as np
import pytest

from facula.ops.polynomials import NAMES, evaluate

X = np.linspace(-0.9, 0.9, 7)
T = np.arccos(X)
DEGREE_4 = {
    "chebyshev_polynomial_t": np.cos(4 * T),
    "chebyshev_polynomial_u": np.sin(5 * T) / np.sin(T),
    "chebyshev_polynomial_v": np.cos(4.5 * T) / np.cos(T / 2),
    "chebyshev_polynomial_w": np.sin(4.5 * T) / np.sin(T / 2),
    "hermite_polynomial_h": 16 * X**4 - 48 * X**2 + 12,
    "hermite_polynomial_he": X**4 - 6 * X**2 + 3,
    "laguerre_polynomial_l": (X**4 - 16 * X**3 + 72 * X**2 - 96 * X + 24) / 24,
    "legendre_polynomial_p": (35 * X**4 - 30 * X**2 + 3) / 8,
}


@pytest.mark.parametrize("name", NAMES)
def test_degree_four(name):
    plain = name.removeprefix("shifted_")
    x = (X + 1) / 2 if plain != name else X
    np.testing.assert_allclose(evaluate(name, x, np.array(4.0)), DEGREE_4[plain], atol=1e-12)
    assert evaluate(name, x, np.array(-1.0)).tolist() == [0] * 7
    assert evaluate(name, x, np.array(0.9)).tolist() == [1] * 7


def test_high_degrees_by_the_angle():
    for kind in "tuvw":
        name = "chebyshev_polynomial_" + kind
        by_angle = evaluate(name, X, np.array(40.0))
        before, now = evaluate(name, X, np.array(7.0)), evaluate(name, X, np.array(8.0))
        for _ in range(32):
            before, now = now, 2 * X * now - before
        np.testing.assert_allclose(by_angle, now, atol=1e-10)
