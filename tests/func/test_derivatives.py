"""grad, vjp, jvp, Jacobians and Hessians of functions, against PyTorch's."""

from __future__ import annotations

from evaluated import Stored

import facula
from facula import func
from facula.func import grad, jacrev, jvp, linearize, vjp

STORED = Stored("func", func)


@STORED.cases("derivatives")
def test_results_and_errors_are_those_of_pytorch(text, expected):
    STORED.check(text, expected)


def test_results_have_no_history_unless_somebody_recorded():
    v = facula.tensor([1.0, 2.0])
    assert not grad(lambda t: (t**2).sum())(v).requires_grad
    assert not jacrev(lambda t: t**2)(v).requires_grad
    value, tangent = jvp(lambda t: t**2, (v,), (v,))
    assert not value.requires_grad and not tangent.requires_grad
    value, back = vjp(lambda t: t**2, v)
    assert not value.requires_grad and not back(v)[0].requires_grad


def test_gradients_of_gradients_reach_the_users_parameters():
    w = facula.tensor([2.0, -1.0], requires_grad=True)
    x = facula.tensor([1.0, 3.0])
    slope = grad(lambda t: (w * t**2).sum())(x)
    slope.sum().backward()
    assert w.grad.tolist() == [2, 6] and x.grad is None
    w.grad = None
    _, tangent = jvp(lambda t: w * t**2, (x,), (facula.ones(2),))
    tangent.sum().backward()
    assert w.grad.tolist() == [2, 6]
    w.grad = None
    linearize(lambda t: w * t**2, x)[1](facula.ones(2)).sum().backward()
    assert w.grad.tolist() == [2, 6]


def test_the_inputs_are_left_alone():
    x = facula.tensor([1.0, 3.0], requires_grad=True)
    grad(lambda t: (t**2).sum())(x)
    assert x.grad is None and x.is_leaf and x.requires_grad


def test_grad_works_where_recording_is_off():
    x = facula.tensor([1.0, 3.0])
    with facula.no_grad():
        found = grad(lambda t: (t**2).sum())(x)
        _, tangent = jvp(lambda t: t**2, (x,), (facula.ones(2),))
    assert found.tolist() == tangent.tolist() == [2, 6]
    assert not found.requires_grad


def test_a_function_that_writes_in_place():
    def f(t):
        out = facula.zeros(2, 2)
        out[0] = t
        out[1] = t * 2
        out.mul_(t)
        return out.sum()

    assert grad(f)(facula.tensor([1.0, 3.0])).tolist() == [6, 18]
