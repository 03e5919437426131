"""Parameters that are functions of other parameters."""

from __future__ import annotations

import copy
import pickle

import pytest
from nn.stored import agrees, message, submodule

import facula


def _symmetric(torch):
    class Symmetric(torch.nn.Module):
        calls = 0

        def forward(self, x):
            Symmetric.calls += 1
            return x.triu() + x.triu(1).transpose(-1, -2)

        def right_inverse(self, a):
            return a.triu()

    return Symmetric()


def _grown(torch):
    class Grown(torch.nn.Module):
        def forward(self, x):
            return torch.cat([x, x])

    return Grown()


@agrees
def test_register(torch):
    parametrize = submodule(torch, "nn.utils.parametrize")
    m = torch.nn.Linear(3, 3)
    parametrize.register_parametrization(m, "weight", _symmetric(torch))
    m(torch.ones(1, 3)).sum().backward()
    return [
        m.weight,
        list(m.state_dict()),
        str(m),
        type(m).__name__,
        parametrize.type_before_parametrizations(m).__name__,
        m.parametrizations.weight.original.grad,
        parametrize.is_parametrized(m),
        parametrize.is_parametrized(m, "bias"),
    ]


@agrees
def test_assign(torch):
    m = torch.nn.Linear(3, 3)
    submodule(torch, "nn.utils.parametrize").register_parametrization(
        m, "weight", _symmetric(torch)
    )
    m.weight = torch.arange(9.0).reshape(3, 3)
    return [m.weight, m.parametrizations.weight.original]


@agrees
def test_remove(torch):
    parametrize = submodule(torch, "nn.utils.parametrize")
    out = []
    for leave in (True, False):
        m = torch.nn.Linear(3, 3)
        parametrize.register_parametrization(m, "weight", _symmetric(torch))
        parametrize.remove_parametrizations(m, "weight", leave_parametrized=leave)
        out.append([m.weight, list(m.state_dict()), type(m).__name__, str(m)])
    return out


@agrees
def test_cached(torch):
    parametrize = submodule(torch, "nn.utils.parametrize")
    m, s = torch.nn.Linear(3, 3), _symmetric(torch)
    parametrize.register_parametrization(m, "weight", s)
    before = type(s).calls
    with parametrize.cached():
        m.weight, m.weight
    inside = type(s).calls - before
    m.weight, m.weight
    return [inside, type(s).calls - before]


@agrees
def test_copy_and_pickle(torch):
    m = torch.nn.Linear(3, 3)
    submodule(torch, "nn.utils.parametrize").register_parametrization(
        m, "weight", _symmetric(torch)
    )
    other = copy.deepcopy(m)
    with torch.no_grad():
        other.parametrizations.weight.original.zero_()
    return [m.weight, other.weight, message(pickle.dumps, m)[0]]


@agrees
def test_errors(torch):
    register = submodule(torch, "nn.utils.parametrize").register_parametrization
    m = torch.nn.Linear(3, 3)
    return [
        message(register, m, "other", _symmetric(torch))[0],
        message(register, m, "weight", _grown(torch))[0],
        message(submodule(torch, "nn.utils.parametrize").remove_parametrizations, m, "weight")[0],
        register(m, "bias", _grown(torch), unsafe=True).bias.shape,
    ]


def test_a_second_one_is_tried_back_on_its_own_result():
    """Its right inverse need not take what the first gives, which it has never made."""

    class Unit(facula.nn.Module):
        def forward(self, x):
            return x / x.norm()

        def right_inverse(self, x):
            if abs(x.norm().item() - 1) > 1e-5:
                raise ValueError("not of length 1")
            return x

    parametrize = facula.nn.utils.parametrize
    m = facula.nn.Linear(3, 3)
    parametrize.register_parametrization(m, "weight", _symmetric(facula))
    parametrize.register_parametrization(m, "weight", Unit())
    assert abs(m.weight.norm().item() - 1) < 1e-5


def test_a_right_inverse_that_does_not_fit_is_named():
    parametrize = facula.nn.utils.parametrize
    m = facula.nn.Linear(3, 3)
    parametrize.register_parametrization(m, "weight", facula.nn.Identity())
    for back, why in (
        (lambda x: (x, x), r"parametrization\.right_inverse must return a tensor\. Got: tuple"),
        (lambda x: x.double(), r"right_inverse must have the same dtype as module\.weight"),
        (lambda x: x[:-1], r"right_inverse must have the same shape as module\.weight"),
    ):
        wrong = facula.nn.Identity()
        wrong.right_inverse = back
        with pytest.raises(ValueError, match=why):
            parametrize.register_parametrization(m, "weight", wrong)
    assert len(m.parametrizations.weight) == 1
