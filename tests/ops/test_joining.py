"""Tensors joined and arranged."""

from __future__ import annotations

import numpy as np
import pytest

import facula as torch


def test_stacks_by_hand():
    a, b = torch.tensor([1, 2]), torch.tensor([3, 4])
    assert torch.hstack((a, b)).tolist() == [1, 2, 3, 4]
    assert torch.vstack((a, b)).tolist() == [[1, 2], [3, 4]]
    assert torch.dstack((a, b)).tolist() == [[[1, 3], [2, 4]]]
    assert torch.column_stack((a, b.reshape(2, 1))).tolist() == [[1, 3], [2, 4]]


def test_block_diag_promotes_and_pads():
    out = torch.block_diag(torch.tensor([[1, 2]]), torch.tensor(0.5))
    assert out.tolist() == [[1, 2, 0], [0, 0, 0.5]]


def test_products_and_choices():
    a, b = torch.tensor([1, 2]), torch.tensor([3, 4])
    assert torch.cartesian_prod(a, b).tolist() == [[1, 3], [1, 4], [2, 3], [2, 4]]
    assert torch.combinations(torch.tensor([1, 2, 3])).tolist() == [[1, 2], [1, 3], [2, 3]]
    assert torch.combinations(a, 2, True).tolist() == [[1, 1], [1, 2], [2, 2]]


def test_cat_skips_empty_vectors_and_names_what_does_not_fit():
    x = torch.ones(2, 2)
    assert torch.cat([torch.empty(0), x]).shape == (2, 2)
    with pytest.raises(RuntimeError, match="tensor number 1"):
        torch.cat([x, torch.ones(3, 3)], 1)
    with pytest.raises(TypeError, match="element 1"):
        torch.cat([x, None])


def test_cat_does_not_write_into_its_operand():
    x = torch.ones(2)
    with pytest.raises(RuntimeError, match="single memory location"):
        torch.cat([x, x[:0]], out=x)


def test_joined_nothing_has_no_dimension_to_check():
    e = torch.zeros(0)
    for dim in (1, -3, 5):
        assert torch.cat([e, e], dim).shape == (0,)
        with pytest.raises(IndexError):
            torch.cat([e, torch.zeros(2)], dim)


@pytest.mark.parametrize("dim", range(-4, 4))
def test_channels_last_stays_so(dim, tier, rng):
    arrays = [rng.normal(size=(2, 3, 4, 5)) for _ in range(3)]
    ts = [torch.tensor(a).contiguous(memory_format=torch.channels_last) for a in arrays]
    ts[0].requires_grad_()
    for _ in range(2):
        out = torch.cat(ts, dim)
        (g,) = torch.autograd.grad((out * out).sum(), ts[0])
        torch.synchronize()
    assert out.is_contiguous(memory_format=torch.channels_last) and out._base is None
    np.testing.assert_array_equal(out.detach().numpy(), np.concatenate(arrays, dim))
    np.testing.assert_allclose(g.numpy(), 2 * arrays[0])
