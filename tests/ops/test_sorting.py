"""Order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from nn.stored import agrees
from ops.numeric import check_gradients

import facula as torch

NAN = math.nan


def test_equal_values_keep_their_order_in_both_directions():
    x = torch.tensor([2.0, 1.0, 2.0, 1.0])
    assert x.argsort(stable=True).tolist() == [1, 3, 0, 2]
    assert x.sort(descending=True, stable=True).indices.tolist() == [0, 2, 1, 3]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8"])
@pytest.mark.parametrize("dim", [0, 1])
def test_long_lines_against_numpy(dtype, dim, rng):
    a = rng.normal(scale=300, size=(700, 600)).round()
    if dtype.startswith("f"):
        a[rng.random(a.shape) < 0.1] = NAN
        a[rng.random(a.shape) < 0.1] = -0.0
        a[rng.random(a.shape) < 0.1] = -math.inf
    a = abs(a).astype(dtype) if dtype == "uint8" else a.astype(dtype)
    t = torch.tensor(a)
    np.testing.assert_array_equal(t.argsort(dim, stable=True).numpy(), a.argsort(dim, "stable"))
    last = a.shape[dim] - 1
    want = last - np.flip(np.flip(a, dim).argsort(dim, "stable"), dim)
    got = t.argsort(dim, descending=True, stable=True)
    np.testing.assert_array_equal(got.numpy(), want)


def test_integers_far_apart():
    a = np.array([2**63 - 1, -(2**63), 0, 5] * 200)
    np.testing.assert_array_equal(torch.tensor(a).argsort().numpy(), a.argsort(kind="stable"))


def test_nan_is_the_largest():
    assert torch.tensor([NAN, 1.0]).sort().indices.tolist() == [1, 0]
    assert torch.tensor([1.0, NAN]).topk(1).indices.tolist() == [1]


def test_medians():
    x = torch.tensor([[4.0, 1.0, 3.0, 2.0], [NAN, 1.0, 5.0, 3.0]])
    assert x[0].median().item() == 2 and math.isnan(x.median().item())
    assert x.nanmedian(1).values.tolist() == [2, 3]
    assert math.isnan(x.median(1).values[1].item())
    y = torch.tensor([1.0, 1.0, 5.0], requires_grad=True)
    y.median().backward()
    assert y.grad.tolist() == [0.5, 0.5, 0]


def test_mode_is_the_smallest_of_the_most_common_at_its_last_place():
    values, at = torch.tensor([[3, 1, 3, 1, 2]]).mode()
    assert (values.tolist(), at.tolist()) == ([1], [3])


@pytest.mark.parametrize(("right", "expected"), [(False, [0, 1, 3]), (True, [0, 3, 3])])
def test_search(right, expected):
    edges = torch.tensor([1, 2, 2])
    values = torch.tensor([0, 2, 3])
    assert torch.searchsorted(edges, values, right=right).tolist() == expected
    assert torch.bucketize(values, edges, right=right, out_int32=True).tolist() == expected
    rows = torch.stack([edges, edges + 1])
    assert torch.searchsorted(rows, rows[:, :1]).tolist() == [[0], [0]]


def test_distinct_values():
    x = torch.tensor([[2, 1], [2, 1], [1, 1]])
    values, inverse, counts = x.unique(return_inverse=True, return_counts=True)
    assert (values.tolist(), counts.tolist()) == ([1, 2], [4, 2])
    assert values[inverse].tolist() == x.tolist()
    assert x.unique(dim=0).tolist() == [[1, 1], [2, 1]]
    rows, counts = x.unique_consecutive(dim=0, return_counts=True)
    assert (rows.tolist(), counts.tolist()) == ([[2, 1], [1, 1]], [2, 1])
    assert torch.tensor([NAN, NAN]).unique().numel() == 2


def test_derivatives_and_errors():
    check_gradients(lambda x: (x.sort().values, x.kthvalue(2).values, x.msort()), [3.0, 1.0, 2.0])
    with pytest.raises(RuntimeError, match="k out of range"):
        torch.ones(2).kthvalue(3)
    with pytest.raises(RuntimeError, match="complex"):
        torch.ones(2, dtype=torch.complex64).sort()


@pytest.mark.parametrize("name", ["median", "nanmedian"])
@pytest.mark.parametrize("args", [(), (0,)])
def test_medians_of_bools_are_refused(name, args):
    for shape in ((), (3,), (2, 3)):
        with pytest.raises(NotImplementedError, match="bool"):
            getattr(torch, name)(torch.ones(shape, dtype=torch.bool), *args)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64, torch.uint8], ids=str)
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("k", [1, 3, 40])
def test_topk_is_the_head_of_the_sorted_values(k, largest, dtype, tier, rng):
    a = torch.tensor(rng.integers(0, 30, (3, 40, 5))).to(dtype)
    for dim in (0, 1, -1):
        n = min(k, a.shape[dim])
        values, index = a.topk(n, dim, largest)
        assert values.tolist() == a.sort(dim, descending=largest)[0].narrow(dim, 0, n).tolist()
        assert a.gather(dim, index).tolist() == values.tolist()
        assert all([len(set(i)) == n for i in index.movedim(dim, -1).reshape(-1, n).tolist()])


def test_topk_of_nan():
    a = torch.tensor([1.0, float("nan"), 3.0] + [0.0] * 30)
    assert str(a.topk(2)[0].tolist()) == "[nan, 3.0]" and a.topk(2)[1].tolist() == [1, 2]
    assert a.topk(2, largest=False)[0].tolist() == [0.0, 0.0]


def test_topk_of_nothing():
    assert torch.ones(3, 4).topk(0, 1)[1].shape == (3, 0)
    assert torch.ones(0, 4).topk(2)[1].shape == (0, 2)


@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "uint8", "uint16", "float32", "bool"])
@pytest.mark.parametrize("most", [2, 7, 1 << 30])
@pytest.mark.parametrize("shape", [(40,), (5, 8), (1,), (0,), ()], ids=str)
def test_unique_counted_or_sorted(shape, most, dtype, rng):
    """Integers of a small range are counted, all else is sorted: the same comes out."""
    low = 0 if dtype in ("uint8", "uint16", "bool") else -most
    a = rng.integers(low, most, shape).astype(dtype)
    x = torch.tensor(a, dtype=getattr(torch, dtype))
    want = np.unique(a, return_inverse=True, return_counts=True)
    values, inverse, counts = x.unique(return_inverse=True, return_counts=True)
    assert values.dtype is x.dtype
    assert (values.tolist(), counts.tolist()) == (want[0].tolist(), want[2].tolist())
    assert inverse.tolist() == want[1].reshape(a.shape).tolist()
    assert x.unique().tolist() == want[0].tolist()
    assert x.unique(return_counts=True)[1].tolist() == want[2].tolist()
    assert x.unique(return_inverse=True)[1].tolist() == inverse.tolist()


def test_bools_are_not_searched_for():
    with pytest.raises(RuntimeError, match="isin"):
        torch.isin(torch.tensor([True]), torch.tensor([False]))


@agrees
def test_what_is_searched_for(torch):
    a, rows = torch.tensor([1, 2, 3]), torch.tensor([[1, 2, 3], [4, 5, 6]])
    calls = (
        lambda: torch.searchsorted(a, 2),
        lambda: torch.searchsorted(a, 2.5, right=True),
        lambda: torch.searchsorted(rows, 1),
        lambda: torch.searchsorted(torch.tensor(1), 2),
        lambda: torch.bucketize(2, a),
        lambda: torch.searchsorted(a, True),
        lambda: torch.searchsorted(a.flip(0), 2, sorter=torch.tensor([2, 1, 0])),
        lambda: torch.searchsorted(a, torch.tensor([2]), sorter=torch.tensor([2, 1, 3])),
        lambda: torch.searchsorted(a, torch.tensor([2]), sorter=torch.tensor([2, 1, -1])),
        lambda: torch.searchsorted(a, torch.tensor([2]), right=True, side="left"),
    )
    out = []
    for call in calls:
        try:
            out.append(call())
        except Exception as error:
            out.append(type(error).__name__)
    return out
