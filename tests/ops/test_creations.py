"""Tensors from nothing: ranges, layouts."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import facula as torch


@pytest.mark.parametrize(
    ("args", "dtype", "expected"),
    [
        ((0.0, -8.000001, -4.0), torch.int64, [0, -4]),
        ((0.1, -7.9, -4.0), torch.int64, [0, -4]),
        ((5,), None, [0, 1, 2, 3, 4]),
        ((1, 2, 0.5), None, [1.0, 1.5]),
        ((3, 3), None, []),
        ((2.1, -2.9, -1.0), torch.int64, [2, 1, 0, -1]),
        ((2.1, -2.9, -1.0), torch.int32, [2, 1, 0, -1, -2]),
        ((0, 3.1), torch.uint8, [0, 1, 2, 3]),
        ((0, 1, 0.5), torch.int16, [0, 0]),
    ],
)
def test_arange(args, dtype, expected):
    assert torch.arange(*args, dtype=dtype).tolist() == expected


@pytest.mark.parametrize("n", [65_535, 65_536, 70_001])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.float32, torch.float64])
def test_many_numbers_in_a_row(n, dtype):
    assert np.array_equal(torch.arange(n, dtype=dtype).numpy(), np.arange(n))
    want = 5.0 - 2.0 * np.arange(n)
    assert np.array_equal(torch.arange(5, 5 - 2 * n, -2, dtype=dtype).numpy(), want)


def test_arange_takes_the_dtype_of_what_it_writes_to():
    out = torch.empty(0, dtype=torch.int64)
    assert torch.arange(2.1, -2.9, -1.0, out=out) is out
    assert out.tolist() == [2, 1, 0, -1]
    with pytest.raises(ValueError, match="step"):
        torch.arange(0, 64, 0.5, out=out)


def test_ranges_of_integers_take_their_ends_as_integers():
    assert torch.linspace(4.3, -3, 8, dtype=torch.int64).tolist() == [4, 3, 2, 1, 0, -1, -2, -3]
    assert torch.logspace(2, 1.2, 2, dtype=torch.int64).tolist() == [100, 10]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ends", [(0.1, 0.7, 1000), (-3.7, 11.3, 77), (5, -2, 40_001), (1, 1, 4)])
def test_linspace_rounds_once_from_the_nearer_end(ends, dtype):
    start, end, steps = dtype(ends[0]), dtype(ends[1]), ends[2]
    by = Fraction(float((end - start) / dtype(steps - 1)))
    got = torch.linspace(*ends, dtype=torch.float32 if dtype is np.float32 else torch.float64)
    for i in [*range(0, steps, 1 + steps // 97), steps // 2, steps // 2 - 1, steps - 1]:
        if i < steps // 2:
            exact = Fraction(float(start)) + i * by
        else:
            exact = Fraction(float(end)) - (steps - 1 - i) * by
        value = dtype(got[i].item())
        error = abs(exact - Fraction(float(value)))
        for other in (-100, 100):
            near = np.nextafter(value, dtype(other))
            assert error <= abs(exact - Fraction(float(near)))


def test_layouts():
    assert torch.empty_strided((2, 3), (1, 2)).stride() == (1, 2)
    assert torch.empty_permuted((2, 3, 4), (0, 2, 1)).stride() == (12, 1, 3)
    assert torch.ones(1).new_empty_strided((2,), (3,)).stride() == (3,)


def test_triangles_and_powers():
    assert torch.tril_indices(2, 3).tolist() == [[0, 1, 1], [0, 0, 1]]
    assert torch.triu_indices(2, 2, 1).tolist() == [[0], [1]]
    assert torch.vander(torch.tensor([2, 3])).tolist() == [[2, 1], [3, 1]]


@pytest.mark.parametrize("bad", [(0, 3, 0), (0, 3, -1), (0, float("inf"))])
def test_ranges_without_an_end_are_errors(bad):
    with pytest.raises(RuntimeError):
        torch.arange(*bad)
    with pytest.raises(TypeError, match="steps"):
        torch.linspace(0, 1, 2.0)


def test_a_range_downwards_begins_with_a_positive_zero():
    x = torch.arange(0.0, -3.0, -1.0)
    assert [str(v) for v in x.tolist()] == ["0.0", "-1.0", "-2.0"]
    assert torch.arange(5, 0, -2, dtype=torch.int8).tolist() == [5, 3, 1]
    assert torch.arange(1, 2, 0.25).tolist() == [1.0, 1.25, 1.5, 1.75]
