"""Sums to which parts are added in place."""

import numpy as np
import pytest

import facula as torch
from facula.interpreter import program
from facula.interpreter.parts import add_part
from facula.trace.recorder import TLS, Recorder


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 1 << 30)
    monkeypatch.setattr(TLS, "r", Recorder())  # no program of another test is met again


@pytest.fixture
def fused(monkeypatch):
    """How many sums were computed in place."""
    count = []

    def spy(p, s, a, b):
        count.append(a.shape)
        return add_part(p, s, a, b)

    monkeypatch.setattr(program, "add_part", spy)
    return count


def test_the_gradients_of_slices_are_added_where_they_belong(fused):
    x = torch.arange(24.0).reshape(4, 6).requires_grad_()
    y = x * 1
    a, b, c = y[:, ::3], y[:, 1::3], y[:, 2::3]  # with gaps: others are joined (autograd/parts.py)
    (a * 2 + b * c).sum().backward()
    want = np.stack([np.full((4, 2), 2.0), c.detach(), b.detach()], 2).reshape(4, 6)
    np.testing.assert_array_equal(x.grad, want)
    assert len(fused) == 2


def test_slices_that_overlap_add_up(fused):
    x = torch.arange(8.0, requires_grad=True)
    y = x * 1
    (y[:6] * 2 + y[2:] * 3 + y[::2].repeat(2)[:6]).sum().backward()
    first, second = np.zeros(8), np.zeros(8)
    first[:6], second[2:] = 2, 3
    third = np.zeros(8)
    third[[0, 2, 4, 6]] = [2, 2, 1, 1]
    np.testing.assert_array_equal(x.grad, first + second + third)
    assert fused


def test_what_others_need_is_left_as_it_is(fused):
    x = torch.arange(6.0)
    zeros = torch.zeros(6)
    torch.synchronize()
    whole = x + x
    part = torch.zeros(6).slice_scatter(x[:2], 0, 0, 2)
    total = whole + part
    np.testing.assert_array_equal(total, [0, 3, 4, 6, 8, 10])
    np.testing.assert_array_equal(whole, [0, 2, 4, 6, 8, 10])
    np.testing.assert_array_equal(part, [0, 1, 0, 0, 0, 0])
    whole = x + x
    view = whole[1:]
    total = whole + torch.zeros(6).slice_scatter(x[:2], 0, 0, 2)
    np.testing.assert_array_equal(total + view.sum(), np.array([0, 3, 4, 6, 8, 10]) + 30)
    whole = x + zeros
    twice = whole + torch.zeros(6).slice_scatter(whole[:2], 0, 0, 2)
    np.testing.assert_array_equal(twice, [0, 2, 2, 3, 4, 5])
    assert not fused


@pytest.mark.parametrize("number", [0.0, 0.5])
def test_a_part_of_other_numbers_than_zeros(number, fused):
    x = torch.arange(6.0)
    torch.synchronize()
    total = (x + 1 + x) + torch.full((6,), number).slice_scatter(x[:2] * 10, 0, 0, 2)
    want = np.arange(6.0) * 2 + 1 + number
    want[:2] = [1, 13]
    np.testing.assert_array_equal(total, want)
    assert len(fused) == 1


def test_a_smaller_part_is_spread_over_the_sum(fused):
    x = torch.arange(6.0).reshape(2, 3)
    torch.synchronize()
    total = (x + x) + torch.zeros(3).slice_scatter(x[0, :2], 0, 0, 2)
    np.testing.assert_array_equal(total, x.numpy() * 2 + [0, 1, 0])
    assert not fused
