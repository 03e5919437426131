"""Hooks of modules."""

from __future__ import annotations

import warnings

import pytest

import facula as torch
from facula import nn


def test_a_module_with_backward_hooks_sees_what_requires_grad():
    seen = []

    class Flags(nn.Module):
        def forward(self, a, b):
            seen.append((a.requires_grad, b.requires_grad))
            return a * b

    m, x = Flags(), torch.ones(2, requires_grad=True)
    m.register_full_backward_hook(lambda m, inner, outer: seen.append([g is None for g in inner]))
    m(x, torch.ones(2)).sum().backward()
    assert seen == [(True, False), [False, True]] and x.grad.tolist() == [1, 1]


def test_second_derivatives_past_backward_hooks():
    seen = []
    m, x = nn.MSELoss(), torch.tensor([3.0], requires_grad=True)
    m.register_full_backward_hook(lambda *_: seen.append(1))
    (g,) = torch.autograd.grad(m(x, torch.zeros(1)), x, create_graph=True)
    (h,) = torch.autograd.grad(g, x)
    assert (g.item(), h.item(), seen) == (6, 2, [1])


def test_a_handle_refers_to_its_table():
    m = nn.ReLU()
    handle = m.register_forward_hook(lambda *_: None)
    assert handle.hooks_dict_ref() is m._forward_hooks and len(m._forward_hooks) == 1


class Listing(nn.Module):
    def forward(self, a):
        return [a[0].clone()]


class Copying(nn.Module):
    def forward(self, *a):
        return tuple([t.clone() for t in a])


# A module, its arguments, and what is said of a non-full backward hook of it.
NOT_FULL = [
    (nn.Tanh(), lambda x: [x * 2], None),
    (nn.Softmax(-1), lambda x: [x * 2], None),
    (nn.ReLU(), lambda x: [x], "multiple autograd Nodes"),
    (nn.Linear(3, 3), lambda x: [x * 2], "multiple autograd Nodes"),
    (nn.LSTM(3, 3), lambda x: [x[None] * 2], "does not return"),
    (Listing(), lambda x: [[x * 2]], "does not return"),
    (Copying(), lambda x: [x * 2, x * 3], "different autograd Nodes"),
]


@pytest.mark.parametrize("module, arguments, said", NOT_FULL)
def test_what_is_said_of_hooks_that_see_less(module, arguments, said):
    module.register_backward_hook(lambda *_: None)
    given = arguments(torch.ones(2, 3, requires_grad=True))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module(*given)
    assert [w.category for w in caught] == ([FutureWarning] if said else [])
    assert not said or said in str(caught[0].message)


def test_the_table_of_hooks_for_every_module_that_are_always_called():
    called = nn.modules.module._global_forward_hooks_always_called
    register = nn.modules.module.register_module_forward_hook
    with register(lambda *_: None), register(lambda *_: None, always_call=True) as always:
        assert list(called) == [always.id]
        assert len(nn.modules.module._global_forward_hooks) == 2
    assert len(called) == 0
