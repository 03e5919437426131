"""Graphs of which several threads have made parts, with PyTorch's gradients."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest

import facula as torch
from facula.autograd.graph import edges_of
from facula.autograd.nodes import GradNode
from facula.utils.checkpoint import checkpoint


def in_thread(f):
    """f() in another thread, whose frame is between two of this one."""

    def call():
        try:
            return f()
        finally:
            torch.synchronize()

    torch.synchronize()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return g * 2 * ctx.saved_tensors[0]


def read(y):
    z = y * y
    s = z.sum()
    float(s)
    u = z * y * s
    float(u.sum())
    return z, u


def again(y):
    z = in_thread(lambda: y * y)
    (g,) = in_thread(lambda: torch.autograd.grad(z.sum(), y, create_graph=True))
    return z, g * z


def looked_at(y):
    q = y * 5
    assert q.grad_fn is not None  # a node of this frame, before it has met the other one's
    z = in_thread(lambda: y * y)
    return z, z * q


def shared(z, u):
    return z, u(z)


# What is made of y = 2 w: another thread's z, and a result. Then the gradients of its sum by y, z
# and w, where w is 1.
CASES = [
    (lambda y: shared(in_thread(lambda: y[...]), lambda z: z * z), 4, 4, 8),
    (lambda y: shared(in_thread(lambda: y * y), lambda z: z * y), 12, 2, 24),
    (lambda y: shared(in_thread(lambda: y.mul_(3)), lambda z: z * z), 12, 12, 72),
    (lambda y: shared(in_thread(lambda: Square.apply(y)), lambda z: z * y), 12, 2, 24),
    (lambda y: shared(in_thread(lambda: y * y), lambda z: Square.apply(z) * y), 80, 16, 160),
    (
        lambda y: shared(in_thread(lambda: in_thread(lambda: y * y) * y), lambda z: z * z * y),
        448,
        32,
        896,
    ),
    (
        lambda y: shared(
            in_thread(lambda: y * y),
            lambda z: y * checkpoint(lambda a: a * z * (y * 3), z, use_reentrant=False),
        ),
        576,
        96,
        1152,
    ),
    (lambda y: in_thread(lambda: read(y)), 240, 48, 480),
    (again, 24, 4, 48),
    (looked_at, 60, 10, 120),
]


def check_order(t):
    """Every edge leads to a smaller order."""
    stack, seen = [t.grad_fn], set()
    while stack:
        n = stack.pop()
        if isinstance(n, GradNode) and n not in seen:
            seen.add(n)
            for edge in edges_of(n):
                assert edge is None or edge.order < n.order
                stack.append(edge)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_parts_of_a_graph_that_other_threads_have_made(case, tier):
    make, *expected = CASES[case]
    for _ in range(2):
        w = torch.ones(3, requires_grad=True)
        y = w * 2
        z, u = make(y)
        check_order(u)
        got = torch.autograd.grad(u.sum(), [y, z, w])
        assert [g.tolist() for g in got] == [[x] * 3 for x in expected]


def test_passes_in_another_thread():
    w = torch.ones(3, requires_grad=True)
    y = w * 2
    y.retain_grad()
    z = in_thread(lambda: y * 2)
    z.retain_grad()
    u = z * z
    in_thread(lambda: u.sum().backward())
    assert [t.grad.tolist() for t in (w, y, z)] == [[32] * 3, [16] * 3, [8] * 3]


def test_threads_that_share_a_leaf_which_none_has_computed_anything_of():
    x = torch.ones(5, requires_grad=True)

    def run():
        ((x + 3) * (x + 4) * 0.5).sum().backward()

    for _ in range(4):  # each while those before it have their frames still
        thread = Thread(target=run)
        thread.start()
        thread.join()
    assert x.grad.tolist() == [4 * 4.5] * 5
    x.grad = None
    threads = [Thread(target=run) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert x.grad.tolist() == [8 * 4.5] * 5


def test_a_result_that_frames_of_several_threads_read():
    w = torch.ones(3, requires_grad=True)
    h = w * 3
    assert h.sum().item() == 9
    out = []
    for _ in range(2):
        thread = Thread(target=lambda: out.append((h * 2).sum()))
        thread.start()
        thread.join()
        torch.synchronize()
    h2 = (h * 2).sum()
    assert torch.autograd.grad(h2, w)[0].tolist() == [6] * 3
