"""What the scaler does and refuses, step by step, as PyTorch does it."""

from __future__ import annotations

import pytest

import facula as torch


def made(**kwargs):
    p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    return torch.amp.GradScaler("cpu", **kwargs), p, torch.optim.SGD([p], lr=1.0)


def test_a_step():
    scaler, p, optimizer = made(init_scale=4.0)
    scaler.scale((p * p).sum()).backward()
    assert p.grad.tolist() == [8.0, 16.0]
    scaler.unscale_(optimizer)
    assert p.grad.tolist() == [2.0, 4.0]
    with pytest.raises(RuntimeError, match="already been called on this optimizer"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    assert p.tolist() == [-1.0, -2.0]
    with pytest.raises(RuntimeError, match=r"step\(\) has already been called"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"being called after step"):
        scaler.unscale_(optimizer)
    scaler.update()
    with pytest.raises(AssertionError, match="No inf checks were recorded prior to update"):
        scaler.update()


def test_an_infinite_gradient_skips_the_step():
    scaler, p, optimizer = made(init_scale=4.0)
    scaler.scale(p.sum() * float("inf")).backward()
    assert scaler.step(optimizer) is None
    assert p.tolist() == [1.0, 2.0]
    scaler.update()
    assert scaler.get_scale() == 2.0


def test_what_is_scaled():
    scaler, p, _ = made(init_scale=4.0)
    assert [t.item() for t in scaler.scale([p.sum(), p.prod()])] == [12.0, 8.0]
    assert scaler.scale(p.half()).dtype is torch.float16
    assert scaler.scale(p.half().sum()).dtype is torch.float32
    with pytest.raises(ValueError, match="must be a Tensor or an iterable"):
        scaler.scale(3)


def test_states():
    scaler, _, _ = made(init_scale=4.0)
    state = scaler.state_dict()
    assert state == {
        "scale": 4.0,
        "growth_factor": 2.0,
        "backoff_factor": 0.5,
        "growth_interval": 2000,
        "_growth_tracker": 0,
    }
    scaler.load_state_dict({**state, "scale": 2.0, "_growth_tracker": 1})
    assert (scaler.get_scale(), scaler.state_dict()["_growth_tracker"]) == (2.0, 1)
    with pytest.raises(RuntimeError, match="state dict is empty"):
        scaler.load_state_dict({})
    off = torch.amp.GradScaler("cpu", enabled=False)
    assert (off.state_dict(), off.get_scale(), off.is_enabled()) == ({}, 1.0, False)


def test_what_is_refused():
    scaler, _, optimizer = made()
    for name, args in (("update", ()), ("step", (optimizer,)), ("unscale_", (optimizer,))):
        with pytest.raises(AssertionError, match=f"Attempted {name} but _scale is None"):
            getattr(scaler, name)(*args)
    scaler.scale(torch.ones(()))
    with pytest.raises(AssertionError, match="No inf checks were recorded for this optimizer"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="Closure use"):
        scaler.step(optimizer, closure=lambda: 1)
    with pytest.raises(AssertionError, match="growth factor"):
        torch.amp.GradScaler("cpu", growth_factor=0.5)
    with pytest.raises(AssertionError, match="backoff factor"):
        torch.amp.GradScaler("cpu", backoff_factor=2.0)
    half = torch.nn.Parameter(torch.ones(2, dtype=torch.float16))
    half.grad = torch.ones(2, dtype=torch.float16)
    with pytest.raises(ValueError, match="FP16 gradients"):
        scaler.unscale_(torch.optim.SGD([half], lr=1.0))
