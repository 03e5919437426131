"""Diagonals and triangles of matrices, and functional writes into a part of a tensor."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from facula import devices
from facula.ops import movement as mv
from facula.ops import pointwise as pw
from facula.ops.shapes import diagonal
from facula.ops.table import api
from facula.tensor_base import wrap_dim
from facula.trace.recorder import record
from facula.values import from_array


@api
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices with the last dimension of the input along a diagonal, zeros elsewhere."""
    shape = input.node.shape
    rank = len(shape) + 1
    i, j = wrap_dim(dim1, rank), wrap_dim(dim2, rank)
    if i == j:
        raise RuntimeError(f"diag_embed: diagonal dimensions cannot be identical {dim1}, {dim2}")
    n = shape[-1] + (offset if offset >= 0 else -offset)
    rest = iter(shape[:-1])
    full = tuple([n if d in (i, j) else next(rest) for d in range(rank)])
    zeros = input.new_zeros(full)
    return record(mv.DIAGONAL_SCATTER, (zeros, input), (offset, i, j))


@api
def diag(input: Any, diagonal: int = 0) -> Any:
    """A vector as the diagonal of a matrix, or the diagonal of a matrix as a vector."""
    rank = len(input.node.shape)
    if rank == 1:
        return diag_embed.__wrapped__(input, diagonal)
    if rank == 2:
        return record(mv.CONTIGUOUS, (input.diagonal(diagonal),), 0)
    raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {rank}D")


@api
def diagflat(input: Any, offset: int = 0) -> Any:
    """All elements along the diagonal of a matrix."""
    return diag_embed.__wrapped__(input.reshape(-1), offset)


def _fitting(name: str, part: Any, src: Any) -> None:
    if part.node.shape != src.node.shape:
        raise RuntimeError(
            f"{name}: expected src to have a size equal to the slice of self. src size = "
            f"{list(src.node.shape)}, slice size = {list(part.node.shape)}"
        )


def _into(name: str, input: Any, src: Any, part: Any, prim: Any, params: Any) -> Any:
    _fitting(name, part, src)
    return record(prim, (input, src.to(input.dtype)), params)


@api
def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A copy of the input with `src` along a diagonal."""
    rank = len(input.node.shape)
    part = diagonal.__wrapped__(input.detach(), offset, dim1, dim2)
    at = (offset, wrap_dim(dim1, rank), wrap_dim(dim2, rank))
    return _into("diagonal_scatter", input, src, part, mv.DIAGONAL_SCATTER, at)


@api
def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """A copy of the input with `src` as one element of a dimension."""
    part = input.detach().select(dim, index)
    d = wrap_dim(dim, len(input.node.shape))
    n = input.node.shape[d]
    at = tuple(
        [
            (index + n if index < 0 else index) if k == d else (0, m, 1)
            for k, m in enumerate(input.node.shape)
        ]
    )
    return _into("select_scatter", input, src, part, mv.SLICE_SCATTER, at)


@api
def slice_scatter(
    input: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    """A copy of the input with `src` in a range of a dimension."""
    shape = input.node.shape
    d = wrap_dim(dim, len(shape))
    if step <= 0:
        raise RuntimeError(f"slice_scatter: slice step must be positive, got {step}")
    a, b, _ = slice(start, end).indices(shape[d])
    count = max(0, -(-(b - a) // step))
    at = tuple([(a, count, step) if k == d else (0, m, 1) for k, m in enumerate(shape)])
    return _into(
        "slice_scatter", input, src, record(mv.SLICE, (input.detach(),), at), mv.SLICE_SCATTER, at
    )


def _triangle(t: Any, p: Any) -> Any:
    name, diagonal = p
    m, n = t.node.shape[-2:]
    rows = from_array(np.arange(m, dtype=np.int64).reshape(m, 1))
    columns = from_array(np.arange(n, dtype=np.int64) - diagonal)
    if t.node.device is not None:
        rows, columns = [devices.moved(x, t.device) for x in (rows, columns)]
    mask = record(pw.LE if name == "tril" else pw.GE, (columns, rows))
    return record(TRIANGLE, (mask, t), p)


# The elements where a mask is true, and zeros. Parameters: the function's name and the diagonal, of
# which the gradient makes the mask anew: PyTorch saves nothing.
TRIANGLE = pw.pointwise(
    "triangle",
    lambda p, s, mask, a: np.where(mask, a, a.dtype.type(0)),
    None,
    lambda g, p: _triangle(g, p),
)


def _declare_triangle(name: str) -> None:
    def f(input: Any, diagonal: int = 0) -> Any:
        if len(input.node.shape) < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
        m, n = input.node.shape[-2:]
        return mv.in_layout(_triangle(input, (name, max(-m, min(n, index(diagonal))))), None)

    f.__name__ = name
    f.__doc__ = f"The {name} part of matrices; zeros elsewhere."
    api(f, inplace=True)


_declare_triangle("tril")
_declare_triangle("triu")
