"""Scans, differences, integrals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ops.numeric import check_gradients

import facula as torch


def test_running_extremes_keep_the_last_of_equal_ones_and_nan():
    values, at = torch.tensor([1.0, 3.0, 3.0, 2.0]).cummax(0)
    assert (values.tolist(), at.tolist()) == ([1, 3, 3, 3], [0, 1, 2, 2])
    values, at = torch.tensor([1.0, math.nan, 5.0]).cummin(0)
    assert math.isnan(values[2].item()) and at.tolist() == [0, 1, 1]


def test_logcumsumexp_is_stable_and_differentiable():
    x = torch.tensor([1000.0, 1000.0])
    assert x.logcumsumexp(0).tolist() == pytest.approx([1000, 1000 + math.log(2)])
    check_gradients(lambda x: x.logcumsumexp(0), [0.3, -1.0, 2.0])
    far = torch.tensor([-500.0, -500.0], requires_grad=True)
    far.logcumsumexp(0).sum().backward()
    assert far.grad.tolist() == pytest.approx([1.5, 0.5], abs=1e-4)
    far = torch.tensor([10000.0, -8.0], dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(far.logcumsumexp(0).sum(), far, create_graph=True)
    assert g.tolist() == [2, 0]
    assert torch.autograd.grad(g.sum(), far)[0].tolist() == pytest.approx([0, 0], abs=1e-9)


def test_diff_with_ends_and_of_bools():
    x = torch.tensor([1, 4, 9])
    assert x.diff(prepend=torch.tensor([0])).tolist() == [1, 3, 5]
    assert x.diff(2).tolist() == [2]
    assert x.diff(0, append=x).tolist() == [1, 4, 9]
    assert torch.tensor([True, True, False]).diff().tolist() == [False, True]


def test_trapezoids_against_numpy(rng):
    y, x = rng.normal(size=(2, 5)), np.sort(rng.normal(size=5))
    got = torch.trapezoid(torch.tensor(y), torch.tensor(x))
    np.testing.assert_allclose(got.numpy(), np.trapezoid(y, x))
    total = torch.cumulative_trapezoid(torch.tensor(y), dx=0.5)[:, -1]
    np.testing.assert_allclose(total.numpy(), np.trapezoid(y, dx=0.5))


@pytest.mark.parametrize("edge", [1, 2])
def test_gradient_against_numpy(rng, edge):
    y, x = rng.normal(size=(4, 5)), np.cumsum(rng.uniform(0.5, 1.5, size=5))
    got = torch.gradient(torch.tensor(y), spacing=[2.0, torch.tensor(x)], edge_order=edge)
    for a, b in zip(got, np.gradient(y, 2.0, x, edge_order=edge), strict=True):
        np.testing.assert_allclose(a.numpy(), b)


def test_sums_of_negative_zeros_begin_with_zero(tier):
    x = torch.full((2, 3), -0.0)
    for t in (x.cumsum(0), x.cumsum(1), x.logcumsumexp(1), x.sum(0)):
        assert not t.signbit().any()
    assert x.cumprod(1)[0].signbit().tolist() == [True, False, True]


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8])
def test_what_cannot_be_negative_has_no_differences(dtype):
    with pytest.raises(RuntimeError, match=r"torch\.gradient does not support"):
        torch.gradient(torch.ones(3, dtype=dtype))
