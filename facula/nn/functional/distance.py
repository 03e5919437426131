"""Distances between vectors, and vectors divided by their length."""

from __future__ import annotations

import facula
from facula import Tensor
from facula.ops.composed import whole
from facula.ops.table import explained, mixed

from ._common import is_low, upcast


@mixed
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Cosine of the angle between the vectors of ``x1`` and ``x2`` along ``dim``.

    Each length counts as at least ``eps``. Shapes are broadcast.
    """
    dtype = facula.result_type(x1, x2)
    if not dtype.is_floating_point:
        raise RuntimeError(
            "cosine_similarity: expected common dtype to be floating point, yet common dtype is "
            f"{dtype}"
        )
    a, b = facula.broadcast_tensors(upcast(x1.to(dtype)), upcast(x2.to(dtype)))
    a = a / _length(a, dim, eps)
    b = b / _length(b, dim, eps)
    return (a * b).sum(dim).to(dtype)


def _length(x: Tensor, dim: int, eps: float) -> Tensor:
    # The limit does not enter the gradient, as in PyTorch: that of the norm passes.
    norm = x.norm(2, dim, keepdim=True)
    return norm + (norm.clamp(min=eps) - norm).detach()


@explained
def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """p-norm of ``x1 - x2 + eps`` along the last dimension."""
    dtype = facula.result_type(x1, x2)
    difference = upcast(x1) - upcast(x2) + eps
    out = difference.norm(p, -1, keepdim=keepdim)
    return out.to(dtype) if is_low(x1, x2) else out


@explained
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """p-norm distances between every pair of the ``N`` rows of ``input``: ``N (N - 1) / 2``."""
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if not input.is_floating_point():
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    n = input.size(0)
    first = [i for i in range(n) for _ in range(i + 1, n)]
    second = [j for i in range(n) for j in range(i + 1, n)]
    a = input.index_select(0, facula.tensor(first, dtype=facula.int64, device=input.device))
    b = input.index_select(0, facula.tensor(second, dtype=facula.int64, device=input.device))
    return whole((a - b).norm(p, 1), "Pdist", input)


def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """``input`` divided by its p-norm along ``dim``, or by ``eps`` where that is larger."""
    if out is None:
        norm = input.norm(p, dim, keepdim=True)
        return input / norm.clamp_min(eps).expand_as(input)
    norm = input.norm(p, dim, keepdim=True).clamp_min(eps)
    return facula.div(input, norm.expand_as(input), out=out)
