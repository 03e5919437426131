"""One text for many sizes on the device: how many texts there are; no bit depends on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import facula as torch
from facula.compiler import sizes
from facula.cuda import general, modules
from facula.nn import functional as F
from facula.ops.movement import CONTIGUOUS
from facula.ops.pointwise import ABS
from facula.trace.node import Node
from facula.trace.recorder import TLS, Recorder


@pytest.fixture(autouse=True)
def nothing_met(monkeypatch: Any) -> None:
    """As in a new process."""
    monkeypatch.setattr(sizes, "_known", {})
    monkeypatch.setattr(general, "_families", {})
    monkeypatch.setattr(TLS, "r", Recorder())


def _texts(n: int, m: int, where: str) -> list[Any]:
    """A step of a small encoder over n texts of m places, its loss and a gradient."""
    table = (torch.arange(40.0).reshape(10, 4) / 40).to(where).requires_grad_()
    w = (torch.arange(32.0).reshape(4, 8) / 32 - 0.4).to(where).requires_grad_()
    i = ((torch.arange(n)[:, None] * 3 + torch.arange(m)) % 10).to(where)
    x = F.embedding(i, table)
    x = F.softmax(x @ x.transpose(1, 2) / 2, -1) @ x
    y = F.layer_norm(x @ w, (8,)).cumsum(1).amax(2)
    loss = F.cross_entropy(y, i[:, 0] % m) + torch.cat([y, -y], 0).std()
    loss.backward()
    return [t.detach().cpu().numpy() for t in (y, loss, table.grad, w.grad)]


def _pictures(n: int, m: int, where: str) -> list[Any]:
    """The same of a small convolutional network."""
    torch.manual_seed(n * m)
    x = torch.randn(n, 2, m, m).to(where).requires_grad_()
    w = torch.randn(3, 2, 3, 3).to(where).requires_grad_()
    y = F.max_pool2d(F.batch_norm(F.conv2d(x, w, padding=1), None, None, training=True), 2)
    loss = (y.sigmoid() * F.avg_pool2d(x[:, :1], 2)).mean()
    loss.backward()
    return [t.detach().cpu().numpy() for t in (y, loss, x.grad, w.grad)]


SIZES = [(3, 5), (4, 6), (7, 9), (6, 5), (9, 8), (5, 10)]


@pytest.mark.parametrize("build", [_texts, _pictures])
def test_few_texts_serve_many_sizes(device: Any, build: Any, monkeypatch: Any) -> None:
    met: list[int] = []
    load = modules.load

    def spy(texts: list[str]) -> dict[str, int]:
        met.append(len([t for t in texts if t not in seen]))
        seen.update(texts)
        return load(texts)

    seen: set[str] = set()
    monkeypatch.setattr(modules, "load", spy)
    for n, m in SIZES:
        for got, want in zip(build(n, m, "cuda"), build(n, m, "cpu"), strict=True):
            np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)
    assert met[0] > 20
    assert sum(met[len(met) // 2 :]) <= met[0] // 2  # a remainder where there was none, say


@pytest.mark.parametrize("build", [_texts, _pictures])
def test_no_bit_depends_on_it(device: Any, build: Any, monkeypatch: Any) -> None:
    want = [build(*s, "cuda") for s in SIZES[:1]]
    monkeypatch.setattr(general, "changing", lambda entries: False)
    want += [build(*s, "cuda") for s in SIZES[1:]]
    monkeypatch.undo()
    monkeypatch.setattr(general, "_families", {})
    for every in (True, False):
        monkeypatch.setattr(sizes, "ALL", every)
        monkeypatch.setattr(TLS, "r", Recorder())
        for s, exact in zip(SIZES, want, strict=True):
            for a, b in zip(build(*s, "cuda"), exact, strict=True):
                np.testing.assert_array_equal(a, b)


TEXT = """extern "C" __global__ void NAME(const float* p0, float* p1) {{
  typedef {} I;
  __shared__ float side[8];
  for (I i = threadIdx.x; i < {}; i += 256) p1[i * {}] = p0[i] * __int_as_float({});
}}
"""


def test_numbers_follow_in_the_arguments() -> None:
    made = []
    for n in (5, 6, 8, 9):
        args: list[Any] = []
        made.append(general.general(TEXT.format("int", n, 3, 77), args, True))
        assert args == ([] if n == 5 else [("literal", n, 0)])
    assert made[0] != made[1] == made[2] == made[3]
    assert "float* p1, const int z0) {" in made[1]
    assert "i < z0; i += 256) p1[i * 3] = p0[i] * __int_as_float(77);" in made[1]
    # A constant of a value stands in the text, as does what an int cannot hold.
    for text in (TEXT.format("int", 9, 3, 78), TEXT.format("int", 1 << 31, 3, 77)):
        args = []
        assert general.general(text, args, True) == text
        assert not args
    # What is made for its sizes is remembered.
    text = TEXT.format("long long", 7, 2, 77)
    assert general.general(text, args, False) == text
    assert "p1[i * z1]" in general.general(TEXT.format("long long", 1 << 40, 3, 77), args, True)
    assert args == [("literal", 1 << 40, 0), ("literal", 3, 0)]


def test_sizes_change_when_a_kind_is_new() -> None:
    def entries(n: int, *more: Any) -> list[Any]:
        a = Node(ABS, (n,), torch.float32)
        return [a, Node(CONTIGUOUS, (n,), torch.float32), *more]

    made = Node(ABS, (1,), torch.float32)  # as an optimiser's first step does more
    assert not general.changing(entries(3, made))
    assert not general.changing(entries(3))
    assert general.changing(entries(4)) and general.changing(entries(3))
