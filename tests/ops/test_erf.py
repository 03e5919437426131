"""The interpreter's error function against the C library's, which is right to a digit or so."""

import math

import numpy as np
import pytest

from facula.ops import erf


@pytest.mark.parametrize("name", ["erf", "erfc"])
def test_doubles_agree_with_the_c_library(name):
    x = np.concatenate([np.linspace(-9, 29, 20011), np.linspace(-1e-3, 1e-3, 999)])
    want = np.array([getattr(math, name)(v) for v in x.tolist()])
    got = getattr(erf, name)(x)
    normal = np.abs(want) > 1e-300
    error = np.abs(got - want)[normal] / np.spacing(np.abs(want[normal]))
    assert error.max() <= 8
    assert np.abs(got - want)[~normal].max(initial=0.0) < 1e-315


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_shapes_dtypes_and_the_ends(dtype):
    x = np.array([[np.inf, -np.inf, np.nan], [0.0, -0.0, 30.0]], dtype)
    y = erf.erf(x)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.array([[1, -1, np.nan], [0, 0, 1]], dtype))
    assert np.signbit(y[1, 1]) and not np.signbit(y[1, 0])
    np.testing.assert_array_equal(erf.erfc(x), np.array([[0, 2, np.nan], [1, 1, 0]], dtype))
    assert erf.erf(dtype(0.5) * np.ones((), dtype)).shape == ()
    assert erf.erf(np.ones((0, 3), dtype)).shape == (0, 3)


def test_more_elements_than_a_block_are_what_single_ones_are():
    x = np.linspace(-4, 4, erf._BLOCK + 7)
    np.testing.assert_array_equal(erf.erf(x)[-9:], erf.erf(x[-9:]))


def test_floats_are_right_to_two_units_of_the_last_place():
    rng = np.random.default_rng(5)
    spread = rng.uniform(-5, 5, 100_000), np.exp(rng.uniform(-80, 1, 50_000)), [1e-45, -1e-38, 4]
    x = np.concatenate(spread).astype(np.float32)
    want = np.array([math.erf(v) for v in x.astype(np.float64).tolist()])
    error = np.abs(erf.erf(x).astype(np.float64) - want)
    assert (error / np.spacing(np.abs(want).astype(np.float32))).max() <= 2
    square = x[:10_000].reshape(100, 100)
    np.testing.assert_array_equal(erf.erf(square.T), erf.erf(square).T)
