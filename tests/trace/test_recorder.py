"""Recording and following: one program for a loop, dead values, numbers as inputs, threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import facula as torch
from facula.trace.recorder import TLS


def test_a_loop_with_changing_numbers_repeats_one_trace():
    w = torch.ones(4, requires_grad=True)
    sizes = []
    for t in range(8):
        loss = (w * w).sum()
        loss.backward()
        with torch.no_grad():
            w -= 0.1 / (t + 1) * w.grad
            w.grad.zero_()
        sizes.append(TLS.r.size)
    assert sizes[3] == sizes[-1]


def test_a_value_that_nothing_sees_is_not_computed():
    ran = []
    x = torch.ones(3)
    y = x.exp()
    z = x + 1
    del y
    from facula.ops.pointwise import EXP

    body, EXP.body = EXP.body, lambda *a: ran.append(1) or body(*a)
    try:
        assert z.tolist() == [2, 2, 2]
    finally:
        EXP.body = body
    assert not ran


def test_explain_names_operations_and_lines():
    torch.synchronize()
    y = torch.ones(3).exp() * 2
    text = torch.explain()
    assert "exp(" in text and "mul_s(" in text and "test_recorder.py" in text
    assert y.tolist()


def test_two_threads_train_two_models():
    out = {}

    def train(name, start):
        w = torch.full((3,), start, requires_grad=True)
        for _ in range(50):
            (w * w).sum().backward()
            with torch.no_grad():
                w -= 0.1 * w.grad
                w.grad.zero_()
        out[name] = w.tolist()

    threads = [threading.Thread(target=train, args=(i, float(i + 1))) for i in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    want = [float(i + 1) * 0.8**50 for i in range(2)]
    for i in range(2):
        assert all(abs(v - want[i]) < 1e-6 * want[i] + 1e-9 for v in out[i])


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


def test_a_derivative_recorded_like_a_view_is_no_view():
    def viewed():
        x, g = torch.ones(3, 1, requires_grad=True), torch.arange(3.0).requires_grad_()
        y, v = x.reshape(3), g.reshape(3, 1)
        torch.synchronize()
        assert y.shape == (3,)
        return np.shares_memory(v.detach().numpy(), g.detach().numpy())

    def differentiated():
        x, g = torch.ones(3, 1, requires_grad=True), torch.arange(3.0).requires_grad_()
        y = x.reshape(3)
        (v,) = torch.autograd.grad(y, x, g, create_graph=True)
        torch.synchronize()
        return v.tolist()

    for _ in range(3):
        assert viewed()
        assert differentiated() == [[0.0], [1.0], [2.0]]


def test_a_result_that_repeats_itself_is_kept_once(tier):
    for k in range(4):
        x = torch.ones(3, 200, requires_grad=True)
        g = torch.arange(3.0) + k
        (whole,) = torch.autograd.grad(x.sum(), x)
        (rows,) = torch.autograd.grad((x * 2).sum(1), x, g)
        (columns,) = torch.autograd.grad(x.sum(1), x, g)
        torch.synchronize()
        assert whole.stride() == (0, 0) and columns.stride() == (1, 0)
        g[0] = 9.0  # they have memory of their own
        assert whole.tolist() == [[1.0] * 200] * 3
        assert columns.tolist() == [[i + k] * 200 for i in (0.0, 1.0, 2.0)]
        assert rows.tolist() == [[2 * (i + k)] * 200 for i in (0.0, 1.0, 2.0)]
