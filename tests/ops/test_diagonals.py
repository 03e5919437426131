"""Diagonals and triangles, and functional writes."""

from __future__ import annotations

import numpy as np
import pytest
from ops.numeric import check_gradients

import facula as torch


def test_vectors_as_diagonals():
    x = torch.tensor([1, 2])
    assert torch.diag(x, 1).tolist() == [[0, 1, 0], [0, 0, 2], [0, 0, 0]]
    assert torch.diag(torch.diag(x, -1), -1).tolist() == [1, 2]
    assert torch.diagflat(torch.tensor([[1], [2]])).tolist() == [[1, 0], [0, 2]]
    assert torch.diag_embed(x, dim1=1, dim2=0).tolist() == [[1, 0], [0, 2]]


def test_functional_writes_leave_the_input_alone():
    x = torch.zeros(2, 3)
    assert torch.select_scatter(x, torch.ones(2), 1, -1).tolist() == [[0, 0, 1], [0, 0, 1]]
    assert torch.slice_scatter(x, torch.ones(2, 2), 1, 0, None, 2).tolist() == [[1, 0, 1]] * 2
    assert torch.diagonal_scatter(x, torch.ones(2)).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert x.sum().item() == 0
    with pytest.raises(RuntimeError, match="select_scatter"):
        torch.select_scatter(x, torch.ones(3), 1, 0)


def test_derivatives():
    check_gradients(
        lambda x, y: torch.diagonal_scatter(x, y * y), [[1.0, 2.0], [3.0, 4.0]], [5.0, 6.0]
    )


@pytest.mark.parametrize("diagonal", [-9, -2, 0, 1, 9])
@pytest.mark.parametrize("shape", [(4, 6), (2, 5, 3), (0, 3)], ids=str)
def test_triangles(shape, diagonal, tier):
    a = np.arange(1.0, np.prod(shape) + 1).reshape(shape)
    x = torch.tensor(a, requires_grad=True)
    low, high = x.tril(diagonal), torch.triu(x, diagonal)
    assert low.tolist() == np.tril(a, diagonal).tolist()
    assert high.tolist() == np.triu(a, diagonal).tolist()
    low.sum().backward()
    assert x.grad.tolist() == np.tril(np.ones(shape), diagonal).tolist()
    assert torch.ones(3, 3, dtype=torch.bool).tril().tolist() == np.tri(3, dtype=bool).tolist()
