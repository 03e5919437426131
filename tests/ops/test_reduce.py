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


@pytest.mark.parametrize("n", [2, 3, 8, 33])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_of_equal_zeros_the_first_is_the_extreme(tier, n, dtype):
    """As PyTorch's along columns, in windows, and in rows of up to 16 elements."""
    first = torch.tensor([[0.0, -0.0]], dtype=dtype)
    x = torch.cat([first, -first.expand(n - 1, 2)])
    want = [False, True]
    found = [x.amax(0), x.amin(0), x.max(0)[0], x.min(0)[0]]
    if n <= 16:  # of more, PyTorch's vectors decide, and the compiled tier's
        found.append(x.t().contiguous().amax(1))
    for got in found:
        assert got.signbit().tolist() == want
    windows = x.t().contiguous()[None]
    pool = torch.nn.functional
    assert pool.max_pool1d(windows, n).signbit().flatten().tolist() == want
    assert pool.max_pool2d(windows[:, :, None], (1, n)).signbit().flatten().tolist() == want


def test_the_first_zero_of_a_window_is_row_by_row(tier):
    x = torch.tensor([[[-1.0, 0.0], [-0.0, -1.0]]])
    assert torch.nn.functional.max_pool2d(x, 2).signbit().item() is False
    assert torch.nn.functional.max_pool2d(x.transpose(1, 2), 2).signbit().item() is True


def test_the_product_of_one_has_a_second_derivative_of_zero():
    x = torch.tensor([3.0], requires_grad=True)
    (g,) = torch.autograd.grad(x.prod(0), x, create_graph=True)
    assert g.tolist() == [1]
    assert torch.autograd.grad(g, x, torch.ones(1))[0].tolist() == [0]
