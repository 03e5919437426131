"""Movement primitives: other ways to look at the same elements, and how to write back through them.

`offset` in a shape rule is relative to the operand's own offset, in elements.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from facula.ops.registry import Op, cloned_strides, like_strides
from facula.trace.node import canonical, contiguous_strides, laid
from facula.trace.recorder import TLS, record


def strides_of(n: Any) -> tuple[int, ...]:
    """The strides of a node, in elements."""
    return n.strides if n.strides is not None else contiguous_strides(n.shape)


def view_strides(
    shape: tuple[int, ...], strides: tuple[int, ...] | None, new: tuple[int, ...]
) -> tuple[int, ...] | None:
    """Strides with which `new` can view the same memory, or None where a copy is needed."""
    if strides is None or 0 in shape:
        return contiguous_strides(new)
    # Dimensions that step through memory as one form a chunk, innermost first; the new dimensions
    # have to fill each chunk. Those of size 1 get the strides that PyTorch gives them.
    if not shape:
        return (1,) * len(new)
    out = [0] * len(new)
    at = len(new) - 1
    base, have, filled = strides[-1], 1, 1
    for d in range(len(shape) - 1, -1, -1):
        have *= shape[d]
        if d and (shape[d - 1] == 1 or strides[d - 1] == have * base):
            continue
        while at >= 0 and (filled < have or new[at] == 1):
            out[at] = filled * base
            filled *= new[at]
            at -= 1
        if filled != have:
            return None
        if d:
            base, have, filled = strides[d - 1], 1, 1
    return tuple(out) if at < 0 else None


def _permute_infer(p: Any, st: Any, a: Any) -> Any:
    s = strides_of(a)
    shape = tuple([a.shape[d] for d in p])
    return shape, a.dtype, canonical(shape, tuple([s[d] for d in p])), 0


def inverse(p: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that undoes p."""
    out = [0] * len(p)
    for i, d in enumerate(p):
        out[d] = i
    return tuple(out)


PERMUTE: Op = Op(
    "permute",
    _permute_infer,
    lambda p, s, a: a.transpose(p),
    (lambda g, p: record(PERMUTE, (g,), inverse(p)),),
    view=True,
    write_back=lambda base, new, p: record(PERMUTE, (new,), inverse(p)),
)


def _reshape_infer(p: Any, st: Any, a: Any) -> Any:
    s = view_strides(a.shape, a.strides, p)
    return p, a.dtype, None if s is None else canonical(p, s), 0


RESHAPE: Op = Op(
    "reshape",
    _reshape_infer,
    lambda p, s, a: a.reshape(p),
    (lambda g, an: record(RESHAPE, (g,), an.shape),),
    view=True,
    write_back=lambda base, new, p: record(RESHAPE, (new,), base.node.shape),
)


def shaped(t: Any, shape: Any) -> Any:
    """The value in another shape, for an operation's own use.

    Unlike a view it gives nobody a storage that has to be kept up to date.
    """
    return record(RESHAPE, (t,), tuple(shape))


def _expand_infer(p: Any, st: Any, a: Any) -> Any:
    s = strides_of(a)
    extra = len(p) - len(a.shape)
    out = [0] * extra + [0 if n == 1 and p[i + extra] != 1 else s[i] for i, n in enumerate(a.shape)]
    for i in range(extra - 1, -1, -1):  # a new dimension of size 1 steps over all that follows it
        if p[i] == 1 and i + 1 < len(p):
            out[i] = p[i + 1] * out[i + 1]
    return p, a.dtype, canonical(p, tuple(out)), 0


def _expand_grad(g: Any, an: Any) -> Any:
    from facula.autograd.engine import sum_to

    return sum_to(g, an.shape)


def _contracted(base: Any, new: Any, p: Any) -> Any:
    """One of the equal values that a write through an expanded view stored."""
    n = base.node.shape
    extra = len(p) - len(n)
    kept = [(0, 1 if m == 1 else p[extra + i], 1) for i, m in enumerate(n)]
    return record(SLICE, (new,), (*[0] * extra, *kept))


EXPAND: Op = Op(
    "expand",
    _expand_infer,
    lambda p, s, a: np.broadcast_to(a, p),
    (_expand_grad,),
    view=True,
    write_back=lambda base, new, p: _contracted(base, new, p),
)


@lru_cache(4096)
def np_index(p: Any) -> Any:
    """The NumPy index of a slice parameter; the Ellipsis keeps a 0-d result an array."""
    return (
        *[
            i if type(i) is int else slice(i[0], i[0] + i[1] * i[2] if i[1] else i[0], i[2])
            for i in p
        ],
        Ellipsis,
    )


def _slice_infer(p: Any, st: Any, a: Any) -> Any:
    s = strides_of(a)
    shape, strides, offset = [], [], 0
    for d, i in enumerate(p):
        if type(i) is int:
            offset += i * s[d]
        else:
            offset += i[0] * s[d]
            shape.append(i[1])
            strides.append(s[d] * i[2])
    return tuple(shape), a.dtype, canonical(tuple(shape), tuple(strides)), offset


def _same_as_first(p: Any, st: Any, a: Any, *rest: Any) -> Any:
    return a.shape, a.dtype, a.strides, 0


def _written(p: Any, st: Any, a: Any, *rest: Any) -> Any:
    """A base with a part replaced stays laid out as it was, unless its elements share memory."""
    return a.shape, a.dtype, like_strides(a) if a.strides and 0 in a.strides else a.strides, 0


def _slice_scatter_body(p: Any, s: Any, a: Any, b: Any) -> Any:
    out = np.array(a)  # not a.copy(): what NumPy computed of a 0-d array may be a number
    out[np_index(p)] = b
    return out


def zeros_node(n: Any, dtype: Any = None) -> Any:
    """A recorded tensor of zeros, shaped like a node."""
    from facula.ops.creation import FULL, full_on

    return record(FULL, (), full_on(n.shape, dtype or n.dtype, n.device), (0,))


SLICE: Op = Op(
    "slice",
    _slice_infer,
    lambda p, s, a: a[np_index(p)],
    (lambda g, an, p: record(SLICE_SCATTER, (zeros_node(an, g.node.dtype), g), p),),
    view=True,
    write_back=lambda base, new, p: record(SLICE_SCATTER, (base, new), p),
)
SLICE_SCATTER: Op = Op(
    "slice_scatter",
    _written,
    _slice_scatter_body,
    (
        lambda g, bn, p: record(SLICE_SCATTER, (g, zeros_node(bn, g.node.dtype)), p),
        lambda g, p: record(SLICE, (g,), p),
    ),
)


def _diagonal_infer(p: Any, st: Any, a: Any) -> Any:
    k, i, j = p
    s = strides_of(a)
    n = max(0, min(a.shape[i], a.shape[j] - k) if k >= 0 else min(a.shape[i] + k, a.shape[j]))
    rest = [d for d in range(len(a.shape)) if d not in (i, j)]
    shape = (*[a.shape[d] for d in rest], n)
    strides = (*[s[d] for d in rest], s[i] + s[j])
    offset = (k * s[j] if k >= 0 else -k * s[i]) if n else 0
    return shape, a.dtype, canonical(shape, strides), offset


def _diagonal_scatter(p: Any, s: Any, a: Any, b: Any) -> Any:
    out = np.array(a)
    k, i, j = p
    if b.size:
        start = out[
            tuple(
                [
                    slice(None)
                    if d not in (i, j)
                    else slice(max(0, -k) if d == i else max(0, k), None)
                    for d in range(a.ndim)
                ]
            )
        ]
        rest = [d for d in range(a.ndim) if d not in (i, j)]
        # np.diagonal is read-only, so build the writable view
        laid(start, b.shape, (*[out.strides[d] for d in rest], out.strides[i] + out.strides[j]))[
            ...
        ] = b
    return out


DIAGONAL: Op = Op(
    "diagonal",
    _diagonal_infer,
    lambda p, s, a: _writable_diagonal(p, a),
    (lambda g, an, p: record(DIAGONAL_SCATTER, (zeros_node(an, g.node.dtype), g), p),),
    view=True,
    write_back=lambda base, new, p: record(DIAGONAL_SCATTER, (base, new), p),
)
DIAGONAL_SCATTER: Op = Op(
    "diagonal_scatter",
    _written,
    _diagonal_scatter,
    (
        lambda g, bn, p: record(DIAGONAL_SCATTER, (g, zeros_node(bn, g.node.dtype)), p),
        lambda g, p: record(DIAGONAL, (g,), p),
    ),
)


def _writable_diagonal(p: Any, a: Any) -> Any:
    d = np.diagonal(a, *p)
    if a.flags.writeable:
        d.flags.writeable = True
    return d


def _as_strided_infer(p: Any, st: Any, a: Any) -> Any:
    shape, strides, offset = p
    return shape, a.dtype, canonical(shape, strides), offset


def _as_strided_body(p: Any, s: Any, a: Any) -> Any:
    shape, strides, offset = p
    flat = np.ascontiguousarray(a).reshape(-1)[offset:]
    step = a.itemsize
    return laid(flat, shape, tuple([x * step for x in strides]))


def _as_strided_scatter(p: Any, s: Any, a: Any, b: Any) -> Any:
    out = np.array(a, order="C")
    _as_strided_body(p, s, out)[...] = b
    return out


def _as_strided_add(p: Any, s: Any, g: Any) -> Any:
    (shape, strides, offset), base = p
    index = np.full(shape, offset)
    for d, (n, step) in enumerate(zip(shape, strides, strict=True)):
        index = index + (np.arange(n) * step).reshape([-1] + [1] * (len(shape) - d - 1))
    out = np.zeros(base, g.dtype)
    np.add.at(out.reshape(-1), index.reshape(-1), g.reshape(-1))
    return out


def _as_strided_grad(g: Any, an: Any, p: Any) -> Any:
    if 0 in p[0]:  # nothing is added up, and so nothing depends on g
        return zeros_node(an, g.node.dtype)
    return record(AS_STRIDED_ADD, (g,), (p, an.shape))


# The operand is the whole storage, contiguous: the tensor layer sees to that. Parameters: sizes,
# strides, offset.
AS_STRIDED: Op = Op(
    "as_strided",
    _as_strided_infer,
    _as_strided_body,
    (_as_strided_grad,),
    view=True,
    write_back=lambda base, new, p: record(AS_STRIDED_SCATTER, (base, new), p),
)
AS_STRIDED_ADD: Op = Op(
    "as_strided_add",
    lambda p, st, a: (p[1], a.dtype, None, 0),
    _as_strided_add,
    (lambda g, p: record(AS_STRIDED, (g,), p[0]),),
)
AS_STRIDED_SCATTER: Op = Op(
    "as_strided_scatter",
    _written,
    _as_strided_scatter,
    (
        lambda g, bn, p: record(AS_STRIDED_SCATTER, (g, zeros_node(bn, g.node.dtype)), p),
        lambda g, p: record(AS_STRIDED, (g,), p),
    ),
)


def _beyond_grad(g: Any, an: Any, p: Any) -> Any:
    params, known, size = p
    if 0 in params[0]:
        return zeros_node(an, g.node.dtype)
    out = record(AS_STRIDED, (record(AS_STRIDED_ADD, (g,), (params, size)),), known)
    if 0 not in known[1]:
        return out
    each = _as_strided_body(known, (), _as_strided_add((known, size), (), np.ones(known[0])))
    return out / int(each.flat[0])  # of elements that are one in memory each has a part


# What lies in the memory around an operand, whose history it has: the operand and the value.
# Parameters: those of `AS_STRIDED` over all of the memory for the value and for the operand, and
# the shape of the memory.
BEYOND: Op = Op(
    "beyond",
    lambda p, st, a, b: (b.shape, b.dtype, b.strides, 0),
    lambda p, s, a, b: b,
    (_beyond_grad,),
)


def _write_through(p: Any, s: Any, a: Any, b: Any) -> Any:
    at = np.arange(a.size).reshape(a.shape)
    for op, params in p:
        at = op.body(params, (), at)
    out = np.array(a, order="C")
    out.reshape(-1)[at] = b
    return out


def _seen_through(t: Any, chain: Any) -> Any:
    for op, params in chain:
        t = record(op, (t,), params)
    return t


# Stores b where a chain of views of a looks, though several of its elements may be one.
WRITE_THROUGH: Op = Op(
    "write_through",
    _written,
    _write_through,
    (
        lambda g, bn, p: record(WRITE_THROUGH, (g, zeros_node(bn, g.node.dtype)), p),
        lambda g, p: _seen_through(g, p),
    ),
)

DETACH: Op = Op(
    "detach",
    _same_as_first,
    lambda p, s, a: a,
    (None,),
    view=True,
    write_back=lambda base, new, p: new,
)
# Another name for a tensor. The parameters: its strides, if some of dimensions of size 1 change.
ALIAS: Op = Op(
    "alias",
    lambda p, st, a: (a.shape, a.dtype, canonical(a.shape, p) if p else a.strides, 0),
    lambda p, s, a: a,
    (lambda g: g,),
    view=True,
    write_back=lambda base, new, p: new,
)

# The value that an in-place operation reads: not an alias, so its own write does not spoil it.
SELF: Op = Op("self", _same_as_first, lambda p, s, a: a, (lambda g: g,))


def apart(t: Any) -> Any:
    """The tensor as an operand that may be written to later, though the formula needs its value:
    PyTorch's does without."""
    return record(SELF, (t,)) if TLS.r.grad else t


def _base_grad(g: Any, bn: Any) -> Any:
    if not TLS.r.grad:
        return None
    return record(TIED, (zeros_node(bn), g), (g.node.shape, g.node.dtype))


# What a differentiable write through a view ends with: the history of the base, whose gradient
# depends on that of the result even where all of it was written.
COPY_SLICES: Op = Op(
    "copy_slices", _same_as_first, lambda p, s, a, *base: a, (lambda g: g, _base_grad)
)
COPY_SLICES.frees = True


# A value of which PyTorch saves the tensor, where a formula here does without it: it may not be
# modified before the backward pass either.
WATCH: Op = Op("watch", _same_as_first, lambda p, s, a: a, (lambda g: g,))
WATCH.watches = "a"


def watched(t: Any) -> Any:
    """The tensor as an operand that a later write spoils for the backward pass."""
    return record(WATCH, (t,)) if t.node.rg or t.requires_grad else t


# A value that PyTorch does not have: what it saves is the second operand, which may not be modified
# before the backward pass where a formula here keeps the first.
INSTEAD: Op = Op("instead", _same_as_first, lambda p, s, a, b: a, (lambda g: g, None))


# The first operand with the history of the second, which has no shape (`autograd/function.py`).
JOIN: Op = Op("join", _same_as_first, lambda p, s, a, b: a, (None, lambda g: g))


def instead(new: Any, t: Any) -> Any:
    """A value computed of t, whose place it takes in an operation."""
    return new if new is t else record(INSTEAD, (new, t))


def _copied_strides(p: Any, a: Any) -> Any:
    if type(p) is tuple:
        return canonical(a.shape, p)
    return cloned_strides(a) if p else None


def channels_last_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The layout of images with the channels, dimension 1, innermost."""
    order = (1, *range(len(shape) - 1, 1, -1), 0)
    out, step = [0] * len(shape), 1
    for d in order:
        out[d] = step
        step *= shape[d]
    return tuple(out)


def is_channels_last(n: Any) -> bool:
    """Whether PyTorch takes a layout for that of images with their channels last."""
    if len(n.shape) not in (4, 5) or n.strides is None:
        return False
    if len(n.strides) != len(n.shape):  # of a batch of tensors
        return False
    least, s = 0, n.strides
    if s[1] == 0:
        return False
    for d in (1, *range(len(n.shape) - 1, 1, -1), 0):
        if n.shape[d] == 0 or s[d] < least or (d == 0 and least == s[1]):
            return False
        least = s[d] * max(1, n.shape[d])
    return True


def memory_order(memory_format: Any, shape: tuple[int, ...]) -> Any:
    """CONTIGUOUS's parameter for a `memory_format`: strides, or 1 for the source's, or 0."""
    name = "preserve_format" if memory_format is None else str(memory_format).rpartition(".")[2]
    rank = {"channels_last": 4, "channels_last_3d": 5}.get(name)
    if rank is None:
        return int(name == "preserve_format")
    if len(shape) != rank:
        raise RuntimeError(f"required rank {rank} tensor to use {name} format, got {list(shape)}")
    return channels_last_strides(shape)


def strides_in(memory_format: Any, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The strides of a new tensor in a memory format; None for row-major."""
    order = memory_order(memory_format, shape)
    if order == 1:
        raise RuntimeError("unsupported memory format Preserve: there is no tensor to follow")
    return canonical(shape, order) if order else None


def strides_like(n: Any, memory_format: Any) -> tuple[int, ...] | None:
    """The strides of a new tensor like a node, with `memory_format` if that is another's."""
    if memory_format is None or str(memory_format) == "torch.preserve_format":
        return like_strides(n)
    return strides_in(memory_format, n.shape)


def in_layout(t: Any, strides: tuple[int, ...] | None) -> Any:
    """A computed value laid out so (None: row-major): itself where it is, else a copy."""
    return t if t.node.strides == strides else record(CONTIGUOUS, (t,), strides or 0)


def tied(g: Any, z: Any) -> Any:
    """The gradient g, depending (with derivative zero) on what z stands for."""
    if not g.node.rg:
        for stand_in, n in z:
            g = record(TIED, (g, stand_in), (n.shape, n.dtype))
    return g


TIED: Op = Op(
    "tied",
    _same_as_first,
    lambda p, s, a, b: a,
    (lambda g: g, lambda g, p: g.new_zeros(p[0], dtype=p[1])),
)


def _flip_body(p: Any, s: Any, a: Any) -> Any:
    return np.flip(a, p)


FLIP: Op = Op(
    "flip",
    lambda p, st, a: (a.shape, a.dtype, cloned_strides(a), 0),
    _flip_body,
    (lambda g, p: record(FLIP, (g,), p),),
)
# A copy. The parameter is its layout: strides, 1 for the operand's, 0 for row-major.
CONTIGUOUS: Op = Op(
    "clone",
    lambda p, st, a: (a.shape, a.dtype, _copied_strides(p, a), 0),
    lambda p, s, a: a.copy(order="K" if p else "C"),
    (lambda g: g,),
)


def _cat_infer(p: Any, st: Any, *ns: Any) -> Any:
    d = p
    shape = list(ns[0].shape)
    shape[d] = sum([n.shape[d] for n in ns])
    return tuple(shape), ns[0].dtype, None, 0


def cat_record(ts: tuple[Any, ...], dim: int) -> Any:
    """Concatenate tensors of one dtype along a dimension."""
    out = ts[0]
    # Binary steps of doubling width keep every primitive at two operands and the work linear-ish.
    queue = list(ts)
    while len(queue) > 1:
        queue = [
            record(CAT, (queue[i], queue[i + 1]), dim) if i + 1 < len(queue) else queue[i]
            for i in range(0, len(queue), 2)
        ]
        out = queue[0]
    return out


def _cat_part(g: Any, n: Any, start: int, dim: int) -> Any:
    p = tuple(
        [(0, m, 1) if d != dim else (start, n.shape[dim], 1) for d, m in enumerate(g.node.shape)]
    )
    t = record(SLICE, (g,), p)
    # Without the gaps of the whole: a program that only reads it makes no copy.
    return t if t.node.strides is None else record(CONTIGUOUS, (t,), 0)


CAT: Op = Op(
    "cat",
    _cat_infer,
    lambda p, s, *a: np.concatenate(a, p),
    (
        lambda g, an, p: _cat_part(g, an, 0, p),
        lambda g, an, bn, p: _cat_part(g, bn, an.shape[p], p),
    ),
)
