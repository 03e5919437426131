"""Functions of floating-point and integer numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ops.numeric import check_gradients

import facula as torch

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("name", "a", "b", "expected"),
    [
        ("gcd", 12, -18, 6),
        ("lcm", 4, 6, 12),
        ("lcm", 0, 5, 0),
        ("hypot", 3.0, 4.0, 5.0),
        ("copysign", 2.0, -0.0, -2.0),
        ("fmax", NAN, 1.0, 1.0),
        ("fmin", 2.0, NAN, 2.0),
        ("heaviside", 0.0, 0.5, 0.5),
        ("heaviside", NAN, 0.5, 0.0),
        ("xlogy", 0.0, 0.0, 0.0),
        ("logaddexp", -INF, -INF, -INF),
        ("logaddexp2", 3.0, 3.0, 4.0),
        ("ldexp", 3.0, 4.0, 48.0),
    ],
)
def test_by_hand(name, a, b, expected):
    assert getattr(torch, name)(torch.tensor(a), torch.tensor(b)).item() == pytest.approx(expected)


@pytest.mark.parametrize("start", [1.0, -1.0, 0.0, 2.0**-126])
def test_the_next_bfloat16_is_one_step_away(start):
    x = torch.tensor([start], dtype=torch.bfloat16)
    up = torch.nextafter(x, torch.tensor([INF], dtype=torch.bfloat16))
    assert up.item() > start
    back = torch.nextafter(up, torch.tensor([-INF], dtype=torch.bfloat16))
    assert back.item() == start


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_ldexp_by_whole_numbers_keeps_the_dtype(dtype):
    x = torch.tensor(3.0, dtype=dtype)
    for by, expected in ((torch.tensor([2, -1]), [12, 1.5]), (torch.tensor([-20]), [3 * 2.0**-20])):
        got = torch.ldexp(x, by)
        assert got.dtype is dtype and got.tolist() == expected


def test_mantissa_and_exponent():
    mantissa, exponent = torch.frexp(torch.tensor([10.0, -0.25, 0.0]))
    assert mantissa.tolist() == [0.625, -0.5, 0] and exponent.tolist() == [4, -1, 0]
    assert exponent.dtype is torch.int32


def test_nan_to_num():
    x = torch.tensor([NAN, INF, -INF, 1.0])
    assert x.nan_to_num(1, 2, 3).tolist() == [1, 2, 3, 1]
    assert x.nan_to_num()[1].item() == torch.finfo(torch.float32).max


@pytest.mark.parametrize(
    ("name", "points"),
    [("sinc", [-0.7, 0.4, 2.3]), ("logit", [0.2, 0.9]), ("rad2deg", [1.0]), ("frac", [1.3, -0.2])],
)
def test_unary_derivatives(name, points):
    check_gradients(getattr(torch, name), points)


@pytest.mark.parametrize("name", ["hypot", "copysign", "logaddexp", "logaddexp2", "xlogy", "fmax"])
def test_binary_derivatives(name):
    check_gradients(getattr(torch, name), [0.5, 1.5, 3.0], [2.0, 0.7, 1.0])


def test_float_power_is_double():
    assert torch.float_power(torch.tensor([2]), 0.5).dtype is torch.float64
    assert torch.float_power(2, torch.tensor([1j])).dtype is torch.complex128
    with pytest.raises(RuntimeError, match="float_power_"):
        torch.ones(1).float_power_(2)


def test_sum_to_size_undoes_broadcasting():
    assert torch.ones(2, 3).sum_to_size(1, 3).tolist() == [[2, 2, 2]]
    with pytest.raises(RuntimeError, match="not expandable"):
        torch.ones(2, 3).sum_to_size(2)


def test_sinc_at_zero_and_degrees():
    assert torch.sinc(torch.zeros(1)).item() == 1
    np.testing.assert_allclose(torch.deg2rad(torch.tensor(180.0)).item(), math.pi, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.float16])
def test_sum_to_size_adds_as_sum_does(dtype):
    x = torch.ones(2, 3, dtype=dtype)
    assert x.sum_to_size(1, 3).dtype is x.sum_to_size().dtype is x.sum().dtype
    assert x.sum_to_size(2, 3) is x
    assert x.sum_to_size(2, 1).tolist() == [[3], [3]]


def test_float_power_in_place_has_derivatives_of_both_operands():
    a, b = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (2.0, 0.7))
    x = a.clone()
    x.float_power_(b)
    grads = torch.autograd.grad(x, [a, b], create_graph=True)
    second = torch.autograd.grad(grads[0], [a, b])
    assert [t.item() for t in grads] == pytest.approx([0.7 * 2**-0.3, 2**0.7 * np.log(2)])
    assert second[0].item() == pytest.approx(-0.21 * 2**-1.3)
    with pytest.raises(RuntimeError, match="float32"):
        torch.ones(1).float_power_(2)


SLOPES = [  # PyTorch's gradients of both operands where this one arrives
    (torch.xlogy, 2.0, 0.0, 0.0, [0.0, NAN]),
    (torch.xlogy, 0.0, -1.0, INF, [0.0, NAN]),
    (torch.special.xlog1py, 2.0, -1.0, 0.0, [0.0, NAN]),
    (torch.remainder, -3.0, 0.3, 1.0, [1.0, 11.0]),
    (torch.remainder, -1.0, INF, 1.0, [1.0, 1.0]),
    (torch.copysign, 2.0, -1.0, INF, [-INF, 0.0]),
    (torch.nn.functional.huber_loss, -1.0, INF, 1.0, [-1.0, 1.0]),
    (torch.nn.functional.smooth_l1_loss, -1.0, INF, 1.0, [-1.0, 1.0]),
    (torch.nn.functional.smooth_l1_loss, 0.5, NAN, 1.0, [NAN, NAN]),
]


@pytest.mark.parametrize(("f", "a", "b", "g", "expected"), SLOPES)
def test_gradients_at_the_ends(f, a, b, g, expected, tier):
    """Floors of quotients as division gives them, and no NaN from what doesn't pass."""
    x, y = (torch.tensor(t, dtype=torch.float64, requires_grad=True) for t in (a, b))
    for _ in range(2):
        grads = torch.autograd.grad(f(x, y), [x, y], torch.tensor(g, dtype=torch.float64))
        np.testing.assert_array_equal([t.item() for t in grads], expected)


def test_heaviside_has_no_derivative():
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="derivative for aten::heaviside is not implemented"):
        torch.heaviside(x, torch.ones(2)).sum().backward()
