"""Gradients kept from growing too large, as PyTorch does it."""

from __future__ import annotations

import pytest
from nn.stored import agrees, message, warned

import facula as torch
from facula import nn
from facula.trace import spans


def _parameters(torch):
    """Three parameters, of which the last has no gradient."""
    ps = [torch.nn.Parameter(torch.zeros(n)) for n in ((2, 3), (4,), (2,))]
    ps[0].grad = torch.arange(6.0).reshape(2, 3) - 2
    ps[1].grad = torch.tensor([0.5, -8.0, 0.0, 3.0])
    return ps


@agrees
def test_clip_grad_norm(torch):
    out = {}
    for norm_type in (1, 2.0, 3, float("inf"), 0.5):
        for max_norm in (0.5, 2, 1e6):
            ps = _parameters(torch)
            before = torch.nn.utils.clip_grad_norm_(iter(ps), max_norm, norm_type)
            out[f"{norm_type} {max_norm}"] = [before, ps[0].grad, ps[1].grad]
    return out


@agrees
def test_one_tensor_and_none(torch):
    p = _parameters(torch)[1]
    single = torch.nn.utils.clip_grad_norm_(p, 1.0)
    return [single, p.grad, torch.nn.utils.clip_grad_norm_([], 1.0)]


@agrees
def test_nonfinite(torch):
    p = _parameters(torch)[1]
    p.grad[0] = float("inf")
    refused = message(torch.nn.utils.clip_grad_norm_, [p], 1.0, error_if_nonfinite=True)
    total = torch.nn.utils.clip_grad_norm_([p], 1.0)
    return [refused[0], total, p.grad]


@agrees
def test_total_norm_then_clip(torch):
    ps = _parameters(torch)
    total = torch.nn.utils.get_total_norm([p.grad for p in ps[:2]], 2.0)
    torch.nn.utils.clip_grads_with_norm_(ps, 1.0, total)
    return [total, ps[0].grad, ps[1].grad]


@agrees
def test_clip_grad_value(torch):
    ps = _parameters(torch)
    torch.nn.utils.clip_grad_value_(ps, 1.5)
    return [ps[0].grad, ps[1].grad]


@agrees
def test_old_name_warns(torch):
    return warned(torch.nn.utils.clip_grad_norm, _parameters(torch), 1.0)


@pytest.mark.parametrize("clip", ["clip_grad_norm_", "clip_grad_value_"])
def test_clipping_is_followed(clip, monkeypatch):
    model = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    recorded = []

    def step():
        optimizer.zero_grad()
        model(torch.ones(4, 3)).sum().backward()
        getattr(nn.utils, clip)(model.parameters(), 0.5)
        optimizer.step()

    for _ in range(4):
        step()
    record = spans._record
    monkeypatch.setattr(spans, "_record", lambda *a: recorded.append(a[1]) or record(*a))
    for _ in range(3):
        step()
    assert not recorded
