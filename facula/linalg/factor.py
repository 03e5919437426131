"""Factorisations: Cholesky, LU, LDL, QR, eigenvalues, singular values."""

from __future__ import annotations

from typing import Any

import numpy as np

from facula import dtypes
from facula.linalg import primitives as pm
from facula.linalg import spectral as sp
from facula.linalg.checks import matrix, same, succeeded
from facula.ops import pointwise as pw
from facula.ops.composed import whole
from facula.ops.indices import known
from facula.ops.registry import Op, broadcast
from facula.ops.table import public
from facula.ops.underived import underived
from facula.return_types import fields
from facula.trace.recorder import record

_CHOLESKY_EX = fields("linalg_cholesky_ex")
_LU = fields("linalg_lu")
_LU_FACTOR = fields("linalg_lu_factor")
_LU_FACTOR_EX = fields("linalg_lu_factor_ex")
_QR = fields("linalg_qr")
_EIGH = fields("linalg_eigh")
_EIG = fields("linalg_eig")
_SVD = fields("linalg_svd")
_LDL = fields("linalg_ldl_factor")
_LDL_EX = fields("linalg_ldl_factor_ex")
_NOT_POSITIVE = (
    "The factorization could not be completed because the input is not positive-definite (the "
    "leading minor of order {} is not positive-definite)."
)


def _int32(t: Any) -> Any:
    return pm.real_part(t.detach()).to(dtypes.int32)


@public
def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False) -> Any:
    """The Cholesky factor, and the order of the first minor that is not positive (0: none)."""
    matrix("linalg.cholesky_ex", A)
    factor, info = pm.CHOLESKY(A, upper)
    info = _int32(info)
    if check_errors:
        succeeded("linalg.cholesky_ex", info, _NOT_POSITIVE)
    return _CHOLESKY_EX((pm.adjoint(factor) if upper else factor, info))


@public
def cholesky(A: Any, *, upper: bool = False) -> Any:
    """L with A = L L^H (or the upper factor); LinAlgError where A is not positive-definite."""
    matrix("linalg.cholesky", A)
    factor, info = pm.CHOLESKY(A, upper)
    # One that was not completed has a zero on its diagonal: only then its place is looked up.
    there = factor.node.device is None
    if not (there and (np.diagonal(known(factor), 0, -2, -1).real > 0).all()):
        succeeded("linalg.cholesky", _int32(info), _NOT_POSITIVE)
    return pm.adjoint(factor) if upper else factor


@public
def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """The compact LU factor, the rows exchanged, and the first zero pivot (0: none)."""
    matrix("linalg.lu_factor_ex", A, False)
    lu_, pivots, info = pm.LU(A, bool(pivot))
    info = _int32(info)
    if check_errors:
        succeeded(
            "linalg.lu_factor_ex",
            info,
            "U[{0},{0}] is zero and using it on lu_solve would result in a division by zero.",
        )
    return _LU_FACTOR_EX((lu_, _int32(pivots), info))


@public
def lu_factor(A: Any, *, pivot: bool = True) -> Any:
    """The compact LU factor and the rows exchanged."""
    return _LU_FACTOR(lu_factor_ex(A, pivot=pivot)[:2])


@public
def lu(A: Any, *, pivot: bool = True) -> Any:
    """P, L and U with A = P L U; P is empty without pivoting."""
    matrix("linalg.lu", A, False)
    packed, pivots, _ = pm.LU(A, bool(pivot))
    low, up = pm.split_lu(packed)
    if not pivot:
        return _LU((A.new_empty((0,)), low, up))
    return _LU((pm.permutation(pivots.detach(), A.node.shape[-2]), low, up))


@public
def qr(A: Any, mode: str = "reduced") -> Any:
    """Q, orthonormal, and R, upper triangular, with A = Q R."""
    matrix("linalg.qr", A, False)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', "
            "or 'complete'"
        )
    if mode == "r":
        return _QR((A.new_empty((0,)), sp.QR(A, "reduced")[1]))
    return _QR(sp.QR(A, mode))


def _uplo(name: str, A: Any, UPLO: str) -> Any:
    matrix(name, A)
    if UPLO not in ("L", "U", "l", "u"):
        raise RuntimeError(f"{name}: Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return A if UPLO in "Ll" else pm.adjoint(A)


@public
def eigh(A: Any, UPLO: str = "L") -> Any:
    """Eigenvalues, ascending, and eigenvectors of Hermitian matrices, given by one triangle."""
    values, vectors = sp.EIGH(_uplo("linalg.eigh", A, UPLO))
    return _EIGH((pm.real_part(values), vectors))


@public
def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """The eigenvalues of Hermitian matrices, ascending."""
    return pm.real_part(sp.EIGVALSH(_uplo("linalg.eigvalsh", A, UPLO))[0])


@public
def eig(A: Any) -> Any:
    """Eigenvalues and eigenvectors of square matrices, complex, in no particular order."""
    matrix("linalg.eig", A)
    return _EIG(sp.EIG(A))


@public
def eigvals(A: Any) -> Any:
    """The eigenvalues of square matrices, complex, in no particular order."""
    return eig(A)[0]


def _no_driver(name: str, A: Any, driver: str | None) -> None:
    if driver is not None and A.node.device is None:
        raise RuntimeError(f"{name}: argument 'driver' is of use on CUDA only, got {driver!r}")


@public
def svd(A: Any, full_matrices: bool = True, *, driver: str | None = None) -> Any:
    """U, S (descending) and V^H with A = U diag(S) V^H."""
    matrix("linalg.svd", A, False)
    _no_driver("linalg.svd", A, driver)
    u, s, vh = sp.SVD(A, bool(full_matrices))
    return _SVD((u, pm.real_part(s), vh))


@public
def svdvals(A: Any, *, driver: str | None = None) -> Any:
    """The singular values, descending."""
    matrix("linalg.svdvals", A, False)
    _no_driver("linalg.svdvals", A, driver)
    return pm.real_part(sp.SVDVALS(A)[0])


@public
def householder_product(A: Any, tau: Any) -> Any:
    """The first columns of H_1 H_2 ... H_k, H_i = I - tau_i v_i v_i^H, v_i below A's diagonal."""
    matrix("linalg.householder_product", A, False)
    m, n = A.node.shape[-2:]
    if m < n:
        raise RuntimeError(
            f"linalg.householder_product: input.shape[-2] must be greater than or equal to "
            f"input.shape[-1], got {list(A.node.shape)}"
        )
    if tau.node.shape[-1] > n:
        raise RuntimeError(
            f"linalg.householder_product: input.shape[-1] must be greater than or equal to "
            f"tau.shape[-1], got {list(A.node.shape)} and {list(tau.node.shape)}"
        )
    if tau.node.shape[:-1] != A.node.shape[:-2]:
        raise RuntimeError(
            f"linalg.householder_product: batch dimensions of tau must be input's, got "
            f"{list(A.node.shape)} and {list(tau.node.shape)}"
        )
    start = record(pw.COPY, (A, A.new_ones((m, n)).tril().triu()))
    out = reflected(A, tau, start, range(tau.node.shape[-1] - 1, -1, -1))
    return whole(out, "LinalgHouseholderProduct", A, tau)


def reflected(A: Any, tau: Any, other: Any, order: Any, conjugate: bool = False) -> Any:
    """Householder reflections applied to another matrix from the left, one after the other."""
    unit = A.tril(-1) + A.new_ones(A.node.shape[-2:]).tril().triu()
    out = other.clone() if not len(order) else other
    for i in order:
        v = unit.narrow(-1, i, 1)
        t = tau.narrow(-1, i, 1).unsqueeze(-1)
        out = out - (t.conj_physical() if conjugate else t) * (v @ (pm.adjoint(v) @ out))
    return out


# LDL: the method of Bunch and Kaufman (1977), as LAPACK's sytrf stores it, lower triangle.
def _one_norm(x: Any) -> Any:
    return np.abs(x.real) + np.abs(x.imag)


def _ldl_one(a: Any, hermitian: bool) -> tuple[Any, Any, int]:
    n, info, k = len(a), 0, 0
    pivots = np.zeros(n, np.int64)
    limit = (1 + 17**0.5) / 8
    star = np.conj if hermitian else (lambda x: x)
    while k < n:
        step, kp = 1, k
        own = _one_norm(a[k, k])
        worst = k + 1 + int(np.argmax(_one_norm(a[k + 1 :, k]))) if k + 1 < n else k
        column = _one_norm(a[worst, k]) if k + 1 < n else 0.0
        if max(own, column) == 0:
            info = info or k + 1
            pivots[k] = k + 1
            k += 1
            continue
        if own < limit * column:
            row = _one_norm(a[worst, k:worst]).max()
            if worst + 1 < n:
                row = max(row, _one_norm(a[worst + 1 :, worst]).max())
            if own < limit * column * (column / row):
                kp = worst
                if _one_norm(a[worst, worst]) < limit * row:
                    step = 2
        kk = k + step - 1
        if kp != kk:
            a[kp + 1 :, [kk, kp]] = a[kp + 1 :, [kp, kk]]
            middle = a[kk + 1 : kp, kk].copy()
            a[kk + 1 : kp, kk] = star(a[kp, kk + 1 : kp])
            a[kp, kk + 1 : kp] = star(middle)
            a[kp, kk] = star(a[kp, kk])
            a[kk, kk], a[kp, kp] = a[kp, kp], a[kk, kk]
            if step == 2:
                a[k + 1, k], a[kp, k] = a[kp, k], a[k + 1, k]
        if step == 1:
            x = a[k + 1 :, k] / a[k, k]
            a[k + 1 :, k + 1 :] -= np.tril(np.outer(x, star(a[k + 1 :, k])))
            a[k + 1 :, k] = x
            pivots[k] = kp + 1
        else:
            block = np.array([[a[k, k], star(a[k + 1, k])], [a[k + 1, k], a[k + 1, k + 1]]])
            old = a[k + 2 :, k : k + 2].copy()
            new = old @ np.linalg.inv(block)
            a[k + 2 :, k + 2 :] -= np.tril(new @ star(old).T)
            a[k + 2 :, k : k + 2] = new
            pivots[k] = pivots[k + 1] = -(kp + 1)
        k += step
    return a, pivots, info


def _ldl(p: Any, a: Any) -> Any:
    done = [_ldl_one(m, p) for m in a.reshape(-1, *a.shape[-2:]).copy()]
    batch = a.shape[:-2]
    return [
        np.stack([d[0] for d in done]).reshape(a.shape),
        np.stack([d[1] for d in done]).reshape(a.shape[:-1]),
        np.array([d[2] for d in done]).reshape(batch),
    ]


_LDL_FACTOR = pm.Packed("ldl_factor", lambda p, s: [s, (s[0],), ()], _ldl)


@public
def ldl_factor_ex(A: Any, *, hermitian: bool = False, check_errors: bool = False) -> Any:
    """The compact LDL factor of symmetric matrices, its pivots, the first zero block (0: none)."""
    matrix("linalg.ldl_factor_ex", A)
    packed, pivots, info = _LDL_FACTOR(A, bool(hermitian))
    info = _int32(info)
    if check_errors:
        succeeded("linalg.ldl_factor_ex", info, "D[{0},{0}] is zero")
    packed = underived("linalg_ldl_factor_ex", packed.tril(), A)
    return _LDL_EX((packed, _int32(pivots), info))


@public
def ldl_factor(A: Any, *, hermitian: bool = False) -> Any:
    """The compact LDL factor of symmetric matrices and its pivots."""
    return _LDL(ldl_factor_ex(A, hermitian=hermitian)[:2])


def _ldl_solve_one(a: Any, pivots: Any, b: Any, hermitian: bool) -> Any:
    n, k = len(a), 0
    b = b.copy()
    star = np.conj if hermitian else (lambda x: x)

    def swap(i: int, j: int) -> None:
        b[[i, j]] = b[[j, i]]

    while k < n:
        if pivots[k] > 0:
            swap(k, pivots[k] - 1)
            b[k + 1 :] -= np.outer(a[k + 1 :, k], b[k])
            b[k] = b[k] / a[k, k]
            k += 1
        else:
            swap(k + 1, -pivots[k] - 1)
            b[k + 2 :] -= a[k + 2 :, k : k + 2] @ b[k : k + 2]
            block = np.array([[a[k, k], star(a[k + 1, k])], [a[k + 1, k], a[k + 1, k + 1]]])
            b[k : k + 2] = np.linalg.solve(block, b[k : k + 2])
            k += 2
    k = n - 1
    while k >= 0:
        wide = 1 if pivots[k] > 0 else 2
        at = slice(k - wide + 1, k + 1)
        b[at] -= star(a[k + 1 :, at]).T @ b[k + 1 :]
        swap(k, abs(int(pivots[k])) - 1)
        k -= wide
    return b


def _ldl_solve(p: Any, s: Any, a: Any, pivots: Any, b: Any) -> Any:
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = np.empty((*batch, *b.shape[-2:]), b.dtype)
    x, y = np.broadcast_to(a, (*batch, *a.shape[-2:])), np.broadcast_to(b, out.shape)
    q = np.broadcast_to(pivots, (*batch, pivots.shape[-1]))
    for i in np.ndindex(*batch):
        out[i] = _ldl_solve_one(x[i], q[i], y[i], p)
    return out


_LDL_SOLVE: Op = Op(
    "ldl_solve",
    lambda p, st, a, q, b: (
        (*broadcast([a.shape[:-2], b.shape[:-2]], "ldl_solve"), *b.shape[-2:]),
        b.dtype,
        None,
        0,
    ),
    _ldl_solve,
)


@public
def ldl_solve(LD: Any, pivots: Any, B: Any, *, hermitian: bool = False) -> Any:
    """x of A x = B, from what ldl_factor gave for A."""
    matrix("linalg.ldl_solve", LD, what="LD")
    matrix("linalg.ldl_solve", B, False, "B")
    same("linalg.ldl_solve", LD, B)
    if pivots.node.shape != LD.node.shape[:-1]:
        raise RuntimeError(
            f"linalg.ldl_solve: Expected LD.shape[:-1] and pivots.shape to be the same, but got "
            f"{list(LD.node.shape[:-1])} and {list(pivots.node.shape)}"
        )
    if LD.node.shape[-1] != B.node.shape[-2]:
        raise RuntimeError(
            f"Incompatible matrix sizes for linalg.ldl_solve: LD has the shape "
            f"{list(LD.node.shape)} and B the shape {list(B.node.shape)}"
        )
    return record(_LDL_SOLVE, (LD, pivots, B), bool(hermitian))
