"""Tensors in pickles of Python's own pickle module."""

from __future__ import annotations

from typing import Any

import numpy as np

from facula.meta import META
from facula.sharing import with_bits
from facula.trace import recorder
from facula.trace.node import Node, laid
from facula.unresolved import bits_of
from facula.values import from_array, values


def reduced(t: Any, kind: Any) -> Any:
    """What `__reduce_ex__` says of a tensor of a subclass, or of none; what has a history comes
    back as a leaf."""
    rg = t.requires_grad
    n = t.node
    if n.op is META:
        made: Any = _rebuild_meta, (kind, tuple(n.shape), n.dtype, n.strides, rg)
    else:
        a = values(t)
        n = t.node
        strides = None
        if not a.flags.c_contiguous:  # all that lies between, as it lies
            strides = a.strides
            span = a.itemsize + sum([(m - 1) * s for m, s in zip(a.shape, strides, strict=True)])
            a = laid(a, (span // a.itemsize,), (a.itemsize,))
        bits = bits_of(t)
        for bit, undo in zip(bits, (np.conj, np.negative), strict=True):
            a = undo(a) if bit else a
        made = _rebuild, (kind, a.tobytes(), n.dtype, tuple(n.shape), strides, rg)
        if any(bits):
            made = _rebuild, (*made[1], bits)
    return (*made, dict(t.__dict__)) if t.__dict__ else made


def _rebuild(
    cls: Any,
    raw: bytes,
    dtype: Any,
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None,
    rg: bool,
    bits: tuple[bool, bool] = (False, False),
) -> Any:
    a = np.frombuffer(bytearray(raw), dtype.np)
    a = a.reshape(shape) if strides is None else laid(a, shape, strides)
    t = from_array(a)
    return _finished(cls, with_bits(t, *bits).detach() if any(bits) else t, rg)


def _rebuild_meta(cls: Any, shape: Any, dtype: Any, strides: Any, rg: bool) -> Any:
    t = recorder._new_tensor()
    t.node = Node(META, shape, dtype, strides)
    return _finished(cls, t, rg)


def _finished(cls: Any, t: Any, rg: bool) -> Any:
    return t.requires_grad_(rg) if cls is None else cls._make_subclass(cls, t, rg)
