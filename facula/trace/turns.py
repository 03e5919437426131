"""Where a long frame ends that nothing reads: at a turn of the loop that the program is in.

A simulation, or a model that is timed and whose results are dropped, may go on for ever without
reading a value. Nothing would end its frame but `MAX_PENDING`: all operations would be new, would
be planned at once, and every batch would be kept until then. So a long frame ends where the program
is at a position at which it has been shortly before. The next frame begins at that position, and
ends at it, so that from the third on they are followed.

Frames in which gradients are recorded go on: one that ends amid a graph has to keep what the rest
needs. Unless most of what was recorded is dead: then it is such a loop over results that are
dropped.
"""

from __future__ import annotations

from sys import getrefcount
from typing import Any

from facula.trace.lines import comes_back, user_line
from facula.trace.node import INPUT, ROOT
from facula.trace.settling import BASE
from facula.trace.state import LOOKED_AT, PINNED

# A turn of the loop is looked for among the positions of the last part of so many of a frame, which
# is dead if less than one part of so many is needed.
RECENT, MOSTLY = 4, 4


def comes_round(r: Any) -> bool:
    """Whether the frame ends before a new operation, as the program is where it was before: its
    frames are long and never repeat (`comes_back`), or this one is and nothing reads it."""
    return (r.pieces and comes_back(r)) or (r.cur.index >= r.limit and _turns(r))


def _turns(r: Any) -> bool:
    """The latter; asked once `cur.index` has reached `limit`."""
    if r.place is not None:  # within a function of the library, or a backward pass
        return False
    cur = r.cur
    if r.turns is None or cur.index >= r.again:
        if cur.index < LOOKED_AT and 2 * _alone(r) < PINNED:
            r.limit = r.again = LOOKED_AT
            return False
        r.again = 2 * cur.index
        r.turns = _positions(cur) if _may_end(r) else frozenset()
    if not r.turns:
        r.limit = r.again
        return False
    here = user_line(2)
    # Not amid what one line records, unless there is but this line.
    return here in r.turns and (here != cur.where or len(r.turns) == 1)


def _alone(r: Any) -> int:
    """How many bytes of the frame's inputs nothing else keeps."""
    return sum([a.nbytes for t, a, _ in r.inputs if getrefcount(t) <= BASE])


def _positions(n: Any) -> frozenset[Any]:
    """Where the latest operations were recorded: where the frame began, if that is among them."""
    found = set()
    first = None
    last = n.index - n.index // RECENT
    while n.op is not ROOT:
        if n.where is not None:
            first = n.where
            if n.index > last:
                found.add(first)
        n = n.parent
    if first in found and len(found) > 1:
        return frozenset((first, None))
    return frozenset(found)


def _may_end(r: Any) -> bool:
    """Whether no gradients were recorded in this frame, or most of it is dead."""
    n = r.cur
    while n.op is not ROOT and not n.rg:
        n = n.parent
    if n.op is ROOT:
        return True
    todo = [h.node for h in r.handles if getrefcount(h) > BASE]
    seen = set(todo)
    while todo:
        for n in todo.pop().inputs:
            if n.op is not INPUT and n not in seen:
                seen.add(n)
                todo.append(n)
    return MOSTLY * len(seen) < r.cur.index


__all__ = ["comes_round"]
