"""Values that clusters compute again rather than read what another cluster would have to store.

A product of two values costs nothing beside reading one of them from memory. So where every cluster
that reads a cheap value reads the value's large operands anyway, or can read the only one in its
place, the value is not stored: each of them computes it in registers. A batch norm's backward gets
the centred and the normalised input from the input itself in this way, and what the forward would
keep for it is never written.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from facula.compiler.cluster import FULL, Cluster
from facula.compiler.expressions import CHEAP
from facula.compiler.grouping import MOST, Grouping, same_element
from facula.compiler.layout import Place
from facula.trace.node import INPUT, Node

SMALL = 16  # an operand is small if it has so many times fewer elements

CHAIN = 4  # values that are computed again for one

Use = tuple[Cluster, Node, Place]


def recompute(g: Grouping, held: set[Node]) -> None:
    """Give clusters members of others. `held`: what has to be in memory for other reasons."""
    uses: dict[Node, list[Use]] = {}
    for c in g.clusters:
        for n in c.nodes:
            for p in g.operands(n):
                if p.base not in c.level or n is c.core or c.fallback:
                    uses.setdefault(p.base, []).append((c, n, p))
    kept = held | set(uses)  # what is in memory
    for b in [b for c in g.clusters for b in c.nodes]:
        readers = uses.get(b, [])
        if not readers or b in held or not _cheap(g, b):
            continue
        if not all([_can(c, p) for c, _, p in readers]):
            continue
        plans = _plans(g, b, dict.fromkeys([c for c, _, _ in readers]), kept)
        kept -= {b} if plans else set()
        for c, nodes in plans.items():
            for n in nodes:
                _insert(g, c, n)


def _insert(g: Grouping, c: Cluster, b: Node) -> None:
    """Let a cluster compute b, after what b is computed from."""
    at = [c.nodes.index(p.base) for p in g.operands(b) if p.base in c.level]
    c.nodes.insert(max(at, default=-1) + 1, b)
    c.level[b] = FULL
    c.reads.discard(b)
    for p in g.operands(b):
        c.reads.add(p.base)


def _cheap(g: Grouping, b: Node) -> bool:
    home = g.home.get(b)
    return (
        home is not None
        and not home.fallback
        and b is not home.core
        and home.level[b] == FULL
        and b.op.name in CHEAP
        and len(b.inputs) > 0
    )


def _whole(p: Place, c: Cluster) -> bool:
    return p.shape == c.shape and same_element(p)


def _can(c: Cluster, p: Place) -> bool:
    """Whether a cluster is one that can compute what it reads at p."""
    return c.core is None and not c.fallback and _whole(p, c)


def _plans(
    g: Grouping, b: Node, readers: Iterable[Cluster], kept: set[Node]
) -> dict[Cluster, list[Node]]:
    """What each of the clusters that read b is to compute for it; nothing if that is too much or
    makes them read more than is saved. To store a value takes as long as to read two."""
    out: dict[Cluster, list[Node]] = {}
    saved = 2 * b.dtype.itemsize
    for c in readers:
        plan = _plan(g, b, c, kept)
        if plan is None or len(plan[0]) > CHAIN or len(c.nodes) + len(plan[0]) >= MOST:
            return {}
        out[c] = plan[0]
        saved += b.dtype.itemsize - sum([a.dtype.itemsize for a in plan[1]])
    return out if saved > 0 else {}


def _plan(
    g: Grouping, b: Node, c: Cluster, kept: set[Node], room: int = CHAIN
) -> tuple[list[Node], set[Node]] | None:
    """The values that a cluster has to compute for b, and what it has to read for that, besides
    what it reads anyway and what is small. None where these are a chain of more than `room`: two
    values that are computed from each other in turns have ways without number to their beginning.
    """
    if not room:
        return None
    size = prod(c.shape)
    nodes: list[Node] = []
    more: set[Node] = set()
    for q in g.operands(b):
        a = q.base
        if a in g.constants or a in nodes:
            continue
        if a in c.level:  # what it computes again; its own members come after b
            if g.home[a] is c or not _whole(q, c):
                return None
        elif (a.op is not INPUT and a not in g.home) or (prod(a.shape) > 1 and b.shape != c.shape):
            return None  # a broadcast operand's steps are those of b's shape
        elif prod(a.shape) * SMALL <= size or any(
            [q.key() == r.key() and r.base is a for m in c.nodes for r in g.operands(m)]
        ):
            continue
        elif not _whole(q, c):
            return None
        elif a.op is INPUT or a in kept:
            more.add(a)
        else:
            inner = _plan(g, a, c, kept, room - 1) if _cheap(g, a) else None
            if inner is None:
                return None
            nodes += [n for n in inner[0] if n not in nodes]
            more |= inner[1]
    return [*nodes, b], more


__all__ = ["recompute"]
