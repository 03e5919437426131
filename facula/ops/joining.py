"""Tensors joined, repeated and arranged into grids."""

from __future__ import annotations

from typing import Any

from facula.ops import movement as mv
from facula.ops import pointwise as pw
from facula.ops.promotion import need, result_type
from facula.ops.reductions import every
from facula.ops.shapes import expand, reshape, sizes, slice_dim, unsqueeze
from facula.ops.table import FUNCTIONS, api
from facula.tensor import Tensor
from facula.tensor_base import whole_dim, wrap_dim
from facula.trace.recorder import record
from facula.trace.spans import pure, run
from facula.warned import warn_once


@api(method=True, names=("concat", "concatenate"))
def cat(tensors: Any, dim: Any = 0, *, axis: Any = None) -> Any:
    """Tensors joined along a dimension."""
    ts = list(tensors)
    if not ts:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    return run(_cat, tuple(ts), whole_dim(dim if axis is None else axis))


@pure
def _cat(ts: Any, dim: Any, numbers: Any) -> Any:
    for i, x in enumerate(ts):
        if not isinstance(x, Tensor):
            raise TypeError(
                f"cat(): expected Tensor as element {i} in argument 0, but got {type(x).__name__}"
            )
        if not x.node.shape:
            raise RuntimeError(
                f"cat(): zero-dimensional tensor (at position {i}) cannot be concatenated"
            )
    d = result_type(*ts)
    if all(
        [x.node.shape == (0,) for x in ts]
    ):  # all are passed over, and no dimension is looked at
        dim = 0
    kept = [x for x in ts if x.node.shape != (0,)] or [record(mv.DETACH, (ts[0],))]
    passed = [x for x in ts if x.node.rg and x.node.shape == (0,)]
    ts = [pw.cast(x, d) for x in kept]
    first = ts[0].node.shape
    k = wrap_dim(dim, len(first))
    for i, x in enumerate(ts):
        s = x.node.shape
        if len(s) != len(first):
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {len(first)} and {len(s)}"
            )
        for j, (m, n) in enumerate(zip(first, s, strict=True)):
            if j != k and m != n:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {k}. Expected "
                    f"size {m} but got size {n} for tensor number {i} in the list."
                )
    last = all([mv.is_channels_last(x.node) for x in ts])
    out = _joined_last(ts, k) if last and len(ts) > 1 else _joined(ts, k)
    for x in passed:  # its gradient has no elements, but the result depends on it
        out = record(mv.TIED, (out, x), (x.node.shape, x.node.dtype))
    if last:
        return mv.in_layout(out, mv.channels_last_strides(out.node.shape))
    return out


def _joined(ts: list[Any], dim: int) -> Any:
    return mv.cat_record(tuple(ts), dim) if len(ts) > 1 else record(mv.CONTIGUOUS, (ts[0],), 0)


def _joined_last(ts: list[Any], dim: int) -> Any:
    """Tensors whose channels lie last, joined as they lie."""
    rank = len(ts[0].node.shape)
    order = (0, *range(2, rank), 1)
    back = tuple([order.index(d) for d in range(rank)])
    turned = [record(mv.PERMUTE, (t,), order) for t in ts]
    return record(mv.PERMUTE, (_joined(turned, order.index(dim)),), back)


@api(method=False)
def stack(tensors: Any, dim: int = 0) -> Any:
    """Tensors of one shape joined along a new dimension."""
    ts = list(tensors)
    if not ts:
        raise RuntimeError("stack expects a non-empty TensorList")
    return run(_stack, tuple(ts), whole_dim(dim))


@pure
def _stack(ts: Any, dim: Any, numbers: Any) -> Any:
    k = wrap_dim(dim, len(ts[0].node.shape) + 1)
    for i, x in enumerate(ts):
        if x.node.shape != ts[0].node.shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got "
                f"{list(ts[0].node.shape)} at entry 0 and {list(x.node.shape)} at "
                f"entry {i}"
            )
    d = result_type(*ts)
    return _joined([unsqueeze.__wrapped__(pw.cast(x, d), k) for x in ts], k)


@api(function=False)
def repeat(self: Any, *times: Any, repeats: Any = None) -> Any:
    """The tensor tiled."""
    if not times and repeats is None:
        raise TypeError('repeat() missing 1 required positional argument: "repeats"')
    r = sizes(times if repeats is None else (repeats,))
    shape = self.node.shape
    if len(r) < len(shape):
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of "
            "dimensions of tensor"
        )
    shape = (1,) * (len(r) - len(shape)) + shape
    x = reshape.__wrapped__(self, shape)
    inter = tuple([k for n in shape for k in (1, n)])
    wide = tuple([k for m, n in zip(r, shape, strict=True) for k in (m, n)])
    x = expand.__wrapped__(reshape.__wrapped__(x, inter), wide)
    return reshape.__wrapped__(
        record(mv.CONTIGUOUS, (x,), 0), tuple([m * n for m, n in zip(r, shape, strict=True)])
    )


@api
def tile(input: Any, *args: Any, dims: Any = None) -> Any:
    """repeat, with missing leading repeats taken as 1."""
    if not args and dims is None:
        raise TypeError('tile() missing 1 required positional argument: "dims"')
    r = sizes(args if dims is None else (dims,))
    return repeat.__wrapped__(input, (1,) * (len(input.node.shape) - len(r)) + r)


@api(method=False)
def meshgrid(*tensors: Any, indexing: str | None = None) -> Any:
    """Coordinate grids of several vectors."""
    if indexing is None:
        indexing = "ij"
        warn_once(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing "
            "argument."
        )
    ts = (
        list(tensors[0])
        if len(tensors) == 1 and isinstance(tensors[0], (tuple, list))
        else list(tensors)
    )
    need("meshgrid", **{f"tensors[{i}]": t for i, t in enumerate(ts)})
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    if not ts:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if len({x.dtype for x in ts}) > 1:
        raise RuntimeError(
            f"meshgrid expects all tensors to have the same dtype, got {[x.dtype for x in ts]}"
        )
    for x in ts:
        if len(x.node.shape) > 1:
            raise RuntimeError(
                f"meshgrid: expected 0D or 1D tensors, got one of shape {list(x.node.shape)}"
            )
    n = [x.numel() for x in ts]
    out = [
        expand.__wrapped__(x.reshape([-1 if i == j else 1 for j in range(len(ts))]), tuple(n))
        for i, x in enumerate(ts)
    ]
    return tuple([x.transpose(0, 1) for x in out] if indexing == "xy" and len(out) > 1 else out)


@api
def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Elements shifted along dimensions; what falls off comes back at the other end."""
    sh = sizes((shifts,))
    if every(dims):
        return roll.__wrapped__(input.reshape(-1), shifts, 0).reshape(input.node.shape)
    ds = dims if isinstance(dims, (tuple, list)) else (dims,)
    if len(sh) != len(ds):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(sh)}, dims: {len(ds)}")
    if not input.numel():
        return input.clone()
    out = input
    for s, d in zip(sh, ds, strict=True):
        d = wrap_dim(d, len(out.node.shape))
        n = out.node.shape[d]
        s %= n
        out = cat.__wrapped__([slice_dim(out, d, n - s, s), slice_dim(out, d, 0, n - s)], d)
    return out.clone() if out is input else out


def _list(tensors: Any) -> list[Any]:
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tensors[0]
    return list(tensors)


def _at_least(rank: int, shape_of: Any) -> None:
    name = f"atleast_{rank}d"

    def one(x: Any) -> Any:
        have = len(x.node.shape)
        if have == 2 and rank == 3:
            return unsqueeze.__wrapped__(x, 2)
        return x if have >= rank else reshape.__wrapped__(x, shape_of(x.node.shape))

    def f(*tensors: Any) -> Any:
        if len(tensors) == 1 and isinstance(tensors[0], Tensor):
            return one(tensors[0])
        return tuple([one(x) for x in _list(tensors)])

    f.__name__ = name
    f.__doc__ = f"Each tensor with at least {rank} dimensions."
    api(f, method=False)


_at_least(1, lambda s: (1,))
_at_least(2, lambda s: (1, *s) if s else (1, 1))
_at_least(3, lambda s: (1, 1, 1) if not s else (1, s[0], 1))


def _stack_along(name: str, names: tuple[str, ...], shaped: Any, dim_of: Any) -> None:
    def f(tensors: Any) -> Any:
        ts = list(tensors)
        if not ts:
            raise RuntimeError(f"{name} expects a non-empty TensorList")
        ts = [shaped(x) for x in ts]
        return cat.__wrapped__(ts, dim_of(ts[0]))

    f.__name__ = name
    f.__doc__ = f"Tensors joined as {name} joins them."
    api(f, method=False, names=names)


def _least(rank: int) -> Any:
    return lambda x: FUNCTIONS[f"atleast_{rank}d"](x)


_stack_along("hstack", (), _least(1), lambda x: 0 if len(x.node.shape) == 1 else 1)
_stack_along("vstack", ("row_stack",), _least(2), lambda x: 0)
_stack_along("dstack", (), _least(3), lambda x: 2)
_stack_along(
    "column_stack",
    (),
    lambda x: x if len(x.node.shape) > 1 else reshape.__wrapped__(x, (x.numel(), 1)),
    lambda x: 1,
)


@api(method=False)
def block_diag(*tensors: Any) -> Any:
    """A matrix with the given ones along its diagonal and zeros elsewhere."""
    ts = []
    for i, x in enumerate(_list(tensors) if tensors else ()):
        if len(x.node.shape) > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has "
                f"{len(x.node.shape)} dimensions"
            )
        ts.append(FUNCTIONS["atleast_2d"](x))
    if not ts:
        return FUNCTIONS["empty"]((1, 0))
    d = result_type(*ts)
    width = sum([x.node.shape[1] for x in ts])
    rows, at = [], 0
    for x in ts:
        m, n = x.node.shape
        parts = [x.new_zeros((m, at), dtype=d), pw.cast(x, d)]
        parts.append(x.new_zeros((m, width - at - n), dtype=d))
        rows.append(cat.__wrapped__(parts, 1))
        at += n
    return cat.__wrapped__(rows, 0)


@api(method=False)
def cartesian_prod(*tensors: Any) -> Any:
    """All combinations of one element from each vector, one a row."""
    ts = _list(tensors)
    for x in ts:
        if len(x.node.shape) != 1:
            raise RuntimeError(
                f"cartesian_prod: Expect a 1D vector, but got shape {list(x.node.shape)}"
            )
    if len(ts) == 1:
        return reshape.__wrapped__(ts[0], ts[0].node.shape)
    grids = meshgrid.__wrapped__(*ts, indexing="ij")
    return stack.__wrapped__([reshape.__wrapped__(g, -1) for g in grids], 1)


@api(method=False)
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """All choices of r elements of a vector, one a row, in the order of their positions."""
    import itertools

    import numpy as np

    from facula.values import from_array

    if len(input.node.shape) != 1:
        raise RuntimeError(
            f"combinations: Expect a 1D vector, but got shape {list(input.node.shape)}"
        )
    if r < 0:
        raise RuntimeError(f"combinations: Expect a non-negative number, but got {r}")
    if r == 0:
        return input.new_empty((0,))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    index = np.array(list(choose(range(input.numel()), r)), np.int64).reshape(-1, r)
    return FUNCTIONS["index_select"](input, 0, from_array(index.reshape(-1))).reshape(index.shape)
