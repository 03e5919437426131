"""Values that are read while the frame goes on: the same values, and fewer frames."""

import math

import pytest

import facula as torch
from facula.interpreter import program
from facula.trace import aside
from facula.trace.recorder import TLS


def rounds(ask, count=3):
    """What `ask` returns for operands that are there, and whether the frame went on."""
    found = []
    for i in range(count):
        a, b = torch.tensor([1.5, -2.0, float(i)]), torch.tensor(i)
        torch.synchronize()
        pending = a + 1
        frame = TLS.r.frame
        value = ask(a, b)
        found.append((value, TLS.r.frame == frame))
        assert pending.tolist() == [2.5, -1.0, i + 1.0]
    return found


QUESTIONS = [
    (lambda a, b: bool(b == 1), [False, True, False]),
    (lambda a, b: bool((a > -3).all()), [True] * 3),
    (lambda a, b: bool((a[1:] < a[:-1]).any()), [True] * 3),
    (lambda a, b: bool(torch.isfinite(a * 2 - 1).all()), [True] * 3),
    (lambda a, b: float(a[2].clamp(0.5, 1.5)), [0.5, 1.0, 1.5]),
    (lambda a, b: (a[0] / 3).item(), [torch.tensor(0.5).item()] * 3),
    (lambda a, b: a.double().neg()[1].item(), [2.0] * 3),
    (lambda a, b: int(b + 7), [7, 8, 9]),
    (lambda a, b: bool(torch.where(a > 0, a, a * 0).max() > 1.75), [False, False, True]),
]


@pytest.mark.parametrize("k", range(len(QUESTIONS)))
def test_exact_values_end_no_frame(k):
    ask, want = QUESTIONS[k]
    got = rounds(ask)
    assert [value for value, _ in got] == want
    assert all([went_on for _, went_on in got]) == (k != 8)  # the largest of several is a reduction


def test_what_is_not_exact_large_or_of_many_operations_ends_the_frame():
    def long(a, b):
        for _ in range(aside.STEPS):
            a = a + 1
        return bool(a[0] > 0)

    large = torch.ones(aside.SIZE + 1)
    for ask in (lambda a, b: bool(a.exp()[0] > 0), long, lambda a, b: bool((large > 0).all())):
        assert [went_on for _, went_on in rounds(ask)] == [False] * 3


def test_long_frames_end():
    a = torch.ones(3)
    torch.synchronize()
    frame = TLS.r.frame
    for _ in range(aside.SHORT + 2):
        b = a + 1
    assert bool((a == 1).all())
    assert TLS.r.frame == frame + 1 and b.tolist() == [2.0, 2.0, 2.0]


def test_errors_and_special_values():
    zero = torch.zeros(())
    torch.synchronize()
    assert math.isnan((zero / zero).item())  # without a warning
    assert (zero == zero).item() is True
    assert bool(torch.ones((), dtype=torch.int64) > 0.5)


def test_memory_that_is_written_and_memory_that_numpy_holds(monkeypatch):
    """What a flight or NumPy code writes is seen."""
    monkeypatch.setattr(program, "COMPILE_AFTER", 2)
    a = torch.zeros(3)
    shared = a.numpy()
    w = torch.zeros(4, requires_grad=True)
    for i in range(6):
        shared += 1
        assert bool((a == i + 1).all())
        (w * (i + 1)).sum().backward()
        with torch.no_grad():
            w -= w.grad
        w.grad = None
        (w * 2).sum()  # ends the frame without waiting for it
        assert (w[1] == -sum(range(1, i + 2))).item()


def test_values_of_a_view_after_a_write():
    for i in range(3):
        a = torch.zeros(4)
        part = a[1:3]
        a.add_(i)
        assert bool((part == i).all()) and (part[0] + 1).item() == i + 1
        part.fill_(7)
        assert a.tolist() == [i, 7, 7, i]
