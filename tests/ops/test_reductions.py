"""Reductions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ops.numeric import check_gradients

import facula as torch


def test_logsumexp_of_complex_numbers_has_a_principal_angle():
    z = torch.tensor([1 + 3j, 1 - 3j, 0.5 + 2j])
    assert torch.logsumexp(z, 0).item() == pytest.approx(z.exp().sum().log().item(), abs=1e-5)


def test_empty_reductions_name_the_dimension():
    with pytest.raises(IndexError, match="dim 1"):
        torch.ones(2, 0).amax(1)
    with pytest.raises(RuntimeError, match="numel"):
        torch.ones(2, 0).amin()


def test_prod_and_softmax_derivatives():
    check_gradients(lambda x: x.prod(1), [[1.0, 0.0, 2.0], [3.0, -1.0, 0.5]])
    check_gradients(lambda x: x.softmax(0), [0.1, -0.7, 1.2])


def test_isclose_checks_its_tolerances():
    assert torch.isclose(torch.tensor([math.inf]), torch.tensor([math.inf])).item()
    with pytest.raises(RuntimeError, match="rtol"):
        torch.isclose(torch.ones(1), torch.ones(1), rtol=-1)


def test_the_deviation_of_equal_numbers_has_no_slope():
    x = torch.tensor([[2.0, 2.0], [2.0, 3.0]], dtype=torch.float64).requires_grad_()
    torch.std(x, 1).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [[0, 0], [-(0.5**0.5), 0.5**0.5]])
    y = torch.tensor([float("nan"), 1.0]).requires_grad_()
    y.std().backward()
    assert y.grad.isnan().all()


@pytest.mark.parametrize("dim", [None, 1, (0, 1)])
def test_gradient_of_a_mean_can_be_written_to(dim):
    x = torch.ones(3, 4, requires_grad=True)
    (g,) = torch.autograd.grad(x.mean(dim).sum(), x)
    assert g.stride() == (4, 1)
    want = g.clone() * 2
    assert g.mul_(2).equal(want)
