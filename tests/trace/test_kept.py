"""State that optimisers keep: whoever touches it finds what he would have found."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import threading
import weakref

import numpy as np
import pytest

import facula as torch
from facula.compiler.program import CompiledProgram
from facula.interpreter import program
from facula.ops.registry import PRIMITIVES, Op
from facula.optim import _grouped
from facula.trace import kept
from facula.trace.recorder import TLS, flush, record
from facula.utils import swap_tensors

F = torch.nn.functional


class Loop:
    """A training loop of a small network whose state is kept after a few steps."""

    def __init__(self, algorithm=torch.optim.Adam, size=3, **options):
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(4, size), torch.nn.Tanh(), torch.nn.Linear(size, 2)
        )
        self.optimizer = algorithm(self.model.parameters(), lr=0.05, **options)
        self.x, self.y = torch.randn(8, 4), torch.randn(8, 2)

    def step(self, count=1):
        for _ in range(count):
            self.optimizer.zero_grad()
            loss = F.mse_loss(self.model(self.x), self.y)
            loss.backward()
            self.optimizer.step()
        return loss

    @property
    def kept(self):
        found = [last.kept for last in self.optimizer._last.values()]
        return found[0] if found else None

    def state(self, key="exp_avg", i=0):
        return self.optimizer.state[self.optimizer.param_groups[0]["params"][i]][key]

    def all(self):
        """All parameters and state, as lists."""
        out = [p.tolist() for p in self.model.parameters()]
        for s in self.optimizer.state.values():
            out += [v.tolist() for v in s.values()]
        return out


@pytest.fixture(autouse=True, params=[0, 10**9], ids=["compiled", "interpreted"])
def tier(request, monkeypatch):
    """All programs on one tier, so that the digits are the same whatever was seen before."""
    monkeypatch.setattr(program, "COMPILE_AFTER", request.param)
    flush()
    TLS.r.forget()
    return request.param


@pytest.fixture
def never(monkeypatch):
    """A function that runs another without anything being kept."""

    def run(f):
        with monkeypatch.context() as m:
            m.setattr(_grouped, "keep", lambda tensors: None)
            return f()

    return run


ALGORITHMS = {
    "adam": (torch.optim.Adam, {}),
    "amsgrad": (torch.optim.Adam, {"amsgrad": True, "weight_decay": 0.1}),
    "adamw": (torch.optim.AdamW, {"maximize": True}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "rmsprop": (torch.optim.RMSprop, {"momentum": 0.5, "centered": True}),
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_same_numbers(name, never):
    cls, options = ALGORITHMS[name]

    def run():
        loop = Loop(cls, **options)
        loop.step(12)
        return loop.all(), loop

    got, loop = run()
    assert got == never(run)[0]
    assert loop.kept is not None


# What is done with a tensor of the state (and the loop) after some steps; the result is compared
# as text, then training goes on.
ACTIONS = {
    "tolist": lambda t, loop: t.tolist(),
    "item": lambda t, loop: t[0, 0].item(),
    "print": lambda t, loop: repr(t),
    "numpy": lambda t, loop: t.numpy().sum(),
    "held by numpy": lambda t, loop: setattr(loop, "array", t.numpy()),
    "from_dlpack": lambda t, loop: np.from_dlpack(t).tolist(),
    "arithmetic": lambda t, loop: (t * 2 + 1).sum(),
    "recorded, not read": lambda t, loop: setattr(loop, "later", t * 2),
    "written": lambda t, loop: t.mul_(0.5),
    "filled": lambda t, loop: t.zero_(),
    "an element": lambda t, loop: t.__setitem__((0, 1), 3.0),
    "through a view": lambda t, loop: t[0].add_(1),
    "a view that stays": lambda t, loop: setattr(loop, "view", t[1:]),
    "detach": lambda t, loop: setattr(loop, "view", t.detach()),
    "copied into": lambda t, loop: t.copy_(torch.ones(3, 4)),
    "data": lambda t, loop: t.data.add_(1),
    "data replaced": lambda t, loop: setattr(t, "data", torch.ones(3, 4)),
    "set_": lambda t, loop: t.set_(torch.full((3, 4), 0.5)),
    "resized": lambda t, loop: t.t_().t_(),
    "version": lambda t, loop: t._version > 0,
    "is_leaf": lambda t, loop: (t.is_leaf, t.requires_grad, t.grad_fn, t.is_contiguous()),
    "shape": lambda t, loop: (t.shape, t.dtype, t.device, t.stride(), t.storage_offset(), len(t)),
    "data_ptr": lambda t, loop: t.data_ptr() == t.data_ptr() != 0,
    "storage": lambda t, loop: t.untyped_storage().nbytes(),
    "clone": lambda t, loop: t.clone(),
    "copy": lambda t, loop: copy.copy(t),
    "deepcopy": lambda t, loop: copy.deepcopy(t),
    "pickle": lambda t, loop: pickle.loads(pickle.dumps(t)),
    "to": lambda t, loop: t.double(),
    "equal": lambda t, loop: torch.equal(t, t),
    "numel": lambda t, loop: t.numel(),
    "stack": lambda t, loop: torch.stack([t, t]).sum(),
    "swap": lambda t, loop: swap_tensors(t, torch.ones(3, 4)),
    "out": lambda t, loop: torch.add(torch.ones(3, 4), 1, out=t),
    "share_memory": lambda t, loop: t.share_memory_().sum(),
    "norm": lambda t, loop: torch.nn.utils.get_total_norm([t]),
    "foreach": lambda t, loop: torch._foreach_mul_([t], 0.5),
    "requires_grad": lambda t, loop: t.requires_grad_().requires_grad_(False),
    "differentiated": lambda t, loop: torch.autograd.grad(
        (t * next(loop.model.parameters())).sum(), next(loop.model.parameters())
    ),
    "state_dict": lambda t, loop: loop.optimizer.state_dict(),
    "loaded": lambda t, loop: loop.optimizer.load_state_dict(loop.optimizer.state_dict()),
    "loaded copy": lambda t, loop: loop.optimizer.load_state_dict(
        copy.deepcopy(loop.optimizer.state_dict())
    ),
    "replaced": lambda t, loop: replace(loop, lambda t: t.clone()),
    "replaced by a view": lambda t, loop: replace(loop, lambda t: t.clone()[:]),
    "two are one": lambda t, loop: replace(loop, lambda t: loop.state("exp_avg_sq")),
    "cleared": lambda t, loop: loop.optimizer.state.clear(),
    "the learning rate": lambda t, loop: loop.optimizer.param_groups[0].update(lr=0.01),
    "weight decay": lambda t, loop: loop.optimizer.param_groups[0].update(weight_decay=0.1),
    "a tensor as rate": lambda t, loop: loop.optimizer.param_groups[0].update(
        lr=torch.tensor(0.01)
    ),
    "a group": lambda t, loop: loop.optimizer.add_param_group({"params": [more(loop)]}),
    "no gradient": lambda t, loop: next(loop.model.parameters()).requires_grad_(False),
    "another count": lambda t, loop: loop.state("step").fill_(50),
    "all counts": lambda t, loop: [s["step"].add_(5) for s in loop.optimizer.state.values()],
    "a parameter": lambda t, loop: next(loop.model.parameters()).data.mul_(0.5),
    "stepped twice": lambda t, loop: loop.optimizer.step(),
    "thrice": lambda t, loop: [loop.optimizer.step() for _ in range(3)],
    "closure": lambda t, loop: loop.optimizer.step(lambda: loop.step()),
    "the optimiser copied": lambda t, loop: copy.deepcopy(loop.optimizer).state_dict(),
    "another thread": lambda t, loop: in_thread(lambda: t.sum().item()),
    "a hook that writes": lambda t, loop: hook(loop, lambda o, a, k: loop.state().mul_(0.9)),
    "a hook": lambda t, loop: hook(loop, lambda o, a, k: None),
    "anomaly": lambda t, loop: with_anomaly(loop),
    "saved": lambda t, loop: save(loop),
}  # fmt: skip


def replace(loop, f):
    s = loop.optimizer.state[loop.optimizer.param_groups[0]["params"][0]]
    s["exp_avg"] = f(s["exp_avg"])


def hook(loop, f):
    loop.optimizer.register_step_post_hook(f)


def more(loop):
    loop.more = torch.nn.Parameter(torch.ones(2))
    loop.more.grad = torch.ones(2)
    return loop.more


def in_thread(f):
    out = []
    thread = threading.Thread(target=lambda: out.append(f()))
    thread.start()
    thread.join()
    return out


def with_anomaly(loop):
    with torch.autograd.set_detect_anomaly(True):
        loop.step(2)


def save(loop):
    file = io.BytesIO()
    torch.save(loop.optimizer.state_dict(), file)
    file.seek(0)
    return torch.load(file)


@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize("name", ACTIONS)
def test_actions(name, pending, never):
    def run():
        loop = Loop()
        loop.step(8)
        if not pending:
            flush()
        told = [repr(ACTIONS[name](loop.state(), loop))]
        loop.step(1)
        told.append(repr(getattr(loop, "view", None)))
        loop.step(9)
        told += [repr(getattr(loop, k, None)) for k in ("view", "later", "array")]
        return repr((told, loop.all()))  # NaN is not equal to itself

    assert run() == never(run)


def test_what_is_kept():
    loop = Loop()
    loop.step(8)
    k, t = loop.kept, loop.state()
    assert k is not None and not k.free and len(TLS.r.held) == 1
    flush()
    assert TLS.r.held == [] and t._data is None
    value = t.tolist()
    assert k.free and t._version == 8  # `approach` is one write
    loop.step(1)
    assert loop.kept is None and t.tolist() != value
    loop.step(20)
    assert loop.kept is not None


def test_memory_goes_with_the_optimizer():
    gc.collect()
    gc.disable()
    try:
        loop = Loop()
        loop.step(8)
        flush()
        array = weakref.ref(loop.kept.arrays[0])
        state = weakref.ref(loop.state())
        del loop
        flush()
        assert state() is None and array() is None
    finally:
        gc.enable()


def test_nothing_is_copied(tier):
    if tier:
        return  # the interpreter gives new arrays
    loop = Loop(size=600)  # a parameter of 2,400 elements
    loop.step(20)
    flush()
    before = [id(a) for a in loop.kept.arrays]
    loop.step(5)
    flush()
    assert [id(a) for a in loop.kept.arrays] == before


def test_other_frames_in_between():
    """State stays kept where the frames of a loop differ, once each of them is known."""
    loop = Loop()
    losses = []
    for i in range(40):
        loss = loop.step(1)
        if i % 3 == 0:
            losses.append(loss.item())
        if i % 5 == 0:
            with torch.no_grad():
                losses.append(loop.model(loop.x).sum().item())
    assert loop.kept is not None

    other = Loop()
    for i in range(40):
        loss = other.step(1)
        if i % 3 == 0:
            assert losses.pop(0) == loss.item()
        if i % 5 == 0:
            assert losses.pop(0) == other.model(other.x).sum().item()
        other.state().tolist()


def test_the_graph_outlives_the_frame(never):
    def run():
        loop = Loop()
        out = []
        for i in range(10):
            loop.optimizer.zero_grad()
            loss = F.mse_loss(loop.model(loop.x), loop.y)
            loss.backward(retain_graph=i > 6)
            loop.optimizer.step()
            out.append(loss)
        a = next(loop.model.parameters())
        b = (a.detach().clone().requires_grad_() * 2).sum()
        loop.step(1)
        b.backward()
        return [x.item() for x in out], loop.all()

    assert run() == never(run)


def test_a_frame_that_fails(never):
    """What was to be written over keeps its value, and training goes on from there."""

    def body(p, s, a):
        if a.sum() > 9:
            raise IndexError("index 7 is out of bounds")
        return a * 1

    op = Op("failing", lambda p, st, a: (a.shape, a.dtype, None, 0), body, (lambda g: g,))

    def run():
        w = torch.nn.Parameter(torch.ones(3))
        optimizer = torch.optim.Adam([w], lr=0.01)
        told = []
        for i in range(16):
            optimizer.zero_grad()
            more = record(op, (torch.ones(3) * (9.0 if i == 8 else 0.0),))
            ((w + more) ** 2).sum().backward()
            optimizer.step()
            if i > 6:
                try:
                    told.append(w.tolist())
                except (IndexError, RuntimeError) as error:
                    told.append(str(error))
        return told, optimizer.state_dict()["state"][0]["exp_avg_sq"].tolist()

    try:
        got = run()
        assert "index 7" in got[0][1] and got[0][2] != got[0][0]
        assert got == never(run)
    finally:
        PRIMITIVES.pop("failing", None)


def test_a_compiled_program_at_fault(monkeypatch, tier):
    loop = Loop()
    loop.step(9)
    expected = loop.all()
    if tier:
        return
    loop = Loop()
    loop.step(8)
    flush()
    k = loop.kept
    loop.step(1)

    def run(self, *args):
        raise ValueError("no")

    monkeypatch.setattr(CompiledProgram, "run", run)
    monkeypatch.setattr(program, "_warned", False)
    with pytest.warns(RuntimeWarning, match="could not be run compiled"):
        flush()
    monkeypatch.undo()
    assert k is not None and not k.free
    for got, want in zip(loop.all(), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4)


def test_released_while_a_program_runs():
    """Who touches what is kept while a program is under way sees its results."""
    loop = Loop()
    loop.step(8)
    k, t, r = loop.kept, loop.state(), TLS.r
    held = r.held
    kept.release(k)
    assert k.free and held == [k]
    other = Loop()
    other.step(8)
    flush()
    assert t.tolist() == other.state().tolist()


def test_another_thread_that_looks_now_and_then(never):
    """What it sees is of some step; training is as if it had not looked."""

    def run(look=True):
        loop = Loop()
        loop.step(6)
        over, seen = threading.Event(), []

        def watch():
            while not over.wait(0.001):
                seen.append(loop.state().detach().clone().sum().item())

        watcher = threading.Thread(target=watch)
        if look:
            watcher.start()
        for _ in range(30):
            loop.step(5)
            for last in loop.optimizer._last.values():
                last.wait = 1
        over.set()
        if look:
            watcher.join()
        return loop.all()

    assert run() == never(lambda: run(False))


def test_an_interrupt_at_the_end_of_a_frame(monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    loop, other = Loop(), Loop()
    for which in (loop, other):
        which.step(8)
        flush()
        which.step(1)
        if which is loop:
            with monkeypatch.context() as m, pytest.raises(KeyboardInterrupt):
                m.setattr(program.Program, "choose", interrupt)
                flush()
        more = which.x * 2
        which.step(3)
        assert more.tolist() == (which.x * 2).tolist()
    assert loop.all() == other.all()


def test_two_optimizers_in_one_frame(never):
    """As long as this a program begins before its frame ends (ahead.py)."""

    def run():
        torch.manual_seed(0)
        models = [torch.nn.Linear(64, 64) for _ in range(2)]
        optimizers = [torch.optim.Adam(m.parameters(), lr=0.01) for m in models]
        x = torch.randn(256, 64)
        told = []
        for _ in range(40):
            total = 0
            for m, o in zip(models, optimizers):
                o.zero_grad()
                loss = torch.tanh(m(x)).pow(2).mean()
                loss.backward()
                o.step()
                total = total + loss.detach()
            told.append(total.item())
        return told

    assert run() == never(run)
