"""What may be written to between a call and its backward pass: as in PyTorch, call by call."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import mistakes
import pytest
from fuzz import saved

import facula as torch

STORED = json.loads((Path(__file__).parents[1] / "data" / "saved_by_calls.json").read_text())
# Linear algebra that is not watched, and a few that save what PyTorch does not: the
# calls that still differ, by what they begin with.
OPEN = (
    *("F.multi_head_attention_forward", "gru(", "nn.utils.rnn.", "torch._foreach_add"),
    *("torch.combinations", "torch.fft.", "torch.func.jacfwd", "torch.istft", "torch.ldexp"),
    *("torch.linalg.lstsq", "torch.linalg.lu", "torch.linalg.slogdet", "torch.linalg.tensorinv"),
    *("torch.nextafter", "torch.sparse", "torch.stft", "torch.utils.checkpoint", "x.eq_"),
)
CALLS = [call for call in STORED if not call.startswith(OPEN)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", range(8))
def test_writes_that_pytorch_refuses_are_refused_and_no_others(part):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for call in CALLS[part::8]:
            found = saved.look(torch, mistakes, call) or {}
            for wanted, row in STORED[call].items():  # some have no derivative in PyTorch
                assert found.get(wanted) == row, (call, wanted)


def test_a_name_of_a_composition_says_what_it_saves():
    x = torch.ones(2, 3, requires_grad=True) * 1
    y = torch.nn.functional.softplus(x)
    assert y.grad_fn.name() == "SoftplusBackward0"
    assert [node.name() for node, _ in y.grad_fn.next_functions] == ["MulBackward0"]
    x.add_(1)
    with pytest.raises(RuntimeError, match="saved by SoftplusBackward0"):
        y.sum().backward()


def test_a_write_is_noticed_when_the_frame_has_ended():
    x = torch.ones(2, 3, requires_grad=True) * 1
    target = torch.zeros(2, 3)
    loss = torch.nn.functional.mse_loss(x, target)
    assert loss.item() == 1
    target.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_write_to_what_is_followed_is_noticed_each_time():
    x = torch.ones(2, 3, requires_grad=True)
    for write in (False, False, False, True, False, True):
        y = x * 2
        out = torch.nn.functional.layer_norm(y, (3,)).sum()
        if write:
            y.add_(1)
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                out.backward()
        else:
            out.backward()


def test_in_place_forms_keep_a_copy_of_what_they_overwrite():
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    y = torch.nn.functional.leaky_relu(x * 2, 0.5, inplace=True)
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("call", "depends"),
    [
        (lambda x, c: torch.cross(x, c, -1), False),
        (lambda x, c: torch.cross(c, x, -1), False),
        (lambda x, c: torch.cross(x, x * 2, -1), True),
        (lambda x, c: torch.view_as_real(torch.complex(x, c)), False),
        (lambda x, c: torch.addcdiv(x, c, c + 9), False),
        (lambda x, c: torch.nn.functional.mse_loss(x, c), True),
    ],
)
def test_a_gradient_depends_on_what_pytorchs_does(call, depends):
    x = torch.tensor([[1.0, 2.0, 4.0]], requires_grad=True)
    (g,) = torch.autograd.grad(call(x, x.detach().clone()).sum(), x, create_graph=True)
    assert g.requires_grad is depends
