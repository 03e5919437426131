"""Tensors in pickles of Python's own pickle module."""

from __future__ import annotations

from typing import Any

import numpy as np

from facula.meta import META
from facula.sharing import with_bits
from facula.trace import recorder
from facula.trace.node import Node
from facula.unresolved import bits_of
from facula.values import from_array, values


def reduced(t: Any, kind: Any) -> Any:
    """What `__reduce_ex__` says of a tensor of a subclass, or of none; what has a history comes
    back as a leaf."""
    rg = t.requires_grad
    n = t.node
    if n.op is META:
        return _rebuild_meta, (kind, tuple(n.shape), n.dtype, n.strides, rg)
    a = np.ascontiguousarray(values(t))
    n = t.node
    bits = bits_of(t)
    for bit, undo in zip(bits, (np.conj, np.negative), strict=True):
        a = undo(a) if bit else a
    args: tuple[Any, ...] = (kind, a.tobytes(), n.dtype, tuple(n.shape), rg)
    args = (*args, bits) if any(bits) else args
    return (_rebuild, args, dict(t.__dict__)) if t.__dict__ else (_rebuild, args)


def _rebuild(
    cls: Any,
    raw: bytes,
    dtype: Any,
    shape: tuple[int, ...],
    rg: bool,
    bits: tuple[bool, bool] = (False, False),
) -> Any:
    t = from_array(np.frombuffer(bytearray(raw), dtype.np).reshape(shape))
    if any(bits):
        t = with_bits(t, *bits).detach()
    if cls is not None:
        return cls._make_subclass(cls, t, rg)
    return t.requires_grad_(rg)


def _rebuild_meta(cls: Any, shape: Any, dtype: Any, strides: Any, rg: bool) -> Any:
    t = recorder._new_tensor()
    t.node = Node(META, shape, dtype, strides)
    if cls is not None:
        return cls._make_subclass(cls, t, rg)
    return t.requires_grad_(rg)
