"""Programs that run while Python goes on."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import facula as torch
from facula.cpu import runtime
from facula.interpreter import program
from facula.trace import flight


@pytest.fixture(autouse=True)
def compiled_soon(monkeypatch):
    """Only compiled programs are in flight."""
    monkeypatch.setattr(program, "COMPILE_AFTER", 1)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Net:
    """A layer whose weight is updated; a step is computed when the next one begins."""

    def __init__(self, n=64):
        torch.manual_seed(1)
        self.x = torch.randn(n, n)
        self.w = torch.randn(n, n, requires_grad=True)
        for _ in range(12):
            self.step()
            torch.synchronize()

    def step(self):
        y = self.x.mm(self.w).tanh()
        y.pow(2).sum().backward()
        with torch.no_grad():
            self.w -= 1e-3 * self.w.grad
            self.w.grad.zero_()
        return y


def until_in_flight(net, monkeypatch):
    """Take steps until one is in flight; now and then a program is not shared, to compare."""
    monkeypatch.setattr(runtime.Sharing, "wanted", lambda self: True)
    net.step()
    net.x.mm(net.w)
    assert flight.CURRENT is not None


def test_a_step_is_in_flight_when_the_next_begins(two_threads, monkeypatch):
    net = Net()
    until_in_flight(net, monkeypatch)
    torch.synchronize()
    assert flight.CURRENT is None


def test_the_bits_are_those_of_programs_that_are_waited_for(two_threads, monkeypatch):
    def trained():
        net = Net()
        for _ in range(40):
            net.step()
        return net.w.detach().numpy().copy()

    trained()  # the first steps of a program are interpreted
    flown = trained()
    monkeypatch.setattr(runtime.Call, "depart", lambda *args: False)
    assert np.array_equal(flown, trained())


def test_reading_a_result_waits(two_threads, monkeypatch):
    net = Net()
    until_in_flight(net, monkeypatch)
    w = net.w.detach()
    w.numpy()
    assert flight.CURRENT is None


def test_writing_to_what_is_read_waits(two_threads, monkeypatch):
    net = Net()
    until_in_flight(net, monkeypatch)
    net.x.numpy()[0] = 0.0
    assert flight.CURRENT is None


def test_other_memory_is_read_without_waiting(two_threads, monkeypatch):
    net, other = Net(), torch.arange(3)
    until_in_flight(net, monkeypatch)
    assert flight.CURRENT.owner is not None
    under_way = flight.CURRENT
    assert other.tolist() == [0, 1, 2]
    under_way.settle(np.zeros(3))
    under_way.settle(net.x._data, reading=True)
    assert flight.CURRENT is under_way
    under_way.settle(net.x._data[1:])
    assert flight.CURRENT is None


def test_another_thread_waits_for_what_it_needs(two_threads, monkeypatch):
    net = Net()
    until_in_flight(net, monkeypatch)
    w, got = net.w.detach(), []
    thread = threading.Thread(target=lambda: got.append((w * 1.0).sum().item()))
    thread.start()
    thread.join()
    assert got == [w.sum().item()]


def in_threads(*functions):
    threads = [threading.Thread(target=f) for f in functions]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def test_workers_come_back_from_a_thread_that_ended(two_threads, monkeypatch):
    in_threads(lambda: until_in_flight(Net(), monkeypatch))
    while not flight.CURRENT.done():
        pass
    until_in_flight(Net(), monkeypatch)  # it needs the workers
    torch.synchronize()
    assert flight.CURRENT is None


def test_threads_that_train_at_once(two_threads):
    def results(at_once):
        nets = [Net(32), Net(33)]  # made here: the draws of two threads would mix

        def train(net):
            for _ in range(60):
                net.step()
            torch.synchronize()

        tasks = [lambda net=net: train(net) for net in nets]
        for group in [tasks] if at_once else [[t] for t in tasks]:
            in_threads(*group)
        return [net.w.detach().numpy().copy() for net in nets]

    results(False)  # the first steps of a program are interpreted
    for a, b in zip(results(True), results(False), strict=True):
        assert np.array_equal(a, b)


def test_the_number_of_threads_changes_in_flight(two_threads, monkeypatch):
    net = Net()
    until_in_flight(net, monkeypatch)
    torch.set_num_threads(1)
    assert flight.CURRENT is None
    net.step()
    assert np.isfinite(net.w.detach().numpy()).all()


SCRIPT = """
import os, sys
import facula as torch
from facula.cpu import runtime
from facula.trace import flight
torch.set_num_threads(2)
runtime.Sharing.wanted = lambda self: True
x = torch.randn(300, 300)
w = torch.zeros(300, 300, requires_grad=True)
for i in range(20):
    y = x.mm(w + 1).sin()
    y.sum().backward()
    with torch.no_grad():
        w -= w.grad
        w.grad.zero_()
x.mm(w)
assert flight.CURRENT is not None
"""


def run(more):
    code = SCRIPT + more
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "FACULA_COMPILE_AFTER": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_process_may_end_in_flight():
    assert run("") == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_sees_all_that_was_in_flight():
    out = run(
        """
pid = os.fork()
a = w.detach().double().sum().item()
if pid == 0:
    b = (x.mm(w).sum()).item()
    os._exit(0 if flight.CURRENT is None else 3)
assert os.waitpid(pid, 0)[1] == 0
x.mm(w)
print(a == w.detach().double().sum().item())
"""
    )
    assert out == "True"


def test_indices_that_are_being_computed_are_waited_for(two_threads, monkeypatch):
    net = Net()
    counts = torch.zeros(64, dtype=torch.int64)

    def step():
        y = net.step()
        counts.copy_((y.detach().sum(1) > 0).long())

    for _ in range(12):
        step()
        torch.synchronize()
    monkeypatch.setattr(runtime.Sharing, "wanted", lambda self: True)
    step()
    net.x.mm(net.w)
    assert flight.CURRENT is not None
    assert any([a is counts._data for a in flight.CURRENT.written])
    picked = torch.arange(2.0).index_select(0, counts)
    assert flight.CURRENT is None
    assert torch.equal(picked, counts.float())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_waits_for_a_compilation():
    """A child would have its locks, and nobody to open them. LLVM's own are played by one here."""
    code = """if True:
        import os, signal, threading, time, warnings
        import facula as torch
        from facula.cpu import jit

        warnings.simplefilter("ignore", DeprecationWarning)  # Python's, of threads and fork
        torch.exp(torch.ones(3)).tolist()
        lock, busy = threading.Lock(), threading.Event()
        compiled = jit._object

        def slow(text):
            with lock:
                busy.set()
                time.sleep(0.2)
                return compiled(text)

        jit._object = slow
        other = threading.Thread(target=lambda: torch.arange(9.0).cumsum(0).tolist())
        other.start()
        busy.wait()
        child = os.fork()
        if not child:
            signal.alarm(20)
            ok = torch.arange(5.0).cumprod(0).add(1.5).tolist() == [1.5] * 5
            os._exit(0 if ok else 1)
        other.join()
        print(os.waitpid(child, 0)[1])
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "FACULA_COMPILE_AFTER": "0", "FACULA_CACHE_DIR": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
