"""Operations on a batch at once, against a loop over its elements."""

from __future__ import annotations

import re

import numpy as np
import pytest

import facula
from facula.func import grad, vmap

from .table import BATCHES, GROUPS, SIZE, function, names_in


def number(f):
    """The function followed by the sum of its results' squares, where they are reals or complex."""

    def total(*values):
        found = [r for r in f(*values) if r.is_floating_point() or r.is_complex()]
        return sum([(r.abs() ** 2 if r.is_complex() else r**2).sum().double() for r in found])

    return total


def looped(f, batches):
    rows = [f(*[t[k] for t in batches]) for k in range(SIZE)]
    return [facula.stack(list(column)) for column in zip(*rows, strict=True)]


def same(found, expected, what):
    assert len(found) == len(expected), what
    for a, b in zip(found, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), what
        close = 1e-6 if b.dtype is facula.float32 else 1e-9
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=close, atol=close, err_msg=what)


def forwards(expression):
    names = names_in(expression)
    batches = [BATCHES[n] for n in names]
    f = function(expression, names)
    yield vmap(f)(*batches), looped(f, batches), expression
    last = [t.movedim(0, -1) for t in batches]
    found = vmap(f, in_dims=-1, out_dims=-1)(*last)
    yield [t.movedim(-1, 0) for t in found], looped(f, batches), expression + ", last dimension"
    in_place = re.search(r"\w_\(", expression)  # where the first has to be a batch
    for n in () if len(names) == 1 or in_place else names:
        fixed = {k: BATCHES[k][0] for k in names if k != n}
        f = function(expression, [n], fixed)
        yield vmap(f)(BATCHES[n]), looped(f, [BATCHES[n]]), f"{expression}, {n} alone"


def gradients(expression):
    names = names_in(expression)
    reals = [n for n in names if BATCHES[n].is_floating_point()]
    others = [n for n in names if n not in reals]
    order = reals + others
    batches = [BATCHES[n] for n in order]
    f = function(expression, order)
    if reals and any(
        [r.is_floating_point() or r.is_complex() for r in f(*[t[0] for t in batches])]
    ):
        slope = grad(number(f), tuple(range(len(reals))))
        yield vmap(slope)(*batches), looped(slope, batches), f"gradient of {expression}"


def nested(expression):
    names = names_in(expression)
    f = function(expression, names)
    batches = [facula.stack([BATCHES[n], BATCHES[n].flip(0)]) for n in names]
    rows = [looped(f, [t[k] for t in batches]) for k in range(2)]
    expected = [facula.stack(list(c)) for c in zip(*rows, strict=True)]
    yield vmap(vmap(f))(*batches), expected, f"{expression}, twice"
    crossed = [t.movedim(0, 1) for t in batches]
    yield vmap(vmap(f), in_dims=1)(*crossed), expected, f"{expression}, outer dimension second"


@pytest.mark.parametrize("group", GROUPS, ids=lambda g: g[0][:30])
def test_a_batch_is_a_loop(group, tier):
    made = [m for e in group for m in forwards(e)]
    for found, expected, what in made:
        same(found, expected, what)


@pytest.mark.parametrize("group", GROUPS, ids=lambda g: g[0][:30])
def test_gradients_of_each_element(group):
    made = [m for e in group for m in gradients(e)]
    for found, expected, what in made:
        same(found, expected, what)


@pytest.mark.parametrize("group", GROUPS, ids=lambda g: g[0][:30])
def test_batches_of_batches(group):
    made = [m for e in group[::2] for m in nested(e)]
    for found, expected, what in made:
        same(found, expected, what)
