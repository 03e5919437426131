"""Gradients of the parts of a value: joined where they can be, the same numbers everywhere."""

from __future__ import annotations

import pytest

import facula as torch
from facula.trace.recorder import TLS

# name, what is made of x (3, 4), its gradient and that of the gradient's squares, by PyTorch 2.13.
CUTS = [
    (
        "chunk",
        lambda y: sum((k + 1) * p.pow(2).sum() for k, p in enumerate(y.chunk(2, 1))),
        [0, 2, 8, 12, 8, 10, 24, 28, 16, 18, 40, 44],
        [0, 8, 64, 96, 32, 40, 192, 224, 64, 72, 320, 352],
    ),
    (
        "chunk, one unused",
        lambda y: sum(
            (k + 1) * p.pow(2).sum() for k, p in enumerate(y.split([1, 2, 1], 1)) if k != 1
        ),
        [0, 0, 0, 18, 8, 0, 0, 42, 16, 0, 0, 66],
        [0, 0, 0, 216, 32, 0, 0, 504, 64, 0, 0, 792],
    ),
    (
        "unbind",
        lambda y: sum((k + 1) * p.pow(3).sum() for k, p in enumerate(y.unbind(0))),
        [0, 3, 12, 27, 96, 150, 216, 294, 576, 729, 900, 1089],
        [0, 36, 288, 972, 9216, 18000, 31104, 49392, 165888, 236196, 324000, 431244],
    ),
    (
        "unbind last",
        lambda y: sum((k + 1) * p.pow(2).sum() for k, p in enumerate(y.unbind(1)) if k),
        [0, 4, 12, 24, 0, 20, 36, 56, 0, 36, 60, 88],
        [0, 32, 144, 384, 0, 160, 432, 896, 0, 288, 720, 1408],
    ),
    (
        "overlap",
        lambda y: y[:2].pow(2).sum() + (y[1:] * 3).pow(2).sum(),
        [0, 2, 4, 6, 80, 100, 120, 140, 144, 162, 180, 198],
        [0, 8, 16, 24, 3200, 4000, 4800, 5600, 5184, 5832, 6480, 7128],
    ),
    (
        "steps",
        lambda y: y[:, ::2].pow(2).sum() + (y[:, 1::2] * 3).pow(2).sum(),
        [0, 18, 4, 54, 8, 90, 12, 126, 16, 162, 20, 198],
        [0, 648, 16, 1944, 32, 3240, 48, 4536, 64, 5832, 80, 7128],
    ),
    (
        "and whole",
        lambda y: y.pow(3).sum() + sum(p.pow(2).sum() for p in y.chunk(2)),
        [0, 5, 16, 33, 56, 85, 120, 161, 208, 261, 320, 385],
        [0, 80, 448, 1320, 2912, 5440, 9120, 14168, 20800, 29232, 39680, 52360],
    ),
    (
        "corners",
        lambda y: y[0, 0].pow(2) + (y[2] * 2).pow(2).sum() + y[1, 1:].pow(2).sum(),
        [0, 0, 0, 0, 0, 10, 12, 14, 64, 72, 80, 88],
        [0, 0, 0, 0, 0, 40, 48, 56, 1024, 1152, 1280, 1408],
    ),
]


@pytest.mark.parametrize("cut, first, second", [c[1:] for c in CUTS], ids=[c[0] for c in CUTS])
def test_a_gradient_is_what_it_is_in_parts(cut, first, second, tier):
    x = torch.arange(12.0).reshape(3, 4).requires_grad_()
    (g,) = torch.autograd.grad(cut(x * 1), x, create_graph=True)
    (h,) = torch.autograd.grad(g.pow(2).sum(), x)
    assert g.flatten().tolist() == first
    assert h.flatten().tolist() == second
    cut(x * 1).backward()
    assert x.grad.flatten().tolist() == first


def _recorded(n: int) -> int:
    """Operations of a backward pass through a value that was cut into n parts."""
    y = torch.ones(n, 3, requires_grad=True) * 1
    loss = sum(p.exp().sum() for p in y.unbind(0))
    before = TLS.r.cur.index
    loss.backward()
    return TLS.r.cur.index - before


def test_two_operations_less_are_recorded_for_each_part():
    assert _recorded(20) - _recorded(10) <= 10 * 5


def test_hooks_see_the_gradients_of_their_parts():
    x = torch.ones(4, requires_grad=True)
    a, b, c, d = (x * 1).chunk(4)
    seen = []
    b.register_hook(lambda g: seen.append(g.tolist()))
    c.retain_grad()
    (a * 2 + b * 3 + c * 5 + d * 7).sum().backward()
    assert x.grad.tolist() == [2, 3, 5, 7]
    assert seen == [[3]]
    assert c.grad.tolist() == [5]


def test_a_part_may_be_what_is_asked_for():
    x = torch.ones(4, requires_grad=True)
    a, b = (x * 1).chunk(2)
    ga, gx = torch.autograd.grad((a * 2 + b * 3).sum(), (a, x))
    assert ga.tolist() == [2, 2]
    assert gx.tolist() == [2, 2, 3, 3]
