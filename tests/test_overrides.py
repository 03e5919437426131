"""Modes: blocks in which calls go through `__torch_function__`. Expected values are PyTorch's."""

from __future__ import annotations

import threading

import pytest

import facula as torch
from facula.overrides import BaseTorchFunctionMode, TorchFunctionMode


class Log(TorchFunctionMode):
    def __init__(self):
        self.seen = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.seen.append(func.__name__)
        return func(*args, **(kwargs or {}))


class SubtractInstead(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return torch.sub(*args) if func is torch.add else func(*args, **(kwargs or {}))


def test_modes_see_the_calls_in_their_block_the_outer_ones_what_the_inner_ones_call():
    outer, inner = Log(), Log()
    x = torch.ones(3)
    with outer:
        torch.add(x, 1)
        with inner:
            x.mul(2)
            torch.zeros(3)
            x + 1
    torch.exp(x)
    assert outer.seen == ["add", "mul", "zeros", "add"]
    assert inner.seen == ["mul", "zeros", "add"]


def test_a_mode_can_answer_in_the_place_of_a_function():
    x = torch.ones(2)
    with SubtractInstead(), BaseTorchFunctionMode():
        assert torch.add(x, 1).tolist() == [0, 0]
    assert torch.add(x, 1).tolist() == [2, 2]


def test_one_mode_may_be_entered_twice():
    log = Log()
    with log, log:
        torch.exp(torch.ones(1))
    assert log.seen.count("exp") == 2


def test_an_error_in_a_mode_leaves_the_modes_in_order():
    x = torch.ones(2)
    with pytest.raises(NotImplementedError), TorchFunctionMode():
        torch.add(x, 1)
    log = Log()
    with log:
        with pytest.raises(RuntimeError):
            torch.mm(x, x)
        torch.add(x, 1)
    assert log.seen[-1] == "add" and torch.add(x, 1).tolist() == [2, 2]


def test_a_mode_belongs_to_its_thread():
    log = Log()
    with log:
        other = threading.Thread(target=lambda: torch.exp(torch.ones(1)))
        other.start()
        other.join()
    assert "exp" not in log.seen


def test_a_mode_learns_the_types_that_override():
    class Noted(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return super().__torch_function__(func, types, args, kwargs)

    seen = []

    class Types(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(types)
            return func(*args, **(kwargs or {}))

    noted = torch.ones(2).as_subclass(Noted)
    with Types():
        assert type(torch.mul(noted, 2)) is Noted
    assert seen[0] == (Noted,)


def test_functions_are_handed_over_as_users_have_them():
    """Tables of what a class overrides have `torch.add` and its kin for keys."""

    class Own:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return {torch.add: "add", torch.mean: "mean", torch.cat: "cat"}[func]

    x = torch.ones(1)
    assert torch.add(x, Own()) == "add" and torch.mean(Own()) == "mean"
    assert torch.cat([x, Own()]) == "cat"
