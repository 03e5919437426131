"""Bessel and Airy functions, by Wronskians and values from Abramowitz and Stegun."""

from __future__ import annotations

import numpy as np
import pytest

from facula.ops import bessel

X = np.array([1e-9, 1e-3, 0.5, 2.0, 5.5, 12.0, 29.9, 30.1, 200.0])


@pytest.fixture(autouse=True)
def _as_in_a_program():
    """The interpreter runs the functions with NumPy's floating-point warnings off."""
    with np.errstate(all="ignore"):
        yield


def test_j_and_y():
    np.testing.assert_allclose(
        bessel.j(0, np.array([1.0, 5.0])), [0.7651976865579666, -0.1775967713143383]
    )
    np.testing.assert_allclose(
        bessel.j(1, np.array([1.0, -5.0])), [0.4400505857449335, 0.3275791375914652]
    )
    np.testing.assert_allclose(
        bessel.y(0, np.array([1.0, 5.0])), [0.08825696421567698, -0.30851762524903303]
    )
    wronskian = bessel.j(1, X) * bessel.y(0, X) - bessel.j(0, X) * bessel.y(1, X)
    np.testing.assert_allclose(wronskian, 2 / (np.pi * X), rtol=1e-11)


def test_modified():
    np.testing.assert_allclose(bessel.i(0, np.array([1.0, -1.0])), 1.2660658777520084)
    np.testing.assert_allclose(
        bessel.i(1, np.array([1.0, -1.0])), [0.5651591039924851, -0.5651591039924851]
    )
    np.testing.assert_allclose(bessel.k(0, np.array([1.0])), 0.42102443824070834)
    wronskian = bessel.ie(0, X) * bessel.ke(1, X) + bessel.ie(1, X) * bessel.ke(0, X)
    np.testing.assert_allclose(wronskian, 1 / X, rtol=1e-11)


def test_airy():
    x = np.array([0.0, 1.0, -1.0, 2.0, 5.0, -7.9, -8.1, -20.0])
    want = [
        *(0.3550280538878172, 0.1352924163128814, 0.5355608832923521, 0.03492413042327438),
        *(0.00010834442813607442, 0.0370291, -0.1285119, -0.17640612707798468),
    ]
    got = bessel.airy(x)
    np.testing.assert_allclose(
        got[[0, 1, 2, 3, 4, 7]], np.array(want)[[0, 1, 2, 3, 4, 7]], rtol=1e-9
    )
    h = 1e-3  # Ai'' = x Ai on both sides of each change of method
    for t in (2.0, -8.0, 1.0, -3.0, -15.0):
        a, b, c = bessel.airy(np.array([t - h, t, t + h]))
        assert (a - 2 * b + c) / h**2 == pytest.approx(t * b, rel=1e-4, abs=1e-6)


def test_edges():
    assert bessel.y(0, np.array([0.0]))[0] == -np.inf and np.isnan(bessel.y(1, np.array([-1.0]))[0])
    assert bessel.k(1, np.array([0.0]))[0] == np.inf
    assert bessel.airy(np.array([np.inf]))[0] == 0
