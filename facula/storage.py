"""Memory that several tensors share.

A tensor that nothing aliases holds its own value. The first view of it moves the value into a
`Storage`; each tensor of the storage then is a *chain* of view operations on the storage's value.
A write goes through the writer's chain back into the storage and makes every other tensor of the
storage stale; a stale tensor re-derives itself when it is next read.
"""

from __future__ import annotations

import weakref
from typing import Any

from facula.autograd.graph import Token, edge_of
from facula.trace import recorder
from facula.trace.node import INPUT, LEAF, STALE, leaf, stale
from facula.trace.recorder import TLS, assign, flush, prepare, record

__all__ = ["Storage", "Token", "make_view", "storage_of", "write"]


class Storage:
    """The shared value, as the tensor that was aliased first sees it."""

    _leaf_rg = False
    _storage = None
    _saved = False
    _gfn: Any = None
    _exported: Any = None
    _token: Any = None
    _version = 0
    _history = 0  # counts the differentiable writes

    def __init__(self, t: Any) -> None:
        node = t.node
        self.node = node.leaf if node.op is INPUT else node
        self._data = t._data
        self._gfn = t._gfn
        self._exported = t._exported
        self._token = t._token
        self._version = t._version
        self._of_leaf = t._leaf_rg
        self.aliases: list[Any] = [weakref.ref(t)]

    def _leaf_like(self) -> bool:
        """Whether the memory is a leaf's, which has no history to keep."""
        return self._of_leaf


def storage_of(t: Any) -> Storage:
    """The tensor's storage, made when it is first asked for."""
    s = t._storage
    if s is None:
        s = t._storage = Storage(t)
        t._chain = ()
        t._history = 0
        if s.node.op is not LEAF:
            TLS.r.add(s)
    return s


def make_view(t: Any, op: Any, params: Any) -> Any:
    """A tensor that shares t's memory through one more view operation."""
    r = TLS.r
    t = prepare(r, t)
    s = storage_of(t)
    node = t.node
    if (node.op is LEAF or node.op is INPUT) and not (r.grad and node.rg and op.differentiable):
        shape, dtype, strides, offset = op.infer(params, (), node)
        v = recorder._new_tensor()
        v._data = op.body(params, (), t._data)
        v.node = leaf(shape, dtype, strides)
    else:
        v = record(op, (t,), params)
        offset = v.node.offset
    v._storage = s
    v._chain = (*t._chain, (op, params))
    v._offset = t._offset + offset
    v._diff = t._diff and r.grad and op.differentiable
    v._history = s._history
    v._of_leaf = t._leaf_rg or t._of_leaf
    s.aliases.append(weakref.ref(v))
    if len(s.aliases) > 64 and not len(s.aliases) & (len(s.aliases) - 1):
        s.aliases = [a for a in s.aliases if a() is not None]
    return v


def _derive(t: Any, s: Storage) -> None:
    """Record t's chain over its storage's value."""
    v: Any = s
    for op, params in t._chain:
        v = record(op, (v,), params)
    if v is s:
        t.node = s.node
        TLS.r.add(t)
        return
    t.node = v.node
    TLS.r.add(t)


def rederive(t: Any) -> None:
    """Give a stale tensor its storage's present value."""
    r = TLS.r
    s = t._storage
    history = s.node.rg or s._gfn is not None
    if t._diff and t._history != s._history and history:
        t._history = s._history
        t._gfn = None
        if s.node.op is LEAF and not t._chain:
            t._data, t._gfn = s._data, s._gfn
            t.node = leaf(t.node.shape, t.node.dtype, t.node.strides, True)
            return
        before = r.grad
        recorder.set_grad(True)
        try:
            _derive(t, s)
        finally:
            recorder.set_grad(before)
        return
    if s.node.op is not LEAF and s.node.op is not INPUT:
        if t._gfn is None:
            before = r.grad
            recorder.set_grad(False)
            try:
                _derive(t, s)
            finally:
                recorder.set_grad(before)
            return
        flush(r)  # a value from one history and a gradient from another: rare, so computed now
    settle_alias(t)


def settle_alias(t: Any) -> None:
    """Point a tensor of a realised storage at its part of the buffer."""
    s = t._storage
    node = t.node
    data = s._data
    for op, params in t._chain:
        data = op.body(params, (), data)
    t._data = data
    pending = node.op is not STALE and node.op is not LEAF and node.op is not INPUT
    if pending and node.rg and t._gfn is None:
        t._gfn = s._gfn if not t._chain else t._gfn
    rg = t._leaf_rg or t._gfn is not None
    t.node = leaf(node.shape, node.dtype, node.strides, rg)


def write(t: Any, value: Any) -> None:
    """Store `value`, a tensor of t's shape and dtype, into t's memory."""
    r = TLS.r
    if t._storage is None and t._token is None and t._gfn is None and not t.node.rg:
        assign(t, value)  # nothing else knows this memory
        t._writes += 1
        return
    t2 = prepare_for_write(r, t)
    if t2._token is not None:
        t2._token.stale = True
        t2._token = None
    s = t._storage
    if s is None:
        keeps = not r.grad and t.node.rg and not t._leaf_rg
        if keeps:
            t._gfn = edge_of(t)
        elif r.grad:
            t._gfn = None  # the history becomes that of the value written
        assign(t, value)
        t._writes += 1
        if keeps:
            flush(r)
        return
    if _sole(t, s):
        write(t, value)
        return
    if s._token is not None:
        s._token.stale = True
        s._token = None
    differentiable = r.grad and t._diff
    before = r.grad
    recorder.set_grad(differentiable)
    try:
        parents: list[Any] = [s]
        for op, params in t._chain[:-1]:
            parents.append(record(op, (parents[-1],), params))
        new = value
        for (op, params), base in zip(reversed(t._chain), reversed(parents), strict=False):
            new = op.write_back(base, new, params)
        keeps = not differentiable and not s._leaf_like() and (s._gfn is not None or s.node.rg)
        if keeps and s._gfn is None:
            s._gfn = edge_of(s)
        for ref in s.aliases:
            a = ref()
            if a is None or a.node.op is STALE:
                continue
            if not differentiable and a.node.rg and not a._leaf_rg and a._gfn is None:
                a._gfn = edge_of(a)
            a.node = stale(a.node)
        del parents
        if differentiable:
            s._gfn = None
            s._history += 1
        assign(s, new)
        s._version += 1
        if keeps:
            flush(r)
    finally:
        recorder.set_grad(before)
    s.aliases = [a for a in s.aliases if a() is not None]


def _sole(t: Any, s: Storage) -> bool:
    """Whether t was all that is left of a realised storage, which then is t's own again.

    A parameter is made over a tensor's memory, and that tensor is usually dropped at once.
    """
    if s.node.op is not LEAF or s._gfn is not None or t._gfn is not None:
        return False
    for op, _ in t._chain:
        if op.name not in ("detach", "alias"):
            return False
    for ref in s.aliases:
        a = ref()
        if a is not None and a is not t:
            return False
    t._storage = None
    t._chain = ()
    t._diff = True
    t._exported, t._token, t._writes = s._exported, s._token, s._version
    return True


def prepare_for_write(r: Any, t: Any) -> Any:
    """A stale tensor is brought up to date before it is written."""
    if t.node.op is STALE:
        rederive(t)
    return t
