"""Exchanging two tensors (`facula/utils/swapping.py`), and conversions that do so."""

from __future__ import annotations

import pytest

import facula
from facula import nn
from facula.utils import swap_tensors


@pytest.fixture
def swapping():
    facula.__future__.set_swap_module_params_on_conversion(True)
    yield
    facula.__future__.set_swap_module_params_on_conversion(False)


def test_each_is_what_the_other_was():
    a, b = facula.arange(3), nn.Parameter(facula.ones(2, 2))
    b.note, view = "b", a[:2]
    first, second = id(a), id(b)
    swap_tensors(a, b)
    assert (id(a), id(b)) == (first, second)
    assert type(a) is nn.Parameter and a.requires_grad and a.note == "b" and a.shape == (2, 2)
    assert type(b) is facula.Tensor and b.tolist() == [0, 1, 2] and not hasattr(b, "note")
    b[0] = 7  # memory goes along, with what else looks at it
    assert view.tolist() == [7, 1]
    (a * 3).sum().backward()
    assert a.grad.tolist() == [[3, 3], [3, 3]] and b.grad is None


def test_pending_results_are_swapped():
    a, b = facula.ones(2) + 1, facula.ones(3) * 5
    swap_tensors(a, b)
    assert a.tolist() == [5, 5, 5] and b.tolist() == [2, 2]


def test_a_tensor_that_a_graph_accumulates_into_is_refused():
    a = facula.ones(2, requires_grad=True)
    loss = (a * a).sum()
    loss.backward(retain_graph=True)
    assert loss.grad_fn.next_functions
    with pytest.raises(RuntimeError, match="t2 has an AccumulateGrad node"):
        swap_tensors(facula.ones(2), a)


def test_modules_are_converted_by_swapping(swapping):
    m = nn.Linear(2, 3)
    weight, value = m.weight, m.weight.detach().clone()
    m.weight.grad = facula.ones(3, 2)
    m.double()
    assert m.weight is weight and weight.dtype is facula.float64
    assert weight.grad.dtype is facula.float64
    assert facula.equal(weight.float(), value)
    m.load_state_dict({"weight": facula.zeros(3, 2), "bias": facula.ones(3)})
    assert m.weight is weight and not weight.any() and weight.dtype is facula.float64
    m.load_state_dict({"weight": facula.ones(3, 2), "bias": facula.ones(3)}, assign=True)
    assert m.weight is weight and weight.dtype is facula.float32 and weight.requires_grad


def test_modules_get_new_parameters():
    m = nn.Linear(2, 3)
    weight = m.weight
    facula.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        m.double()
    finally:
        facula.__future__.set_overwrite_module_params_on_conversion(False)
    assert m.weight is not weight and weight.dtype is facula.float32
    assert type(m.weight) is nn.Parameter and m.weight.dtype is facula.float64
