"""The functions of linear algebra that PyTorch has outside of `linalg`, and as methods."""

from __future__ import annotations

import math
from typing import Any

from facula import dtypes
from facula import linalg as la
from facula.linalg import primitives as pm
from facula.linalg import spectral as sp
from facula.linalg.checks import matrix, succeeded
from facula.linalg.factor import _NOT_POSITIVE, _int32, reflected
from facula.ops import pointwise as pw
from facula.ops.composed import whole
from facula.ops.indices import known
from facula.ops.promotion import need
from facula.ops.table import FUNCTIONS, api
from facula.ops.underived import underived
from facula.return_types import fields
from facula.trace.recorder import record

_QR = fields("qr")
_SVD = fields("svd")
_GEQRF = fields("geqrf")
_TRIANGULAR = fields("triangular_solve")
_LU_INFOS = fields("_lu_with_info")
_LU_UNPACK = fields("lu_unpack")
_SLOGDET = fields("slogdet")


def _same_as(name: str, f: Any) -> None:
    def call(*args: Any, **kwargs: Any) -> Any:
        return f.__wrapped__(*args, **kwargs)

    call.__name__ = name
    call.__doc__ = f.__doc__
    api(call)


_same_as("det", la.det)
_same_as("inverse", la.inv)
_same_as("matrix_power", la.matrix_power)
_same_as("matrix_exp", la.matrix_exp)
_same_as("orgqr", la.householder_product)


@api
def slogdet(input: Any) -> Any:
    """The sign and the logarithm of the determinant's absolute value."""
    return _SLOGDET(la.slogdet(input))


@api
def logdet(input: Any) -> Any:
    """The logarithm of the determinant; NaN where it is negative."""
    sign, size = la.slogdet(input)
    if input.dtype.is_complex:
        return sign.log() + size.to(sign.dtype)
    return record(pw.WHERE, (sign == -1, size.new_full((), math.nan), size))


@api
def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """The pseudo-inverse."""
    return la.pinv(input, rcond)


@api
def cholesky(input: Any, upper: bool = False) -> Any:
    """The Cholesky factor; LinAlgError where the input is not positive-definite."""
    matrix("cholesky", input)
    factor, info = pm.CHOLESKY(input, upper)
    succeeded("cholesky", _int32(info), _NOT_POSITIVE)
    return pm.adjoint(factor) if upper else factor


@api
def cholesky_solve(input: Any, L: Any, upper: bool = False) -> Any:
    """x of A x = input, from the Cholesky factor of A."""
    matrix("cholesky_solve", L, what="L")
    matrix("cholesky_solve", input, False, "input")
    if input.node.shape[-2] != L.node.shape[-1]:
        raise RuntimeError(
            f"cholesky_solve: Incompatible matrix sizes: each A matrix is {L.node.shape[-1]} by "
            f"{L.node.shape[-1]} but each b matrix is {input.node.shape[-2]} by "
            f"{input.node.shape[-1]}"
        )
    half = L.triu() if upper else L.tril()
    factor = L + (half - L).detach()  # the other triangle is not read, but gets its gradient
    low = pm.adjoint(factor) if upper else factor
    x = pm.solve_adjoint(low, pm.solve(low, input, "lower"), "lower")
    return whole(x, "CholeskySolve", input, L)


@api
def cholesky_inverse(input: Any, upper: bool = False) -> Any:
    """The inverse of A, from its Cholesky factor."""
    matrix("cholesky_inverse", input)
    return cholesky_solve.__wrapped__(
        pm.eye_like(input, input.node.shape[-1]).expand(input.node.shape), input, upper
    )


@api
def qr(input: Any, some: bool = True) -> Any:
    """Q and R; complete with `some=False`."""
    return _QR(la.qr(input, "reduced" if some else "complete"))


@api
def svd(input: Any, some: bool = True, compute_uv: bool = True) -> Any:
    """U, S and V (not its adjoint) with input = U diag(S) V^H."""
    if not compute_uv:
        m, n = input.node.shape[-2:]
        batch = input.node.shape[:-2]
        zeros = input.new_zeros((*batch, m, m)), input.new_zeros((*batch, n, n))
        return _SVD((zeros[0], la.svdvals(input), zeros[1]))
    u, s, vh = la.svd(input, not some)
    return _SVD((u, s, pm.adjoint(vh)))


@api
def geqrf(input: Any) -> Any:
    """Householder's reflections of the QR factorisation, and R above them."""
    matrix("geqrf", input, False, "input")
    return _GEQRF([underived("geqrf", t, input) for t in sp.GEQRF(input)])


@api
def ormqr(input: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
    """The product of Q, given by reflections, and another matrix."""
    need("ormqr", input=input, tau=tau, other=other)
    if len(input.node.shape) < 2 or len(other.node.shape) < 2:
        raise RuntimeError(
            f"torch.ormqr: input must have at least 2 dimensions, got {list(input.node.shape)} "
            f"and {list(other.node.shape)}"
        )
    m = other.node.shape[-2 if left else -1]
    k = tau.node.shape[-1]
    if k != min(m, input.node.shape[-1]):
        raise RuntimeError(
            f"torch.ormqr: tau.shape[-1] must be equal to min(other.shape[-2], input.shape[-1]), "
            f"got {k} and {list(other.node.shape)}, {list(input.node.shape)}"
        )
    if input.node.shape[-2] != m:
        raise RuntimeError(
            f"torch.ormqr: input.shape[-2] must be equal to other.shape[{-2 if left else -1}], got "
            f"{input.node.shape[-2]} and {m}"
        )
    batch = input.node.shape[:-2]
    if tau.node.shape[:-1] != batch or other.node.shape[:-2] != batch:
        raise RuntimeError(
            f"torch.ormqr: batch dimensions of tau and other must be input's, got "
            f"{[list(t.node.shape) for t in (input, tau, other)]}"
        )
    matrix("torch.ormqr", input, False, "input")
    first = range(k)
    if left:  # Q other or Q^H other
        order = first if transpose else range(k - 1, -1, -1)
        return reflected(input, tau, other, order, transpose)
    # other Q = (Q^H other^H)^H
    order = range(k - 1, -1, -1) if transpose else first
    return pm.adjoint(reflected(input, tau, pm.adjoint(other), order, not transpose))


@api
def triangular_solve(
    input: Any,
    A: Any,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
) -> Any:
    """x of A x = input (A^T x = input) for triangular A, and a copy of A."""
    matrix("triangular_solve", A)
    if transpose:
        x = la.solve_triangular(
            A.transpose(-2, -1), input, upper=not upper, unitriangular=unitriangular
        )
    else:
        x = la.solve_triangular(A, input, upper=upper, unitriangular=unitriangular)
    x = whole(x, "TriangularSolve", input, A)
    return _TRIANGULAR((x, A.expand((*x.node.shape[:-2], *A.node.shape[-2:])).clone()))


@api
def lu(input: Any, pivot: bool = True, get_infos: bool = False) -> Any:
    """The compact LU factor and the rows exchanged (and the first zero pivots)."""
    out = la.lu_factor_ex(input, pivot=pivot)
    return _LU_INFOS(out) if get_infos else tuple(out[:2])


@api
def lu_solve(input: Any, LU_data: Any, LU_pivots: Any) -> Any:
    """x of A x = input, from the LU factor of A."""
    return la.lu_solve(LU_data, LU_pivots, input)


@api(method=False)
def lu_unpack(
    LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True
) -> Any:
    """P, L and U from a compact factor; what is not asked for is empty."""
    if LU_pivots.dtype is not dtypes.int32:
        raise RuntimeError(
            f"torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 "
            f"dtype, got {LU_pivots.dtype}"
        )
    if unpack_pivots:
        at = known(LU_pivots)
        if at.size and (at.min() < 1 or at.max() > LU_data.node.shape[-2]):
            raise RuntimeError(
                "pivots passed to lu_unpack must be between 1 and LU.size(-2) inclusive. Did you "
                "properly pass the result of lu_factor?"
            )
    empty = LU_data.new_empty((0,))
    low, up = pm.split_lu(LU_data) if unpack_data else (empty, empty)
    p = empty
    if unpack_pivots:
        p = pm.permutation(LU_pivots, LU_data.node.shape[-2]).to(LU_data.dtype)
    return _LU_UNPACK((p, low, up))


# Random projections. Source: Halko, Martinsson, Tropp, "Finding structure with randomness" (2009).
@api(method=False)
def svd_lowrank(A: Any, q: int = 6, niter: int = 2, M: Any = None) -> Any:
    """An approximate singular value decomposition of rank q: U, S, V."""
    t = A if M is None else A - M.expand(A.node.shape)
    m, n = t.node.shape[-2:]
    tall = m >= n
    x = t if tall else pm.adjoint(t)
    q = min(q, m, n)
    start = FUNCTIONS["randn"](x.node.shape[-1], q, dtype=A.dtype, device=A.device)
    basis = la.qr(x @ start)[0]
    for _ in range(niter):
        basis = la.qr(pm.adjoint(x) @ basis)[0]
        basis = la.qr(x @ basis)[0]
    u, s, vh = la.svd(pm.adjoint(basis) @ x, False)
    u, v = basis @ u, pm.adjoint(vh)
    return (u, s, v) if tall else (v, s, u)


@api(method=False)
def pca_lowrank(A: Any, q: Any = None, center: bool = True, niter: int = 2) -> Any:
    """Principal components: svd_lowrank of the matrix with its columns centred."""
    m, n = A.node.shape[-2:]
    q = min(6, m, n) if q is None else q
    if not 0 <= q <= min(m, n):
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}"
        )
    return svd_lowrank.__wrapped__(A - A.mean(-2, keepdim=True) if center else A, q, niter)
