"""Following a known stretch of the trace as one step.

A function of the library that records many operations calls `run`. What it recorded is remembered
at the position where it began. When that position is reached again with the same function, the
same settings and operands in the same state, the recorder jumps to the end of the stretch: the
function is not called, and only its results become tensors. Where anything differs, it is called.

A backward pass is followed in the same way by `autograd/replay.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula.ops.table import OVERRIDES, PLAIN
from facula.trace import recorder
from facula.trace.node import INPUT, LEAF, STALE, Node
from facula.trace.recorder import TLS, flush

VARIANTS = 4  # stretches remembered for one position, function and settings
KEYS = 64  # functions and settings remembered for one position
_MISS = object()


class Span:
    """What one call needed and did.

    wants    for each operand its node, or the leaf that is to be replaced by an input, or None
    binds    what becomes an input, in order: (operand, its node, None, None) or (-1, node, tensor,
             buffer) for a constant that the function made
    bound    how many operands do
    writes   (operand, its node after the call, how often it was written)
    numbers  the Python numbers that were recorded: places in `numbers`, or None: see `constants`
    constants  the Python numbers recorded by a call that was given none
    results  the nodes of the results
    shape    how the results are returned: None, "one" or "tuple"
    end      the last entry
    """

    __slots__ = (
        "binds",
        "bound",
        "constants",
        "end",
        "numbers",
        "results",
        "shape",
        "wants",
        "writes",
    )

    wants: list[Node | None]
    binds: list[tuple[int, Node | None, Any, Any]]
    bound: int
    writes: list[tuple[int, Node, int]]
    numbers: list[int] | None
    constants: list[Any]
    results: list[Node]
    shape: str | None
    end: Node


def run(
    f: Callable[[Any, Any, Any], Any],
    tensors: tuple[Any, ...],
    static: Any = (),
    numbers: tuple[Any, ...] = (),
) -> Any:
    """f(tensors, static, numbers), whose operations are followed as one step once they are known.

    What f does may depend on nothing but its arguments and on the shapes, dtypes and layouts of
    `tensors`, of which any may be None; it may not look at their values. It records operations and
    returns None, a new tensor or a tuple of new tensors; it may write to `tensors` where no
    gradient is concerned.
    `static` is hashable. `numbers` are floats that change from call to call; f hands them to
    operations as they are: a number that it computes from them would be a constant of the stretch,
    so a call that does that is not remembered.
    """
    if OVERRIDES:
        return f(tensors, static, numbers)
    r = TLS.r
    if r.grad:
        for t in tensors:
            # A parameter with a pending update enters a new differentiable forward.
            if t is None or not t._leaf_rg:
                continue
            if t.node.op is not LEAF and t.node.op is not INPUT:
                flush(r, wait=False)
                break
    known = r.cur.spans
    if known is not None:
        for s in known.get((f, static, len(tensors)), ()):
            out = _follow(r, s, tensors, numbers)
            if out is not _MISS:
                return out
    return _record(r, f, tensors, static, numbers)


def _ready(r: Any, t: Any, want: Node) -> bool:
    """Whether nothing but its node says in which state an operand is."""
    if want.op is STALE or t._exported is not None or t._counter is not None:
        return False
    if t._storage is not None:
        if t._storage._exported is not None:
            return False
        if r.grad and not want.rg and t._base_t is not None and t._base_t.requires_grad:
            return False  # it has to ask its base for a history
    return want.op is LEAF or want.op is INPUT or not (r.grad and t._leaf_rg)


def _writable(t: Any) -> bool:
    """Whether a write to a tensor is an assignment that nobody else has to know of."""
    return (
        t._storage is None
        and t._gfn is None
        and t._retains is None
        and (t._leaf_rg or not t.node.rg)
    )


def _follow(r: Any, s: Span, tensors: tuple[Any, ...], numbers: tuple[Any, ...]) -> Any:
    """The results of a known stretch; _MISS where the function has to be called."""
    if r.anomaly or r.gnodes or r.packing is not None:
        return _MISS
    for t, want in zip(tensors, s.wants, strict=True):
        if t is None:
            if want is not None:
                return _MISS
        elif t.node is not want or not _ready(r, t, want):
            return _MISS
    for i, _, _ in s.writes:
        t = tensors[i]
        if not _writable(t) or (r.grad and t._leaf_rg):
            return _MISS
    if s.numbers is not None:
        for x in numbers:
            if x.__class__ is not float:
                return _MISS
    if s.bound > 1 and len({id(tensors[b[0]]) for b in s.binds if b[0] >= 0}) < s.bound:
        return _MISS  # one tensor as two operands
    # From here on nothing fails.
    inputs = r.inputs
    for i, node, t, data in s.binds:
        if i >= 0:
            t = tensors[i]
            data = t._data
        inputs.append((t, data, t._gfn))
        if node is not None:
            t.node = node
    if s.numbers is not None:
        r.scalars.extend([numbers[i] for i in s.numbers])
    elif s.constants:
        r.scalars.extend(s.constants)
    add = r.add
    for i, node, times in s.writes:
        t = tensors[i]
        t.node = node
        t._writes += times
        if t._token is not None:
            t._token.stale = True
            t._token = None
        add(t)
    results = []
    for node in s.results:
        t = recorder._new_tensor()
        t.node = node
        add(t)
        results.append(t)
    r.cur = s.end
    r.next = s.end.succ
    return None if s.shape is None else results[0] if s.shape == "one" else tuple(results)


def _record(r: Any, f: Any, tensors: Any, static: Any, numbers: Any) -> Any:
    """Call the function, and remember what it did where that can be followed."""
    frame, cur, n_inputs, n_scalars = r.frame, r.cur, len(r.inputs), len(r.scalars)
    before = [(None, 0) if t is None else (t.node, t._writes) for t in tensors]
    fit = not (r.anomaly or r.gnodes or r.loans) and r.packing is None
    fit = fit and all(
        [
            node is None or (type(t) in PLAIN and _ready(r, t, node))
            for t, (node, _) in zip(tensors, before)
        ]
    )
    # Each number is an object of its own, by which it is found again.
    own = tuple([x * 1.0 if type(x) is float else x for x in numbers])
    out = f(tensors, static, own)
    if not fit or r.frame != frame or r.gnodes or r.cur is cur:
        return out
    s = Span()
    s.end = r.cur
    if (
        _operands(r, s, tensors, before, n_inputs)
        and _numbers(s, own, r.scalars[n_scalars:])
        and _results(r, s, out, cur)
    ):
        if cur.spans is None or len(cur.spans) >= KEYS:
            cur.spans = {}
        variants = cur.spans.setdefault((f, static, len(tensors)), [])
        if len(variants) == VARIANTS:
            del variants[0]
        variants.append(s)
    return out


def _operands(r: Any, s: Span, tensors: Any, before: Any, n_inputs: int) -> bool:
    """Fill in what became an input and what was written to; False where it can't be repeated."""
    place = {id(t): i for i, t in enumerate(tensors) if t is not None}
    if len(place) < sum([t is not None for t in tensors]):
        return False  # one tensor as two operands
    s.wants = [node for node, _ in before]
    s.binds = []
    s.bound = 0
    for t, data, gfn in r.inputs[n_inputs:]:
        i = place.get(id(t), -1)
        node = t.node if t.node.op is INPUT else None  # None: it has been written to since
        if i >= 0:
            s.bound += 1
            s.binds.append((i, node, None, None))
        elif node is not None and gfn is None and not t._leaf_rg and t._storage is None:
            s.binds.append((-1, node, t, data))
        else:
            return False
    s.writes = []
    for i, (t, (node, writes)) in enumerate(zip(tensors, before)):
        if t is None or t.node is node or t.node.op is INPUT:
            continue
        if t.node.rec is not r or not _writable(t) or (r.grad and (t._leaf_rg or t.node.rg)):
            return False
        s.writes.append((i, t.node, t._writes - writes))
    return True


def _numbers(s: Span, given: tuple[Any, ...], recorded: list[Any]) -> bool:
    """Fill in where the recorded numbers come from; False where one is not known to."""
    s.numbers, s.constants = None, []
    if not given:
        s.constants = recorded
        return True
    place = {id(x): i for i, x in enumerate(given)}
    s.numbers = [place.get(id(x), -1) for x in recorded]
    return -1 not in s.numbers and all([type(x) is float for x in given])


def _results(r: Any, s: Span, out: Any, cur: Node) -> bool:
    """Fill in the results; False where one is more than a value recorded here."""
    s.shape = None if out is None else "tuple" if type(out) is tuple else "one"
    made = () if out is None else out if type(out) is tuple else (out,)
    s.results = []
    for t in made:
        if type(t) not in PLAIN or t._storage is not None or t._gfn is not None or t._leaf_rg:
            return False
        node = t.node
        if node.rec is not r or node.op is INPUT or node.index <= cur.index:
            return False
        s.results.append(node)
    return len(set(s.results)) == len(s.results)
