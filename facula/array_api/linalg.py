"""The standard's extension for linear algebra."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import facula as torch
from facula.array_api.array import common, standard
from facula.array_api.elementwise import matmul
from facula.array_api.manipulation import matrix_transpose
from facula.array_api.statistics import _axes, sum

_l = torch.linalg
__all__ = ["matmul", "matrix_transpose"]


class EigResult(NamedTuple):
    """What `eig` returns."""

    eigenvalues: Any
    eigenvectors: Any


class EighResult(NamedTuple):
    """What `eigh` returns."""

    eigenvalues: Any
    eigenvectors: Any


class QRResult(NamedTuple):
    """What `qr` returns."""

    Q: Any
    R: Any


class SlogdetResult(NamedTuple):
    """What `slogdet` returns."""

    sign: Any
    logabsdet: Any


class SVDResult(NamedTuple):
    """What `svd` returns."""

    U: Any
    S: Any
    Vh: Any


@standard
def cholesky(x: Any, /, *, upper: bool = False) -> Any:
    """The triangular factor of positive definite matrices."""
    return _l.cholesky(x, upper=upper)


@standard
def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The cross product of vectors of three."""
    a, b = common(x1, x2)
    return _l.cross(*torch.broadcast_tensors(a, b), dim=axis)


@standard
def det(x: Any, /) -> Any:
    """The determinant."""
    return _l.det(x)


@standard
def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """A diagonal of each matrix."""
    return torch.diagonal(x, offset, -2, -1)


@standard
def eig(x: Any, /) -> EigResult:
    """Eigenvalues and eigenvectors."""
    return EigResult(*_l.eig(x))


@standard
def eigh(x: Any, /) -> EighResult:
    """Eigenvalues and eigenvectors of Hermitian matrices."""
    return EighResult(*_l.eigh(x))


@standard
def eigvals(x: Any, /) -> Any:
    """Eigenvalues."""
    return _l.eigvals(x)


@standard
def eigvalsh(x: Any, /) -> Any:
    """Eigenvalues of Hermitian matrices."""
    return _l.eigvalsh(x)


@standard
def inv(x: Any, /) -> Any:
    """The inverse."""
    return _l.inv(x)


@standard
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """A norm of each matrix."""
    return _l.matrix_norm(x, ord, keepdim=keepdims)


@standard
def matrix_power(x: Any, n: int, /) -> Any:
    """A matrix multiplied by itself."""
    return _l.matrix_power(x, n)


@standard
def matrix_rank(x: Any, /, *, rtol: Any = None) -> Any:
    """How many singular values are not negligible."""
    return _l.matrix_rank(x, rtol=rtol)


@standard
def outer(x1: Any, x2: Any, /) -> Any:
    """The products of all elements of one vector with those of another."""
    return torch.outer(*common(x1, x2))


@standard
def pinv(x: Any, /, *, rtol: Any = None) -> Any:
    """The pseudo-inverse."""
    return _l.pinv(x, rtol=rtol)


@standard
def qr(x: Any, /, *, mode: str = "reduced") -> QRResult:
    """The orthogonal and the triangular factor."""
    return QRResult(*_l.qr(x, mode))


@standard
def slogdet(x: Any, /) -> SlogdetResult:
    """Sign and logarithm of the determinant."""
    return SlogdetResult(*_l.slogdet(x))


@standard
def solve(x1: Any, x2: Any, /) -> Any:
    """The solution of linear equations; only a right side of one dimension is a vector."""
    a, b = common(x1, x2)
    if b.ndim == 1:
        return _l.solve(a, b.unsqueeze(-1)).squeeze(-1)
    batch = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return _l.solve(a.expand(*batch, *a.shape[-2:]), b.expand(*batch, *b.shape[-2:]))


@standard
def svd(x: Any, /, *, full_matrices: bool = True) -> SVDResult:
    """Singular vectors and values."""
    return SVDResult(*_l.svd(x, full_matrices))


@standard
def svdvals(x: Any, /) -> Any:
    """Singular values."""
    return _l.svdvals(x)


@standard
def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """The product summed over dimensions of both."""
    return torch.tensordot(*common(x1, x2), dims=axes)


@standard
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sum of a diagonal of each matrix."""
    return sum(torch.diagonal(x, offset, -2, -1), axis=-1, dtype=dtype)


@standard
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The products of vectors; the first is conjugated."""
    a, b = common(x1, x2)
    if not -min(a.ndim, b.ndim) <= axis < 0:
        raise ValueError(f"vecdot(): axis {axis} is not a last dimension of both arrays")
    if a.shape[axis] != b.shape[axis]:
        raise ValueError(f"vecdot(): sizes {a.shape[axis]} and {b.shape[axis]} differ")
    a, b = torch.broadcast_tensors(a, b)
    return torch.sum(a.conj_physical() * b, axis, dtype=a.dtype)


@standard
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """A norm over some dimensions, all without any."""
    axes = _axes(x, axis)
    if not axes:
        if axis == () or x.ndim:
            return torch.abs(x) if ord != 0 else (x != 0).to(x.dtype.to_real())
        return _l.vector_norm(x, ord)
    return _l.vector_norm(x, math.inf if ord == math.inf else ord, axes, keepdims)
