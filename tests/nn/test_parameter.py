"""Parameters without a shape: what may be done with them, and what that costs others."""

import pytest

import facula as torch
from facula.ops import table

REFUSED = [
    torch.empty_like,
    lambda p: torch.add(p, p),
    lambda p: p + p,
    lambda p: p.numel(),
    lambda p: p.detach(),
    lambda p: p.clone(),
    lambda p: torch.optim.Adagrad([p]),
]


@pytest.mark.parametrize("use", REFUSED)
def test_functions_refuse_a_parameter_without_shape(use):
    for made in (torch.nn.UninitializedParameter, torch.nn.UninitializedBuffer):
        with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter in"):
            use(made())


def test_counting_parameters_before_the_first_call():
    model = torch.nn.LazyLinear(3)
    with pytest.raises(ValueError, match="uninitialized parameter"):
        sum(p.numel() for p in model.parameters())
    model(torch.ones(2, 5))
    assert sum(p.numel() for p in model.parameters()) == 18


def test_what_may_be_done():
    p = torch.nn.UninitializedParameter()
    assert p.double().dtype == torch.float64 and p.to("cpu").requires_grad
    assert p.grad is None and p.is_leaf and p.dtype == torch.float32
    torch.optim.SGD([p], lr=0.1)


def test_operations_look_for_such_parameters_only_while_there_are_any():
    before = list(table.OVERRIDES)
    p, q = torch.nn.UninitializedParameter(), torch.nn.UninitializedParameter()
    assert torch.nn.UninitializedParameter in table.OVERRIDES
    p.materialize((2, 3))
    with pytest.raises(ValueError, match="uninitialized parameter"):
        torch.sum(q)
    q.materialize(4)
    assert torch.nn.UninitializedParameter not in table.OVERRIDES
    assert [o for o in before if o is not torch.nn.UninitializedParameter] == table.OVERRIDES
