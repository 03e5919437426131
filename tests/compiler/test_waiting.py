"""Calls that need not wait for one another give the same values in whatever order."""

import ctypes
from contextlib import nullcontext

import numpy as np
import pytest

import facula as torch
from facula import nn
from facula.compiler import program as native
from facula.compiler import waiting
from facula.cpu import runtime
from facula.cpu.runtime import RECORD
from facula.interpreter import program
from facula.nn import functional as F


class Backwards:
    """Runs each call as early as the table allows, the last one first."""

    def __init__(self):
        self.moved = 0  # calls that came before one that is in front of them

    def run(self, call):
        words = (ctypes.c_int64 * (RECORD * call.count)).from_address(call.table)
        needed = [k - words[RECORD * k + 3] for k in range(call.count)]
        done = [False] * call.count

        def go(k):
            for j in range(max(0, needed[k]) - 1, -1, -1):
                if not done[j]:
                    go(j)
            done[k] = True
            self.moved += not all(done[:k])
            call.single(k).launch()

        for k in range(call.count - 1, -1, -1):
            if not done[k]:
                go(k)
        call.ran = True

    def region(self, *_):
        return nullcontext()


def perceptron():
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, 32), nn.GELU(), nn.Linear(32, 5)
    )
    return model, torch.randn(16, 20), torch.randint(0, 5, (16,))


def pictures():
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 5),
    )
    return model, torch.randn(6, 1, 12, 12), torch.randint(0, 5, (6,))


def transformer():
    torch.manual_seed(3)
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
    model = nn.Sequential(nn.Embedding(11, 16), layer, nn.Flatten(), nn.Linear(64, 5))
    return model, torch.randint(0, 11, (8, 4)), torch.randint(0, 5, (8,))


def trained(build, optimiser, steps=4):
    model, x, y = build()
    opt = optimiser(model.parameters())
    for _ in range(steps):
        opt.zero_grad()
        F.cross_entropy(model(x), y).backward()
        opt.step()
    return [p.detach().numpy().copy() for p in model.parameters()]


@pytest.mark.parametrize("build", [perceptron, pictures, transformer])
@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_any_order_that_is_allowed_gives_the_same(build, name, monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    optimiser = lambda p: getattr(torch.optim, name)(p, lr=0.01)  # noqa: E731
    want = trained(build, optimiser)
    listener = Backwards()
    monkeypatch.setattr(runtime, "LISTENER", listener)
    got = trained(build, optimiser)
    assert listener.moved
    for a, b in zip(want, got, strict=True):
        assert np.array_equal(a, b)


def test_what_a_call_waits_for(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    found = []
    monkeypatch.setattr(native, "free", lambda *a: found.append(waiting.free(*a)) or found[-1])
    a, b, c = torch.randn(8, 8), torch.randn(8, 8), torch.randn(8, 8)
    torch.synchronize()
    x, y = a @ b, b @ c
    z = x @ c
    torch.synchronize()
    # Each in a call of its own; the third needs the first, and the others need nothing.
    assert found[-1] == [0, 1, 1]
    np.testing.assert_allclose(z.numpy(), a.numpy() @ b.numpy() @ c.numpy(), rtol=1e-4, atol=1e-4)
    assert y.shape == (8, 8)


def test_stretches_of_the_arena():
    room = waiting._Room()
    assert room.take(0, 100, 3) == 0
    assert room.take(100, 200, 5) == 0
    assert room.take(50, 150, 9) == 5
    assert room.take(0, 50, 11) == 3
    assert room.take(160, 170, 12) == 5
    assert room.take(40, 200, 20) == 12
    assert (room.begins, room.ends, room.calls) == ([0, 40], [40, 200], [11, 20])
