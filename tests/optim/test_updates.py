"""The steps of which updates consist: float32 and the types of 16 bits."""

import numpy as np
import pytest

import facula as torch
from facula.optim import _updates

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def vectors(dtype, rng):
    return [torch.tensor(rng.uniform(0.5, 2.0, 40)).to(dtype) for _ in range(3)]


def exact(*tensors):
    return [t.double().numpy().copy() for t in tensors]


def rounded(values, dtype):
    return torch.tensor(values).float().to(dtype).double().numpy()


def assert_close(got, expected, dtype):
    """Equal to rounding; in 16 bits to one rounding in all but a few elements, which float32's own
    rounding moves over a tie."""
    got = got.double().numpy()
    if dtype in (torch.bfloat16, torch.float16):
        assert np.mean(got != rounded(expected, dtype)) < 0.1
    eps = torch.finfo(dtype).eps
    np.testing.assert_allclose(got, expected, 4 * eps, 4 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weight", [0.1, 0.9])
def test_approach(dtype, weight, rng):
    a, b, _ = vectors(dtype, rng)
    x, y = exact(a, b)
    _updates.approach(a, b, weight)
    assert_close(a, x + weight * (y - x), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_average_square(dtype, rng):
    a, b, _ = vectors(dtype, rng)
    x, y = exact(a, b)
    _updates.average_square(a, b, 0.75, 0.25)
    kept = rounded(0.75 * x, dtype) if dtype.itemsize == 2 else 0.75 * x
    assert_close(a, kept + 0.25 * y * y, dtype)


def test_average_square_stays_infinite():
    a = torch.tensor([1.0])
    _updates.average_square(a, torch.tensor([1e30]), 0.9, 0.1)
    _updates.average_square(a, torch.tensor([1.0]), 0.9, 0.1)
    assert a.item() == float("inf")


@pytest.mark.parametrize("dtype", DTYPES)
def test_add_ratio(dtype, rng):
    p, a, b = vectors(dtype, rng)
    x, y, z = exact(p, a, b)
    _updates.add_ratio(p, a, b, -0.3)
    assert_close(p, x - 0.3 * y / z, dtype)
    (x,) = exact(p)
    _updates.add_ratio(p, a, b)
    assert_close(p, x + y / z, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_factors_that_are_tensors(dtype, rng):
    p, a, b = vectors(dtype, rng)
    q, c = p.clone(), b.clone()
    _updates.add_ratio(p, a, b, torch.tensor(-0.5, dtype=dtype))
    _updates.add_ratio(q, a, b, -0.5)
    eps = torch.finfo(dtype).eps
    np.testing.assert_allclose(*exact(p, q), 3 * eps, 3 * eps)
    half = torch.tensor(0.5, dtype=dtype)
    _updates.average_square(b, a, half, 1 - half)
    _updates.average_square(c, a, 0.5, 0.5)
    np.testing.assert_allclose(*exact(b, c), 3 * eps)


@pytest.mark.parametrize("value", [0.0, -0.0, 2.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64], ids=str)
def test_like(value, dtype):
    for p in (torch.ones(2, 3, dtype=dtype), torch.ones(3, 2, dtype=dtype).t()):
        t = _updates.like(p, value)
        assert (t.shape, t.dtype, t.stride()) == (p.shape, p.dtype, p.stride())
        real = torch.view_as_real(t)[..., 0] if dtype.is_complex else t
        assert str(real.tolist()) == str([[value] * 3] * 2)
