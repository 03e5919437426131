"""Products with Jacobians of recorded results."""

from __future__ import annotations

import facula
from facula.autograd.edges import get_gradient_edge
from facula.autograd.products import PushForward, basis, gradients, pieces, reach

X = [2.0, 3.0]


def test_products_from_either_side():
    x = facula.tensor(X, requires_grad=True)
    other = facula.ones(1, requires_grad=True)
    y = facula.stack([x.prod(), x.sum()])  # J = [[3, 2], [1, 1]]
    v = facula.tensor([1.0, 10.0])
    left = gradients([y], [x, other], [v], keep=True, create_graph=False)
    assert left[0].tolist() == [13, 12] and left[1] is None
    push = PushForward([y, other * 1, x.detach()], [x])
    for _ in range(2):
        right = push([v], create_graph=False)
        assert right[0].tolist() == [23, 11] and right[1] is None and right[2] is None


def test_what_depends_on_what():
    x = facula.tensor(X, requires_grad=True)
    y = facula.tensor(X, requires_grad=True)
    at, by = get_gradient_edge(x), get_gradient_edge(y)
    assert reach(x.exp()[0], [at]) and reach(x, [at])
    assert not reach(x.exp(), [by]) and not reach(x.detach() * 2, [at])
    assert reach(x * y, [by]) and not reach(x * y, [])


def test_unit_vectors_and_what_is_stacked_along_them():
    like = [facula.zeros(2), facula.zeros(()), facula.zeros(1, 2)]
    units = basis(like)
    assert [tuple(u.shape) for u in units] == [(5, 2), (5,), (5, 1, 2)]
    assert facula.cat([u.reshape(5, -1) for u in units], 1).tolist() == facula.eye(5).tolist()
    rows = pieces(facula.arange(10.0).reshape(5, 2), like)
    assert [tuple(r.shape) for r in rows] == [(2, 2), (2,), (1, 2, 2)]
    assert rows[1].tolist() == [4, 5]
