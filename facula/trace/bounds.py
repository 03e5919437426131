"""Between which numbers the values of a pending entry lie, by what computes them.

A loss looks at its targets and probabilities: a class that is none is an error at the call. Where
they are pending, to look is to end the frame. What the operations say is enough for most: a sigmoid
lies between 0 and 1, `argmax` over n classes below n.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from facula.dtypes import FLOAT
from facula.trace import flight
from facula.trace.node import INPUT, LEAF, Node

STEPS = 24  # operations that are looked at
# Operations whose values are some of those of their operands.
CHOICES = frozenset(["self", "detach", "amax", "amin", "cat", "stack", "pool_max"])
# Those whose extremes are where their operands' extremes are, whatever the others are.
CORNERS = {
    *("add", "sub", "mul", "add_s", "sub_s", "mul_s", "div_s", "rsub_s", "scale", "over", "neg"),
    *("to", "where", "maximum", "minimum", "clamp_min", "clamp_max", "clamp_low", "clamp_high"),
    *("exp", "expm1", "log", "log1p", "sqrt", "relu", "floor", "ceil", "round", "trunc", "sign"),
}
# Those whose values lie between two numbers whatever their operands are.
ALWAYS = {"sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "tanh": (-1.0, 1.0), "erf": (-1.0, 1.0)}
_EXACT = 2**31  # whole numbers up to this are computed without overflow


def of(r: Any, node: Node) -> tuple[Any, Any]:
    """The least and the largest number that the values of an entry of the frame can be.

    They are sure, not tight: the whole range of the dtype where the operations say nothing. Values
    that are not a number are left out.
    """
    kept = node.ends
    if kept is None or any([r.scalars[at] != number for at, number in kept[0]]):
        look = _Look(r)
        ends = look.of(node)
        kept = look.numbers, ends
        if not look.read:  # the next step asks the same of its own entry, which is this node
            node.ends = kept
    return kept[1]


class _Look:
    """One look at an entry: what was found, which numbers of the frame it rests on, and whether the
    values of inputs were read."""

    def __init__(self, r: Any) -> None:
        self.r = r
        self.known: dict[Node, tuple[Any, Any]] = {}
        self.numbers: list[tuple[int, Any]] = []
        self.read = False

    def of(self, node: Node) -> tuple[Any, Any]:
        """The ends of a node that this look has come to, directly or by its operands."""
        there = self.known.get(node)
        if there is None:
            there = self.known[node] = _whole(node)
            if node.dtype.category <= FLOAT and len(self.known) <= STEPS:
                there = self.known[node] = self._by_operation(node) or there
        return there

    def _by_operation(self, node: Node) -> tuple[Any, Any] | None:
        op, name, inputs = node.op, node.op.name, node.inputs
        if name in ALWAYS:
            return ALWAYS[name]
        if op is INPUT:
            return self._seen(node)
        if op is LEAF or node.device is not None:
            return None
        if op.view or name in CHOICES:
            ends = [self.of(n) for n in inputs]
            return min([a for a, _ in ends]), max([b for _, b in ends])
        if name in ("argmax", "argmin"):
            return 0, math.prod([inputs[0].shape[d] for d in node.params[0]]) - 1
        if name in ("argsort", "topk_index"):
            return 0, inputs[0].shape[node.params[0]] - 1
        if name == "abs":
            a, b = self.of(inputs[0])
            return (0 if a <= 0 <= b else min(abs(a), abs(b))), max(abs(a), abs(b))
        if name == "remainder":
            a, b = self.of(inputs[1])
            return (0, b - 1 if node.dtype.category < FLOAT else b) if a > 0 else None
        if name == "over" and inputs[0].op.name == "sum":  # a mean: small whole sums are exact
            a, b = self.of(inputs[0].inputs[0])
            return (a, b) if a in (-1, 0, 1) and b in (-1, 0, 1) else None
        return self._at_corners(node) if name in CORNERS else None

    def _seen(self, node: Node) -> tuple[Any, Any] | None:
        self.read = True
        data = self.r.inputs[node.index][1]
        if data.__class__ is not np.ndarray or not data.size:
            return None
        if flight.CURRENT is not None:
            flight.CURRENT.settle(data, reading=True)
        a, b = data.min(), data.max()
        return (a.item(), b.item()) if a == a and b == b else None

    def _at_corners(self, node: Node) -> tuple[Any, Any] | None:
        corners = zip(*itertools.product(*[self.of(n) for n in node.inputs]), strict=True)
        columns = []
        for n, values in zip(node.inputs, corners, strict=True):
            d = n.dtype.np
            if d.kind in "iu":
                if max(map(abs, values)) > _EXACT:
                    return None
                d = np.dtype(np.int64)
            columns.append(np.array(values, d))
        at = node.scalar_at
        scalars = self.r.scalars[at : at + len(node.stypes)]
        self.numbers.extend(zip(range(at, at + len(scalars)), scalars, strict=True))
        y = columns[0]
        if node.op.name != "to":
            with np.errstate(all="ignore"):
                y = np.asarray(node.op.body(node.params, scalars, *columns))
        a, b = y.min(), y.max()
        low, high = _whole(node)
        if not (low <= a and b <= high):  # wraps, or is no number: a difference of infinite ends
            return None
        y = y.astype(node.dtype.np)
        return y.min().item(), y.max().item()


def _whole(node: Node) -> tuple[Any, Any]:
    d = node.dtype.np
    if d.kind == "b":
        return False, True
    if d.kind in "iu":
        return int(np.iinfo(d).min), int(np.iinfo(d).max)
    return -math.inf, math.inf
