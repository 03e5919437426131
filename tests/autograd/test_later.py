"""Graphs of ended frames: the same gradients and errors whether or not they are built at once."""

import gc
import weakref

import numpy as np
import pytest

import facula as torch
from facula.autograd import graph, later
from facula.interpreter import program
from facula.trace import recorder

ROUNDS = 4  # the first one makes the plan, the others follow it


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
    """Numbers are compared bit by bit: compiled programs may round differently."""
    monkeypatch.setattr(program, "COMPILE_AFTER", 1 << 30)


@pytest.fixture
def nodes(monkeypatch):
    """The graph nodes that were made."""
    torch.synchronize()  # what other tests have left
    seen = []

    def count(n, *rest):
        g = graph_made(n, *rest)
        seen.append(g)
        return g

    graph_made = graph.made
    monkeypatch.setattr(graph, "made", count)
    return seen


@pytest.fixture
def at_once(monkeypatch):
    """Called, it makes graphs be built when frames end."""
    return lambda: monkeypatch.setattr(recorder, "postponed", lambda r, key, live: None)


def layers():
    torch.manual_seed(0)
    return torch.randn(4, 3), torch.randn(3, 3).requires_grad_(), torch.randn(3).requires_grad_()


def test_what_nobody_asks_for_is_not_built(nodes):
    x, w, b = layers()
    for _ in range(ROUNDS):
        y = (x @ w + b).tanh().softmax(1)
        y.sum().item()
        assert y.requires_grad and not y.is_leaf
    assert nodes == []
    assert y.grad_fn.name() == "SoftmaxBackward0"
    assert len(nodes) > 3
    assert y.grad_fn is y.grad_fn


def outcome(use):
    """What `use` gives or raises in each round, and the gradients."""
    x, w, b = layers()
    found = []
    for i in range(ROUNDS):
        torch.synchronize()
        y = (x @ w + b).tanh()
        z = y.exp() * w.sum()
        torch.synchronize()
        try:
            found.append(use(i, x, w, b, y, z))
        except RuntimeError as err:
            found.append(str(err)[:60])
        found.append([None if p.grad is None else p.grad.tolist() for p in (w, b)])
        w.grad = b.grad = None
    return found


def twice(i, x, w, b, y, z):
    z.sum().backward()
    z.sum().backward()


def with_hooks(i, x, w, b, y, z):
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()) or g * 2)
    z.sum().backward()
    return seen


def retained(i, x, w, b, y, z):
    y.retain_grad()
    z.sum().backward()
    return y.grad.tolist()


def second(i, x, w, b, y, z):
    (g,) = torch.autograd.grad(z.sum(), w, create_graph=True)
    (g * g).sum().backward()
    return g.tolist()


def written(i, x, w, b, y, z):
    y.mul_(2)  # tanh saved its result
    z.sum().backward()


def parameter_written(i, x, w, b, y, z):
    with torch.no_grad():
        x.add_(1)  # the product saved it
    z.sum().backward()


def harmless(i, x, w, b, y, z):
    with torch.no_grad():
        b.add_(1)  # nothing saved it
    z.sum().backward()


def detached(i, x, w, b, y, z):
    z.detach_()
    y.sum().backward()
    return z.requires_grad


def joined(i, x, w, b, y, z):
    (y * z).sum().backward()


def one_after_the_other(i, x, w, b, y, z):
    y.sum().backward(retain_graph=True)
    z.sum().backward()


def with_respect_to_results(i, x, w, b, y, z):
    return [g.tolist() for g in torch.autograd.grad(z.sum(), [y, w])]


def views(i, x, w, b, y, z):
    y[0].sum().backward(retain_graph=True)
    z.t()[1:].exp().sum().backward()


def in_place(i, x, w, b, y, z):
    z += y
    z.sum().backward()


def no_more_a_leaf(i, x, w, b, y, z):
    b.requires_grad_(False)
    try:
        z.sum().backward()
    finally:
        b.requires_grad_()


def walked(i, x, w, b, y, z):
    names, stack = [], [z.grad_fn]
    while stack:
        n = stack.pop()
        names.append(n.name())
        stack.extend([n for n, _ in n.next_functions if n is not None])
    return names


USES = [
    *(twice, with_hooks, retained, second, written, parameter_written, harmless, detached, joined),
    *(one_after_the_other, with_respect_to_results, views, in_place, no_more_a_leaf, walked),
]


@pytest.mark.parametrize("use", USES)
def test_the_same_as_built_at_once(monkeypatch, at_once, use):
    postponed = []
    plain = later.postpone
    monkeypatch.setattr(later, "postpone", lambda r, p: postponed.append(1) or plain(r, p))
    got = outcome(use)
    assert postponed
    at_once()
    assert got == outcome(use)


def test_an_error_names_the_operation_and_its_line():
    x, w, _ = layers()
    for _ in range(ROUNDS):
        y = (x @ w).exp()
        torch.synchronize()
        y += 1
        with pytest.raises(RuntimeError, match=r"saved by ExpBackward0, recorded at .*test_later"):
            y.sum().backward()


def test_many_frames_after_each_other():
    w = torch.ones(2, requires_grad=True)
    h = torch.zeros(2)
    for _ in range(3000):
        h = h + w
        torch.synchronize()
    h.sum().backward()
    assert w.grad.tolist() == [3000.0, 3000.0]


def test_one_result_keeps_no_history_of_another():
    w = torch.ones(2, requires_grad=True)
    h = w * 1
    kept, gone = [], []
    for _ in range(5):
        big = h.exp()
        gone.append(weakref.ref(big))
        h = big * w
        kept.append(w * 3)
        torch.synchronize()
        del big
    first = weakref.ref(h.grad_fn)
    del h
    gc.collect()
    assert first() is None
    assert [k.grad_fn.name() for k in kept] == ["MulBackward0"] * 5


def test_what_dies_takes_what_it_saved_with_it():
    w = torch.ones(4, requires_grad=True)
    for _ in range(ROUNDS):
        y = (w * 2).exp()
        y.sum().item()
    ended = y._gfn.ended
    assert type(y._gfn) is later.Later and len(ended.kept) == 1
    y.sum().backward()
    assert ended.kept == []  # the engine has let go of it
    held = weakref.ref(y)
    torch.synchronize()
    del y, ended
    gc.collect()
    assert held() is None


def test_memory_seen_by_numpy():
    """NumPy code may write to what was saved: the pass reads it when it runs."""
    x, w, _ = layers()
    a = x.numpy()
    for _ in range(ROUNDS):
        y = x @ w
        torch.synchronize()
        y.sum().backward()
        assert w.grad.tolist() == x.sum(0)[:, None].expand(3, 3).tolist()
        w.grad = None
        a += 1


@pytest.mark.parametrize("kept", [False, True])
def test_a_result_outlives_a_frame_of_which_a_pass_was_followed(nodes, kept):
    z = torch.randn(5, 2)
    g, d = torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(d.parameters(), 0.1)
    held = None
    for i in range(ROUNDS + 2):
        fake = g(z)
        loss = d(fake.detach()).pow(2).mean()
        held = loss if kept else None
        optimizer.zero_grad()
        g.zero_grad()
        loss.backward()
        del loss
        optimizer.step()
        if i > 2:
            nodes.clear()
        d(fake).mean().backward()  # ends the frame: an updated parameter is used
        np.testing.assert_allclose(g.bias.grad.numpy(), d.weight.detach()[0].numpy(), rtol=1e-6)
        g.bias.grad._exported = None
        if held is not None:
            with pytest.raises(RuntimeError, match="second time"):
                held.backward()
    assert fake.requires_grad and not (nodes and not kept)
