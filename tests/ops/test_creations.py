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


LIKE = {
    "empty_like": (),
    "zeros_like": (),
    "ones_like": (),
    "full_like": (2,),
    "rand_like": (),
    "randn_like": (),
    "randint_like": (5,),
}


@pytest.mark.parametrize("name", LIKE)
def test_memory_formats_of_tensors_like_another(name):
    make = getattr(torch, name)
    last, rows = torch.channels_last, torch.contiguous_format
    x = torch.ones(2, 3, 4, 6)
    y = make(x, *LIKE[name], memory_format=last)
    assert y.stride() == (72, 1, 18, 3) == make(y, *LIKE[name]).stride()
    assert make(y, *LIKE[name], memory_format=rows).stride() == x.stride()
    with pytest.raises(RuntimeError, match="rank 4"):
        make(x[0], *LIKE[name], memory_format=last)


def test_memory_formats_of_empty_tensors():
    x = torch.empty(2, 3, 4, 6, memory_format=torch.channels_last, requires_grad=True)
    assert x.stride() == (72, 1, 18, 3) and x.is_leaf and x.requires_grad
    y = torch.empty((1, 2, 3, 4, 5), memory_format=torch.channels_last_3d, dtype=torch.int16)
    assert y.stride() == (120, 1, 40, 10, 2) and y.dtype is torch.int16
    z = torch.empty(2, 3, 1, 4, memory_format=torch.channels_last, device="meta")
    assert z.stride() == (12, 1, 12, 3)
    with pytest.raises(RuntimeError, match="Preserve"):
        torch.empty(2, 3, 4, 6, memory_format=torch.preserve_format)
    for make in (torch.zeros, torch.ones):
        with pytest.raises(TypeError, match="memory_format"):
            make(2, 3, 4, 6, memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("fill", "numbers"),
    [
        (lambda out: torch.arange(0, 4, out=out), [0, 1, 2, 3]),
        (lambda out: torch.linspace(0, 3, 4, out=out), [0, 1, 2, 3]),
        (lambda out: torch.logspace(0, 3, 4, base=2, out=out), [1, 2, 4, 8]),
    ],
)
def test_ranges_fill_as_many_elements_of_any_shape(fill, numbers):
    x = torch.zeros(2, 3)
    assert fill(x[:, 1:]).shape == (2, 2)
    assert x.tolist() == [[0, *numbers[:2]], [0, *numbers[2:]]]
    with pytest.warns(UserWarning, match="resized"):
        assert fill(torch.zeros(2, 3)).tolist() == numbers


@pytest.mark.parametrize("name", ["linspace", "logspace"])
def test_complex_ends_of_a_real_range(name):
    make = getattr(torch, name)
    assert make(0, 1j, 3).is_complex()
    with pytest.raises(RuntimeError, match=f"{name}.*inferred dtype"):
        make(0, 1j, 3, dtype=torch.float32)


def test_sizes_and_devices_that_no_memory_has():
    for make in (
        lambda: torch.empty_strided([8, 8], [2**61, 1], dtype=torch.float64),
        lambda: torch.empty_strided([2, 2], [-1, 1]),
        lambda: torch.empty(2**62, 8),
    ):
        with pytest.raises(RuntimeError, match="Storage size calculation overflowed"):
            make()
    with pytest.raises(RuntimeError, match="legacy constructor expects device type: cpu"):
        torch.Tensor(2, device="cuda")
    assert torch.Tensor(2, device="cpu").shape == (2,)
