"""Where the few largest or smallest elements along a dimension are, and those of all in order.

Elements are compared as integers, *keys*, in the order of the elements: NaN is the largest, zeros
are equal. For the few, each line has a short list of the best keys so far, in order, with their
positions. What does not beat the last of them is passed over, a vector at a time; of equal ones the
first counts. All are put in order by eight bits of the keys after the other.
"""

from __future__ import annotations

import math
from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.domain import load, walk
from facula.cpu.kernels import CHUNK, STACK, UNITS, Kernel, merged
from facula.cpu.text import Index
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node, contiguous_strides

MOST = 64  # elements that a list has, at most: each that comes moves half of them, on average
SHORT = 32  # elements of a line, at most, that is put in order by such a list

# Put a key where it belongs in a list, of which the first %from are there.
_INSERT = """
define internal void @tile0(ptr %keys, ptr %places, i64 %from, KEY %key, i64 %place) nounwind {
entry:
  br label %look
look:
  %at = phi i64 [%from, %entry], [%below, %shift]
  %more = icmp sgt i64 %at, 0
  br i1 %more, label %compare, label %put
compare:
  %below = sub i64 %at, 1
  %old = getelementptr KEY, ptr %keys, i64 %below
  %other = load KEY, ptr %old
  %worse = icmp slt KEY %other, %key
  br i1 %worse, label %shift, label %put
shift:
  %new = getelementptr KEY, ptr %keys, i64 %at
  store KEY %other, ptr %new
  %oldplace = getelementptr i64, ptr %places, i64 %below
  %its = load i64, ptr %oldplace
  %newplace = getelementptr i64, ptr %places, i64 %at
  store i64 %its, ptr %newplace
  br label %look
put:
  %k = getelementptr KEY, ptr %keys, i64 %at
  store KEY %key, ptr %k
  %p = getelementptr i64, ptr %places, i64 %at
  store i64 %place, ptr %p
  ret void
}
"""


class LineKernel(Kernel):
    """Goes along each line of an operand, with its elements as keys; gives positions."""

    falling = False  # whether keys are complements: the largest element has the least

    def build(self, width: int) -> None:
        """Write the kernel; `width` is that of a vector of float32."""
        n = self.cluster.core
        assert n is not None
        f = self.f
        p = self.places[n.inputs[0]]
        d, own = self.along_what(n)
        kind = kind_of(n.inputs[0])
        assert kind is not None
        self.kind, self.size = kind, SIZE[kind]
        self.key_kind = "i64" if kind in ("f64", "i64") else "i32"
        self.width = width // 2 if self.key_kind == "i64" else width
        shape = list(p.shape)
        self.line = shape.pop(d)
        tables = [[s * self.size for s in p.strides], [s * 8 for s in own]]
        self.step, self.out_step = [t.pop(d) for t in tables]
        sizes, tables = merged(shape, tables)
        lines = math.prod(sizes)
        pieces = min(sizes[0], UNITS, max(1, 4 * lines * self.line // CHUNK)) if sizes else 1
        rows = -(-sizes[0] // pieces) if sizes else 1
        self.units = -(-sizes[0] // rows) if sizes else 1
        self.prepare(n)
        source = f.at(self.buffer(p.base), p.offset * self.size)
        target = self.buffer(n)
        with f.loop("%lo", "%hi") as unit:
            bounds: tuple[Index, Index] | None = None
            if self.units > 1:
                low = f.mul(unit.index, rows)
                bounds = (low, f.smaller(f.add(low, rows), sizes[0]))
            walk(f, sizes, [source, target], tables, 1, self.along, bounds)

    def along_what(self, n: Node) -> tuple[int, tuple[int, ...]]:
        """The dimension of the lines, and the steps of the result over the operand's dimensions."""
        return n.params[0] % len(n.shape), contiguous_strides(n.shape)

    def prepare(self, n: Node) -> None:
        """Make room, and say in which order keys come."""
        raise NotImplementedError

    def along(self, one: Lanes, p: list[str], steps: list[int]) -> None:
        """One line: where it begins, and its positions in the result."""
        raise NotImplementedError

    def key(self, x: Lanes, source: str, at: Index) -> Value:
        """The keys of elements from a place of the line on."""
        v = load(x, self.f.at(source, self.f.mul(at, self.step)), self.step, self.kind)
        kind = self.key_kind
        if not x.floating(v):
            key = x.cast(v, kind)
        else:
            v = Value(v.name, "f64" if kind == "i64" else "f32")
            bits = x.bits(x.add(v, x.const(0.0, v.kind)))  # -0.0 becomes 0.0
            top = 8 * SIZE[kind] - 1
            sign = x.op("ashr", bits, x.const(top, kind))
            key = x.op("xor", bits, x.op("lshr", sign, x.const(1, kind)))
            key = x.select(x.nan(v), x.const((1 << top) - 1, kind), key)
        return x.op("xor", key, x.const(-1, kind)) if self.falling else key


class SelectKernel(LineKernel):
    """The few largest or smallest of each line, or all of a short one."""

    def prepare(self, n: Node) -> None:
        """A list of keys and one of their positions."""
        self.count, largest = n.params[1:] if len(n.params) == 3 else (self.line, n.params[1])
        self.falling = not largest
        f = self.f
        self.functions.append(_INSERT.replace("KEY", self.key_kind))
        self.keys = f.scratch(self.key_kind, self.count)
        self.positions = f.scratch("i64", self.count)
        self.near = f.scratch(self.key_kind, self.width)

    def along(self, one: Lanes, p: list[str], steps: list[int]) -> None:
        """The first elements as they come, then those that beat the last of the list."""
        f, k = self.f, self.count
        source, target = p
        with f.loop(0, k, some=True) as i:
            self._insert(i.index, self.key(one, source, i.index).name, i.index)
        middle = k + (self.line - k) // self.width * self.width
        if middle > k:
            with f.loop(k, middle, self.width) as i:
                self._several(source, i.index)
        if middle < self.line:
            with f.loop(middle, self.line) as i:
                self._try(one, self.key(one, source, i.index), i.index)
        with f.loop(0, k, some=True) as i:
            place = one.load(f.at(self.positions, f.mul(i.index, 8)), "i64")
            one.store(place, f.at(target, f.mul(i.index, self.out_step)))

    def _several(self, source: str, at: Index) -> None:
        """Try a vector of elements: those lanes that beat what is there at first."""
        f, x, one, w = self.f, Lanes(self.f, self.width), Lanes(self.f, 1), self.width
        keys = self.key(x, source, at)
        better = x.compare("gt", keys, x.splat(self._last()))
        with f.when(x.some(better)):
            x.store(keys, self.near)
            mask = f.let(f"bitcast {x.type('b')} {better.name} to i{w}")
            mask = f.let(f"zext i{w} {mask} to i64")
            f.declare("i64", "llvm.ctpop.i64", "i64")
            f.declare("i64", "llvm.cttz.i64", "i64", "i1")
            many = f.let(f"call i64 @llvm.ctpop.i64(i64 {mask})")
            with f.loop(0, many, carried=[("i64", mask)], some=True) as loop:
                (left,) = loop.values
                lane = f.let(f"call i64 @llvm.cttz.i64(i64 {left}, i1 true)")
                where = f.at(self.near, f.mul(lane, SIZE[self.key_kind]))
                self._try(one, one.load(where, self.key_kind), f.add(at, lane))
                loop.next = [f.let(f"and i64 {left}, {f.sub(left, 1)}")]

    def _last(self) -> Value:
        where = self.f.at(self.keys, (self.count - 1) * SIZE[self.key_kind])
        return Lanes(self.f, 1).load(where, self.key_kind)

    def _try(self, one: Lanes, key: Value, place: Index) -> None:
        """Put a key into the list if it beats the last one there."""
        with self.f.when(one.compare("gt", key, self._last()).name):
            self._insert(self.count - 1, key.name, place)

    def _insert(self, first: Index, key: str, place: Index) -> None:
        self.f.do(
            f"call void @tile0(ptr {self.keys}, ptr {self.positions}, i64 {first}, "
            f"{self.key_kind} {key}, i64 {place})"
        )


class SortKernel(LineKernel):
    """Each line in order: by the last eight bits of the keys, then by those before, and so on. The
    order of the step before is kept among equal ones."""

    def prepare(self, n: Node) -> None:
        """Two of each: the order so far, and the next; counts for each eight bits."""
        f = self.f
        self.falling = n.params[1] if n.op.name == "argsort" else False
        self.digits = SIZE[self.key_kind]
        self.pairs = [
            (f.scratch(self.key_kind, self.line), f.scratch("i32", self.line)) for _ in range(2)
        ]
        self.counts = f.scratch("i64", 256 * self.digits)

    def along(self, one: Lanes, p: list[str], steps: list[int]) -> None:
        """The positions in order."""
        f = self.f
        _, places = self.sorted(one, p[0])
        with f.loop(0, self.line) as i:
            place = one.cast(one.load(f.at(places, f.mul(i.index, 4)), "i32"), "i64")
            one.store(place, f.at(p[1], f.mul(i.index, self.out_step)))

    def sorted(self, one: Lanes, source: str) -> tuple[str, str]:
        """Where the keys of a line lie in order, and their positions. All eight bits of all keys
        are counted, then they are moved, eight bits after the other."""
        f, n, size = self.f, self.line, self.digits
        (keys, places), (others, homes) = self.pairs
        with f.loop(0, 256 * size) as i:
            one.store(one.const(0, "i64"), f.at(self.counts, f.mul(i.index, 8)))
        middle = n // self.width * self.width
        for low, high, w in ((0, middle, self.width), (middle, n, 1)):
            if low == high:
                continue
            x = Lanes(f, w)
            with f.loop(low, high, w) as i:
                x.store(self.key(x, source, i.index), f.at(keys, f.mul(i.index, size)))
                place = x.cast(x.splat(Value(i.index, "i64")), "i32")
                place = x.add(place, x.count("i32"))
                x.store(place, f.at(places, f.mul(i.index, 4)))
        with f.loop(0, n) as i:
            key = one.load(f.at(keys, f.mul(i.index, size)), self.key_kind)
            for digit in range(size):
                at = self._count(one, key, 8 * digit, 2048 * digit)
                one.store(one.add(one.load(at, "i64"), one.const(1, "i64")), at)
        carried = [("ptr", v) for v in (keys, places, others, homes)]
        with f.loop(0, size, carried=carried) as step:
            keys, places, others, homes = step.values
            counts, shift = f.mul(step.index, 2048), f.mul(step.index, 8)
            first = one.load(keys, self.key_kind)
            alike = one.load(self._count(one, first, shift, counts), "i64")
            same = f.let(f"icmp eq i64 {alike.name}, {n}")  # then there is nothing to move
            with f.when(f.let(f"xor i1 {same}, true")):
                self._move(one, step.values, counts, shift)
            pairs = ((keys, others), (places, homes), (others, keys), (homes, places))
            step.next = [f.let(f"select i1 {same}, ptr {a}, ptr {b}") for a, b in pairs]
        return step.values[0], step.values[1]

    def _count(self, one: Lanes, key: Value, shift: Index, counts: Index) -> str:
        """Where the keys with the same eight bits are counted. The sign comes first: below zero
        lies before zero."""
        f, kind = self.f, self.key_kind
        sign = one.op("xor", key, one.const(-(1 << (8 * SIZE[kind] - 1)), kind))
        wide = sign.name if kind == "i64" else f.let(f"zext i32 {sign.name} to i64")
        low = f.let(f"and i64 {f.let(f'lshr i64 {wide}, {shift}')}, 255")
        return f.at(self.counts, f.add(f.mul(low, 8), counts))

    def _move(self, one: Lanes, values: list[str], counts: Index, shift: Index) -> None:
        """Move keys and their positions to where those with the same eight bits come."""
        f, size = self.f, self.digits
        keys, places, others, homes = values
        with f.loop(0, 256, carried=[("i64", "0")]) as i:
            at = f.at(f.at(self.counts, counts), f.mul(i.index, 8))
            here = one.load(at, "i64").name
            one.store(Value(i.values[0], "i64"), at)
            i.next = [str(f.add(i.values[0], here))]
        with f.loop(0, self.line) as i:
            key = one.load(f.at(keys, f.mul(i.index, size)), self.key_kind)
            place = one.load(f.at(places, f.mul(i.index, 4)), "i32")
            at = self._count(one, key, shift, counts)
            to = one.load(at, "i64")
            one.store(one.add(to, one.const(1, "i64")), at)
            one.store(key, f.at(others, f.mul(to.name, size)))
            one.store(place, f.at(homes, f.mul(to.name, 4)))


class Select:
    """The emitter of `topk_index`."""

    joins = False
    relocates = False
    constants = ()

    def accepts(self, n: Node) -> bool:
        """A few elements of any dtype but bool."""
        return kind_of(n.inputs[0]) not in (None, "b") and 0 < n.params[1] <= MOST

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """One kernel."""
        kernel = SelectKernel(*args)
        kernel.build(width)
        return [kernel]


class Sort:
    """The emitter of `argsort`."""

    joins = False
    relocates = False
    constants = ()

    def accepts(self, n: Node) -> bool:
        """Lines of any dtype that fit on the stack."""
        return (
            kind_of(n.inputs[0]) is not None
            and len(n.shape) > 0
            and n.shape[n.params[0] % len(n.shape)] <= STACK
        )

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """One kernel."""
        core = args[0].core
        short = core.shape[core.params[0] % len(core.shape)] <= SHORT
        kernel: LineKernel = (SelectKernel if short else SortKernel)(*args)
        kernel.build(width)
        return [kernel]
