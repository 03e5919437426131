"""Where the values of tensors are: computing them, and their memory."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from facula import dtypes, storage, unresolved, views
from facula.trace import aside, bounds, flight, recorder
from facula.trace.node import INPUT, LEAF, STALE, Other, laid, leaf
from facula.trace.operands import foreign
from facula.trace.recorder import TLS, flush


def realise(t: Any) -> Any:
    """Make the tensor's values present in `_data`."""
    while True:
        node = t.node
        op = node.op
        if op is LEAF or op is INPUT:
            if flight.CURRENT is not None:
                flight.CURRENT.settle(t._data)
            s = t._storage
            if s is not None and s.computed:
                unresolved.look_again(t)
            return t
        if op is STALE:
            u = views.rederive(t, False)
            if u is not t:  # a view without a valid history: the value alone
                t._data = realise(u)._data
                return t
        elif node.rec is TLS.r:
            flush(node.rec)
            if t.node is node:  # it was not among the handles of the frame
                raise AssertionError(
                    f"facula: a {node.dtype} tensor of shape {list(node.shape)} belongs to a frame "
                    "of the trace that has ended; please report how it was made"
                )
        else:
            s = foreign(t)
            if t.node is node:
                return s


def values(t: Any) -> Any:
    """The values as an array of the CPU, to be read and not kept."""
    a = realise(t)._data
    return a if a.__class__ is np.ndarray else a.download()


def single(t: Any) -> Any:
    """The value of a tensor of one element, as an array, without ending the frame if it is at hand
    (`trace/aside.py`)."""
    n = t.node
    if n.rec is TLS.r and n.op is not INPUT:
        a = aside.read(n.rec, n)
        if a is not None:
            return a
    return values(t)


def present(t: Any) -> Any:
    """The values of t as an array to read, if they are there already, in the host's memory."""
    if (t.node.op is not LEAF and t.node.op is not INPUT) or t.node.device is not None:
        return None
    if flight.CURRENT is not None:
        flight.CURRENT.settle(t._data, reading=True)
    return t._data


def to_check(t: Any, low: Any, high: Any) -> Any:
    """The values of t, for a check at the call that all lie between two numbers (both included).

    None where the operations that compute them keep them there (`trace/bounds.py`), and where
    nobody can look: on another device, in a batch of `vmap`. What follows from what is there by a
    few exact operations is computed beside the frame (`trace/aside.py`); else the frame ends.
    """
    n = t.node
    if n.rec is TLS.r and n.op is not INPUT and n.op is not STALE:
        there = aside.exact(n.rec, n)
        if there is None and lookable(t) and not within(t, low, high):
            there = realise(t)._data
        return there
    return realise(t)._data if lookable(t) else None


def within(t: Any, low: Any, high: Any) -> bool:
    """Whether t is pending, and what computes it keeps it between two numbers (both included)."""
    n = t.node
    if n.rec is not TLS.r or n.op is INPUT or n.op is STALE:
        return False
    a, b = bounds.of(n.rec, n)
    return bool(low <= a and b <= high)


def lookable(t: Any) -> bool:
    """Whether the values of t can be looked at now: they are of the CPU, and one array."""
    return t.node.device is None and t.node.op.__class__ is not Other


def own_memory(t: Any) -> Any:
    """Realise t, in memory that is its own and its aliases'; returns who holds that memory.

    A constant of a program lies in memory that can't be written, once for all tensors that hold it.
    """
    realise(t)
    owner = t if t._storage is None else t._storage
    if owner.node.device is None and not owner._data.flags.writeable:
        move_memory(owner, owner._data.copy(order="K"))
    return owner


def move_memory(owner: Any, data: Any) -> None:
    """Let a realised tensor or storage, and its aliases, lie in the memory of `data`, its copy."""
    owner._data = data
    for ref in _aliases(owner):
        a = ref()
        if a is not None and a.node.op in (LEAF, INPUT):
            a._data = unresolved.shown(data, a._chain, a.node.strides)


def _aliases(owner: Any) -> list[Any]:
    """References to the tensors that lie in a storage; a tensor without one has none."""
    return owner.aliases if owner.__class__ is storage.Storage else []


def in_use(owner: Any) -> bool:
    """Whether the frame being recorded reads the memory of a tensor or storage."""
    seen = [owner, *[ref() for ref in _aliases(owner)]]
    if any([t is not None and t.node.op is not LEAF and t.node.op is not STALE for t in seen]):
        return True
    r = TLS.r
    frame, count, ids = r.read
    if frame != r.frame:
        count, ids = 0, set()
    for t, _, _ in r.inputs[count:]:  # a frame may have many, and an optimiser ask for each of its
        ids.add(id(t))
        ids.add(id(t._storage))
    r.read = (r.frame, len(r.inputs), ids)
    return any([id(t) in ids for t in seen if t is not None])


def lend(owner: Any) -> Any:
    """The array of a tensor or storage, for NumPy code to hold.

    Every array that is made of it keeps alive what `owner._exported` refers to.
    """
    base = owner._data
    lent = None if owner._exported is None else owner._exported()
    if lent is not None:
        return lent if _same_array(lent, base) else base
    # An array whose own base is no array: NumPy's views of views would skip any other.
    lent = np.asarray(base.data) if base.dtype.isbuiltin == 1 else None
    if lent is None or lent.strides != base.strides:  # bfloat16, or nothing in it
        lent = laid(base, base.shape, base.strides)
    owner._exported = weakref.ref(lent)
    if owner.__class__ is not storage.Storage:
        if owner._counter is None and owner._token is None:
            return lent
    else:
        owner.lent = True
    for x in (owner, *[ref() for ref in _aliases(owner)]):
        counted = x if x is None or x._counter is None else x._counter
        if counted is not None and counted._token is not None:
            counted._token.lent = owner._exported
    return lent


def _same_array(a: Any, b: Any) -> bool:
    """Whether two arrays show the same elements of one memory, as values of one dtype."""
    x, y = a.__array_interface__, b.__array_interface__
    return x["data"][0] == y["data"][0] and bool(
        a.shape == b.shape and a.strides == b.strides and a.dtype == b.dtype
    )


def lent_view(t: Any) -> Any:
    """t as an array for NumPy code to hold, of the memory that t lies in."""
    owner = own_memory(t)
    if TLS.r.inputs and in_use(owner):
        flush()  # what is pending reads this memory: before NumPy code can write to it
    base = lend(owner)
    if owner is t:
        return base[...]
    if t._data is None or not np.may_share_memory(t._data, base):
        views.settle_alias(t)
    for op, params in t._chain:
        seen = base if op.computes else op.body(params, (), base)
        if base.flags.writeable and not seen.flags.writeable:  # PyTorch's broadcasts are
            seen = laid(base, seen.shape, seen.strides)
        base = seen
    return base


def from_array(a: Any, owned: bool = True) -> Any:
    """A tensor over a NumPy array's memory, without copying."""
    t = recorder._new_tensor()
    d = dtypes.from_np(a.dtype)
    if not a.dtype.isnative:
        a = a.astype(d.np)
    strides = None
    if not a.flags.c_contiguous:
        if any([s < 0 for s in a.strides]):
            raise ValueError(
                "At least one stride in the given numpy array is negative, and "
                "tensors with negative strides are not supported; copy the array "
                "first: array.copy()"
            )
        if any([s % a.itemsize for s in a.strides]):
            a = np.ascontiguousarray(a)
        else:
            strides = tuple([s // a.itemsize for s in a.strides])
    t.node = leaf(a.shape, d, strides)
    t._data = a
    if TLS.r.inference:
        t._inference = True
    if not owned:
        owner = a
        while type(owner.base) is np.ndarray:
            owner = owner.base
        t._exported = weakref.ref(owner)
        t._data = a[...]
    return t
