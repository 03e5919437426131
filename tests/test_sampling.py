"""Memory order, integer ranges and weighted choice."""

import itertools
import warnings
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from facula import sampling
from facula.sampling import (
    arrange,
    cast,
    contiguous,
    fit,
    integer_range,
    largest,
    with_replacement,
)

LAYOUTS = [
    ((), (), True),
    ((5,), (1,), True),
    ((5,), (2,), False),
    ((2, 3), (3, 1), True),
    ((2, 3), (1, 2), False),
    ((2, 3), (6, 2), False),
    ((2, 1, 3), (3, 99, 1), True),
    ((2, 3, 4), (12, 1, 3), False),
    ((1, 1), (7, 7), True),
    ((3, 1, 2), (1, 5, 3), False),
]


@pytest.mark.parametrize(("shape", "strides", "expected"), LAYOUTS)
def test_contiguous(shape, strides, expected):
    assert contiguous(shape, strides) == expected
    assert contiguous(shape, None)


@pytest.mark.parametrize(("shape", "strides", "_"), LAYOUTS)
def test_arrange_follows_memory(shape, strides, _):
    size = int(np.prod(shape))
    result = arrange(np.arange(size), shape, strides)
    assert result.shape == shape
    # Walk the elements in the order of their addresses: they were drawn in that order.
    indices = sorted(
        itertools.product(*map(range, shape)),
        key=lambda index: sum(i * s for i, s in zip(index, strides, strict=True)),
    )
    assert [int(result[index]) for index in indices] == list(range(size))


def test_cast_reaches_short_floats_through_float32():
    # Just above the middle of two float16 by less than a float32 can tell: a tie, so to even.
    value = np.array([1 + 2.0**-11 + 2.0**-40])
    assert cast(value, np.dtype(np.float16))[0] == 1
    assert value.astype(np.float16)[0] > 1
    half = np.dtype(ml_dtypes.bfloat16)
    assert cast(np.array([1 + 2.0**-8 + 2.0**-40]), half).astype(np.float64)[0] == 1
    assert cast(value, np.dtype(np.float64)) is value


INTEGERS = [
    ("int64", 3, 9, (3, 8)),
    ("int64", -(2**63) + 1, None, (-(2**63) + 1, 2**63 - 1)),
    ("int64", -(2**63), 2**63 - 1, (-(2**63), 2**63 - 2)),
    ("uint8", 0, 256, (0, 255)),
    ("uint8", 255, None, (255, 255)),
    ("int8", -128, 128, (-128, 127)),
    ("bool", 0, None, (0, 1)),
    ("uint64", 0, 2**63 - 1, (0, 2**63 - 2)),
    ("float16", 0, None, (0, 2**11)),
    ("float32", 5, None, (5, 2**24)),
    ("float64", 0, None, (0, 2**53)),
]


@pytest.mark.parametrize(("name", "low", "high", "expected"), INTEGERS)
def test_integer_range(name, low, high, expected):
    assert integer_range(name, low, high) == expected


SHORT = [
    (n, ml_dtypes.finfo(getattr(ml_dtypes, n, None) or n).dtype) for n in ("float16", "bfloat16")
]


@pytest.mark.parametrize(("name", "dtype"), SHORT)
def test_float_ranges_stay_inside_after_rounding(rng, name, dtype):
    limit = 2 ** (sampling.FLOATS[name][0] + 4)
    checked = 0
    for low, high in rng.integers(-limit, limit, (400, 2)).tolist():
        if low >= high - 1:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                first, last = integer_range(name, low, high)
            except RuntimeError:
                continue
        assert low <= first <= last <= high - 1
        ends = cast(np.array([first, last]), dtype).astype(np.int64)
        # The documented promise: a value drawn is below `high` after rounding.
        assert ends[1] < high
        checked += 1
    assert checked > 100


def test_a_bound_that_rounds_to_2_63_stays():
    with pytest.warns(UserWarning, match="float32 holds every integer"):
        assert integer_range("float32", 0, 2**63 - 1) == (0, 2**63 - 2)


@pytest.mark.parametrize("digits", [8, 11, 24])
def test_nearest(rng, digits):
    for value in rng.integers(-(2**40), 2**40, 300).tolist():
        result = sampling._nearest(value, digits)
        unit = 1 << max(abs(value).bit_length() - digits, 0)
        assert result % unit == 0
        assert abs(result - value) <= Fraction(unit, 2)
        if abs(result - value) == Fraction(unit, 2):
            assert (result // unit) % 2 == 0
        if digits == 24:
            assert result == int(np.float32(value))


# ---- weighted choice ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("categories", [1, 2, 3, 7, 64, 100])
def test_rows_are_searched_as_one_by_one(rng, dtype, categories):
    weights = rng.random((5, categories)).astype(dtype)
    weights[:, rng.integers(categories)] = 0
    weights[:, -1] += dtype(0.5)
    uniforms = rng.random((5, 200))
    together = with_replacement(weights, uniforms)
    assert together.dtype == np.int64
    for row, row_uniforms, drawn in zip(weights, uniforms, together, strict=True):
        alone = with_replacement(row, row_uniforms)
        assert alone.dtype == np.int64 and np.array_equal(alone, drawn)


def test_the_first_slot_that_reaches():
    weights = np.array([0.0, 1.0, 0.0, 1.0, 2.0])
    uniforms = np.array([0.0, 0.1, 0.25, 0.26, 0.5, 0.51, 1 - 2.0**-53])
    # A cumulative weight equal to the uniform reaches it; so zero draws slot 0, as in PyTorch.
    assert with_replacement(weights, uniforms).tolist() == [0, 1, 1, 3, 3, 4, 4]


@pytest.mark.parametrize("n", [1, 2, 5, 12, 100])
def test_largest_is_a_stable_sort(rng, n):
    weights = rng.integers(1, 20, 100).astype(np.float64)
    ones = np.ones(100)
    expected = sorted(range(100), key=lambda i: -weights[i])[:n]
    assert largest(weights, ones, n).tolist() == expected
    together = largest(np.stack([weights, weights[::-1]]), np.ones((2, 100)), n)
    assert together.dtype == np.int64 and together[0].tolist() == expected
    assert together[1].tolist() == largest(weights[::-1], ones, n).tolist()


@pytest.mark.parametrize("categories", [1, 2, 3, 4, 5, 7, 8, 9, 100])
def test_the_search_in_rows_finds_the_first_that_reaches(categories, rng):
    weights = rng.integers(0, 3, (20, categories)).astype(np.float64)
    weights[:, rng.integers(categories)] += 1
    uniforms = rng.random((20, 30))
    uniforms[:, :4] = [0.0, 1.0, 0.5, 0.25]
    got = with_replacement(weights, uniforms)
    sums = weights.cumsum(1) / weights.sum(1, keepdims=True)
    sums[:, -1] = 1
    want = [np.searchsorted(a, b) for a, b in zip(sums, uniforms, strict=True)]
    assert got.tolist() == np.array(want).tolist()


@pytest.mark.parametrize(
    ("rows", "good"),
    [
        ([[1.0, 0.0], [0.0, 2.0]], True),
        ([1.0, 0.0], True),
        ([[1.0, 0.0], [0.0, -0.0]], False),
        ([[1.0, -1.0]], False),
        ([[1.0, float("nan")]], False),
        ([[1.0, float("inf")]], False),
        ([[]], False),
    ],
)
def test_weights_that_can_be_drawn_by(rows, good):
    assert fit(np.array(rows)) is good
    many = np.array(rows)[[*range(len(rows)), *[0] * 64]]  # looked at in another way
    assert fit(many) is good
