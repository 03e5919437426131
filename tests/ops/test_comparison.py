"""Comparison and logic."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import facula as torch
from facula import warned
from facula.ops import pointwise


def test_numbers_compare_from_either_side_and_only_by_operators():
    x = torch.tensor([1, 2, 3])
    assert (x > 2).tolist() == [False, False, True]
    with pytest.raises(TypeError, match="lt"):
        torch.lt(2, x)


def test_where_promotes_its_operands():
    out = torch.where(torch.tensor([True, False]), torch.tensor([1, 2]), 0.5)
    assert out.dtype is torch.float32
    assert out.tolist() == [1, 0.5]


def test_complex_numbers_have_no_order():
    with pytest.raises(RuntimeError, match="complex"):
        torch.lt(torch.tensor([1j]), torch.tensor([2j]))
    assert (torch.tensor([1j]) == torch.tensor([1j])).item()


def test_clamp_takes_tensors_or_numbers_but_not_both():
    x = torch.tensor([-1.0, 0.5, 9.0])
    low = torch.tensor([0.0, 1.0, 0.0])
    assert x.clamp(low, torch.tensor(2.0)).tolist() == [0, 1, 2]
    assert x.clamp(torch.tensor(1.0), 2).tolist() == [1, 1, 2]  # a 0-d tensor is a number
    with pytest.raises(TypeError, match=r"both tensors, got 2 and a tensor of shape \[3\]"):
        x.clamp(low, 2)


def test_a_condition_of_bytes_is_warned_of():
    mask = torch.tensor([1, 0], dtype=torch.uint8)
    warned._told.clear()
    with pytest.warns(UserWarning, match="where received a uint8 condition tensor"):
        assert torch.where(mask, torch.ones(2), 2.0).tolist() == [1, 2]


@pytest.mark.parametrize(
    "dtype",
    ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?", "c8", "c16", ml_dtypes.bfloat16],
)
@pytest.mark.parametrize("shape", [(3000,), (40, 60), (3, 1500), (5,)])
def test_chosen_elements_keep_their_bits(shape, dtype):
    """As `numpy.where`, of operands that are spread, turned and scalars."""
    rng = np.random.default_rng(0)
    c = rng.random(shape) < 0.5
    a, b = [(rng.standard_normal(shape) * 100).astype(dtype) for _ in range(2)]
    if a.dtype.kind in "fc":
        a[..., 0], b[..., 1] = np.nan, -0.0
    spread = np.broadcast_to(np.zeros((), dtype), shape)
    for x, y, z in ((c, a, b), (c, a.reshape(-1)[3], b), (c, spread, b), (c[:1], a[..., ::-1], b)):
        got, want = pointwise._chosen((), (), x, y, z), np.where(x, y, z)
        assert got.dtype == want.dtype and got.shape == want.shape
        assert got.tobytes() == want.tobytes()


def test_bools_are_limited_by_numbers_or_one_bound_alone():
    x = torch.tensor([True, False])
    assert x.clamp(min=x).dtype is torch.bool
    with pytest.raises(NotImplementedError, match=r"torch\.bool"):
        x.clamp(x, x)
