"""Derivatives of the table's operations, against differences of their values."""

from __future__ import annotations

import pytest
from func.table import BATCHES, GROUPS, function, names_in

import facula
from facula.autograd import gradcheck, gradgradcheck

# Their differences say nothing: jumps, infinities, single precision.
ROUGH = ("x.round(decimals=1)", "torch.nan_to_num(x / 0)", "x.to(torch.float32)")


def differentiable(expression):
    """A function of the expression's real and complex operands, with these, or None."""
    names = names_in(expression)
    floats = [n for n in names if BATCHES[n].is_floating_point() or BATCHES[n].is_complex()]
    f = function(expression, floats, {n: BATCHES[n][0] for n in names if n not in floats})

    def some(*values):
        return tuple([r for r in f(*values) if r.is_floating_point() or r.is_complex()])

    inputs = [BATCHES[n][0].clone().requires_grad_() for n in floats]
    if not floats or expression in ROUGH or not any([r.requires_grad for r in some(*inputs)]):
        return None
    return some, inputs


@pytest.mark.parametrize("group", GROUPS, ids=lambda g: g[0][:30])
def test_first_derivatives(group, tier):
    for expression in group:
        found = differentiable(expression)
        if found is not None:
            facula.manual_seed(0)
            forward = tier == "interpreted"  # once is enough: it is made of the same operations
            assert gradcheck(*found, fast_mode=True, check_forward_ad=forward), expression


@pytest.mark.parametrize("group", GROUPS, ids=lambda g: g[0][:30])
def test_second_derivatives(group):
    for expression in group[::2]:
        found = differentiable(expression)
        if found is not None:
            facula.manual_seed(0)
            assert gradgradcheck(*found, fast_mode=True), expression
