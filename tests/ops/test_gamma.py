"""The gamma function and its kin, by values and identities from Abramowitz and Stegun."""

from __future__ import annotations

import math

import numpy as np
import pytest

from facula.ops import gamma

X = np.array([1e-12, 0.1, 0.5, 1.0, 1.5, 2.0, 3.7, 9.9, 10.1, 57.3, 1e5])
Y = X[1:]


@pytest.fixture(autouse=True)
def _as_in_a_program():
    """The interpreter runs the functions with NumPy's floating-point warnings off."""
    with np.errstate(all="ignore"):
        yield


def test_lgamma_against_the_standard_library():
    both = np.concatenate([X, -X[:3], [-0.5, -1.5, -2.3, -57.3]])
    np.testing.assert_allclose(
        gamma.lgamma(both), [math.lgamma(x) for x in both], rtol=1e-12, atol=1e-14
    )
    assert np.isposinf(gamma.lgamma(np.array([0.0, -1.0, -np.inf, np.inf]))).all()
    assert gamma.lgamma(np.array([1.0, 2.0])).tolist() == [0, 0]
    e = 2.0**-40  # near its zeros it is -euler_gamma * e and (1 - euler_gamma) * e
    slopes = np.array([-np.euler_gamma, 1 - np.euler_gamma])
    np.testing.assert_allclose(gamma.lgamma(np.array([1 + e, 2 + e])), slopes * e, rtol=1e-11)


def test_digamma_recurrence_reflection_and_values():
    np.testing.assert_allclose(
        gamma.digamma(Y + 1), gamma.digamma(Y) + 1 / Y, rtol=1e-12, atol=1e-13
    )
    x = np.array([0.1, 0.3, 2.7])
    np.testing.assert_allclose(gamma.digamma(1 - x), gamma.digamma(x) + np.pi / np.tan(np.pi * x))
    assert gamma.digamma(1.0) == pytest.approx(-np.euler_gamma, rel=1e-14)
    assert gamma.digamma(0.0) == -np.inf and gamma.digamma(-0.0) == np.inf
    assert np.isnan(gamma.digamma(-3.0))


def test_zeta_and_polygamma():
    assert gamma.zeta(2.0, 1.0) == pytest.approx(np.pi**2 / 6, rel=1e-14)
    assert gamma.zeta(4.0, 1.0) == pytest.approx(np.pi**4 / 90, rel=1e-14)
    s, q = np.array([1.5, 3.0, 20.0]), np.array([0.2, 7.0, 30.0])
    np.testing.assert_allclose(gamma.zeta(s, q), gamma.zeta(s, q + 1) + q**-s, rtol=1e-12)
    assert gamma.polygamma(1, -0.5) == pytest.approx(gamma.polygamma(1, 0.5) + 4, rel=1e-12)
    assert gamma.polygamma(2, 1.0) == pytest.approx(-2 * 1.2020569031595942, rel=1e-13)


@pytest.mark.parametrize("a", [0.5, 1.0, 3.0, 40.0, 500.0])
def test_incomplete_gamma(a):
    x = np.array([0.01, 0.5, 1.0, 3.0, 39.0, 41.0, 480.0, 520.0])
    p, q = gamma.incomplete(a, x, False), gamma.incomplete(a, x, True)
    np.testing.assert_allclose(p + q, 1, rtol=1e-12)
    if a == 1:
        np.testing.assert_allclose(q, np.exp(-x), rtol=1e-12)
    step = np.exp(a * np.log(x) - x - gamma.lgamma(a + 1))
    np.testing.assert_allclose(gamma.incomplete(a + 1, x, False), p - step, rtol=1e-9, atol=1e-12)
