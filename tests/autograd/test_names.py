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
    "ViewBackward0": lambda x: F.linear(x[None], facula.ones(3, 4), facula.ones(3)),
}


@pytest.mark.parametrize("name, f", NAMES.items(), ids=NAMES)
def test_one_operation_of_pytorch_has_its_name(name, f):
    x = facula.ones(2, 4, requires_grad=True)
    assert f(x).grad_fn.name() == name
