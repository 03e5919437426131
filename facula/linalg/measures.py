"""Determinants, norms, ranks and condition numbers."""

from __future__ import annotations

import math
from typing import Any

from facula import dtypes
from facula.linalg import primitives as pm
from facula.linalg.checks import matrix
from facula.linalg.factor import eigvalsh, svdvals
from facula.linalg.solvers import tolerances
from facula.ops import pointwise as pw
from facula.ops import reduce as rd
from facula.ops.norms import norm_over
from facula.ops.norms import vector_norm as _vector_norm
from facula.ops.promotion import need
from facula.ops.table import FUNCTIONS, public
from facula.return_types import fields
from facula.tensor_base import wrap_dim
from facula.trace.recorder import record

vector_norm = public(_vector_norm)
vector_norm.__module__ = __name__
_SLOGDET = fields("linalg_slogdet")


@public
def det(A: Any) -> Any:
    """The determinant."""
    matrix("linalg.det", A)
    return record(pm.DET, (A,))


@public
def slogdet(A: Any) -> Any:
    """The sign (a unit complex number) and the logarithm of the determinant's absolute value."""
    matrix("linalg.slogdet", A)
    sign, size = pm.SLOGDET(A)
    return _SLOGDET((sign, pm.real_part(size)))


def _pair(name: str, t: Any, dim: Any) -> tuple[int, int]:
    rank = len(t.node.shape)
    dims = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    if len(dims) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {dim}")
    if rank < 2:
        raise RuntimeError(f"{name}: The input tensor must have at least 2 dimensions, got {rank}")
    i, j = [wrap_dim(d, rank) for d in dims]
    if i == j:
        raise RuntimeError(f"{name}: dims must be different. Got ({dims[0]}, {dims[1]})")
    return i, j


@public
def matrix_norm(
    A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """A norm of matrices: 'fro', 'nuc', or of order 1, -1, 2, -2, inf, -inf."""
    need("linalg.matrix_norm", A=A)
    t = A if dtype is None else pw.cast(A, dtype)
    if t.dtype.category < dtypes.FLOAT:
        raise RuntimeError(
            f"linalg.matrix_norm: Expected a floating point or complex tensor as input. Got "
            f"{t.dtype}"
        )
    i, j = _pair("linalg.matrix_norm", t, dim)
    if ord == "fro":
        return vector_norm(t, 2, (i, j), keepdim)
    if ord == "nuc" or (not isinstance(ord, str) and abs(ord) == 2):
        s = svdvals(t.permute(*[d for d in range(len(t.node.shape)) if d not in (i, j)], i, j))
        if ord == "nuc" or (ord > 0 and s.node.shape[-1] == 0):
            out = s.sum(-1)
        else:
            out = s.amax(-1) if ord > 0 else s.amin(-1)
        if keepdim:
            for d in sorted((i, j)):
                out = out.unsqueeze(d)
        return out
    if isinstance(ord, str) or abs(ord) not in (1, math.inf):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    along, over = (i, j) if abs(ord) == 1 else (j, i)
    sums = norm_over(t, 1.0, (along,), True)
    prim = rd.AMAX if ord > 0 else rd.AMIN
    if sums.node.shape[over] == 0:
        if ord < 0:
            raise IndexError(
                f"linalg.matrix_norm: Expected dim {over} to have non-zero size for order "
                f"{ord}; shape {list(t.node.shape)}"
            )
        prim = rd.SUM
    out = record(prim, (sums,), ((over,), True))
    return out if keepdim else out.squeeze((i, j))


@public
def norm(
    A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """A vector norm, or a matrix norm where `ord` is given with two dimensions.

    Source: https://pytorch.org/docs/stable/generated/torch.linalg.norm.html
    """
    need("linalg.norm", A=A)
    rank = len(A.node.shape)
    if isinstance(ord, complex):
        raise RuntimeError(f"linalg.norm: Expected a non-complex scalar as the order, got {ord}")
    if isinstance(dim, (tuple, list)) and len(dim) not in (1, 2):
        raise RuntimeError(f"linalg.norm: dim must be of length 1 or 2, got {list(dim)}")
    if ord is not None:
        count = len(dim) if isinstance(dim, (tuple, list)) else 1 if dim is not None else rank
        if dim is None and rank not in (1, 2):
            raise RuntimeError(
                "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
                f"{rank}D."
            )
        if count == 2:
            return matrix_norm(A, ord, (0, 1) if dim is None else dim, keepdim, dtype=dtype)
        if isinstance(ord, str):
            raise RuntimeError(f"linalg.norm: order '{ord}' is for matrices, got shape {rank}D")
    elif dim is None:
        out = vector_norm(A.reshape(-1), 2, None, keepdim, dtype=dtype)
        return out.reshape((1,) * rank) if keepdim else out
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


@public
def cond(A: Any, p: Any = None) -> Any:
    """The norm of a matrix times that of its inverse; infinite where there is none."""
    matrix("linalg.cond", A, p not in (None, 2, -2))
    if p is None or p in (2, -2):
        s = svdvals(A)
        if s.node.shape[-1] == 0:
            return s.sum(-1)
        big, small = s.select(-1, 0), s.select(-1, s.node.shape[-1] - 1)
        return small / big if p == -2 else big / small
    if A.numel() == 0:
        return A.new_zeros(A.node.shape[:-2], dtype=A.dtype.to_real())
    out = matrix_norm(A, p) * matrix_norm(record(pm.INVERSE, (A,)), p)
    return record(pw.WHERE, (out.isnan(), out.new_full((), math.inf), out))


@public
def matrix_rank(
    A: Any, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Any:
    """How many singular values exceed max(atol, rtol * the largest)."""
    matrix("linalg.matrix_rank", A, hermitian)
    if tol is not None:
        atol, rtol = tol, 0.0
    absolute, relative = [
        FUNCTIONS["tensor"](x, dtype=A.dtype.to_real(), device=A.device).unsqueeze(-1)
        for x in tolerances(A, atol, rtol)
    ]
    t = A.detach()
    s = eigvalsh(t).abs() if hermitian else svdvals(t)
    if s.node.shape[-1] == 0:
        return s.sum(-1).to(dtypes.int64)
    limit = FUNCTIONS["maximum"](absolute, relative * s.amax(-1, keepdim=True))
    return (s > limit).sum(-1)
