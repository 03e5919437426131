"""Indexing: positions of what is not zero, and errors in their order."""

import numpy as np
import pytest

import facula as torch
from facula.ops.indices import positions


@pytest.mark.parametrize(
    "shape", [(0,), (7,), (3, 4), (0, 4), (4, 0), (1, 1), (2, 3, 5), (5, 1, 2, 3)], ids=str
)
@pytest.mark.parametrize("dtype", [bool, np.float32, np.int64, np.complex64])
def test_positions(shape, dtype, rng):
    a = rng.integers(0, 2, shape).astype(dtype)
    for b in (a, a.T, a[..., ::-1]):
        got = positions(b)
        want = np.nonzero(b)
        assert len(got) == len(want)
        for x, y in zip(got, want, strict=True):
            assert x.dtype == y.dtype
            assert x.tolist() == y.tolist()


def test_what_is_no_number_is_not_zero():
    assert [x.tolist() for x in positions(np.array([[0.0, -0.0], [np.nan, 2]]))] == [[1, 1], [0, 1]]


def test_what_is_wrong_with_a_tensor_comes_before_its_index_tensors():
    leaf = torch.zeros(2, 3).requires_grad_()
    masks = torch.tensor([True, False, True])
    for index in (masks, torch.tensor([1, 7]), torch.tensor([1.0])):
        with pytest.raises(RuntimeError, match="leaf Variable"):
            leaf[index] = 0.5
        with pytest.raises(IndexError):
            leaf.detach()[index] = 0.5
    with pytest.raises(IndexError):  # plain indices come first
        leaf[5] = 0.5
