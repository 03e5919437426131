"""Initial values: the numbers that PyTorch draws."""

from __future__ import annotations

import pytest
from nn.stored import agrees

import facula

LIMITS = [(0.02, -2, 2), (1, -2, 2), (1, -0.5, 3), (1, -0.1, 0.2), (1, 1.5, 3), (2, -9, -3)]


@agrees
def test_truncated_normal_numbers(torch):
    """Both ways to draw them, the numbers that come next, and a size of more than one vector."""
    out = []
    for std, a, b in LIMITS:
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            t = torch.nn.init.trunc_normal_(torch.empty(3, 13, dtype=dtype), 0.0, std, a, b)
            out.append([t, torch.rand(1)])
    generator = torch.Generator().manual_seed(5)
    out.append(torch.nn.init.trunc_normal_(torch.empty(20), 1.0, 0.5, 0.0, 1.2, generator))
    return out


@pytest.mark.parametrize(("std", "a", "b"), LIMITS)
def test_they_stay_between_the_limits_and_in_their_memory(std, a, b):
    t = facula.empty(1000, requires_grad=True)
    assert facula.nn.init.trunc_normal_(t, 0.0, std, a, b) is t
    assert a <= t.min().item() and t.max().item() <= b
    assert t.is_leaf and t.requires_grad
    view = facula.zeros(4, 10)
    facula.nn.init.trunc_normal_(view[1], 0.0, std, a, b)
    assert view[0].abs().sum() == 0 and (view[1] != 0).all()


def test_a_mean_far_away_is_warned_of():
    with pytest.warns(UserWarning, match="mean is more than 2 std from"):
        facula.nn.init.trunc_normal_(facula.empty(3), 4.0, 0.5, 0.0, 2.0)


def test_names_that_libraries_import():
    t, init = facula.empty(3, requires_grad=True), facula.nn.init
    assert init._no_grad_fill_(t, 2.0) is t and t.tolist() == [2, 2, 2]
    assert init._no_grad_zero_(t) is t and t.tolist() == [0, 0, 0]
    for draw in (init._no_grad_uniform_, init._no_grad_normal_, init._no_grad_trunc_normal_):
        assert draw(t, 0.0, 1.0) is t and t.is_leaf and (t != 0).all()
