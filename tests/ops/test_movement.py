"""Compositions that count as one operation, and writes through views that overlap."""

from __future__ import annotations

import pytest
from nn.stored import agrees, raised

import facula


@agrees
def test_second_derivatives_that_are_zero_exist(torch):
    """What PyTorch has as one operation with a derivative of its own depends on all its inputs."""
    F = torch.nn.functional
    x = torch.arange(1.0, 49.0).reshape(1, 3, 4, 4).requires_grad_()
    w, b = torch.full((2, 3, 2, 2), 0.1).requires_grad_(), torch.ones(2).requires_grad_()
    log, target = torch.full((2, 3), -1.0).requires_grad_(), torch.tensor([0, 2])
    cases = [
        (F.relu(x), x),
        (F.leaky_relu(x), x),
        (F.hardtanh(x), x),
        (F.max_pool2d(x, 2), x),
        (F.adaptive_avg_pool2d(x, 2), x),
        (F.pad(x, (1, 1, 1, 1), mode="reflect"), x),
        (F.conv2d(x, w, b), b),
        (F.nll_loss(log, target), log),
        (F.layer_norm(x, (4,), b.new_ones(4), (z := b.new_zeros(4).requires_grad_())), z),
    ]
    out = []
    for y, of in cases:
        (g,) = torch.autograd.grad(y.sum(), of, create_graph=True)
        (h,) = torch.autograd.grad(g.sum(), of, allow_unused=True)
        out.append([g.requires_grad, h is None or h.abs().max().item() == 0])
    (g,) = torch.autograd.grad((x * 3).sum(), x, create_graph=True)
    return [*out, g.requires_grad]


def test_the_graph_names_compositions_as_pytorch_does():
    F = facula.nn.functional
    x = facula.ones(1, 3, 4, 4, requires_grad=True)
    assert F.conv2d(x, facula.ones(2, 3, 1, 1)).grad_fn.name() == "ConvolutionBackward0"
    loss = F.cross_entropy(x.flatten(1), facula.tensor([1]))
    assert loss.grad_fn.name() == "NllLossBackward0"
    assert "grad_fn=<NllLossBackward0>" in repr(loss)


@agrees
def test_one_value_may_be_written_to_elements_that_share_memory(torch):
    out = []
    for view in (
        lambda x: x[:1].expand(3, 4),
        lambda x: x.t()[:, :1].expand(4, 3),
        lambda x: x.expand(2, 3, 4)[0],
    ):
        x = torch.arange(12.0).reshape(3, 4)
        view(x).fill_(9)
        out.append(x)
    y = torch.ones(3).expand(2, 3)
    return [*out, raised(y.add_, 1), raised(y.copy_, torch.ones(2, 3))]


@pytest.mark.parametrize("size", [1, 2])
def test_a_gradient_passes_through_a_composition(size):
    x = facula.full((size,), 2.0, requires_grad=True)
    y = facula.nn.functional.leaky_relu(x * x - 5) * x
    y.sum().backward()
    assert x.grad.tolist() == pytest.approx([0.01 * (12 - 5)] * size)


def test_a_copy_of_what_has_no_gaps_has_its_strides():
    """Those of dimensions of size 1 too, by which a product of matrices folds a batch or not."""
    x = facula.arange(16.0).reshape(2, 2, 4)
    for part, strides in [
        (x[::3], (24, 4, 1)),
        (x[::3].transpose(0, 2), (1, 4, 24)),
        (x[:, :1], (4, 4, 1)),  # with gaps
        (x[:1, :1].expand(2, 1, 4), (4, 4, 1)),
    ]:
        copy = part.clone()
        assert copy.stride() == strides and copy.tolist() == part.tolist()
        assert copy.untyped_storage().nbytes() == 4 * part.numel()
    bools = x[::3].bool().logical_not().clone()
    assert bools.stride() == (8, 4, 1)
