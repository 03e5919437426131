"""Sums to which a part is added: gradients of the slices of a tensor.

The gradient of a slice is written into zeros, and the gradients of all slices are added. A network
that cuts its gates out of one product does that at every step; here only the first is written into
zeros, and the others are added where they belong. (`compiler/assembly.py` does more.)
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from facula.trace.node import ASSIGN, Node

FRESH = ("add", "slice_scatter")  # whose value is an array that nobody else has


def add_part(p: Any, s: Any, a: Any, b: Any) -> Any:
    """`a` plus zeros into which `b` was written at `p`; written over `a`. `s`: the zero."""
    if s[0] != 0:
        whole = np.full(a.shape, s[0], a.dtype)
        whole[p] = b
        return a + whole
    a[p] += b
    return a


def parts_of(entries: list[Node], roots: list[Node]) -> tuple[dict[Node, Any], set[Node]]:
    """The sums of a program that `add_part` computes, with its parameter, the two operands and the
    entry whose number is the zero; and the entries which that spares."""
    found: dict[Node, Any] = {}
    spared: set[Node] = set()
    if not any([n.op is not ASSIGN and n.op.name == "slice_scatter" for n in entries]):
        return found, spared
    from facula.ops.movement import np_index

    uses = Counter([i for n in entries for i in n.inputs])
    uses.update(roots)
    for n in entries:
        if n.op.name != "add":
            continue
        for whole, part in ((n.a, n.b), (n.b, n.a)):
            if part.op.name != "slice_scatter" or whole.op.name not in FRESH or whole in spared:
                continue
            zeros = part.a
            once = uses[part] == uses[whole] == uses[zeros] == 1 and part is not whole
            if once and zeros.op.name == "full" and n.shape == whole.shape == part.shape:
                found[n] = np_index(part.params), (whole, part.b), zeros
                spared.update((part, zeros))
                break
    return found, spared
