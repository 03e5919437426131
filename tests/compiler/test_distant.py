"""Updates that no cache keeps are stored past the caches, and nothing else changes."""

import numpy as np
import pytest
from cpu.both import lowered

import facula as torch
from facula.compiler import distant
from facula.cpu.jit import stores_past
from facula.cpu.runtime import get_num_threads, set_num_threads
from facula.interpreter import program


def trained(rows, columns, steps=4):
    """The bytes of weights and their state after some steps, the gradient's too."""
    r = np.random.default_rng(rows)
    sizes = [(rows, columns), (150, rows), (150, columns)]
    weight, x, g = (torch.tensor(r.standard_normal(s, np.float32)) for s in sizes)
    state = torch.zeros(rows, columns)
    torch.synchronize()
    for _ in range(steps):
        gradient = x.t() @ g
        state.mul_(0.9).add_(gradient)
        weight.sub_(0.1 * state / (state.abs().sqrt() + 0.1))
        torch.synchronize()
    return [t.numpy().tobytes() for t in (weight, state, gradient)]


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)


@pytest.mark.parametrize(
    "shape", [(256, 512), (300, 304), (64, 96), (40, 48), (33, 50), (5, 16), (70, 7), (700, 180)]
)
def test_the_bits_are_the_same(shape, monkeypatch):
    """Whether what is updated begins at a line of the caches, as what is large does, or not."""
    before = get_num_threads()
    found = []
    try:
        for kept in (distant.KEPT, 0):
            monkeypatch.setattr(distant, "KEPT", kept)
            for threads in (1, 2):
                set_num_threads(threads)
                found.append(trained(*shape))
    finally:
        set_num_threads(before)
    assert all(f == found[0] for f in found)


def stored_past(made):
    """The results stored so in the last program."""
    return [n for c, _ in made[-1].steps for n in c.distant]


def test_what_an_update_writes_and_nobody_reads_is_stored_past_the_caches(monkeypatch):
    monkeypatch.setattr(distant, "KEPT", 0)
    made = lowered(monkeypatch)
    trained(48, 80)
    assert len(stored_past(made)) == 3
    texts = [k.text for _, calls in made[-1].steps for k in calls or ()]
    assert any("!nontemporal" in t and "sfence" in t for t in texts) == stores_past()


def test_small_programs_store_as_ever(monkeypatch):
    made = lowered(monkeypatch)
    trained(48, 96)
    assert not stored_past(made)


def test_what_is_read_again_or_updates_nothing_is_stored_as_ever(monkeypatch):
    monkeypatch.setattr(distant, "KEPT", 0)
    made = lowered(monkeypatch)
    weight, x = torch.ones(48, 112), torch.ones(150, 48)
    torch.synchronize()
    weight -= x.t() @ torch.ones(150, 112)  # read by the product below
    other = x @ weight
    torch.synchronize()
    assert other.shape == (150, 112)
    assert not stored_past(made)
