"""State that one function writes at every step, and nobody looks at: what an optimiser keeps.

A step that is known goes over each of these tensors several times, to see whether it is as it was
and to hand over what it became. While nobody looks they are *kept* instead: all of them are one
operand, whose arrays are known as a whole (`Kept`). Each tensor is stale then, as one is that was
written through a view, and its storage is a `Held`, which gives them all back (`release`) as soon
as anything in it is asked for or set. So all that can be done with a stale tensor can be done with
these, and nothing else has to know of them.

In a frame that writes to it, a `Kept` is one handle. Its node is stale, and names the results; one
that the program does not hand over as a whole becomes a handle for each tensor, a `Part`.
"""

from __future__ import annotations

import sys
import weakref
from operator import is_
from typing import Any

import numpy as np

from facula import views
from facula.interpreter.program import evaluate
from facula.ops.table import PLAIN
from facula.storage import Storage
from facula.trace import ahead, neighbours, recorder, settling
from facula.trace.flight import LOCK
from facula.trace.node import LEAF, STALE, Node, Pick, pick, stale
from facula.trace.recorder import TLS
from facula.trace.settling import relayout
from facula.trace.spans import VARIANTS, is_lent, key_of, ready, written
from facula.trace.stretches import Apart, Span
from facula.writes import sole

_FLOATS = {float}
_get, _set = object.__getattribute__, object.__setattr__
_layouts: dict[tuple[Node, ...], Node] = {}


class _Handle:
    """What has a value in a frame, and nothing else that is to be known of it."""

    __slots__ = ()
    _storage = _base_t = _counter = _gfn = _exported = _token = _retains = None
    _leaf_rg = _saved = False
    _chain: tuple[Any, ...] = ()


class Part(_Handle):
    """One of the tensors as a handle, for a program that does not hand them over as a whole."""

    __slots__ = ("_data", "_failure", "node")
    node: Node
    _data: Any
    _failure: Any


class Kept(_Handle):
    """Tensors as one operand.

    node      in a frame that writes to them, the last such `Stretch.after`; else `layout`
    layout    the node of all that have these leaves
    leaves    the nodes of the tensors
    arrays    their memory
    inputs    what a frame's inputs are of them
    parts     a handle for each
    storages  references to the storage of each
    versions  how often each was written, up to the last `count` times that `stretch` was followed
    free      whether they were given back
    """

    __slots__ = (
        *("arrays", "count", "free", "inputs", "layout", "leaves", "node", "parts", "rec"),
        *("storages", "stretch", "versions"),
    )
    node: Node
    layout: Node
    leaves: list[Node]
    arrays: list[Any]
    inputs: list[Any]
    parts: list[Part]
    storages: list[weakref.ref[Held]]
    versions: list[int]
    count: int
    stretch: Stretch | None
    free: bool
    rec: Any


class Held(Storage):
    """The storage of a tensor that is kept; an ordinary one as soon as it is touched."""

    def __init__(self, t: Any, k: Kept, place: int) -> None:
        _set(self, "kept", k)
        _set(self, "place", place)
        _set(self, "tensor", weakref.ref(t))

    def __getattribute__(self, name: str) -> Any:
        release(_get(self, "kept"))
        return _get(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        release(_get(self, "kept"))
        _set(self, name, value)


class _Stand(_Handle):
    """Stands among the inputs of a frame for the tensors."""

    node = Node(STALE, (), None)


_STAND: Any = _Stand()


def keep(tensors: list[Any]) -> Kept | None:
    """Keep tensors, if nothing is to be known of them but their values; None otherwise."""
    for t in tensors:
        n = t.node
        if type(t) not in PLAIN or n.op is not LEAF or n.rg or n.device is not None:
            return None
        if not (t._storage is t._exported is t._counter is t._gfn is t._retains is t._own is None):
            return None
        if not (t._base_t is t._viewed is t._token is t._hooks is None) or t._inference:
            return None
    if len(set(tensors)) < len(tensors):
        return None
    k = Kept()
    k.rec, k.free, k.stretch, k.count = TLS.r, False, None, 0
    k.leaves = [t.node for t in tensors]
    k.node = k.layout = _layout(tuple(k.leaves))
    k.versions = [t._writes for t in tensors]
    k.parts = [Part() for _ in tensors]
    for p, n in zip(k.parts, k.leaves):
        p.node, p._data, p._failure = n, None, None
    storages = [Held(t, k, i) for i, t in enumerate(tensors)]
    k.storages = [weakref.ref(s) for s in storages]
    nodes = [stale(n) for n in k.leaves]
    k.arrays = [t._data for t in tensors]
    k.inputs = [(_STAND, data, None) for data in k.arrays]
    for t, s, n in zip(tensors, storages, nodes):
        t._storage = s
        t.node = n
        t._data = None
        t._chain = ()
    return k


def _layout(leaves: tuple[Node, ...]) -> Node:
    found = _layouts.get(leaves)
    if found is None:
        if len(_layouts) > 1000:
            _layouts.clear()
        found = _layouts[leaves] = Node(STALE, (), None)
    return found


def release(k: Kept) -> None:
    """Give the tensors back: each has a storage of its own, which has its value, and is stale.

    Another thread may be about to follow, which looks at `free` last, or at the end of the frame:
    `ending` or `land` see to what is pending.
    """
    k.free = True
    with LOCK:
        pending = k.node is not k.layout
        nodes = k.node.inputs if pending else k.leaves
        written = _versions(k)
        for i, ref in enumerate(k.storages):
            s: Any = ref()
            if s is None or type(s) is not Held:
                continue
            state = _get(s, "__dict__")
            state["aliases"] = [state["tensor"]]
            state["node"], state["_version"] = nodes[i], written[i]
            state["_data"] = None if pending else k.arrays[i]
            if pending:
                k.rec.add(s)
            _set(s, "__class__", Storage)


def seen_elsewhere(t: Any, s: Any) -> Any:
    """What another thread than the one that trains is to read: a stand-in for t, of storage `s`,
    which stays as it is. None where all are to be released."""
    k = _get(s, "kept")
    if k.rec is TLS.r:
        return None
    if not k.rec.thread.is_alive():
        neighbours.end(k.rec)
        return None
    i = _get(s, "place")
    while True:
        node, inputs, scalars = k.node, k.rec.inputs, k.rec.scalars
        if node is k.layout:
            data = k.arrays[i]
        else:
            try:
                data = np.asarray(evaluate(node.inputs[i], inputs, scalars))
            except Exception:
                if k.node is node and k.rec.inputs is inputs:
                    raise
                continue  # of another frame
            strides = k.leaves[i].strides
            if strides is not None:
                data = relayout(data, strides)
        if k.node is node and (node is k.layout or k.rec.inputs is inputs):
            break
    u = recorder._new_tensor()
    u.node, u._data = k.leaves[i], data
    return u


def _versions(k: Kept) -> list[int]:
    if k.stretch is None:
        return k.versions
    return [v + k.count * n for v, n in zip(k.versions, k.stretch.times)]


def ending(r: Any) -> None:
    """At the end of a frame, forget what was released in it: its storages are handles."""
    if r.parts:  # an interrupt ended the last attempt
        r.handles[:] = [h for h in r.handles if h.__class__ is not Part]
        r.parts = 0
    for k in r.held[:]:
        if k.free:
            with LOCK:
                k.node = k.layout
                r.held.remove(k)


def stays(r: Any, held: list[Kept], live: tuple[Any, ...], freed: Any) -> bool:
    """Whether what is kept may stay so at the end of a frame that has never ended in this way.

    Where a graph outlives it or devices are concerned, all is released, and is as any other value.
    """
    if not (r.gnodes or r.anomaly) and r.packing is None:
        for n in live:
            if n is not None and n.op is not LEAF and n.op is not STALE:
                if n.device is not None or (n.rg and n not in freed):
                    break
        else:
            return True
    for k in held:
        release(k)
    ending(r)
    return False


def spread(r: Any, held: list[Kept], live: tuple[Any, ...]) -> tuple[Any, ...]:
    """Let each of the tensors be a handle; `live` with their nodes."""
    handles = r.handles
    if r.parts:
        return live  # done in this frame
    nodes: list[Any] = []
    parts: list[Any] = []
    for k in held:
        for p, n in zip(k.parts, k.node.inputs):
            p.node, p._data, p._failure = n, None, None
        parts += k.parts
        nodes += k.node.inputs
    more = [None] * (len(handles) - len(live))  # what another thread has released meanwhile
    r.parts = len(parts)
    handles += parts
    return (*live, *more, *nodes)


def land(held: list[Kept], arrays: Any) -> None:
    """Take over what a program has computed: `arrays`, or what the parts have got."""
    at = 0
    for k in held:
        n = len(k.parts)
        at += n
        node = k.node
        if node is k.layout:  # done before an error of a signal's handler
            continue
        with LOCK:
            if arrays is None:
                if any([p.node.op is not LEAF for p in k.parts]):
                    _fail(k)
                    continue
                mine = [p._data for p in k.parts]
            else:
                mine = arrays if len(held) == 1 else arrays[at - n : at]
            if not all(map(is_, mine, k.arrays)):
                inputs: list[Any] = [(_STAND, data, None) for data in mine]
                k.inputs = inputs
                k.arrays = mine
            k.node = k.layout
            if k.free:  # somebody has touched them since the frame began to end
                for ref, n_, now, data in zip(k.storages, node.inputs, k.leaves, mine):
                    s: Any = ref()
                    if s is not None and s.node is n_:
                        s._data, s.node = data, now
            if arrays is None:
                for p in k.parts:
                    p._data = None


def _fail(k: Kept) -> None:
    """Release what could not be computed, or not all of it."""
    nodes = k.node.inputs
    release(k)
    k.node = k.layout
    for ref, p, node in zip(k.storages, k.parts, nodes):
        s: Any = ref()
        if s is not None and s.node is node:
            s._data, s._failure, s.node = p._data, p._failure, p.node


class Stretch:
    """A `Span` whose last operands are kept: see there.

    wants     the nodes of the other operands, and of what is kept
    binds     picks those of the others that become inputs; their nodes are `inputs`
    mix       puts these and what is kept in the order of the frame's inputs
    writes    picks those of the others that are written to; `nodes` and `writings`
    after     the node of what is kept, and how often each of it is written: `times`
    distinct, numbers, constants, end, early: as there
    """

    __slots__ = (
        *("after", "binds", "constants", "distinct", "early", "end", "inputs", "mix", "nodes"),
        *("numbers", "times", "wants", "writes", "writings"),
    )

    def __init__(self, s: Span, wants: list[Any], count: int, kept: int) -> None:
        total = list(range(count + kept))
        bound, written = s.binds(total), s.writes(total)  # type: ignore[misc]
        self.wants, self.end = wants, s.end
        self.early: Any = None
        self.numbers: Pick | None = s.numbers
        self.constants = s.constants
        others = [at for at, i in enumerate(bound) if i < count]
        self.binds = pick([bound[at] for at in others])
        self.inputs = [s.inputs[at] for at in others]
        self.distinct = len({bound[at] for at in others})
        places = {at: place for place, at in enumerate(others)}
        self.mix = pick(
            [len(others) + i - count if i >= count else places[at] for at, i in enumerate(bound)]
        )
        mine = [at for at, i in enumerate(written) if i < count]
        self.writes = pick([written[at] for at in mine])
        self.nodes = [s.after[at] for at in mine]
        self.writings = [s.times[at] for at in mine]
        order = [written.index(i) for i in range(count, count + kept)]
        self.after = Node(STALE, (), None)
        self.after.inputs = tuple([s.after[at] for at in order])
        self.times = [s.times[at] for at in order]


def _of(r: Any, key: Any, nodes: list[Any], k: Kept, count: int) -> Stretch | Apart | None:
    """The stretch that is known here, made of a span whose operands are all tensors; or that the
    frame ends before it."""
    spans = r.cur.spans
    if spans is None:
        return None
    try:
        own = spans.get((*key, k.layout))
    except TypeError:  # settings that are not hashable
        return None
    for known in own or ():
        if known.wants == nodes:
            return known  # type: ignore[no-any-return]
    n = len(k.leaves)
    full = nodes + k.leaves
    rest = set(range(count, count + n))
    for s in spans.get(key, ()):
        if s.wants != full:
            continue
        if s.__class__ is Apart:
            if s.times:
                s.times -= 1
                return s  # type: ignore[no-any-return]
            continue
        if s.writes is None or s.shape is not None:
            continue
        if s.same or s.made or s.lent or s.given is not None or s.entries is not None:
            continue
        total = list(range(count + n))
        bound = s.binds(total)
        if len(set(bound)) < len(bound) or not rest.issubset(bound):
            continue
        if rest.issubset(s.writes(total)):
            if own is None or len(own) == VARIANTS:
                own = spans[(*key, k.layout)] = []
            own.append(Stretch(s, nodes, count, n))
            return own[-1]  # type: ignore[no-any-return]
    return None


def follow(f: Any, tensors: list[Any], static: Any, numbers: tuple[Any, ...], k: Kept) -> bool:
    """What `spans.run` does, where it is known and no gradients are recorded: the operands are
    `tensors` and then what is kept, to which f writes. False where it has to be called."""
    r = TLS.r
    if k.free or r is not k.rec or r.grad or r.anomaly or r.packing is not None:
        return False
    if k.node is not k.layout:
        return False  # written in this frame already
    nodes = [t.node for t in tensors]
    count = len(nodes)
    key = key_of(r, f, static, count + len(k.leaves))
    s = _of(r, key, nodes, k, count)
    if s.__class__ is Apart:
        recorder.flush(r, wait=False)
        nodes = [t.node for t in tensors]
        s = _of(r, key, nodes, k, count)
    if s.__class__ is not Stretch or not _FLOATS.issuperset(map(type, numbers)):
        return False
    shared = False
    for t in tensors:
        if t._storage is not None or t._exported is not None:
            shared = True
            if is_lent(r, t) or not ready(r, t, t.node):
                return False
    targets = s.writes(tensors)
    for t in targets:  # a leaf that requires grad has no history
        if not t._leaf_rg and (t._gfn is not None or t._retains is not None or t.node.rg):
            return False
    if shared:
        for t in targets:
            if t._storage is not None and not sole(t, t._storage):
                return False
    bound = s.binds(tensors)
    inputs: Any = k.inputs
    if s.distinct:
        if len(set(bound)) < s.distinct:
            return False
        inputs = [*[(t, t._data, t._gfn) for t in bound], *inputs]
    inputs = s.mix(inputs)
    constants: Any = s.constants
    if s.numbers is not None:
        constants = s.numbers((*numbers, *s.constants) if s.constants else numbers)
    if k.stretch is not s:
        k.versions, k.count = _versions(k), 0
        k.stretch = s
    held = [*r.held, k]
    if k.free:  # another thread has asked for them; from here on without a call
        return False
    r.inputs += inputs
    r.scalars += constants
    r.cur = s.end
    r.next = s.end.succ
    r.held = held
    k.node = s.after
    k.count += 1
    r.handles += (k, *targets)
    if s.distinct:
        for t, node in zip(bound, s.inputs):
            if node is not None:
                t.node = node
    written(targets, s.nodes, s.writings)
    if s.early is not None:
        ahead.begin(r, s.early)
    return True


settling._kept = views._kept = sys.modules[__name__]

__all__ = ["Kept", "follow", "keep", "release"]
