"""Fused multiply-adds against exact arithmetic, and the functions of the Box-Muller transform."""

import math
import pathlib
import zlib
from fractions import Fraction

import numpy as np
import pytest

from facula import boxmuller
from facula.boxmuller import box_muller32, box_muller64, fma32, fma64, libm

SCALARS = [(0.3, 0.7), (1.0, 1e-9), (1e10, -3.0), (1 / 3, 1e-20), (-0.1, 1e22), (0.0, 1.5)]


def nearest_error(value, exact, dtype):
    """Whether a neighbour of `value` is nearer to the exact number."""
    value = dtype(value)
    own = abs(Fraction(float(value)) - exact)
    around = (np.nextafter(value, dtype(-np.inf)), np.nextafter(value, dtype(np.inf)))
    return any(abs(Fraction(float(v)) - exact) < own for v in around)


@pytest.mark.parametrize(("a", "b"), SCALARS)
def test_fma64_rounds_once(rng, a, b):
    x = rng.standard_normal(3000) * 2.0 ** rng.integers(-40, 40, 3000)
    expected = [float(Fraction(v) * Fraction(a) + Fraction(b)) for v in x.tolist()]
    assert fma64(x, a, b).tolist() == expected


@pytest.mark.parametrize(("a", "b"), SCALARS)
def test_fma32_rounds_once(rng, a, b):
    x = (rng.standard_normal(3000) * 2.0 ** rng.integers(-30, 30, 3000)).astype(np.float32)
    result = fma32(x, a, b)
    assert result.dtype == np.float32
    a, b = (Fraction(float(np.float32(v))) for v in (a, b))
    for value, before in zip(result, x.tolist(), strict=True):
        assert not nearest_error(value, Fraction(before) * a + b, np.float32)


@pytest.mark.parametrize("tiny", [2.0**-70, -(2.0**-70), 2.0**-100, -(2.0**-100)])
def test_fma32_decides_ties_by_what_float64_drops(rng, tiny):
    # Products that lie in the middle of two float32; b is far below the last bit of float64.
    x = (1 + rng.integers(0, 2**12, 4000) * 2.0**-12).astype(np.float32)
    a = 1 + 2.0**-12
    result = fma32(x, a, tiny)
    exact = [Fraction(v) * Fraction(a) + Fraction(tiny) for v in x.tolist()]
    plain = (x.astype(np.float64) * a + tiny).astype(np.float32)
    assert (result != plain).any()  # else this shows nothing
    for value, number in zip(result, exact, strict=True):
        assert not nearest_error(value, number, np.float32)


def test_fma64_decides_ties_by_what_is_dropped(rng):
    x = 1 + rng.integers(0, 2**26, 3000) * 2.0**-26
    a, tiny = 1 + 2.0**-27, 2.0**-200
    result = fma64(x, a, tiny)
    expected = [float(Fraction(v) * Fraction(a) + Fraction(tiny)) for v in x.tolist()]
    assert result.tolist() == expected
    assert (result != x * a + tiny).any()


@pytest.mark.parametrize("fma", [fma32, fma64])
def test_special_values(fma):
    dtype = np.float32 if fma is fma32 else np.float64
    x = np.array([0.0, -0.0, 1.5, -2.0, np.inf, -np.inf, np.nan], dtype)
    infinities = [(math.inf, 1.0), (1.0, math.inf), (2.0, -math.inf), (math.nan, 1.0)]
    with np.errstate(all="ignore"):
        for a, b in [*infinities, (2.0, math.nan), (0.0, 0.0), (3.0, 0.0), (3.0, 5.0), (1.0, 2.0)]:
            result = fma(x, a, b)
            expected = x * dtype(a) + dtype(b)
            assert result.dtype == dtype
            assert np.array_equal(result, expected, equal_nan=True), (a, b)


def test_fma64_far_out():
    x = np.array([1e200, 1e-200, 1e308, 3.0])
    with np.errstate(all="ignore"):
        for a, b in [(1e150, 1.0), (1e-150, 1.0), (2.0, 1e300), (10.0, 1.0)]:
            assert np.array_equal(fma64(x, a, b), x * a + b)


@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 8193, 30_000])
def test_fma64_in_chunks(rng, size):
    x = rng.standard_normal((size, 2))
    parts = [fma64(row, 0.3, 0.7) for row in x[:50]]
    assert np.array_equal(fma64(x, 0.3, 0.7)[:50], np.array(parts).reshape(-1, 2))


# ---- functions ---------------------------------------------------------------------------------


def every_uniform(step):
    return np.arange(0, 2**24, step, dtype=np.uint32).astype(np.float32) * np.float32(2**-24)


def test_the_logarithm():
    u = np.float32(1.0) - every_uniform(7)
    result = boxmuller._log32(u)
    exact = np.log(u.astype(np.float64))
    assert result.dtype == np.float32
    assert np.abs(result - exact).max() < 1.3e-6
    assert (np.abs(result - exact) <= 1.2e-7 * np.abs(exact)).mean() > 0.99
    assert result[0] == 0


def test_sine_and_cosine():
    angle = np.float32(2 * math.pi) * every_uniform(7)
    sine, cosine = boxmuller._sincos32(angle)
    assert sine.dtype == cosine.dtype == np.float32
    assert np.abs(sine - np.sin(angle.astype(np.float64))).max() < 1e-7
    assert np.abs(cosine - np.cos(angle.astype(np.float64))).max() < 1e-7


def test_the_bits_of_the_float32_transform():
    # The stored checksums are of PyTorch's own transform of these uniforms; see the generator.
    data = np.load(pathlib.Path(__file__).parent / "data" / "random_numbers.npz")
    for step, shift, expected in data["transforms"].tolist():
        radii = np.arange(0, 2**24, step, dtype=np.uint32)
        angles = (radii + shift) % np.uint32(2**24)
        words = np.stack([radii.reshape(-1, 8), angles.reshape(-1, 8)], axis=1).reshape(-1)
        result = words.astype(np.float32) * np.float32(2**-24)
        box_muller32(result, 0.0, 1.0)
        assert zlib.crc32(result) == expected


@pytest.mark.parametrize("blocks", [1, 2, 1024, 1025, 3000])
def test_transforms_are_box_mullers(rng, blocks):
    u = rng.integers(0, 2**24, (blocks, 2, 8)) * 2.0**-24
    radius = np.sqrt(-2 * np.log(1 - u[:, 0]))
    angle = 2 * math.pi * u[:, 1]
    expected = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1) * 0.7 + 0.1
    double = u.reshape(-1).copy()
    box_muller64(double, 0.1, 0.7)
    assert np.allclose(double, expected.reshape(-1), rtol=1e-14, atol=1e-14)
    single = u.reshape(-1).astype(np.float32)
    box_muller32(single, 0.1, 0.7)
    assert np.allclose(single, expected.reshape(-1), rtol=1e-6, atol=2e-6)


def test_a_zero_uniform_gives_a_zero_radius():
    data = np.zeros(16, np.float32)
    box_muller32(data, 0.0, 1.0)
    assert data.tolist() == [0.0] * 16
    assert not np.signbit(data).any()


@pytest.mark.parametrize("size", [0, 5, 4096, 4097])
@pytest.mark.parametrize("name", ["log", "log1p", "sin", "cos", "tan", "exp"])
def test_library_functions(rng, size, name):
    x = rng.random(size)
    expected = [getattr(math, name)(v) for v in x.tolist()]
    result = libm(name, x)
    assert result.dtype == np.float64
    assert np.allclose(result, expected, rtol=1e-15 if size > 4096 else 0, atol=0)


def test_poles_and_overflow_are_not_errors():
    with np.errstate(all="ignore"):
        assert libm("log", np.array([0.0, 1.0])).tolist() == [-math.inf, 0.0]
        assert libm("exp", np.array([1e4, 0.0])).tolist() == [math.inf, 1.0]
    assert libm("sin", np.zeros((2, 3))).shape == (2, 3)
