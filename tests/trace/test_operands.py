"""Operands: what they are when an operation reads them."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import facula as torch
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


def in_a_thread(f):
    got = []

    def work():
        try:
            got.append(f())
        except Exception as error:
            got.append(error)

    other = threading.Thread(target=work)
    other.start()
    other.join()
    return got[0]


def test_what_is_pending_in_another_thread_is_computed_on_the_side():
    x = torch.arange(4.0) * 2
    assert in_a_thread(lambda: (x + 1).tolist()) == [1, 3, 5, 7]
    assert x.node.rec is TLS.r  # and stays pending in its own
    assert x.tolist() == [0, 2, 4, 6]


def test_a_history_that_is_pending_in_another_thread_is_refused():
    w = torch.ones(3, requires_grad=True)
    y = w * 2
    error = in_a_thread(lambda: y + 1)
    assert isinstance(error, RuntimeError)
    assert "pending in another thread" in str(error)
    y.sum().backward()
    assert w.grad.tolist() == [2, 2, 2]


def test_one_tensor_as_two_operands_is_one_input():
    x = torch.tensor([1.0, 2.0])
    before = len(TLS.r.inputs)
    for _ in range(3):  # recorded, then followed
        assert (x * x).tolist() == [1, 4]
    y = x * x
    assert len(TLS.r.inputs) - before <= 1
    assert y.tolist() == [1, 4]
