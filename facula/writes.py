"""Writing into memory, which other tensors may share.

A write goes through the writer's chain of views back into the storage, as recorded operations, and
makes every tensor of the storage stale: `views.py` says how they see it.
"""

from __future__ import annotations

import math
from sys import getrefcount
from typing import Any

import numpy as np

from facula import unresolved
from facula.autograd.graph import KEPT, edge_of
from facula.storage import (
    DETACHED,
    Beyond,
    Storage,
    asleep,
    at_once,
    detach_op,
    group_of,
    self_op,
    version_of,
)
from facula.tensor_base import state_of
from facula.trace import recorder
from facula.trace.node import (
    INPUT,
    LEAF,
    OWNED,
    STALE,
    Node,
    Other,
    canonical,
    contiguous_strides,
    copied,
    laid,
    leaf,
    stale,
)
from facula.trace.operands import without_gradients
from facula.trace.recorder import TLS, assign, flush, record
from facula.trace.settling import BASE
from facula.values import realise
from facula.views import forbid, rederive, retain_again, root_of, settle_alias, turned

SHORT = 32  # entries of a frame that may end where an element is written
LARGE, PART = 1 << 14, 16  # elements that are a large storage; a small part of it: one of so many


def write(t: Any, value: Any) -> None:
    """Store `value`, a tensor of t's shape and dtype, into t's memory."""
    r = TLS.r
    if t._storage is None and t._token is None and t._gfn is None and t._retains is None:
        if not t.node.rg or (t._leaf_rg and not r.grad):
            assign(t, value)  # nothing else knows this memory
            t._writes += 1
            return
    if t.node.op.__class__ is Other:
        t.node.op.store(t, value)
        return
    has = t.requires_grad
    if r.grad and has and not value.node.rg:  # the gradient of what is overwritten is zero
        from facula.ops.pointwise import COPY

        value = record(COPY, (t, value))
    differentiable = r.grad and value.node.rg
    s = t._storage
    if s is None:
        if t._token is not None:
            t._token.stale = True
            t._token = None
        keeps = not differentiable and has and not t._leaf_rg
        t._gfn = edge_of(t) if keeps else None
        assign(t, value)
        t._writes += 1
        if keeps:
            flush(r)
        elif t._retains is not None:
            retain_again(t)
        return
    if sole(t, s):
        write(t, value)
        return
    if not (has or differentiable) and _is_small(t, s) and _write_small(t, s, value):
        return
    base = t._base_t
    if differentiable and (t._fixed if base is None else t._multi or t._no_grad or base._fixed):
        forbid(t, "and is being modified inplace")
    _write_shared(t, s, value, differentiable)


def fill(t: Any, value: Any) -> None:
    """`write` of a tensor that nobody else has: a realised t that nothing recorded reads, and that
    nothing else knows of, gets its memory at once."""
    r, n, v = TLS.r, t.node, value.node
    if (
        n.op is LEAF is v.op
        and (not n.rg or (t._leaf_rg and not r.grad))
        and (n.shape, n.dtype, n.strides, n.device) == (v.shape, v.dtype, v.strides, v.device)
        and (t._storage is None or sole(t, t._storage))
        and t._exported is None is t._token
        and t._gfn is None is t._retains
        and t._counter is None
        and value._storage is None is value._exported
    ):
        data = value._data
        t._data = data if type(data.base) in OWNED else copied(data)
        t._writes += 1
        return
    write(t, value)


def sharing(s: Any) -> list[Any]:
    """The tensors of a storage."""
    found = [a for a in [ref() for ref in s.aliases] if a is not None]
    if 2 * len(found) + 4 < len(s.aliases):
        s.aliases = [ref for ref in s.aliases if ref() is not None]
    return found


def alone(t: Any) -> bool:
    """Whether a realised tensor's memory is read by nothing recorded and has no history."""
    s = t._storage
    for x in (t,) if s is None else (s, *sharing(s)):
        n = x.node
        if n.op is not LEAF or n.rg or n.device is not None or x._leaf_rg:
            return False
        if x._gfn is not None or x._exported is not None or x._counter is not None:
            return False
        if x._token is not None or (x is not s and x._own is not None):
            return False
        if s is not None and s.computed and x is not s and any(unresolved.bits(x._chain)):
            return False  # what it shows is a copy
    return True


def short(r: Any) -> bool:
    """Whether a frame is short and has values only: what is in it is computed soon anyway."""
    return r.cur.index < SHORT and not r.gnodes and without_gradients(r)


def _is_small(t: Any, s: Storage) -> bool:
    """Whether a tensor is one element, or so small a part of a large storage that a copy of all
    the rest would take longer than computing what is written."""
    shape = t.node.shape
    if not shape:
        return True
    whole = math.prod(s.node.shape)
    return whole >= LARGE and PART * math.prod(shape) <= whole


def _write_small(t: Any, s: Storage, value: Any) -> bool:
    """Write a small part of realised memory at once, in a short frame; whether that was done.

    A table that is updated while it is read would be read through what was recorded otherwise,
    and all of it would be copied where a row of it changes.
    """
    if s.node.op is not LEAF or TLS.dual or not short(TLS.r):
        return False
    if value.node.op.__class__ is Other or value.node.device is not None:
        return False
    value = realise(value)
    if not alone(t) or not t._data.flags.writeable:
        return False
    t._data[...] = value._data
    s._version += 1
    return True


def _write_shared(t: Any, s: Storage, value: Any, differentiable: bool) -> None:
    r = TLS.r
    group = group_of(t)
    if differentiable and group.__class__ is Beyond:
        raise NotImplementedError(
            "a write with a history through as_strided of memory around a detached tensor is not "
            "in Facula"
        )
    base = t if t._base_t is None else t._base_t
    before = r.grad
    mine = differentiable and group is s  # the storage's own history changes
    edge = None
    origin, written = value.node, value
    try:
        if differentiable:
            recorder.set_grad(True)
            root = root_of(t)
            new = scatter(root, t._chain[len(group.chain) :], value)
            if t._base_t is not None:
                from facula.ops.movement import COPY_SLICES

                whole = math.prod(t.node.shape) == math.prod(root.node.shape)
                new = record(COPY_SLICES, (new, root) if whole else (new,))
            if not mine:
                edge = edge_of(new)
        if not mine:
            recorder.set_grad(False)
            # Not what the group sees now: of elements that share memory it knows old ones too.
            new = scatter(s, t._chain, value)
        keeps = not mine and (s._gfn is not None or s.node.rg)
        if keeps and s._gfn is None:
            s._gfn = edge_of(s)
        seen = _counted(t)
        _keep_turned(s, group if differentiable else None)
        _spoil(s, t)
        _count(t)
        if mine:
            s._gfn = None
        if differentiable:
            base._was_leaf = base._was_leaf or (base._leaf_rg and bool(base._place))
            base._leaf_rg = False
        assign(s, new, (seen, origin))
        if differentiable:
            t._wrote = version_of(t)
            n = t.node
            t.node = stale(leaf(n.shape, n.dtype, n.strides, True, n.device))
        if keeps or edge is not None:
            flush(r)
        if edge is not None:
            group.gfn = edge
            if written._token is not None:  # its frame ended before it was stored
                (s if t._counter is None else t._counter)._token = written._token
        if differentiable:
            for x in (t, base):
                if x._retains is not None:
                    retain_again(x)
    finally:
        recorder.restore_grad(before)


def sole(t: Any, s: Storage) -> bool:
    """Whether t was all that is left of a realised storage, which then is t's own again.

    A parameter is made over a tensor's memory, and that tensor is usually dropped at once; so is
    what `t.data` was set to. Then its version counter, if nobody else has it, is t's own again too.
    """
    if s.node.op is not LEAF or s._gfn is not None or t._gfn is not None:
        return False
    counter = t._counter
    if t._base_t is not None:
        return False
    if counter is not None and getrefcount(counter) > BASE:
        return False
    if t._own is not None and t._own.gfn is not None:
        return False
    for op, _ in t._chain:
        if op.name not in ("detach", "alias"):
            return False
    for ref in s.aliases:
        a = ref()
        if a is not None and a is not t:
            return False
    if t.node.op is STALE:  # written through a view that is gone
        n = s.node
        t.node, t._data = leaf(n.shape, n.dtype, n.strides, t._leaf_rg, n.device), s._data
    t._storage = None
    t._chain = ()
    t._own = None
    t._exported, t._token, t._writes = s._exported, s._token, s._version
    if counter is not None:
        t._counter, t._token, t._writes = None, counter._token, counter.n
    return True


def take_place(t: Any, v: Any) -> None:
    """Let t be what its view v is; the other tensors of the storage stay as they are."""
    if t.node.op.__class__ is Other:  # it holds what it is a view of, and nothing else
        state_of(t).update(state_of(v))
        return
    s = t._storage
    mine = group_of(t) is s
    seen = _counted(t)
    t._chain, t._offset, t._gfn = v._chain, v._offset, v._gfn
    # It counts as a write: the storage's value becomes another one that is equal. What a view was
    # keeps its history; what t was is no longer what old results lead to.
    kept = KEPT if t._base_t is not None or not mine else ()
    edge = s._gfn
    new = at_once(lambda: record(self_op(), (s,), kept), True)
    _spoil(s, t)
    t.node = stale(v.node)
    s._gfn = None
    at_once(lambda: assign(s, new, (seen, None)), True)
    if not mine:
        s._gfn = edge
    _count(t)


def resize(t: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
    """Let t, which shares memory, have another size there, from where it begins.

    The memory grows where that needs more of it; the other tensors go on sharing it. What had a
    history keeps it: that of a base is of the value in the shape that it had.
    """
    from facula.ops.movement import ALIAS, AS_STRIDED

    s = t._storage
    if t.node.dtype is not s.node.dtype:
        raise NotImplementedError(
            f"resizing a {t.node.dtype} tensor of shape {list(t.node.shape)} to {list(shape)}, "
            f"whose memory is shared and holds {s.node.dtype}, is not in Facula"
        )
    others = [a for a in [ref() for ref in s.aliases] if a is not None and a._storage is s]
    for a in others:
        if a._base_t is None and a.node.op is STALE:
            rederive(a)  # its history is no longer found by way of the memory
    flush(TLS.r)
    last = sum([(n - 1) * st for n, st in zip(shape, strides, strict=True)])
    _make_flat(s, others, t._offset + last + 1 if 0 not in shape else 0)
    s._gfn = None
    under: tuple[Any, ...] = ()
    if t._own is not None:  # its group's value is all of the memory now, as the storage's is
        own, under = group_of(t), ((detach_op(), ()),)
        at = len(own.chain)
        own.chain, own.gfn = under, None
        for a in others:
            if a._own is own:
                there = [(ALIAS if op is detach_op() else op, p) for op, p in a._chain[:at]]
                a._chain = (*under, *there, *a._chain[at:])
    t._chain = (*under, (AS_STRIDED, (shape, strides, t._offset)))
    t.node = leaf(shape, t.node.dtype, canonical(shape, strides), t.node.rg)
    settle_alias(t)


def _make_flat(s: Storage, aliases: list[Any], size: int) -> None:
    """Let the value of a realised storage be all of its memory in a row, at least `size` of it."""
    from facula.ops.movement import AS_STRIDED

    shape, dtype = s.node.shape, s.node.dtype
    strides = s.node.strides or contiguous_strides(shape)
    last = sum([(n - 1) * st for n, st in zip(shape, strides, strict=True)])
    span = 0 if 0 in shape else last + 1
    if size > span:
        flat = np.zeros(size, dtype.np)
        steps = tuple([st * flat.itemsize for st in strides])
        laid(flat, shape, steps)[...] = s._data
        s._data = flat
    else:
        s._data = laid(s._data, (span,), (s._data.itemsize,))
    s.node = leaf(s._data.shape, dtype)
    first = (AS_STRIDED, (shape, strides, 0))
    for group in {a._own for a in aliases if a._own is not None and a._own is not DETACHED}:
        group.chain = (first, *group.chain)
    for a in aliases:
        a._chain = (first, *a._chain)
        if a.node.op is not STALE:
            settle_alias(a)


def bump(t: Any) -> None:
    """Count one more write of the memory that t sees."""
    if t._storage is None:
        t._writes += 1
    else:
        _count(t)


def _count(t: Any) -> None:
    if t._counter is None:
        t._storage._version += 1
    else:
        t._counter.n += 1


def _counted(t: Any) -> Node | None:
    """Before a write through t: what its step in the trace is to name, beside the memory written.

    None for the storage's own counter. A write through another counter spoils other saved values,
    so it is another step.
    """
    if t._counter is None:
        return None
    u = rederive(t, False) if t.node.op is STALE else t
    if u.node.op is LEAF:
        record(self_op(), (u,))
    return u.node


def _spoil(s: Storage, t: Any) -> None:
    """Before t's write: make every tensor of the storage stale, and what was saved of it."""
    alive = []
    r = TLS.r
    if s.frame != r.frame:
        s.frame, s.handled = r.frame, set()
    for ref in s.aliases:
        a = ref()
        if a is None:
            continue
        if a.node.rec is r and a.node.op is not INPUT:
            s.handled.add(id(a))
        # A view that only the recorder has left would be met again at each further write.
        if id(a) in s.handled and getrefcount(a) <= BASE and a is not t:
            continue
        alive.append(ref)
        if a.node.op is STALE:
            continue
        if a._counter is not t._counter and a._base_t is not None and a._gfn is None:
            a._gfn = edge_of(a) if not a._leaf_rg else None  # it is not to look again
        elif a._no_grad and a.node.rg and a.node.op is not LEAF and a.node.op is not INPUT:
            a._gfn = edge_of(a)  # a view, with a history, of a leaf that is a view without one
        a.node = stale(asleep(a))
    s.aliases = alive
    counted = s if t._counter is None else t._counter
    if counted._token is not None:
        counted._token.stale = True
        counted._token = None


_OF_BYTES = ("real_view", "imag_view", "view_as_real", "view_as_complex", "view_dtype")


def _keep_turned(s: Storage, changed: Any) -> None:
    """Before a write: what was reshaped in place keeps its graph node, or is to get another where
    the group whose history changes is its own."""
    for ref in s.aliases:
        a = ref()
        if a is not None and a._chain and turned(a):
            if group_of(a) is changed:
                a._gfn = None
            elif a._gfn is None and a.node.rg:
                a._gfn = edge_of(rederive(a) if a.node.op is STALE else a)


def scatter(root: Any, chain: Any, value: Any) -> Any:
    """The value at `root` with the part that `chain` sees replaced."""
    if any([_overlapping(op, params) for op, params in chain]):
        # Going back through the views would not know which of several elements was written.
        from facula.ops.movement import WRITE_THROUGH

        other = [op.name for op, _ in chain if op.name in _OF_BYTES]
        if other and 0 in value.node.shape:
            return record(self_op(), (root,))
        if other:
            raise NotImplementedError(
                f"writing through {other[0]} of a view of which elements may share memory is not "
                "in Facula"
            )
        conj, neg = unresolved.bits(chain)
        value = value.conj_physical() if conj else value
        value = -value if neg else value
        chain = [(op, params) for op, params in chain if not op.computes]
        return record(WRITE_THROUGH, (root, value), tuple(chain))
    parents = [root]
    for op, params in chain[:-1]:
        parents.append(record(op, (parents[-1],), params))
    for (op, params), base in zip(reversed(chain), reversed(parents), strict=False):
        value = op.write_back(base, value, params)
    return value


def _overlapping(op: Any, params: Any) -> bool:
    """Whether several elements of such a view may be one of what it views."""
    if op.name == "unfold":
        _, size, step = params
        return bool(size > step)
    if op.name != "as_strided":
        return op.name == "expand"  # type: ignore[no-any-return]
    reach = 0  # of the dimensions with smaller strides
    for stride, n in sorted([(s, n) for n, s in zip(*params[:2], strict=True) if n > 1]):
        if stride <= reach:
            return True
        reach += stride * (n - 1)
    return False
