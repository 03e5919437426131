"""Random tensors: what is checked, and that gradients stop."""

from __future__ import annotations

import pytest

import facula as torch


def test_bernoulli_has_a_zero_gradient():
    p = torch.full((3,), 0.5, requires_grad=True)
    torch.bernoulli(p).sum().backward()
    assert p.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("weights", "message"),
    [([[[1.0]]], "1 or 2 dim"), ([0.0, 0.0], "sum of prob"), ([1.0, -0.5], "either")],
)
def test_multinomial_checks_its_weights(weights, message):
    with pytest.raises(RuntimeError, match=message):
        torch.multinomial(torch.tensor(weights), 1)


def test_draws_follow_the_seed():
    torch.manual_seed(3)
    a = torch.rand(4)
    torch.manual_seed(3)
    assert a.tolist() == torch.rand(4).tolist()
