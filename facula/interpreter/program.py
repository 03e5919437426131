"""Tier 1: a trace run node by node with NumPy. Simple, instant, and the oracle of every test."""

from __future__ import annotations

from typing import Any

import numpy as np

from facula.trace.node import ASSIGN, INPUT, LEAF, MODE, ROOT, STALE, Node

_PASSES = ("self", "detach", "alias")


def _needed(roots: list[Node]) -> list[Node]:
    """The entries that the roots depend on, in the order of the trace."""
    seen: set[Node] = set()
    stack = list(roots)
    while stack:
        n = stack.pop()
        if n in seen or n.op is INPUT:
            continue
        seen.add(n)
        stack.extend(n.inputs)
    return sorted(seen, key=lambda n: n.index)


def _source(n: Node) -> Node:
    """The node whose buffer this one shares."""
    while True:
        if n.op is ASSIGN:
            n = n.b
        elif n.op is not INPUT and n.op.name in _PASSES:
            n = n.a
        else:
            return n


class Program:
    """The live part of one trace: steps over numbered slots, and where results go."""

    __slots__ = ("outputs", "size", "steps")

    def __init__(self, r: Any, live: tuple[Any, ...]) -> None:
        handles = r.handles
        roots = []
        seen: set[int] = set()
        chosen: list[tuple[int, Node | None]] = []
        for i, node in enumerate(live):
            if node is None or node.op is LEAF or node.op is INPUT or node.op is STALE:
                continue
            h = handles[i]
            if id(h) in seen:
                continue
            seen.add(id(h))
            if h._storage is not None:
                chosen.append((i, None))
            else:
                roots.append(node)
                chosen.append((i, node))
        slots, self.steps, self.size = _plan(roots, len(r.inputs))
        owner: dict[Node, Node] = {}
        self.outputs: list[tuple[int, int | None, bool]] = []
        for i, out in chosen:
            if out is None:
                self.outputs.append((i, None, False))
                continue
            source = _source(out)
            copy = source.op is INPUT or owner.setdefault(source, out) is not out
            self.outputs.append((i, slots[out], copy))

    def run(self, inputs: list[Any], scalars: list[Any]) -> list[Any]:
        """The slots' values; those that no output needs are freed on the way."""
        values: list[Any] = inputs + [None] * (self.size - len(inputs))
        with np.errstate(all="ignore"):
            for body, params, at, end, args, out, frees in self.steps:
                values[out] = body(params, scalars[at:end], *[values[a] for a in args])
                for f in frees:
                    values[f] = None
        return values


def _plan(roots: list[Node], n_inputs: int) -> tuple[dict[Node, int], list[Any], int]:
    entries = [n for n in _needed(roots) if n.op is not MODE and n.op is not ROOT]
    slots: dict[Node, int] = {}
    last: dict[int, int] = {}
    steps: list[Any] = []
    size = n_inputs

    def slot(n: Node) -> int:
        return n.index if n.op is INPUT else slots[n]

    for n in entries:
        if n.op is ASSIGN:
            slots[n] = slot(n.b)
            continue
        args = [slot(i) for i in n.inputs]
        slots[n] = size
        size += 1
        for a in args:
            last[a] = len(steps)
        at = n.scalar_at
        steps.append((n.op.body, n.params, at, at + len(n.stypes), args, slots[n], []))
    kept = {slot(n) for n in roots}
    for a, step in last.items():
        if a not in kept and a >= n_inputs:
            steps[step][6].append(a)
    for n in roots:
        if n.op is INPUT:
            slots[n] = n.index
    return slots, steps, size


def evaluate(node: Node, inputs: list[Any], scalars: list[Any]) -> Any:
    """The value of one pending node, computed on the side without touching the recorder."""
    values = [i[1] for i in inputs]
    slots, steps, size = _plan([node], len(values))
    program = Program.__new__(Program)
    program.steps, program.size, program.outputs = steps, size, []
    return program.run(values, list(scalars))[slots[node]].copy()
