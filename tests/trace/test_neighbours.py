"""Values that one thread has pending and another one uses; the numbers are PyTorch's."""

import os
import queue
import threading
import time

import pytest

import facula as torch
from facula import nn
from facula.interpreter import program
from facula.nn import functional as F
from facula.trace import neighbours
from facula.trace.state import TLS


def in_thread(f):
    """f() in a thread that is over afterwards, with what it has recorded still pending."""
    out = []

    def work():
        try:
            out.append(f())
        except Exception as error:
            out.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(60)
    assert out, "the thread hangs"
    if isinstance(out[0], Exception):
        raise out[0]
    return out[0]


class Worker:
    """A thread that lives on, and waits for the next call between two."""

    def __init__(self):
        self.calls, self.results = queue.Queue(), queue.Queue()
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        while (f := self.calls.get()) is not None:
            try:
                self.results.put(f())
            except Exception as error:
                self.results.put(error)

    def __call__(self, f):
        self.calls.put(f)
        got = self.results.get(timeout=60)
        if isinstance(got, Exception):
            raise got
        return got


@pytest.fixture(params=["ended", "alive"])
def elsewhere(request):
    if request.param == "ended":
        yield in_thread
        return
    worker = Worker()
    yield worker
    worker.calls.put(None)


@pytest.fixture(params=["interpreted", "compiled"])
def tier(request, monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0 if request.param == "compiled" else 1 << 30)


def test_values_and_writes(elsewhere):
    x = torch.ones(3)
    x.add_(2)
    assert elsewhere(lambda: (x * 2).tolist()) == [6, 6, 6]
    x.mul_(3)
    elsewhere(lambda: x.add_(1))
    assert x.tolist() == [10, 10, 10]

    def write():
        x.mul_(2)
        x[0] = 7

    elsewhere(write)
    x.add_(1)
    assert elsewhere(x.tolist) == [8, 21, 21]


def test_views(elsewhere):
    base = torch.zeros(4)
    view = base[1:3]
    view.add_(1)
    elsewhere(lambda: view.mul_(5))
    assert base.tolist() == [0, 5, 5, 0]
    base.add_(1)
    assert elsewhere(view.tolist) == [6, 6]

    def write():
        base[2:].fill_(9)
        view.sub_(1)

    elsewhere(write)
    assert (base.tolist(), view.tolist()) == ([1, 5, 8, 9], [5, 8])


def test_histories(elsewhere):
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    h = w * 3
    z = elsewhere(lambda: (h * h).sum())
    z.backward()
    assert w.grad.tolist() == [18, 36]
    loss = (w * w).sum()
    elsewhere(loss.backward)
    assert w.grad.tolist() == [20, 40]
    assert elsewhere(lambda: (w * 2).requires_grad)

    def update():
        with torch.no_grad():
            w.sub_(0.5)

    elsewhere(update)
    w.grad = None
    (w * w).sum().backward()
    assert w.grad.tolist() == [1, 3]
    y = w * 2
    assert elsewhere(lambda: y.grad_fn.name()) == "MulBackward0"


@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
def test_a_model_that_is_trained_by_turns(elsewhere, tier, optimizer):
    def losses(turns):
        torch.manual_seed(0)
        # No bias before the norm: its gradient is what rounding leaves, and Adam would go by it.
        first = nn.Linear(4, 8, bias=False)
        model = nn.Sequential(first, nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
        x = torch.randn(16, 4)
        y = x.sum(1, keepdim=True)
        settings = {"lr": 1e-2} | ({"momentum": 0.9} if optimizer == "SGD" else {})
        o = getattr(torch.optim, optimizer)(model.parameters(), **settings)
        out = []

        def step():
            for _ in range(3):
                loss = F.mse_loss(model(x), y)
                o.zero_grad()
                loss.backward()
                o.step()
                out.append(loss.item())

        for turn in range(6):
            turns[turn % 2](step)
        state = [v.sum().item() for s in o.state.values() for v in s.values() if v is not None]
        return [*out, *state, *[b.sum().item() for b in model.buffers()]]

    def here(f):
        f()

    assert losses([elsewhere, here]) == pytest.approx(losses([here, here]), rel=1e-4, abs=1e-6)


def test_what_another_thread_has_read_is_not_remembered_as_a_constant():
    """A call with a stand-in among its operands, which is followed once the operand is here."""
    worker = Worker()
    norm = nn.BatchNorm1d(2)
    x = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    for _ in range(12):
        worker(lambda: norm(x))
        norm(x * 2)
    assert norm.num_batches_tracked.item() == 24
    want = [2.809133768081665, 5.61826753616333]
    assert norm.running_mean.tolist() == pytest.approx(want, rel=1e-5)
    worker.calls.put(None)


def test_gradients_of_several_threads_add_up():
    w = torch.ones(3, requires_grad=True)
    lock = threading.Lock()

    def add(k):
        for _ in range(20):
            loss = (w * k).sum()
            with lock:
                loss.backward()

    threads = [threading.Thread(target=add, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert w.grad.tolist() == [120, 120, 120]


def test_results_with_a_history_pass_through_a_queue():
    w = torch.tensor(2.0, requires_grad=True)
    found = queue.Queue(2)

    def produce():
        for k in range(50):
            found.put(w * k)
        found.put(None)

    threading.Thread(target=produce, daemon=True).start()
    total = 0
    while (y := found.get(timeout=60)) is not None:
        total = total + y
    total.backward()
    assert w.grad.item() == 1225


def test_threads_that_write_to_one_model_at_once():
    """Nothing is promised of the values, but each thread goes on and nothing fails."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    x = torch.randn(32, 4)
    y = x.sum(1, keepdim=True)
    errors, steps = [], [0, 0, 0]

    def train(k):
        try:
            while min(steps) < 3 and time.monotonic() < until:
                grads = torch.autograd.grad(F.mse_loss(model(x), y), list(model.parameters()))
                with torch.no_grad():
                    for p, g in zip(model.parameters(), grads, strict=True):
                        p.sub_(0.01 * g)
                steps[k] += 1
        except Exception as error:
            errors.append(error)

    def look(k):
        try:
            while min(steps) < 3 and time.monotonic() < until:
                with torch.no_grad():
                    F.mse_loss(model(x), y).item()
                steps[k] += 1
        except Exception as error:
            errors.append(error)

    until = time.monotonic() + 120
    what = (train, train, look)
    threads = [threading.Thread(target=f, args=(k,), daemon=True) for k, f in enumerate(what)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(150)
    assert errors == []
    assert min(steps) >= 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_finds_what_threads_of_its_parent_had_pending():
    norm = nn.BatchNorm1d(2)
    x = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    worker = Worker()
    worker(lambda: norm(x))
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            norm(x)
            status = 0 if norm.num_batches_tracked.item() == 2 else 2
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    worker.calls.put(None)


def test_a_thread_that_stays_within_the_engine_is_an_error(monkeypatch):
    monkeypatch.setattr(neighbours, "PATIENCE", 0.05)
    monkeypatch.setattr(neighbours, "_inside", lambda ident: True)
    w = torch.ones(3, requires_grad=True)
    y = w * 2
    with pytest.raises(RuntimeError, match="pending in another thread"):
        in_thread(lambda: y + 1)
    assert TLS.r.asked == 0
    y.sum().backward()
    assert w.grad.tolist() == [2, 2, 2]


def test_where_a_thread_is():
    """Asked by another one, while this one waits in each place."""

    def asked():
        here = threading.get_ident()
        out = []
        thread = threading.Thread(target=lambda: out.append(neighbours._inside(here)))
        thread.start()
        thread.join()
        return out[0]

    seen = [asked()]
    w = torch.ones(2, requires_grad=True)
    w.register_hook(lambda g: seen.append(asked()))
    (w * 2).sum().backward()

    class Looks(nn.Module):
        def forward(self):
            seen.append(asked())

    Looks()()

    def pack(x):  # called while the frame ends
        seen.append(asked())
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        y = (w * w).exp()
        torch.synchronize()
    assert y.requires_grad
    assert seen[:3] == [False, False, False]
    assert seen[3:] == [True] * len(seen[3:]) != []
