"""Exchanging what two tensors are, while every reference to either stays as it is."""

from __future__ import annotations

import weakref
from typing import Any

from facula.tensor_base import state_of
from facula.trace.recorder import flush


def swap_tensors(t1: Any, t2: Any) -> None:
    """Let each of two tensors be what the other was: values, history, class and attributes.

    Modules and optimisers that refer to one of them then see the other.
    """
    flush()  # results are handed over to the tensors that recorded them
    for name, t in (("t1", t1), ("t2", t2)):
        accumulator = t._acc() if t._acc is not None else None
        if accumulator is not None:
            raise RuntimeError(
                f"swap_tensors: {name} has an AccumulateGrad node that a graph refers to; delete "
                "what was computed of it first (such as the loss)"
            )
        t._acc = None
    if t1 is t2:
        return
    t1.__class__, t2.__class__ = t2.__class__, t1.__class__
    a, b = state_of(t1), state_of(t2)
    before, after = dict(a), dict(b)
    for state, new in ((a, after), (b, before)):
        state.clear()
        state.update(new)
    other = {id(t1): t2, id(t2): t1}
    storages = {id(s): s for s in (t1._storage, t2._storage) if s is not None}
    for s in storages.values():
        s.aliases[:] = [_turned(r, other) for r in s.aliases]
    for t in (t1, t2):
        node = t._gfn
        if getattr(node, "retain", None) is not None:
            node.retain = _turned(node.retain, other)


def _turned(ref: Any, other: dict[int, Any]) -> Any:
    t = ref()
    return weakref.ref(other[id(t)]) if id(t) in other else ref
