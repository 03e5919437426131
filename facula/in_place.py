"""The rules of writing to tensors: in place, and into what is given as `out=`."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from facula import writes
from facula.dtypes import can_cast
from facula.meta import META
from facula.ops import storing, table
from facula.storage import storage_of, version_of
from facula.tensor import Tensor
from facula.tensor_base import state_of
from facula.trace import settling
from facula.trace.node import STALE, Node, contiguous_strides, leaf
from facula.trace.recorder import TLS, flush
from facula.values import from_array, realise
from facula.views import forbid
from facula.warned import warn
from facula.writes import write


def _refuse_inference(t: Any, name: str) -> None:
    raise RuntimeError(
        f"{name}: Inplace update to inference tensor outside InferenceMode is not allowed. You "
        "can make a clone to get a normal tensor before doing inplace update. (a "
        f"{t.dtype} tensor of shape {list(t.shape)})"
    )


def check_in_place(t: Any, name: str, distinct: bool = True) -> None:
    """The rules for writing to a tensor while operations are recorded for autograd.

    `distinct`: whether elements that share memory are forbidden.
    """
    r = TLS.r
    if r.inference:
        r.inference.mark(r)
    elif (
        t._inference
        or (t._base_t is not None and t._base_t._inference)
        or (t._own is not None and t._storage._inference)
    ):
        _refuse_inference(t, name)
    if r.grad:
        if t._place is False or (t._leaf_rg and not t._place):
            raise RuntimeError(
                f"{name}: a leaf Variable that requires grad is being used in an "
                f"in-place operation. (a {t.dtype} tensor of shape "
                f"{list(t.shape)})"
            )
        if t._fixed and t.requires_grad:
            forbid(t, f"and is being modified inplace by {name}")
        base = t._viewed if t._base_t is None else t._base_t
        if base is not None and base._viewed is not None and t._base_t is not None:
            base = base._viewed  # what a view was one of before `.data =` goes on deciding
        if base is not None and (t.requires_grad or base.requires_grad):
            if base.is_leaf and not base._place:
                raise RuntimeError(
                    f"{name}: a view of a leaf Variable that requires grad is being "
                    "used in an in-place operation."
                )
            if t._multi or t._no_grad or base._fixed:
                forbid(t, f"and is being modified inplace by {name}")
            unasked = t._base_t is not None and not t.node.rg and t._gfn is None
            if unasked and (t.node.op is STALE or t._seen != version_of(t)):
                # Its base got a history since it was made, and nobody has asked for its own.
                raise RuntimeError(
                    f"{name}: a leaf Variable that requires grad is being used in an in-place "
                    f"operation. (a {t.dtype} view of shape {list(t.shape)}, of memory that "
                    "requires grad since it was made)"
                )
    if distinct:
        check_distinct(t, name)


def forbidden(args: Any, asked: bool = False) -> None:
    """RuntimeError for a view that the rules of views forbid a history: it comes before others.

    `asked`: an operation that fails has asked the others for their histories all the same.
    """
    for t in args:
        if t.__class__ is list or t.__class__ is tuple:
            forbidden(t, asked)
        elif isinstance(t, Tensor) and t._base_t is not None and (asked or t._multi or t._no_grad):
            if TLS.r.grad and t.requires_grad:
                t._edge()


def expanded(t: Any) -> list[int]:
    """The dimensions along which all elements of a tensor are known to be one in memory."""
    s, shape = t.node.strides, t.node.shape
    if s is None or 0 not in s or 0 in shape:
        return []
    return [d for d, (step, n) in enumerate(zip(s, shape)) if step == 0 and n > 1]


# In-place operations that PyTorch lets write to expanded tensors, with a warning.
_WRITE_EXPANDED = {"index_fill_", "index_put_", "masked_fill_"}


def write_expanded(t: Any, value: Any, name: str) -> Any:
    """Write the value of a whole expanded tensor to its memory.

    Of elements that are one in memory the first that changes is written.
    """
    if name not in _WRITE_EXPANDED:
        check_distinct(t, name)
    warn(
        f"Use of {name} on expanded tensors is deprecated. Please clone() the tensor before "
        "performing this operation. This also applies to advanced indexing e.g. tensor[indices] = "
        "tensor"
    )
    old = t.detach()
    changed = (value != old) & ((value == value) | (old == old))
    to = t
    for d in expanded(t):
        first = changed.byte().argmax(d, keepdim=True)
        value = value.gather(d, first)
        changed = changed.any(d, keepdim=True)
        to = to.narrow(d, 0, 1)
    to.copy_(value)
    return t


def write_indexed(t: Any, value: Any) -> None:
    """Write the value of a whole tensor of which an index picked elements."""
    if expanded(t):
        write_expanded(t, value, "index_put_")
    else:
        write(t, value)


def check_distinct(t: Any, name: str) -> None:
    """RuntimeError where several elements of a tensor to be written are known to be one."""
    if expanded(t):
        raise RuntimeError(
            f"{name}: unsupported operation: more than one element of the "
            "written-to tensor refers to a single memory location. Please "
            "clone() the tensor before performing the operation."
        )


def check_overlap(t: Any, others: Any, name: str, same: bool = True) -> None:
    """RuntimeError where an operand shares a part of the memory that is to be written.

    An operand that is the written tensor, element for element, is allowed if `same` says so.
    """
    if t._storage is None and same:
        return  # alone in its memory
    for o in others:
        if isinstance(o, Tensor) and (o is t or o._storage is t._storage is not None):
            if o is t:
                bad = not same
            else:
                n, m = t.node, o.node
                if not (fills(n) and fills(m)):
                    continue
                i, j, size, other = t._offset, o._offset, t.numel(), o.numel()
                if i == j and size == other:
                    bad = not same or o.stride() != t.stride()
                else:
                    bad = i < j + other and j < i + size
            if bad:
                raise RuntimeError(
                    f"{name}: unsupported operation: some elements of the input tensor and the "
                    "written-to tensor refer to a single memory location. Please clone() the "
                    "tensor before performing the operation."
                )


def fills(n: Any) -> bool:
    """Whether the elements lie without gaps and overlaps, in whatever order of dimensions."""
    if 0 in n.shape:
        return False
    if n.strides is None:
        return True
    step = 1
    for s, k in sorted([(s, k) for s, k in zip(n.strides, n.shape, strict=True) if k != 1]):
        if s != step:
            return False
        step *= k
    return True


def replace(t: Any, value: Any, name: str) -> Any:
    """Store the result of an in-place operation; returns t."""
    n, v = t.node, value.node
    if v.shape != n.shape:
        raise RuntimeError(
            f"{name}: output with shape {list(n.shape)} doesn't match the broadcast "
            f"shape {list(v.shape)}"
        )
    if v.dtype is not n.dtype:
        if not can_cast(v.dtype, n.dtype):
            raise RuntimeError(
                f"{name}: result type {v.dtype} can't be cast to the desired output type {n.dtype}"
            )
        value = value.to(n.dtype)
    write(t, value)
    return t


def resize(t: Any, shape: tuple[int, ...], strides: tuple[int, ...] | None = None) -> None:
    """Give a tensor another shape and layout; what it held is lost (the `out=` rule)."""
    if t.numel() and t.shape != shape:
        warnings.warn(
            f"An output with one or more elements was resized since it had shape "
            f"{list(t.shape)}, which does not match the required output shape "
            f"{list(shape)}.",
            UserWarning,
            stacklevel=4,
        )
    if t.node.op is META:
        t.node = Node(META, shape, t.dtype, strides)
        return
    if t.node.device is None:
        realise(t)
        shared = t._storage is not None and not writes.sole(t, t._storage)
        if shared or t.numel() >= math.prod(shape):  # what it lies in stays as large as it is
            storage_of(t)
            writes.resize(t, shape, strides or contiguous_strides(shape))
            return
    rg = t.requires_grad  # which it goes on to do
    if rg:
        flush()  # what was recorded knows it in its old shape
    edge = t._edge() if rg and not t._leaf_rg else None
    zeros = np.zeros(shape, t.dtype.np)
    new = from_array(zeros if strides is None else settling.relayout(zeros, strides))
    for k in ("_storage", "_chain", "_offset", "_exported", "_base_t", "_own", "_counter"):
        state_of(t).pop(k, None)
    t._gfn, t._data = edge, new._data
    t.node = leaf(shape, new.node.dtype, new.node.strides, rg)


table._in_place = storing._in_place = __import__("sys").modules[__name__]
