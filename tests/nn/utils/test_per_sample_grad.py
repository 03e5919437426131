"""Gradients for each sample."""

from __future__ import annotations

import pytest
from nn.stored import agrees, submodule

import facula as torch_
from facula.nn.utils._per_sample_grad import call_for_per_sample_grads


@agrees
def test_gradients_of_a_network(torch):
    call = submodule(torch, "nn.utils._per_sample_grad").call_for_per_sample_grads
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8, 3)
    )
    net[0].bias.requires_grad_(False)
    x = torch.randn(5, 1, 4, 4)
    found = []
    for reduction in ("sum", "mean"):
        for p in net.parameters():
            p.grad_sample = None
        out = call(net, loss_reduction=reduction)(x)
        getattr(out.pow(2).sum(1), reduction)().backward()
        found += [out, [[p.grad_sample, p.grad] for p in net.parameters()]]
    return found


@pytest.mark.parametrize(
    ("module", "settings", "match"),
    [
        (lambda x: x, {}, "must be nn.Module, got function"),
        (torch_.nn.Linear(2, 2), {"batch_size": 2.0}, "None or an integer, got float"),
        (torch_.nn.Linear(2, 2), {"batch_size": 0}, "must be positive, got 0"),
        (torch_.nn.Linear(2, 2), {"loss_reduction": "none"}, "sum or mean, got none"),
    ],
)
def test_arguments_are_checked(module, settings, match):
    with pytest.raises(RuntimeError, match=match):
        call_for_per_sample_grads(module, **settings)


def test_gradients_that_are_there_already_are_to_be_cleared():
    net = torch_.nn.Linear(2, 2)
    call_for_per_sample_grads(net)(torch_.ones(3, 2)).sum().backward()
    with pytest.raises(RuntimeError, match="clear the grad_sample"):
        call_for_per_sample_grads(net)
    net.weight.grad_sample = net.bias.grad_sample = None
    with pytest.raises(RuntimeError, match="unable to find a batch size"):
        call_for_per_sample_grads(net)()
