"""Values that are read without ending the frame.

Control flow reads small values that follow from what is there already by a few operations which are
exact: is this coefficient 1, is the step finite, is the end reached? They are computed beside the
frame, whose program may compute them again and gets the same bits. Otherwise each such question
would end a frame, and make a program of its own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula.trace import flight
from facula.trace.node import ASSIGN, INPUT, Node

SHORT = 32  # operations of a frame that goes on: longer ones that end in many ways never repeat
STEPS = 8  # operations that are worth computing twice
LOOK = 24  # the same, for a look that spares a frame of any length its end
SIZE = 1 << 13  # elements of the largest operand
# Operations of which every body gives the same bits.
EXACT = frozenset(
    [
        *("eq", "ne", "lt", "le", "gt", "ge", "eq_s", "ne_s", "lt_s", "le_s", "gt_s", "ge_s"),
        *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "logical_not", "signbit"),
        *("isnan", "any", "all", "maximum", "minimum", "clamp_low", "clamp_high", "clamp_min"),
        *("clamp_max", "neg", "abs", "add", "sub", "mul", "div", "add_s", "sub_s", "mul_s"),
        *("div_s", "rsub_s", "self", "to", "full", "where", "argmax", "argmin"),
    ]
)


def read(r: Any, node: Node) -> Any:
    """The value of an entry of the frame, to be read and not kept; None where it is not at hand."""
    return None if r.cur.index > SHORT else exact(r, node)


def exact(r: Any, node: Node) -> Any:
    """The same, in a frame of any length, for a check that the library makes."""
    steps = node.aside
    if steps is None:
        steps = node.aside = _steps(node)
    return _computed(r, steps) if steps else None


def look(r: Any, node: Node) -> Any:
    """About the value of an entry: operations that are not exact may give other bits than the
    frame's program. None where there are many, or large ones."""
    steps = _steps(node, LOOK, exact=False)
    return _computed(r, steps) if steps else None


def _computed(r: Any, steps: tuple[Any, ...]) -> Any:
    inputs, scalars = r.inputs, r.scalars
    current = flight.CURRENT
    values: list[Any] = []
    with np.errstate(all="ignore"):
        for body, params, at, end, args in steps:
            operands = []
            for a in args:
                if a >= 0:
                    data = inputs[a][1]
                    if current is not None:
                        current.settle(data, reading=True)
                    operands.append(data)
                else:
                    operands.append(values[a])
            values.append(body(params, scalars[at:end], *operands))
    return np.asarray(values[-1])


def _steps(node: Node, most: int = STEPS, exact: bool = True) -> tuple[Any, ...]:
    """Body, parameters, numbers and operands of each operation: those are places among the inputs
    or, negative, among the results so far. None, if there are others or too many."""
    found: dict[Node, None] = {}
    stack = [node]
    while stack:
        n = stack.pop()
        if n in found:
            continue
        if n.device is not None or n.dtype.itemsize == 2 or math.prod(n.shape) > SIZE:
            return ()
        if n.op is not INPUT:
            known = not exact or n.op.view or n.op.name in EXACT
            if not known or n.op is ASSIGN or len(found) > 2 * most:
                return ()
            stack.extend(n.inputs)
        found[n] = None
    entries = sorted([n for n in found if n.op is not INPUT], key=lambda n: n.index)
    if len(entries) > most:
        return ()
    place = {n: i for i, n in enumerate(entries)}
    out = []
    for i, n in enumerate(entries):
        args = tuple([x.index if x.op is INPUT else place[x] - i for x in n.inputs])
        out.append((n.op.body, n.params, n.scalar_at, n.scalar_at + len(n.stypes), args))
    return tuple(out)
