"""Operations that stand for several (`ops/gates.py`), taken apart.

What they have in common is computed once: the backward pass of an LSTM's step uses the sigmoids of
the forward pass, where both are in one program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula.compiler.layout import Place
from facula.ops.pointwise import ADD, MUL, SIGMOID, SIGMOID_BACKWARD, TANH, TANH_BACKWARD
from facula.trace.node import ASSIGN, Node, contiguous_strides

Make = Callable[..., Node]
RULES: dict[str, Callable[..., Node]] = {
    "lstm_state": lambda o, i, f, g, c: o(
        ADD, o(MUL, o(SIGMOID, f), c), o(MUL, o(SIGMOID, i), o(TANH, g))
    ),
    "gated": lambda o, a, b: o(MUL, o(SIGMOID, a), o(TANH, b)),
    "gate_back": lambda o, g, a, b: o(SIGMOID_BACKWARD, o(MUL, g, o(TANH, b)), o(SIGMOID, a)),
    "value_back": lambda o, g, a, b: o(TANH_BACKWARD, o(MUL, g, o(SIGMOID, a)), o(TANH, b)),
    "forget_back": lambda o, g, a, b: o(SIGMOID_BACKWARD, o(MUL, g, b), o(SIGMOID, a)),
    "keep_back": lambda o, g, a: o(MUL, g, o(SIGMOID, a)),
}


def apart(entries: list[Node], places: dict[Node, Place]) -> list[Node]:
    """The entries with such operations taken apart; `places` learns where their results are."""
    if not any([n.op is not ASSIGN and n.op.name in RULES for n in entries]):
        return entries
    out: list[Node] = []
    made: dict[Any, Node] = {}
    instead: dict[Node, Node] = {}
    for n in entries:
        rule = None if n.op is ASSIGN else RULES.get(n.op.name)
        if rule is None:
            out.append(n)
            continue

        def one(op: Any, *inputs: Node, like: Node = n) -> Node:
            found = made.get((op, inputs))
            if found is None:
                found = made[op, inputs] = Node(op, like.shape, like.dtype)
                found.params, found.stypes, found.scalar_at = (), (), like.scalar_at
                found.inputs = inputs
                found.a, found.b = inputs[0], inputs[-1] if len(inputs) > 1 else None
                found.index = like.index
                out.append(found)
            return found

        whole = instead[n] = rule(one, *[instead.get(i, i) for i in n.inputs])
        places[n] = Place(whole, 0, n.shape, contiguous_strides(n.shape))
    return out


__all__ = ["apart"]
