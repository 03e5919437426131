"""Second forms of operations."""

from __future__ import annotations

import pytest

import facula as torch


def test_in_place_functions_and_small_questions():
    x = torch.tensor([-1.0, 4.0])
    assert torch.relu_(x) is x and x.tolist() == [0, 4]
    assert torch.is_same_size(x, x) and not torch.is_same_size(x, x[:1])
    assert torch.is_nonzero(x[1]) and x.get_device() == -1
    with pytest.raises(RuntimeError, match="ambiguous"):
        torch.is_nonzero(x)


def test_fill_diagonal_wraps_below_tall_matrices():
    x = torch.zeros(7, 3)
    assert x.fill_diagonal_(1, wrap=True).nonzero().tolist() == [
        *([0, 0], [1, 1], [2, 2]),
        *([4, 0], [5, 1], [6, 2]),
    ]
    assert torch.zeros(3, 3, 3).fill_diagonal_(2).sum().item() == 6


def test_types_by_name():
    x = torch.ones(1)
    assert x.type() == "torch.FloatTensor"
    assert x.type("torch.LongTensor").dtype is torch.int64
    assert x.type(torch.bool).dtype is torch.bool
    with pytest.raises(ValueError, match="invalid type"):
        x.type("torch.NoTensor")


def test_python_functions_of_elements():
    x = torch.tensor([1.0, 2.0])
    assert x.apply_(lambda v: v + 1).tolist() == [2, 3]
    assert x.map_(torch.tensor([10.0]), lambda a, b: a * b).tolist() == [20, 30]


def test_adjoint():
    assert torch.adjoint(torch.tensor([[1j, 2]])).tolist() == [[-1j], [2]]


def test_no_memory_is_pinned():
    x = torch.ones(1)
    assert not x.is_pinned()
    with pytest.raises(RuntimeError, match="accelerator"):
        x.pin_memory()


def test_constructors_of_old_by_name():
    x = torch.arange(3)
    assert x.new(size=(3, 4)).shape == (3, 4) and x.new(data=[1, 2]).tolist() == [1, 2]
    assert x.new(other=x).tolist() == [0, 1, 2] and torch.LongTensor(size=(2, 3)).shape == (2, 3)
    assert torch.ones(2, dtype=torch.int32).type(torch.Tensor).dtype is torch.float32
    for ask in (lambda: x.new(sizes=2), lambda: x.new(2, size=3), lambda: x.new(data=[], size=3)):
        with pytest.raises(TypeError, match="size, data and other"):
            ask()


def test_python_functions_that_give_no_number():
    for ask in (lambda x: x.apply_(lambda v: "a"), lambda x: x.map_(x, lambda v, w: "a")):
        with pytest.raises(TypeError, match="must be real number, not str"):
            ask(torch.ones(2))
