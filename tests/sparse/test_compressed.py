"""CSR and CSC: what PyTorch gives and prints, written out."""

from __future__ import annotations

import copy
import pickle

import pytest

import facula as torch

D = torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]])


def csr():
    return torch.sparse_csr_tensor([0, 2, 3], [0, 2, 2], [1.0, 2.0, 3.0], size=(2, 3))


def test_parts_and_printing():
    c = D.to_sparse_csr()
    assert c.crow_indices().tolist() == [0, 2, 3]
    assert c.col_indices().tolist() == [0, 2, 2]
    assert c.values().tolist() == [1.0, 2.0, 3.0]
    assert (c.layout, c._nnz(), c.shape) == (torch.sparse_csr, 3, (2, 3))
    assert (c.is_sparse_csr, c.is_sparse, c.sparse_dim(), c.dense_dim()) == (True, False, 2, 0)
    assert repr(c) == (
        "tensor(crow_indices=tensor([0, 2, 3]),\n"
        "       col_indices=tensor([0, 2, 2]),\n"
        "       values=tensor([1., 2., 3.]), size=(2, 3), nnz=3,\n"
        "       layout=torch.sparse_csr)"
    )
    assert repr(D.to_sparse_csc()) == (
        "tensor(ccol_indices=tensor([0, 1, 1, 3]),\n"
        "       row_indices=tensor([0, 0, 1]),\n"
        "       values=tensor([1., 2., 3.]), size=(2, 3), nnz=3,\n"
        "       layout=torch.sparse_csc)"
    )
    assert repr(torch.zeros(2, 3, layout=torch.sparse_csr)) == (
        "tensor(crow_indices=tensor([0, 0, 0]),\n"
        "       col_indices=tensor([], size=(0,)),\n"
        "       values=tensor([], size=(0,)), size=(2, 3), nnz=0,\n"
        "       layout=torch.sparse_csr)"
    )


def test_from_parts():
    assert torch.equal(csr().to_dense(), D)
    made = torch.sparse_csc_tensor([0, 1, 1, 3], [0, 0, 1], [1, 2, 3], dtype=torch.float64)
    assert made.dtype is torch.float64
    assert torch.equal(made.to_dense(), D.double())
    made = torch.sparse_compressed_tensor(
        [0, 2, 3], [0, 2, 2], [1.0, 2.0, 3.0], layout=torch.sparse_csr
    )
    assert torch.equal(made.to_dense(), D)


@pytest.mark.parametrize(
    ("begin", "columns", "text"),
    [
        ([0, 2, 4], [0, 2, 2], "== nnz"),
        ([0, 2, 3], [0, 2, 5], "0 <= col_indices < 3"),
        ([1, 2, 3], [0, 2, 2], "== 0"),
        ([0, 2, 3], [2, 0, 2], "sorted and distinct"),
        ([0, 2, 3], [0, 2], "== nnz"),
        ([0, 2, 3, 3], [0, 2, 2], r"equal to 2 \+ 1"),
        ([0, 4, 3], [0, 2, 2], "is not satisfied"),
    ],
)
def test_parts_that_do_not_fit(begin, columns, text):
    with pytest.raises(RuntimeError, match=text):
        torch.sparse_csr_tensor(begin, columns, [1.0, 2.0, 3.0], size=(2, 3))


LAYOUTS = {
    "sparse_coo": torch.sparse_coo,
    "sparse_csr": torch.sparse_csr,
    "sparse_csc": torch.sparse_csc,
}


@pytest.mark.parametrize("a", LAYOUTS)
@pytest.mark.parametrize("b", LAYOUTS)
def test_from_one_layout_to_another(a, b):
    got = D.to_sparse(layout=LAYOUTS[a])
    assert got.layout is LAYOUTS[a]
    again = getattr(got, "to_" + b)()
    assert again.layout is LAYOUTS[b]
    assert torch.equal(again.to_dense(), D)
    assert torch.equal(got.to_sparse(layout=LAYOUTS[b]).to_dense(), D)


@pytest.mark.parametrize("kind", ["sparse_csr", "sparse_csc"])
def test_operations(kind):
    c = D.to_sparse(layout=LAYOUTS[kind])
    w = torch.arange(6.0).reshape(3, 2)
    assert torch.equal(c @ w, D @ w)
    assert torch.equal(torch.mm(c, w), D @ w)
    assert torch.equal(c @ w[:, 0], D @ w[:, 0])
    assert torch.equal(torch.ones(4, 2) @ c, torch.ones(4, 2) @ D)
    assert torch.equal(torch.sparse.mm(c, w), D @ w)
    assert torch.equal(c + D, D + D)
    for got, want in (
        (c * 2, D * 2),
        (c * c, D * D),
        (c + c, D + D),
        (-c, -D),
        (c.sin(), D.sin()),
        (c.double(), D.double()),
        (c.clone(), D),
        (c @ c.t(), D @ D.t()),
    ):
        assert got.layout is LAYOUTS[kind]
        assert got.dtype is want.dtype
        assert torch.equal(got.to_dense(), want)
    assert c.t().layout is LAYOUTS["sparse_csc" if kind == "sparse_csr" else "sparse_csr"]
    assert torch.equal(c.t().to_dense(), D.t())
    assert c.sum().item() == 6.0
    assert c[0, 2].item() == 2.0
    assert c[0].to_dense().tolist() == [1.0, 0.0, 2.0]
    assert torch.equal(
        (D.to_sparse() @ D.t().to_sparse(layout=LAYOUTS[kind])).to_dense(), D @ D.t()
    )


def test_gradients():
    v = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    w = torch.ones(3, 2, requires_grad=True)
    s = torch.sparse_csr_tensor([0, 2, 3], [0, 2, 2], v, size=(2, 3))
    assert s.requires_grad
    (s @ w).sum().backward()
    assert v.grad.tolist() == [2.0, 2.0, 2.0]
    assert w.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [5.0, 5.0]]
    d = D.clone().requires_grad_()
    d.to_sparse_csr().to_dense().sum().backward()
    assert d.grad.tolist() == [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]


REFUSED = [
    (lambda: csr().requires_grad_(), NotImplementedError, "values that require grad"),
    (lambda: csr().cos(), NotImplementedError, "cos"),
    (lambda: torch.eye(4).to_sparse_bsr((2, 2)), NotImplementedError, "to_sparse_bsr"),
    (lambda: torch.sparse_bsr_tensor(), NotImplementedError, "sparse_bsr_tensor"),
    (lambda: torch.ones(2, 2, 2).to_sparse_csr(), NotImplementedError, "3 dimensions"),
    (lambda: torch.ones(3).to_sparse_csr(), IndexError, "matrix"),
    (lambda: csr().numpy(), TypeError, "sparse_csr"),
    (lambda: csr().tolist(), RuntimeError, "storage"),
    (lambda: csr().stride(), RuntimeError, "strides"),
    (lambda: csr().is_contiguous(), RuntimeError, "is_contiguous"),
    (lambda: csr().indices(), RuntimeError, "indices expected sparse coordinate"),
    (lambda: csr().row_indices(), RuntimeError, "column compressed"),
    (lambda: D.crow_indices(), RuntimeError, "row compressed tensor layout"),
    (lambda: torch.ones(2, layout=torch.sparse_coo), RuntimeError, "layout"),
]


@pytest.mark.parametrize(("call", "kind", "text"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


def test_copies():
    for c in (copy.deepcopy(csr()), pickle.loads(pickle.dumps(csr())), csr().detach()):
        assert c.layout is torch.sparse_csr
        assert torch.equal(c.to_dense(), D)
    c = csr()
    c.values().mul_(2)
    assert torch.equal(c.to_dense(), D * 2)
    assert torch.zeros_like(c)._nnz() == 0
