"""Values that clusters compute again rather than read what another cluster would have to store.

A product of two values costs nothing beside reading one of them from memory. So where every cluster
that reads a cheap value reads the value's large operands anyway, the value is not stored: each of
them computes it in registers. A batch norm's backward gets the normalised input from the centred
one in this way, and half of what the forward would keep for it is never written.
"""

from __future__ import annotations

from math import prod

from facula.compiler.cluster import FULL, Cluster
from facula.compiler.expressions import CHEAP
from facula.compiler.grouping import MOST, Grouping, same_element
from facula.compiler.layout import Place
from facula.trace.node import INPUT, Node

SMALL = 16  # an operand is small if it has so many times fewer elements

Use = tuple[Cluster, Node, Place]


def recompute(g: Grouping, held: set[Node]) -> None:
    """Give clusters members of others. `held`: what has to be in memory for other reasons."""
    uses: dict[Node, list[Use]] = {}
    for c in g.clusters:
        for n in c.nodes:
            for p in g.operands(n):
                if p.base not in c.level or n is c.core or c.fallback:
                    uses.setdefault(p.base, []).append((c, n, p))
    for b in [b for c in g.clusters for b in c.nodes]:
        readers = uses.get(b, [])
        if readers and b not in held and _cheap(g, b) and all([_able(g, b, *u) for u in readers]):
            for c in dict.fromkeys([c for c, _, _ in readers]):
                c.nodes.insert(0, b)
                c.level[b] = FULL
                c.reads.discard(b)
                for p in g.operands(b):
                    c.reads.add(p.base)


def _cheap(g: Grouping, b: Node) -> bool:
    home = g.home[b]
    return (
        not home.fallback
        and b is not home.core
        and home.level[b] == FULL
        and b.op.name in CHEAP
        and len(b.inputs) > 0
    )


def _able(g: Grouping, b: Node, c: Cluster, n: Node, p: Place) -> bool:
    """Whether a cluster can compute b where its member n reads it, from what it reads anyway."""
    if c.core is not None or c.fallback or c.shape != b.shape or len(c.nodes) >= MOST:
        return False
    if p.shape != c.shape or not same_element(p):
        return False
    size = prod(c.shape)
    for q in g.operands(b):
        a = q.base
        if a in g.constants:
            continue
        if a in c.level or (a.op is not INPUT and a not in g.home):
            return False
        if prod(a.shape) * SMALL > size and not any(
            [q.key() == r.key() and r.base is a for m in c.nodes for r in g.operands(m)]
        ):
            return False
    return True


__all__ = ["recompute"]
