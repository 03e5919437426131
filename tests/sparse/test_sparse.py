"""Sparse tensors against PyTorch: making, adding up, products, gradients, errors."""

from __future__ import annotations

import copy
import pickle

import pytest
from nn.stored import agrees, raised

import facula


def example(torch, **kwargs):
    i = torch.tensor([[0, 1, 1, 0], [2, 0, 2, 2]])
    v = torch.tensor([3.0, 4.0, 5.0, 1.0])
    return torch.sparse_coo_tensor(i, v, (2, 3), **kwargs)


def parts(s):
    """A sparse tensor as plain tensors."""
    c = s.coalesce()
    return [c.indices(), c.values(), list(s.shape), s._nnz(), s.is_coalesced()]


@agrees
def test_attributes_and_text(torch):
    s = example(torch)
    t = torch.sparse_coo_tensor([[0, 1]], torch.ones(2, 3, dtype=torch.float64), (4, 3))
    return [
        [repr(x) for x in (s, s.coalesce(), t, s.double(), torch.sparse_coo_tensor(size=(2, 3)))],
        [s.layout, s.is_sparse, s.dim(), s.sparse_dim(), s.dense_dim(), s._nnz(), s.numel()],
        [t.sparse_dim(), t.dense_dim(), t._nnz(), s.type(), s.is_leaf, s.stride(), len(s)],
        repr(example(torch, requires_grad=True)),
        parts(torch.sparse_coo_tensor([[0, 1], [1, 0]], [1, 2])),
        parts(torch.sparse.FloatTensor(s._indices(), s._values(), torch.Size([2, 3]))),
    ]


@agrees
def test_to_and_from_dense(torch):
    s = example(torch)
    d = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    return [
        s.to_dense(),
        parts(d.to_sparse()),
        parts(d.to_sparse(1)),
        torch.sparse_coo_tensor([[0, 2]], torch.ones(2, 3), (4, 3)).to_dense(),
        d.to_dense() is d,
        [d.is_sparse, d.sparse_dim(), d.dense_dim()],
        parts(torch.arange(6.0).reshape(2, 3).sparse_mask(s.coalesce())),
        torch.sparse_coo_tensor([[0, 0]], [True, True], (2,)).to_dense(),
    ]


@agrees
def test_arithmetic(torch):
    s = example(torch)
    t = torch.sparse_coo_tensor([[0, 1], [0, 2]], [10.0, 20.0], (2, 3))
    d = torch.arange(6.0).reshape(2, 3)
    results = [s + s, s + t, s - t, s * 2, s / 2, -s, s * d, d * s, s.mul(torch.tensor(3.0))]
    functions = [s.abs(), s.sin(), s.sqrt(), s.relu(), s.pow(2), s.clone(), s.detach()]
    x = torch.ones(2, 3)
    x.add_(s)
    y = s.clone()
    y.mul_(3)
    return [
        [parts(r)[:3] for r in results + functions],
        (s * t).to_dense(),
        d + s,
        d - s,
        torch.add(d, s, alpha=2),
        x,
        y.to_dense(),
        raised(lambda: s + d),
        raised(lambda: d + t.t()),
        s.norm(),
        s.sum(),
    ]


@agrees
def test_products(torch):
    s = example(torch)
    d = torch.arange(6.0).reshape(3, 2)
    batch = torch.stack([s.to_dense(), 2 * s.to_dense()]).to_sparse()
    return [
        torch.sparse.mm(s, d),
        s @ d,
        torch.mm(s, d),
        torch.spmm(s, d),
        s @ d[:, 0],
        torch.mv(s, d[:, 1]),
        d.t() @ s.t(),
        parts(torch.sparse.mm(s, s.t()))[:3],
        torch.addmm(torch.ones(2, 2), s, d, beta=2, alpha=3),
        torch.sparse.addmm(torch.ones(2, 2), s, d),
        parts(torch.smm(s, d))[:3],
        parts(torch.hspmm(s, d))[:3],
        torch.bmm(batch, d.expand(2, 3, 2)),
        raised(torch.mm, s, torch.ones(2, 2)),
        raised(torch.sparse.mm, s, s),
    ]


@agrees
def test_reductions_and_softmax(torch):
    s = example(torch)
    t = torch.sparse_coo_tensor([[0, 2]], torch.ones(2, 3), (4, 3))
    return [
        torch.sparse.sum(s),
        parts(torch.sparse.sum(s, 0))[:3],
        parts(torch.sparse.sum(s, -1))[:3],
        torch.sparse.sum(t, [0, 1]),
        torch.sparse.sum(t, 0),
        torch.sparse.softmax(s, 1).to_dense(),
        torch.sparse.log_softmax(s, 0).to_dense(),
        torch.sparse.softmax(t, 1).to_dense(),
        torch.sparse.spdiags(
            torch.arange(6.0).reshape(2, 3), torch.tensor([0, -1]), (3, 3)
        ).to_dense(),
    ]


@agrees
def test_shapes_and_indices(torch):
    s = example(torch)
    return [
        s.t().to_dense(),
        s.transpose(0, 1).to_dense(),
        torch.cat([s, s]).to_dense(),
        torch.cat([s, s], 1).to_dense(),
        torch.stack([s, s]).to_dense(),
        s.unsqueeze(0).to_dense(),
        s[0].to_dense(),
        s[1, 2],
        s[0, 1],
        s[-1].to_dense(),
        s.index_select(0, torch.tensor([1, 1, 0])).to_dense(),
        [x.to_dense() for x in s],
        parts(s.coalesce().t())[:3],
        raised(lambda: s[5]),
        raised(s.reshape, 3, 2),
    ]


@agrees
def test_gradients(torch):
    i = torch.tensor([[0, 1, 1, 0], [2, 0, 2, 2]])
    v = torch.tensor([3.0, 4.0, 5.0, 1.0], requires_grad=True)
    d = torch.arange(6.0).reshape(3, 2).requires_grad_()
    weights = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    out = []
    s = torch.sparse_coo_tensor(i, v, (2, 3))
    out.append(torch.autograd.grad((torch.sparse.mm(s, d) * weights).sum(), [v, d]))
    s = torch.sparse_coo_tensor(i, v, (2, 3))
    out.append(torch.autograd.grad((s.coalesce().values() ** 2).sum(), [v]))
    s = torch.sparse_coo_tensor(i, v, (2, 3))
    out.append(torch.autograd.grad((s.to_dense() * torch.arange(6.0).reshape(2, 3)).sum(), [v]))
    leaf = example(torch, requires_grad=True)
    (torch.sparse.mm(leaf, d.detach()) * weights).sum().backward()
    out.append([leaf.grad.to_dense(), leaf.is_leaf])
    x = torch.tensor([[0.0, 1.0], [2.0, 0.0]], requires_grad=True)
    out.append(torch.autograd.grad((x.to_sparse() * 3).to_dense().sum(), x))
    return out


@agrees
def test_sparse_gradients_of_embeddings(torch):
    out = []
    index = torch.tensor([[1, 1, 3], [4, 0, 1]])
    for kind in ("SGD", "momentum", "Adagrad", "SparseAdam"):
        torch.manual_seed(0)
        e = torch.nn.Embedding(5, 2, sparse=True, padding_idx=4)
        make = {
            "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
            "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
            "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
            "SparseAdam": lambda p: torch.optim.SparseAdam(list(p), lr=0.1),
        }[kind]
        opt = make(e.parameters())
        for _ in range(3):
            opt.zero_grad()
            (e(index) ** 2).sum().backward()
            opt.step()
        out += [e.weight, e.weight.grad.is_sparse, e.weight.grad.to_dense()]
    bag = torch.nn.EmbeddingBag(5, 2, sparse=True, mode="mean")
    bag(index).sum().backward()
    (bag(index) * 2).sum().backward()
    out.append(bag.weight.grad.to_dense())
    e = torch.nn.Embedding(5, 2, sparse=True)
    e(index).sum().backward()
    out.append(raised(torch.optim.Adam(e.parameters()).step))
    return out


@agrees
def test_what_is_refused(torch):
    s = example(torch)
    make = torch.sparse_coo_tensor
    return [
        raised(s.indices),
        raised(s.values),
        raised(s.numpy),
        raised(s.tolist),
        raised(s.exp),
        raised(lambda: s > 0),
        raised(make, [[0, 1]], [1.0, 2.0, 3.0], (2,)),
        raised(make, [[0, 1]], torch.ones(2, 3), (4, 4)),
        raised(make, [0, 1], [1.0, 2.0]),
        raised(make, [[0, 1]], [1.0, 2.0], (2, 2)),
        raised(make, [[0, -1]], [1.0, 2.0]),
        raised(torch.ones(2).coalesce),
        raised(torch.ones(2).indices),
    ]


def test_positions_outside_are_refused():
    with pytest.raises(RuntimeError, match="index 3 is out of range"):
        facula.sparse_coo_tensor([[0, 3]], [1.0, 2.0], (2,))
    with pytest.raises(NotImplementedError, match="COO"):
        facula.eye(2).to_sparse_bsr((1, 1))


def test_copies():
    s = example(facula)
    for t in (copy.deepcopy(s), pickle.loads(pickle.dumps(s))):
        assert t.to_dense().tolist() == s.to_dense().tolist()
        assert t._indices().tolist() == s._indices().tolist()


@pytest.mark.parametrize("form", ["to_sparse", "to_sparse_csr"])
def test_a_sparse_tensor_is_no_place_in_the_graph(form):
    x = facula.ones(2, 3, requires_grad=True)
    s = getattr(x, form)()
    with pytest.raises(NotImplementedError, match=r"sparse_\w+ tensor of shape \[2, 3\]"):
        facula.autograd.grad(s.to_dense().sum(), s)
    with pytest.raises(NotImplementedError, match="take that of its values"):
        facula.autograd.grad(s, x, s.detach())
