"""Followed backward passes: the same numbers and the same rules as when the engine runs."""

import sys

import numpy as np
import pytest

import facula as torch
from facula.autograd import calls, engine, replay
from facula.interpreter import program


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
    """Numbers are compared bit by bit: compiled programs may round differently."""
    monkeypatch.setattr(program, "COMPILE_AFTER", 1 << 30)


@pytest.fixture
def followed(monkeypatch):
    """Counts the passes that were followed."""
    seen = []

    def count(r, key, given):
        done = replay.follow(r, key, given)
        seen.append(done)
        return done

    def short(r, key):  # one that is not followed is asked for again
        done = replay.follow(r, key)
        seen.extend([True] * done)
        return done

    monkeypatch.setattr(calls, "follow", count)
    monkeypatch.setattr(sys.modules["facula.tensor"], "_backward", calls.backward)
    monkeypatch.setattr(sys.modules["facula.tensor"], "_follow", short)
    return seen


def make(seed=0):
    torch.manual_seed(seed)
    x, y = torch.randn(6, 5), torch.randn(6, 2)
    return x, y, torch.randn(5, 4).requires_grad_(), torch.randn(4, 2).requires_grad_()


def clear(w, how):
    if how == "none":
        w.grad = None
    elif how == "zero":
        w.grad.zero_()


def train(steps, how="none", exponent=lambda i: 2, before=lambda i, *ts: None):
    x, y, w1, w2 = make()
    seen = []
    for i in range(steps):
        loss = (x.mm(w1).clamp(min=0).mm(w2) - y).pow(exponent(i)).sum()
        before(i, loss, w1, w2)
        loss.backward()
        with torch.no_grad():
            for w in (w1, w2):
                w -= 0.01 * w.grad
                clear(w, how)
        seen.append(loss)
    grads = [None if w.grad is None else w.grad.tolist() for w in (w1, w2)]
    return [s.item() for s in seen], w1.tolist(), w2.tolist(), grads


@pytest.mark.parametrize("how", ["none", "zero", "accumulate"])
@pytest.mark.parametrize("exponent", [lambda i: 2, lambda i: 2 + i % 3, lambda i: 2.0 + i])
def test_same_numbers_as_the_engine(followed, monkeypatch, how, exponent):
    got = train(8, how, exponent)
    if exponent(1) == 2:
        assert sum(followed) >= 4
    monkeypatch.setattr(calls, "follow", lambda r, key, given: False)
    assert str(got) == str(train(8, how, exponent))  # as text: NaN equals NaN


def test_a_hook_registered_later_is_called(followed):
    x, y, w1, w2 = make()
    seen = []
    for i in range(6):
        loss = (x.mm(w1).mm(w2) - y).pow(2).sum()
        if i == 4:
            w1.register_hook(seen.append)
        loss.backward()
        with torch.no_grad():
            for w in (w1, w2):
                w -= 0.01 * w.grad
                w.grad = None
    assert followed[3] and not followed[4] and not followed[5]
    assert len(seen) == 2


def test_a_hook_inside_the_graph_is_called(followed):
    x, y, w1, w2 = make()
    seen = []
    for i in range(6):
        h = x.mm(w1)
        if i == 4:
            h.register_hook(seen.append)
        (h.mm(w2) - y).pow(2).sum().backward()
        w1.grad = w2.grad = None
        torch.synchronize()
    assert followed[3] and not followed[4] and followed[5]
    assert len(seen) == 1 and seen[0].shape == (6, 4)


@pytest.mark.parametrize("flush", [False, True])
def test_a_second_pass_fails_as_after_the_engine(followed, flush):
    x, y, w1, w2 = make()
    for i in range(5):
        loss = (x.mm(w1).mm(w2) - y).pow(2).sum()
        loss.backward()
        if i == 4:
            assert followed[-1]
            if flush:
                loss.item()
            assert loss.grad_fn.name() == "SumBackward0"
            before = w1.grad.tolist()
            with pytest.raises(RuntimeError, match="backward through the graph a second time"):
                loss.backward()
            with pytest.raises(RuntimeError, match="backward through the graph a second time"):
                (loss * 2).backward()
            assert w1.grad.tolist() == before
        w1.grad = w2.grad = None
        torch.synchronize()


def test_shared_gradients_are_noticed(followed):
    a = torch.ones(3, requires_grad=True)
    b = torch.ones(3, requires_grad=True)
    for i in range(6):
        a.grad, b.grad = torch.zeros(3), torch.zeros(3)
        if i == 5:
            b.grad = a.grad
        torch.synchronize()
        (a * a * b).sum().backward()
        torch.synchronize()
    assert followed[4] and not followed[5]
    assert a.grad is b.grad and a.grad.tolist() == [3.0, 3.0, 3.0]


def test_two_passes_in_one_step(followed):
    x, _, w1, w2 = make()
    grads = []
    for _ in range(5):
        h = x.mm(w1)
        h.mm(w2).pow(2).sum().backward(retain_graph=True)
        x.mm(w1).pow(2).sum().backward()
        x.mm(w1).mm(w2).sin().sum().backward()
        grads.append((w1.grad.tolist(), w2.grad.tolist()))
        w1.grad = w2.grad = None
        torch.synchronize()
    assert all(g == grads[0] for g in grads)


def test_history_from_an_earlier_frame_is_not_skipped(followed):
    w = torch.ones(3, requires_grad=True)
    for i in range(5):
        scale = torch.ones(3) if i < 3 else w * 2
        torch.synchronize()
        w2 = torch.ones(3, requires_grad=True)
        (w2 * w2 * scale).sum().backward()
        assert w2.grad.tolist() == ([2.0] * 3 if i < 3 else [4.0] * 3)
    assert w.grad.tolist() == [4.0, 4.0, 4.0]


def test_a_modified_saved_tensor_is_an_error_each_time():
    x, y, w1, w2 = make()
    for _ in range(4):
        h = x.mm(w1)
        loss = (h.mm(w2) - y).pow(2).sum()
        h.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
        torch.synchronize()


def test_memory_shared_with_numpy_sees_every_write():
    t = torch.zeros(2)
    a = t.numpy()
    for i in range(5):
        t += 1
        assert a.tolist() == [i + 1.0] * 2


def test_a_followed_pass_beside_a_history_that_outlives_the_frame():
    """What the pass has consumed keeps the way to its leaf, whichever result is looked at first."""
    got = []
    for _ in range(3):
        w = torch.tensor([1.5, 1.0, -0.5]).requires_grad_()
        x = torch.tensor([2.0, 1.0]).requires_grad_()
        other = x.exp()  # its history is built at the flush
        part = w[None, ::3]  # consumed by the pass, without saved values of its own
        (part.sum() * x.sum()).backward()
        torch.synchronize()
        (part * part).sum().backward()
        got.append((w.grad.tolist(), other.requires_grad))
    assert got == [([6.0, 0.0, 0.0], True)] * 3


def weights(n=6):
    """Gradients to give, one for each round."""
    torch.manual_seed(7)
    return [torch.randn(3, 2) for _ in range(n)]


GIVEN = {  # what is given, of the round's numbers and the result; whether it is followed
    "an input": (lambda g, y: g, True),
    "a value of the frame": (lambda g, y: g * 2, True),
    "the result itself": (lambda g, y: y, True),
    "a value with a history": (lambda g, y: y * y, True),
    "a view": (lambda g, y: torch.stack([g, g])[1], True),
    "a transposed input": (lambda g, y: g.t().contiguous().t(), True),
    "a leaf": (lambda g, y: torch.tensor(g.tolist(), requires_grad=True), True),
    "other numbers": (lambda g, y: g.double(), True),
    "made of an array": (lambda g, y: torch.from_numpy(np.array(g.tolist())), False),
    "seen by NumPy": (lambda g, y: (g, g.numpy()), False),
    "a storage seen by NumPy": (lambda g, y: (g[:], g.numpy()), False),
    "a subclass": (lambda g, y: g.as_subclass(Tagged), False),
}


class Tagged(torch.Tensor):
    pass


def rounds(make_given):
    torch.manual_seed(3)
    w = torch.randn(3, 2, requires_grad=True)
    v = torch.randn(2, requires_grad=True)
    out = []
    for g in weights():
        y = (w * v).exp()
        given = make_given(g, y)
        held = given if isinstance(given, tuple) else (given,)
        y.backward(held[0])
        torch.synchronize()
        out.append((w.grad.tolist(), v.grad.tolist(), y.tolist(), held[0].tolist()))
        w.grad = None
    return out


@pytest.mark.parametrize("what", GIVEN)
def test_given_gradients(followed, monkeypatch, what):
    make_given, _ = GIVEN[what]
    got = rounds(make_given)
    assert followed[-3:] == [True] * 3 if GIVEN[what][1] else not any(followed)
    monkeypatch.setattr(calls, "follow", lambda r, key, given: False)
    assert got == rounds(make_given)


def test_a_given_gradient_that_numpy_writes_to():
    w = torch.ones(2, requires_grad=True)
    g = torch.zeros(2)
    a = g.numpy()
    for i in range(5):
        a[:] = i
        (w * 3).backward(g)
        a[:] = -1.0
        assert w.grad.tolist() == [3.0 * i] * 2
        w.grad = None


def test_the_gradient_of_a_leaf_as_a_given_one(followed):
    """Given once, another tensor of the same layout is another pass."""
    w = torch.ones(2, requires_grad=True)
    for i in range(6):
        w.grad = torch.ones(2)
        g = w.grad if i % 3 == 2 else torch.full((2,), 2.0)
        (w * w).backward(g)
        torch.synchronize()
        assert w.grad.tolist() == ([3.0] * 2 if i % 3 == 2 else [5.0] * 2)
    assert followed[1] and not followed[2] and followed[3] and not followed[5]


def test_a_wrong_shape_is_an_error_each_time(followed):
    w = torch.ones(3, requires_grad=True)
    for i in range(6):
        y = w * 2
        if i % 2:
            with pytest.raises(RuntimeError, match="Mismatch in shape"):
                y.backward(torch.ones(2))
            with pytest.raises(RuntimeError, match="only for scalar outputs"):
                y.backward()
        else:
            y.backward(torch.ones(3))
        torch.synchronize()
    assert w.grad.tolist() == [6.0] * 3
    assert any(followed)


def test_a_second_pass_with_a_given_gradient_fails(followed):
    w = torch.ones(3, requires_grad=True)
    for _ in range(4):
        y = w * w
        y.backward(torch.ones(3))
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            y.backward(torch.ones(3))
        torch.synchronize()
    assert w.grad.tolist() == [8.0] * 3
    assert followed[-2]


def test_several_roots(followed):
    w = torch.ones(3, requires_grad=True)
    for i in range(6):
        a, b, c = w * 2, (w * w).sum(), w.sin()
        g = torch.full((3,), float(i))
        torch.autograd.backward([a, b, c], [g, None, g + 1 if i < 5 else g])
        torch.synchronize()
        more = w.detach().cos() * (g + 1 if i < 5 else g)
        assert w.grad.tolist() == (2 * g + 2 + more).tolist()
        w.grad = None
    assert followed[4] and len(followed) == 5  # not where one tensor is two gradients


def test_several_losses(followed):
    w = torch.ones(3, requires_grad=True)
    for _ in range(4):
        torch.autograd.backward([(w * 2).sum(), (w * w).sum()])
        torch.synchronize()
        assert w.grad.tolist() == [4.0] * 3
        w.grad = None
    assert followed[-1]


def test_hooks_on_saved_values_are_called_each_time():
    w = torch.ones(3, requires_grad=True)
    packed = []
    for _ in range(4):
        with torch.autograd.graph.saved_tensors_hooks(lambda t: packed.append(1) or t, lambda t: t):
            y = w * w
            y.backward(torch.ones(3))
    assert len(packed) >= 4 and w.grad.tolist() == [8.0] * 3


def test_what_a_followed_pass_freed_is_one_node_for_all_that_depend_on_it():
    """Its holder, and what was recorded after the pass, in the frame that a write then ended."""

    def step():
        x = torch.tensor([0.5, -1.0, 1.5], requires_grad=True)
        w = torch.tensor([1.0, 2.0], requires_grad=True)
        h = x.clone()
        (h.sum() * w.sum()).backward()
        with torch.no_grad():
            w[:] = w * 3.0
        (g,) = torch.autograd.grad(h.sum() * w.sum(), [h], create_graph=True)
        assert g.requires_grad
        return g.tolist()

    for _ in range(4):
        assert step() == [9.0] * 3


def test_grad_is_followed(monkeypatch):
    """As `backward` is: with a kept graph, unused inputs, given gradients and inner results."""
    runs = []
    run = engine.run
    monkeypatch.setattr(engine, "run", lambda *a, **k: runs.append(1) or run(*a, **k))
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    b = torch.tensor([3.0, 4.0], requires_grad=True)
    unused = torch.ones(1, requires_grad=True)

    def step():
        h = w * b
        y = (h * 3.0).sin()
        first, none = torch.autograd.grad(
            y, (w, unused), torch.ones(2), retain_graph=True, allow_unused=True
        )
        inner, other = torch.autograd.grad(y.sum(), [h, b])
        want = (3 * (w * b * 3).cos()).detach()
        assert none is None
        torch.testing.assert_close(inner, want)
        torch.testing.assert_close(first, want * b.detach())
        torch.testing.assert_close(other, want * w.detach())
        with pytest.raises(RuntimeError, match="second time"):
            y.sum().backward()
        with pytest.raises(RuntimeError, match="not have been used"):
            torch.autograd.grad((w * 2).sum(), [b])

    for _ in range(5):
        step()
        torch.synchronize()
    assert len(runs) < 15  # the two that raise errors, always, and the others before they are known
    assert w.grad is None and b.grad is None


def test_a_hook_on_what_grad_goes_through_is_called_each_time():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    seen = []
    for i in range(4):
        h = w * 2
        if i > 1:
            h.register_hook(lambda g: seen.append(1))
        (g,) = torch.autograd.grad((h * h).sum(), w)
        assert g.tolist() == [8.0, 16.0]
        torch.synchronize()
    assert len(seen) == 2


def test_what_leads_to_no_gradient_that_grad_gives_is_not_freed():
    for _ in range(3):
        x = torch.tensor([2.0, 3.0], requires_grad=True)
        y = x * x
        z = y.sin()
        (g,) = torch.autograd.grad((z * z).sum(), z)
        assert g.tolist() == (2 * z).tolist()
        y.sum().backward()
        assert x.grad.tolist() == [4, 6]


@pytest.mark.parametrize("read", [False, True])
def test_what_saves_nothing_can_be_gone_through_again(followed, read):
    a, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0], requires_grad=True)
    found = []
    for k in range(4):
        out = torch.cat([a, b])
        given = torch.tensor([1.0, 2.0, 3.0]) + k
        out.backward(given)
        if read:
            out.tolist()
        out.backward(given)
        found.append([a.grad.tolist(), b.grad.tolist()])
        a.grad = b.grad = None
    assert found == [[[2.0 + 2 * k, 4.0 + 2 * k], [6.0 + 2 * k]] for k in range(4)]
    assert any(followed)
