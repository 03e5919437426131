"""The operations of an LSTM's step have the values and derivatives of what they stand for."""

import numpy as np
import pytest

import facula as torch
from facula.ops.gates import gated, lstm_state, plain


def operands(n, dtype=torch.float64):
    torch.manual_seed(3)
    return [torch.randn(3, 5, dtype=dtype, requires_grad=True) for _ in range(n)]


def state(i, f, g, c):
    return f.sigmoid() * c + i.sigmoid() * g.tanh()


def output(o, c):
    return o.sigmoid() * c.tanh()


@pytest.mark.parametrize("one, parts, n", [(lstm_state, state, 4), (gated, output, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_derivatives(one, parts, n, dtype):
    ts = operands(n, dtype)
    found, want = one(*ts), parts(*ts)
    assert found.tolist() == want.tolist()
    weight = torch.linspace(-1, 2, 15, dtype=dtype).reshape(3, 5)
    firsts = [torch.autograd.grad((y * weight).sum(), ts) for y in (found, want)]
    for a, b in zip(*firsts, strict=True):
        np.testing.assert_allclose(a, b, rtol=4e-6 if dtype is torch.float32 else 1e-14)


@pytest.mark.parametrize("one, n", [(lstm_state, 4), (gated, 2)])
def test_second_derivatives(one, n):
    ts = operands(n)
    assert torch.autograd.gradcheck(one, ts)
    assert torch.autograd.gradgradcheck(one, ts)


def test_what_they_are_for():
    x = torch.ones(2)
    assert plain(x, x)
    assert not plain(x.half(), x.half())
    assert not plain(x, x.double())
    seen = []
    torch.func.vmap(lambda t: [t, seen.append(plain(t, x))][0])(x)
    assert seen == [False]
