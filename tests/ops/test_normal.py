"""The normal distribution and the inverse error function."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from facula.ops import normal
from facula.ops.erf import erf


@pytest.fixture(autouse=True)
def _as_in_a_program():
    """The interpreter runs the functions with NumPy's floating-point warnings off."""
    with np.errstate(all="ignore"):
        yield


def test_inverses():
    y = np.array([-0.9999, -0.5, -1e-10, 0.0, 0.3, 0.5, 0.99])
    np.testing.assert_allclose(erf(normal.erfinv(y)), y, rtol=1e-13, atol=1e-25)
    p = np.array([1e-100, 1e-10, 0.02, 0.5, 0.98])
    np.testing.assert_allclose(np.log(p), normal.log_ndtr(normal.ndtri(p)), rtol=1e-12)
    assert normal.erfinv(np.array([1.0, -1.0])).tolist() == [math.inf, -math.inf]
    assert np.isnan(normal.ndtri(np.array([1.5, -0.1]))).all()


def test_inverses_agree_with_the_standard_library():
    """Over all three parts of the approximation, and where they meet."""
    p = np.concatenate([np.linspace(0.01, 0.99, 99), [0.075, 0.925, 1e-11, 1.5e-11, 1e-300]])
    want = [statistics.NormalDist().inv_cdf(v) for v in p]
    np.testing.assert_allclose(normal.ndtri(p), want, rtol=1e-14)
    y = 2 * p[:-3] - 1
    np.testing.assert_allclose(
        normal.erfinv(y), [v / math.sqrt(2) for v in want[:-3]], rtol=1e-12, atol=1e-15
    )
    assert normal.erfinv(np.float64(0.0)) == 0 and normal.ndtri(0.0) == -math.inf
    assert normal.ndtri(np.array([[0.5, 1.0]])).tolist() == [[0.0, math.inf]]


def test_tails():
    x = np.array([2.4999, 2.5001])
    np.testing.assert_allclose(*normal.erfcx(x), rtol=1e-4)
    assert normal.erfcx(1e8) == pytest.approx(1e-8 / math.sqrt(math.pi), rel=1e-14)
    np.testing.assert_allclose(normal.log_ndtr(np.array([-50.0])), -1254.8313611394013)
    np.testing.assert_allclose(normal.ndtr(np.array([0.0, 1.96])), [0.5, 0.9750021048517795])
