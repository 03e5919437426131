"""Views: making them, and giving them what their memory holds now and the history of their base.

See `storage.py` for what memory, bases and histories are.
"""

from __future__ import annotations

import weakref
from functools import lru_cache
from typing import Any

import numpy as np

from facula import unresolved
from facula.autograd.graph import edge_of
from facula.autograd.nodes import GradNode
from facula.storage import (
    DETACHED,
    Beyond,
    Storage,
    at_once,
    detach_op,
    group_of,
    join,
    mark,
    seen,
    self_op,
    settle_lent,
    storage_of,
    version_of,
)
from facula.trace import neighbours, recorder
from facula.trace.node import (
    INPUT,
    LEAF,
    STALE,
    Diverted,
    Node,
    contiguous_strides,
    leaf,
    stale,
)
from facula.trace.operands import foreign, prepare
from facula.trace.recorder import TLS, flush, record
from facula.trace.rescue import refuse

_kept: Any = None  # facula.trace.kept, which sets it


def make_view(t: Any, op: Any, params: Any) -> Any:
    """A tensor that shares t's memory through one more view operation."""
    r = TLS.r
    if r.values:
        return record(op, (t,), params)
    linked = op.differentiable
    node, e = t.node, r.next
    if e.op is op and e.a is node and e.params == params and node.op is not INPUT and linked:
        # The step of the trace that was expected: a view of a value of this frame.
        base, grad = t._base_t, r.grad
        alone = t._own is None and t._counter is None
        if alone and not (grad and (t._leaf_rg or (base is not None and not node.rg))):
            s = t._storage
            if s is None:
                s = storage_of(t)
            if op.computes:
                s.computed = True
            r.cur = e
            r.next = e.succ
            v = recorder._new_tensor()
            v.node = e
            r.add(v)
            r.views = True
            v._storage = s
            v._chain = (*t._chain, (op, params))
            v._offset = t._offset + e.offset
            v._base_t = t if base is None else base
            v._seen = s._version
            if not grad or t._no_grad:
                v._no_grad = True
            if t._multi:
                v._multi = True
            if t._hooked:
                v._hooked = True
            join(s, v)
            if s._exported is not None:
                settle_lent(s)
            return v
    if not linked and t.node.op is STALE:
        t = rederive(t, False)
    try:
        t = prepare(r, t, linked)
    except Diverted as met:
        return met.kind.look(t, op, params)
    s = storage_of(t)
    node = t.node
    if op.computes:
        s.computed = True
    there = (node.op is LEAF or node.op is INPUT) and not op.computes
    if there and not (r.grad and node.rg and linked):
        v = recorder._new_tensor()
        v._data = seen(t._data, op, params)
        base = t if t._base_t is None else t._base_t
        rg = node.rg and linked and base.requires_grad
        if node.op is INPUT:
            node = node.leaf
        v.node, offset = _leaf_seen(op, params, node, rg)
    else:
        v = record(op, (t,), params)
        r.views = True
        offset = v.node.offset
    v._storage = s
    v._chain = (*t._chain, (op, params))
    if s.computed and v.node.op is LEAF and (s.node.op is LEAF or s.node.op is INPUT):
        v._data = unresolved.shown(s._data, v._chain, v.node.strides)
    v._offset = t._offset + offset
    v._counter = t._counter
    if linked:
        v._base_t = t if t._base_t is None else t._base_t
        v._own = group_of(t) if t._own is not None else None
        v._multi = t._multi
        v._no_grad = t._no_grad or not r.grad
        v._seen = version_of(t)
        if t._hooked:
            v._hooked = True
    else:
        v._own = DETACHED
    join(s, v)
    if v.node.op is not LEAF:
        settle_lent(s)
    return v


def make_slices(t: Any, op: Any, d: int, cuts: list[Any]) -> list[Any]:
    """Views of a tensor by the operation `op`, slices, that cut dimension d alone: at an index or
    by first and count. Where its memory is there, what they have in common is looked up once."""
    shape = t.node.shape
    before, after = [tuple([(0, n, 1) for n in part]) for part in (shape[:d], shape[d + 1 :])]
    many = [(*before, cut if type(cut) is int else (*cut, 1), *after) for cut in cuts]
    out = [make_view(t, op, params) for params in many[:1]]
    if len(many) < 3:
        return out + [make_view(t, op, params) for params in many[1:]]
    (first,) = out
    s, data, base = first._storage, t._data, t if t._base_t is None else t._base_t
    node = t.node.leaf if t.node.op is INPUT else t.node
    r = TLS.r
    alike = data.__class__ is np.ndarray and first.node.op is LEAF and node.op is LEAF
    alike = alike and not r.values and not (r.grad and node.rg)  # else they are recorded
    if not alike or s.computed or first._base_t is not base or t._own is not None:
        return out + [make_view(t, op, params) for params in many[1:]]
    chain, start, kind, seen_at = t._chain, t._offset, first.node, first._seen
    step = (node.strides or contiguous_strides(shape))[d]
    others = [
        (name, getattr(first, name))
        for name in ("_counter", "_multi", "_no_grad", "_hooked")
        if getattr(first, name)
    ]
    count = None if type(cuts[0]) is int else cuts[0][1]
    lead = (slice(None),) * d
    known = len(s.aliases)
    for cut, params in zip(cuts[1:], many[1:], strict=True):
        v = recorder._new_tensor()
        if count is None:
            v._data = data[(*lead, cut, ...)]
            v.node, at = kind, cut
        else:
            at, size = cut
            v._data = data[(*lead, slice(at, at + size))]
            v.node = kind if size == count else _leaf_seen(op, params, node, kind.rg)[0]
        v._storage, v._base_t, v._seen = s, base, seen_at
        v._chain = (*chain, (op, params))
        v._offset = start + at * step
        for name, value in others:
            setattr(v, name, value)
        s.aliases.append(weakref.ref(v))
        out.append(v)
    if len(s.aliases) > 64 and known.bit_length() != len(s.aliases).bit_length():
        s.aliases = [a for a in s.aliases if a() is not None]
    return out


@lru_cache(4096)
def _leaf_seen(op: Any, params: Any, node: Node, rg: bool) -> tuple[Node, int]:
    """The node and the offset of a view of a realised tensor that has this node."""
    shape, dtype, strides, offset = op.infer(params, (), node)
    return leaf(shape, dtype, strides, rg, node.device), offset


def whole(t: Any) -> Any:
    """A tensor over all of t's storage: t's base, where that is one."""
    base = t if t._base_t is None else t._base_t
    if all([op.name in ("detach", "alias") for op, _ in base._chain]):
        return base
    s = t._storage
    u = recorder._new_tensor()
    n = s.node
    u.node = stale(leaf(n.shape, n.dtype, n.strides, device=n.device))
    u._storage, u._chain, u._counter = s, (), t._counter
    u._own = DETACHED if t._own is not None else None
    join(s, u)
    return u


def look_last(t: Any) -> None:
    """Before t is cut off: let the view that was last written through have the history of that."""
    for ref in t._storage.aliases:
        a = ref()
        if a is not None and a._base_t is t and a.node.op is STALE and a._wrote == version_of(a):
            rederive(a)


def look_all(t: Any) -> None:
    """Before t, which requires grad, gets other memory: let its views have their history of it."""
    for ref in t._storage.aliases:
        a = ref()
        if a is not None and a._base_t is t and a.node.op is STALE:
            if not (a._multi or a._no_grad):
                rederive(a)


def _follow(holder: Any, chain: Any) -> Any:
    for op, params in chain:
        holder = record(op, (holder,), params)
    return holder


def root_of(t: Any) -> Any:
    """A holder of the value at t's group, with the history of t's base."""
    s, group = t._storage, group_of(t)
    base = t if t._base_t is None else t._base_t
    if base._leaf_rg and base._chain == group.chain:
        return rederive(base) if base.node.op is STALE else base
    if group.__class__ is Beyond:
        from facula.ops.movement import BEYOND

        root = rederive(base) if base.node.op is STALE else base
        value = at_once(lambda: _follow(s, group.chain), False)
        return at_once(lambda: record(BEYOND, (root, value), group.how), True)
    at = len(group.chain)
    apart = base._leaf_rg or (base is not t and turned(base))
    if apart and group_of(base) is group and base._chain[:at] == group.chain:
        # It was reshaped in place: the memory is what its elements are put into.
        from facula.writes import scatter

        new = rederive(base) if base.node.op is STALE else base
        under = at_once(lambda: _follow(s, group.chain), False)
        return at_once(lambda: scatter(under, base._chain[at:], new), True)
    if group is s:
        return s
    if group.gfn is None:
        return at_once(lambda: _follow(s, group.chain), False)
    flush(TLS.r)
    u = recorder._new_tensor()
    u._storage, u._chain = s, group.chain
    data = s._data
    for op, params in group.chain:
        data = seen(data, op, params)
    u._data, u._gfn = data, group.gfn
    n = s.node
    for op, params in group.chain:
        shape, dtype, strides, _ = op.infer(params, (), n)
        n = leaf(shape, dtype, strides, device=n.device)
    u.node = leaf(n.shape, n.dtype, n.strides, True, n.device)
    return u


def _has_history(t: Any) -> bool:
    """Whether the history that t's group keeps is one."""
    group = group_of(t)
    return (
        group.gfn is not None
        if group is not t._storage
        else (group.node.rg or group._gfn is not None)
    )


def rederive(t: Any, checked: bool = True) -> Any:
    """Give a stale tensor its storage's present value and its base's present history.

    Where the rules of views forbid the history (see `forbid`) the tensor stays stale: the result
    then is a stand-in that has the value only.
    """
    s = t._storage
    if s is not None and type(s) is not Storage:
        u = _kept.seen_elsewhere(t, s)
        if u is not None:
            return u
    if s is None or s.node.op is STALE:
        refuse(t if s is None else s)
    rec = s.node.rec
    if rec is not None and rec is not TLS.r:
        shared = s.node.op is INPUT and rec.thread.is_alive() and not s.node.rg
        if shared or not neighbours.end(rec, wait=s.node.rg):
            return _elsewhere(t)
    base = t._base_t
    if base is None:
        if t._fixed and t._seen != version_of(t):
            if checked:
                forbid(t, "and its base or another view of its base has been modified inplace")
            return stand_in(t)
        if turned(t) and t._gfn is not None:  # the history that it had before a write without one
            _value(t)
            return t
        t._gfn = None
        if t._leaf_rg or not _has_history(t):
            _value(t)
        else:
            _history(t)
        return t
    had = t._gfn is not None or (t.node.rg and not t._leaf_rg and not t._no_grad)
    if (had or base.requires_grad) and t._seen != version_of(t):
        if t._multi or t._no_grad:
            if checked:
                forbid(t, "and its base or another view of its base has been modified inplace")
            return stand_in(t)
        if not checked and not had:
            return stand_in(t)  # whoever reads the value only does not ask for a history
        t._seen = version_of(t)
        t._gfn = None
        if base.requires_grad:
            if t._leaf_rg:
                t._leaf_rg, t._was_leaf = False, True
            _history(t)
            if t._retains is not None and t.node.op is not STALE:
                retain_again(t)
            return t
        if had:  # it stays a result, of something that requires no grad any more
            t._gfn = GradNode()
            t._gfn.op, t._gfn.order = self_op(), (TLS.r.turn, -1)
            t._gfn.params, t._gfn.scalars, t._gfn.entry, t._gfn.out_meta = (), (), None, None
            if t._retains is not None:
                t._gfn.retain, t._retains = t._retains.retain, t._gfn
    _value(t)
    return t


def _elsewhere(t: Any) -> Any:
    """What a tensor of a storage that is pending in another thread is now: a stand-in."""
    u = foreign(t._storage)
    n = u.node
    v = recorder._new_tensor()
    v._data = u._data
    for op, params in t._chain:
        v._data = seen(v._data, op, params)
    v.node = leaf(t.node.shape, n.dtype, t.node.strides, device=n.device)
    return v


def turned(t: Any) -> bool:
    """Whether a tensor that is no view has a graph node apart from its memory's (`t.t_()`)."""
    return t._base_t is None and not t._leaf_rg and len(t._chain) > len(group_of(t).chain)


def forbid(t: Any, what: str) -> None:
    """Raise for a view whose history can't be rewritten."""
    why = (
        "This view is the output of a function that returns multiple views. Such functions do not "
        "allow the output views to be modified inplace"
        if t._multi
        else "This view was created inside a custom Function (or because an input was returned "
        "as-is) and the autograd logic to handle view+inplace would override the custom backward "
        "associated with the custom Function"
        if t._fixed or (t._base_t is not None and t._base_t._fixed)
        else "This view was created in no_grad mode, and the write is made with gradient recording"
    )
    raise RuntimeError(
        f"a {t.node.dtype} tensor of shape {list(t.node.shape)} is a view {what}. {why}. "
        "Use clone() in place of the view."
    )


def stand_in(t: Any) -> Any:
    """An alias of t that has t's present value and no history."""
    u = _alias(t)
    _value(u)
    return u


def _alias(t: Any) -> Any:
    """A stale tensor of the same memory and history as t."""
    u = recorder._new_tensor()
    n = t.node
    u.node = stale(leaf(n.shape, n.dtype, n.strides, device=n.device))
    for k in ("_storage", "_chain", "_offset", "_own", "_base_t", "_multi", "_no_grad", "_seen"):
        setattr(u, k, getattr(t, k))
    u._counter = t._counter
    join(t._storage, u)
    return u


def fresh(t: Any) -> Any:
    """What an in-place operation on t is to read: t, past its graph node if that has hooks.

    A write through a view goes into the history of its base; hooks of the view are those of the
    value that it had, as others have read it.
    """
    if not t._hooked or t._base_t is None or not TLS.r.grad or not t.requires_grad:
        return t
    u = _alias(t)
    _history(u)
    return u


def mark_hooked(t: Any) -> None:
    """Note that t, a view, has hooks, which writes through it and its views are to go past."""
    if t._base_t is None:
        return
    n = len(t._chain)
    for ref in t._storage.aliases:
        a = ref()
        if a is not None and a._base_t is t._base_t and a._chain[:n] == t._chain:
            a._hooked = True


def _leads(base: Any, t: Any) -> bool:
    """Whether the history of t is one of its base, which is a view of the memory itself."""
    n = len(base._chain)
    return (
        base._counter is t._counter
        and group_of(base) is group_of(t)
        and t._chain[:n] == base._chain
        and not base._leaf_rg
    )


def _history(t: Any) -> None:
    """Derive value and history together from t's group."""
    base = t._base_t
    if base is not None and base._chain and _leads(base, t):
        root = rederive(base) if base.node.op is STALE else base
        chain = t._chain[len(base._chain) :] or ((_alias_op(), ()),)
    else:
        root = root_of(t)
        chain = t._chain[len(group_of(t).chain) :]
    if 0 in t.node.shape and chain and base is not None:  # what happens to it reaches no base
        from facula.ops.movement import AS_STRIDED

        shape, strides = t.node.shape, t.node.strides or contiguous_strides(t.node.shape)
        chain = ((AS_STRIDED, (shape, strides, 0)),)
    if not chain and (root.node.op is LEAF or root.node.op is INPUT):
        t._data, t._gfn = root._data, root._gfn
        t.node = leaf(t.node.shape, t.node.dtype, t.node.strides, True, t.node.device)
        return
    v = at_once(lambda: _follow(root, chain), True)
    t.node = v.node
    TLS.r.add(t)
    if t._counter is not None:
        mark(t)
    settle_lent(t._storage)


def _value(t: Any) -> None:
    """Derive t's value; its history, if it has one, is in `_gfn` or its own."""
    s = t._storage
    if s.node.op is not LEAF and s.node.op is not INPUT:
        if t._gfn is None and s.node.rec is TLS.r:
            v = at_once(lambda: _follow(s, t._chain), False)
            if v is s and (s.node.rg or t._counter is not None):
                v = at_once(lambda: record(detach_op(), (s,)), False)
            t.node = v.node
            TLS.r.add(t)
            if t._counter is not None:
                mark(t)
            return
        flush(s.node.rec)  # a value from one history and a gradient from another
    settle_alias(t)


def _alias_op() -> Any:
    from facula.ops.movement import ALIAS

    return ALIAS


def settle_alias(t: Any) -> None:
    """Point a tensor of a realised storage at its part of the buffer."""
    s = t._storage
    node = t.node
    t._data = unresolved.shown(s._data, t._chain, node.strides)
    pending = node.op is not STALE and node.op is not LEAF and node.op is not INPUT
    if pending and node.rg and t._gfn is None and not t._chain:
        t._gfn = s._gfn
    rg = t._leaf_rg or t._gfn is not None or (t._no_grad and node.rg)
    t.node = leaf(node.shape, node.dtype, node.strides, rg, node.device)


def retain_again(t: Any) -> None:
    """After t got another history: it retains the gradient of its new value."""
    before = t._retains
    if before.retain is not None and before.retain() is t:
        before.retain = None
    if t.node.op is STALE:
        rederive(t)
    now = edge_of(t)
    if isinstance(now, GradNode):
        now.retain = weakref.ref(t)
        t._retains = now
