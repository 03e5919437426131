"""Special functions on the device are those of the CPU; so are those of integers."""

from __future__ import annotations

from typing import Any

import pytest

import facula as torch

S = torch.special
X = [-40.0, -3.0, -0.4, 0.0, 1e-9, 0.003, 0.5, 1.0, 7.5, 29.0, 31.0, 800.0]
ONE = ("i0e", "i1e", "modified_bessel_k0", "modified_bessel_k1", "scaled_modified_bessel_k0",
       "scaled_modified_bessel_k1", "erfinv")  # fmt: skip
POLYNOMIALS = (
    *[f"{s}chebyshev_polynomial_{k}" for s in ("", "shifted_") for k in "tuvw"],
    *("hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l"),
    "legendre_polynomial_p",
)


def _same(f: Any, *operands: Any) -> None:
    got, want = f(*[a.to("cuda") for a in operands]).cpu(), f(*operands)
    torch.testing.assert_close(got, want, equal_nan=True, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ONE)
def test_functions_of_one_operand(device: Any, name: str) -> None:
    _same(getattr(S, name), torch.tensor(X, dtype=torch.float64))


@pytest.mark.parametrize("name", ["gammainc", "gammaincc"])
def test_incomplete_gamma_functions(device: Any, name: str) -> None:
    a = torch.tensor([0.0, 0.2, 1.0, 5.0, 60.0, float("inf")], dtype=torch.float64)
    x = torch.tensor([0.0, 0.1, 2.0, 70.0, float("inf"), -1.0], dtype=torch.float64)
    _same(getattr(S, name), a[:, None], x)


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomials(device: Any, name: str) -> None:
    x = torch.tensor([-1.5, -1.0, -0.3, 0.0, 0.7, 1.0, 2.0], dtype=torch.float64)
    _same(getattr(S, name), x[:, None], torch.tensor([-1.0, 0, 1, 2, 5, 9.5], dtype=torch.float64))


@pytest.mark.parametrize("name", ["fmin", "fmax", "heaviside"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8])
def test_pairs_of_integers(device: Any, name: str, dtype: Any) -> None:
    a, b = torch.tensor([3, 0, 7]).to(dtype), torch.tensor([4, 5, 0]).to(dtype)
    got = getattr(torch, name)(a.to("cuda"), b.to("cuda")).cpu()
    assert torch.equal(got, getattr(torch, name)(a, b))


@pytest.mark.parametrize("name", ["isnan", "isposinf", "isneginf", "sign", "angle"])
def test_integers(device: Any, name: str) -> None:
    for a in (torch.tensor([-3, 0, 7]), torch.tensor([True, False])):
        got, want = getattr(torch, name)(a.to("cuda")).cpu(), getattr(torch, name)(a)
        assert got.dtype == want.dtype and torch.equal(got, want)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_mantissa_and_exponent(device: Any, dtype: Any) -> None:
    a = torch.tensor([0.0, -0.0, 1.0, -3.5, 1e-30, 1e30, float("inf"), float("nan")]).to(dtype)
    for want, got in zip(torch.frexp(a), torch.frexp(a.to("cuda")), strict=True):
        torch.testing.assert_close(got.cpu(), want, equal_nan=True, rtol=0, atol=0)
