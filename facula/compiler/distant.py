"""What a program updates and no cache keeps until it is read again.

A line that another core has read is written at the pace at which that core answers; one that is
written past the caches is not asked for. Who reads it next finds it in memory only, which makes no
difference where a program goes over more than the caches hold before anybody does.
"""

from __future__ import annotations

from math import prod
from typing import Any

from facula.compiler.layout import Place
from facula.trace.node import ASSIGN, INPUT, Node

KEPT = 64 << 20  # bytes of inputs, at most, that caches may keep from one run to the next


def distant(g: Any, roots: list[Node], places: list[Place]) -> frozenset[Node]:
    """The results that nothing in a program reads, of kernels that update an input, where the
    inputs are more than the caches keep. `g`: the grouping, `places`: where the roots' values
    are."""
    read: set[Node] = set()
    total = 0
    for c in g.clusters:
        for n in c.nodes:
            for p in g.operands(n):
                if p.base.op is INPUT and p.base not in read:
                    total += prod(p.base.shape) * p.base.dtype.itemsize
                if p.base.op is INPUT or g.home.get(p.base) is not c:
                    read.add(p.base)
    if total <= KEPT:
        return frozenset()
    updating = set()
    for root, p in zip(roots, places, strict=True):
        x = root
        while x.op is ASSIGN:
            x = x.a
        if x is not root and x.op is INPUT and p.base in g.home:
            updating.add(g.home[p.base])
    results = {p.base for p in places}
    return frozenset([b for b in results if b not in read and g.home.get(b) in updating])
