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


# What PyTorch 2.13 gives on the CPU for x = NARROW: which numbers it rounds to 16 bits first.
NARROW_VALUES = (
    ("x + s", "bfloat16", [-0.554688, -0.242188, 0.0703125, 2.46875, 0.699219, 1.01562, 1.32812]),
    ("s + x", "bfloat16", [-0.554688, -0.242188, 0.0703125, 2.46875, 0.699219, 1.01562, 1.32812]),
    ("x - s", "bfloat16", [-3.03125, -2.71875, -2.40625, 0.0, -1.76562, -1.45312, -1.14062]),
    ("s - x", "bfloat16", [3.03125, 2.71875, 2.40625, 0.0, 1.76562, 1.45312, 1.14062]),
    ("x * s", "bfloat16", [-2.20312, -1.82031, -1.4375, 1.52344, -0.660156, -0.271484, 0.116211]),
    ("x / s", "bfloat16", [-1.45312, -1.19531, -0.941406, 1.0, -0.433594, -0.177734, 0.0761719]),
    (
        "x.abs() ** s",
        "bfloat16",
        [2.04688, 1.61719, 1.20312, 1.29688, 0.462891, 0.154297, 0.0541992],
    ),
    ("s ** x", "bfloat16", [0.6875, 0.734375, 0.78125, 1.29688, 0.894531, 0.953125, 1.02344]),
    ("x < s", "bfloat16", [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0]),
    (
        "torch.fmod(x, s)",
        "bfloat16",
        [-0.554688, -0.242188, -1.16406, 0.0, -0.535156, -0.219727, 0.0942383],
    ),
    ("x * 9 // s", "bfloat16", [-14.0, -11.0, -9.0, 9.0, -4.0, -2.0, 0.0]),
    (
        "torch.div(x * 9, s, rounding_mode='trunc')",
        "bfloat16",
        [-13.0, -10.0, -8.0, 9.0, -3.0, -1.0, 0.0],
    ),
    (
        "x * torch.tensor(s)",
        "bfloat16",
        [-2.20312, -1.82031, -1.4375, 1.52344, -0.660156, -0.271484, 0.116211],
    ),
    (
        "torch.tensor(s) * x",
        "bfloat16",
        [-2.20312, -1.82031, -1.4375, 1.52344, -0.660156, -0.271484, 0.116211],
    ),
    (
        "x / torch.tensor(s)",
        "bfloat16",
        [-1.45312, -1.19531, -0.941406, 1.0, -0.433594, -0.177734, 0.0761719],
    ),
    (
        "x + torch.tensor(s)",
        "bfloat16",
        [-0.554688, -0.242188, 0.0703125, 2.46875, 0.699219, 1.01562, 1.32812],
    ),
    (
        "torch.add(x, x.flip(0), alpha=s)",
        "bfloat16",
        [0.265625, 0.191406, 0.118652, 2.125, -0.03125, -0.103516, -0.176758],
    ),
    (
        "torch.sub(x, x.flip(0), alpha=s)",
        "bfloat16",
        [-3.84375, -3.14062, -2.45312, 0.341797, -1.03906, -0.335938, 0.365234],
    ),
    ("torch.nn.functional.threshold(x, s, 7.0)", "bfloat16", [7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0]),
    ("x + s", "float16", [-0.555664, -0.242188, 0.0722656, 2.46875, 0.700195, 1.01465, 1.32812]),
    ("s + x", "float16", [-0.555664, -0.242188, 0.0722656, 2.46875, 0.700195, 1.01465, 1.32812]),
    ("x - s", "float16", [-3.02344, -2.71094, -2.39648, 0.0, -1.76855, -1.4541, -1.14062]),
    ("s - x", "float16", [3.02344, 2.71094, 2.39648, 0.0, 1.76855, 1.4541, 1.14062]),
    ("x * s", "float16", [-2.20898, -1.82324, -1.43457, 1.52344, -0.659668, -0.271484, 0.116333]),
    ("x / s", "float16", [-1.4502, -1.19629, -0.941406, 1.0, -0.432617, -0.178101, 0.076355]),
    ("x.abs() ** s", "float16", [2.05273, 1.61816, 1.2041, 1.29688, 0.461182, 0.154175, 0.0541687]),
    ("s ** x", "float16", [0.686035, 0.73291, 0.782715, 1.29688, 0.893555, 0.95459, 1.02051]),
    ("x < s", "float16", [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0]),
    (
        "torch.fmod(x, s)",
        "float16",
        [-0.555664, -0.242188, -1.16211, 0.0, -0.53418, -0.219849, 0.0942383],
    ),
    ("x * 9 // s", "float16", [-14.0, -11.0, -9.0, 8.0, -4.0, -2.0, 0.0]),
    (
        "torch.div(x * 9, s, rounding_mode='trunc')",
        "float16",
        [-13.0, -10.0, -8.0, 8.0, -3.0, -1.0, 0.0],
    ),
    (
        "x * torch.tensor(s)",
        "float16",
        [-2.20898, -1.82324, -1.43457, 1.52344, -0.659668, -0.271484, 0.116333],
    ),
    (
        "torch.tensor(s) * x",
        "float16",
        [-2.20898, -1.82227, -1.43457, 1.52344, -0.65918, -0.271484, 0.116333],
    ),
    (
        "x / torch.tensor(s)",
        "float16",
        [-1.4502, -1.19629, -0.941406, 1.0, -0.432617, -0.178101, 0.076355],
    ),
    (
        "x + torch.tensor(s)",
        "float16",
        [-0.555664, -0.242188, 0.0722656, 2.46875, 0.700195, 1.01465, 1.32812],
    ),
    (
        "torch.add(x, x.flip(0), alpha=s)",
        "float16",
        [0.265137, 0.190552, 0.116882, 2.12695, -0.0299988, -0.103516, -0.177124],
    ),
    (
        "torch.sub(x, x.flip(0), alpha=s)",
        "float16",
        [-3.8457, -3.14453, -2.44141, 0.342285, -1.03809, -0.336182, 0.365723],
    ),
    ("torch.nn.functional.threshold(x, s, 7.0)", "float16", [7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0]),
)


@pytest.mark.parametrize(("expression", "dtype", "values"), NARROW_VALUES)
def test_numbers_that_meet_16_bit_tensors(expression, dtype, values, tier):
    """Sums, powers and comparisons round the number first, products and quotients do not."""
    s = 1.2345
    base = (torch.arange(64).remainder(16) - 7.7) * 0.3141
    base[5] = s
    x = base.to(getattr(torch, dtype))
    out = eval(expression, {"x": x, "s": s, "torch": torch})[2:9]
    assert out.equal(torch.tensor(values, dtype=out.dtype)), out


def test_gradients_of_16_bit_sums_and_products_with_numbers():
    for f, grad in (
        (lambda x, y: torch.add(x, y, alpha=1.2345), (1.0, 1.234375)),
        (lambda x, y: torch.sub(x, y, alpha=1.2345), (1.0, -1.234375)),
        (lambda x, y: x * torch.tensor(1.2345) + y, (1.234375, 1.0)),
    ):
        x = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
        y = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
        f(x, y).sum().backward()
        assert x.grad.dtype is torch.bfloat16
        assert x.grad.tolist() == [grad[0]] * 3
        assert y.grad.tolist() == [grad[1]] * 3
    scale = torch.tensor(1.2345, requires_grad=True)
    (torch.ones(3, dtype=torch.bfloat16) * scale).sum().backward()
    assert scale.grad.item() == 3.0
    assert scale.grad.dtype is torch.float32


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        (-1, [-4.764121 - 3.461337j, 0.005867j]),
        (-2.5, [-3.69602 - 7.179345j, 0.015274 + 0.000336j]),
    ],
)
def test_the_gradient_of_a_complex_power_of_a_negative_number(base, expected):
    e = torch.tensor([0.3 - 0.2j, 1 + 2j], dtype=torch.complex128, requires_grad=True)
    (g,) = torch.autograd.grad((base**e).real.sum(), e)
    torch.testing.assert_close(g, torch.tensor(expected, dtype=g.dtype), atol=1e-6, rtol=0)
