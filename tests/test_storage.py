"""Views share memory; writes reach every alias, and autograd follows them."""

from __future__ import annotations

import numpy as np
import pytest

import facula as torch


def test_a_write_through_a_view_reaches_the_base_and_other_views():
    x = torch.arange(6.0).reshape(2, 3)
    row, column = x[1], x.t()[2]
    x.t().mul_(2)
    assert row.tolist() == [6, 8, 10]
    row[2] = -1
    assert column.tolist() == [4, -1]
    assert x.tolist() == [[0, 2, 4], [6, 8, -1]]


def test_gradient_through_a_slice_written_in_place():
    a = torch.ones(3, requires_grad=True)
    b = a * 2
    b[1:].mul_(3)
    b.sum().backward()
    assert a.grad.tolist() == [2, 6, 6]


def test_a_base_gets_a_history_from_a_view():
    w = torch.tensor([2.0, 3.0], requires_grad=True)
    x = torch.zeros(2, 2)
    x[0].add_(w)
    assert x.requires_grad and not x.is_leaf
    (x * x).sum().backward()
    assert w.grad.tolist() == [4, 6]


def test_a_value_written_without_history_keeps_the_old_one():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    y = w * 3
    with torch.no_grad():
        y.mul_(10)
    assert y.tolist() == [30, 60]
    y.sum().backward()
    assert w.grad.tolist() == [3, 3]


def test_numpy_shares_memory_both_ways():
    a = np.arange(4.0)
    t = torch.from_numpy(a)
    b = t[1:3]
    a[1] = 10
    assert b.tolist() == [10, 2]
    t.add_(1)
    assert a.tolist() == [1, 11, 3, 4]
    v = t.numpy()
    v[0] = 7
    assert t[0].item() == 7


def test_expanded_memory_is_not_written():
    x = torch.zeros(1).expand(3)
    with pytest.raises(RuntimeError, match="single memory location"):
        x.add_(1)
    assert x.tolist() == [0, 0, 0]


def test_memory_written_through_a_view_that_is_gone_can_be_written_whole():
    w = torch.nn.Parameter(torch.ones(3, 2))
    with torch.no_grad():
        w[1].fill_(0)
        torch.synchronize()
        w.mul_(2)
    assert w.tolist() == [[2, 2], [0, 0], [2, 2]] and w.requires_grad
    with torch.no_grad():
        w[1].fill_(0)
        torch.synchronize()
        w.copy_(torch.full((3, 2), 5.0))
    assert w.tolist() == [[5, 5]] * 3
