"""Products of groups of rows."""

from __future__ import annotations

import numpy as np
import pytest

import facula as torch
from facula.nn import functional as F


def _want(a, b, ends):
    """The groups one by one."""
    parts = [slice(i, j) for i, j in zip([0, *ends[:-1]], ends, strict=True)]
    if a.ndim == b.ndim:
        return np.stack([a[:, p] @ b[p] for p in parts])
    out = np.zeros((a.shape[-2], b.shape[-1]), a.dtype)
    for i, p in enumerate(parts):
        if a.ndim == 2:
            out[p] = a[p] @ b[i]
        else:
            out[:, p] = a[i] @ b[:, p]
    return out


SHAPES = [((10, 8), (3, 8, 4)), ((3, 4, 8), (8, 10)), ((4, 10), (10, 8))]


@pytest.mark.parametrize("ends", [[2, 2, 10], [3, 6, 8], [0, 0, 0]])
@pytest.mark.parametrize("shapes", SHAPES)
def test_products_and_gradients_are_those_of_the_groups(rng, shapes, ends):
    x, y = [rng.normal(size=s).astype("f") for s in shapes]
    a, b = [torch.tensor(v, requires_grad=True) for v in (x, y)]
    out = F.grouped_mm(a, b, offs=torch.tensor(ends, dtype=torch.int32))
    want = _want(x, y, ends)
    np.testing.assert_allclose(out.detach().numpy(), want, atol=1e-5)
    w = rng.normal(size=want.shape).astype("f")
    (out * torch.tensor(w)).sum().backward()
    c, d = [torch.tensor(v, requires_grad=True) for v in (x, y)]
    starts = [0, *ends[:-1]]
    total = torch.zeros(())
    for i, (p, q) in enumerate(zip(starts, ends, strict=True)):
        if c.dim() == d.dim():
            total = total + (c[:, p:q] @ d[p:q] * torch.tensor(w[i])).sum()
        elif c.dim() == 2:
            total = total + (c[p:q] @ d[i] * torch.tensor(w[p:q])).sum()
        else:
            total = total + (c[i] @ d[:, p:q] * torch.tensor(w[:, p:q])).sum()
    total.backward()
    np.testing.assert_allclose(a.grad.numpy(), c.grad.numpy(), atol=1e-5)
    np.testing.assert_allclose(b.grad.numpy(), d.grad.numpy(), atol=1e-5)


def test_half_precision_sums_in_float32_and_batches_are_products(rng):
    a, b = torch.full((1, 4096), 0.1).bfloat16(), torch.ones(1, 4096, 1).bfloat16()
    out = F.grouped_mm(a, b, offs=torch.tensor([1], dtype=torch.int32))
    assert out.dtype is torch.bfloat16 and out.item() == 410.0
    x, y = torch.tensor(rng.normal(size=(3, 2, 4)).astype("f")), torch.ones(3, 4, 8)
    assert torch._grouped_mm(x, y).equal(x.bmm(y))


A, B, ENDS = (10, 8), (3, 8, 4), torch.tensor([2, 2, 9], dtype=torch.int32)


@pytest.mark.parametrize(
    "a, b, more, words",
    [
        (A, B, {"offs": ENDS.long()}, "Offsets have to be int32"),
        (A, B, {"offs": ENDS[:2]}, "batch sizes have to match"),
        (A, B, {}, "provide offsets"),
        ((3, 10, 8), B, {"offs": ENDS}, "provide offsets"),
        ((10, 6), B, {"offs": ENDS}, r"contraction dimension .* \[10, 6\] and \[3, 8, 4\]"),
        ((8,), B, {"offs": ENDS}, "2 or 3d"),
        (A, B, {"offs": ENDS, "bias": torch.ones(4)}, "Bias not supported"),
        (A, B, {"offs": ENDS, "out_dtype": torch.bfloat16}, "must match `mat_a` dtype"),
    ],
)
def test_what_is_refused(a, b, more, words):
    with pytest.raises(RuntimeError, match=words):
        F.grouped_mm(torch.ones(a), torch.ones(b), **more)
    with pytest.raises(RuntimeError, match="Float32, BFloat16 or Float16"):
        F.grouped_mm(torch.ones(a).double(), torch.ones(b), **more)
