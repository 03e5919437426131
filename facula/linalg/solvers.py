"""Linear equations, inverses, least squares."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula import dtypes
from facula.linalg import primitives as pm
from facula.linalg import spectral as sp
from facula.linalg.checks import floating, matrix, same, succeeded
from facula.linalg.factor import svdvals
from facula.ops.composed import whole
from facula.ops.indices import known
from facula.ops.movement import RESHAPE
from facula.ops.registry import broadcast
from facula.ops.table import public
from facula.return_types import fields
from facula.tensor import Tensor
from facula.tensor_base import wrap_dim
from facula.trace.recorder import record

_SOLVE_EX = fields("linalg_solve_ex")
_INV_EX = fields("linalg_inv_ex")
_LSTSQ = fields("linalg_lstsq")
_SINGULAR = "The solver failed because the input matrix is singular."
_NO_INVERSE = (
    "The diagonal element {} is zero, the inversion could not be completed because the input "
    "matrix is singular."
)


def _info(a: Any) -> Any:
    """The first zero pivot of each matrix (0: none)."""
    return record(pm.ZERO_PIVOT, (a.detach(),))


def _regular(name: str, A: Any, out: Any, what: str) -> None:
    """LinAlgError where A is singular. What was computed with it is then not finite: only in that
    case is there a zero pivot to look for."""
    if out.node.device is None and out.numel() and np.isfinite(known(out)).all():
        return
    succeeded(name, _info(A), what)


def _is_vector(a: Any, b: Any) -> bool:
    x, y = a.node.shape, b.node.shape
    return len(y) == 1 or (len(x) - 1 == len(y) and x[:-1] == y)


@public
def solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> Any:
    """x of A x = B (or x A = B), and the first zero pivot of A (0: none)."""
    matrix("linalg.solve", A)
    same("linalg.solve", A, B)
    info = _info(A)
    if check_errors:
        succeeded("linalg.solve_ex", info, _SINGULAR)
    return _SOLVE_EX((_solved("linalg.solve", A, B, left), info))


def _solved(name: str, a: Any, b: Any, left: bool) -> Any:
    n = a.node.shape[-1]
    vector = _is_vector(a, b)
    y = record(RESHAPE, (b,), (*b.node.shape, 1)) if vector else b
    if vector and not left:
        raise RuntimeError(
            f"{name}: Vector broadcasting of the left hand side is not supported for left=False, "
            f"got shapes {list(a.node.shape)} and {list(b.node.shape)}"
        )
    if y.node.shape[-2 if left else -1] != n:
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'}: {list(a.node.shape)} and {list(b.node.shape)}"
        )
    if not left:
        x = pm.solve(a.transpose(-2, -1), y.transpose(-2, -1))
        return x.transpose(-2, -1).contiguous()
    x = pm.solve(a, y)
    return record(RESHAPE, (x,), x.node.shape[:-1]) if vector else x


@public
def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """x of A x = B (or x A = B); LinAlgError where A is singular."""
    matrix("linalg.solve", A)
    same("linalg.solve", A, B)
    out = _solved("linalg.solve", A, B, left)
    _regular("linalg.solve", A, out, _SINGULAR)
    return out


@public
def inv_ex(A: Any, *, check_errors: bool = False) -> Any:
    """The inverse, and the first zero pivot (0: none)."""
    matrix("linalg.inv_ex", A)
    info = _info(A)
    if check_errors:
        succeeded("linalg.inv_ex", info, _NO_INVERSE)
    return _INV_EX((record(pm.INVERSE, (A,)), info))


@public
def inv(A: Any) -> Any:
    """The inverse; LinAlgError where A is singular."""
    matrix("linalg.inv", A)
    out = record(pm.INVERSE, (A,))
    _regular("linalg.inv", A, out, _NO_INVERSE)
    return out


@public
def solve_triangular(
    A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    """x of A x = B (or x A = B) for triangular A; the other triangle is not read."""
    matrix("linalg.solve_triangular", A)
    same("linalg.solve_triangular", A, B)
    n = A.node.shape[-1]
    if len(B.node.shape) < 2 or B.node.shape[-2 if left else -1] != n:
        raise RuntimeError(
            f"linalg.solve_triangular: Incompatible shapes of A and B: {list(A.node.shape)} and "
            f"{list(B.node.shape)}"
        )
    k = 1 if unitriangular else 0
    t = A.triu(k) if upper else A.tril(-k)
    if unitriangular:
        t = t + pm.eye_like(A, n)
    if left:
        x = pm.solve(t, B, "upper" if upper else "lower")
    else:
        t, other = t.transpose(-2, -1), B.transpose(-2, -1)
        x = pm.solve(t, other, "lower" if upper else "upper").transpose(-2, -1)
    return whole(x, "LinalgSolveTriangular", A, B)


@public
def lu_solve(LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False) -> Any:
    """x of A x = B (x A = B, A^H x = B) from what lu_factor gave for A."""
    matrix("linalg.lu_solve", LU, what="LU")
    same("linalg.lu_solve", LU, B)
    n = LU.node.shape[-1]
    if len(B.node.shape) < 2 or B.node.shape[-2 if left else -1] != n:
        raise RuntimeError(
            f"linalg.lu_solve: Incompatible shapes of LU and B: {list(LU.node.shape)} and "
            f"{list(B.node.shape)}"
        )
    if pivots.dtype is not dtypes.int32:
        raise RuntimeError(
            f"linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32, got "
            f"{pivots.dtype}"
        )
    if pivots.node.shape != LU.node.shape[:-1]:
        raise RuntimeError(
            f"linalg.lu_solve: Number of pivots per batch should be same as the dimension of the "
            f"matrix, got {list(pivots.node.shape)} for {list(LU.node.shape)}"
        )
    low, up = pm.split_lu(LU)
    p = pm.permutation(pivots, n).to(LU.dtype)
    if not left:  # x A = B is A^H x^H = B^H
        x = pm.adjoint(_by_factors(p, low, up, pm.adjoint(B), not adjoint))
    else:
        x = _by_factors(p, low, up, B, adjoint)
    return whole(x, "LinalgLuSolve", LU, pivots, B)


def _by_factors(p: Any, low: Any, up: Any, b: Any, adjoint: bool) -> Any:
    if adjoint:
        return p @ pm.solve_adjoint(low, pm.solve_adjoint(up, b, "upper"), "lower")
    return pm.solve(up, pm.solve(low, p.transpose(-2, -1) @ b, "lower"), "upper")


def _tolerance(x: Any) -> Any:
    """A tolerance as hashable numbers: tensors are read now."""
    if isinstance(x, Tensor):
        return _nested(known(x.detach()).tolist())
    return float(x)


def _nested(x: Any) -> Any:
    return tuple([_nested(y) for y in x]) if isinstance(x, list) else x


def tolerances(a: Any, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """Absolute and relative tolerance; by default the machine precision times the larger size."""
    eps = float(dtypes.finfo(a.dtype).eps) * max(a.node.shape[-2:])
    if rtol is None:
        if isinstance(atol, Tensor):
            positive = known(atol.detach()) > 0
            rtol = _nested(((~positive) * eps).tolist())
        else:
            rtol = 0.0 if atol is not None and atol > 0 else eps
    else:
        rtol = _tolerance(rtol)
    return (0.0 if atol is None else _tolerance(atol)), rtol


@public
def pinv(
    A: Any,
    rcond: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
) -> Any:
    """The pseudo-inverse; singular values up to max(atol, rtol * largest) count as zero."""
    matrix("linalg.pinv", A, hermitian)
    given = [t.node.shape for t in (rcond, atol, rtol) if isinstance(t, Tensor)]
    batch = broadcast([A.node.shape[:-2], *given], "linalg.pinv")
    if batch != A.node.shape[:-2]:
        A = A.expand((*batch, *A.node.shape[-2:]))
    absolute, relative = tolerances(A, atol, rcond if rtol is None else rtol)
    return record(sp.PINV, (A,), (absolute, relative, bool(hermitian)))


def _surely_regular(r: Any, relative: float) -> bool:
    """Whether the smallest singular value of each triangle is certainly larger than `relative`
    times its largest one: by the norms of the triangle and of its inverse, which bound them."""
    if r.size == 0 or (np.diagonal(r, 0, -2, -1) == 0).any():
        return False
    inverse = np.linalg.inv(r)
    with np.errstate(all="ignore"):
        sizes = np.linalg.norm(r, axis=(-2, -1)) * np.linalg.norm(inverse, axis=(-2, -1))
        return bool((sizes * relative < 0.9).all())


@public
def lstsq(A: Any, B: Any, rcond: Any = None, *, driver: str | None = None) -> Any:
    """x that minimises |A x - B|, the residuals, the rank and the singular values of A.

    `driver` decides what else is computed: 'gels' assumes full rank, 'gelsy' (default) gives the
    rank, 'gelsd' and 'gelss' also the singular values.
    """
    if len(A.node.shape) < 2:
        raise RuntimeError(
            f"torch.linalg.lstsq: input must have at least 2 dimensions, got {list(A.node.shape)}"
        )
    if not B.node.shape:
        raise RuntimeError("torch.linalg.lstsq: other must have at least 1 dimension, got []")
    if len(A.node.shape) - len(B.node.shape) not in (0, 1):
        raise RuntimeError(
            f"torch.linalg.lstsq: input must have as many dimensions as other, or one more, got "
            f"{list(A.node.shape)} and {list(B.node.shape)}"
        )
    matrix("torch.linalg.lstsq", A, False)
    same("torch.linalg.lstsq", A, B)
    driver = driver or "gelsy"
    if driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            f"torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), "
            f"got {driver}"
        )
    m, n = A.node.shape[-2:]
    vector = _is_vector(A, B)
    b = B.unsqueeze(-1) if vector else B
    if b.node.shape[-2] != m:
        raise RuntimeError(
            f"torch.linalg.lstsq: input.size(-2) should match other.size(-2), got "
            f"{list(A.node.shape)} and {list(B.node.shape)}"
        )
    eps = float(dtypes.finfo(A.dtype).eps)
    relative = eps * max(m, n) if rcond is None else _tolerance(rcond)
    x = values = None
    rank = A.new_empty((0,), dtype=dtypes.int64)
    if driver != "gels" and type(relative) is float and m >= n and A.node.device is None:
        q, r = sp.QR(A, "reduced")
        if _surely_regular(known(r.detach()), relative):
            x = pm.solve(r, pm.adjoint(q) @ b, "upper")
            rank = A.new_full(A.node.shape[:-2], n, dtype=dtypes.int64)
    if x is None:
        x = record(sp.PINV, (A,), (0.0, relative if driver != "gels" else eps, False)) @ b
        values = svdvals(A.detach())
        if driver != "gels":
            if min(m, n):
                rank = (values > relative * values.narrow(-1, 0, 1)).sum(-1)
            else:
                rank = A.new_zeros(A.node.shape[:-2], dtype=dtypes.int64)
    residuals = pm.real_part(x).reshape(-1).narrow(0, 0, 0).clone()
    full = driver == "gels" or bool((known(rank) == n).all())
    if m > n and driver != "gelsy" and full:
        d = A @ x - b
        residuals = ((d * d.conj_physical()).real if d.dtype.is_complex else d * d).sum(-2)
    singular = pm.real_part(x).new_empty((0,))
    if driver in ("gelsd", "gelss"):
        singular = svdvals(A.detach()) if values is None else values
    return _LSTSQ((x.squeeze(-1) if vector else x, residuals, rank, singular))


@public
def tensorinv(A: Any, ind: int = 2) -> Any:
    """The inverse of A as a map from its last dimensions to its first `ind`."""
    floating("linalg.tensorinv", A)
    if ind <= 0:
        raise RuntimeError(f"linalg.tensorinv: Expected a strictly positive ind, got {ind}")
    first, last = A.node.shape[:ind], A.node.shape[ind:]
    if math.prod(first) != math.prod(last):
        raise RuntimeError(
            "linalg.tensorinv: Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {math.prod(last)} != {math.prod(first)}"
        )
    n = math.prod(first)
    return inv(A.reshape(n, n)).reshape((*last, *first))


@public
def tensorsolve(A: Any, B: Any, dims: Any = None) -> Any:
    """x of tensordot(A, x, x.ndim) = B; `dims` of A are moved to the end first."""
    same("linalg.tensorsolve", A, B)
    if dims is not None:
        rank = len(A.node.shape)
        moved = [wrap_dim(d, rank) for d in dims]
        A = A.permute([d for d in range(rank) if d not in moved] + moved)
    last = A.node.shape[len(B.node.shape) :]
    n = math.prod(last)
    if A.numel() != n * n or B.numel() != n:
        raise RuntimeError(
            "linalg.tensorsolve: Expected self to satisfy the requirement prod(self.shape[other."
            f"ndim:]) == prod(self.shape[:other.ndim]), got {list(A.node.shape)} and "
            f"{list(B.node.shape)}"
        )
    return solve(A.reshape(n, n), B.reshape(n)).reshape(last)
