"""Recording and following: one program for a loop, dead values, numbers as inputs, threads."""

from __future__ import annotations

import random
import sys
import threading

import numpy as np
import pytest

import facula as torch
from facula.interpreter import program
from facula.trace import state
from facula.trace.recorder import TLS, flush


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


class At:
    """A profiler that raises KeyboardInterrupt, as a signal's handler does: at the k-th place in
    the package where a function begins or a call of C code has returned."""

    here = torch.__file__.rsplit("__init__", 1)[0]

    def __init__(self, k: int) -> None:
        self.k, self.n = k, 0

    def __call__(self, frame, event, arg):
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith(self.here):
            self.n += 1
            if self.n == self.k:
                sys.setprofile(None)
                raise KeyboardInterrupt

    def run(self, f):
        """f until the interrupt; whether there was one."""
        before = sys.getprofile()
        sys.setprofile(self)
        try:
            f()
        except KeyboardInterrupt:
            return True
        finally:
            sys.setprofile(before)
        return False


def test_after_an_interrupt_anywhere_the_program_goes_on(tier):
    x = torch.ones(6, 5)
    w, b = torch.ones(5, 4, requires_grad=True), torch.zeros(4, requires_grad=True)
    m = torch.zeros(5, 4)
    c = torch.arange(15.0).reshape(5, 3) / 7
    torch.synchronize()

    def step():
        h = torch.nn.functional.linear(x * 1.5, w.t(), b)
        torch.nn.functional.layer_norm(h.tanh(), (4,)).pow(2).mul(h).mean().backward()
        with torch.no_grad():
            m.mul_(0.9).add_(w.grad)
            w.sub_(0.1 * m)
            b.sub_(0.1 * b.grad)
        w.grad = b.grad = None

    def steps():
        step()
        step()
        w.detach().sum().item()

    def check():
        """Values that depend on nothing that an interrupt may have left out."""
        v = c.clone().requires_grad_()
        y = (v * 2.5) @ c.t()
        loss = (y.tanh() * y).sum() / 7.0
        loss.backward()
        z = v.detach().clone()
        z.mul_(0.3).add_(v.grad, alpha=0.7)
        z[1:3] = 4.0
        return loss.item(), z.tolist(), (c * 3.0 + x.sum()).tolist()

    for _ in range(4):
        steps()
        want = check()
    tried = 0
    while At(1 + 7 * tried).run(steps):  # how many places there are differs from run to run
        tried += 1
        torch.set_grad_enabled(True)  # where `no_grad` was about to end
        assert check() == want, tried
        step()
        assert w.isfinite().all(), tried
    assert tried > 40


def test_an_interrupt_while_a_program_is_made_leaves_no_part_of_it_behind(tier):
    """A new program each time, interrupted in the next place of its first run."""
    size, k = 3, 1
    while True:
        size, k = size + 1, k + 5
        x = torch.arange(float(size))
        y = (x * 2.0 + 1.0).cumsum(0)
        again = At(k).run(y.tolist)
        assert y.tolist() == [float((n + 1) ** 2) for n in range(size)], k
        if not again:
            break
    assert k > 40


def test_after_an_interrupt_anywhere_the_workers_go_on(monkeypatch):
    """Steps of a network and its optimizer, shared by two threads and not waited for."""
    from facula.cpu import runtime
    from facula.interpreter import program

    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    monkeypatch.setattr(runtime.Sharing, "wanted", lambda self: True)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(300, 70), torch.nn.ReLU(), torch.nn.Linear(70, 30))
    x, y = torch.randn(64, 300), torch.randn(64, 30)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    states = [[p.tolist() for p in net.parameters()]]

    def steps(read=False):
        for _ in range(3):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(net(x), y).backward()
            optimizer.step()
            if read:
                torch.synchronize()
                states.append([p.tolist() for p in net.parameters()])
        torch.synchronize()

    def begin_again():
        with torch.no_grad():
            for p, a in zip(net.parameters(), states[0]):
                p.copy_(torch.tensor(a))
        torch.synchronize()

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        steps(read=True)
        for _ in range(4):
            begin_again()
            steps()
        tried = 0
        while At(1 + 7 * tried).run(steps):
            tried += 1
            torch.set_grad_enabled(True)
            found = [p.tolist() for p in net.parameters()]  # a step is done to each once or not
            for k, p in enumerate(found):
                assert any(np.allclose(p, s[k], 1e-4, 1e-5) for s in states), tried
            assert not runtime._turn
            begin_again()
        assert tried > 40
        begin_again()
        steps()
        found = [p.tolist() for p in net.parameters()]
        assert all(np.allclose(p, want, 1e-4, 1e-5) for p, want in zip(found, states[-1]))
    finally:
        torch.set_num_threads(before)


def test_an_interrupted_flush_is_neither_lost_nor_done_twice(tier):
    def train(interrupt_at):
        """Weights and state after steps, the flush of each interrupted in the next place."""
        torch.manual_seed(0)
        w, x, m = torch.randn(8, 8, requires_grad=True), torch.randn(8, 8), torch.zeros(8, 8)
        torch.synchronize()
        events = 0
        for i in range(len(interrupt_at)):
            ((x @ w).tanh() - x).pow(2).mean().backward()
            with torch.no_grad():
                m.mul_(0.9).add_(w.grad)
                w.sub_(0.5 * m)
            w.grad = None
            at = At(interrupt_at[i])
            at.run(torch.synchronize)
            events = at.n
            torch.synchronize()
        return w.tolist(), m.tolist(), events

    for _ in range(3):
        *want, n = train([0] * 60)
    *found, _ = train([0, 0] + [1 + k % n for k in range(58)])
    assert found == want


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupt_that_comes_while_native_code_runs(threads, monkeypatch):
    """Its error is raised where the call returns; what was computed counts."""
    from facula.cpu import runtime
    from facula.interpreter import program

    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    launch, calls = runtime._launch, []

    def interrupted(*args):
        launch(*args)
        calls.append(1)
        raise KeyboardInterrupt

    def step(w, x):
        (x @ w).tanh().sum().backward()
        with torch.no_grad():
            w.sub_(1e-3 * w.grad)
        w.grad = None

    try:
        found = []
        for kind in ("plain", "plain", "waited for", "in flight"):
            w, x = torch.zeros(64, 64, requires_grad=True), torch.full((64, 64), 0.1)
            torch.synchronize()
            for _ in range(4):
                step(w, x)
                if kind == "waited for":
                    launch = runtime._launch
                    with monkeypatch.context() as m, pytest.raises(KeyboardInterrupt):
                        m.setattr(runtime, "_launch", interrupted)
                        torch.synchronize()
                elif kind == "in flight":
                    with monkeypatch.context() as m:
                        m.setattr(runtime, "_launch", interrupted)
                        try:
                            w.exp()  # begins the next step
                        except KeyboardInterrupt:
                            pass
            found.append(w.tolist())
        assert found[1:] == found[:1] * 3
        assert len(calls) == 8
    finally:
        torch.set_num_threads(before)


def test_a_loop_of_several_frames_is_expected_in_its_order():
    x, w = torch.randn(4), torch.randn(4)
    r = TLS.r

    def turn():
        met = []
        y = x + w
        flush()
        met.append(r.next)
        z = y * w
        flush()
        met.append(r.next)
        z = z - x
        flush()
        met.append(r.next)
        return [e.op.name for e in met]

    turn()
    assert turn() == ["mul", "sub", "add"]


def test_a_program_whose_long_frames_never_repeat_is_cut_where_it_comes_back(monkeypatch):
    monkeypatch.setattr(state, "LONG", 100)
    monkeypatch.setattr(program, "COMPILE_AFTER", 1 << 30)
    draw = random.Random(0)
    grown, found = [], []

    def train():
        r = TLS.r
        torch.manual_seed(0)
        w = torch.randn(3, 3).requires_grad_()
        for _ in range(state.STRAYED + 10):
            lengths = [draw.randint(1, 4) for _ in range(20)]
            before, total = r.size, 0
            for length in lengths:
                x = torch.ones(2, 3)
                for _ in range(length):
                    x = (x @ w).tanh()
                total += x.exp().sum()
            total.backward()
            total.item()
            grown.append((r.pieces, r.size - before))
            found.append(w.grad.clone())
            w.grad = None
            whole = sum(rounds(w, n) for n in lengths)
            whole.backward()
            assert torch.allclose(found[-1], w.grad, rtol=1e-4)
            w.grad = None

    def rounds(w, length):
        x = torch.ones(2, 3)
        for _ in range(length):
            x = (x @ w).tanh()
        return x.exp().sum()

    failed = []

    def run():
        try:
            train()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)  # whose recorder is new
    thread.start()
    thread.join()
    assert failed == []
    assert [pieces for pieces, _ in grown].count(False) < len(grown)
    assert grown[-1] == (True, 0)


def test_a_view_whose_base_became_a_leaf_is_no_known_operand():
    """A view made before asks its base for a history, where another tensor was met until now."""
    x, y, base = torch.ones(3), torch.full((3,), 2.0), torch.full((3,), 3.0)
    view = base[:]
    base.requires_grad_()
    for f in (lambda t: t * y, lambda t: y * t, lambda t: t.exp(), lambda t: t * 2.0):
        for t in (x, x, x, view):
            out = f(t)
            assert out.requires_grad is (t is view)
            torch.synchronize()


def test_squares_are_followed():
    """One tensor that is both operands becomes one input, and two tensors of one layout two."""
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    found = [(x * y).tolist() for x, y in ((a, a), (b, b), (a, b), (a, b), (b, b), (a, a))]
    assert found == [[1, 4], [9, 16], [3, 8], [3, 8], [9, 16], [1, 4]]
