"""Special functions as operations: derivatives, types, names."""

from __future__ import annotations

import pytest
from nn.stored import agrees
from ops.numeric import check_gradients

import facula as torch


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("gammaln", [0.3, 2.5, -1.4]),
        ("digamma", [0.3, 2.5]),
        ("erfinv", [-0.6, 0.2]),
        ("erfcx", [-0.5, 1.5, 4.0]),
        ("ndtr", [-1.0, 0.7]),
        ("log_ndtr", [-3.0, 0.7]),
        ("ndtri", [0.2, 0.9]),
        ("i0", [0.4, -2.0]),
        ("i0e", [0.4, -2.0]),
        ("i1", [0.4, -2.0]),
        ("i1e", [0.4, -2.0]),
        ("entr", [0.4, 2.0]),
    ],
)
def test_derivatives(name, points):
    check_gradients(getattr(torch.special, name), points, tol=1e-4)


def test_the_inverse_of_erf_may_be_written_to():
    x = torch.tensor([0.25], requires_grad=True)
    y = x.erfinv()
    y.mul_(2)
    y.sum().backward()
    z = torch.tensor([0.25], requires_grad=True)
    z.erfinv().sum().backward()
    assert x.grad.item() == 2 * z.grad.item()


def test_derivatives_of_two_arguments():
    check_gradients(torch.special.xlog1py, [0.5, 2.0], [0.3, 1.0])
    check_gradients(lambda x: torch.polygamma(2, x), [0.7, 3.0], tol=1e-4)
    check_gradients(lambda x: torch.special.gammainc(torch.full((1,), 2.5), x), [1.2], second=False)
    check_gradients(lambda x: x.mvlgamma(3), [4.0, 2.5])


def test_integers_become_floats_and_numbers_may_be_one_of_two():
    assert torch.special.i0(torch.tensor([0])).tolist() == [1]
    assert torch.special.zeta(2, torch.ones(1)).dtype is torch.float32
    with pytest.raises(TypeError, match="zeta"):
        torch.special.zeta(2, 3)
    with pytest.raises(RuntimeError, match="complex"):
        torch.special.i0(torch.tensor([1j]))


def test_methods():
    x = torch.tensor([2.0])
    assert x.polygamma(1).item() == pytest.approx(torch.polygamma(1, x).item())
    assert torch.special.psi(x).item() == x.digamma().item()
    assert torch.special.expit(x).item() == x.sigmoid().item()


@agrees
def test_the_degree_of_a_polynomial_by_name(torch):
    x = torch.tensor([0.5, -0.25])
    return [
        torch.special.chebyshev_polynomial_t(x, n=3),
        torch.special.legendre_polynomial_p(x, n=2),
    ]


def test_functions_without_a_derivative_by_their_first_operand():
    x, y = torch.tensor([2.0], requires_grad=True), torch.tensor([3.0], requires_grad=True)
    for f, name in (
        (torch.special.zeta, "zeta"),
        (torch.igamma, "igamma: input"),
        (torch.igammac, "igammac: input"),
    ):
        with pytest.raises(NotImplementedError, match=f"derivative for '{name}' is not impl"):
            f(x, y).backward()
        assert f(x.detach(), y).requires_grad
