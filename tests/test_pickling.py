"""Tensors in plain pickles: what comes back, as PyTorch's do."""

from __future__ import annotations

import pickle

import pytest

import facula as torch


class Sub(torch.Tensor):
    pass


# The tensor; whether it comes back as a leaf that requires grad.
PICKLED = {
    "plain": (lambda: torch.arange(6.0).reshape(2, 3), False),
    "bfloat16": (lambda: torch.ones(2, dtype=torch.bfloat16), False),
    "complex": (lambda: torch.ones(2, dtype=torch.complex64) * 1j, False),
    "no dimensions": (lambda: torch.tensor(3), False),
    "no elements": (lambda: torch.ones(2, 0), False),
    "transposed": (lambda: torch.arange(6).reshape(2, 3).t(), False),
    "expanded": (lambda: torch.ones(1).expand(3), False),
    "with gaps": (lambda: torch.arange(24).reshape(4, 6)[1:, ::2], False),
    "a leaf": (lambda: torch.ones(2, requires_grad=True), True),
    "with a history": (lambda: torch.ones(2, requires_grad=True) * 2, True),
    "a parameter": (lambda: torch.nn.Parameter(torch.ones(2)), True),
    "of a subclass": (lambda: torch.ones(2).as_subclass(Sub), False),
}


@pytest.mark.parametrize(("make", "requires_grad"), PICKLED.values(), ids=PICKLED)
def test_values_layout_class_and_attributes(make, requires_grad):
    t = make()
    t.mark = "kept"
    back = pickle.loads(pickle.dumps(t))
    assert type(back) is type(t) and back.mark == "kept"
    assert (back.dtype, back.shape, back.stride()) == (t.dtype, t.shape, t.stride())
    assert torch.equal(back, t)
    assert back.is_leaf and back.requires_grad is requires_grad


def test_a_pickled_tensor_has_memory_of_its_own_that_can_be_written():
    t = torch.arange(6).reshape(2, 3).t()
    back = pickle.loads(pickle.dumps(t))
    back[0, 1] = 9
    back.add_(1)
    assert back.tolist() == [[1, 10], [2, 5], [3, 6]] and t[0, 1] == 3


def test_what_has_no_memory():
    t = torch.empty(2, 3, device="meta").t()
    t.mark = "kept"
    back = pickle.loads(pickle.dumps(t))
    assert back.is_meta and back.stride() == (1, 3) and back.shape == (3, 2)
    assert back.mark == "kept"
