"""Arrays: tensors with the standard's operators."""

from __future__ import annotations

import numpy as np
import pytest

import facula
import facula.array_api as xp


def test_a_zero_dimensional_array_counts_in_promotion() -> None:
    small, large = xp.asarray([1, 2], dtype=xp.int8), xp.asarray(1000, dtype=xp.int64)
    assert (small + large).dtype is xp.int64
    assert (small + large).tolist() == [1001, 1002]
    tensor = facula.tensor([1, 2], dtype=facula.int8)
    assert (tensor + facula.tensor(5)).dtype is facula.int8  # PyTorch's rule stays PyTorch's
    assert (tensor + xp.asarray(1000)).dtype is xp.int64  # an Array decides from either side


def test_unsigned_and_signed_integers_mix() -> None:
    got = xp.asarray([60000], dtype=xp.uint16) - xp.asarray([60001], dtype=xp.int32)
    assert got.dtype is xp.int32
    assert got.tolist() == [-1]
    with pytest.raises(RuntimeError):
        facula.tensor([1], dtype=facula.uint16) + facula.tensor([1], dtype=facula.int16)


@pytest.mark.parametrize(
    "key",
    [
        np.s_[::-1],
        np.s_[:, ::-1],
        np.s_[2:0:-1, None, ..., ::-2],
        np.s_[..., -1:-4:-2],
        np.s_[1, ::-1],
        np.s_[5:3:-1],
    ],
)
def test_slices_that_run_backwards(key: object) -> None:
    a = np.arange(24).reshape(3, 4, 2)
    x = xp.asarray(a.copy())
    assert x[key].tolist() == a[key].tolist()
    value = np.arange(100, 100 + a[key].size).reshape(a[key].shape)
    a = a.copy()
    a[key] = value
    x[key] = xp.asarray(value)
    assert x.tolist() == a.tolist()


def test_size_is_a_number_and_can_be_called() -> None:
    x = xp.zeros((2, 3))
    assert x.size == 6
    assert x.size() == (2, 3)
    assert x.size(1) == 3


def test_masks() -> None:
    x = xp.asarray([1, 2, 3])
    assert x[xp.asarray([True, False, True])].tolist() == [1, 3]
    assert x[xp.asarray([], dtype=xp.bool)].tolist() == []
    with pytest.raises(IndexError):
        xp.zeros((3, 2))[xp.zeros((0, 3), dtype=xp.bool)]


def test_in_place() -> None:
    x = xp.asarray([1, 2], dtype=xp.int8)
    same = x
    x += xp.asarray(3, dtype=xp.int8)
    x *= 2
    assert x is same
    assert x.tolist() == [8, 10]
    with pytest.raises(TypeError, match="can't be stored"):
        x += 0.5


def test_arrays_are_tensors_with_history() -> None:
    x = xp.asarray([1.0, 2.0])
    x.requires_grad_()
    y = xp.sum(x * x + facula.ones(2))
    y.backward()
    assert x.grad.tolist() == [2.0, 4.0]
    assert isinstance(facula.nn.Linear(2, 1)(x), facula.Tensor)


def test_exchange_with_numpy() -> None:
    x = xp.asarray([1.0, 2.0])
    shared = np.from_dlpack(x)
    shared[0] = 7.0
    assert x.tolist() == [7.0, 2.0]
    copied = xp.from_dlpack(shared, copy=True)
    shared[0] = 8.0
    assert copied.tolist() == [7.0, 2.0]
