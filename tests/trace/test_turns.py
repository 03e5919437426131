"""Frames that nothing reads end at a turn of the loop that the program is in."""

import threading

import numpy as np
import pytest

import facula as torch
from facula.trace import entries, state, turns
from facula.trace.state import TLS

TURNS = 200


@pytest.fixture(autouse=True)
def early(monkeypatch):
    for module in (state, turns):
        monkeypatch.setattr(module, "LOOKED_AT", 100)


def ended(f):
    """What a call returns, in a thread whose recorder is new: its frames, by operations and how
    many of these were new, and what it was given."""
    frames, found = [], []

    def run():
        r = TLS.r
        r.watcher = lambda r: frames.append((r.cur.index, r.size - r.sized))
        try:
            found.append(f())
        except BaseException as error:
            found.append(error)
        r.watcher = None

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(found[0], BaseException):
        raise found[0]
    return frames, found[0]


def leap(x, v):
    for _ in range(TURNS):
        v = v - 0.01 * x
        x = x + 0.01 * v
    return x, v


def test_a_simulation_is_followed_from_the_third_piece_on():
    def run():
        x, v = leap(torch.ones(5, dtype=torch.double), torch.zeros(5, dtype=torch.double))
        return x.numpy(), v.numpy()

    frames, (x, v) = ended(run)
    assert all([length <= 104 for length, _ in frames]), frames
    assert [new for _, new in frames[2:7]] == [0] * 5
    xs, vs = np.ones(5), np.zeros(5)
    for _ in range(TURNS):
        vs = vs - 0.01 * xs
        xs = xs + 0.01 * vs
    np.testing.assert_allclose(x, xs, rtol=1e-14)
    np.testing.assert_allclose(v, vs, rtol=1e-13)


def test_one_operation_at_one_position():
    def run():
        x = torch.ones(3)
        for _ in range(1000):
            x = x * 0.999
        return x[0].item()

    frames, x = ended(run)
    assert len(frames) > 5
    assert x == pytest.approx(0.999**1000, rel=1e-4)


def test_what_is_written_in_place():
    def run():
        x, v = torch.ones(5), torch.zeros(5)
        first = x[:1]
        for _ in range(TURNS):
            v -= 0.01 * x
            x += 0.01 * v
        return x.numpy().copy(), first.item()

    frames, (x, first) = ended(run)
    assert len(frames) > 5
    expected = leap(torch.ones(5), torch.zeros(5))[0]
    np.testing.assert_allclose(x, expected.numpy(), rtol=1e-5)
    assert first == x[0]


def test_a_graph_is_not_cut():
    def run():
        w = torch.ones(5, requires_grad=True)
        x, v = leap(w, torch.zeros(5))
        before = TLS.r.cur.index
        (x.sum() + v.sum()).backward()
        return before, w.grad.numpy()

    frames, (before, grad) = ended(run)
    assert before == 4 * TURNS
    assert frames[-1][0] > before
    x, v = leap(torch.ones(1), torch.zeros(1))  # linear in its start: that is the gradient
    assert grad[0] == pytest.approx(x.item() + v.item(), rel=1e-4)


@pytest.mark.parametrize("training", [False, True])
def test_a_model_whose_results_are_dropped_is_followed(training):
    def run():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
        with torch.set_grad_enabled(training):
            for _ in range(1000):
                y = model(torch.ones(3, 4))
        return len(TLS.r.handles), y.sum().item()

    frames, (handles, total) = ended(run)
    assert handles < 200
    assert len(frames) > 5
    assert sum(new for _, new in frames[-3:-1]) == 0
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    assert total == pytest.approx(model(torch.ones(3, 4)).sum().item(), rel=1e-5)


def test_gradients_of_gradients_that_are_dropped():
    def run():
        w = torch.ones(4, requires_grad=True)
        most = 0
        for _ in range(500):
            (g,) = torch.autograd.grad((w**3).sum(), w, create_graph=True)
            g.register_hook(lambda g: g * 3)
            g.sum().backward()
            grad, w.grad = w.grad, None
            most = max(most, len(TLS.r.handles))
        return most, grad.tolist()

    _, (most, grad) = ended(run)
    assert most < 1000
    assert grad == [18.0] * 4


@pytest.mark.parametrize("keep", [False, True])
def test_batches_that_nothing_else_keeps_are_not_collected(monkeypatch, keep):
    for module in (turns, entries):
        monkeypatch.setattr(module, "PINNED", 1 << 20)
    monkeypatch.setattr(state, "LOOKED_AT", 1000)
    monkeypatch.setattr(turns, "LOOKED_AT", 1000)

    def run():
        most, batches = 0, []
        for i in range(60):
            batch = torch.from_numpy(np.full(1 << 16, i, np.float32))
            if keep:
                batches.append(batch)
            x = batch * 2
            y = x.sum()
            most = max(most, len(TLS.r.inputs))
        return most, y.item()

    _, (most, total) = ended(run)
    assert total == 59 * 2 * (1 << 16)
    assert most == 60 if keep else most < 12
