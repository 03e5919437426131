"""Vector norms and distances; their derivatives at zero are PyTorch's subgradients."""

from __future__ import annotations

import math
from typing import Any

from facula import dtypes
from facula.ops import pointwise as pw
from facula.ops import reduce as rd
from facula.ops.composed import whole
from facula.ops.movement import in_layout
from facula.ops.promotion import in_float32, need
from facula.ops.reductions import _dims, select
from facula.ops.registry import broadcast
from facula.ops.table import api
from facula.tensor_base import wrap_dim
from facula.trace.recorder import record
from facula.trace.spans import pure, run


def norm_over(t: Any, p: float, dims: tuple[int, ...], keep: bool) -> Any:
    """The p-norm of a floating-point tensor over normalised dimensions."""
    if not t.requires_grad:
        return _value(t, p, dims, keep)
    return record(rd.NORM, (_value(t.detach(), p, dims, keep), t), (dims, keep, p))


def _value(t: Any, p: float, dims: tuple[int, ...], keep: bool) -> Any:
    if p == 2:
        sq = (t * t.conj_physical()).real if t.dtype.is_complex else t * t
        return record(rd.SUM, (sq,), (dims, keep)).sqrt()
    a = t.abs()
    if p == math.inf:
        return record(rd.AMAX, (a,), (dims, keep))
    if p == -math.inf:
        return record(rd.AMIN, (a,), (dims, keep))
    if p == 0:
        return record(rd.SUM, ((a != 0).to(a.dtype),), (dims, keep))
    if p == 1:
        return record(rd.SUM, (a,), (dims, keep))
    return record(rd.SUM, (a.pow(p),), (dims, keep)).pow(1 / p)


def vector_norm(
    x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """The norm of the elements over some dimensions (all where `dim` is None).

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.vector_norm.html
    """
    need("linalg.vector_norm", x=x)
    if dtype is not None and dtype.is_complex != x.node.dtype.is_complex:
        kind = "complex" if x.node.dtype.is_complex else "real"
        raise RuntimeError(
            f"linalg.vector_norm: dtype should be {kind} for {kind} inputs, but got {dtype}"
        )
    t = x if dtype is None else pw.cast(x, dtype)
    if t.node.dtype.category < dtypes.FLOAT:
        raise RuntimeError(
            f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{t.dtype}"
        )
    dims = _dims(t, dim)
    p = float(ord)
    if 0 in [t.node.shape[d] for d in dims]:
        if p < 0 or p == math.inf:
            raise RuntimeError(
                f"linalg.vector_norm cannot compute the {ord} norm of dimensions {list(dims)} that "
                f"are empty, because it does not have an identity; shape {list(t.node.shape)}"
            )
        return record(rd.SUM, (t.abs(),), (dims, keepdim))
    return run(_normed, (t,), (p, dims, keepdim))


@pure
def _normed(tensors: Any, static: Any, numbers: Any) -> Any:
    out = in_float32(lambda t: norm_over(t, *static), *tensors)
    return whole(out, "LinalgVectorNorm", *tensors)


@api(steady=True)
def norm(
    input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Any:
    """The vector norm over some dimensions; 'nuc' is the sum of a matrix's singular values."""
    if p == "nuc":
        from facula.linalg import matrix_norm

        if dim is None and len(input.node.shape) != 2:
            raise RuntimeError(
                f"norm(): 'nuc' is of two dimensions, but got none and a tensor of shape "
                f"{list(input.node.shape)}"
            )
        return matrix_norm(input, "nuc", (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"norm(): only 'fro' and 'nuc' are named norms, got '{p}'")
    return vector_norm(input, 2.0 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


@api
def dist(input: Any, other: Any, p: Any = 2) -> Any:
    """The p-norm of input - other."""
    need("dist", input=input, other=other)
    return whole(vector_norm(input - other, p), "Dist", input, other)


_CDIST_MODES = (
    "use_mm_for_euclid_dist_if_necessary",
    "use_mm_for_euclid_dist",
    "donot_use_mm_for_euclid_dist",
)


@api(method=False)
def cdist(
    x1: Any, x2: Any, p: float = 2.0, compute_mode: Any = "use_mm_for_euclid_dist_if_necessary"
) -> Any:
    """Distances between all rows of two batches: (B, P, M) and (B, R, M) give (B, P, R)."""
    if compute_mode not in _CDIST_MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    a, b = x1.node.shape, x2.node.shape
    if len(a) < 2 or len(b) < 2:
        raise RuntimeError(
            f"cdist only supports at least 2D tensors, X1 got: {len(a)}D, X2 got: {len(b)}D"
        )
    for name, t in (("X1", x1), ("X2", x2)):
        if not t.dtype.is_floating_point:
            raise RuntimeError(f"cdist only supports floating-point dtypes, {name} got: {t.dtype}")
    if a[-1] != b[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {a[-1]} X2: {b[-1]}"
        )
    if x1.dtype is not x2.dtype:
        raise RuntimeError(f"cdist: expected X1 and X2 of one dtype, got {x1.dtype}, {x2.dtype}")
    if p < 0:
        raise RuntimeError(f"cdist only supports non-negative p values, got {p}")
    broadcast([a[:-2], b[:-2]], "cdist")
    if a[-1] == 0:
        none = (x1.unsqueeze(-2) - x2.unsqueeze(-3)).sum(-1)
        return whole(none, "Cdist", x1, x2)
    d = x1.unsqueeze(-2) - x2.unsqueeze(-3)
    out = in_float32(lambda t: norm_over(t, float(p), (len(t.node.shape) - 1,), False), d)
    return whole(out, "Cdist", x1, x2)


@api(inplace=True)
def renorm(input: Any, p: Any, dim: int, maxnorm: Any) -> Any:
    """Each slice along `dim` scaled down to a norm of at most `maxnorm`."""
    rank = len(input.node.shape)
    if input.dtype.category < dtypes.FLOAT:
        raise RuntimeError(
            f"renorm: expected a floating point or complex tensor, got {input.dtype}"
        )
    if isinstance(p, complex):
        raise RuntimeError(f"renorm: p must be real-valued, got {p}")
    if rank < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {rank} dimensions")
    if p <= 0:
        raise RuntimeError(f"renorm: non-positive-norm not supported, got p = {p}")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    d = wrap_dim(dim, rank)
    dims = tuple([i for i in range(rank) if i != d])

    def f(t: Any) -> Any:
        n = norm_over(t, float(p), dims, True)
        return t * select(n > maxnorm, maxnorm / (n + 1e-7), n.new_ones(()))

    return in_layout(in_float32(f, input), None)
