"""Connectionist temporal classification."""

from __future__ import annotations

import numpy as np
import pytest

import facula as torch
from facula.nn import functional as F


@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_an_infinite_loss_has_no_gradient(tier, zero_infinity, reduction):
    """NaN, as in PyTorch, for the sequence that is too short; the other has its own."""
    both, one = [
        torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0)).log_softmax(2)[:, k:]
        for k in (0, 1)
    ]
    targets, counts = torch.tensor([[1, 1, 2, 2], [1, 2, 3, 0]]), torch.tensor([4, 2])
    both.requires_grad_(), one.requires_grad_()
    loss = F.ctc_loss(
        both, targets, torch.tensor([3, 3]), counts, 0, reduction, zero_infinity=zero_infinity
    )
    assert loss.isinf().any() == (not zero_infinity)
    loss.sum().backward()
    F.ctc_loss(one, targets[1:], torch.tensor([3]), counts[1:], 0, reduction).sum().backward()
    lost = both.grad[:, 0]
    assert lost.isnan().all() if not zero_infinity else not lost.any()
    scale = 0.5 if reduction == "mean" else 1
    np.testing.assert_allclose(both.grad[:, 1], one.grad[:, 0] * scale, rtol=1e-5)
