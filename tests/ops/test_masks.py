"""Elements picked by masks, and positions."""

from __future__ import annotations

import numpy as np
import pytest

import facula as torch


def test_masked_scatter_uses_elements_in_order():
    x = torch.zeros(2, 2)
    mask = torch.tensor([[True, False], [True, True]])
    assert x.masked_scatter(mask, torch.tensor([1.0, 2.0, 3.0, 4.0])).tolist() == [[1, 0], [2, 3]]
    with pytest.raises(RuntimeError, match="Number of elements"):
        x.masked_scatter(mask, torch.ones(2))


def test_positions():
    x = torch.tensor([[0, 1], [2, 0]])
    assert x.argwhere().tolist() == [[0, 1], [1, 0]]
    assert x.nonzero_static(size=3, fill_value=7).tolist() == [[0, 1], [1, 0], [7, 7]]
    rows, columns = torch.unravel_index(torch.tensor([1, 5], dtype=torch.int32), (2, 3))
    assert rows.dtype is columns.dtype is torch.int64
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 2])


@pytest.mark.parametrize(
    ("indices", "shape", "kind"),
    [
        (torch.tensor(0.5), (2, 2), TypeError),
        (torch.tensor([]), (10, 3), TypeError),
        (torch.tensor([True]), 5, TypeError),
        (torch.tensor([1]), torch.tensor([1, 2]), TypeError),
        (torch.tensor([1]), (1, 2, 2.0), TypeError),
        (torch.tensor([1]), (2, -3), ValueError),
    ],
)
def test_positions_of_wrong_kinds(indices, shape, kind):
    with pytest.raises(kind, match="unravel_index"):
        torch.unravel_index(indices, shape)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4), (0, 3)], ids=str)
def test_masks_of_the_whole(shape, tier, rng):
    a = rng.standard_normal(shape)
    m = rng.random(shape) > 0.5
    x = torch.tensor(a, requires_grad=True)
    got = x[torch.tensor(m)]
    assert got.tolist() == a[m].tolist()
    assert torch.masked_select(x, torch.tensor(m)).tolist() == a[m].tolist()
    (got * 2).sum().backward()
    assert x.grad.tolist() == (m * 2.0).tolist()
    turned = torch.tensor(a).permute(*range(len(shape) - 1, -1, -1))
    assert turned[torch.tensor(m.T)].tolist() == a.T[m.T].tolist()
    x.detach()[torch.tensor(m)] = 7
    assert x.tolist() == np.where(m, 7, a).tolist()
