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
