"""Which kernel calls have to wait for which.

Threads need not meet after each call of a program: one that has found no more units of it goes on
to those that follow, as long as nothing they read or write is still being worked on. So the update
of one matrix overlaps with the gradient of the next, and several calls of one unit each run side
by side. A call waits for all up to the last one in its way, which is cheap to keep and to look at:
one number for each call.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

from facula.compiler.lower import NOT_MEMORY, KernelCall, Lowered
from facula.compiler.memory import Memory
from facula.trace.node import INPUT, Node


def free(low: Lowered, memory: Memory) -> list[int]:
    """For each kernel call, in order: how many of the calls directly before it need not be done.

    A call that reads a buffer waits for who wrote it; one that writes a buffer, for who read or
    wrote it, and for what lay in its memory before. Calls on both sides of an interpreted step
    never overlap, whatever is said here.
    """
    steps = [(set(c.nodes), call) for c, calls in low.steps if calls is not None for call in calls]
    last: dict[Any, int] = {}  # the last call that touches a buffer
    for i, (_, call) in enumerate(steps):
        for key in _touched(call):
            last[key] = i
    room = _Room()
    wrote: dict[Any, int] = {}  # so far: one more than the last call that wrote a buffer
    used: dict[Any, int] = {}  # the same for those that read or wrote it
    out: list[int] = []
    for i, (own, call) in enumerate(steps):
        after = 0  # the calls that have to be done
        reads: list[Any] = []
        writes: list[Any] = []
        for key in _touched(call):
            what, n = key
            if what == "buffer" and n not in own:
                where = n.index if n.op is INPUT else memory.donors.get(n, key)
                after = max(after, wrote.get(where, 0))
                reads.append(where)
                continue
            # A result may lie where an input does.
            where = memory.donors.get(n, key) if what == "buffer" else key
            after = max(after, used.get(where, 0))
            writes.append(where)
            if key not in used and key in memory.offsets:
                begin = memory.offsets[key]
                after = max(after, room.take(begin, begin + memory.sizes[key], last[key] + 1))
        used.update(dict.fromkeys(reads + writes, i + 1))
        wrote.update(dict.fromkeys(writes, i + 1))
        out.append(i - after)
    return out


def _touched(call: KernelCall) -> dict[tuple[str, Node], None]:
    """The buffers that a call reads or writes, each once."""
    return dict.fromkeys([key for key in call.descriptor if key[0] not in NOT_MEMORY])


class _Room:
    """The arena: stretches of it, with how many calls have to be done before they are free."""

    def __init__(self) -> None:
        self.begins: list[int] = []
        self.ends: list[int] = []
        self.calls: list[int] = []

    def take(self, begin: int, end: int, calls: int) -> int:
        """Give a stretch to a buffer that is needed until so many calls are done; the calls that
        have to be done before."""
        low = bisect_right(self.ends, begin)
        high = bisect_left(self.begins, end)
        before = max(self.calls[low:high], default=0)
        parts = [(begin, end, calls)]
        if low < high:
            if self.begins[low] < begin:
                parts.insert(0, (self.begins[low], begin, self.calls[low]))
            if self.ends[high - 1] > end:
                parts.append((end, self.ends[high - 1], self.calls[high - 1]))
        self.begins[low:high] = [p[0] for p in parts]
        self.ends[low:high] = [p[1] for p in parts]
        self.calls[low:high] = [p[2] for p in parts]
        return before


__all__ = ["free"]
