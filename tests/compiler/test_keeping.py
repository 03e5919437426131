"""How many compiled programs, and how much native code, are there."""

import gc
import threading

import numpy as np
import pytest

import facula as torch
from facula.compiler import keeping
from facula.cpu import jit
from facula.interpreter import program
from facula.trace.recorder import TLS, Recorder


@pytest.fixture
def few(monkeypatch):
    """Room for 12 programs, which are compiled at once, and none there yet."""
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    monkeypatch.setattr(TLS, "r", Recorder())
    monkeypatch.setattr(keeping, "_kept", type(keeping._kept)())
    monkeypatch.setattr(keeping, "MAX_PROGRAMS", 12)


def step(n, factor=2.5):
    """A program of its own for each n."""
    x = torch.arange(n, dtype=torch.float32).reshape(1, n)
    torch.synchronize()
    got = ((x * factor).sin().cumsum(1) + 1).tanh().sum()
    want = np.tanh(np.sin(np.arange(n, dtype=np.float32) * factor).cumsum() + 1).sum()
    assert np.allclose(got.item(), want, rtol=1e-3, atol=1e-3)


def counts():
    gc.collect()
    jit.release()
    return len(keeping._kept), len(jit._libraries), jit.held()


def test_many_programs_leave_a_bounded_number_behind(few):
    for n in range(3, 9):
        step(n)
    before, compiled = counts(), keeping.clock
    for n in range(20, 80):
        step(n)
        assert len(keeping._kept) <= 12
    assert keeping.clock >= compiled + 60
    programs, libraries, size = counts()
    assert programs <= 12
    # Each compiled a module or two; those of the fixture's beginning are not counted.
    assert libraries <= before[1] + 24
    assert size <= before[2] + 24 * (200 << 10)
    assert not jit._unused


def test_the_code_is_bounded_too(few, monkeypatch):
    monkeypatch.setattr(keeping, "MAX_PROGRAMS", 10_000)
    held = counts()[2]
    monkeypatch.setattr(keeping, "MAX_CODE", held + (2 << 20))
    for n in range(20, 80):
        step(n)
    assert jit.held() <= held + (2 << 20)
    assert 2 < len(keeping._kept) < 60


def test_what_ran_last_is_kept(few):
    step(3)
    mine = set(keeping._kept)
    assert mine
    for n in range(20, 60):
        step(n)
        step(3)
    assert mine <= set(keeping._kept)
    compiled = keeping.clock
    step(3)
    assert keeping.clock == compiled
    step(20)  # one that went is compiled again
    assert keeping.clock > compiled


def test_a_program_may_go_while_another_thread_runs_it(few):
    go_on, failures, rounds = True, [], []

    def run():
        try:
            while go_on or len(rounds) < 20:
                step(200 + len(rounds) % 7, 1.5)
                rounds.append(1)
        except Exception as e:
            failures.append(e)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for t in threads:
        t.start()
    for n in range(20, 70):
        step(n)
    go_on = False
    for t in threads:
        t.join()
    assert not failures
    assert len(rounds) >= 20


def test_a_program_that_is_held_has_its_code(few):
    step(5)
    (held,) = sorted(keeping._kept, key=lambda c: len(c.kernels))[-1:]
    for n in range(20, 60):
        step(n)
    assert held not in keeping._kept
    libraries = {k.library for k in held.kernels.values()}
    assert libraries
    assert libraries <= set(jit._libraries)
    before = len(jit._libraries)
    del libraries, held
    assert len(jit._libraries) < before
