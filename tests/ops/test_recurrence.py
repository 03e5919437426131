"""An LSTM's layer as one operation has the values and derivatives of its steps."""

import numpy as np
import pytest

import facula as torch
from facula.ops import recurrence
from facula.ops.recurrence import fits, lstm
from facula.trace.recorder import TLS

F64 = torch.float64


def operands(steps=4, batch=3, n=2, dtype=F64):
    torch.manual_seed(3)
    shapes = (steps, batch, 4 * n), (4 * n, n), (batch, n), (batch, n)
    return [torch.randn(s, dtype=dtype, requires_grad=True) for s in shapes]


def steps(rows, w, h, c):
    cs, hs = [], []
    for row in rows:
        i, f, g, o = (row + h @ w.t()).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        cs.append(c)
        hs.append(h)
    return torch.stack(cs), torch.stack(hs)


@pytest.mark.usefixtures("tier")
@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_values_and_derivatives(length, dtype):
    ts = operands(length, dtype=dtype)
    pairs = [lstm(*ts), steps(*ts)]
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype is torch.float32 else {"rtol": 1e-12}
    for a, b in zip(*pairs, strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), **close)
    for which in ([0, 1, 2, 3], [1], [2], [3, 1]):
        firsts = [
            torch.autograd.grad(
                (c.cos() + h.sin()).sum(), [ts[k] for k in which], retain_graph=True
            )
            for c, h in pairs
        ]
        for a, b in zip(*firsts, strict=True):
            np.testing.assert_allclose(a, b, **close)


def test_second_derivatives():
    ts = operands(3, 2, 2)
    assert torch.autograd.gradcheck(lstm, ts)
    assert torch.autograd.gradgradcheck(lstm, ts)


def test_the_gradient_of_the_rows_is_recorded_once():
    net = torch.nn.LSTM(3, 4)
    net(torch.randn(5, 2, 3))[0].sum().backward()
    seen, n = [], TLS.r.cur
    while n is not None:
        seen.append(str(n.op))
        n = n.parent
    assert seen.count("lstm_back") == 1


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


def test_forward_derivatives():
    net = torch.nn.LSTM(3, 4, dtype=F64)
    x, v = torch.randn(5, 2, 3, dtype=F64), torch.randn(5, 2, 3, dtype=F64)
    _, found = torch.func.jvp(lambda x: net(x)[0], (x,), (v,))
    want = (net(x + 1e-6 * v)[0] - net(x - 1e-6 * v)[0]) / 2e-6
    np.testing.assert_allclose(found.detach(), want.detach(), atol=1e-8)
