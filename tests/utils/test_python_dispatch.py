"""What libraries ask about subclasses of tensors."""

from __future__ import annotations

import pytest

import facula as torch
from facula.utils._python_dispatch import TorchDispatchMode, is_traceable_wrapper_subclass


def test_a_wrapper_can_be_taken_apart_and_put_together():
    class Pair(torch.Tensor):
        def __tensor_flatten__(self):
            return ["a"], None

        @staticmethod
        def __tensor_unflatten__(inner, metadata, size, stride):
            return inner["a"]

    class Plain(torch.Tensor):
        pass

    x = torch.ones(2)
    assert is_traceable_wrapper_subclass(x.as_subclass(Pair))
    assert not is_traceable_wrapper_subclass(x.as_subclass(Plain))
    assert not is_traceable_wrapper_subclass(x) and not is_traceable_wrapper_subclass(Pair)


def test_operations_are_not_dispatched_one_by_one():
    class Mine(TorchDispatchMode):
        pass

    with pytest.raises(NotImplementedError, match="TorchFunctionMode"), Mine():
        pass
