"""The backward pass through a frame that has ended, followed as one step.

A program that reads its loss before it calls `backward`, or whose control flow reads values, ends
frames whose graphs are kept in short (`later.py`). Their nodes need not be built for the usual
pass: that part of it depends on the frame's plan and on shapes alone, so it is a function that
`trace/spans.py` remembers. Its operands are the gradients of the frame's results, the values that
were saved and what arrived so far where the graph ends; its results go on from there.

Where there are several such frames, each one's pass is a frame of its own again: a solver whose
steps adapt has few kinds of frames, in an order that never comes again.
"""

from __future__ import annotations

from typing import Any

from facula.autograd import engine, graph
from facula.autograd.graph import Saved
from facula.autograd.later import Ended, Later
from facula.autograd.nodes import GradNode
from facula.ops.table import PLAIN
from facula.trace import recorder, spans
from facula.trace.node import ASSIGN, INPUT, LEAF, Node, Other, leaf
from facula.trace.recorder import TLS

MAX_PASSES = 64  # remembered of one plan


class Pass:
    """How the gradients of some of a frame's results go through it.

    reached  the entries whose saved values it frees
    ends     for each place where the graph ends that a gradient reaches: which source it is, and
             where the gradient is: among the results, or (negative, from -1) the operands
    idle     whether nothing is computed on the way
    """

    __slots__ = ("ends", "idle", "reached")

    def __init__(self, tops: tuple[Node, ...], entries: list[Node]) -> None:
        # No way from here leads out of a plan and back: what its entries need of others are parts
        # of the graph that lead to fewer histories, or that more results need (`later.py`).
        inside, reached, stack = set(entries), set(), list(tops)
        while stack:
            n = stack.pop()
            if n in inside and n not in reached:
                reached.add(n)
                stack.extend(graph.sources_of(n))
        self.reached = frozenset(reached)
        self.ends: list[tuple[int, int]] = []
        self.idle = False


def ended(t: Any) -> Later | None:
    """What stands for the node of a result whose frame has ended, if nobody built that frame."""
    n = t.node
    if (n.op is LEAF or n.op is INPUT) and n.rg and not t._leaf_rg:
        edge = t._gfn
        if edge.__class__ is Later and edge.ended.nodes is None:
            return edge
    return None


def end_frame(r: Any, tensors: Any) -> None:
    """End the frame of these results where it goes on from frames that have ended."""
    if r.gnodes or r.anomaly or r.packing is not None:
        return
    if any([gfn.__class__ is Later and gfn.ended.nodes is None for _, _, gfn in r.inputs]):
        ts = tensors if isinstance(tensors, (tuple, list)) else (tensors,)
        if all([type(t) in PLAIN and t.node.rec is r for t in ts]):
            recorder.flush(r, wait=False)


def arrived(pending: dict[Any, Any], edge: Any) -> Any:
    """The gradient that has arrived at an edge so far, or None."""
    if edge.__class__ is Later:
        return pending.get(edge.ended, {}).get(edge.top)
    return pending.get(edge)


def follow(e: Ended, grads: dict[Node, Any], pending: dict[Any, Any], keep: bool) -> Any:
    """The pass through a frame: pairs of an edge and all that has arrived there by then.

    `pending` has what arrived before. None where the frame's nodes have to be built.
    """
    r, p = TLS.r, e.plan
    if e.nodes is not None or r.grad or r.gnodes or r.anomaly or r.packing is not None:
        return None
    for token in e.tokens:
        if token.stale or token.detached is not None:
            return None
    tops = tuple(sorted(grads, key=_index))
    edges = e.edges()
    # Where several sources are one place, the first stands for it.
    first: dict[Any, int] = {}
    places = [(x.ended, x.top) if x.__class__ is Later else x for x in edges]
    same = [i if x is None else first.setdefault(x, i) for i, x in enumerate(places)]
    merged = () if len(set(same)) == len(same) else tuple(same)
    before = [arrived(pending, x) if i == same[i] else None for i, x in enumerate(edges)]
    for top, g in grads.items():
        if g.node.shape != top.shape:
            return None
    for d in (*grads.values(), *before):
        if d is not None and (type(d) not in PLAIN or d.node.op.__class__ is Other):
            return None
    numbers = [e.scalars[at] for at in p.numbers]
    loose = p.loose and set(map(type, numbers)) == {float}
    fixed = () if loose else tuple([(x, repr(x)) for x in numbers])
    key = tops, tuple([d is None for d in before]), fixed, merged
    known = p.passes.get(key)
    if known is None:
        if len(p.passes) >= MAX_PASSES:
            p.passes.clear()
        known = p.passes[key] = Pass(tops, p.entries)
    if e.freed and not known.reached.isdisjoint(e.freed):
        return None
    if known.idle:
        operands = (*[grads[n] for n in tops], *before)
        if not keep:
            e.free(known.reached)
        return [(x, operands[-1 - k]) for i, k in known.ends if (x := edges[i]) is not None]
    values = list(e.kept)
    for n, data in zip(p.inputs, e.data, strict=True):
        t = graph._new_tensor()
        t._data = data
        t.node = leaf(n.shape, n.dtype, n.strides)
        values.append(t)
    if any([token.lent is not None and token.lent() is not None for token in e.tokens]):
        for n, t in zip((*p.kept, *p.inputs), values, strict=True):
            if n in p.tokens:  # NumPy code may write to this memory before the pass has run
                t._exported = e.tokens[p.tokens[n]].lent
    tensors = (*[grads[n] for n in tops], *before, *values)
    static = p, known, key
    cur, frame = r.cur, r.frame
    out = spans.run(_back, tensors, static, tuple(numbers) if loose else ())
    known.idle = r.cur is cur and r.frame == frame
    if loose and r.frame == frame and (_back, static, len(tensors)) not in (cur.spans or ()):
        p.loose = False  # a call that is given its numbers is not remembered
    if not keep:
        e.free(known.reached)
    ends = [(edges[i], tensors[-1 - k] if k < 0 else out[k]) for i, k in known.ends]
    return [(x, d) for x, d in ends if x is not None]  # a view made in no_grad leads nowhere


def _index(n: Node) -> int:
    return n.index


@spans.pure
def _back(tensors: Any, static: Any, numbers: Any) -> Any:
    """The engine's pass over the graph of a plan."""
    p, known, (tops, _, fixed, merged) = static
    first = len(tops) + len(p.sources)
    gs, before = tensors[: len(tops)], tensors[len(tops) : first]
    values = dict(zip((*p.kept, *p.inputs), tensors[first:], strict=True))
    nodes: dict[Node, Any] = {}
    for i, n in enumerate(p.sources):
        end = nodes[n] = GradNode()
        end.order, end.out_meta = (-1, -i), None
        if merged:
            nodes[n] = nodes[p.sources[merged[i]]]
    scalars: list[Any] = [None] * (max(p.numbers, default=-1) + 1)
    for at, x in zip(p.numbers, numbers or [x for x, _ in fixed], strict=True):
        scalars[at] = x

    def save(value: Node, edge: Any, keep: bool) -> Saved:
        return Saved(values[value] if keep else None, None, 0, edge, value)

    for n in p.entries:
        if n not in known.reached:
            continue
        if n.op is ASSIGN or n.op.name == "join":
            nodes[n] = nodes[n.b]
        else:
            edges = [nodes[i] if i.rg else None for i in n.inputs]
            nodes[n] = graph.made(n, 0, scalars, edges, save)
    ends = [nodes[n] for n in p.sources]
    roots = [(end, d) for end, d in zip(ends, before, strict=True) if d is not None]
    roots += [(nodes[n], g) for n, g in zip(tops, gs, strict=True)]
    found = engine.run(roots, keep=True, create_graph=False, targets=ends, accumulate=False)
    place = {id(t): -1 - k for k, t in enumerate(tensors) if t is not None}
    results: list[Any] = []
    known.ends = []
    for i, (end, d) in enumerate(zip(ends, before, strict=True)):
        t = found.get(end)
        if t is None or t is d or (merged and merged[i] != i):
            continue
        if id(t) not in place:
            place[id(t)] = len(results)
            results.append(t)
        known.ends.append((i, place[id(t)]))
    return tuple(results)


__all__ = ["arrived", "end_frame", "ended", "follow"]
