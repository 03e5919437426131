"""Programs that begin before their frame ends.

A program that is waited for (its values are looked at in every round of a loop) begins when the
last of its operations is recorded, and meanwhile the workers are idle. Where a frame has ended in
the same program many times, the stretches on its path (`spans.py`) are marked with how much of the
program needs nothing but what is recorded by then. When a marked stretch is followed, that much is
left to the workers, and the flush runs what is left. Only what writes to memory that passes (the
arena) begins early: where the frame ends otherwise, nothing has happened. How a program is cut
changes no bit, since its kernels and their units are the same and come in the same order.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from facula.trace import flight
from facula.trace.node import INPUT

if TYPE_CHECKING:
    from facula.trace.node import Node
    from facula.trace.state import Recorder

RUNS = 12  # of a program, before it is to begin early
PIECE = 40e-6  # seconds of one thread that a piece takes at least: leaving it costs about five
NEAR = 0.9  # the part of a path from which on its end is too near
MISSES = 4  # frames that ended otherwise, more than a quarter of the others


class Mark:
    """That a program (a weak reference: what is marked does not keep it) can do so many of its
    records at the end of a stretch."""

    __slots__ = ("program", "records")

    def __init__(self, program: Any, records: int) -> None:
        self.program, self.records = program, records


class Ahead:
    """What a frame has begun: its first `done` records; -1 where an error came between."""

    __slots__ = ("done", "program")

    def __init__(self, program: Any) -> None:
        self.program = program
        self.done = 0


def begin(r: Recorder, mark: Mark) -> None:
    """Leave to the workers what a program can do now, if they have nothing else to do."""
    program = mark.program()
    ahead = r.ahead
    current = flight.CURRENT
    if program is None or (current is not None and not current.done()):
        return
    if ahead is None:
        ahead = r.ahead = Ahead(program)
    done = ahead.done
    if ahead.program is not program or not 0 <= done < mark.records:
        return
    if current is not None:
        current.land()
    ahead.done = -1  # until it is known what began
    if program.begin(r, done, mark.records):
        done = mark.records
    ahead.done = done


def settle(r: Recorder, chosen: Any) -> None:
    """Tell the program of a frame that ends how much of it has been done."""
    ahead = r.ahead
    program = ahead.program
    if chosen is program:
        program.hits += 1
        program.skip = max(0, ahead.done)
        return
    program.misses += 1
    if 4 * (program.misses - MISSES) > program.hits:
        for s in program.marked:
            if s.early is not None and s.early.program() is program:
                s.early = None
        program.marked = []


def consider(r: Recorder, program: Any) -> None:
    """Mark the stretches of the frame that ends, once a program has run often enough."""
    program.untried -= 1
    if program.untried:
        return
    spent = program.spent()  # up to the end of each record that can begin early
    if not spent or spent[-1] < PIECE:
        return
    path = [r.cur]
    while path[-1].parent is not None:
        path.append(path[-1].parent)
    path.reverse()
    known: dict[Node, tuple[int, int]] = {}  # inputs and numbers that there are after an entry
    inputs = numbers = 0
    for n in path:
        inputs = max([inputs, *[x.index + 1 for x in n.inputs if x.op is INPUT]])
        numbers = max(numbers, n.scalar_at + len(n.stypes))
        known[n] = inputs, numbers
    last = NEAR * len(path)
    place = {n: at for at, n in enumerate(path)}
    ends = [
        (place[s.end], s)
        for n in path
        if n.spans
        for variants in n.spans.values()
        for s in variants
        if place.get(s.end, last) < last
    ]
    this = weakref.ref(program)
    done = 0.0
    mark: Any = None
    for at, s in sorted(ends, key=lambda end: end[0]):
        records = program.ready(*known[path[at]])
        if records and spent[records - 1] - done >= PIECE:
            done = spent[records - 1]
            mark = Mark(this, records)
        elif mark is None or mark.records != records:
            continue
        s.early = mark
        program.marked.append(s)


__all__ = ["Ahead", "Mark", "begin", "consider", "settle"]
