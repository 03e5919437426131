"""Sparse tensors and what is done with them.

Source: https://pytorch.org/docs/stable/sparse.html
"""

from __future__ import annotations

from typing import Any

import numpy as np

import facula
from facula.errors import honest
from facula.sparse.operations import index_select
from facula.sparse.tensor import SparseTensor, make, on_cpu, sparse_coo_tensor
from facula.tensor import Tensor
from facula.tensor_base import wrap_dim
from facula.values import from_array

__all__ = ["addmm", "log_softmax", "mm", "smm", "softmax", "spdiags", "sspaddmm", "sum"]


def mm(mat1: Any, mat2: Any, reduce: str | None = None) -> Any:
    """The product of matrices of which one is sparse, or both."""
    if reduce not in (None, "sum"):
        raise NotImplementedError(f"sparse.mm: reduce='{reduce}' is not in Facula")
    return facula.mm(mat1, mat2)


def addmm(mat: Any, mat1: Any, mat2: Any, *, beta: Any = 1.0, alpha: Any = 1.0) -> Any:
    """beta * mat + alpha * mat1 @ mat2 for a sparse mat1."""
    return mat * beta + facula.mm(mat1, mat2) * alpha


def smm(input: Any, mat: Any) -> Any:
    """The product of a sparse and a dense matrix, as a sparse one."""
    return to_sparse(facula.mm(input, mat))


def hspmm(mat1: Any, mat2: Any) -> Any:
    """The product of a sparse and a dense matrix, as a sparse tensor of its rows."""
    return to_sparse(facula.mm(mat1, mat2), 1)


def sspaddmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * mat1 @ mat2 as a sparse matrix, for sparse input and mat1."""
    return input * beta + smm(mat1, mat2) * alpha


def to_sparse(input: Any, sparse_dim: int | None = None, **kwargs: Any) -> Any:
    """A sparse tensor of the elements (or slices) that are not zero."""
    if kwargs.get("layout") not in (None, facula.sparse_coo):
        from facula.sparse.compressed import convert

        return convert(input, kwargs["layout"])
    n = input.dim() if sparse_dim is None else sparse_dim
    if not 0 <= n <= input.dim() or (n == 0 and input.dim()):
        raise RuntimeError(
            f"sparse_dim argument must be in >0 when self.dim()>0, and at most {input.dim()}, but "
            f"got {n}"
        )
    on_cpu("to_sparse", None, input)
    there = input.detach() != 0
    if n < input.dim():
        there = there.reshape((*input.shape[:n], -1)).any(-1)
    positions = np.stack([np.asarray(x) for x in np.nonzero(np.atleast_1d(there.numpy()))])
    positions = positions[:n]
    values = input[tuple([from_array(row) for row in positions])] if n else input.reshape(1)
    return make(positions, values, input.shape, True)


def sparse_mask(input: Any, mask: Any) -> Any:
    """The elements of a dense tensor where a sparse one has elements."""
    mask = mask.coalesce()
    if input.shape != mask.shape:
        raise RuntimeError(
            f"sparse_mask(): operands have incompatible sizes; self has size {list(input.shape)} "
            f"but mask has size {list(mask.shape)}"
        )
    return mask._with(input[tuple([from_array(row) for row in mask._positions])])


def sum(input: Any, dim: Any = None, dtype: Any = None) -> Any:
    """The sum of all elements, or over dimensions: a sparse tensor while sparse ones are left."""
    s = input if dtype is None else input.to(dtype)
    if s.dtype.category < 2 and dtype is None:
        s = s.to(facula.int64)
    if dim is None:
        return s._elements.sum()
    dims = {wrap_dim(d, s.dim()) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))}
    n = s.sparse_dim()
    rows = [d for d in range(n) if d not in dims]
    inner = [d - n + 1 for d in dims if d >= n]
    values = s._elements.sum(inner) if inner else s._elements
    if not rows:
        return values.sum(0)
    size = [m for d, m in enumerate(s.shape) if d not in dims]
    kept = len(rows) == n and s._coalesced
    return make(s._positions[rows], values, size, kept).coalesce()


def _grouped(s: Any, dim: int) -> tuple[Any, Any]:
    """A coalesced tensor, and for each element the number of its row along a dimension."""
    s = s.coalesce()
    others = [d for d in range(s.sparse_dim()) if d != dim]
    rows = s._positions[others]
    if not others:
        return s, from_array(np.zeros(s._nnz(), np.int64))
    return s, from_array(np.unique(rows, axis=1, return_inverse=True)[1].reshape(-1))


def _softmax(name: str, input: Any, dim: int, dtype: Any, log: bool) -> Any:
    s = input if dtype is None else input.to(dtype)
    d = wrap_dim(dim, s.dim())
    if d >= s.sparse_dim():
        f = facula.log_softmax if log else facula.softmax
        return s._with(f(s._elements, d - s.sparse_dim() + 1))
    s, group = _grouped(s, d)
    v = s._elements
    count = int(group.max()) + 1 if group.numel() else 0
    shape = (count, *v.shape[1:])
    at = group.reshape((-1,) + (1,) * (v.dim() - 1)).expand(v.shape)
    top = v.new_full(shape, -float("inf")).scatter_reduce(0, at, v.detach(), "amax")
    shifted = v - top.index_select(0, group)
    e = shifted.exp()
    total = v.new_zeros(shape).index_add(0, group, e)
    if log:
        return s._with(shifted - total.log().index_select(0, group))
    return s._with(e / total.index_select(0, group))


def softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Softmax over the elements that there are; those that are missing count as -infinity."""
    return _softmax("softmax", input, dim, dtype, False)


def log_softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """The logarithm of softmax."""
    return _softmax("log_softmax", input, dim, dtype, True)


def spdiags(diagonals: Any, offsets: Any, shape: Any, layout: Any = None) -> Any:
    """A sparse matrix with rows of `diagonals` along its diagonals, placed as in SciPy."""
    if layout not in (None, facula.sparse_coo):
        raise NotImplementedError(f"spdiags: layout {layout} is not in Facula")
    on_cpu("sparse.spdiags", None, diagonals, offsets)
    diagonals = diagonals.reshape(1, -1) if diagonals.dim() == 1 else diagonals
    ks = np.atleast_1d(offsets.numpy())
    if len(set(ks.tolist())) != len(ks):
        raise RuntimeError("spdiags(): Offset tensor contains duplicate values")
    m, n = shape
    rows, columns, source = [], [], []
    for i, k in enumerate(ks):
        j = np.arange(max(0, k), min(n, m + k, diagonals.shape[1]))
        rows.append(j - k)
        columns.append(j)
        source.append(i * diagonals.shape[1] + j)
    positions = np.stack([np.concatenate(rows), np.concatenate(columns)])
    values = diagonals.reshape(-1)[from_array(np.concatenate(source))]
    return make(positions, values, (m, n))


def _typed(name: str) -> Any:
    def f(*args: Any, **kwargs: Any) -> Any:
        dtype = getattr(facula, name).dtype
        if len(args) == 1 and not isinstance(args[0], Tensor):
            return sparse_coo_tensor(size=args[0], dtype=dtype)
        if not args:
            return sparse_coo_tensor(size=(0,), dtype=dtype)
        return sparse_coo_tensor(*args, dtype=dtype, **kwargs)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"A sparse tensor of indices, values and size, of the dtype of {name}."
    return f


FloatTensor, DoubleTensor, LongTensor, IntTensor = [
    _typed(n) for n in ("FloatTensor", "DoubleTensor", "LongTensor", "IntTensor")
]


class check_sparse_tensor_invariants:
    """Positions are always checked; the switch is accepted."""

    def __init__(self, enable: bool = True) -> None:
        self.enabled = enable

    @staticmethod
    def is_enabled() -> bool:
        """True."""
        return True

    @staticmethod
    def enable() -> None:
        """They are checked already."""

    @staticmethod
    def disable() -> None:
        """They stay checked."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        return None

    def __call__(self, f: Any) -> Any:
        return f


__getattr__ = honest(__name__)
_ = SparseTensor, index_select
