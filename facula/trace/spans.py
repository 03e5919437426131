"""Following a known stretch of the trace as one step.

A function of the library that records many operations calls `run`. What it recorded is remembered
at the position where it began. When that position is reached again with the same function, the
same settings and operands in the same state, the recorder jumps to the end of the stretch: the
function is not called, and only its results become tensors. Where anything differs, it is called.

A backward pass is followed in the same way by `autograd/replay.py`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from facula.ops.table import OVERRIDES, PLAIN, SPAN, concerned
from facula.trace import ahead, flight, recorder
from facula.trace.node import INPUT, LEAF, ROOT, STALE, Node, pick
from facula.trace.operands import (
    SNAPSHOT_BYTES,
    crossroads,
    elsewhere,
    first_parameter,
    snapshot,
)
from facula.trace.recorder import TLS, flush
from facula.trace.resting import begin_work
from facula.trace.stretches import Apart, Span
from facula.trace.turns import comes_round

VARIANTS = 16  # stretches remembered for one position, function and settings
KEYS = 2048  # functions and settings remembered for one position: where frames begin, passes too
# A stretch of so many operations, and of this part of its frame, that was new at so many places is
# a frame of its own at others (`_wanders`), until one of these has been reached so often that it is
# worth a program of its own.
WANDERS, LENGTH, PART = 8, 32, 4
MAX_WANDERING = 4096
PURE: set[Any] = set()  # functions whose views are recorded as values
_MISS, _APART = object(), object()
_FLOATS = {float}
_THERE = (LEAF, INPUT)


class _NoTensor(Exception):
    """An operand has no node."""


def pure(f: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """A function for `run` that writes to nothing and whose results share no memory with its
    operands: what it makes views of need not be followed as memory."""
    PURE.add(f)
    return f


def run(
    f: Callable[[Any, Any, Any], Any],
    tensors: tuple[Any, ...],
    static: Any = (),
    numbers: tuple[Any, ...] = (),
) -> Any:
    """f(tensors, static, numbers), whose operations are followed as one step once they are known.

    What f does may depend on nothing but its arguments and on the shapes, dtypes and layouts of
    `tensors`, of which any may be None; it may not look at their values. It records operations and
    returns None, a new tensor or a tuple of new tensors (of `return_types` too); it may write to
    `tensors` where no gradient is concerned. Where it raises an error it is called each time.
    `static` is settings that give the same where they are equal; a call with settings that are not
    hashable is not remembered. `numbers` are floats that change from call to call; f hands them to
    operations as they are: a number that it computes from them would be a constant of the stretch,
    so a call that does that is not remembered. It computes no integers from them.
    """
    if OVERRIDES and concerned(tensors, SPAN):
        return f(tensors, static, numbers)
    r = TLS.r
    key = (f, static, len(tensors)) if r.autocast is None else key_of(r, f, static, len(tensors))
    try:
        out = _known(r, key, tensors, numbers)
        if out is not _MISS and out is not _APART:
            return out
        fresh = out is _MISS and _refresh(r, tensors)
    except _NoTensor:  # the function says what is wrong with it
        return _refused(f, tensors, static, numbers)
    if fresh:
        out = _known(r, key, tensors, numbers)
    if out is _APART or (out is _MISS and _ends(r, key, tensors)):
        flush(r, wait=False)
        out = _known(r, key, tensors, numbers)
    if out is _MISS or out is _APART:
        return _record(r, f, tensors, static, numbers)
    return out


def _ends(r: Any, key: Any, tensors: tuple[Any, ...]) -> bool:
    """Whether the frame ends before a call that is new there."""
    if comes_round(r):
        return True
    known = r.cur.spans
    ways = () if known is None else [s for variants in known.values() for s in variants]
    if r.place is None and crossroads(r.cur, ways):
        return True
    return first_parameter(r, tensors) or _wanders(r, key, _nodes(tensors))


def _layouts(key: Any, nodes: list[Any]) -> int:
    """What tells calls of the same function with operands of the same layouts from others."""
    return hash((key, *[n and (n.shape, n.dtype, n.strides) for n in nodes]))


def _wanders(r: Any, key: Any, nodes: list[Any]) -> bool:
    """Whether a call, whose operands have layouts that it had often, has come after others each
    time, as an optimiser's update does after batches of ever new sizes. It would be recorded,
    planned and compiled anew with each of them. Only where no gradients are recorded: a frame
    that ends amid a graph keeps what the rest of that needs. Not within another stretch."""
    cur = r.cur
    if r.grad or r.place is not None or cur.op is ROOT or not r.wanderers:
        return False
    try:
        times, length = r.wanderers.get(_layouts(key, nodes), (0, 0))
    except TypeError:  # settings in a list
        return False
    if times < WANDERS or PART * length < cur.index:
        return False
    variants = _variants(cur, key)
    if any([s.wants == nodes for s in variants]):  # all times, or with others as inputs
        return False
    variants.append(Apart(nodes))
    return True


def _wandered(r: Any, s: Span, cur: Node, key: Any) -> None:
    """Count the places at which a long stretch was new."""
    length = s.end.index - cur.index
    if r.grad or length < LENGTH:
        return
    if len(r.wanderers) > MAX_WANDERING:
        r.wanderers.clear()
    layouts = _layouts(key, s.wants)
    r.wanderers[layouts] = r.wanderers.get(layouts, (0, 0))[0] + 1, length


def _refused(f: Any, tensors: tuple[Any, ...], static: Any, numbers: Any) -> Any:
    """f of something that is no tensor; TypeError where f stumbles over it."""
    try:
        return f(tensors, static, numbers)
    except AttributeError as error:
        if not any([error.obj is t for t in tensors]):
            raise
        name = f.__name__.lstrip("_")
        kind = AttributeError if name in ("cell", "multi_head", "total_norm") else TypeError
        raise kind(f"{name}(): expected Tensor, not {type(error.obj).__name__}") from None


def _refresh(r: Any, tensors: tuple[Any, ...]) -> bool:
    """Bring operands up to date, and say whether some were not.

    A parameter with a pending update enters a new differentiable forward. Where the memory of an
    operand was written through another tensor (`.data`), its values are looked at again. Views
    the function refreshes.
    """
    any_ = False
    for t in tensors:
        if t is None:
            continue
        try:
            op = t.node.op
        except AttributeError:
            raise _NoTensor from None
        if op is LEAF or op is INPUT:
            continue
        if t._leaf_rg and r.grad:
            any_ = True
            if op is not STALE or t._base_t is not None or t._storage.node.op is not LEAF:
                flush(r, wait=False)
        if t.node.op is STALE and t._base_t is None:
            any_ = True
            t._rederive()
    return any_


def key_of(r: Any, f: Any, static: Any, count: int) -> Any:
    """What a stretch is found by: the function, its settings, those of autocast."""
    if r.autocast is None:
        return f, static, count
    return f, static, count, *r.autocast.items()


def _nodes(tensors: Any) -> list[Any]:
    """The nodes of operands, None for None."""
    try:
        return [None if t is None else t.node for t in tensors]
    except AttributeError:
        raise _NoTensor from None


def _known(r: Any, key: Any, tensors: Any, numbers: Any) -> Any:
    """The results of a stretch that is known at this position; _MISS where none is."""
    known = r.cur.spans
    if known is None:
        return _MISS
    try:
        variants = known.get(key)
    except TypeError:  # settings in a list, which are not remembered
        return _MISS
    if not variants:
        return _MISS
    nodes = _nodes(tensors)
    for s in variants:
        if s.wants == nodes:
            if s.__class__ is Apart:
                if s.times:
                    s.times -= 1
                    return _APART
                continue
            out = _follow(r, s, tensors, numbers)
            if out is not _MISS:
                return out
    return _MISS


def _lasting(key: Any, static: Any) -> bool:
    """Whether settings can be found again, and are not tensors, whose values may change."""
    try:
        hash(key)
    except TypeError:
        return False
    return not (isinstance(static, tuple) and any([hasattr(x, "node") for x in static]))


def ready(r: Any, t: Any, want: Node) -> bool:
    """Whether nothing but its node says in which state an operand is."""
    if want.op is STALE or t._exported is not None or t._counter is not None:
        return False
    if t._storage is not None:
        s = t._storage
        if s._exported is not None or (s.computed and s.lent):
            return False
        if r.grad and not want.rg and t._base_t is not None and t._base_t.requires_grad:
            return False  # it has to ask its base for a history
    return want.op is LEAF or want.op is INPUT or not (r.grad and t._leaf_rg)


def is_lent(r: Any, t: Any) -> bool:
    """Whether an operand's memory is held by NumPy code and small, so that a copy is read: what
    the environment of an agent gives it. The tensor does not become an input then, since its next
    reader is to look at the memory again (`operands.given_of`)."""
    owner = t if t._storage is None else t._storage
    if owner._exported is None or t.node.op is not LEAF or t._leaf_rg or t._counter is not None:
        return False
    if t._storage is not None and t._storage.computed:
        return False  # what it shows may have to be computed again
    if owner._exported() is None:
        owner._exported = None
        return False
    if r.grad and not t.node.rg and t._base_t is not None and t._base_t.requires_grad:
        return False  # it has to ask its base for a history
    return bool(t._data.nbytes <= SNAPSHOT_BYTES)


def _writable(t: Any) -> bool:
    """Whether a write to a tensor is an assignment that nobody else has to know of."""
    return (
        t._storage is None
        and t._gfn is None
        and t._retains is None
        and (t._leaf_rg or not t.node.rg)
    )


def _sole(t: Any) -> bool:
    """Whether a tensor is all that is left of its storage: a new parameter, mostly."""
    from facula.writes import sole

    return sole(t, t._storage)


def _follow(r: Any, s: Span, tensors: tuple[Any, ...], numbers: tuple[Any, ...]) -> Any:
    """The results of a known stretch, whose operands have the nodes that it wants; _MISS where the
    function has to be called."""
    if r.anomaly or (r.gnodes and r.grad) or r.packing is not None:
        return _MISS
    # A tensor with a counter of its own has a storage.
    lent: Any = ()
    shared = False
    for t in tensors if s.given is None else s.given(tensors):
        if t._storage is not None or t._exported is not None:
            shared = True
            if is_lent(r, t):
                lent = (*lent, t)
            elif not ready(r, t, t.node):
                return _MISS
    if s.entries is not None:
        for t in s.entries(tensors):
            if t._leaf_rg:
                return _MISS
    if lent or not s.plain:
        return _follow_any(r, s, tensors, numbers, lent, shared)
    bound = s.binds(tensors)
    if s.distinct > 1 and len(set(bound)) < s.distinct:
        return _MISS  # one tensor as two operands that were two
    # From here on nothing fails.
    if s.known:
        inputs = [(t, t._data, t._gfn) for t in bound]
    else:
        inputs = [(t, t._data, None) for t in bound]
    r.inputs += inputs
    r.scalars += s.constants
    r.cur = s.end
    r.next = s.end.succ
    if s.stay:
        for t, node in zip(bound, s.inputs):
            t.node = node
    if s.early is not None:
        ahead.begin(r, s.early)
    return _made(r, s)


def _made(r: Any, s: Span) -> Any:
    """New tensors for the results of a stretch that was followed."""
    if s.shape == "one":
        t = recorder._new_tensor()
        t.node = s.results[0]
        r.handles.append(t)
        return t
    if s.shape is None:
        return None
    results = []
    for node in s.results:
        t = recorder._new_tensor()
        t.node = node
        r.handles.append(t)
        results.append(t)
    return s.shape(results)


def _follow_any(r: Any, s: Span, tensors: Any, numbers: Any, lent: Any, shared: bool) -> Any:
    """`_follow`, for stretches that do more than read operands, each as it is."""
    if lent or s.lent:
        if len(lent) != len(s.lent) or any([tensors[i] is not t for i, t in zip(s.lent, lent)]):
            return _MISS
    if s.writes is not None:
        targets = s.writes(tensors)
        grad = r.grad
        for t in s.histories(tensors):  # as `_writable`, without its calls
            if t._gfn is not None or t._retains is not None:
                return _MISS
            if t._leaf_rg if grad else t.node.rg and not t._leaf_rg:
                return _MISS
        if shared:
            for t in targets:
                if t._storage is not None and not _sole(t):
                    return _MISS
    if s.numbers is not None:
        if not _FLOATS.issuperset(map(type, numbers)):
            return _MISS
    bound = s.binds(tensors)
    if s.distinct > 1 and len(set(bound)) < s.distinct:
        return _MISS  # one tensor as two operands that were two
    for i, j in s.same:
        if tensors[i] is not tensors[j]:
            return _MISS
    # From here on nothing fails.
    if lent:
        flight.land()
        copied = set(map(id, lent))
        inputs = [(t, snapshot(t) if id(t) in copied else t._data, t._gfn) for t in bound]
    elif s.known:
        inputs = [(t, t._data, t._gfn) for t in bound]
    else:
        inputs = [(t, t._data, None) for t in bound]
    for at, _, t, data in s.made:
        inputs.insert(at, (t, data, None))
    constants: Any = s.constants
    if s.numbers is not None:
        constants = s.numbers((*numbers, *s.constants) if s.constants else numbers)
    r.inputs += inputs
    r.scalars += constants
    r.cur = s.end
    r.next = s.end.succ
    if s.writes is not None:
        r.handles += targets
    if s.stay:
        for t, node in zip(bound, s.inputs):
            if node is not None:
                t.node = node
    for _, node, t, _ in s.made:
        t.node = node
    if s.writes is not None:
        written(targets, s.after, s.times)
    if s.early is not None:
        ahead.begin(r, s.early)
    return _made(r, s)


def written(targets: Any, nodes: Any, times: Any) -> None:
    """Give tensors that a known stretch has written to their new nodes, and count the writes."""
    for t, node, n in zip(targets, nodes, times):
        t.node = node
        t._writes += n
        if t._token is not None:
            t._token.stale = True
            t._token = None


def _record(r: Any, f: Any, tensors: Any, static: Any, numbers: Any) -> Any:
    """Call the function, and remember what it did where that can be followed."""
    for t in tensors:
        if type(t) in PLAIN and t._storage is not None and t.node.op in _THERE:
            _sole(t)  # or what is written to it is written to memory that others may share
    frame, cur, n_inputs, n_scalars = r.frame, r.cur, len(r.inputs), len(r.scalars)
    strangers = r.strangers
    before = [(None, 0) if t is None else (t.node, t._version) for t in tensors]
    key = key_of(r, f, static, len(tensors))
    fit = not (r.anomaly or r.loans or (r.gnodes and r.grad)) and r.packing is None
    fit = fit and _lasting(key, static)
    fit = fit and all(
        [
            node is None
            or (type(t) in PLAIN and not elsewhere(r, t) and (is_lent(r, t) or ready(r, t, node)))
            for t, (node, _) in zip(tensors, before)
        ]
    )
    # Each number is an object of its own, by which it is found again.
    own = tuple([x * 1.0 if type(x) is float else x for x in numbers])
    mode, work = r.values, (r.place, r.rests)
    r.values = f in PURE
    try:
        begin_work(r)
        out = f(tensors, static, own)
    finally:
        rests = r.rests
        r.values = mode
        r.place, r.rests = work
        if rests:
            gc.enable()
    if not fit or r.frame != frame or (r.gnodes and r.grad) or r.cur is cur:
        return out
    if r.strangers != strangers:
        return out
    s = Span()
    s.end = r.cur
    s.early = None
    if (
        _operands(r, s, tensors, before, n_inputs)
        and _numbers(s, own, r.scalars[n_scalars:])
        and _results(r, s, out, cur)
    ):
        s.plain = s.writes is s.numbers is None and not (s.lent or s.same or s.made)
        s.plain = s.plain and None not in s.inputs
        s.share()
        _variants(cur, key).append(s)
        _wandered(r, s, cur, key)
    return out


def _variants(cur: Node, key: Any) -> list[Any]:
    """The stretches known at a position for one function and settings, with room for one more."""
    if cur.spans is None or len(cur.spans) >= KEYS:
        cur.spans = {}
    variants: list[Any] = cur.spans.setdefault(key, [])
    if len(variants) == VARIANTS:
        del variants[0]
    return variants


def _operands(r: Any, s: Span, tensors: Any, before: Any, n_inputs: int) -> bool:
    """Fill in what became an input and what was written to; False where it can't be repeated."""
    given = [i for i, t in enumerate(tensors) if t is not None]
    place: dict[int, int] = {}
    s.same = [(place[id(tensors[i])], i) for i in given if place.setdefault(id(tensors[i]), i) != i]
    s.wants = [node for node, _ in before]
    s.given = None if len(given) == len(tensors) else pick(given)
    s.lent = [i for i in given if is_lent(r, tensors[i])]
    values = [i for i in given if before[i][0].op is not LEAF and before[i][0].op is not INPUT]
    s.entries = pick(values) if values and r.grad else None
    bound = []
    s.inputs, s.made = [], []
    for at, (t, data, gfn) in enumerate(r.inputs[n_inputs:]):
        i = place.get(id(t), -1)
        node = t.node if t.node.op is INPUT else None  # None: it has been written to since
        if node is not None and node.rec is not r:
            return False  # another thread has read it meanwhile
        if i >= 0:
            bound.append(i)
            s.inputs.append(node)
        elif node is not None and gfn is None and not t._leaf_rg and t._storage is None:
            s.made.append((at, node, t, data))
        else:
            return False
    s.binds = pick(bound)
    s.distinct = len(set(bound))
    s.known = any([before[i][0].rg for i in bound])
    s.stay = any([node is not None for node in s.inputs])
    written = []
    s.after, s.times = [], []
    for i, (t, (node, writes)) in enumerate(zip(tensors, before)):
        if t is None or t.node is node or t.node.op is INPUT:
            continue
        if t.node.rec is not r or not _writable(t) or (r.grad and (t._leaf_rg or t.node.rg)):
            return False
        if s.same:
            return False  # written once or twice?
        written.append(i)
        s.after.append(t.node)
        s.times.append(t._version - writes)
    s.writes = pick(written) if written else None
    s.histories = pick([i for i in written if before[i][0].rg or i in values])
    return True


def _numbers(s: Span, given: tuple[Any, ...], recorded: list[Any]) -> bool:
    """Fill in where the recorded numbers come from; False where one is not known to."""
    s.numbers, s.constants = None, []
    if not given:
        s.constants = recorded
        return True
    place = {id(x): i for i, x in enumerate(given)}
    places = [place.get(id(x), -1) for x in recorded]
    for k, x in enumerate(recorded):
        if places[k] < 0 and type(x) is int:  # the function's own
            places[k] = len(given) + len(s.constants)
            s.constants.append(x)
    s.numbers = pick(places)
    return -1 not in places and all([type(x) is float for x in given])


def _results(r: Any, s: Span, out: Any, cur: Node) -> bool:
    """Fill in the results; False where one is more than a value recorded here."""
    several = isinstance(out, tuple)
    s.shape = None if out is None else type(out) if several else "one"
    made = () if out is None else out if several else (out,)
    s.results = []
    for t in made:
        if type(t) not in PLAIN or t._storage is not None or t._gfn is not None or t._leaf_rg:
            return False
        node = t.node
        if node.rec is not r or node.op is INPUT or node.index <= cur.index:
            return False
        s.results.append(node)
    return len(set(s.results)) == len(s.results)
