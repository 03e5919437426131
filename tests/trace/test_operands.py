"""Operands: what they are when an operation reads them."""

from __future__ import annotations

import numpy as np
import pytest

import facula as torch
from facula.trace import operands, spans
from facula.trace.recorder import TLS


@pytest.mark.parametrize("view", ["narrow", "expand", "transposed", "steps"])
def test_the_snapshot_of_a_view_of_shared_memory_has_the_views_strides(view, tier):
    a = np.arange(15.0).reshape(5, 3)
    x = torch.from_numpy(a)
    y, want = {
        "narrow": (x[:, 1:], a[:, 1:]),
        "expand": (x[:, :1].expand(5, 2), np.broadcast_to(a[:, :1], (5, 2))),
        "transposed": (x[1:].t(), a[1:].T),
        "steps": (x[::2, ::2], a[::2, ::2]),
    }[view]
    want = (want * want + 1).tolist()
    z = y * y + 1
    a[:] = 0  # what was recorded before has the old values
    assert z.tolist() == want and not y.any()


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("cell", [False, True])
def test_snapshots_of_many_columns_lie_in_one_room(width, cell, tier, rng):
    a = rng.normal(size=(9, 1000))
    columns = torch.from_numpy(a).split(width, 1)
    weight = torch.tensor(rng.normal(size=(2, width)))
    found = []
    for c in columns[:40]:
        if c.shape[1] == width:
            found.append(torch.nn.functional.linear(c, weight) if cell else c * 2)
    held = [d.base for _, d, _ in TLS.r.inputs if d.shape == (9, width)]
    want = [a[:, i * width : i * width + width] for i in range(len(found))]
    want = [w @ weight.numpy().T if cell else w * 2 for w in want]
    a[:] = 0
    for got, w in zip(found, want, strict=True):
        np.testing.assert_allclose(got.numpy(), w, rtol=1e-12)
    assert len(held) == len(found)
    assert len({id(b) for b in held}) == 1


def test_one_tensor_as_two_operands_is_one_input():
    x = torch.tensor([1.0, 2.0])
    before = len(TLS.r.inputs)
    for _ in range(3):  # recorded, then followed
        assert (x * x).tolist() == [1, 4]
    y = x * x
    assert len(TLS.r.inputs) - before <= 1
    assert y.tolist() == [1, 4]


@pytest.mark.parametrize("how", ["operator", "function"])
def test_what_is_other_each_time_before_the_first_parameter_is_a_frame_of_its_own(how):
    w = torch.ones(3, 3, requires_grad=True)
    grown = []
    for n in range(1, 16):
        batch = torch.zeros(n, 2)  # nobody reads it before the step
        before = TLS.r.size
        y = torch.ones(2, 3)
        for _ in range(50):
            y = (y @ w if how == "operator" else torch.nn.functional.linear(y, w)).tanh()
        y.sum().backward()
        w.grad.sum().item()
        w.grad = None
        assert batch.tolist() == [[0, 0]] * n
        grown.append(TLS.r.size - before)
    assert grown[0] > 100
    assert grown[-1] < 20


def test_a_frame_does_not_end_within_a_function_of_the_library():
    w = torch.ones(3, 3, requires_grad=True)

    def both(tensors, static, numbers):
        x, w = tensors
        return torch.nn.functional.linear(x * 2, w).sum()

    frames, batches = [], [torch.ones(n, 3) for n in range(1, 16)]
    torch.synchronize()
    for x in batches:
        before = TLS.r.frame
        spans.run(both, (x, w)).backward()
        w.grad.sum().item()
        w.grad = None
        frames.append(TLS.r.frame - before)
    assert frames == [1] * 15


@pytest.mark.parametrize("how", ["operator", "function"])
def test_a_long_way_that_goes_on_in_many_ways_is_a_frame_of_its_own(how, monkeypatch):
    monkeypatch.setattr(operands, "LONG_WAY", 50)
    w = torch.full((3,), 0.5, requires_grad=True)
    grown = []
    for n in range(2, 20):
        before = TLS.r.size
        y = w
        for _ in range(60):
            y = (y * w).cos()
        z = y.expand(n, 3) if how == "operator" else torch.nn.functional.pad(y, (0, n))
        z.sum().backward()
        grown.append(TLS.r.size - before)
        want = w.grad.clone()
        w.grad = None
        y = w
        for _ in range(60):
            y = (y * w).cos()
        y.item() if y.dim() == 0 else y.tolist()  # the same, in two frames
        z = y.expand(n, 3) if how == "operator" else torch.nn.functional.pad(y, (0, n))
        z.sum().backward()
        assert torch.allclose(w.grad, want)
        w.grad = None
    assert grown[0] > 100
    assert max(grown[-5:]) < 100
