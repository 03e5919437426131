"""Sparse tensors: where the elements are, and what they are.

A `SparseTensor` has the positions of its elements along the first dimensions, int64 of shape
(sparse_dim, nnz), and their values, (nnz, *dense dimensions). Positions may repeat: values then
add up, and `coalesce` adds them. The positions are known; the values are a tensor like any other,
so gradients of sparse tensors are those of their values. What would be recorded on a sparse tensor
goes to `operations.py`. Source: https://pytorch.org/docs/stable/sparse.html
"""

from __future__ import annotations

from math import prod
from typing import Any, NoReturn

import numpy as np

import facula
from facula import devices, dtypes
from facula.errors import refuse
from facula.ops.composed import whole
from facula.ops.table import PLAIN
from facula.tensor import Tensor
from facula.tensor_base import wrap_dim
from facula.trace.node import Node, Other
from facula.values import from_array, realise

_REFUSAL = "a sparse tensor has no array of its elements; use to_dense() first"


def _take(op: Any, ts: tuple[Any, ...], params: Any, scalars: tuple[Any, ...]) -> Any:
    from facula.sparse.operations import take

    return take(op, ts, params, scalars)


def _store(holder: Any, value: Any) -> None:
    if not isinstance(holder, SparseTensor) or not isinstance(value, SparseTensor):
        raise RuntimeError(
            "a sparse and a dense tensor can't be written into each other "
            f"(a {holder.dtype} tensor of shape {list(holder.shape)})"
        )
    holder._become(value)


SPARSE = Other("sparse", _take, _store, _REFUSAL)


def no_edge(t: Any) -> NoReturn:
    """NotImplementedError: the graph has the values of a sparse tensor, not the tensor."""
    refuse(
        f"the gradient that arrives at a {t.layout} tensor of shape {list(t.shape)}",
        "take that of its values, or of what it was made of",
    )


class SparseTensor(Tensor):
    """A tensor of which only some elements are kept."""

    is_sparse = True
    _positions: Any
    _elements: Any
    _coalesced: bool
    _own_leaf = False  # whether it is a leaf itself, not made of values that require grad

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("use facula.sparse_coo_tensor(...)")

    # What it is.
    @property
    def layout(self) -> Any:
        return facula.sparse_coo

    def sparse_dim(self) -> int:
        """The number of dimensions with positions."""
        return self._positions.shape[0]

    def dense_dim(self) -> int:
        """The number of dimensions of each value."""
        return self.dim() - self.sparse_dim()

    def _nnz(self) -> int:
        return self._positions.shape[1]

    def is_coalesced(self) -> bool:
        """Whether positions are in order and none occurs twice."""
        return self._coalesced

    def _indices(self) -> Any:
        return from_array(self._positions)

    def _values(self) -> Any:
        return self._elements.detach()

    def indices(self) -> Any:
        """The positions of a coalesced tensor."""
        self._require_coalesced("indices")
        return from_array(self._positions)

    def values(self) -> Any:
        """The values of a coalesced tensor."""
        self._require_coalesced("values")
        return self._elements.view_as(self._elements)

    def _require_coalesced(self, what: str) -> None:
        if not self._coalesced:
            raise RuntimeError(
                f"Cannot get {what} on an uncoalesced tensor, please call .coalesce() first"
            )

    def stride(self, dim: int | None = None) -> Any:
        """Zeros: nothing lies in rows."""
        return (0,) * self.dim() if dim is None else 0

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """False."""
        return False

    # Autograd.
    @property
    def requires_grad(self) -> bool:
        return self._elements.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        if requires_grad != self.requires_grad:
            if not requires_grad and not self._own_leaf:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables: this sparse tensor "
                    "was computed"
                )
            self._elements = self._elements.detach().requires_grad_(requires_grad)
            self._own_leaf = requires_grad
            self.node.rg = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        return self._own_leaf or not self.requires_grad

    def _edge(self) -> Any:
        no_edge(self)

    @property
    def grad_fn(self) -> Any:
        return None if self._own_leaf else self._elements.grad_fn

    @property
    def grad(self) -> Any:
        g = self._elements.grad if self._own_leaf else self._grad
        if g is None or isinstance(g, SparseTensor):
            return g
        # The gradient of an element is that of each of the values that add up to it.
        first = np.unique(self._flat(), return_index=True)[1]
        values = g.index_select(0, from_array(first.astype(np.int64)))
        return make(self._positions[:, first], values, self.shape, True)

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is None:
            self._grad = self._elements.grad = None
        else:
            self._elements.grad = value.coalesce()._elements

    def detach(self) -> Any:
        return self._with(self._elements.detach())

    # Other forms.
    def _with(self, values: Any) -> SparseTensor:
        """Other values at the same positions."""
        size = (*self.shape[: self.sparse_dim()], *values.shape[1:])
        return make(self._positions, values, size, self._coalesced)

    def _become(self, other: Any) -> None:
        self._positions, self._elements = other._positions, other._elements
        self._coalesced, self.node = other._coalesced, other.node

    def _flat(self) -> Any:
        """The positions as numbers in row-major order."""
        sizes = tuple(self.shape[: self.sparse_dim()])
        if not sizes:
            return np.zeros(self._nnz(), np.int64)
        steps = np.array([prod(sizes[i + 1 :]) for i in range(len(sizes))], np.int64)
        return steps @ self._positions

    def coalesce(self) -> Any:
        """The same tensor with positions in order, each once."""
        if self._coalesced:
            return self
        flat = self._flat()
        first, where = np.unique(flat, return_index=True, return_inverse=True)[1:]
        start = self._elements.new_zeros((len(first), *self._elements.shape[1:]))
        values = start.index_add(0, from_array(where.reshape(-1).astype(np.int64)), self._elements)
        return make(self._positions[:, first], values, self.shape, True)

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
        """The tensor with all its elements."""
        sizes = tuple(self.shape[: self.sparse_dim()])
        start = self._elements.new_zeros((prod(sizes), *self._elements.shape[1:]))
        index = from_array(np.asarray(self._flat(), np.int64))
        if self.dtype is dtypes.bool:
            dense = start.to(dtypes.uint8).index_add(0, index, self._elements.to(dtypes.uint8)) > 0
        else:
            dense = start.index_add(0, index, self._elements)
        dense = dense.reshape(self.shape)
        return dense if dtype is None else dense.to(dtype)

    def to_sparse(self, *args: Any, **kwargs: Any) -> Any:
        """Itself."""
        return self

    def to_sparse_coo(self) -> Any:
        """Itself."""
        return self

    def sparse_resize_(self, size: Any, sparse_dim: int, dense_dim: int) -> Any:
        """Give it a larger size; the elements stay where they are."""
        if (sparse_dim, dense_dim) != (self.sparse_dim(), self.dense_dim()):
            raise RuntimeError("sparse_resize_: the numbers of dimensions can't change")
        self._become(make(self._positions, self._elements, size, self._coalesced))
        return self

    def sparse_resize_and_clear_(self, size: Any, sparse_dim: int, dense_dim: int) -> Any:
        """Give it another size and no elements."""
        values = self._elements.new_zeros((0, *tuple(size)[sparse_dim:]))
        self._become(make(np.zeros((sparse_dim, 0), np.int64), values, size, True))
        return self

    def zero_(self) -> Any:
        """Drop all elements."""
        return self.sparse_resize_and_clear_(self.shape, self.sparse_dim(), self.dense_dim())

    def sum(self, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
        """The sum of all elements, or sums over dimensions."""
        from facula.sparse import sum as sparse_sum

        return sparse_sum(self, dim, dtype)

    def norm(self, p: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
        """The norm of all elements."""
        if dim is not None:
            raise NotImplementedError("norm of a sparse tensor over a dimension is not in Facula")
        return self.coalesce()._elements.norm(p)

    def clone(self, *, memory_format: Any = None) -> Any:
        """A copy."""
        return make(self._positions.copy(), self._elements.clone(), self.shape, self._coalesced)

    def is_same_size(self, other: Any) -> bool:
        """Whether both have one shape."""
        return self.shape == other.shape

    def __getitem__(self, index: Any) -> Any:
        from facula.sparse.operations import pick

        return pick(self, index)

    def select(self, dim: int, index: int) -> Any:
        """The slice at an index of a dimension."""
        from facula.sparse.operations import select

        return select(self, wrap_dim(dim, self.dim()), index)

    def narrow(self, dim: int, start: int, length: int) -> Any:
        """A range of a dimension."""
        from facula.sparse.operations import between

        return between(self, wrap_dim(dim, self.dim()), start, start + length)

    def index_select(self, dim: int, index: Any) -> Any:
        """The slices of a dimension that a vector names."""
        from facula.sparse.operations import index_select

        return index_select(self, wrap_dim(dim, self.dim()), index)

    def __iter__(self) -> Any:
        return iter([self[i] for i in range(len(self))])

    # Values.
    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")

    def tolist(self) -> Any:
        raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage")

    def data_ptr(self) -> int:
        raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage")

    def item(self) -> Any:
        return self.to_dense().item()

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of the type, or the tensor as another dtype."""
        if dtype is not None:
            return self._with(self._elements.type(dtype))
        return self._elements.type().replace("torch.", "torch.sparse.")

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        indices, values = from_array(self._positions), self._elements.detach()
        pad = " " * 7
        parts = [
            f"indices={_indented(_plain(indices), 15)}",
            f"values={_indented(_plain(values), 14)}",
            f"size={tuple(self.shape)}, nnz={self._nnz()}",
        ]
        text = f"tensor({parts[0]},\n{pad}{parts[1]},\n{pad}{parts[2]}"
        if self.dtype not in (facula.get_default_dtype(), dtypes.int64, dtypes.bool):
            text += f", dtype={self.dtype}"
        text += ", layout=torch.sparse_coo"
        if self._own_leaf:
            text += ", requires_grad=True"
        elif self.requires_grad:
            text += f",\n{pad}grad_fn=<{self.grad_fn.name()}>"
        return text + ")"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        copy = self.detach().clone()
        return copy.requires_grad_() if self._own_leaf else copy

    def __reduce_ex__(self, protocol: Any) -> Any:
        values = self._elements.detach().numpy()
        return _rebuild, (self._positions, values, tuple(self.shape), self._coalesced)


PLAIN.add(SparseTensor)


def _rebuild(positions: Any, values: Any, size: Any, coalesced: bool) -> Any:
    return make(positions, from_array(values), size, coalesced)


def _plain(t: Any) -> str:
    """A tensor's text without its dtype."""
    text = repr(t) if t.numel() else f"tensor([], size={tuple(t.shape)})"
    cut = text.rfind(", dtype=")
    return text if cut < 0 else text[:cut] + ")"


def _indented(text: str, by: int) -> str:
    return text.replace("\n", "\n" + " " * by)


def on_cpu(name: str, device: Any, *tensors: Any) -> None:
    """NotImplementedError for sparse tensors that are asked for elsewhere than on the CPU."""
    for where in (devices.check(device), *[t.device for t in tensors if isinstance(t, Tensor)]):
        if where is not devices.CPU:
            refuse(f"{name} on {where}", "sparse tensors are on the CPU only")


def make(positions: Any, values: Any, size: Any, coalesced: bool = False) -> SparseTensor:
    """A sparse tensor of positions (an int64 array) and values (a tensor)."""
    t: Any = object.__new__(SparseTensor)
    t._positions = np.asarray(positions, np.int64)
    t._elements = values
    t._coalesced = coalesced or t._positions.shape[1] < 2
    t.node = Node(SPARSE, tuple(size), values.dtype, rg=values.requires_grad)
    return t


def sparse_coo_tensor(
    indices: Any = None,
    values: Any = None,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> Any:
    """A sparse tensor of positions (dimensions, elements) and values.

    Without `size` it is as large as the positions ask for.
    Source: https://pytorch.org/docs/stable/generated/torch.sparse_coo_tensor.html
    """
    on_cpu("sparse_coo_tensor", device, indices, values)
    if values is None and size is None and indices is not None:
        size, indices = indices, None
    if indices is None:
        size = tuple(size)
        values = facula.zeros(0, dtype=dtype)
        made = make(np.zeros((len(size), 0), np.int64), values, size, True)
        return made.requires_grad_() if requires_grad else made
    at = indices if isinstance(indices, Tensor) else facula.as_tensor(indices)
    positions = realise(at.detach())._data.astype(np.int64)
    v = values if isinstance(values, Tensor) else facula.as_tensor(values, dtype=dtype)
    v = v.to(dtype) if dtype is not None else v
    if positions.ndim != 2:
        raise RuntimeError(
            f"indices must be sparse_dim x nnz, but got a tensor of shape {list(positions.shape)}"
        )
    if not v.dim():
        v = v.expand(positions.shape[1])
    if v.shape[0] != positions.shape[1]:
        raise RuntimeError(
            "indices and values must have same nnz, but got nnz from indices: "
            f"{positions.shape[1]}, nnz from values: {v.shape[0]}"
        )
    size = _checked_size(positions, v, size, check_invariants)
    if requires_grad:
        v = v.detach().clone()
    v = whole(v, "SparseCooTensorWithDimsAndTensors")
    made = make(positions.copy(), v, size, bool(is_coalesced))
    return made.requires_grad_() if requires_grad else made


def _checked_size(positions: Any, v: Any, size: Any, check: bool | None) -> tuple[int, ...]:
    n = positions.shape[0]
    if size is None:
        if positions.size and positions.min() < 0:
            raise RuntimeError(f"found negative index {positions.min()} in sparse_coo_tensor")
        top = positions.max(1) + 1 if positions.shape[1] else np.zeros(n, np.int64)
        return (*[int(m) for m in top], *v.shape[1:])
    size = tuple([int(m) for m in size])
    if len(size) != n + v.dim() - 1:
        raise RuntimeError(
            f"number of dimensions must be sparse_dim ({n}) + dense_dim ({v.dim() - 1}), but got "
            f"{len(size)}"
        )
    if tuple(v.shape[1:]) != size[n:]:
        raise RuntimeError(
            f"values has incorrect size, expected {[v.shape[0], *size[n:]]}, got {list(v.shape)}"
        )
    # PyTorch leaves this unchecked by default, and later operations to undefined behaviour.
    limits = np.array(size[:n], np.int64)[:, None]
    if check is not False and ((positions < 0) | (positions >= limits)).any():
        bad = int(positions[(positions < 0) | (positions >= limits)][0])
        raise RuntimeError(
            f"sparse_coo_tensor: size is inconsistent with indices: index {bad} is out of range "
            f"for size {list(size)}"
        )
    return size
