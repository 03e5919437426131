"""Operations whose indices are tensors: gather, scatter and their kin along a dimension.

Bounds are checked at the call: a pending index is computed first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from facula import dtypes
from facula.in_place import check_distinct, check_overlap
from facula.ops import indexing as ix
from facula.ops import pointwise as pw
from facula.ops.assignment import filler
from facula.ops.composed import whole
from facula.ops.indices import array_of, known, outside, saved_by, table_of
from facula.ops.movement import in_layout, shaped, watched
from facula.ops.promotion import need
from facula.ops.registry import Op, broadcast, like_strides
from facula.ops.scatter_reduce import KINDS, reduced, unchanged
from facula.ops.table import FUNCTIONS, METHODS, api, in_place
from facula.tensor import Tensor
from facula.tensor_base import wrap_dim
from facula.trace.recorder import record
from facula.values import from_array, within


def _check_index(name: str, index: Any, size: int, wrong: type[Exception] = IndexError) -> None:
    if index.node.device is not None and index.node.dtype.category == dtypes.INT:
        return  # its values are not waited for: the kernel reports what is out of range
    if within(index, 0, size - 1):  # as of argmax: no need to end the frame
        return
    a = known(index)
    if a.dtype.kind not in "iu":
        raise RuntimeError(f"{name}(): Expected dtype int64 for index, got {index.dtype}")
    if outside(a, size):
        bad = a[(a < 0) | (a >= size)].reshape(-1)[0]
        raise wrong(f"{name}(): index {bad} is out of bounds for dimension with size {size}")


def _gather_check(name: str, input: Any, dim: int, index: Any, src: Any = None) -> int:
    """The dimension, counted from the front, of a gather or scatter that is in order."""
    rank = len(input.node.shape)
    d = wrap_dim(dim, rank)
    if index.numel() == 0:
        return d
    if index.node.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index, got {index.dtype}")
    for what, t in (("input", input), ("src", src)):
        if t is None:
            continue
        unlike = max(len(index.node.shape), 1) != max(len(t.node.shape), 1)
        sizes = t.node.shape or (1,)
        # PyTorch counts the dimensions of a source after it has looked at their sizes.
        look = what == "src" or not unlike
        for k, m in enumerate(index.node.shape or (1,) if look else ()):
            if k >= len(sizes):
                if not t.node.shape:
                    break
                raise IndexError(
                    f"{name}(): the index has dimension {k}, src of shape {list(sizes)} has not"
                )
            if (k != d or what == "src") and m > sizes[k]:
                raise RuntimeError(
                    f"{name}(): Size does not match at dimension {k} expected index "
                    f"{list(index.node.shape)} to be no larger than {what} {list(t.node.shape)} "
                    f"apart from dimension {d}"
                )
        if unlike:
            raise RuntimeError(
                f"{name}(): Index tensor must have the same number of dimensions as {what} tensor, "
                f"got {len(index.node.shape)} and {len(t.node.shape)}"
            )
    n = input.node.shape[d] if rank else 1
    if index.node.device is not None:
        return d  # the kernel reports what is out of range
    if within(index, 0, n - 1):
        return d
    a = known(index)
    if outside(a, n):
        bad = a[(a < 0) | (a >= n)].reshape(-1)[0]
        raise RuntimeError(
            f"{name}(): index {bad} is out of bounds for dimension {d} with size {n}"
        )
    return d


def _with_dimension(src: Any) -> Any:
    """The source or index of a scatter; one without dimensions counts as a vector."""
    return src if src.node.shape else shaped(src, (1,))


def _nothing(t: Any, shape: tuple[int, ...]) -> Any:
    """No elements of the tensor, in an empty shape."""
    return t.reshape(-1).narrow(0, 0, 0).reshape(shape).clone()


@api
def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """out[i][j] = input[index[i][j]][j] (for dim 0)."""
    need("gather", input=input, index=index)
    d = _gather_check("gather", input, dim, index)
    if index.numel() == 0:
        return _nothing(input, index.node.shape)
    at = index.to(dtypes.int64)
    if input.node.shape and not index.node.shape:  # one element of a vector
        return shaped(record(ix.GATHER, (watched(input), shaped(at, (1,))), d), ())
    return record(ix.GATHER, (watched(input), at), d)


def _same_dtype(name: str, input: Any, src: Any) -> None:
    if src.node.dtype is not input.node.dtype:
        raise RuntimeError(
            f"{name}(): Expected self.dtype to be equal to src.dtype, got {input.dtype} and "
            f"{src.dtype}"
        )


@api(inplace=True)
def scatter(
    input: Any,
    dim: int,
    index: Any,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Any:
    """out[index[i][j]][j] = src[i][j] (for dim 0), or combined with what is there."""
    source = src if value is None else value
    d = _gather_check("scatter", input, dim, index, source if isinstance(source, Tensor) else None)
    if isinstance(source, Tensor):
        _same_dtype("scatter", input, source)
    else:
        dtypes.check_fits(source, input.node.dtype)
        source = FUNCTIONS["full"](index.node.shape, source, dtype=input.dtype, device=input.device)
    if reduce is not None and reduce not in ("add", "multiply"):
        raise RuntimeError(
            f"scatter(): reduce argument must be either add or multiply, got {reduce}"
        )
    if index.numel() == 0:
        return unchanged(input, source)
    if reduce is not None:
        return reduced(input, d, index, source, "sum" if reduce == "add" else "prod", True)
    source = _with_dimension(source)
    return in_layout(record(ix.SCATTER, (input, _with_dimension(index), source), d), None)


@api(inplace=True)
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """out[index[i][j]][j] += src[i][j] (for dim 0)."""
    need("scatter_add", index=index, src=src)
    wrap_dim(dim, len(input.node.shape))
    _same_dtype("scatter_add", input, src)
    d = _gather_check("scatter_add", input, dim, index, src)
    if index.numel() == 0:
        return unchanged(input, src)
    at = _with_dimension(index)
    return in_layout(record(ix.SCATTER_ADD, (input, at, _with_dimension(src)), d), None)


@api(inplace=True)
def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """The elements of src combined (sum, prod, mean, amax, amin) where the index points."""
    if reduce not in KINDS:
        raise RuntimeError(
            f"scatter_reduce(): reduce argument must be either sum, prod, mean, amax or amin, got "
            f"{reduce}"
        )
    need("scatter_reduce", index=index, src=src)
    wrap_dim(dim, len(input.node.shape))
    _same_dtype("scatter_reduce", input, src)
    d = _gather_check("scatter_reduce", input, dim, index, src)
    kind = input.dtype
    if (reduce in ("amax", "amin") and kind.is_complex) or (
        reduce == "mean" and kind is dtypes.bool
    ):
        raise NotImplementedError(f"scatter_reduce(): {reduce} is not implemented for {kind}")
    return reduced(input, d, index, src, reduce, include_self)


@api(inplace=True)
def index_reduce(
    input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """The slices of source combined (prod, mean, amax, amin) into those that the index names."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin, got {reduce}"
        )
    d = _check_slices("index_reduce_", input, dim, index, source)
    _check_index("index_reduce", index, input.node.shape[d] if input.node.shape else 1)
    if input.dtype.is_complex or input.dtype is dtypes.bool:
        raise NotImplementedError(f"index_reduce(): not implemented for {input.dtype}")
    if not input.node.shape:
        return reduced(input, 0, index.reshape(-1), source.reshape(-1), reduce, include_self)
    at = index.reshape([-1 if k == d else 1 for k in range(len(input.node.shape))])
    return reduced(input, d, at.expand(source.node.shape), source, reduce, include_self)


# Slices named by a vector.
def _one_dim(t: Any, d: int, index: Any) -> tuple[Any, Any]:
    if index.node.device is not None:
        where = tuple([0 if k == d else None for k in range(len(t.node.shape))])
        return index.detach().reshape(1, -1).to(dtypes.int64), (where, (index.numel(),))
    a = array_of(index).reshape(-1).astype(np.int64, copy=False)
    return table_of([None] * d + [a] + [None] * (len(t.node.shape) - d - 1), t.node.shape)


@api
def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices of a dimension that a vector of indices names."""
    need("index_select", input=input, index=index)
    d = wrap_dim(dim, len(input.node.shape))
    if len(index.node.shape) > 1:
        raise IndexError(
            "index_select(): Index is supposed to be a vector, but got dim: "
            f"{len(index.node.shape)}"
        )
    if not input.node.shape:
        if index.numel() != 1:
            raise RuntimeError(
                f"index_select(): Index to scalar can have only 1 value, got {index.numel()}"
            )
        _check_index("index_select", index, 1)
        return input.clone()
    shape = input.node.shape
    # PyTorch has loops of its own for dimension 1 and for no elements, which fail differently.
    wrong = RuntimeError if len(shape) > 1 and (d == 1 or 0 in shape) else IndexError
    _check_index("index_select", index, shape[d], wrong)
    table, p = _one_dim(input, d, index)
    return record(ix.INDEX, (input, saved_by(input, table, index)), ix.Selected(p))


def rows_at(input: Any, index: Any, saved: Any = None, name: str = "index_select") -> Any:
    """The rows that indices of any shape name; the values of the index are there already.

    `saved`: what the index was made of, which the operation is to save; `name`: the operation.
    """
    shape = input.node.shape
    _check_index(name, index, shape[0])
    a = array_of(index).astype(np.int64, copy=False)
    table, p = table_of([a] + [None] * (len(shape) - 1), shape)
    saved_by(input, table, index if saved is None else saved)
    return record(ix.INDEX, (input, table), ix.Embedded(p))


@api(inplace=True)
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """The slices of source, times alpha, added to those of a dimension that the index names."""
    need("index_add", index=index, source=source)
    d = _check_slices("index_add_", input, dim, index, source)
    if input.node.dtype.category < dtypes.FLOAT:
        # PyTorch cuts off a fraction here, where `add` refuses it.
        alpha = bool(alpha) if input.node.dtype is dtypes.bool else int(alpha)
    if isinstance(alpha, complex) and not input.node.dtype.is_complex:
        raise RuntimeError(f"index_add_(): alpha {alpha} is complex, the tensor {input.dtype}")
    dtypes.check_fits(alpha, input.node.dtype)
    if alpha != 1:
        source = source * alpha
    # PyTorch takes two ways, which fail differently.
    wrong = RuntimeError if len(input.node.shape) > 1 and alpha == 1 else IndexError
    return _update_slices(ix.INDEX_ADD, "index_add_", input, d, index, source, wrong)


def _check_slices(name: str, input: Any, dim: int, index: Any, source: Any) -> int:
    """The dimension of an index_add or index_reduce whose arguments fit, in PyTorch's order."""
    d = wrap_dim(dim, len(input.node.shape))
    if len(index.node.shape) > 1:
        raise IndexError(
            f"{name}(): Index is supposed to be a vector, got shape {list(index.node.shape)}"
        )
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index, got {index.dtype}")
    _same_dtype(name, input, source)
    have, want = list(source.node.shape), list(input.node.shape)
    many = index.numel()
    if d and d >= len(have):
        raise RuntimeError(
            f"{name}(): Indexing dim {d} is out of bounds of the source of shape {have}"
        )
    if many != (have[d] if have else 1):
        wrong = RuntimeError if have else IndexError
        raise wrong(
            f"{name}(): Number of indices ({many}) should be equal to source.size({d}), the "
            f"source's shape is {have}"
        )
    if have and want:
        del have[d], want[d]
    if have != want:
        raise RuntimeError(
            f"{name}(): source tensor shape must match self tensor shape, excluding the "
            f"specified dimension {d}. Got self.shape = {list(input.shape)} and source.shape = "
            f"{list(source.shape)}"
        )
    return d


@api
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """The slices of source in place of those of a dimension that the index names."""
    need("index_copy", index=index, source=source)
    have, want = list(source.node.shape), list(input.node.shape)
    d = wrap_dim(dim, len(want))
    many = index.numel()
    if len(index.node.shape) > 1:
        raise IndexError(
            f"index_copy_(): Index should have dimension 1 or 0, got shape {list(index.shape)}"
        )
    if not have and many != 1:
        raise IndexError(
            f"index_copy_(): When source is scalar, index should have one element (got {many})"
        )
    if have and want and len(have) != len(want):
        raise IndexError(
            "index_copy_(): When source and destination are not scalars, their dimensionality "
            f"must match. Source shape {have}, destination shape {want}"
        )
    if index.dtype is not dtypes.int64:
        raise RuntimeError(
            f"index_copy_(): Expected a long tensor for index, but got {index.dtype}"
        )
    _same_dtype("index_copy_", input, source)
    rest = [n for i, n in enumerate(want) if i != d], [n for i, n in enumerate(have) if i != d]
    if have and rest[0] != rest[1]:
        raise RuntimeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination "
            f"slice shape: {rest[0]} at dimension {d} and source slice shape: {rest[1]}"
        )
    if have and many != have[d]:
        raise IndexError(
            f"index_copy_(): Number of indices ({many}) should be equal to source.size(dim) "
            f"({have[d]})"
        )
    return _update_slices(ix.INDEX_PUT, "index_copy_", input, d, index, source)


_copy_slices = in_place(index_copy.__wrapped__, "index_copy_")


def index_copy_(self: Any, dim: int, index: Any, source: Any) -> Any:
    """In-place form of `index_copy`, which looks at the memory of its operands first."""
    n = len(self.node.shape) or 1
    if isinstance(dim, int) and -n <= dim < n and isinstance(index, Tensor):
        check_distinct(self, "index_copy_")
        check_overlap(self, (index, source), "index_copy_", False)
    return _copy_slices(self, dim, index, source)


METHODS["index_copy_"] = index_copy_


def _update_slices(
    prim: Op,
    name: str,
    input: Any,
    d: int,
    index: Any,
    source: Any,
    wrong: type[Exception] = IndexError,
) -> Any:
    shape = input.node.shape
    if 0 not in shape:  # of no elements none is out of bounds
        _check_index(name, index, shape[d] if shape else 1, wrong)
    elif shape[d] == 0 and index.numel() and (prim is ix.INDEX_PUT or len(shape) == 1):
        raise (RuntimeError if prim is ix.INDEX_PUT else wrong)(
            f"{name}: an index into dimension {d} of size 0 of shape {list(shape)} is out of bounds"
        )
    if 0 in shape or 0 in source.node.shape:
        if source.requires_grad:  # its history
            return input + watched(source).sum()
        return input.clone()
    if not shape:
        one = watched(source).reshape(())
        return input + one if prim is ix.INDEX_ADD else record(pw.COPY, (input, one))
    table, p = _one_dim(input, d, index)
    given, source = source, watched(source).reshape(ix._index_shape(p, input.node))
    saved_by(input if prim is ix.INDEX_PUT and input.requires_grad else source, table, index)
    if wrong is RuntimeError:  # the way of slices
        out = whole(ix.added(input, table, source, p), "IndexAdd", input, given)
        return in_layout(out, None)
    return in_layout(record(prim, (input, table, source), p), None)


@api(inplace=True)
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """The slices that `index` names, set to a value."""
    shape = input.node.shape
    d = wrap_dim(dim, len(shape))
    if isinstance(value, Tensor) and value.node.shape:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{len(value.node.shape)} dimension(s)."
        )
    if index.node.dtype is not dtypes.int64:
        raise IndexError(f"index_fill_(): Expected dtype int64 for index, got {index.dtype}")
    if len(index.node.shape) > 1:
        raise RuntimeError(
            f"index_fill_: Index has to be a vector/scalar, got shape {list(index.node.shape)}"
        )
    n = shape[d] if shape else 1
    d_value = value.node.dtype if isinstance(value, Tensor) else dtypes.scalar_type(value)
    if d_value.is_complex and not input.node.dtype.is_complex:
        raise RuntimeError(
            f"index_fill_(): a {d_value} value can't be written to a {input.dtype} tensor"
        )
    at = array_of(index).reshape(-1)
    if at.size and shape and n == 0:
        raise RuntimeError(f"index_fill(): dimension {d} has size 0 but index is not empty: {at}")
    if 0 in shape:  # of no elements none is out of bounds
        linked = isinstance(value, Tensor) and value.requires_grad
        return input + value if linked else input.clone()
    if at.size and (at.min() < -n or at.max() >= n):
        raise IndexError(f"index_fill(): index out of range for dimension {d} with size {n}: {at}")
    hit = np.zeros(n, bool)
    hit[at] = True
    mask = from_array(hit.reshape([n if k == d else 1 for k in range(len(shape))]))
    if input.node.device is not None:
        mask = mask.to(input.node.device)
    value = filler(value, input)
    saved_by(input if input.requires_grad else value, mask, index)
    return record(pw.WHERE, (mask, value, input))


# Flat positions.
def _need_long(name: str, index: Any) -> None:
    if index.node.dtype is not dtypes.int64:
        raise RuntimeError(f"{name}(): Expected a long tensor for index, but got {index.dtype}")


def _wrapped(name: str, index: Any, n: int) -> Any:
    """Flat positions counted from the front, checked."""
    _need_long(name, index)
    a = known(index)
    if a.size and (a.min() < -n or a.max() >= n):
        bad = a[(a < -n) | (a >= n)].reshape(-1)[0]
        raise IndexError(f"{name}(): out of range: index {bad} for {n} elements")
    return index if not a.size or a.min() >= 0 else index.where(index >= 0, index + n)


@api
def take(input: Any, index: Any) -> Any:
    """The elements at flat positions."""
    need("take", input=input, index=index)
    at = _wrapped("take", index, input.numel())
    if at.numel() == 0:
        return _nothing(input, at.node.shape)
    out = record(ix.GATHER, (watched(input).reshape(-1), at.reshape(-1)), 0)
    return out.reshape(at.node.shape)


@api(inplace=True)
def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """A copy of the input with the source's elements at (or added at) flat positions."""
    need("put", index=index, source=source)
    _need_long("put_", index)
    if source.node.dtype is not input.node.dtype:
        raise RuntimeError(
            f"put_(): self and source expected to have the same dtype, but got self.dtype = "
            f"{input.dtype} and source.dtype = {source.dtype}"
        )
    if source.numel() != index.numel():
        raise IndexError(
            f"put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {source.numel()}, index.numel() = {index.numel()}"
        )
    if index.numel() and not input.numel():
        raise IndexError(f"put_(): Tried to put {index.numel()} elements into an empty tensor")
    at = _wrapped("put_", index, input.numel())
    if at.numel() == 0 and not source.requires_grad:
        out = input.clone()
        return whole(out, "Put", input, at) if input.requires_grad else out
    prim = ix.SCATTER_ADD if accumulate else ix.SCATTER
    out = record(prim, (input.reshape(-1), at.reshape(-1), watched(source).reshape(-1)), 0)
    if accumulate and input.requires_grad:
        out = whole(out, "Put", input, at)
    return in_layout(out.reshape(input.node.shape), like_strides(input.node))


def _modulo(index: Any, n: int) -> Any:
    """The positions of `take_along_dim` in a dimension of size n, counted from the front."""
    if index.node.dtype is not dtypes.int64:
        raise RuntimeError(
            f"take_along_dim(): Expected a long tensor for index, but got {index.dtype}"
        )
    a = known(index)
    if not a.size or (a.min() >= 0 and a.max() < n):
        return index
    if not n:
        raise RuntimeError(f"take_along_dim(): no element to take, a dimension is empty: {a}")
    return index.remainder(n)


@api
def take_along_dim(input: Any, indices: Any, dim: Any = None) -> Any:
    """gather with broadcasting; indices along a dimension are taken modulo its size."""
    if dim is None:
        return gather.__wrapped__(input.view(-1), 0, indices.view(-1))
    s, i = list(input.node.shape), list(indices.node.shape)
    if len(s) != len(i):
        raise RuntimeError(
            f"take_along_dim(): input and indices should have the same number of dimensions, but "
            f"got {len(s)} dimensions for input, and {len(i)} dimensions for indices"
        )
    d = wrap_dim(dim, len(s))
    both = broadcast(
        [
            tuple([1 if k == d else n for k, n in enumerate(s)]),
            tuple([1 if k == d else n for k, n in enumerate(i)]),
        ],
        "take_along_dim",
    )
    at = _modulo(indices, s[d])
    a = input.expand([s[d] if k == d else n for k, n in enumerate(both)])
    b = at.expand([i[d] if k == d else n for k, n in enumerate(both)])
    return gather.__wrapped__(a, d, b)


@api(method=False)
def unravel_index(indices: Any, shape: Any) -> Any:
    """Flat positions as coordinates in a tensor of the given shape."""
    if indices.node.dtype.category != dtypes.INT:
        raise TypeError(f"unravel_index(): 'indices' must be integers, got {indices.dtype}")
    if isinstance(shape, Tensor) or not isinstance(shape, (int, Sequence)):
        raise TypeError(f"unravel_index(): 'shape' must be int or ints, got {shape!r}")
    sizes = [shape] if isinstance(shape, int) else list(shape)
    if not all([isinstance(n, int) for n in sizes]):
        raise TypeError(f"unravel_index(): 'shape' must hold ints only, got {sizes}")
    if any(n < 0 for n in sizes):
        raise ValueError(f"unravel_index(): 'shape' cannot have negative values, got {sizes}")
    indices = indices.to(dtypes.int64)
    out, step = [], 1
    for n in reversed(sizes):
        out.append((indices // step) % n if n else indices * 0)
        step *= n
    return tuple(reversed(out))
