"""A recurrent layer as one operation has the values and derivatives of its steps."""

import numpy as np
import pytest

import facula as torch
from facula.ops import recurrence
from facula.ops.recurrence import fits, layer
from facula.trace.recorder import TLS

F64 = torch.float64


GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def operands(mode="LSTM", steps=4, batch=3, n=2, dtype=F64):
    torch.manual_seed(3)
    wide = GATES[mode] * n
    more = (batch, n) if mode == "LSTM" else (wide,)
    shapes = (steps, batch, wide), (wide, n), (batch, n), more
    return [torch.randn(s, dtype=dtype, requires_grad=True) for s in shapes]


def steps(mode, rows, w, h, more):
    out = []
    for row in rows:
        if mode == "LSTM":
            i, f, g, o = (row + h @ w.t()).chunk(4, -1)
            more = f.sigmoid() * more + i.sigmoid() * g.tanh()
            h = o.sigmoid() * more.tanh()
            out.append((more, h))
            continue
        z = h @ w.t() + more
        if mode == "GRU":
            (a, b, c), (d, e, f) = row.chunk(3, -1), z.chunk(3, -1)
            u = (b + e).sigmoid()
            h = (1 - u) * (c + (a + d).sigmoid() * f).tanh() + u * h
        else:
            h = (row + z).tanh() if mode == "RNN_TANH" else (row + z).relu()
        out.append((h,))
    return tuple(torch.stack(s) for s in zip(*out, strict=True))


def loss(states):
    return sum(((k + 1) * s).sin().sum() for k, s in enumerate(states))


@pytest.mark.usefixtures("tier")
@pytest.mark.parametrize("length,batch,units", [(1, 3, 2), (4, 3, 2), (3, 6, 19)])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("mode", GATES)
def test_values_and_derivatives(mode, dtype, length, batch, units):
    ts = operands(mode, length, batch, units, dtype=dtype)
    pairs = [layer(mode, *ts), steps(mode, *ts)]
    close = (
        {"rtol": 1e-3, "atol": 1e-4} if dtype is torch.float32 else {"rtol": 1e-9, "atol": 1e-12}
    )
    for a, b in zip(*pairs, strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), **close)
    for which in ([0, 1, 2, 3], [1], [2], [3, 1]):
        firsts = [
            torch.autograd.grad(loss(states), [ts[k] for k in which], retain_graph=True)
            for states in pairs
        ]
        for a, b in zip(*firsts, strict=True):
            np.testing.assert_allclose(a, b, **close)


@pytest.mark.parametrize("mode", GATES)
def test_second_derivatives(mode):
    ts = operands(mode, 3, 2, 2)
    assert torch.autograd.gradcheck(lambda *ts: layer(mode, *ts), ts)
    assert torch.autograd.gradgradcheck(lambda *ts: layer(mode, *ts), ts)


@pytest.mark.parametrize("mode,net", [("lstm", "LSTM"), ("gru", "GRU"), ("rnn_tanh", "RNN")])
def test_the_gradient_of_the_rows_is_recorded_once(mode, net):
    net = getattr(torch.nn, net)(3, 4)
    h = torch.zeros(1, 2, 4, requires_grad=True)
    net(torch.randn(5, 2, 3), (h, h) if mode == "lstm" else h)[0].sum().backward()
    seen, n = [], TLS.r.cur
    while n is not None:
        seen.append(str(n.op))
        n = n.parent
    assert seen.count(mode) == seen.count(mode + "_back") == 1


@pytest.mark.usefixtures("tier")
def test_a_unit_that_is_not_a_number():
    ts = operands("RNN_RELU", 2, 1, 1)
    with torch.no_grad():
        ts[0][0] = float("nan")
    found = []
    for (out,) in (layer("RNN_RELU", *ts), steps("RNN_RELU", *ts)):
        assert out.isnan().all()
        found.append(torch.autograd.grad(out.sum(), ts[3])[0].item())
    assert found[0] == pytest.approx(found[1])


def test_what_it_is_for(monkeypatch):
    ts = operands()
    assert fits(3, ts[1], *ts)
    half = [t.half() for t in ts]
    assert not fits(3, half[1], *half)
    assert not fits(3, ts[1], ts[3].float())
    seen = []
    torch.func.vmap(lambda t: [t, seen.append(fits(3, ts[1], t))][0])(torch.stack(ts[:1]))
    assert seen == [False]
    with torch.autograd.forward_ad.dual_level():
        assert not fits(3, ts[1], *ts)
    monkeypatch.setattr(recurrence, "MOST", 1)
    assert not fits(3, ts[1], *ts)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_forward_derivatives(kind):
    net = getattr(torch.nn, kind)(3, 4, dtype=F64)
    x, v = torch.randn(5, 2, 3, dtype=F64), torch.randn(5, 2, 3, dtype=F64)
    _, found = torch.func.jvp(lambda x: net(x)[0], (x,), (v,))
    want = (net(x + 1e-6 * v)[0] - net(x - 1e-6 * v)[0]) / 2e-6
    np.testing.assert_allclose(found.detach(), want.detach(), atol=1e-8)
