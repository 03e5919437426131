"""Operands of operations: what has to be done before a recorder can read them, and inputs."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from facula.trace import flight, neighbours, recorder
from facula.trace.lines import user_line
from facula.trace.node import INPUT, LEAF, ROOT, STALE, Node, Other, leaf, strided
from facula.trace.settling import relayout

if TYPE_CHECKING:
    from facula.trace.state import Recorder

OFTEN = 4  # other beginnings at one line, after which they are frames of their own
WAYS, LONG_WAY = 4, 500  # see `crossroads`
SNAPSHOT_BYTES = 1 << 20  # an input shared with NumPy is copied up to this size, else run at once
WIDE = 1 << 14  # bytes over which a view with gaps lies, of which copies share memory


def prepare(r: Recorder, t: Any, linked: bool = True) -> Any:
    """Bring a holder into a state that this recorder can read; may flush; may return a stand-in.

    `linked`: whether the operation has a derivative, so that the history matters too.
    """
    node = t.node
    op = node.op
    if op is LEAF:
        if t._leaf_rg and not r.begun and r.grad and uninitialised(r):
            recorder.flush(r, wait=False)
        if linked and t._base_t is not None and r.grad and not node.rg:
            t._awaken()
        return t
    if op is STALE:
        return prepare(r, t._rederive(linked), linked)
    if node.rec is not r:
        return foreign(t)
    if r.grad:
        if t._leaf_rg:
            if op is not INPUT and linked:
                # A parameter with a pending update enters a new differentiable forward.
                recorder.flush(r, wait=False)
        elif linked and t._base_t is not None and not node.rg:
            t._awaken()
    return t


def uninitialised(r: Recorder) -> bool:
    """Whether all that was recorded so far is first values, of parameters too. They are computed
    before the first step then: it would be cut in two where it meets the last of them.

    Or whether other operations come before the first parameter each time, as where a batch is put
    together of pictures with different numbers of things: what follows would be new each time."""
    r.begun = r.cur.op is not ROOT
    if not any([h._leaf_rg and h.node.op is not INPUT for h in r.handles]):
        return unsteady(r)
    return without_gradients(r)


def unsteady(r: Recorder) -> bool:
    """Whether the first parameter of a frame, which is met at this line, has come after several
    others of the operations before it. Not within what the library records at once, which would
    not be remembered."""
    if r.cur.op is ROOT or r.place is not None or not without_gradients(r):
        return False
    found = r.unsteady.setdefault(user_line(3), set())
    if len(found) <= OFTEN:
        found.add(r.cur)
    return len(found) > OFTEN


def first_parameter(r: Recorder, tensors: tuple[Any, ...]) -> bool:
    """Whether the frame ends before a call that reads the first parameter of it: see above."""
    if r.begun or not r.grad:
        return False
    met = any([t is not None and t._leaf_rg and t.node.op is not INPUT for t in tensors])
    return met and uninitialised(r)


def crossroads(cur: Node, ways: Any) -> bool:
    """Whether a long way leads to an entry from where the program has gone on in many ways.

    The frame ends there, as else all that came before would be new again with what follows. Not
    within what the library records at once: a formula keeps its operands' histories."""
    return len(ways) >= WAYS and cur.index >= LONG_WAY


def without_gradients(r: Recorder) -> bool:
    """Whether no value that was recorded so far requires a gradient."""
    n = r.cur
    while n.op is not ROOT:
        if n.rg:
            return False
        n = n.parent
    return True


def elsewhere(r: Recorder, t: Any) -> bool:
    """Whether a tensor is part of what another thread records."""
    rec = t.node.rec
    return rec is not None and rec is not r


def foreign(t: Any) -> Any:
    """A tensor that is pending in another thread, as this one can use it: itself, where that
    thread's frame could be ended, or a stand-in. What both only read is not waited for."""
    if t.node.op.__class__ is Other:
        raise t.node.op.error(t.node.op)
    while True:
        node = t.node
        rec = node.rec
        if rec is None or rec is recorder.TLS.r:
            return t
        inputs, scalars = rec.inputs, rec.scalars
        if node.op is INPUT and rec.thread.is_alive():
            data = t._data
        else:
            linked = node.rg or t._leaf_rg or t._gfn is not None
            if neighbours.end(rec, wait=linked and recorder.TLS.r.grad):
                continue
            from facula.interpreter.program import evaluate

            data = evaluate(node, inputs, scalars)
            if node.device is None:  # a reduction to one element gives NumPy's scalars
                data = np.asarray(data)
            if node.strides is not None:
                data = relayout(data, node.strides)
        if t.node is node and rec.inputs is inputs:
            break
    recorder.TLS.r.strangers += 1
    s = recorder._new_tensor()
    s._data = data
    if node.op is INPUT and node.rg:  # a leaf, or a result, that a frame of both threads reads
        from facula.autograd.graph import leaf_edge

        s._gfn = leaf_edge(t) if t._leaf_rg else t._gfn
    s.node = leaf(node.shape, node.dtype, node.strides, s._gfn is not None, node.device)
    return s


def to_bind(r: Recorder, e: Node, ts: tuple[Any, ...]) -> list[tuple[Any, Node]] | None:
    """The realised operands and the inputs that they become, if that makes all operands those of
    the entry; else None."""
    if len(e.inputs) != len(ts):
        return None
    count = len(r.inputs)
    new: list[Any] = []
    for t, node in zip(ts, e.inputs):
        if t.node is not node:
            if node.op is not INPUT or node.leaf is not t.node or node.index != count + len(new):
                return None
            if t._base_t is not None and asks(r, t, node):
                return None
            if new and any([t is u for u, _ in new]):
                return None
            new.append((t, node))
    return new


def asks(r: Recorder, t: Any, node: Node) -> bool:
    """Whether a view may have to ask its base for a history before it becomes this input."""
    return r.grad and not node.rg and t._base_t.requires_grad


def snapshot(t: Any) -> Any:
    """A copy of the memory of a realised tensor that NumPy code may write to."""
    data, strides = t._data, t.node.strides
    if strides is None:
        return data.copy(order="K")
    # A view with gaps: kernels look for its elements so.
    packed = _packed(data, strides)
    return relayout(data.copy(order="K"), strides) if packed is None else packed


def _packed(data: Any, strides: tuple[int, ...]) -> Any:
    """A copy of a view with wide gaps, in which copies of others of its layout lie: a loop over the
    columns of a matrix would take as much memory as that, and touch all pages of it, for each.

    None where there are no such gaps.
    """
    if data.__class__ is not np.ndarray or data.size == 0:
        return None
    steps = sorted([(s, n) for n, s in zip(data.shape, strides, strict=True) if n > 1])
    if not steps or steps[0][0] == 0:
        return None
    gap, count = steps.pop()
    run = 1 + sum([(n - 1) * s for s, n in steps])
    if 2 * run > gap or count * gap * data.itemsize < WIDE:
        return None
    rooms = recorder.TLS.r.rooms
    key = data.shape, strides, data.dtype
    ref, start = rooms.get(key, (None, 0))
    room = None if ref is None else ref()
    if room is None or start + run > gap:
        if len(rooms) > 16:
            rooms.clear()
        room, start = np.empty(count * gap, data.dtype), 0
        ref = weakref.ref(room)
    rooms[key] = ref, start + run
    want = tuple([s * data.itemsize for s in strides])
    out = strided(room, data.shape, want, start * data.itemsize)
    out[...] = data
    return out


def given_of(r: Recorder, t: Any, node: Node) -> tuple[Any, Any, Any]:
    """What is added to the inputs for a realised tensor that becomes the input `node`."""
    owner = t._storage
    if owner is None:
        owner = t
    elif owner.computed:
        from facula.unresolved import look_again

        look_again(t)
    data = t._data
    exported = owner._exported
    if exported is not None:
        if exported() is None:
            owner._exported = None
        else:
            r.loans.append(t)
            flight.land()
            if data.nbytes <= SNAPSHOT_BYTES:
                data = snapshot(t)
            else:
                r.soon = True
    if t._counter is not None:
        r.counters[node] = (t._counter, t._counter.n)
    return t, data, t._gfn


def return_loans(r: Recorder) -> None:
    """After an operation on memory that NumPy code holds and may write to at any time.

    The operation has a copy; the next one is to read the memory again. Large operands are not
    copied: what reads them is computed now.
    """
    for t in r.loans:
        if t.node.op is INPUT:
            t.node = t.node.leaf
    r.loans = []
    if r.soon:
        recorder.flush(r)
