"""Hooks of modules."""

from __future__ import annotations

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
