"""Memory that several tensors share.

A tensor that nothing aliases holds its own value. The first view of it moves the value into a
`Storage`; each tensor of the storage then is a *chain* of view operations on the storage's value.
A write goes through the writer's chain back into the storage and makes every tensor of the storage
stale; a stale tensor re-derives itself when it is next read.

Memory and history are two things. A view has a *base*, the tensor that it is a view of, and takes
its history from it whenever the memory was written since it last looked. What was detached shares
the memory only: it is a base of its own, and its history, once a write gave it one, is kept in a
`Group`. The storage's own value carries the history of the first base.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from facula.trace import recorder
from facula.trace.node import (
    INPUT,
    LEAF,
    Node,
    leaf,
    stale,
)
from facula.trace.recorder import TLS, flush
from facula.trace.rescue import refuse


def __getattr__(name: str) -> Any:
    if name in ("TypedStorage", "UntypedStorage"):  # where PyTorch has them
        from facula import memory

        return getattr(memory, name)
    if name == "_load_from_bytes":  # what plain pickles of PyTorch name
        from facula.serialization.loading import load_from_bytes

        return load_from_bytes
    from facula.errors import missing_name

    raise missing_name(__name__, name)


class Storage:
    """The shared value, as the tensor aliased first sees it, with that tensor's history."""

    _leaf_rg = False
    _storage = None
    _base_t = None
    _counter = None
    _saved = False
    _gfn: Any = None
    _exported: Any = None
    _token: Any = None
    _failure: Any = None
    _version = 0
    frame = -1  # in which `handled` are, by their ids, tensors that are among the handles
    handled: set[int] = set()
    gfn: Any = None
    chain: tuple[Any, ...] = ()
    computed = False  # whether there was a view that shows other elements than are in memory
    lent = False  # whether NumPy code has held the memory
    _inference = False

    def __init__(self, t: Any) -> None:
        node = t.node
        if node.op is INPUT:
            node = node.leaf
        if node.op is LEAF and node.rg and t._leaf_rg:  # the leaf keeps its gradient for itself
            node = leaf(node.shape, node.dtype, node.strides, device=node.device)
        self.node = node
        self._data = t._data
        self._gfn = None if t._leaf_rg else t._gfn
        self._exported = t._exported
        if t._exported is not None:
            self.lent = True
        if t._inference:
            self._inference = True
        self._token = t._token
        self._version = t._writes
        self.aliases: list[Any] = [weakref.ref(t)]

    def _rederive(self, linked: bool = True) -> Any:
        refuse(self)

    @property
    def n(self) -> int:
        """As `Counter.n`: the version, for a tensor that counts here and lies elsewhere."""
        return self._version

    @n.setter
    def n(self, value: int) -> None:
        self._version = value


class Counter:
    """A version counter apart from the storage's: that of `x.data`, or of `x` after `x.data = y`.

    Values saved for the backward pass are tied to the counter of the tensor that they were read
    from, so a write through a tensor with another counter does not spoil them.
    """

    __slots__ = ("_token", "n")

    def __init__(self, n: int = 0, token: Any = None) -> None:
        self.n = n
        self._token = token


class Group:
    """The history of a detached tensor and its views: `gfn` belongs to the value at `chain`."""

    __slots__ = ("chain", "gfn")

    def __init__(self, chain: tuple[Any, ...]) -> None:
        self.chain = chain
        self.gfn: Any = None


class Beyond(Group):
    """That of what `as_strided` shows of the memory around a detached tensor, its base: `how` are
    the parameters of the operation (`movement.BEYOND`) that gives it the base's history."""

    __slots__ = ("how",)

    def __init__(self, chain: tuple[Any, ...], how: Any) -> None:
        super().__init__(chain)
        self.how = how


DETACHED = Group(())  # stands for a group that is made when a view or a history needs it


def forget(t: Any) -> None:
    """Drop the history of the realised base t."""
    group = group_of(t)
    group.gfn = None
    if group is t._storage:
        n = group.node
        group._gfn = None
        group.node = leaf(n.shape, n.dtype, n.strides, device=n.device)
    for ref in t._storage.aliases:
        a = ref()
        n = None if a is None else a.node
        if n is not None and n.op is LEAF and n.rg and a._base_t is t and a._no_grad:
            if not a._leaf_rg and a._gfn is None:  # it required grad where its base did
                a.node = leaf(n.shape, n.dtype, n.strides, device=n.device)


def storage_of(t: Any) -> Storage:
    """The tensor's storage, made when it is first asked for."""
    s = t._storage
    if s is None:
        r = TLS.r
        if r.inference:
            r.inference.mark(r)
        s = t._storage = Storage(t)
        t._chain = ()
        if s.node.op is not LEAF:
            TLS.r.add(s)
    return s


def version_of(t: Any) -> int:
    """How often the tensor's memory was written (through `.data` counts apart)."""
    if t._counter is not None:
        return t._counter.n
    s = t._storage
    return t._writes if s is None else s._version


def group_of(t: Any) -> Any:
    """Who keeps the history of t and its views: its storage or a group."""
    own = t._own
    if own is None:
        return t._storage
    if own is DETACHED:
        own = t._own = Group(t._chain)
    return own


def seen(data: Any, op: Any, params: Any) -> Any:
    """An array, of whatever device, seen through a view operation."""
    if data.__class__ is np.ndarray:
        return op.body(params, (), data)
    return data.look(op, params)


def settle_lent(s: Storage) -> None:
    """Compute the views of memory that NumPy code holds: pending, they would not see its writes."""
    if s._exported is not None and s._exported() is not None:
        flush(TLS.r)


def mark(t: Any) -> None:
    """Note in the frame that t's value is read through a counter of its own."""
    TLS.r.counters[t.node] = (t._counter, t._counter.n)


def self_op() -> Any:
    """The operation whose result is its operand."""
    from facula.ops.movement import SELF

    return SELF


def asleep(a: Any) -> Node:
    """The node of an alias, without what only its base made it require (`Tensor._awaken`)."""
    n: Node = a.node
    if n.rg and a._base_t is not None and not a._leaf_rg and a._gfn is None and not a._no_grad:
        if n.op is LEAF or n.op is INPUT:
            return leaf(n.shape, n.dtype, n.strides, device=n.device)
    return n


def sleep(t: Any) -> None:
    """Let the views of t, all realised, require no grad that only t made them require."""
    for ref in [] if t._storage is None else t._storage.aliases:
        a = ref()
        if a is not None and a._base_t is t:
            a.node = asleep(a)


def wake_leaves(t: Any) -> None:
    """Let the views of t that are leaves look again: t requires grad now, as their base.

    One through which, or through another, the memory was written is a result of t then.
    """
    for ref in t._storage.aliases:
        a = ref()
        if a is not None and a._base_t is t and a._leaf_rg and a._seen != version_of(a):
            a.node = stale(a.node)


def join(s: Storage, v: Any) -> None:
    """Count v among the tensors of a storage."""
    s.aliases.append(weakref.ref(v))
    if len(s.aliases) > 64 and not len(s.aliases) & (len(s.aliases) - 1):
        s.aliases = [a for a in s.aliases if a() is not None]


def at_once(f: Any, mode: bool) -> Any:
    """Call f with gradient recording on or off."""
    before = TLS.r.grad
    recorder.set_grad(mode)
    try:
        return f()
    finally:
        recorder.restore_grad(before)


def detach_op() -> Any:
    """The operation of `detach`."""
    from facula.ops.movement import DETACH

    return DETACH
