"""Graphs of ended frames that are built when somebody asks for them.

A result that outlives its frame with its history needs of the frame what its graph saves: some
values, and where the graph ends. Of a small graph that is worked out once (`Plan`); each time the
frame ends there, these values are kept (`Ended`), and the results get what stands for their nodes
(`Later`). Most die unused: an action's probabilities in reinforcement learning, a loss that is
printed.
"""

from __future__ import annotations

import math
from functools import partial, reduce
from itertools import count
from operator import or_
from typing import Any

from facula.autograd import graph
from facula.autograd.graph import Postponed, Saved
from facula.trace.node import ASSIGN, INPUT, LEAF, STALE, Node, leaf
from facula.trace.resting import resting

MAX_BYTES = 1 << 16  # of values that a result keeps only because others need them
MAX_WALKED = 200_000  # entries of a graph times results, up to which a plan is made
# Operations whose formulas hand the Python numbers of the operation on as they are.
PASSED_ON = {"mul_s", "div_s", "scale", "over"}
BEYOND = 1 << 40  # more than a frame has operations

_serials = count()


class Plan:
    """What the graph of a frame's live results needs, which follows from the path.

    tops     the live results with a history, places among the handles, and (-1) what other plans
             of the frame go on from
    common   the inputs that may have a history from before the frame, which all of them keep
    rank     how many plans of the frame it may go on from
    entries  the entries of the graph, oldest first
    kept     those whose values are saved
    inputs   the inputs whose values are saved
    sources  the inputs, or entries of other plans, at which the graph ends, in an order that
             follows from the path: gradients are handed over in it
    holders  what the memory of saved values belongs to: places among the handles
    lenders  the same, of values that are in the memory of inputs: places among the inputs
    tokens   for a value, the place of its token among those of the holders and the lenders
    numbers  where the Python numbers are that enter formulas; `loose` if these hand them on
    saving   the entries that save values
    seen     what saved values are in the memory of: none may be read through a counter of its own
    written  the inputs whose memory is written: not that of saved values
    passes   backward passes through it that are known (`frames.py`)
    """

    __slots__ = (
        "common",
        "entries",
        "holders",
        "inputs",
        "kept",
        "lenders",
        "loose",
        "numbers",
        "passes",
        "rank",
        "saving",
        "seen",
        "sources",
        "tokens",
        "tops",
        "written",
    )

    tops: list[tuple[int, Node]]
    common: frozenset[Node]
    entries: list[Node]
    kept: tuple[Node, ...]
    inputs: list[Node]
    sources: list[Node]
    holders: list[int]
    lenders: list[int]
    tokens: dict[Node, int]
    numbers: list[int]
    loose: bool
    passes: dict[Any, Any]
    rank: int
    saving: set[Node]
    seen: set[Node]
    written: list[int]


@resting
def plans_of(
    r: Any, live: tuple[Any, ...], apart: bool, freed: frozenset[Node]
) -> tuple[Plan, ...] | None:
    """Plans for the live results with a history: one for those whose graphs meet in the frame, or
    `apart`, several, so that no result keeps the history from before the frame of another.

    `freed`: what passes of the frame have consumed; its results need none.

    None where one result would keep much that only others need, the graph or what it saves was
    written to or consumed, values are on another device, or results are many for a large graph.
    """
    groups = _groups([(i, n) for i, n in enumerate(live) if _outlives(n) and n not in freed])
    if any([len(tops) * size > MAX_WALKED for tops, size in groups]):
        return None
    plans: list[Plan] = []
    if not groups:
        return ()
    memory = _Memory(r, live)
    for tops, _ in groups:
        made = _pieces(r, memory, tops) if apart else _together(memory, tops)
        if made is None:
            return None
        plans += made
    if not all([freed.isdisjoint(p.entries) for p in plans]):
        return None
    return tuple(plans)


def _outlives(n: Node | None) -> bool:
    """Whether what a handle holds at the end of a frame has a history there."""
    return n is not None and n.rg and n.op is not LEAF and n.op is not STALE


def _groups(tops: list[tuple[int, Node]]) -> list[tuple[list[tuple[int, Node]], int]]:
    """Results whose graphs meet in the frame, and the size of their graph together."""
    owner: dict[Node, int] = {}  # the first result that leads to an entry
    joined = list(range(len(tops)))  # or to an earlier one of its group

    def first(k: int) -> int:
        while joined[k] != k:
            joined[k] = k = joined[joined[k]]
        return k

    for k, (_, top) in enumerate(tops):
        stack = [top]
        while stack:
            n = stack.pop()
            if n in owner:
                joined[first(owner[n])] = first(k)
            elif n is top or n.op is not INPUT:
                owner[n] = k
                stack.extend([i for i in graph.sources_of(n) if i.rg] if n.op is not INPUT else ())
    sizes: dict[int, int] = {}
    for k in owner.values():
        sizes[first(k)] = sizes.get(first(k), 0) + 1
    found: dict[int, list[tuple[int, Node]]] = {}
    for k, pair in enumerate(tops):
        found.setdefault(first(k), []).append(pair)
    return [(group, sizes[k]) for k, group in found.items()]


class _Memory:
    """What a frame, as it ends, has done to memory, and which live results have memory.

    gone     the roots that were written since they were computed
    written  the inputs whose memory is among them
    places   the memory of live results: where they are among the handles
    """

    __slots__ = ("gone", "places", "root_of", "written")

    def __init__(self, r: Any, live: tuple[Any, ...]) -> None:
        self.gone = gone = graph.overwritten(r)
        self.root_of = partial(graph.root_of, r)
        self.written = [i for i, (t, _, _) in enumerate(r.inputs) if graph.memory(t) in gone]
        self.places: dict[Node, int] = {}
        for i, h in enumerate(r.handles):
            n = live[i]
            if n is not None and h._storage is None:
                self.places[n] = i
                if n.op is ASSIGN:
                    self.places[graph.origin(n)] = i
                elif n.op.view:  # a result that is recorded as a view of what the formulas save
                    self.places.setdefault(_memory_of(n), i)


def _together(memory: _Memory, tops: list[tuple[int, Node]]) -> list[Plan] | None:
    """One plan for these results."""
    tops = sorted(tops, key=lambda top: top[0])
    seen = _reached(tops)
    entries = sorted([n for n in seen if n.op is not INPUT], key=lambda n: n.index)
    sources = sorted([n for n in seen if n.op is INPUT], key=lambda n: n.index)
    by = _needing(tops, seen, entries)
    p = _plan(memory, tops, entries, sources, by)
    if p is None:
        return None
    everybody = (1 << len(tops)) - 1
    p.common = frozenset([n for n in sources if by[n] == everybody])
    return [p]


def _pieces(r: Any, memory: _Memory, tops: list[tuple[int, Node]]) -> list[Plan] | None:
    """A plan for each part of the graph of these results that leads to the same histories, older
    parts first; or, where one result would keep much of another, that the same results need."""
    seen = _reached(tops)
    if any([n.op is INPUT for _, n in tops]):
        return None
    entries = sorted([n for n in seen if n.op is not INPUT], key=lambda n: n.index)
    ends = [n for n in seen if n.op is INPUT and r.inputs[n.index][2] is not None]
    past = {n: 1 << k for k, n in enumerate(ends)}  # bits: the histories that an entry leads to
    for n in entries:
        past[n] = 0
        for i in graph.sources_of(n):
            past[n] |= past.get(i, 0)
    by = _needing(tops, seen, entries)
    leads: dict[int, int] = {}
    for n in entries:
        leads[by[n]] = leads.get(by[n], 0) | past[n]
    needed = {n: by[n] for n in entries}
    for of, sign in ({n: leads[by[n]] for n in entries}, 1), (needed, -1):
        parts: dict[int, list[Node]] = {}
        for n in entries:
            parts.setdefault(of[n], []).append(n)
        given = {i for n in entries for i in graph.sources_of(n) if of.get(i, of[n]) != of[n]}
        plans: list[Plan] = []
        # What a part needs of others are parts with fewer histories, or for more results.
        for bits in sorted(parts, key=lambda bits: sign * bits.bit_count()):
            part = parts[bits]
            inside = set(part)
            sources = {i for n in part for i in graph.sources_of(n) if i.rg and i not in inside}
            own = [top for top in tops if top[1] in inside]
            shown = {top for _, top in own}
            own += [(-1, n) for n in part if n in given and n not in shown]
            order = sorted(sources, key=lambda n: (n.op is INPUT, n.index))
            p = _plan(memory, own, part, order, by)
            if p is None:
                break
            p.common, p.rank = frozenset(ends), len(plans)
            plans.append(p)
        else:
            return plans
    return None


def _plan(
    memory: _Memory,
    tops: list[tuple[int, Node]],
    entries: list[Node],
    sources: list[Node],
    by: dict[Node, int],
) -> Plan | None:
    """A plan of these entries; `by`: see `_needing`."""
    p = Plan()
    p.tops, p.entries, p.sources, p.rank = tops, entries, sources, 0
    saved: dict[Node, list[Node]] = {}  # by whom
    watched: dict[Node, None] = {}
    for n in p.entries:
        if n.op is ASSIGN:
            if n.params and n.params[0] is not None:  # through a version counter of its own
                return None
            continue
        if n.op.name == "join":
            continue
        if graph.same_history(n) is not None:
            return None
        for i, names in zip(n.inputs, n.op.saves, strict=False):
            if i.rg:
                for name in names:
                    saved.setdefault(graph.operand(n, name), []).append(n)
        watched.update(dict.fromkeys([graph.operand(n, name) for name in graph.watched(n)]))
    if any([n.device is not None for n in saved]):
        return None
    p.saving = {n for savers in saved.values() for n in savers}
    p.kept = tuple([n for n in saved if n.op is not INPUT])
    p.inputs = [n for n in saved if n.op is INPUT]
    results = reduce(or_, [by[n] for n in (*p.entries, *[n for _, n in tops])], 0)
    if results.bit_count() > 1:
        # Of inputs with a history, which are mostly parameters, somebody else has the memory.
        held = [
            (math.prod(n.shape) * n.dtype.itemsize, reduce(or_, [by[m] for m in savers]))
            for n, savers in saved.items()
            if not _borrowed(n)
        ]
        for k in range(results.bit_length()):
            if results >> k & 1 and sum([x for x, of in held if not of >> k & 1]) > MAX_BYTES:
                return None
    numbered = [n for n in p.entries if n.stypes and any(["s" in names for names in n.op.needs])]
    p.numbers = [at for n in numbered for at in range(n.scalar_at, n.scalar_at + len(n.stypes))]
    p.loose, p.passes = PASSED_ON.issuperset([n.op.name for n in numbered]), {}
    values = [*saved, *[n for n in watched if n not in saved]]
    p.written = memory.written
    if memory.gone and any([memory.root_of(n) in memory.gone for n in values]):
        return None
    _find_memory(p, memory.places, values)
    return p


def _borrowed(n: Node) -> bool:
    """Whether a saved value is an input with a history, or a view of one."""
    root = _memory_of(n)
    return root.op is INPUT and root.rg


def _reached(tops: list[tuple[int, Node]]) -> set[Node]:
    """The entries and inputs with a history that results depend on, themselves included."""
    seen: set[Node] = set()
    stack = [n for _, n in tops]
    while stack:
        n = stack.pop()
        if n.rg and n not in seen:
            seen.add(n)
            stack.extend(graph.sources_of(n))
    return seen


def _needing(tops: list[tuple[int, Node]], seen: set[Node], entries: list[Node]) -> dict[Node, int]:
    """For each of what they depend on, as bits, which of the results need it."""
    by = dict.fromkeys(seen, 0)
    for k, (_, n) in enumerate(tops):
        by[n] |= 1 << k
    for n in reversed(entries):
        for i in graph.sources_of(n):
            if i.rg:
                by[i] |= by[n]
    return by


def _find_memory(p: Plan, places: dict[Node, int], values: list[Node]) -> None:
    """Fill in whose writes would spoil saved values: only what is live can be written to."""
    p.holders, p.lenders, p.tokens = [], [], {}
    found: dict[Node, int] = {}
    roots = [(n, _memory_of(n)) for n in values]
    for _, root in roots:
        if root not in found and root in places:
            found[root] = len(p.holders)
            p.holders.append(places[root])
    for _, root in roots:
        if root not in found and root.op is INPUT:
            found[root] = len(p.holders) + len(p.lenders)
            p.lenders.append(root.index)
    p.tokens = {n: found[root] for n, root in roots if root in found}
    p.seen = set()
    for n in values:
        while n not in p.seen:
            p.seen.add(n)
            n = _under(n)


def _memory_of(n: Node) -> Node:
    """The input or entry in whose memory a value is, where nothing was written."""
    while _under(n) is not n:
        n = _under(n)
    return n


def _under(n: Node) -> Node:
    """What a value is a view of, or itself."""
    if n.op is INPUT:
        return n
    return n.a if n.op.view else n.b if n.op.name == "instead" else n


class Ended:
    """What is kept of one frame: see `Plan`. `freed`: the entries that passes have consumed."""

    __slots__ = (
        "data",
        "freed",
        "kept",
        "leaves",
        "nodes",
        "plan",
        "scalars",
        "serial",
        "sources",
        "tokens",
        "turn",
    )

    plan: Plan
    turn: int
    serial: int
    kept: list[Any]
    data: list[Any]
    sources: list[tuple[Any, Any]]  # of each its history from before the frame, or the leaf
    scalars: list[Any]
    tokens: list[Any]
    nodes: dict[Node, Any] | None
    freed: frozenset[Node]
    leaves: list[Any] | None
    hurries = False

    @property
    def order(self) -> tuple[int, int]:
        """Its place in a backward pass: before all that is older."""
        return self.turn, BEYOND + self.plan.rank

    def edges(self) -> list[Any]:
        """Where its graph ends, for each source: an accumulator, or a result of an older frame."""
        if self.leaves is None:  # an accumulator lives as long as the graph does
            pairs = zip(self.plan.sources, self.sources, strict=True)
            self.leaves = [None if t is None else graph.leaf_edge(t, n) for n, (_, t) in pairs]
        out: list[Any] = []
        for (gfn, _), end in zip(self.sources, self.leaves, strict=True):
            if end is not None:
                out.append(end)
            elif isinstance(gfn, Later) and gfn.ended.nodes is None:
                out.append(gfn)
            else:
                out.append(gfn.expand() if isinstance(gfn, Postponed) else gfn)
        return out

    def free(self, entries: frozenset[Node]) -> None:
        """These have been consumed: let go of what was saved, if no others need any."""
        self.freed = self.freed | entries if self.freed else entries
        if self.plan.saving <= self.freed:
            self.kept, self.data = [], []


class Later(Postponed):
    """Stands for the node of a result whose frame has ended."""

    __slots__ = ("ended", "top")

    def __init__(self, ended: Ended, top: Node) -> None:
        self.ended, self.top = ended, top

    @property
    def order(self) -> tuple[int, int]:
        """That of the node, or a later one in its frame."""
        return self.ended.order

    def expand(self) -> Any:
        """The graph node, built with all that is in its frame, and in those before it."""
        e = self.ended
        if e.nodes is None:
            for other in sorted(_unbuilt(e), key=lambda other: other.serial):
                _build(other)
        assert e.nodes is not None
        return e.nodes[self.top]


def postpone(r: Any, plans: tuple[Plan, ...]) -> bool:
    """Keep what the graph needs, and give the results what stands for their nodes.

    Values that are saved are live from here on. False where the nodes have to be built now.
    """
    if not all([_fits(r, p) for p in plans]):
        return False
    kept: dict[Node, Ended] = {}
    for p in plans:
        _keep(r, p, kept)
    return True


def _fits(r: Any, p: Plan) -> bool:
    """Whether nothing but the path says that the nodes have to be built now."""
    handles, inputs = r.handles, r.inputs
    for i, _ in p.tops:
        if i >= 0 and (handles[i]._saved or handles[i]._leaf_rg):
            return False
    if r.counters and not p.seen.isdisjoint(r.counters):
        return False
    if p.written and p.lenders:
        gone = {graph.memory(inputs[i][0]) for i in p.written}
        if any([graph.memory(inputs[i][0]) in gone for i in p.lenders]):
            return False
    # Else one result would keep the history of another.
    return all(
        [n.op is not INPUT or inputs[n.index][2] is None or n in p.common for n in p.sources]
    )


def _keep(r: Any, p: Plan, others: dict[Node, Ended]) -> None:
    """Keep what a plan needs. `others`: what was kept for other plans, by entries to go on from."""
    handles, inputs = r.handles, r.inputs
    sources: list[Any] = []
    for n in p.sources:
        if n.op is not INPUT:
            sources.append((Later(others[n], n), None))
            continue
        t, _, gfn = inputs[n.index]
        if gfn is not None:
            sources.append((gfn, None))
        else:
            sources.append((None, t if t._leaf_rg else None))
    e = Ended()
    e.plan, e.turn, e.serial, e.nodes = p, graph.turn_of(r), next(_serials), None
    e.freed, e.leaves = frozenset(), None
    e.sources, e.scalars = sources, r.scalars
    e.data = [inputs[n.index][1] for n in p.inputs]
    e.tokens = [graph.token_of(graph.memory(handles[i])) for i in p.holders]
    e.tokens += [graph.token_of(graph.memory(inputs[i][0])) for i in p.lenders]
    for i, n in p.tops:
        others[n] = e
        if i >= 0:
            handles[i]._gfn = Later(e, n)
    e.kept = kept = []
    for n in p.kept:
        t = graph._new_tensor()
        t.node = n
        t._saved = True
        kept.append(t)
    handles += kept


def _unbuilt(e: Ended) -> set[Ended]:
    """A frame and those before it on which it depends, where they are not built."""
    found: set[Ended] = set()
    stack = [e]
    while stack:
        e = stack.pop()
        if e not in found and e.nodes is None:
            found.add(e)
            stack.extend([gfn.ended for gfn, _ in e.sources if type(gfn) is Later])
    return found


def _build(e: Ended) -> None:
    """Build the nodes of a frame; those that it depends on are built."""
    p = e.plan
    nodes: dict[Node, Any] = {}
    for n, (gfn, t) in zip(p.sources, e.sources, strict=True):
        if t is not None:
            nodes[n] = graph.leaf_edge(t, n)
        else:
            nodes[n] = gfn.expand() if isinstance(gfn, Postponed) else gfn
    values = dict(zip(p.kept, e.kept, strict=False))  # none are left where all is freed
    for n, data in zip(p.inputs, e.data, strict=False):
        t = values[n] = graph._new_tensor()
        t._data = data
        t.node = leaf(n.shape, n.dtype, n.strides)

    def save(value: Node, edge: Any, keep: bool) -> Saved:
        s = Saved(values[value] if keep else None, None, 0, edge, value)
        at = p.tokens.get(value)
        s.token = None if at is None else e.tokens[at]
        return s

    for n in p.entries:
        if n.op is ASSIGN or n.op.name == "join":
            nodes[n] = nodes[n.b]
            continue
        if n in e.freed:
            graph.build_freed(n, nodes, nodes, e.turn, e.scalars)
            continue
        edges = [nodes[i] if i.rg else None for i in n.inputs]
        nodes[n] = graph.made(n, e.turn, e.scalars, edges, save)
    e.nodes = {n: nodes[n] for _, n in p.tops}
    e.kept, e.data, e.sources, e.scalars, e.tokens = [], [], [], [], []


__all__ = ["Later", "plans_of", "postpone"]
