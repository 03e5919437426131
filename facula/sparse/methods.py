"""Methods by which dense tensors become sparse ones, or say that they are none."""

from __future__ import annotations

from typing import Any

from facula.errors import refuse
from facula.ops.table import METHODS


def to_sparse(self: Any, *args: Any, **kwargs: Any) -> Any:
    """A sparse tensor of the elements that are not zero."""
    from facula import sparse

    return sparse.to_sparse(self, *args, **kwargs)


def to_sparse_coo(self: Any) -> Any:
    """A sparse tensor of the elements that are not zero."""
    return to_sparse(self)


def to_dense(self: Any, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
    """The tensor itself."""
    return self if dtype is None else self.to(dtype)


def sparse_mask(self: Any, mask: Any) -> Any:
    """The elements where a sparse tensor has elements."""
    from facula import sparse

    return sparse.sparse_mask(self, mask)


def sparse_dim(self: Any) -> int:
    """0: no dimension is sparse."""
    return 0


def dense_dim(self: Any) -> int:
    """The number of dimensions."""
    return int(self.dim())


def _only_sparse(name: str) -> Any:
    def f(self: Any) -> Any:
        raise RuntimeError(f"{name} expected sparse coordinate tensor layout but got Strided")

    f.__name__ = name
    f.__doc__ = "Only for sparse tensors."
    return f


def _in_blocks(name: str) -> Any:
    def f(self: Any, *args: Any, **kwargs: Any) -> Any:
        refuse(f"Tensor.{name}", "of the sparse layouts there are COO, CSR and CSC")

    f.__name__ = name
    f.__doc__ = "Not here."
    return f


def _compressed(layout: str) -> Any:
    def f(self: Any, dense_dim: int | None = None) -> Any:
        if dense_dim:
            refuse(f"Tensor.to_{layout}(dense_dim={dense_dim})", "values are numbers")
        import facula
        from facula.sparse.compressed import convert

        return convert(self, getattr(facula, layout))

    f.__name__ = "to_" + layout
    f.__doc__ = f"The matrix in the layout {layout}."
    return f


def _only_compressed(name: str, kind: str) -> Any:
    def f(self: Any) -> Any:
        raise RuntimeError(
            f"{name} expected sparse {kind} compressed tensor layout but got {self.layout}"
        )

    f.__name__ = name
    f.__doc__ = "Only for compressed matrices."
    return f


METHODS.update(
    to_sparse=to_sparse,
    to_sparse_coo=to_sparse_coo,
    to_dense=to_dense,
    sparse_mask=sparse_mask,
    sparse_dim=sparse_dim,
    dense_dim=dense_dim,
)
for _n in ("coalesce", "indices", "values", "is_coalesced", "_indices", "_values", "_nnz"):
    METHODS[_n] = _only_sparse(_n)
for _n in ("bsr", "bsc"):
    METHODS["to_sparse_" + _n] = _in_blocks("to_sparse_" + _n)
for _n in ("csr", "csc"):
    METHODS["to_sparse_" + _n] = _compressed("sparse_" + _n)
for _n, _k in (("crow", "row"), ("col", "row"), ("ccol", "column"), ("row", "column")):
    METHODS[_n + "_indices"] = _only_compressed(_n + "_indices", _k)
