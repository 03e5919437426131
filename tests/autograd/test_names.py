"""What a printed tensor says of the operation that made it."""

from __future__ import annotations

import pytest

import facula
from facula.nn import functional as F

NAMES = {
    "LogSoftmaxBackward0": lambda x: F.log_softmax(x, 1),
    "SiluBackward0": F.silu,
    "EluBackward0": F.elu,
    "CeluBackward0": F.celu,
    "SoftplusBackward0": F.softplus,
    "MishBackward0": F.mish,
    "HardswishBackward0": F.hardswish,
    "HardsigmoidBackward0": F.hardsigmoid,
    "GluBackward0": F.glu,
    "LogSigmoidBackward0": F.logsigmoid,
    "AddmmBackward0": lambda x: F.linear(x, facula.ones(3, 4), facula.ones(3)),
    "EmbeddingBackward0": lambda x: F.embedding(facula.tensor([1, 0]), x),
    "IndexSelectBackward0": lambda x: x.index_select(1, facula.tensor([1])),
    "IndexBackward0": lambda x: x[facula.tensor([1, 0])],
    "StackBackward0": lambda x: facula.stack([x, x, x], 1),
    "CatBackward0": lambda x: facula.cat([x, x[:1]]),
    "MeanBackward0": lambda x: x.mean(),
    "MeanBackward1": lambda x: x.mean(1),
    "MaxBackward1": lambda x: x.max(),
    "AmaxBackward0": lambda x: x.amax(1),
    "TBackward0": lambda x: x.t(),
    "UnsqueezeBackward0": lambda x: x.unsqueeze(0),
    "SqueezeBackward0": lambda x: x[:1, None, :1].squeeze(),
    "SqueezeBackward1": lambda x: x[:, None, :, None].squeeze(1),
    "TransposeBackward0": lambda x: x[None].transpose(0, 2),
    "PermuteBackward0": lambda x: x[None].permute(2, 0, 1),
    "WhereBackward0": lambda x: facula.where(x > 0, x, x * 2),
    "ExpandBackward0": lambda x: x.expand(3, 2, 4),
    "SelectBackward0": lambda x: x[0],
    "SliceBackward0": lambda x: x[:1],
    "Log1PBackward0": facula.log1p,
    "LinalgDetBackward0": lambda x: facula.linalg.det(x[:, :2]),
    "MaxPool2DWithIndicesBackward0": lambda x: F.max_pool2d(x[None, None], 2),
    "AvgPool2DBackward0": lambda x: F.avg_pool2d(x[None, None], 2),
    "AdaptiveAvgPool2DBackward0": lambda x: F.adaptive_avg_pool2d(x[None, None], 2),
    "ViewBackward0": lambda x: F.linear(x[None], facula.ones(3, 4), facula.ones(3)),
}


@pytest.mark.parametrize("name, f", NAMES.items(), ids=NAMES)
def test_one_operation_of_pytorch_has_its_name(name, f):
    x = facula.ones(2, 4, requires_grad=True)
    assert f(x).grad_fn.name() == name


def _next(t):
    return [f and f.name().split("::")[-1] for f, _ in t.grad_fn.next_functions]


# As PyTorch 2.13 prints them.
NEXT = {
    "linear": (
        lambda x, w, b: F.linear(x, w, b),
        ["AccumulateGrad", "AccumulateGrad", "TBackward0"],
    ),
    "linear of data": (
        lambda x, w, b: F.linear(x.detach(), w, b),
        ["AccumulateGrad", None, "TBackward0"],
    ),
    "stack": (lambda x, w, b: facula.stack([x, x + 1, x]), ["AccumulateGrad", "AddBackward0"]),
    "embedding": (lambda x, w, b: F.embedding(facula.tensor([1, 0]), x), ["AccumulateGrad"]),
    "gather": (lambda x, w, b: x.gather(1, facula.tensor([[0], [1]])), ["AccumulateGrad"]),
    "mean": (lambda x, w, b: x.mean(), ["AccumulateGrad"]),
}


@pytest.mark.parametrize("f, names", NEXT.values(), ids=NEXT)
def test_its_gradients_go_where_pytorchs_go(f, names):
    shapes = ((2, 4), (3, 4), (3,))
    out = f(*(facula.ones(*s, requires_grad=True) for s in shapes))
    assert _next(out)[: len(names)] == names
    out.sum().item()
    assert _next(out)[: len(names)] == names, "after the program has run"


def test_parts_of_complex_numbers():
    x = facula.ones(2, dtype=facula.complex64, requires_grad=True) * 1
    assert [t.grad_fn.name() for t in (x.real, x.imag)] == ["SelectBackward0"] * 2
