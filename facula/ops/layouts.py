"""Changes of what a tensor is, in place (`t_`, `squeeze_`, `resize_` ...), and views by strides."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula import sharing, storage
from facula.in_place import check_in_place
from facula.meta import META
from facula.ops import movement as mv
from facula.ops.arguments import check_memory_format
from facula.ops.creations import checked_shape
from facula.ops.pointwise import UNDERIVABLE
from facula.ops.registry import Op, like_strides
from facula.ops.shapes import dims_of, with_ones, without_ones
from facula.ops.strided import as_strided
from facula.ops.table import METHODS, api
from facula.tensor import Tensor
from facula.tensor_base import wrap_dim
from facula.trace.node import canonical, contiguous_strides, laid
from facula.trace.recorder import TLS, flush, record
from facula.values import from_array, realise
from facula.views import make_view
from facula.writes import bump, resize, sole, take_place


# Sliding windows over one dimension. Parameters: dimension, size, step.
def _unfold_infer(p: Any, st: Any, a: Any) -> Any:
    d, size, step = p
    s = mv.strides_of(a)
    shape = (*a.shape[:d], (a.shape[d] - size) // step + 1, *a.shape[d + 1 :], size)
    strides = (*s[:d], s[d] * step, *s[d + 1 :], s[d])
    return shape, a.dtype, canonical(shape, strides), 0


def _windows(p: Any, s: Any, a: Any) -> Any:
    d, size, step = p
    shape = (*a.shape[:d], (a.shape[d] - size) // step + 1, *a.shape[d + 1 :], size)
    strides = (*a.strides[:d], a.strides[d] * step, *a.strides[d + 1 :], a.strides[d])
    return laid(a, shape, strides)


def _unfold_scatter(p: Any, s: Any, a: Any, b: Any) -> Any:
    out = np.array(a)
    _windows(p, s, out)[...] = b
    return out


def _unfold_add(p: Any, s: Any, g: Any) -> Any:
    (d, size, step), base = p
    out = np.zeros(base, g.dtype)
    last = (g.shape[d] - 1) * step + 1
    for i in reversed(range(size)):  # each element's first windows first
        out[(slice(None),) * d + (slice(i, i + last, step),)] += g[..., i]
    return out


UNFOLD: Op = Op(
    "unfold",
    _unfold_infer,
    _windows,
    (lambda g, an, p: record(UNFOLD_ADD, (g,), (p, an.shape)),),
    view=True,
    write_back=lambda base, new, p: record(UNFOLD_SCATTER, (base, new), p),
)
UNFOLD_ADD: Op = Op(
    "unfold_backward",
    lambda p, st, a: (p[1], a.dtype, None, 0),
    _unfold_add,
    (lambda g, p: record(UNFOLD, (g,), p[0]),),
)
UNFOLD_SCATTER: Op = Op(
    "unfold_scatter",
    lambda p, st, a, b: (a.shape, a.dtype, like_strides(a), 0),
    _unfold_scatter,
    (
        lambda g, bn, p: record(UNFOLD_SCATTER, (g, mv.zeros_node(bn, g.node.dtype)), p),
        lambda g, p: record(UNFOLD, (g,), p),
    ),
)


@api(function=False)
def unfold(self: Any, dimension: int, size: int, step: int) -> Any:
    """A view of the windows of `size` elements along a dimension, as a new last dimension.

    Source: https://pytorch.org/docs/stable/generated/torch.Tensor.unfold.html
    """
    if not self.node.shape:
        if size > 1:
            raise RuntimeError(
                f"unfold: maximum size for tensor at dimension 0 is 1 but size is {size}"
            )
        wrap_dim(dimension, 0)
        return make_view(self, mv.AS_STRIDED, ((size,), (1,), 0))
    d = wrap_dim(dimension, len(self.node.shape))
    if size < 0 or size > self.node.shape[d]:
        raise RuntimeError(
            f"unfold: maximum size for tensor at dimension {d} is {self.node.shape[d]} but size "
            f"is {size}"
        )
    if step <= 0:
        raise RuntimeError(f"unfold: step is {step} but must be > 0")
    return make_view(self, UNFOLD, (d, size, step))


def _become(t: Any, view: Any) -> Any:
    """Let t itself become a view of what it was."""
    if t.node.op is META:
        t.node = view().node
        return t
    # What PyTorch would forbid a history has none to keep while gradients are not recorded.
    keeps = t.requires_grad and not t._no_grad and not t._multi
    take_place(t, storage.at_once(view, TLS.r.grad or keeps))
    return t


def transpose_(self: Any, dim0: int, dim1: int) -> Any:
    """Exchange two dimensions in place."""
    check_in_place(self, "transpose_", False)
    rank = len(self.node.shape)
    i, j = wrap_dim(dim0, rank), wrap_dim(dim1, rank)
    p = list(range(rank))
    if rank:
        p[i], p[j] = j, i
    return _become(self, lambda: make_view(self, mv.PERMUTE, tuple(p)))


def swapaxes_(self: Any, axis0: int, axis1: int) -> Any:
    """`transpose_` in NumPy's words."""
    return transpose_(self, axis0, axis1)


def swapdims_(self: Any, dim0: int, dim1: int) -> Any:
    """`transpose_` by another name."""
    return transpose_(self, dim0, dim1)


def t_(self: Any) -> Any:
    """Transpose a matrix in place."""
    check_in_place(self, "t_", False)
    rank = len(self.node.shape)
    if rank > 2:
        raise RuntimeError(f"t_() expects a tensor with <= 2 dimensions, but self is {rank}D")
    return _become(self, lambda: make_view(self, mv.PERMUTE, tuple(reversed(range(rank)))))


def squeeze_(self: Any, dim: Any = None, *more: int) -> Any:
    """Drop dimensions of size 1 in place."""
    check_in_place(self, "squeeze_", False)
    dims = dims_of((dim, *more) if more else dim, len(self.node.shape))
    return _become(self, lambda: without_ones(self, dims))


def unsqueeze_(self: Any, dim: int) -> Any:
    """Insert a dimension of size 1 in place."""
    check_in_place(self, "unsqueeze_", False)
    d = wrap_dim(dim, len(self.node.shape) + 1)
    return _become(self, lambda: with_ones(self, (d,)))


def as_strided_(self: Any, size: Any, stride: Any, storage_offset: Any = None) -> Any:
    """Become a view by sizes and strides of the tensor's storage, in place."""
    check_in_place(self, "as_strided_", False)
    v = as_strided(self, size, stride, storage_offset)
    take_place(self, v)
    return self


def resize_(self: Any, *shape: Any, memory_format: Any = None) -> Any:
    """Give the tensor another size, row-major or in a memory format; new elements are undefined.

    Source: https://pytorch.org/docs/stable/generated/torch.Tensor.resize_.html
    """
    new = checked_shape(shape)
    check_memory_format("resize_", memory_format)
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    strides = None if memory_format is None else mv.strides_in(memory_format, new)
    return _resized(self, new, strides, memory_format is not None)


def _resized(
    self: Any, new: tuple[int, ...], strides: tuple[int, ...] | None, restride: bool
) -> Any:
    if tuple(self.node.shape) == new and not restride:
        return self
    steps = strides or contiguous_strides(new)
    n = math.prod(new)
    if max(n * self.node.dtype.itemsize, *steps, 0) >= 1 << 63:
        raise RuntimeError(
            f"resize_: the storage or a stride overflows, a {self.node.dtype} tensor of shape "
            f"{list(self.node.shape)} to {list(new)}"
        )
    realise(self)
    s = self._storage
    held, device = self._data if s is None else s._data, self.node.device
    if self._offset + n <= held.size and (s is None or s.node.strides is None):
        v = as_strided(self, new, steps, self._offset)
        take_place(self, v)
        return self
    lent = (self if s is None else s)._exported
    if lent is not None and lent() is not None:
        raise RuntimeError(
            f"resize_: Trying to resize storage that is not resizable (a {self.node.dtype} tensor "
            f"of shape {list(self.node.shape)} to {list(new)}, whose memory is NumPy's too)"
        )
    if s is not None and not sole(self, s):
        resize(self, new, steps)
        bump(self)
        return self
    data = np.zeros(n, self.node.dtype.np)
    data[: min(n, held.size)] = (held if device is None else held.download()).reshape(-1)[:n]
    at = tuple([n * data.itemsize for n in steps])
    made = from_array(laid(data, new, at))
    return set_(self, made if device is None else made.to(device))


def resize_as_(self: Any, other: Any, memory_format: Any = None) -> Any:
    """resize_ to the size of another tensor; with `torch.preserve_format` as it is laid out."""
    if not isinstance(other, Tensor):
        raise TypeError(
            f"resize_as_(): argument 'the_template' must be Tensor, not {type(other).__name__}"
        )
    if str(memory_format) != "torch.preserve_format":
        return resize_(self, tuple(other.shape), memory_format=memory_format)
    n = other.node
    strides = mv.channels_last_strides(n.shape) if mv.is_channels_last(n) else None
    return _resized(self, n.shape, strides, True)


def set_(
    self: Any, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None
) -> Any:
    """Let the tensor share the memory, size and strides of another, or lie in a storage.

    Source: https://pytorch.org/docs/stable/generated/torch.Tensor.set_.html
    """
    if source is not None and (size is not None or not isinstance(source, Tensor)):
        from facula.memory import place

        memory = source.untyped_storage() if isinstance(source, Tensor) else source
        source = place(memory, self.dtype, storage_offset, size, stride)
    elif storage_offset or size is not None or stride is not None:
        raise TypeError("set_: an offset, size and strides are for a storage or tensor as source")
    if source is None:
        source = from_array(np.zeros(0, self.node.dtype.np))
    if source.dtype is not self.dtype:
        raise RuntimeError(
            f"set_: could not set tensor of type {source.dtype} to a tensor of type {self.dtype}"
        )
    check_in_place(self, "set_")
    # PyTorch has no derivative of it: the pass that meets it fails.
    past = self
    if TLS.r.grad and self.requires_grad:
        past = record(UNDERIVABLE, (self,), "set_")
    v = realise(source.detach())
    realise(self)
    realise(past)
    flush()
    sharing.move(self, v, self._version, past._gfn)
    bump(self)
    return self


# A tensor's bytes seen as another dtype. The parameter is the dtype.
def _bits_infer(p: Any, st: Any, a: Any) -> Any:
    k, m = a.dtype.itemsize, p.itemsize
    if k == m:
        return a.shape, p, a.strides, 0
    s = mv.strides_of(a)
    if k > m:
        shape = (*a.shape[:-1], a.shape[-1] * (k // m))
        steps = (*[x * (k // m) for x in s[:-1]], 1)
    else:
        shape = (*a.shape[:-1], a.shape[-1] // (m // k))
        steps = (*[x // (m // k) for x in s[:-1]], 1)
    return shape, p, canonical(shape, steps), 0


def _bits(p: Any, s: Any, a: Any) -> Any:
    if not a.ndim:
        return np.array(a).reshape(1).view(p.np).reshape(())
    if a.itemsize != p.itemsize and a.strides[-1] != a.itemsize:
        a = np.ascontiguousarray(a)
    return a.view(p.np)


BITS: Op = Op(
    "view_dtype",
    _bits_infer,
    _bits,
    (None,),
    view=True,
    write_back=lambda base, new, p: record(BITS, (new,), base.node.dtype),
)


def view_dtype(t: Any, d: Any) -> Any:
    """t.view(dtype): the same bytes as numbers of another dtype.

    Source: https://pytorch.org/docs/stable/generated/torch.Tensor.view.html
    """
    k, m = t.node.dtype.itemsize, d.itemsize
    if k != m:
        if not t.node.shape:
            raise RuntimeError(
                f"self.dim() cannot be 0 to view {t.dtype} as {d} (different element sizes)"
            )
        s = mv.strides_of(t.node)
        if s[-1] != 1:
            raise RuntimeError(
                f"self.stride(-1) must be 1 to view {t.dtype} as {d} (different element sizes), "
                f"but got {s[-1]}"
            )
        if k < m and (
            t.node.shape[-1] % (m // k)
            or t._offset % (m // k)
            or any([x % (m // k) for x in s[:-1]])
        ):
            raise RuntimeError(
                f"self.size(-1), strides and storage offset must be divisible by {m // k} to view "
                f"{t.dtype} as {d}, but got shape {list(t.shape)}, strides {list(s)} and offset "
                f"{t._offset}"
            )
    v = make_view(t, BITS, d)
    if k != m:
        v._offset = t._offset * k // m
    return v


METHODS.update(
    transpose_=transpose_,
    swapaxes_=swapaxes_,
    swapdims_=swapdims_,
    t_=t_,
    squeeze_=squeeze_,
    unsqueeze_=unsqueeze_,
    as_strided_=as_strided_,
    resize_=resize_,
    resize_as_=resize_as_,
    set_=set_,
)
