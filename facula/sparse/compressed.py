"""Matrices of which the elements of each row (CSR) or column (CSC) lie together.

A `CompressedTensor` is made of a coalesced COO tensor whose first dimension is the compressed one:
the matrix itself for CSR, its transpose for CSC. What is recorded on it is done by the rules for
COO tensors, and a sparse result becomes compressed again.
Source: https://pytorch.org/docs/stable/sparse.html#sparse-csr-tensor
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

import facula
from facula import dtypes
from facula.errors import refuse
from facula.ops.movement import PERMUTE
from facula.ops.table import PLAIN
from facula.printing import _with_suffixes
from facula.sparse.tensor import SparseTensor, _indented, _plain, make, no_edge, on_cpu
from facula.tensor import Tensor
from facula.trace.node import Node, Other
from facula.trace.recorder import record
from facula.values import from_array, realise

_REFUSAL = "a compressed sparse tensor has no array of its elements; use to_dense() first"
_NAMES = {
    "sparse_csr": ("crow_indices", "col_indices"),
    "sparse_csc": ("ccol_indices", "row_indices"),
}
_KINDS = {"sparse_csr": "row", "sparse_csc": "column"}


def take(op: Any, ts: tuple[Any, ...], params: Any, scalars: tuple[Any, ...]) -> Any:
    """The result of a primitive of which an operand is compressed."""
    first = next(t for t in ts if isinstance(t, CompressedTensor))
    if op is PERMUTE:
        return first if params == (0, 1) else compressed(first._inner, _other(first._kind))
    plain = [t.to_sparse_coo() if isinstance(t, CompressedTensor) else t for t in ts]
    if op.name == "add" and not isinstance(plain[1], SparseTensor):
        plain.reverse()  # a sparse matrix is added to a dense one
    got = record(op, tuple(plain), params, scalars)
    return _of_coo(got, first._kind) if isinstance(got, SparseTensor) else got


def _store(holder: Any, value: Any) -> None:
    if not isinstance(holder, CompressedTensor) or not isinstance(value, CompressedTensor):
        raise RuntimeError(
            "a compressed sparse tensor and another can't be written into each other "
            f"(a {holder.dtype} tensor of shape {list(holder.shape)})"
        )
    holder._inner, holder.node = value._inner, value.node


COMPRESSED = Other("compressed", take, _store, _REFUSAL)


def _other(kind: str) -> str:
    return "sparse_csc" if kind == "sparse_csr" else "sparse_csr"


class CompressedTensor(Tensor):
    """A sparse matrix in CSR or CSC."""

    _inner: SparseTensor
    _kind: str

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("use facula.sparse_csr_tensor(...) or sparse_csc_tensor(...)")

    @property
    def layout(self) -> Any:
        return getattr(facula, self._kind)

    @property
    def is_sparse_csr(self) -> bool:  # type: ignore[override]
        return self._kind == "sparse_csr"

    def _compressed(self) -> Any:
        rows = self._inner._positions[0]
        return from_array(np.searchsorted(rows, np.arange(self._inner.shape[0] + 1)))

    def _plain_indices(self) -> Any:
        return from_array(self._inner._positions[1].copy())

    def _only(self, kind: str, name: str) -> None:
        if self._kind != kind:
            raise RuntimeError(
                f"{name} expected sparse {_KINDS[kind]} compressed tensor layout but got "
                f"{self.layout}"
            )

    def crow_indices(self) -> Any:
        """Where each row begins among the values, and where the last ends."""
        self._only("sparse_csr", "crow_indices")
        return self._compressed()

    def col_indices(self) -> Any:
        """The columns of the values."""
        self._only("sparse_csr", "col_indices")
        return self._plain_indices()

    def ccol_indices(self) -> Any:
        """Where each column begins among the values, and where the last ends."""
        self._only("sparse_csc", "ccol_indices")
        return self._compressed()

    def row_indices(self) -> Any:
        """The rows of the values."""
        self._only("sparse_csc", "row_indices")
        return self._plain_indices()

    def values(self) -> Any:
        """The values, row by row or column by column."""
        return self._inner.values()

    def _nnz(self) -> int:
        return self._inner._nnz()

    def sparse_dim(self) -> int:
        """The number of dimensions with positions."""
        return 2

    def dense_dim(self) -> int:
        """The number of dimensions of each value."""
        return 0

    # Autograd: of the values.
    @property
    def requires_grad(self) -> bool:
        return self._inner.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        if requires_grad != self.requires_grad:
            refuse(
                f"requires_grad_({requires_grad}) of a {self.layout} tensor",
                "make it of values that require grad",
            )
        return self

    @property
    def is_leaf(self) -> bool:
        return not self.requires_grad

    def _edge(self) -> Any:
        no_edge(self)

    @property
    def grad_fn(self) -> Any:
        return self._inner.grad_fn

    def detach(self) -> Any:
        return compressed(self._inner.detach(), self._kind)

    # Other forms.
    def to_sparse_coo(self) -> Any:
        """The same matrix with a row and a column for each value."""
        return self._inner if self._kind == "sparse_csr" else self._inner.t().coalesce()

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
        """The matrix with all its elements."""
        return self.to_sparse_coo().to_dense(dtype)

    def to_sparse(self, *args: Any, layout: Any = None, **kwargs: Any) -> Any:
        """The same matrix in another sparse layout, COO by default."""
        return convert(self.to_sparse_coo(), layout)

    def clone(self, *, memory_format: Any = None) -> Any:
        """A copy."""
        return compressed(self._inner.clone(), self._kind)

    def sum(self, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
        """The sum of all elements."""
        if dim is not None:
            refuse(f"sum of a {self.layout} tensor over dimensions", "sum all, or use to_dense()")
        return self._inner.sum(dtype=dtype)

    def __getitem__(self, index: Any) -> Any:
        return self.to_sparse_coo()[index]

    # Values.
    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError(
            f"can't convert {self.layout} layout tensor to numpy. Use Tensor.to_dense() first."
        )

    def tolist(self) -> Any:
        raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage")

    def data_ptr(self) -> int:
        raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage")

    def stride(self, dim: int | None = None) -> NoReturn:
        raise RuntimeError("Sparse CSR tensors do not have strides")

    def is_contiguous(self, memory_format: Any = None) -> NoReturn:
        raise RuntimeError("Sparse CSR tensors do not have is_contiguous")

    def _coo_only(self, name: str) -> NoReturn:
        raise RuntimeError(f"{name} expected sparse coordinate tensor layout but got {self.layout}")

    def indices(self) -> NoReturn:
        """Only for COO."""
        self._coo_only("indices")

    def is_coalesced(self) -> NoReturn:
        """Only for COO."""
        self._coo_only("is_coalesced")

    def coalesce(self) -> NoReturn:
        """Only for COO."""
        self._coo_only("coalesce")

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        first, second = _NAMES[self._kind]
        parts = [
            f"{first}={_indented(_plain(self._compressed()), 8 + len(first))}",
            f"{second}={_indented(_plain(self._plain_indices()), 8 + len(second))}",
            f"values={_indented(_plain(self._inner._elements.detach()), 14)}",
        ]
        suffixes = [f"size={tuple(self.shape)}", f"nnz={self._nnz()}"]
        if self.dtype not in (facula.get_default_dtype(), dtypes.int64, dtypes.bool):
            suffixes.append(f"dtype={self.dtype}")
        suffixes.append(f"layout={self.layout}")
        fn = self.grad_fn.name() if self.requires_grad and self.grad_fn is not None else None
        body = (",\n" + " " * 7).join(parts)
        return _with_suffixes("tensor(", body, suffixes, self.requires_grad, fn)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self.detach().clone()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return compressed, (self._inner.detach(), self._kind)


PLAIN.add(CompressedTensor)


def compressed(inner: SparseTensor, kind: str) -> CompressedTensor:
    """A matrix over a coalesced COO tensor: of itself (CSR) or of its transpose (CSC)."""
    t: Any = object.__new__(CompressedTensor)
    t._inner, t._kind = inner, kind
    m, n = inner.shape
    size = (m, n) if kind == "sparse_csr" else (n, m)
    t.node = Node(COMPRESSED, size, inner.dtype, rg=inner.requires_grad)
    return t


def _of_coo(s: Any, kind: str) -> CompressedTensor:
    s = s if kind == "sparse_csr" else s.t()
    s = s.coalesce()
    return compressed(make(s._positions, s._elements, s.shape, True), kind)


def convert(input: Any, layout: Any) -> Any:
    """A dense or sparse tensor in a sparse layout; None is COO."""
    from facula.sparse import to_sparse

    kind = "sparse_coo" if layout is None else str(layout).removeprefix("torch.")
    if kind not in ("sparse_coo", *_NAMES):
        refuse(f"layout {layout}", "of the sparse layouts there are COO, CSR and CSC")
    if isinstance(input, CompressedTensor):
        if input._kind == kind:
            return input
        input = input.to_sparse_coo()
    if kind == "sparse_coo":
        return input if isinstance(input, SparseTensor) else to_sparse(input)
    if input.dim() != 2:
        if input.dim() < 2:
            raise IndexError(f"to_{kind}: a matrix is needed, got shape {list(input.shape)}")
        refuse(f"to_{kind} of {input.dim()} dimensions", "only matrices can be compressed")
    return _of_coo(input if isinstance(input, SparseTensor) else to_sparse(input), kind)


def _integers(x: Any, name: str) -> Any:
    t = x if isinstance(x, Tensor) else facula.as_tensor(x)
    a = realise(t.detach())._data
    if a.ndim != 1:
        refuse(f"{name} of {a.ndim} dimensions", "only matrices can be compressed")
    if a.dtype not in (np.int32, np.int64):
        raise RuntimeError(f"{name} must be int32 or int64, got {t.dtype}")
    return a.astype(np.int64)


def _check(begin: Any, other: Any, nnz: int, size: tuple[int, int], names: tuple[str, str]) -> None:
    """What PyTorch checks with `check_invariants=True`, always."""
    n, m = size
    first, second = names
    if len(begin) != n + 1:
        raise RuntimeError(f"{first}.shape[-1] must be equal to {n} + 1, got {len(begin)}")
    if begin[0] != 0:
        raise RuntimeError(f"`{first}[..., 0] == 0` is not satisfied.")
    if begin[-1] != nnz or len(other) != nnz:
        raise RuntimeError(
            f"`{first}[..., -1] == nnz` is not satisfied: it is {begin[-1]}, with {len(other)} "
            f"{second} and {nnz} values"
        )
    steps = np.diff(begin)
    if (steps < 0).any() or (steps > m).any():
        raise RuntimeError(f"`0 <= {first}[..., 1:] - {first}[..., :-1] <= {m}` is not satisfied.")
    if len(other) and (other.min() < 0 or other.max() >= m):
        raise RuntimeError(f"`0 <= {second} < {m}` is not satisfied.")
    rows = np.repeat(np.arange(n), steps)
    if (np.diff(rows * m + other) <= 0).any():
        raise RuntimeError(f"`{second}` are not sorted and distinct within each slice.")


def _make(
    kind: str, begin: Any, other: Any, values: Any, size: Any, dtype: Any, requires_grad: bool
) -> Any:
    names = _NAMES[kind]
    begin, other = _integers(begin, names[0]), _integers(other, names[1])
    v = values if isinstance(values, Tensor) else facula.as_tensor(values, dtype=dtype)
    v = v.to(dtype) if dtype is not None else v
    if v.dim() != 1:
        refuse(f"values of {v.dim()} dimensions", "only matrices of numbers can be compressed")
    if size is None:
        shape = len(begin) - 1, int(other.max()) + 1 if len(other) else 0
    else:
        m, n = size
        shape = (int(m), int(n)) if kind == "sparse_csr" else (int(n), int(m))
    _check(begin, other, v.shape[0], shape, names)
    rows = np.repeat(np.arange(shape[0]), np.diff(begin))
    out = compressed(make(np.stack([rows, other]), v, shape, True), kind)
    return out.requires_grad_() if requires_grad else out


def sparse_csr_tensor(
    crow_indices: Any,
    col_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Any:
    """A matrix of where each row begins, and of the columns and values of its elements."""
    on_cpu("sparse_csr_tensor", device, crow_indices, col_indices, values)
    return _make("sparse_csr", crow_indices, col_indices, values, size, dtype, requires_grad)


def sparse_csc_tensor(
    ccol_indices: Any,
    row_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Any:
    """A matrix of where each column begins, and of the rows and values of its elements."""
    on_cpu("sparse_csc_tensor", device, ccol_indices, row_indices, values)
    return _make("sparse_csc", ccol_indices, row_indices, values, size, dtype, requires_grad)


def sparse_compressed_tensor(
    compressed_indices: Any,
    plain_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Any:
    """A matrix in CSR or CSC, as `layout` says."""
    on_cpu("sparse_compressed_tensor", device, compressed_indices, plain_indices, values)
    if layout is None:
        raise RuntimeError("sparse_compressed_tensor(): expected a sparse compressed layout")
    kind = str(layout).removeprefix("torch.")
    if kind not in _NAMES:
        refuse(f"sparse_compressed_tensor of layout {layout}", "there are CSR and CSC")
    return _make(kind, compressed_indices, plain_indices, values, size, dtype, requires_grad)


def _blocks(name: str) -> Any:
    def f(*args: Any, **kwargs: Any) -> NoReturn:
        refuse(name, "of the sparse layouts there are COO, CSR and CSC")

    f.__name__ = f.__qualname__ = name
    f.__doc__ = "Not here: matrices of blocks."
    return f


sparse_bsr_tensor, sparse_bsc_tensor = _blocks("sparse_bsr_tensor"), _blocks("sparse_bsc_tensor")
