"""Views and rearrangements."""

from __future__ import annotations

import numpy as np
import pytest

import facula as torch


@pytest.mark.parametrize("k", [-3, -1, 0, 1, 2, 6])
def test_rot90_turns_as_numpy_does(k):
    a = np.arange(6).reshape(2, 3)
    assert torch.tensor(a).rot90(k).tolist() == np.rot90(a, k).tolist()
    assert torch.tensor(a).rot90(k, (1, 0)).tolist() == np.rot90(a, k, (1, 0)).tolist()


def test_keyword_forms():
    x = torch.arange(6).reshape(shape=(2, 3))
    assert x.flip(dims=(0,)).tolist() == [[3, 4, 5], [0, 1, 2]]
    assert x.permute(dims=(1, 0)).shape == (3, 2)


def test_numbers_one_by_one():
    x = torch.tensor([[[1.0], [0.0]]])
    assert x.broadcast_to(2, 2, 3).shape == x.broadcast_to(size=(2, 2, 3)).shape == (2, 2, 3)
    assert x.squeeze(0, 2).shape == x.clone().squeeze_(0, 2).shape == (2,)
    assert x.squeeze(0).shape == (2, 1)
    assert x.squeeze(dim=(0, 2)).shape == (2,)
    assert x.count_nonzero(0, 1).tolist() == [1]
    assert x.tile(2, 1).shape == x.tile(dims=(2, 1)).shape == (1, 4, 1)


def test_narrow_takes_a_scalar_tensor_as_its_start():
    assert torch.arange(5).narrow(0, torch.tensor(3), 2).tolist() == [3, 4]
    with pytest.raises(RuntimeError, match="0-dim integral"):
        torch.arange(5).narrow(0, torch.tensor([3]), 2)


def test_contiguous_and_clone_follow_a_memory_format(tier):
    x = torch.arange(120.0).reshape(2, 3, 4, 5).requires_grad_()
    y = x.contiguous(memory_format=torch.channels_last)
    assert y.stride() == x.clone(memory_format=torch.channels_last).stride() == (60, 1, 15, 3)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert y.contiguous(memory_format=torch.channels_last) is y
    assert torch.equal(y, x)
    (y * y).sum().backward()
    assert torch.equal(x.grad, 2 * x)
    z = x[None].contiguous(memory_format=torch.channels_last_3d)
    assert z.stride() == (120, 1, 40, 10, 2)
    assert z.is_contiguous(memory_format=torch.channels_last_3d)
    with pytest.raises(RuntimeError, match="rank 4"):
        x[0].contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("shape", "sizes"), [((), [-1, 2]), ((), [1]), ((), []), ((4,), [])])
def test_what_can_not_be_unflattened(shape, sizes):
    with pytest.raises(RuntimeError, match="unflatten"):
        torch.ones(shape).unflatten(0, sizes)


def test_tensors_of_the_common_shape_are_not_expanded():
    a, b = torch.ones(2, 3, requires_grad=True), torch.ones(3)
    x, y = torch.broadcast_tensors(a, b)
    assert x is a and y.shape == (2, 3) and y._base is b
