"""Primitives of reductions and scans: derivatives where values are equal or zero."""

from __future__ import annotations

import pytest
from ops.numeric import check_gradients

import facula as torch


@pytest.mark.parametrize("row", [[2.0, 3.0, 4.0], [2.0, 0.0, 4.0], [0.0, 3.0, 0.0], [0.0]])
def test_cumprod_around_zeros(row):
    check_gradients(lambda x: x.cumprod(0), row)


def test_first_derivative_of_cumprod_without_a_graph_is_the_same():
    x = torch.tensor([[2.0, 0.0, 3.0, 0.0, 5.0]], dtype=torch.float64, requires_grad=True)
    g = torch.linspace(1, 2, 5, dtype=torch.float64).reshape(1, 5)
    plain = torch.autograd.grad(x.cumprod(1), x, g)[0]
    exact = torch.autograd.grad(x.cumprod(1), x, g, create_graph=True)[0]
    assert plain.tolist() == exact.tolist()


def test_extremes_share_their_gradient():
    x = torch.tensor([1.0, 3.0, 3.0], requires_grad=True)
    x.amax().backward()
    assert x.grad.tolist() == [0, 0.5, 0.5]
