"""Changing which memory a tensor looks at: `x.data = y`, copies that go on sharing, and what
becomes a view or is none any more."""

from __future__ import annotations

import weakref
from typing import Any

from facula.autograd.graph import edge_of
from facula.meta import META
from facula.storage import Counter, Group, detach_op, forget, join, version_of
from facula.tensor_base import state_of
from facula.trace import recorder, settling
from facula.trace.node import LEAF, STALE, Node, leaf
from facula.trace.recorder import TLS, flush
from facula.unresolved import bits_of
from facula.values import realise
from facula.views import look_last, make_view


def deep_copy(t: Any, memo: dict[int, Any]) -> Any:
    """What `copy.deepcopy` makes of a leaf; RuntimeError for any other tensor."""
    if not t.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support "
            "the deepcopy protocol at the moment."
        )
    if id(t) in memo:
        return memo[id(t)]
    if t.node.op is META:
        made = t.detach()
        out = made if type(t) is type(made) else type(t)._make_subclass(type(t), made)
        memo[id(t)] = out
        return out.requires_grad_(t.requires_grad)
    realise(t)
    out = object.__new__(type(t))
    n = t.node
    rg = t.requires_grad  # a view has it from its base
    if any(bits_of(t)):  # PyTorch's copy is of what is shown, and shares memory with no other
        made = realise(t.detach().clone())
        n, out._data = made.node, made._data
    elif t._storage is None:
        out._data = settling.duplicate(t._data, n.strides)
    else:  # what shares memory goes on sharing it
        share(out, realise(copied_view(t, memo)))
    out.node = leaf(n.shape, n.dtype, n.strides, rg, n.device)
    out._leaf_rg = rg
    memo[id(t)] = out
    if t._grad is not None:
        out._grad = t._grad.__deepcopy__(memo)
    if t.__dict__:
        import copy

        out.__dict__ = {k: copy.deepcopy(v, memo) for k, v in t.__dict__.items()}
    return out


def copied_view(t: Any, memo: dict[int, Any]) -> Any:
    """The view, of a copy of the whole memory, that the realised t is of its own."""
    s = t._storage
    v = memo.get(id(s))
    if v is None:
        v = memo[id(s)] = recorder._new_tensor()
        n = s.node
        v._data = settling.duplicate(s._data, n.strides)
        v.node = leaf(n.shape, n.dtype, n.strides, device=n.device)
    v = make_view(v, detach_op(), ())
    for op, params in t._chain:
        v = make_view(v, op, params)
    return make_view(v, detach_op(), ()) if v._base_t is not None else v


def same_place(t: Any, v: Any) -> bool:
    """Whether v, a view of t, sees all of t as it is: what `x.data` gives."""
    s = t._storage
    if s is None or v._storage is not s or v._offset != t._offset or v._failure is not None:
        return False
    a, b, n = t.node, v.node, len(t._chain)
    if (a.shape, a.dtype, a.strides) != (b.shape, b.dtype, b.strides) or v._chain[:n] != t._chain:
        return False
    return all([op.name in ("detach", "alias") for op, _ in v._chain[n:]])


def with_bits(t: Any, conj: bool, neg: bool) -> Any:
    """A view of t, the conjugate and the negative of it where these are asked for."""
    from facula.ops.complexes import CONJ_VIEW, NEG_VIEW

    t = make_view(t, CONJ_VIEW, ()) if conj else t
    return make_view(t, NEG_VIEW, ()) if neg else t


def move(t: Any, v: Any, version: int, gfn: Any = None) -> None:
    """Let t look at the memory of v, a realised view; its version and its hooks stay its own.

    A version that it had in common with others stays that: of those that share the old memory.
    What it was a view of goes on deciding whether it may be written to.
    """
    s, counter = t._storage, t._counter
    if counter is None:
        counter = s if s is not None else Counter(version, t._token)
    t._viewed = t._base
    for name in ("_base_t", "_exported", "_token"):
        state_of(t).pop(name, None)
    for name in ("node", "_data", "_storage", "_chain", "_offset"):
        setattr(t, name, getattr(v, name))
    t._own = Group(v._chain)
    t._own.gfn = t._gfn = gfn
    t._counter = None if counter is t._storage else counter
    rg = t._leaf_rg or gfn is not None
    t.node = leaf(t.node.shape, t.node.dtype, t.node.strides, rg, t.node.device)
    join(t._storage, t)


def share(out: Any, source: Any) -> None:
    """Give `out` the value and memory of another tensor."""
    if source.node.op is META:
        n = source.node
        out.node = Node(META, n.shape, n.dtype, n.strides, n.offset)
        return
    if source._storage is None:
        raise AssertionError("memory is shared through a storage: give share a view")
    own = state_of(out)
    pending = source.node.op is not LEAF and source.node.op is not STALE
    if pending:  # before its node is one of this frame
        TLS.r.add(out)
    for k, v in state_of(source).items():
        if k not in ("_acc", "_grad", "_hooks"):
            own[k] = v
    out._storage.aliases.append(weakref.ref(out))


def cut_off(t: Any) -> None:
    """Let t, a base that requires grad, keep its memory and lose its history."""
    realise(t)
    if t._storage is not None:
        look_last(t)
    flush()  # what was recorded knows this tensor with its history
    held = t if t._storage is None else t._storage
    if held._token is not None:
        held._token.detached = edge_of(t)
    t._leaf_rg = False
    t._gfn = None
    n = t.node
    t.node = leaf(n.shape, n.dtype, n.strides, device=n.device)
    if t._storage is not None:
        forget(t)


def become(t: Any, v: Any) -> None:
    """Let t be what v is, where one of them has no data; what t requires stays."""
    rg = t._leaf_rg
    for k in ("_data", "_storage", "_chain", "_offset", "_base_t", "_own", "_counter", "_exported"):
        state_of(t).pop(k, None)
    t._leaf_rg, t._gfn = False, None
    share(t, v)
    if rg:
        t.requires_grad_(True)


def alone(t: Any) -> None:
    """Let a realised tensor whose memory nobody else sees any more hold it by itself.

    After `t.data = u` it is a view with a counter of its own, which no known stretch of the trace
    takes as an operand; once `u` is gone there is no need for that.
    """
    s = t._storage
    if s is None or t.node.op is not LEAF or s.node.op is not LEAF or t._base_t is not None:
        return
    if s._gfn is not None or t._gfn is not None or s._exported is not None:
        return
    if any([op.name not in ("detach", "alias") for op, _ in t._chain]):
        return
    counted = s if t._counter is None else t._counter
    family = s.aliases if counted.__class__ is Counter else [*s.aliases, *counted.aliases]
    if any([a is not None and a is not t for a in [ref() for ref in family]]):
        return
    t._writes, t._token = version_of(t), counted._token
    t._data = s._data
    t._storage = t._own = t._counter = None
    t._chain = ()
