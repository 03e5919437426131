"""Arithmetic: 16-bit composites, rounding, the types of operands."""

from __future__ import annotations

import pytest

import facula as torch


def test_16_bit_composites_round_once():
    a = torch.tensor([1 + 2.0**-7], dtype=torch.bfloat16)
    minus = torch.tensor([-(1 + 2.0**-6)], dtype=torch.bfloat16)  # the rounded square
    assert torch.addcmul(minus, a, a).item() == 2.0**-14
    assert (minus + a * a).item() == 0


def test_a_quotient_in_16_bits_is_rounded_before_it_is_cut():
    a = torch.tensor([80.5, -60.5, 7.0], dtype=torch.bfloat16)
    b = torch.tensor([0.5234375, -0.59375, 2.0], dtype=torch.bfloat16)
    assert torch.div(a, b, rounding_mode="trunc").tolist() == [154, 102, 3]  # of 153.8, 101.9


def test_lerp_is_exact_at_both_ends():
    a, b = torch.tensor([0.1]), torch.tensor([0.7])
    assert torch.lerp(a, b, 0).item() == a.item()
    assert torch.lerp(a, b, 1).item() == b.item()
    assert torch.lerp(a, b, torch.tensor([1.0])).item() == b.item()


def test_a_tensor_of_one_element_stands_for_a_number():
    """Also one that is still pending: as the step of a line search is."""
    for k in range(4):
        step, x = torch.tensor(2.0) * (k + 1), torch.ones(3) * k
        p = torch.zeros(3)
        p.add_(x, alpha=step).addcmul_(x, x, value=step)
        two = 2 * (k + 1)
        assert p.tolist() == [two * k + two * k * k] * 3
        assert torch.nn.functional.leaky_relu(-x, step).tolist() == [-two * k] * 3


@pytest.mark.parametrize(
    ("value", "decimals", "expected"),
    [(1.25, 1, 1.2), (-1.35, 1, -1.4), (1234.0, -2, 1200.0), (2.5, 0, 2.0)],
)
def test_round_to_decimals(value, decimals, expected):
    got = torch.tensor(value, dtype=torch.float64).round(decimals=decimals).item()
    assert got == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["atan2", "maximum", "logical_and", "fmod", "rsub", "square"])
def test_a_number_in_place_of_a_tensor_is_a_type_error(name):
    f = getattr(torch, name)
    with pytest.raises(TypeError, match="must be Tensor"):
        f(2) if name == "square" else f(2, torch.ones(2))


def test_sign_of_nan_is_zero_and_square_of_bool_counts():
    assert torch.tensor([float("nan"), -2.0]).sign().tolist() == [0, -1]
    assert torch.tensor([True, False]).square().dtype is torch.int64


@pytest.mark.parametrize("n", [0, 3])
def test_error_functions_are_of_real_numbers(n):
    z = torch.ones(n, dtype=torch.complex64)
    for f in (torch.erf, torch.erfc, torch.special.erf, torch.nn.functional.gelu):
        with pytest.raises(NotImplementedError, match="not implemented for"):
            f(z)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zeros_of_remainder_and_relu_keep_their_sign(dtype, tier):
    """The sign is the dividend's, as in PyTorch; Python's remainder has the divisor's."""
    a = torch.tensor([-0.0, 0.0, -4.0, 4.0, -3.0], dtype=dtype)
    for b in (2.0, -2.0):
        r = torch.remainder(a, torch.tensor(b, dtype=dtype))
        assert torch.signbit(r).tolist() == [True, False, True, False, b < 0]
        assert r.tolist() == [0.0, 0.0, 0.0, 0.0, 1.0 if b > 0 else -1.0]
    assert torch.signbit(torch.relu(a * 1)).tolist() == [True, False, False, False, False]


def test_a_number_is_an_operand_without_dimensions():
    """Where all operands have one shape and no gaps, the result is row-major; else it follows."""
    x = torch.ones(4, 2).t()[:, :1]
    for y in (x + 1, x - 1, 1 - x, x * 2, x / 2, x < 1, x == 1, x + torch.tensor(1.0), x.double()):
        assert y.stride() == (1, 2)
    for y in (x + x, -x, 1 / x, x**2, 2**x, x.exp(), x < x):
        assert y.stride() == (1, 1)


@pytest.mark.parametrize(
    "name",
    [
        *("floor", "ceil", "trunc", "frac", "round", "sign", "signbit", "relu"),
        *("max", "min", "amax", "amin", "clamp_min"),
    ],
)
def test_complex_numbers_have_no_order(name):
    z = torch.tensor([1 + 2j])
    with pytest.raises(NotImplementedError, match="complex"):
        getattr(torch, name)(z, 0) if name == "clamp_min" else getattr(torch, name)(z)


@pytest.mark.parametrize("base", [0, 0.0, -0.0, torch.tensor(0.0)])
def test_the_gradient_of_a_power_of_zero(base):
    e = torch.tensor([-1.0, 0.0, 2.0, torch.nan], requires_grad=True)
    (g,) = torch.autograd.grad((base**e).sum(), e)
    first = torch.inf if str(base) == "-0.0" else -torch.inf
    assert g[:3].tolist() == [first, 0, 0] and g[3].isnan()
