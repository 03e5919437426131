"""Where the few largest or smallest elements along a dimension are.

Elements are compared as integers, *keys*, in the order of the elements: NaN is the largest, zeros
are equal. Each line has a short list of the best keys so far, in order, with their positions. What
does not beat the last of them is passed over, a vector at a time; of equal ones the first counts.
"""

from __future__ import annotations

import math
from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.domain import load, walk
from facula.cpu.kernels import CHUNK, UNITS, Kernel, merged
from facula.cpu.text import Index
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node, contiguous_strides

MOST = 64  # elements that a list has, at most: each that comes moves half of them, on average

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


class SelectKernel(Kernel):
    """Goes along each line once."""

    def build(self, width: int) -> None:
        """Write the kernel; `width` is that of a vector of float32."""
        n = self.cluster.core
        assert n is not None
        f = self.f
        p = self.places[n.inputs[0]]
        d, self.count, self.largest = n.params
        kind = kind_of(n.inputs[0])
        assert kind is not None
        self.kind, self.size = kind, SIZE[kind]
        self.key_kind = "i64" if kind in ("f64", "i64") else "i32"
        self.width = width // 2 if self.key_kind == "i64" else width
        shape, own = list(n.shape), contiguous_strides(n.shape)
        shape.pop(d)
        self.line = p.shape[d]
        tables = [[s * self.size for s in p.strides], [s * 8 for s in own]]
        self.step, self.out_step = [t.pop(d) for t in tables]
        sizes, tables = merged(shape, tables)
        lines = math.prod(sizes)
        pieces = min(sizes[0], UNITS, max(1, 4 * lines * self.line // CHUNK)) if sizes else 1
        rows = -(-sizes[0] // pieces) if sizes else 1
        self.units = -(-sizes[0] // rows) if sizes else 1
        self.functions.append(_INSERT.replace("KEY", self.key_kind))
        self.keys = f.scratch(self.key_kind, self.count)
        self.positions = f.scratch("i64", self.count)
        self.near = f.scratch(self.key_kind, self.width)
        source = f.at(self.buffer(p.base), p.offset * self.size)
        target = self.buffer(n)
        with f.loop("%lo", "%hi") as unit:
            bounds: tuple[Index, Index] | None = None
            if self.units > 1:
                low = f.mul(unit.index, rows)
                bounds = (low, f.smaller(f.add(low, rows), sizes[0]))
            walk(f, sizes, [source, target], tables, 1, self._line, bounds)

    def _line(self, one: Lanes, p: list[str], steps: list[int]) -> None:
        f, k = self.f, self.count
        source, target = p
        with f.loop(0, k, some=True) as i:
            self._insert(i.index, self._key(one, source, i.index).name, i.index)
        middle = k + (self.line - k) // self.width * self.width
        if middle > k:
            with f.loop(k, middle, self.width) as i:
                self._several(source, i.index)
        if middle < self.line:
            with f.loop(middle, self.line) as i:
                self._try(one, self._key(one, source, i.index), i.index)
        with f.loop(0, k, some=True) as i:
            place = one.load(f.at(self.positions, f.mul(i.index, 8)), "i64")
            one.store(place, f.at(target, f.mul(i.index, self.out_step)))

    def _several(self, source: str, at: Index) -> None:
        """Try a vector of elements: those lanes that beat what is there at first."""
        f, x, one, w = self.f, Lanes(self.f, self.width), Lanes(self.f, 1), self.width
        keys = self._key(x, source, at)
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

    def _key(self, x: Lanes, source: str, at: Index) -> Value:
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
        return key if self.largest else x.op("xor", key, x.const(-1, kind))


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
