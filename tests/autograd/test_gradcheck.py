"""Numerical gradient checks, against PyTorch's: what passes, what fails, and the messages."""

from __future__ import annotations

import warnings

import pytest
from evaluated import Stored

import facula
from facula.autograd.gradcheck import GradcheckError

STORED = Stored("autograd_gradcheck")
# What Facula says in other words: fast mode shows the whole Jacobians, shapes without the place.
OTHERWISE = ("fast_mode=True", "a[: int(a[0] > 1) + 1]", "Noisy")


@STORED.cases("checks")
def test_what_passes_and_what_fails(text, expected):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Input #")
        said = STORED.check(text, expected)
    if said and not any([part in text for part in OTHERWISE]):
        assert said.split("numerical:")[0] == expected["message"].split("numerical:")[0]


def test_a_wrong_gradient_is_found_in_native_code_too(tier):
    class Wrong(facula.autograd.Function):
        @staticmethod
        def forward(ctx, t):
            ctx.save_for_backward(t)
            return (t * t).sin()

        @staticmethod
        def backward(ctx, g):
            (t,) = ctx.saved_tensors
            return g * (t * t).cos() * 2.01 * t

    x = facula.tensor([0.3, 0.7], dtype=facula.float64, requires_grad=True)
    with pytest.raises(GradcheckError, match="Jacobian mismatch for output 0"):
        facula.autograd.gradcheck(Wrong.apply, x)
    assert facula.autograd.gradcheck(lambda t: (t * t).sin(), x)


def test_the_inputs_have_their_values_again_and_no_gradients():
    x = facula.tensor([0.3, 0.7], dtype=facula.float64, requires_grad=True)
    y = x * 2
    facula.autograd.gradcheck(lambda t: t.exp(), y)
    assert y.tolist() == [0.6, 1.4] and x.tolist() == [0.3, 0.7]
    assert x.grad is None and y.requires_grad


def test_gradients_that_are_not_products_are_found():
    class Offset(facula.autograd.Function):
        @staticmethod
        def forward(ctx, t):
            return t * 1

        @staticmethod
        def backward(ctx, g):
            return g + (g.abs().sum() == 0)

    x = facula.tensor([0.3], dtype=facula.float64, requires_grad=True)
    with pytest.raises(GradcheckError, match="backward not multiplied by grad_output"):
        facula.autograd.gradcheck(Offset.apply, x)


def test_what_can_not_be_batched_is_found():
    class Looks(facula.autograd.Function):
        @staticmethod
        def forward(ctx, t):
            return t * 1

        @staticmethod
        def backward(ctx, g):
            return g if g.sum().item() else g * 1

    x = facula.tensor([0.3], dtype=facula.float64, requires_grad=True)
    assert facula.autograd.gradcheck(Looks.apply, x)
    with pytest.raises(GradcheckError, match="While computing batched gradients, got"):
        facula.autograd.gradcheck(Looks.apply, x, check_batched_grad=True)


def test_missing_gradients_of_outputs():
    class Two(facula.autograd.Function):
        @staticmethod
        def forward(ctx, t):
            ctx.set_materialize_grads(False)
            return t * 2, t * 3

        @staticmethod
        def backward(ctx, g, h):
            return g * 2 + h * 3

    x = facula.tensor([0.3], dtype=facula.float64, requires_grad=True)
    with pytest.raises((GradcheckError, TypeError)):
        facula.autograd.gradcheck(Two.apply, x)


def test_complex_inputs_without_elements():
    x = facula.rand([0, 1], dtype=facula.complex128, requires_grad=True)
    assert facula.autograd.gradcheck(lambda t: t * 2, x, check_forward_ad=True)
