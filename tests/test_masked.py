"""Masked reductions against the same on what the mask selects."""

from __future__ import annotations

import math

import pytest

import facula as torch

X = torch.tensor([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
MASK = torch.tensor([[True, False, True], [False, False, True]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sum", [5, 32]),
        ("prod", [4, 32]),
        ("amax", [4, 32]),
        ("amin", [1, 32]),
        ("argmax", [2, 2]),
        ("argmin", [0, 2]),
        ("mean", [2.5, 32]),
        ("median", [1, 32]),
        ("norm", [math.sqrt(17), 32]),
        ("logsumexp", [math.log(math.e + math.e**4), 32]),
        ("var", [4.5, math.nan]),
    ],
)
def test_rows(name, expected):
    arguments = (2.0, 1) if name == "norm" else (1,)
    got = getattr(torch.masked, name)(X, *arguments, mask=MASK).tolist()
    assert got == pytest.approx(expected, nan_ok=True)


def test_elements():
    assert torch.masked.cumsum(X.int(), 1).dtype == torch.masked.cumprod(X.int(), 1).dtype
    assert torch.masked.cumsum(X.int(), 1).dtype is torch.int32
    assert torch.masked.cumsum(X, 1, mask=MASK).tolist() == [[1, 1, 5], [0, 0, 32]]
    assert torch.masked.cumprod(X, 0, mask=MASK).tolist() == [[1, 1, 4], [1, 1, 128]]
    soft = torch.masked.softmax(X, 1, mask=MASK)
    assert soft[0, 1].item() == 0 and soft[1].tolist() == [0, 0, 1]
    assert torch.masked.softmin(X, 1, mask=MASK)[0, 0].item() > 0.9
    assert torch.masked.normalize(X, 1.0, 1, mask=MASK)[0].tolist() == pytest.approx([0.2, 0, 0.8])


def test_integers_and_masks_that_do_not_fit():
    assert torch.masked.sum(torch.ones(2, dtype=torch.int8)).dtype is torch.int64
    with pytest.raises(RuntimeError, match=r"masked\.sum"):
        torch.masked.sum(X, mask=torch.ones(2, dtype=torch.bool))
    with pytest.raises(IndexError, match="3 dimensions"):
        torch.masked.sum(X, mask=MASK[None])
    with pytest.raises(ValueError, match="fully masked"):
        torch.masked.median(torch.ones(2, dtype=torch.int64), 0, mask=MASK[1, :2])


def test_dimensions():
    assert torch.masked.prod(X, []).tolist() == X.tolist()  # unlike the sum, as in PyTorch
    assert torch.masked.sum(X, []).tolist() == X.sum().item()
    for dim in (None, (), (0, 1), 0):
        assert torch.masked.cumsum(X, dim).tolist() == X.cumsum(0).tolist()
        assert torch.masked.softmax(X, dim).tolist() == X.softmax(0).tolist()
        assert torch.masked.median(X, dim).tolist() == X.median(0).values.tolist()
    with pytest.raises(RuntimeError, match="duplicate value"):
        torch.masked.sum(X, (0, 0))


def test_the_functions_stand_in_a_module_of_their_own():
    for name in torch.masked._ops.__all__:
        assert getattr(torch.masked._ops, name) is getattr(torch.masked, name)
