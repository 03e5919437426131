"""Results that PyTorch has no derivative of. Types and words of errors are PyTorch's."""

from __future__ import annotations

import pytest

import facula as torch

X = torch.tensor([[1.0, 2.0], [2.0, 4.0]])
V = torch.tensor([0.25, 0.5])
AT = torch.tensor([0, 1])
THREE = torch.tensor([3.0, 3.0])
# name: the operation of one input, and which of its results have no derivative
CASES = {
    "_unique2": (lambda x: torch.unique(x, return_counts=True), X, [True, False]),
    "unique_dim": (lambda x: [torch.unique(x, dim=0)], X, [True]),
    "unique_consecutive": (lambda x: [torch.unique_consecutive(x)], X, [True]),
    "geqrf": (torch.geqrf, X, [True, True]),
    "bincount": (lambda v: [torch.bincount(AT, v)], V, [True]),
    "histogram": (lambda v: torch.histogram(v, 3), V, [True, True]),
    "histogram of weights": (lambda v: torch.histogram(THREE, 3, weight=v), V, [True, True]),
    "histogramdd": (lambda x: [torch.histogramdd(x, [2, 2])[0]], X, [True]),
    "binomial": (lambda v: [torch.binomial(THREE, v)], V, [True]),
    "linalg_ldl_factor_ex": (torch.linalg.ldl_factor, X, [True, False]),
}
RULES = ("_unique2", "unique_dim", "unique_consecutive", "geqrf")


@pytest.mark.parametrize("name", CASES)
def test_the_pass_that_meets_one_fails(name):
    call, value, without = CASES[name]
    x = value.clone().requires_grad_()
    found = list(call(x))
    assert [t.requires_grad for t in found] == without
    op = name.split()[0]
    kind, words = RuntimeError, f"derivative for {op} is not implemented"
    if op in RULES:
        kind, words = NotImplementedError, f"the derivative for '{op}' is not implemented."
    for t in found:
        if t.requires_grad:
            with pytest.raises(kind, match=words):
                (t.sum() + x.sum()).backward()
    assert x.grad is None


@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_a_constant(name):
    call, value, _ = CASES[name]
    results = []
    for x in (value, value.clone().requires_grad_(), (value * 1.0).requires_grad_() * 1.0):
        torch.manual_seed(0)
        results.append([t.tolist() for t in call(x)])
    assert results[0] == results[1] == results[2]


def test_nothing_is_refused_where_no_gradient_is_asked_for():
    x = X.clone().requires_grad_()
    with torch.no_grad():
        assert not torch.unique(x).requires_grad
    assert not torch.unique(x.detach()).requires_grad
    assert not torch.bincount(AT).requires_grad
    empty = torch.zeros(0, requires_grad=True)
    assert torch.unique(empty).requires_grad and torch.unique(empty).shape == (0,)
    y = torch.unique(x).detach().sum() * x.sum()  # a constant is what a program asked for
    y.backward()
    assert x.grad.tolist() == [[7.0, 7.0], [7.0, 7.0]]
