"""Gradients of the parts that a value was cut into, joined.

What `unbind`, `chunk`, `split` or indices make of a value are slices of it, and the gradient of
each is one of the whole, zero but for that part: an unrolled network has a sum of these for its
steps, and one for the gates of each step. Where the gradients of several parts are there at once,
and the parts lie behind one another along one dimension, they are joined: two operations less
to record for each part, and the same numbers, as nothing but zeros was added.
"""

from __future__ import annotations

import heapq
from typing import Any

from facula.autograd.nodes import GradNode
from facula.ops.creation import FULL, full_on
from facula.ops.movement import SLICE, cat_record, shaped
from facula.trace.node import Node, Other
from facula.trace.recorder import record


def _range(params: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Along which dimension a slice is a part, where it begins and how long it is; None for one
    with gaps, or along several dimensions."""
    found: tuple[int, int, int] | None = None
    for d, (part, size) in enumerate(zip(params, shape, strict=True)):
        first, count, step = (part, 1, 1) if type(part) is int else part
        if type(part) is not int and (first, count, step) == (0, size, 1):
            continue
        if found is not None or (step != 1 and count > 1):
            return None
        found = d, first, count
    return found


def _fits(n: Any, g: Any, whole: Node) -> bool:
    """Whether a node is a slice of the value with a gradient as usual, and nobody has tied a hook
    to it."""
    return (
        isinstance(n, GradNode)
        and n.custom is None
        and n.op is SLICE
        and n.entry.inputs[0] is whole
        and not (n.freed or n.retain or n.tensor_hooks or n.pre_hooks or n.post_hooks)
        and g.node.op.__class__ is not Other
        and g.node.shape == n.out_meta.shape
    )


def join(
    n: GradNode, g: Any, heap: list[Any], pending: dict[Any, Any], goals: set[Any]
) -> tuple[list[GradNode], Any] | None:
    """Join the gradient of a slice with those of the slices of the same value that a pass comes to
    next: all these nodes, taken from the heap, and the gradient of the value.

    Nothing more can arrive at them: all that is newer has been passed, and a slice hands its
    gradient to nothing but the value. None where the slice is alone.
    """
    whole = n.entry.inputs[0]
    if not heap or not _fits(n, g, whole):
        return None
    at = _range(n.params, whole.shape)
    if at is None:
        return None
    dim, start, _ = at
    nodes, parts = [n], [(*at[1:], g)]
    while heap:
        m = heap[0][3]
        d = pending.get(m)
        if m in goals or m.order[0] != n.order[0] or d is None or not _fits(m, d, whole):
            break
        if m.edges[0] is not n.edges[0] or d.node.dtype is not g.node.dtype:
            break
        at = _range(m.params, whole.shape)
        if at is None or at[0] != dim or at[1] + at[2] > start:
            break
        heapq.heappop(heap)
        del pending[m]
        start = at[1]
        nodes.append(m)
        parts.append((*at[1:], d))
    return None if len(nodes) == 1 else (nodes, _joined(whole, dim, parts[::-1]))


def _joined(whole: Node, dim: int, parts: list[tuple[int, int, Any]]) -> Any:
    """The parts (where they begin, how long they are), zeros between them."""
    shape, size = whole.shape, whole.shape[dim]
    out = []
    end = 0
    for start, count, g in [*parts, (size, 0, None)]:
        if start > end:
            gap = (*shape[:dim], start - end, *shape[dim + 1 :])
            n = parts[0][2].node
            out.append(record(FULL, (), full_on(gap, n.dtype, n.device), (0,)))
        if g is not None:
            want = (*shape[:dim], count, *shape[dim + 1 :])
            out.append(g if g.node.shape == want else shaped(g, want))
        end = start + count
    return cat_record(tuple(out), dim)


__all__ = ["join"]
