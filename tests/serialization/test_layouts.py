"""Sparse tensors in files."""

from __future__ import annotations

import io
from pickle import UnpicklingError

import pytest

import facula as torch
from facula.serialization import layouts

X = torch.tensor([[0.0, 1.0, 0.0], [2.0, 0.0, 3.0]])


def again(value, **options):
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, **options)


@pytest.mark.parametrize("name", ["to_sparse", "to_sparse_csr", "to_sparse_csc"])
@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("new", [True, False])  # in old files the contents come after the pickle
def test_they_come_back_as_they_were(name, weights_only, new):
    x, file = getattr(X, name)(), io.BytesIO()
    torch.save({"x": x, "dense": X}, file, _use_new_zipfile_serialization=new)
    file.seek(0)
    loaded = torch.load(file, weights_only=weights_only)
    got = loaded["x"]
    assert got.layout is x.layout and torch.equal(got.to_dense(), X)
    assert torch.equal(loaded["dense"], X)


def test_whether_positions_are_in_order_is_kept_where_it_is_true():
    twice = torch.sparse_coo_tensor([[1, 1, 0]], [1.0, 2.0, 3.0], (3,))
    assert not again(twice).is_coalesced() and again(twice).to_dense().tolist() == [3, 3, 0]
    assert again(twice.coalesce()).is_coalesced()
    lie = torch.tensor([[1, 1, 0]]), torch.tensor([1.0, 2.0, 3.0]), (3,), True
    assert not layouts.rebuild(torch.sparse_coo, lie).is_coalesced()


def test_layouts_come_back_by_themselves():
    assert again([torch.strided, torch.sparse_csr]) == [torch.strided, torch.sparse_csr]


@pytest.mark.parametrize(
    "layout, parts, kind",
    [
        (torch.sparse_coo, (torch.tensor([[5]]), torch.tensor([1.0]), (3,)), RuntimeError),
        (torch.sparse_coo, (torch.tensor([[-1]]), torch.tensor([1.0]), (3,)), RuntimeError),
        (torch.sparse_coo, (torch.tensor([[1]]),), UnpicklingError),
        (torch.sparse_coo, (1, 2, 3), UnpicklingError),
        (torch.strided, (X, X, (3,)), UnpicklingError),
        (
            torch.sparse_csr,
            (torch.tensor([0, 9]), torch.tensor([1]), X[0, :1], (1, 3)),
            RuntimeError,
        ),
        (
            torch.sparse_csr,
            (torch.tensor([0, 1]), torch.tensor([7]), X[0, :1], (1, 3)),
            RuntimeError,
        ),
    ],
)
def test_positions_outside_are_refused(layout, parts, kind):
    with pytest.raises(kind):
        layouts.rebuild(layout, parts)
