"""Python's operators."""

from __future__ import annotations

import numpy as np
import pytest

import facula as torch


def test_arrays_numbers_and_strangers():
    x = torch.tensor([1.0, 2.0])
    assert (x + np.array([1.0, 1.0], np.float32)).tolist() == [2, 3]
    assert (2 - x).tolist() == [1, 0]
    assert (2**x).tolist() == [2, 4]
    with pytest.raises(TypeError):
        x + "a"


def test_augmented_assignment_keeps_the_object_and_its_dtype():
    x = y = torch.tensor([4, 6])
    x //= 2
    assert y.tolist() == [2, 3]
    with pytest.raises(RuntimeError, match="can't be cast"):
        x /= 2


def test_a_retained_gradient_is_that_of_the_last_value():
    w = torch.tensor([1.0, 2.0]).requires_grad_()
    for write in (lambda t: t.__imul__(1.5), lambda t: t.mul_(1.5)):
        t = w * w
        t.retain_grad()
        t = write(t)
        t.sum().backward()
        assert t.grad.tolist() == [1.0, 1.0]


def test_operands_that_bring_their_own_functions():
    class Own:
        def __init__(self, names):
            self.names = names

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return cls(func.__name__)

    x, own = torch.ones(2), Own(())
    assert (x + own).names == "add" and (own - x).names == "sub"
    assert (own / x).names == "div" and (own @ x).names == "matmul"
    assert (x @ own).names == "matmul" and (x == own).names == "eq"
    with pytest.raises(TypeError, match="unsupported operand"):
        x + object()
