"""Programs that begin before their frame ends."""

import threading

import numpy as np
import pytest

import facula as torch
from facula.compiler.program import CompiledProgram
from facula.cpu import runtime
from facula.interpreter import program
from facula.nn import functional as F
from facula.trace import ahead, flight
from facula.trace.recorder import TLS

ROUNDS = ahead.RUNS + 8


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    """Programs are compiled at once, and workers help always."""
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    monkeypatch.setattr(runtime.Sharing, "wanted", lambda self: True)
    monkeypatch.setattr(runtime.Sharing, "note", lambda self, shared, seconds: None)
    monkeypatch.setattr(ahead, "PIECE", 1e-6)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    TLS.r.forget()  # programs that other tests ended otherwise
    yield
    torch.set_num_threads(before)


@pytest.fixture
def begun(monkeypatch):
    """The pieces that began early: whether the workers took them."""
    pieces = []
    real = CompiledProgram.begin

    def begin(self, r, first, last):
        # One piece is let be done before the next, so that each frame has several.
        taken = real(self, r, first, last)
        current = flight.CURRENT  # None where another thread has seen that it was done
        while taken and current is not None and not current.done():
            pass
        pieces.append((first, last, taken))
        return taken

    monkeypatch.setattr(CompiledProgram, "begin", begin)
    return pieces


class Net:
    """Six layers with a number each."""

    def __init__(self, width=48, seed=0):
        torch.manual_seed(seed)
        self.layers = [torch.nn.Linear(width, width) for _ in range(6)]
        self.norm = torch.nn.LayerNorm(width)
        self.x = torch.randn(32, width)

    def forward(self, scale=1.0, layers=6):
        y = self.x
        for layer in self.layers[:layers]:
            y = F.gelu(self.norm(layer(y))) * scale
        return y


def alone(f, *args):
    """What f gives where nothing begins early."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    out = f(*args)
    torch.set_num_threads(threads)
    return out


def forward(net, *args):
    with torch.no_grad():
        return net.forward(*args).numpy().copy()


def test_the_bits_are_those_of_programs_that_begin_at_the_end(begun):
    net = Net()
    want = alone(forward, net)
    for _ in range(ROUNDS):
        assert np.array_equal(forward(net), want)
    assert sum(taken for *_, taken in begun) > ROUNDS - ahead.RUNS  # several in a frame
    assert flight.CURRENT is None


def test_numbers_are_those_of_the_frame(begun):
    net = Net()
    for i in range(ROUNDS):
        got = forward(net, 1.0 + i / 8)
        assert np.array_equal(got, alone(forward, net, 1.0 + i / 8))
    assert any(taken for *_, taken in begun)


def test_inputs_are_those_of_the_frame(begun):
    net = Net()
    for _ in range(ROUNDS):
        net.x = torch.randn(32, 48)
        assert np.array_equal(forward(net), alone(forward, net))
    assert any(taken for *_, taken in begun)


def test_frames_that_end_otherwise_compute_what_they_say(begun):
    net = Net()
    want = {n: alone(forward, net, 1.0, n) for n in (3, 6)}
    for i in range(8 * ROUNDS):
        n = 3 if i > 2 * ROUNDS and i % 3 else 6
        assert np.array_equal(forward(net, 1.0, n), want[n])
    count = len(begun)
    assert count
    for _ in range(8):  # ended otherwise too often
        forward(net, 1.0, 3)
    assert begun[count:] == []


def test_values_that_are_kept_are_all_computed(begun):
    net = Net()

    def layers():
        with torch.no_grad():
            a = net.forward(1.0, 3)
            b = F.gelu(net.layers[3](a))
            return b.numpy().copy(), a

    for _ in range(ROUNDS):
        forward(net)
    want = forward(net, 1.0, 3)
    for _ in range(4):
        assert np.array_equal(layers()[1].numpy(), want)


def test_training_with_losses_that_are_read(begun):
    def trained():
        net = Net(seed=3)
        parameters = [p for layer in net.layers for p in layer.parameters()]
        optimiser = torch.optim.Adam(parameters, lr=1e-3)
        losses = []
        for _ in range(2 * ROUNDS):
            optimiser.zero_grad()
            loss = net.forward().square().mean()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        return losses

    want = alone(trained)
    assert trained() == want
    assert any(taken for *_, taken in begun)


def test_a_weight_that_is_written_to_between_frames(begun):
    net = Net()
    for i in range(ROUNDS):
        with torch.no_grad():
            net.layers[0].weight.mul_(1.01)
            net.layers[5].bias[i] = 1.0
        assert np.array_equal(forward(net), alone(forward, net))


def test_memory_that_numpy_code_writes_to(begun):
    net = Net()
    shared = np.random.default_rng(0).standard_normal((32, 48)).astype(np.float32)
    net.x = torch.from_numpy(shared)
    for i in range(ROUNDS):
        want = alone(forward, net)
        with torch.no_grad():
            y = net.forward()
            shared[:] = i  # after the call: as in PyTorch, it does not see this
            assert np.array_equal(y.numpy(), want)


def test_another_thread_that_has_the_workers(begun):
    net, other = Net(), Net(seed=1)
    want = alone(forward, net)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            forward(other)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(4 * ROUNDS):
            assert np.array_equal(forward(net), want)
    finally:
        stop.set()
        thread.join()


def test_an_error_while_a_piece_begins(begun, monkeypatch):
    net = Net()
    want = alone(forward, net)
    for _ in range(ROUNDS):
        forward(net)
    depart = runtime.Call.depart

    def interrupted(self, *args):
        depart(self, *args)
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(runtime.Call, "depart", interrupted)
        with pytest.raises(KeyboardInterrupt):
            forward(net)
    for _ in range(4):
        assert np.array_equal(forward(net), want)
