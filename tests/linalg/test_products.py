"""Products and powers."""

from __future__ import annotations

import numpy as np
import pytest
from ops.numeric import check_gradients

import facula as torch


@pytest.mark.parametrize("n", [-2, -1, 0, 1, 2, 5])
def test_matrix_power(rng, n):
    a = rng.normal(size=(3, 3))
    got = torch.linalg.matrix_power(torch.tensor(a), n)
    np.testing.assert_allclose(got.numpy(), np.linalg.matrix_power(a, n), atol=1e-9)
    check_gradients(lambda t: torch.linalg.matrix_power(t, n), a, second=n > 0, tol=1e-4)


def test_multi_dot(rng):
    arrays = [rng.normal(size=s) for s in ((5,), (5, 2), (2, 7), (7, 3), (3,))]
    got = torch.linalg.multi_dot([torch.tensor(a) for a in arrays])
    assert got.item() == pytest.approx(np.linalg.multi_dot(arrays))
    got = torch.chain_matmul(*[torch.tensor(a) for a in arrays[1:4]])
    np.testing.assert_allclose(got.numpy(), np.linalg.multi_dot(arrays[1:4]))


def test_vectors():
    x, y = torch.tensor([1j, 2.0]), torch.tensor([1j, 1.0])
    assert torch.linalg.vecdot(x, y).item() == 3
    assert torch.linalg.vander(torch.tensor([2, 3]), N=3).tolist() == [[1, 2, 4], [1, 3, 9]]
    assert torch.linalg.cross(torch.eye(3)[0], torch.eye(3)[1]).tolist() == [0, 0, 1]
    a = torch.zeros(2, 2)
    torch.linalg.diagonal(a).fill_(1)
    assert a.tolist() == [[1, 0], [0, 1]]
