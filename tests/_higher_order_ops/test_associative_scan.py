"""Running results of an associative function."""

from __future__ import annotations

import numpy as np
import pytest

import facula as torch
from facula._higher_order_ops.associative_scan import associative_scan


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_a_linear_recurrence(rng, n, reverse, dim):
    """h = a h + b, as state space models run it: not commutative, of two tensors."""
    shape = [2, 3, 4]
    shape[dim] = n
    a, b = [torch.tensor(rng.normal(size=shape), requires_grad=True) for _ in range(2)]

    def combine(x, y):
        return {"a": x["a"] * y["a"], "b": y["a"] * x["b"] + y["b"]}

    got = associative_scan(combine, {"a": a, "b": b}, dim, reverse, combine_mode="generic")["b"]
    h, rows = torch.zeros(()), [None] * n
    for i in reversed(range(n)) if reverse else range(n):
        h = rows[i] = a.select(dim, i) * h + b.select(dim, i)
    want = torch.stack(rows, dim)
    np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), atol=1e-12)
    grads = [
        torch.autograd.grad(t.square().sum(), (a, b), allow_unused=True, materialize_grads=True)
        for t in (got, want)
    ]
    for g, w in zip(*grads, strict=True):
        np.testing.assert_allclose(g.numpy(), w.numpy(), rtol=1e-9, atol=1e-9)


def test_what_is_refused():
    x = torch.ones(2, 3)
    for xs, mode, words in [
        (x, "pointwise", "need to be on CUDA"),
        (x, "other", "combine_mode"),
        ([], "generic", "at least 1"),
        ([x, 1.0], "generic", "must be tensors"),
        ([x, x[:, :2]], "generic", "different sizes in dim 1"),
    ]:
        with pytest.raises(ValueError, match=words):
            associative_scan(torch.add, xs, 1, combine_mode=mode)
