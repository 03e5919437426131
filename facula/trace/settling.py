"""What a flush does besides running a program: which results are live, which of them need a graph,
and how tensors get what was computed. `recorder.flush` calls these in order.
"""

from __future__ import annotations

from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

from facula.trace import flight
from facula.trace.node import (
    INPUT,
    LEAF,
    OWNED,
    STALE,
    Node,
    copied,
    is_constant,
    laid,
    leaf,
    strided,
)
from facula.trace.resting import resting

if TYPE_CHECKING:
    from facula.trace.state import Recorder

_graph: Any = None  # facula.autograd.graph, set by facula.tensor
_later: Any = None  # facula.autograd.later, set by facula.tensor too
_kept: Any = None  # facula.trace.kept, which sets it


def _probe() -> int:
    """The reference count that a handle has when nothing but the recorder holds it."""
    probe = [Node(LEAF, (), None)]
    return [getrefcount(h) for h in probe][0]


BASE = _probe()


def conclude(
    r: Recorder,
    chosen: Any,
    values: list[Any] | None,
    handles: list[Any],
    inputs: list[Any],
    temps: list[Any],
    held: list[Any],
) -> None:
    """Hand over what a program has computed, if it has, and begin a new frame."""
    if values is not None:
        if chosen.direct is not None:
            direct, arrays = chosen.direct
            _hand_over(direct(handles), arrays(values))
        if chosen.outputs:
            _settle(handles, chosen.outputs, values)
    if held:
        whole = None if values is None else chosen.kept
        _kept.land(held, whole and whole(values))
    for t, _, _ in inputs:
        node = t.node
        if node.op is INPUT and node.rec is r:  # not another thread's
            t.node = node.leaf
    for t in temps:
        node = t.node
        if node.op is INPUT:
            t.node = leaf(node.shape, node.dtype, node.strides, device=node.device)
    r.reset()


def after_failure(
    r: Recorder, program: Any, live: tuple[Any, ...], error: Exception
) -> Exception | None:
    """Settle what can be settled; the error to raise, if it was an operation's."""
    from facula.trace.rescue import rescue

    first = rescue(r, live, error)
    if first is None:  # each operation can be computed: the compiled program is at fault
        program.entries = []
        r.complaint = error
    return first


def ending(r: Recorder) -> None:
    """Before what is live is found: forget what was kept, and has been released since."""
    _kept.ending(r)


def keeps(r: Recorder, held: list[Any], live: tuple[Any, ...]) -> bool:
    """Whether what is kept (`kept.py`) stays so at the end of a frame that is new; else it is
    released, and more is live."""
    freed = _consumed(r) if r.replayed else _NOTHING
    return _kept.stays(r, held, live, freed)  # type: ignore[no-any-return]


def spread(r: Recorder, held: list[Any], live: tuple[Any, ...]) -> tuple[Any, ...]:
    """Let each of the tensors that are kept be a handle; `live` with their nodes."""
    return _kept.spread(r, held, live)  # type: ignore[no-any-return]


def let_go(handles: list[Any]) -> tuple[int, ...]:
    """Take from views that nobody has any more what they are views of, which may be unused too.

    Returns where the other views are: their values are their storages', while an operation that is
    recorded like a view, in a derivative, has a value of its own.
    """
    left = []
    at = len(handles)
    for h in reversed(handles):
        at -= 1
        if h._storage is not None:
            if getrefcount(h) <= BASE:
                h._storage = h._base_t = None
                h._chain = ()  # an error's traceback may still have it
            else:
                left.append(at)
    return tuple(left)


@resting
def materialise(r: Recorder) -> bool:
    """Build the autograd graph of the live results whose history must outlive the frame.

    Nodes kept by it hold tensors for what they save, so they count as live afterwards. True where
    there was nothing to build, which then is so whenever the same path has the same live results.
    """
    waiting = [
        h
        for h in r.handles
        if h.node.rg and not h._saved and h.node.op is not LEAF and h.node.op is not STALE
    ]
    if not waiting and not r.gnodes:
        return True
    base = BASE + 1  # the list above holds one reference more
    refs = [getrefcount(h) for h in waiting]
    live = [h for h, n in zip(waiting, refs, strict=True) if n > base and not h._leaf_rg]
    quiet = not (r.gnodes or live)
    if r.replayed and live and _consumed(r).issuperset([h.node for h in live]):
        _stand_in(r, live)
    else:  # one that is left has edges to those that were freed, so all are built
        for h in live:
            h._gfn = _graph.grad_node(r, h.node)
    del waiting, live
    _graph.seal(r)
    return quiet


def postponed(r: Recorder, key: Any, live: tuple[Any, ...]) -> Any:
    """The program that computes too what the graph of small results saves, built when somebody
    asks for it; None where it has to be built now, or there is none."""
    cur = r.cur
    programs = cur.programs
    freed = _consumed(r) if r.replayed else _NOTHING
    at = "later", key, *r.replayed
    known = None if programs is None else programs.get(at)
    if known is None:
        if not any(
            [
                n is not None and n.rg and n.op is not LEAF and n.op is not STALE and n not in freed
                for n in live
            ]
        ):
            return None
        if programs is None or len(programs) > 64:
            programs = cur.programs = {}
        known = programs[at] = [None, None]
    for apart, program in enumerate(known):
        if program is None:
            plans = _later.plans_of(r, live, bool(apart), freed)
            if plans is None or not _later.postpone(r, plans):
                known[apart] = False
                continue
            from facula.interpreter.program import program_of

            program = known[apart] = program_of(r, (*live, *[n for p in plans for n in p.kept]))
            program.plans = plans
        elif not program or not _later.postpone(r, program.plans):
            continue
        if freed:
            waiting = [
                h for h, n in zip(r.handles, live) if n in freed and not (h._saved or h._leaf_rg)
            ]
            if waiting:
                _stand_in(r, waiting)
        return program
    return None


_NOTHING: frozenset[Node] = frozenset()


def _consumed(r: Recorder) -> Any:
    """The entries whose saved values were freed by backward passes that were followed."""
    graphs = [m.graph for m in r.replayed]
    return graphs[0] if len(graphs) == 1 else frozenset().union(*graphs)


def all_consumed(r: Recorder, program: Any) -> bool:
    """Where every live result with a history is one that a followed backward pass has consumed
    (in most programs: the last loss), give them what stands for it. Otherwise False."""
    if not r.replayed:
        return False
    freed = _consumed(r)
    waiting = []
    for i in program.watched:
        h = r.handles[i]
        if not (h._saved or h._leaf_rg):
            if h.node not in freed:
                return False
            waiting.append(h)
    if waiting:
        _stand_in(r, waiting)
    return True


def _stand_in(r: Recorder, handles: list[Any]) -> None:
    """Give what followed passes have consumed what stands for its nodes."""
    leaves = [_graph.leaves_of(r, m) for m in r.replayed]
    nodes: dict[Node, Any] = {}
    for h in handles:  # which come from leaves alone, so no history is to be looked at
        h._gfn = _graph.Freed(h.node, leaves, r.turn, r.scalars, nodes)


def _hand_over(handles: Any, arrays: Any) -> None:
    """Let tensors have these arrays, which are theirs and laid out as they are to be."""
    for h, data in zip(handles, arrays):
        node = h.node
        if h._data is not data:  # else it was written over
            if h._exported is None or h._exported() is None or h._data is None:
                h._data = data
            else:
                flight.land()
                np.copyto(h._data, data)
        # A leaf is never what was saved for a backward pass.
        rg = h._leaf_rg or ((node.rg or h._gfn is not None) and not h._saved)
        known = node.leaf
        if known is None or known.rg is not rg:
            known = node.leaf = leaf(node.shape, node.dtype, node.strides, rg)
        h.node = known


def _settle(handles: list[Any], outputs: list[Any], values: list[Any]) -> None:
    """Hand the computed buffers to their holders."""
    aliases = []
    holders = []
    arrays = []
    for position, slot, copy in outputs:
        h = handles[position]
        node = h.node
        if slot is None:  # an alias: its storage has the value
            aliases.append(h)
            continue
        data = values[slot]
        if node.device is not None:  # laid out as it is to be, and nobody else's
            h._data = data
            rg = not h._saved and (node.rg or h._leaf_rg or h._gfn is not None)
            h.node = leaf(node.shape, node.dtype, node.strides, rg, node.device)
            continue
        if data.__class__ is not np.ndarray:  # a reduction to one element gives NumPy's scalars
            data = np.asarray(data)
        elif (
            copy or node.strides is not None or data.base is not None or not data.flags.c_contiguous
        ):
            data = _laid_out(data, node.strides, copy)
        holders.append(h)
        arrays.append(data)
    _hand_over(holders, arrays)
    for h in aliases:
        h._settle_alias()


def _laid_out(data: Any, strides: tuple[int, ...] | None, copy: bool) -> Any:
    """A computed array as its tensor is to have it: in memory of its own, with these strides."""
    laid = strides is None or _steps(data) == strides
    if laid and (copy or (type(data.base) not in OWNED and not is_constant(data))):
        flight.land()
        data = copied(data)
    if strides is not None:
        return relayout(data, strides)
    if not data.flags.c_contiguous:
        flight.land()
        data = np.ascontiguousarray(data)
    return data


def _steps(data: Any) -> tuple[int, ...]:
    """The strides of an array, in elements."""
    return tuple([s // data.itemsize for s in data.strides])


def duplicate(data: Any, strides: tuple[int, ...] | None) -> Any:
    """A copy of an array, of whatever device, with the strides that it has."""
    if data.__class__ is not np.ndarray:
        return data.duplicate()
    data = data.copy(order="K")
    return data if strides is None else relayout(data, strides)


def relayout(data: Any, strides: tuple[int, ...]) -> Any:
    """The array with the given strides (in elements), copied where it has others."""
    item = data.itemsize
    want = tuple([s * item for s in strides])
    if data.strides == want or data.size == 0:
        return data
    steps = zip(data.shape, data.strides, want, strict=True)
    if all([n == 1 or s == t for n, s, t in steps]):
        if data.flags.c_contiguous:
            return strided(data, data.shape, want)
        return laid(data, data.shape, want)
    flight.land()
    span = 1 + sum([(n - 1) * s for n, s in zip(data.shape, strides, strict=True)])
    out = strided(np.empty(span, data.dtype), data.shape, want)
    out[...] = data
    return out
