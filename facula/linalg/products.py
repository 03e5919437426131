"""Products and powers of matrices and vectors."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from facula import dtypes
from facula.linalg import spectral as sp
from facula.linalg.checks import matrix, same
from facula.linalg.solvers import inv
from facula.ops import pointwise as pw
from facula.ops.einsum import vector_product
from facula.ops.promotion import need
from facula.ops.table import FUNCTIONS, public
from facula.tensor_base import wrap_dim
from facula.trace.recorder import record


def matmul(input: Any, other: Any, *, out: Any = None) -> Any:
    """`facula.matmul`."""
    return FUNCTIONS["matmul"](input, other, out=out)


@public
def cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """The vector product along a dimension of size 3."""
    need("linalg.cross", input=input, other=other)
    return vector_product("linalg.cross", input, other, dim)


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The diagonal of the last two dimensions, as a view."""
    return FUNCTIONS["diagonal"](A, offset, dim1, dim2)


@public
def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """Inner products along a dimension, the first operand conjugated."""
    same("linalg.vecdot", x, y)
    if x.dtype.category < dtypes.FLOAT:
        raise RuntimeError(
            f"linalg.vecdot: Expected a floating point or complex tensor as input. Got {x.dtype}"
        )
    t = (x.conj_physical() if x.dtype.is_complex else x) * y
    return t.sum(wrap_dim(dim, len(t.node.shape)))


@public
def matrix_power(A: Any, n: int) -> Any:
    """The product of n copies of a matrix (of its inverse for negative n)."""
    need("linalg.matrix_power", A=A)
    shape = A.node.shape
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise RuntimeError(
            f"linalg.matrix_power: A must be batches of square matrices, got {list(shape)}"
        )
    if n == 0:
        return record(pw.COPY, (A, A.new_ones(shape[-2:]).tril().triu()))
    base = inv(A) if n < 0 else A
    n, out = abs(n), None
    while n:
        if n & 1:
            out = base if out is None else out @ base
        n >>= 1
        if n:
            base = base @ base
    return out.clone() if out is A else out  # type: ignore[union-attr]


@public
def multi_dot(tensors: Any) -> Any:
    """The product of several matrices (vectors at the ends) in the cheapest order."""
    if not isinstance(tensors, (tuple, list)):
        raise TypeError(
            "multi_dot(): argument 'tensors' must be tuple of Tensors, not "
            f"{type(tensors).__name__}"
        )
    ts = list(tensors)
    if len(ts) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(ts)}")
    for i, t in enumerate(ts):
        ends = i in (0, len(ts) - 1)
        if len(t.node.shape) != 2 and not (ends and len(t.node.shape) == 1):
            raise RuntimeError(
                f"multi_dot(): tensor {i} must be 2D (or 1D at the ends) but got "
                f"{len(t.node.shape)}D"
            )
        same("multi_dot", ts[0], t)
    first, last = len(ts[0].node.shape) == 1, len(ts[-1].node.shape) == 1
    if first:
        ts[0] = ts[0].unsqueeze(0)
    if last:
        ts[-1] = ts[-1].unsqueeze(1)
    sizes = [t.node.shape[0] for t in ts] + [ts[-1].node.shape[1]]
    for a, b in pairwise(ts):
        if a.node.shape[1] != b.node.shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors with shapes {list(a.node.shape)} and {list(b.node.shape)} "
                "cannot be multiplied"
            )
    n = len(ts)
    cost = {(i, i): (0, i) for i in range(n)}
    for width in range(1, n):
        for i in range(n - width):
            j = i + width
            cost[i, j] = min(
                [
                    (cost[i, k][0] + cost[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                    for k in range(i, j)
                ]
            )

    def product(i: int, j: int) -> Any:
        if i == j:
            return ts[i]
        k = cost[i, j][1]
        return product(i, k) @ product(k + 1, j)

    out = product(0, n - 1)
    if last:
        out = out.squeeze(1)
    return out.squeeze(0) if first else out


@public
def matrix_exp(A: Any) -> Any:
    """The exponential of a matrix."""
    half = A.dtype in (dtypes.float16, dtypes.bfloat16)
    t = A.to(dtypes.float32) if half else A
    matrix("linalg.matrix_exp", t)
    return record(sp.EXPONENTIAL, (t,)).to(A.dtype)


def vander(x: Any, *, N: Any = None) -> Any:
    """The powers 0 .. N - 1 of every element, in a new last dimension."""
    need("linalg.vander", x=x)
    if x.dtype is dtypes.bool:
        raise RuntimeError("linalg.vander: Expected a numeric tensor, got bool")
    n = int(N) if N is not None else x.node.shape[-1] if x.node.shape else 1
    if n <= 1:
        raise RuntimeError(f"linalg.vander: N must be greater than 1, got {n}")
    t = x if x.dtype.category >= dtypes.FLOAT else x.to(dtypes.int64)
    t = (t if t.node.shape else t.reshape(1)).unsqueeze(-1)
    one = t.new_ones(t.node.shape)
    powers = t.expand((*t.node.shape[:-1], max(n - 1, 0))).cumprod(-1)
    return FUNCTIONS["cat"]([one, powers], -1)
