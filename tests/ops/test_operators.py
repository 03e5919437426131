"""Python's operators."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from nn.stored import agrees, raised

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


@agrees
def test_operators_with_numpy(torch):
    """Arrays after a tensor are NumPy's to compute with, by its rules of dtypes; before one they
    have no answer but for a quotient; `==` takes them for tensors. NumPy's bool is a float."""
    out = []
    others = (
        np.array([1.5, 2.5]), np.array([1.5, 2.5], np.float32), np.array(2.5), np.array([3]),
        np.array([1, 2, 3]), np.array([True, True]), np.array(["a", "b"]), np.array([None, 1]),
        np.float64(2.5), np.float32(2.5), np.int64(2), np.bool_(True), [1.0, 2.0],
    )  # fmt: skip
    names = ["add", "sub", "truediv", "pow", "and_", "eq", "ne", "lt", "iadd"]
    for name in names:
        for other in others:
            for values in ([1.0, 2.0], [1, 2], 3.0):
                for swapped in (False, True):
                    args = [torch.tensor(values), other]
                    try:
                        r = getattr(operator, name)(*(args[::-1] if swapped else args))
                        r = [type(r).__name__, str(getattr(r, "dtype", "")), str(r)]
                    except Exception:  # of which type may be NumPy's affair
                        r = "raises"
                    out.append(r if isinstance(r, str) else " ".join(r))
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    out += [raised(lambda: w * np.ones(2)), raised(lambda: np.ones(2) * w)]
    t = torch.tensor([1.0, 2.0])
    return [*out, np.isnan(t), np.greater(t, np.array([0.0, 3.0])), np.add(t, np.array([1, 2]))]
