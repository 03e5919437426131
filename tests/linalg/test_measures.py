"""Norms, determinants, ranks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ops.numeric import check_gradients

import facula as torch

ORDERS = ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf]


@pytest.mark.parametrize("order", ORDERS)
def test_matrix_norms_against_numpy(rng, order):
    a = rng.normal(size=(4, 2, 3))
    got = torch.linalg.matrix_norm(torch.tensor(a), order, (2, 0), True)
    np.testing.assert_allclose(got.numpy(), np.linalg.norm(a, order, (2, 0), True))
    check_gradients(lambda t: torch.linalg.norm(t, order), a[0], second=order in ("fro", 2))
    if order not in ("fro", "nuc"):
        square = rng.normal(size=(3, 3))
        got = torch.linalg.cond(torch.tensor(square), order).item()
        assert got == pytest.approx(np.linalg.cond(square, order))


def test_norms_of_nothing():
    assert torch.linalg.norm(torch.ones(0, 5), 2).item() == 0
    assert torch.linalg.norm(torch.ones(0, 5), math.inf).item() == 0
    with pytest.raises(IndexError):
        torch.linalg.norm(torch.ones(0, 5), -math.inf)


def test_determinants(rng):
    a = rng.normal(size=(3, 3))
    sign, size = torch.linalg.slogdet(torch.tensor(a))
    assert (sign * size.exp()).item() == pytest.approx(np.linalg.det(a))
    check_gradients(torch.linalg.det, a)
    check_gradients(torch.linalg.slogdet, a)
    check_gradients(torch.linalg.det, np.diag([1.0, 2.0, 0.0]), second=False)
    assert torch.linalg.det(torch.ones(0, 0)).item() == 1


def test_rank_and_condition():
    a = torch.diag(torch.tensor([4.0, 2.0, 0.01]))
    assert torch.linalg.matrix_rank(a, rtol=0.1).item() == 2
    assert torch.linalg.matrix_rank(a, atol=torch.tensor(3.0), hermitian=True).item() == 1
    assert torch.linalg.cond(torch.zeros(2, 2), 1).item() == math.inf
