"""Where along a line the element of a rank is: the k-th smallest, a median, the most common one.

The element of a rank is found bit by bit of its key (see `selecting.py`), from the highest on: it
is the largest number that at most so many keys lie below. To count them is a comparison of sixteen
lanes each, which takes less time for each bit than moving elements does once.
"""

from __future__ import annotations

from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.kernels import STACK, Kernel
from facula.cpu.selecting import LineKernel, SortKernel
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node, contiguous_strides

LONGEST = 4 * STACK  # elements of a line, at most, whose keys lie on the stack
BITS = {"u8": 9, "i8": 9, "i16": 17}  # of keys; others have all of their kind
ACROSS = 4  # vectors that are compared together


class Reduced(LineKernel):
    """One position for each line."""

    def along_what(self, n: Node) -> tuple[int, tuple[int, ...]]:
        (d,), shape = n.params[0], list(n.inputs[0].shape)
        shape.pop(d)
        steps = list(contiguous_strides(tuple(shape)))
        return d, (*steps[:d], 0, *steps[d:])


class RankKernel(Reduced):
    """`kth_index`, `median_index` and `nanmedian_index`."""

    def prepare(self, n: Node) -> None:
        """Room for the keys, up to whole vectors."""
        self.name = n.op.name
        self.rank = n.params[2] if self.name == "kth_index" else (self.line - 1) // 2
        self.block = ACROSS * self.width
        self.room_for = -(-self.line // self.block) * self.block
        self.keys = self.f.scratch(self.key_kind, self.room_for)
        self.top = 8 * SIZE[self.key_kind]
        self.bits = BITS.get(self.kind, self.top)

    def along(self, one: Lanes, p: list[str], steps: list[int]) -> None:
        """The keys; the one of the rank; where it is, for the first of equal ones."""
        f, n, size, kind = self.f, self.line, SIZE[self.key_kind], self.key_kind
        most = (1 << (self.top - 1)) - 1  # the key of NaN
        middle = n // self.width * self.width
        for low, high, w in ((0, middle, self.width), (middle, n, 1)):
            if low < high:
                with f.loop(low, high, w) as i:
                    x = Lanes(f, w)
                    x.store(self.key(x, p[0], i.index), f.at(self.keys, f.mul(i.index, size)))
        if n < self.room_for:
            with f.loop(n, self.room_for) as i:
                one.store(one.const(most, kind), f.at(self.keys, f.mul(i.index, size)))
        rank = self._rank(one, most)
        found = one.const(-(1 << (self.bits - 1)), kind)
        with f.loop(0, self.bits, carried=[(kind, found.name)]) as bit:
            shift = one.cast(Value(str(f.sub(self.bits - 1, bit.index)), "i64"), kind)
            add = Value(f.let(f"shl {kind} 1, {shift.name}"), kind)
            tried = one.add(Value(bit.values[0], kind), add)
            below = self._below(tried)
            bit.next = [
                one.select(one.compare("le", below, rank), tried, Value(bit.values[0], kind)).name
            ]
        found = Value(bit.values[0], kind)
        before = self._below(found)
        # Of the equal ones so many come before: counted down, the place is where none is left.
        left = one.sub(rank, before).name
        with f.loop(0, n, carried=[("i64", left), ("i64", "0")]) as i:
            key = one.load(f.at(self.keys, f.mul(i.index, size)), kind)
            hit = one.compare("eq", key, found)
            now = Value(i.values[0], "i64")
            here = one.op("and", hit, one.compare("eq", now, one.const(0, "i64")))
            place = one.select(here, Value(i.index, "i64"), Value(i.values[1], "i64"))
            i.next = [one.sub(now, one.cast(hit, "i64")).name, place.name]
        one.store(Value(i.values[1], "i64"), p[1])

    def _below(self, key: Value) -> Value:
        """How many keys are less."""
        f, x = self.f, Lanes(self.f, self.block)
        kind = self.key_kind
        bound, none, unit = x.splat(key), x.const(0, kind), x.const(1, kind)
        with f.loop(0, self.room_for, self.block, [(x.type(kind), none.name)], some=True) as i:
            v = x.load(f.at(self.keys, f.mul(i.index, SIZE[kind])), kind)
            less = x.select(x.compare("lt", v, bound), unit, none)
            i.next = [x.add(Value(i.values[0], kind), less).name]
        total = x.folded(Value(i.values[0], kind), lambda y, a, b: y.add(a, b))
        return Lanes(f, 1).cast(total, "i64")

    def _rank(self, one: Lanes, most: int) -> Value:
        """The rank that counts from 0. NaN comes last: a median is the first NaN, if there is one,
        or is that of all but those."""
        f, n = self.f, self.line
        rank = one.const(self.rank, "i64")
        if self.name == "kth_index" or self.kind in ("i64", "i32", *BITS):
            return rank
        numbers = self._below(one.const(most, self.key_kind))
        if self.name == "median_index":
            whole = one.compare("eq", numbers, one.const(n, "i64"))
            return one.select(whole, rank, numbers)
        last = one.sub(numbers, one.const(1, "i64")).name
        return Value(f.let(f"ashr i64 {f.larger(last, 0)}, 1"), "i64")


class ModeKernel(Reduced, SortKernel):
    """`mode_index`: the last place of the longest run of equal keys, the first of several."""

    def along(self, one: Lanes, p: list[str], steps: list[int]) -> None:
        """Put the line in order and measure its runs."""
        f, kind = self.f, self.key_kind
        keys, places = self.sorted(one, p[0])
        first = one.load(keys, kind)
        carried = [(kind, first.name), *[("i64", "0")] * 3]
        with f.loop(0, self.line, carried=carried) as i:
            key = one.load(f.at(keys, f.mul(i.index, SIZE[kind])), kind)
            before, run, best, at = i.values
            again = one.compare("eq", key, Value(before, kind))
            long = one.select(again, Value(str(f.add(run, 1)), "i64"), one.const(1, "i64"))
            better = one.compare("gt", long, Value(best, "i64"))
            place = one.cast(one.load(f.at(places, f.mul(i.index, 4)), "i32"), "i64")
            i.next = [
                key.name,
                long.name,
                one.select(better, long, Value(best, "i64")).name,
                one.select(better, place, Value(at, "i64")).name,
            ]
        one.store(Value(i.values[3], "i64"), p[1])


class Ranks:
    """The emitter of positions of ranks."""

    joins = False
    relocates = False
    constants = ()

    def accepts(self, n: Node) -> bool:
        """Lines of any dtype but bool that fit on the stack."""
        (d,) = n.params[0]
        rank, kind = len(n.inputs[0].shape), kind_of(n.inputs[0])
        if kind is None or not rank or len(n.params[0]) != 1:
            return False
        mode = n.op.name == "mode_index"
        return (mode or kind != "b") and n.inputs[0].shape[d] <= (STACK if mode else LONGEST)

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """One kernel."""
        kernel = (ModeKernel if args[0].core.op.name == "mode_index" else RankKernel)(*args)
        kernel.build(width)
        return [kernel]
