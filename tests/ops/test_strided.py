"""Views by sizes and strides."""

from __future__ import annotations

import pytest
from nn.stored import agrees, raised

import facula


@agrees
def test_as_strided_scatter(torch):
    x, s = torch.arange(12.0).reshape(3, 4), -torch.ones(2, 2)
    f = torch.as_strided_scatter
    return [
        f(x, s, (2, 2), (2, 1)),
        f(x.t(), s, (2, 2), (3, 2), 5),
        raised(f, x, s, (2, 2), (20, 20)),
        raised(f, x, s, (2, 2), (1, 2, 3)),
        raised(f, x, s, (2, 2), (-1, 1), 3),
        raised(f, x, torch.ones(3), (2, 2), (1, 1)),
    ]


def test_an_empty_leaf_view_is_looked_at_by_strides():
    v = facula.zeros(2, 3, 4)[..., None, :0, :].requires_grad_()
    a = v.as_strided(v.shape, v.stride())
    assert a.shape == v.shape and a.stride() == v.stride() and a.requires_grad
    a.sum().backward()
    assert v.grad.shape == v.shape
    with pytest.raises(RuntimeError, match="out of bounds"):
        facula.zeros(0, 3).as_strided((2,), (1,))


def _seen(*tensors):
    return [[t, t.requires_grad, t.is_leaf] for t in tensors]


@agrees
def test_memory_around_a_view_that_is_a_leaf(torch):
    """It has the history of the view, and what lies beyond that has no gradient."""
    base = torch.arange(8.0).reshape(4, 2)
    leaf = base.diagonal().requires_grad_()
    a, b = leaf.as_strided((2, 1), (1, 1)), leaf.as_strided((4,), (1,), 1)
    out = [_seen(a, b, b[1:]), a.grad_fn is None, a._base is base]
    (a * torch.tensor([[2.0], [3.0]])).sum().backward()
    b[1:].exp().sum().backward()
    out.append(leaf.grad.clone())
    with torch.no_grad():
        base.mul_(2)
    out.append(_seen(leaf, a, b))
    row = torch.arange(4.0).reshape(2, 2).t().requires_grad_()
    around = row[0].as_strided((2, 2), (1, 0))
    (around * around).sum().backward()
    spread = torch.arange(6.0)[1:2].expand(3).requires_grad_()
    (spread.as_strided((3,), (1,), 0) ** 2).sum().backward()
    nothing = leaf.as_strided((0,), (1,), 1)
    nothing.sum().backward()
    return [*out, around, row.grad, spread.grad, leaf.grad]


@agrees
def test_memory_around_a_detached_view(torch):
    """It has the history that a write gives the detached one."""
    w = torch.tensor(3.0, requires_grad=True)
    base = torch.arange(4.0).reshape(2, 2).requires_grad_()
    row = base[1].detach()
    before, more = row.as_strided((1,), (1,), 1), row.as_strided((3,), (1,), 1)
    row.select(0, 0).copy_(w * 2)
    after = row.as_strided((3,), (1,), 1)
    out = _seen(row, before, more, after)
    (more * 5).sum().backward(retain_graph=True)
    out.append(w.grad.clone())
    (after * 2).sum().backward()
    with torch.no_grad():
        after.mul_(2)
    return [out, w.grad, *_seen(base, row, more), raised(lambda: base.mul_(2))]


def test_a_write_around_a_detached_view():
    row = facula.arange(4.0).requires_grad_().detach()[1:3].detach()
    around = row.as_strided((3,), (1,), 0)
    around.fill_(2)
    assert row.tolist() == [2, 2]
    with pytest.raises(NotImplementedError, match="around a detached tensor"):
        around.mul_(facula.ones((), requires_grad=True))
