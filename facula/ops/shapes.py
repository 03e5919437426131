"""Views, copies and rearrangements."""

from __future__ import annotations

import math
import operator
from functools import lru_cache
from typing import Any

from facula import dtypes, unresolved
from facula.ops import movement as mv
from facula.ops.promotion import need
from facula.ops.registry import broadcast
from facula.ops.table import METHODS, OVERRIDES, api
from facula.tensor import Tensor
from facula.tensor_base import wrap_dim
from facula.trace.node import contiguous_strides
from facula.trace.recorder import record
from facula.views import make_view
from facula.warned import warn_once

_INTS = {int}


def sizes(args: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes given one by one or as one sequence."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = tuple(args[0])
    if _INTS.issuperset(map(type, args)):
        return args
    if isinstance(args[0], bool):  # PyTorch looks at the first only
        raise TypeError(f"sizes must be ints, but found an element of type bool in {args}")
    return tuple([a if type(a) is int else _size(a) for a in args])


def _size(a: Any) -> int:
    if not hasattr(a, "__index__"):
        raise TypeError(f"sizes must be ints, but found an element of type {type(a).__name__}")
    return operator.index(a)


def dims_of(dim: Any, rank: int) -> tuple[int, ...]:
    """A dimension or several, counted from the front; all for None."""
    if dim is None:
        return tuple(range(rank))
    if isinstance(dim, (tuple, list)):
        out = tuple([wrap_dim(d, rank) for d in dim])
        if len(set(out)) != len(out):
            raise RuntimeError(f"dim {out[0]} appears multiple times in the list of dims")
        return out
    return (wrap_dim(dim, rank),)


def _infer_size(given: tuple[int, ...], shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    n = math.prod(given)
    if shape.count(-1) > 1:
        raise RuntimeError(f"{name}: only one dimension can be inferred")
    for s in shape:
        if s < -1:
            raise RuntimeError(f"{name}: invalid shape dimension {s}")
    known = 1
    for s in shape:
        if s != -1:
            known *= s
    if -1 in shape:
        if known == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} "
                "because the unspecified dimension size -1 can be any value"
            )
        if n % known:
            raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {n}")
        return tuple([n // known if s == -1 else s for s in shape])
    if known != n:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {n}")
    return shape


@lru_cache(4096)
def _layout(
    shape: tuple[int, ...], strides: tuple[int, ...] | None, new: tuple[int, ...], name: str
) -> tuple[tuple[int, ...], bool]:
    """The new shape without -1, and whether the same memory can be seen so."""
    new = _infer_size(shape, new, name)
    return new, mv.view_strides(shape, strides, new) is not None


@api
def reshape(input: Any, *args: Any, shape: Any = None) -> Any:
    """The elements in another shape: a view where the layout allows it, else a copy."""
    n = input.node
    if not args and shape is None:
        raise TypeError('reshape() missing 1 required positional argument: "shape"')
    asked = sizes(args if shape is None else (shape,))
    new, same = _layout(n.shape, n.strides, asked, "reshape")
    if same:
        return make_view(input, mv.RESHAPE, new)
    return record(mv.RESHAPE, (record(mv.CONTIGUOUS, (input,), 0),), new)


@api(function=False)
def view(self: Any, *shape: Any, **named: Any) -> Any:
    """A view in another shape (or dtype); RuntimeError where the layout does not allow it."""
    if not shape and len(named) == 1 and ("dtype" in named or "size" in named):
        shape = tuple(named.values())
    elif named:
        raise TypeError(f"view() received an invalid combination of arguments: {sorted(named)}")
    if len(shape) == 1 and isinstance(shape[0], dtypes.dtype):
        return _view_dtype(self, shape[0])
    elif not shape:
        raise TypeError('view() missing 1 required positional argument: "size"')
    n = self.node
    new, same = _layout(n.shape, n.strides, sizes(shape), "view")
    if not same:
        raise RuntimeError(
            f"view size is not compatible with input tensor's size and stride (at least one "
            f"dimension spans across two contiguous subspaces): view of shape {list(new)} on a "
            f"tensor of shape {list(self.node.shape)} and strides {list(self.stride())}. Use "
            ".reshape(...) instead."
        )
    return make_view(self, mv.RESHAPE, new)


def _view_dtype(t: Any, d: Any) -> Any:
    unresolved.check("view", t)
    if d is t.dtype:
        return make_view(t, mv.DETACH, ())  # it has no derivative, whatever the dtype
    from facula.ops.layouts import view_dtype

    return view_dtype(t, d)


@api(function=False)
def view_as(self: Any, other: Any) -> Any:
    """A view in the shape of another tensor."""
    need("view_as", other=other)
    return view.__wrapped__(self, other.shape)


@api(function=False)
def reshape_as(self: Any, other: Any) -> Any:
    """reshape to the shape of another tensor."""
    need("reshape_as", other=other)
    return reshape.__wrapped__(self, other.shape)


@api
def permute(input: Any, *args: Any, dims: Any = None) -> Any:
    """The dimensions in another order."""
    if not args and dims is None:
        raise TypeError('permute() missing 1 required positional argument: "dims"')
    rank = len(input.node.shape)
    p = sizes(args if dims is None else (dims,))
    if len(p) != rank:
        raise RuntimeError(
            f"permute(): number of dimensions in the tensor input does "
            f"not match the length of the desired ordering of dimensions i.e. "
            f"input.dim() = {rank} is not equal to len(dims) = {len(p)}"
        )
    p = tuple([wrap_dim(d, rank) for d in p])
    if len(set(p)) != rank:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return make_view(input, mv.PERMUTE, p)


@api(names=("swapaxes", "swapdims"))
def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two dimensions exchanged."""
    return make_view(input, mv.PERMUTE, _exchanged(len(input.node.shape), dim0, dim1))


@lru_cache(256, typed=True)  # 1 and 1.0 are equal, and one is no dimension
def _exchanged(rank: int, dim0: int, dim1: int) -> tuple[int, ...]:
    i, j = wrap_dim(dim0, rank), wrap_dim(dim1, rank)
    p = list(range(rank))
    if rank:
        p[i], p[j] = j, i
    return tuple(p)


@api
def t(input: Any) -> Any:
    """The transpose of a matrix; vectors and scalars as they are."""
    rank = len(input.node.shape)
    if rank > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {rank}D")
    return make_view(input, mv.PERMUTE, tuple(reversed(range(rank))))


@api
def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Some dimensions moved to other places."""
    rank = len(input.node.shape)
    src, dst = dims_of(source, rank), dims_of(destination, rank)
    if not rank:
        return make_view(input, mv.PERMUTE, ())
    if len(src) != len(dst):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(src)} dims)"
            f" should contain the same number of dims as destination "
            f"({list(dst)} dims)"
        )
    order = [-1] * rank
    for s, d in zip(src, dst, strict=True):
        order[d] = s
    rest = iter([d for d in range(rank) if d not in src])
    return make_view(input, mv.PERMUTE, tuple([next(rest) if o < 0 else o for o in order]))


METHODS["moveaxis"] = METHODS["movedim"]


def _t(self: Any) -> Any:
    rank = len(self.node.shape)
    if rank == 0:
        warn_once(f"Tensor.T {_NUMBER}")
    elif rank != 2:
        warn_once(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is "
            "deprecated and it will throw an error in a future release. Consider `x.mT` to "
            "transpose batches of matrices or `x.permute(*torch.arange(x.ndim - 1, -1, -1))` to "
            "reverse the dimensions of a tensor."
        )
    order = tuple(reversed(range(rank)))
    if OVERRIDES:
        return METHODS["permute"](self, order)
    return make_view(self, mv.PERMUTE, order)


METHODS["T"] = property(_t)
_NUMBER = "is deprecated on 0-D tensors. This function is the identity in these cases."


def _turned(name: str) -> property:
    """`mT`, `mH` or `H`: matrices transposed, and the conjugate of an H."""

    def f(self: Any) -> Any:
        rank = len(self.node.shape)
        if rank == 0:
            warn_once(f"Tensor.{name} {_NUMBER}")
        elif rank < 2 or (rank > 2 and name == "H"):
            of = "matrices (2-D tensors)" if name == "H" else "matrices or batches of matrices"
            raise RuntimeError(f"tensor.{name} is only supported on {of}. Got {rank}-D tensor.")
        t = METHODS["transpose"](self, -2, -1) if rank else self
        return t if name == "mT" else t.conj()

    return property(f)


METHODS.update({name: _turned(name) for name in ("mT", "mH", "H")})


@api
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """A range of dimensions as one."""
    shape = input.node.shape
    i, j = wrap_dim(start_dim, len(shape)), wrap_dim(end_dim, len(shape))
    if i > j:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not shape:
        return reshape.__wrapped__(input, 1)
    if i == j:
        return input
    n = 1
    for s in shape[i : j + 1]:
        n *= s
    return reshape.__wrapped__(input, (*shape[:i], n, *shape[j + 1 :]))


@api
def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    """One dimension as several."""
    shape = input.node.shape
    d = wrap_dim(dim, len(shape))
    part = [_size(n) for n in sizes]
    if not part:
        raise RuntimeError("unflatten: sizes must be non-empty")
    if not shape:
        raise RuntimeError(f"unflatten: dim {dim} was given, but the tensor has no dimensions")
    if -1 in part:
        known = 1
        for s in part:
            known *= s if s != -1 else 1
        part[part.index(-1)] = shape[d] // known if known else 0
    n = 1
    for s in part:
        n *= s
    if n != shape[d]:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size "
            f"of dim {d} ({shape[d]}) in the input tensor"
        )
    return reshape.__wrapped__(input, (*shape[:d], *part, *shape[d + 1 :]))


@api
def ravel(input: Any) -> Any:
    """All elements in one dimension: a copy, where they have gaps."""
    return reshape.__wrapped__(contiguous.__wrapped__(input), -1)


@api(inplace=False)
def unsqueeze(input: Any, dim: int) -> Any:
    """A dimension of size 1 inserted."""
    d = wrap_dim(dim, len(input.node.shape) + 1)
    return with_ones(input, (d,))


@lru_cache(4096)
def _with_ones(
    shape: tuple[int, ...], strides: tuple[int, ...] | None, put: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    new, steps = list(shape), list(strides or contiguous_strides(shape))
    for d in reversed(put):
        steps.insert(d, new[d] * steps[d] if d < len(new) else 1)
        new.insert(d, 1)
    return _laid(shape, strides, tuple(new), tuple(steps))


@lru_cache(4096)
def _without_ones(
    shape: tuple[int, ...], strides: tuple[int, ...] | None, drop: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    left = [i for i, n in enumerate(shape) if not (i in drop and n == 1)]
    steps = strides or contiguous_strides(shape)
    return _laid(shape, strides, tuple([shape[i] for i in left]), tuple([steps[i] for i in left]))


def _laid(shape: Any, strides: Any, new: Any, steps: Any) -> tuple[Any, Any]:
    """A shape, and its strides, where those of RESHAPE are others."""
    usual = 0 in shape or (mv.view_strides(shape, strides, new) or contiguous_strides(new)) == steps
    return new, None if usual else steps


def with_ones(t: Any, dims: tuple[int, ...]) -> Any:
    """A view with dimensions of size 1 inserted before these ones of the tensor's.

    Each steps over what follows it, and the others go on as they do.
    """
    n = t.node
    return _view_so(t, _with_ones(n.shape, n.strides, dims))


def without_ones(t: Any, dims: tuple[int, ...]) -> Any:
    """A view without those of these dimensions that are of size 1."""
    n = t.node
    return _view_so(t, _without_ones(n.shape, n.strides, dims))


def _view_so(t: Any, layout: tuple[Any, Any]) -> Any:
    v = make_view(t, mv.RESHAPE, layout[0])
    return v if layout[1] is None else make_view(v, mv.ALIAS, layout[1])


@api
def squeeze(input: Any, dim: Any = None, *more: int) -> Any:
    """Dimensions of size 1 dropped."""
    return without_ones(input, dims_of((dim, *more) if more else dim, len(input.node.shape)))


@api(function=False)
def expand(self: Any, *shape: Any, size: Any = None) -> Any:
    """Dimensions of size 1 repeated without copying."""
    shape = shape if size is None else (size,)
    if not shape:
        raise TypeError('expand() missing 1 required positional argument: "size"')
    want = list(sizes(shape))
    have = self.node.shape
    extra = len(want) - len(have)
    if extra < 0:
        raise RuntimeError(
            f"expand({self.dtype}{list(have)}, size={want}): the number of sizes "
            f"provided ({len(want)}) must be greater or equal to the number of "
            f"dimensions in the tensor ({len(have)})"
        )
    for i, n in enumerate(have):
        if want[i + extra] == -1:
            want[i + extra] = n
        elif want[i + extra] != n and n != 1:
            raise RuntimeError(
                f"The expanded size of the tensor ({want[i + extra]}) must match "
                f"the existing size ({n}) at non-singleton dimension {i + extra}.  "
                f"Target sizes: {want}.  Tensor sizes: {list(have)}"
            )
    if any([n < 0 for n in want]):
        raise RuntimeError(f"expand: the sizes {want} are not allowed for a new dimension")
    return make_view(self, mv.EXPAND, tuple(want))


@api(function=False)
def expand_as(self: Any, other: Any) -> Any:
    """expand to the shape of another tensor."""
    return expand.__wrapped__(self, other.node.shape)


@api
def broadcast_to(input: Any, *args: Any, size: Any = None) -> Any:
    """expand, as a function."""
    return expand.__wrapped__(input, sizes(args if size is None else (size,)))


@api(method=False)
def broadcast_tensors(*tensors: Any) -> Any:
    """All tensors expanded to their common shape; those of that shape are given back."""
    ts = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    shape = broadcast([t.node.shape for t in ts], "broadcast_tensors")
    return tuple([t if t.node.shape == shape else expand.__wrapped__(t, shape) for t in ts])


@api(method=False)
def broadcast_shapes(*shapes: Any) -> Any:
    """The common shape of several."""
    from facula.tensor_base import Size

    shapes = tuple([() if s is None else s for s in shapes])
    for s in shapes:
        if not isinstance(s, (int, tuple, list)):
            raise RuntimeError(f"Input shapes should be ints, tuples of ints or lists, got {s!r}")
        if min(s if isinstance(s, (tuple, list)) else (s,), default=0) < 0:
            raise ValueError(f"Attempting to broadcast a dimension with negative length: {s}")
    return Size(broadcast([(s,) if isinstance(s, int) else tuple(s) for s in shapes] or [()]))


@api
def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """A range of one dimension."""
    shape = input.node.shape
    if not shape:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if isinstance(start, Tensor) and (start.node.shape or start.node.dtype.category != dtypes.INT):
        raise RuntimeError(
            f"narrow(): start must be an 0-dim integral Tensor, got {start.dtype} of shape "
            f"{list(start.node.shape)}"
        )
    elif isinstance(start, bool) or not hasattr(start, "__index__"):
        raise TypeError(f"narrow(): argument 'start' must be int, not {type(start).__name__}")
    d, start = wrap_dim(dim, len(shape)), int(start)
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -shape[d] <= start <= shape[d]:
        raise IndexError(
            f"start out of range (expected to be in range of [{-shape[d]}, "
            f"{shape[d]}], but got {start})"
        )
    start = start + shape[d] if start < 0 else start
    if start + length > shape[d]:
        raise RuntimeError(
            f"narrow: start ({start}) + length ({length}) exceeds dimension size ({shape[d]})."
        )
    return slice_dim(input, d, start, length)


def slice_dim(t: Any, d: int, start: int, length: int, step: int = 1) -> Any:
    """A range of dimension d, already checked."""
    return make_view(t, mv.SLICE, _range(t.node.shape, d, start, length, step))


@lru_cache(4096)
def _range(shape: tuple[int, ...], d: int, start: int, length: int, step: int) -> tuple[Any, ...]:
    return tuple([(0, n, 1) if i != d else (start, length, step) for i, n in enumerate(shape)])


@api
def select(input: Any, dim: int, index: int) -> Any:
    """One element of a dimension."""
    shape = input.node.shape
    if not shape:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d, i = wrap_dim(dim, len(shape)), index
    if not -shape[d] <= i < shape[d]:
        raise IndexError(
            f"select(): index {i} out of range for tensor of size {list(shape)} at dimension {d}"
        )
    p = tuple([(0, n, 1) if k != d else (i + n if i < 0 else i) for k, n in enumerate(shape)])
    return make_view(input, mv.SLICE, p)


@api
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of two dimensions, as the last dimension."""
    rank = len(input.node.shape)
    i, j = wrap_dim(dim1, rank), wrap_dim(dim2, rank)
    if i == j:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return make_view(input, mv.DIAGONAL, (offset, i, j))


@api
def flip(input: Any, *args: Any, dims: Any = None) -> Any:
    """The order along some dimensions reversed (a copy)."""
    if bool(args) is (dims is not None):
        raise TypeError(f"flip() takes 'dims' once, but got {args} and dims={dims}")
    p = dims_of(sizes(args if dims is None else (dims,)), len(input.node.shape))
    whole = not p or not input.node.shape
    return clone.__wrapped__(input) if whole else record(mv.FLIP, (input,), p)


@api
def fliplr(input: Any) -> Any:
    """The second dimension reversed."""
    if len(input.node.shape) < 2:
        raise RuntimeError(f"fliplr: input must be >= 2-d, got shape {list(input.node.shape)}")
    return flip.__wrapped__(input, 1)


@api
def flipud(input: Any) -> Any:
    """The first dimension reversed."""
    if not input.node.shape:
        raise RuntimeError("flipud: input must be >= 1-d, got shape []")
    return flip.__wrapped__(input, 0)


@api
def rot90(input: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    """The plane of two dimensions turned by k quarters, from the first towards the second."""
    rank = len(input.node.shape)
    if len(dims) != 2:
        raise RuntimeError(f"rot90: expected total rotation dims == 2, but got dims = {len(dims)}")
    if rank < 2:
        raise RuntimeError(f"rot90: expected total dims >= 2, but got total dims = {rank}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == rank:
        raise RuntimeError(
            f"rot90: expected rotation dims to be different, but got dim0 = {dims[0]} and "
            f"dim1 = {dims[1]}"
        )
    i, j = wrap_dim(dims[0], rank), wrap_dim(dims[1], rank)
    k %= 4
    if k == 0:
        return clone.__wrapped__(input, memory_format="torch.contiguous")
    if k == 2:
        return flip.__wrapped__(input, (i, j))
    turned = flip.__wrapped__(input, j if k == 1 else i)
    return clone.__wrapped__(transpose.__wrapped__(turned, i, j))


# Copies.
@api
def clone(input: Any, *, memory_format: Any = None) -> Any:
    """A copy with its own memory."""
    return record(mv.CONTIGUOUS, (input,), mv.memory_order(memory_format, input.node.shape))


@api(function=False)
def contiguous(self: Any, memory_format: Any = None) -> Any:
    """The tensor in row-major layout, or with its channels last: itself where it is."""
    order = 0 if memory_format is None else mv.memory_order(memory_format, self.node.shape)
    if order == 1:
        raise RuntimeError("contiguous(): preserve_format is no order of memory")
    return (
        self
        if self.is_contiguous(memory_format=memory_format)
        else record(mv.CONTIGUOUS, (self,), order)
    )
