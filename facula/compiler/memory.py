"""Where the values of a program lie: in the memory of its inputs, of its results, or in an arena.

Positions in the table of addresses: first the inputs, then the results that are made anew in each
run (`fresh`), then what lies in the arena or comes from interpreted steps.
"""

from __future__ import annotations

import math
import threading
import weakref
from bisect import bisect_left, insort
from heapq import heappop, heappush
from sys import getrefcount
from typing import Any

import numpy as np

from facula.compiler.assembly import ASSEMBLE
from facula.compiler.cluster import FULL
from facula.compiler.grouping import same_element
from facula.compiler.layout import Place
from facula.compiler.lower import NOT_MEMORY, Lowered
from facula.cpu.emitters import SCATTERED
from facula.trace.node import ASSIGN, INPUT, OWNED, Node, empty

ALIGN = 64
Key = tuple[str, Node]


def bytes_of(n: Node) -> int:
    """The size of a value."""
    return math.prod(n.shape) * n.dtype.itemsize


def _give_back(gaps: list[tuple[int, int]], at: int, size: int) -> None:
    """Add a gap, joined with its neighbours."""
    k = bisect_left(gaps, (at, 0))
    if k < len(gaps) and gaps[k][0] == at + size:
        size += gaps.pop(k)[1]
    if k and sum(gaps[k - 1]) == at:
        k -= 1
        at, before = gaps.pop(k)
        size += before
    gaps.insert(k, (at, size))


class Memory:
    """The plan: `slot` of each buffer in the table, lifetimes, the arena, what inputs give up."""

    def __init__(self, low: Lowered, n_inputs: int, roots: list[Node]) -> None:
        self.low = low
        self.first: dict[Key, int] = {}
        self.last: dict[Key, int] = {}
        self.sizes: dict[Key, int] = {}
        self._lifetimes()
        self.fallback = {n for c, calls in low.steps if calls is None for n in c.nodes}
        bases = dict.fromkeys([p.base for p in low.roots if p.base in low.grouping.home])
        self.fresh = [n for n in bases if n not in self.fallback]
        self.slot: dict[Key, int] = {}
        for n in self.fresh:
            self.slot[("buffer", n)] = n_inputs + len(self.slot)
        for key in self.sizes:
            if key not in self.slot:
                self.slot[key] = n_inputs + len(self.slot)
        self.donors = self._donors(roots)
        self._arena()
        del self.low  # the plan outlives it

    def _touch(self, key: Key, step: int, nbytes: int) -> None:
        if key not in self.sizes:
            self.sizes[key] = nbytes
            self.first[key] = step
        self.last[key] = step

    def _lifetimes(self) -> None:
        low = self.low
        home = low.grouping.home
        for i, (c, calls) in enumerate(low.steps):
            if calls is None:
                for n in c.nodes:
                    for p in low.grouping.operands(n):
                        if p.base in home:
                            self._touch(("buffer", p.base), i, bytes_of(p.base))
                    self._touch(("buffer", n), i, bytes_of(n))
                continue
            for call in calls:
                for what, n in call.descriptor:
                    if what in NOT_MEMORY or n.op is INPUT:
                        continue
                    room = bytes_of(n) if what == "buffer" else call.room[(what, n)]
                    self._touch((what, n), i, room)
        for p in low.roots:
            if p.base in home:
                self._touch(("buffer", p.base), len(low.steps), bytes_of(p.base))

    def _donors(self, roots: list[Node]) -> dict[Node, int]:
        """Results that may be written over an input: result -> index of the input.

        The input is what the result's tensor held before the frame, nothing reads it later, and
        in the step that writes the result each element is read where the new one is written.
        """
        low = self.low
        if low.may_fail():
            return {}  # after a failure the inputs must be as they were
        held = {p.base for p in low.roots}
        readers: dict[Node, list[tuple[int, Node, Place]]] = {}
        where: dict[Node, int] = {}
        for i, (c, _) in enumerate(low.steps):
            for n in c.nodes:
                where[n] = i
                for p in low.grouping.operands(n):
                    if p.base.op is INPUT:
                        readers.setdefault(p.base, []).append((i, n, p))
        out: dict[Node, int] = {}
        for root, p in zip(roots, low.roots, strict=True):
            x, b = root, p.base
            while x.op is ASSIGN:
                x = x.a
            if (
                x is root
                or x.op is not INPUT
                or x in held
                or b not in where
                or b in out
                or x.strides is not None
                or x.dtype is not b.dtype
                or bytes_of(x) != bytes_of(b)
                or x.index in out.values()
            ):
                continue
            step = where[b]
            c = low.steps[step][0]
            if c.level[b] != FULL or not low.single_pass(c):
                continue
            if all([self._harmless(use, step, c, b) for use in readers.get(x, [])]):
                out[b] = x.index
        return out

    def _harmless(self, use: tuple[int, Node, Place], step: int, c: Any, b: Node) -> bool:
        i, n, p = use
        if i != step:
            return i < step
        if c.level[n] != FULL or (n is c.core and not self._base(n, p)):
            return False
        return p.shape == b.shape and same_element(p)

    def _base(self, n: Node, p: Place) -> bool:
        """Whether values are put together, or written where indices say, over what lies at a place
        that nothing else of theirs reads: its kernel then leaves what is there already."""
        if n.op.name not in SCATTERED and (n.op is not ASSEMBLE or len(n.inputs) < len(n.params)):
            return False
        base, *parts = self.low.grouping.operands(n)
        return p is base and not any([x.base is p.base for x in parts])

    def _arena(self) -> None:
        """Offsets: the smallest gap that is large enough among what is free by then."""
        made = {("buffer", n) for n in [*self.fresh, *self.fallback]}
        self.offsets: dict[Key, int] = {}
        gaps: list[tuple[int, int]] = []  # offset and size, in order, never touching
        ends: list[tuple[int, int, int]] = []  # last use, offset, size: a heap
        self.total = 0
        for key in sorted(self.sizes, key=lambda k: self.first[k]):
            if key in made:
                continue
            while ends and ends[0][0] < self.first[key]:
                _, at, size = heappop(ends)
                _give_back(gaps, at, size)
            size = -(-max(self.sizes[key], 1) // ALIGN) * ALIGN
            fitting = [(length, at) for at, length in gaps if length >= size]
            if fitting:
                length, at = min(fitting)
                gaps.remove((at, length))
                if length > size:
                    insort(gaps, (at + size, length - size))
            else:
                at = self.total
                if gaps and sum(gaps[-1]) == at:  # what is free at the end grows
                    at = gaps.pop()[0]
                self.total = at + size
            self.offsets[key] = at
            heappush(ends, (self.last[key], at, size))

    def table(self, n_inputs: int) -> Any:
        """Room for the addresses of all buffers."""
        return np.zeros(n_inputs + len(self.slot) + 1, np.int64)

    def placed(self, read: set[int]) -> Placed:
        """What is needed of the plan to run. `read`: the slots that Python reads from the arena."""
        slots = {self.slot[key]: at for key, at in self.offsets.items()}
        windows = [
            (self.slot[key], at, self.sizes[key], key[1].dtype.np, key[1].shape)
            for key, at in self.offsets.items()
            if self.slot[key] in read
        ]
        return Placed(self.total, slots, windows)


class Placed:
    """Where buffers of a program lie in the arena: numbers alone, since programs are kept.

    arena   where all lies now
    arrays  by slot, arrays over what Python reads of it
    """

    __slots__ = ("arena", "arrays", "offsets", "slots", "total", "windows")

    def __init__(self, total: int, slots: dict[int, int], windows: list[Any]) -> None:
        self.total = total
        self.slots = np.array(list(slots), np.intp)
        self.offsets = np.array(list(slots.values()), np.int64)
        self.windows = windows
        self.arena: Any = None
        self.arrays: dict[int, Any] = {}

    def settle(self, arena: Any, pointers: Any) -> None:
        """Write the addresses of what lies in this arena."""
        start = arena.ctypes.data
        base = -start % ALIGN
        pointers[self.slots] = self.offsets + (start + base)
        self.arrays = {
            slot: arena[base + at : base + at + size].view(dtype).reshape(shape)
            for slot, at, size, dtype, shape in self.windows
        }
        self.arena = arena  # now, and not where an interrupt left some addresses as they were


class Pool:
    """Arrays of one shape and dtype that were handed out as results. One that nobody has any more
    is handed out again: fresh memory is slow, since the system clears each page when it is first
    touched. All programs share it, or each one that ran once would keep memory of its own."""

    __slots__ = ("__weakref__", "arrays", "dtype", "hand", "most", "shape", "strides")

    def __init__(self, shape: tuple[int, ...], dtype: Any, strides: Any = None) -> None:
        self.shape = shape
        self.strides = strides  # in bytes; None: row by row
        self.dtype = dtype
        self.arrays: list[Any] = []
        self.hand = 0
        self.most = 0  # arrays that are kept

    def take(self, keep: bool = True) -> Any:
        """An array whose elements are anything. Without `keep` the pool forgets it."""
        arrays = self.arrays
        # What was handed out first is looked at first, since it is likely to be free again.
        for _ in range(len(arrays)):
            self.hand = at = (self.hand + 1) % len(arrays)
            a = arrays[at]
            if getrefcount(a) == 3:  # the list, this name, the question
                if not keep:
                    del arrays[at]
                return a
        a = empty(self.shape, self.dtype, self.strides)
        if keep:
            self.give(a)
        return a

    def lose(self, a: Any) -> bool:
        """Keep an array no longer; whether it was kept."""
        for k, b in enumerate(self.arrays):
            if b is a:
                del self.arrays[k]
                return True
        return False

    def give(self, a: Any) -> None:
        """Keep an array, to hand it out when nobody else has it."""
        arrays = self.arrays
        if type(a.base) not in OWNED or not a.flags.writeable or any([a is b for b in arrays]):
            return
        if len(arrays) < self.most:
            arrays.append(a)
        else:
            self.hand = at = (self.hand + 1) % len(arrays)
            arrays[at] = a  # the one before belongs to whoever has it


_pools: weakref.WeakValueDictionary[Any, Pool] = weakref.WeakValueDictionary()


def pool_of(shape: tuple[int, ...], dtype: Any, many: int, strides: Any = None) -> Pool:
    """The pool for results of this kind, of which a program has so many. Those of two runs fit:
    the old ones are often let go only after the new ones are there."""
    key = (shape, np.dtype(dtype), strides)
    pool = _pools.get(key)
    if pool is None:
        pool = _pools[key] = Pool(shape, dtype, strides)
    pool.most = max(pool.most, 2 * many)
    return pool


class _Arena(threading.local):
    """One arena for all programs of a thread, which run one after the other."""

    array: Any = None

    def of(self, size: int) -> Any:
        """The arena, made larger where it is too small."""
        if self.array is None or len(self.array) < size + ALIGN:
            self.array = None  # give back before taking more
            self.array = np.empty(size + ALIGN, np.uint8)
        return self.array


ARENA = _Arena()
