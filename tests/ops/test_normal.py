"""The normal distribution and the inverse error function."""

from __future__ import annotations

import math

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


def test_tails():
    x = np.array([2.4999, 2.5001])
    np.testing.assert_allclose(*normal.erfcx(x), rtol=1e-4)
    assert normal.erfcx(1e8) == pytest.approx(1e-8 / math.sqrt(math.pi), rel=1e-14)
    np.testing.assert_allclose(normal.log_ndtr(np.array([-50.0])), -1254.8313611394013)
    np.testing.assert_allclose(normal.ndtr(np.array([0.0, 1.96])), [0.5, 0.9750021048517795])
