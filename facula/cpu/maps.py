"""Kernels over a domain: pointwise chains, reductions, and rows that need several passes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from facula.compiler.cluster import ALL, COLUMN, FULL, ROW, kind_of
from facula.compiler.expressions import CHEAP
from facula.cpu import any_size
from facula.cpu.kernels import STACK, renamed
from facula.cpu.map_layout import MapLayout
from facula.cpu.text import Index
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node


class MapKernel(MapLayout):
    """Pointwise operations and reductions over one domain."""

    def build(self, width: int) -> None:
        """Write the kernel."""
        c = self.cluster
        self._lay_out(width)
        for a in self.accesses.values():
            self.origin(a.node, a.offset)
        for n in c.nodes:
            if n in self.stored and c.level[n] in (FULL, ROW):
                self.buffer(n)
        for n in self.partials:
            self.room[("partial", n)] = self.units * self.partial_step(n) * n.dtype.itemsize
            self.buffer(n, "partial")
        self.length: Index = self.literal(self.piece) if self.any_length else self.piece
        self.preload()
        self.kept: dict[Node, str] = {}
        self._choose_kept()
        if not any_size.fits(self):
            return self._units()
        any_size.read_sizes(self)
        key, known = any_size.known(self)
        if not known:
            slots = len(self.slots)
            self._units()
            any_size.remember(self, key, slots)

    def _units(self) -> None:
        """What is done for each unit."""
        f = self.f
        with f.loop("%lo", "%hi") as unit:
            self.unit = unit.index
            low, high = self._share(unit.index)
            self._begin_partials()
            if self.flat:
                self._row(0, low, high)
            else:
                with f.loop(low, high, some=True) as row:
                    self._row(row.index, 0, self.length)

    def _share(self, unit: Index) -> tuple[Index, Index]:
        """The rows of a unit, or its columns where there is one row."""
        f = self.f
        if self.units == 1 and isinstance(self.end, int):
            return 0, self.end
        low = f.mul(unit, self.share)
        return low, f.smaller(f.add(low, self.share), self.end)

    def partial_step(self, n: Node) -> int:
        """Elements between the partial results of one unit and the next: whole cache lines."""
        return 64 // n.dtype.itemsize if self.cluster.level[n] == ALL else self.columns

    def _choose_kept(self) -> None:
        """Values of one pass that a later one needs, and that are dear to compute again."""
        c = self.cluster
        for n in c.nodes:
            for i in n.inputs:
                b = self.places[i].base
                if (
                    c.level.get(b) == FULL
                    and self.stage[b] < self._needed_at(n)
                    and b not in self.stored
                    and b.op.name not in CHEAP
                    and self.columns <= STACK
                    and b not in self.kept
                    and not self.flat
                ):
                    kind = kind_of(b)
                    assert kind is not None
                    self.kept[b] = self.f.scratch(
                        {"f32": "float", "f64": "double"}.get(kind, "i64"),
                        STACK if self.any_length else self.columns,
                    )

    def _needed_at(self, n: Node) -> int:
        return self.stage[n] - (
            1 if self.cluster.level[n] == ROW and n.op.name in ("sum", "amax", "amin") else 0
        )

    def _begin_partials(self) -> None:
        f = self.f
        for n in self.partials:
            kind = kind_of(n)
            assert kind is not None
            size = SIZE[kind]
            one = Lanes(f, 1)
            if self.cluster.level[n] == ALL:
                p = f.at(self.buffer(n, "partial"), f.mul(self.unit, 64))
                one.store(one.const(0, kind), p)
                continue
            row = f.mul(self.unit, f.mul(self.length, size))
            base = f.at(self.buffer(n, "partial"), row)
            with f.loop(0, self.length, some=True) as j:
                one.store(one.const(0, kind), f.at(base, f.mul(j.index, size)))

    def _row(self, row: Index, low: Index, high: Index) -> None:
        f, c = self.f, self.cluster
        parts = self._parts(row, self.row_sizes)
        self.row_starts: dict[Any, str] = {}
        for key, a in self.accesses.items():
            offset = self._offset(parts, a.rows, SIZE[a.kind])
            self.row_starts[key] = f.at(self.origin(a.node, a.offset), offset)
        self.out_starts: dict[Node, str] = {}
        for n in c.nodes:
            if n in self.stored and c.level[n] == FULL:
                kind = kind_of(n)
                assert kind is not None
                offset = self._offset(parts, self.out_rows, SIZE[kind])
                self.out_starts[n] = f.at(self.buffer(n), offset)
        self.pointer = dict(self.row_starts)
        self.out = dict(self.out_starts)
        self.at = dict(self.kept)
        self.row_values: dict[Node, Value] = {}
        self.extreme: dict[Value, str] = {}
        one = Lanes(f, 1)
        for stage in range(self.stages):
            for n in c.nodes:  # row-level values that are known by now
                reduction = n.op.name in ("sum", "amax", "amin")
                if c.level[n] == ROW and not reduction and self.stage[n] == stage:
                    args = [self._row_operand(n, k, one) for k in range(len(n.inputs))]
                    self.row_values[n] = self.compute(n, one, args)
            self._pass(stage, row, low, high)
        for n in c.nodes:
            if c.level[n] == ROW and n in self.stored:
                kind = kind_of(n)
                assert kind is not None
                one.store(self.row_values[n], f.at(self.buffer(n), f.mul(row, SIZE[kind])))

    def _parts(self, index: Index, sizes: Sequence[Index]) -> list[Index]:
        """An index over dimensions of these sizes as one for each."""
        f, parts = self.f, []
        for m in reversed(sizes[1:]):
            parts.append(f.rem(index, m))
            index = f.div(index, m)
        return [index, *reversed(parts)]

    def _offset(self, parts: list[Index], steps: Sequence[Index], size: int) -> Index:
        """Bytes from the first element."""
        f = self.f
        offset: Index = 0
        for part, s in zip(parts, steps, strict=False):
            offset = f.add(offset, f.mul(part, f.mul(s, size)))
        return offset

    def _enter(self, piece: Index) -> None:
        """Where the operands and results of this piece of the row begin."""
        f = self.f
        parts = self._parts(piece, self.pieces)
        for key, a in self.accesses.items():
            offset = self._offset(parts, a.pieces, SIZE[a.kind])
            self.pointer[key] = f.at(self.row_starts[key], offset)
        for n, start in self.out_starts.items():
            kind = kind_of(n)
            assert kind is not None
            self.out[n] = f.at(start, self._offset(parts, self.out_pieces, SIZE[kind]))
        for n, start in self.kept.items():
            kind = kind_of(n)
            assert kind is not None
            self.at[n] = f.at(start, f.mul(piece, self.piece * SIZE[kind]))

    def _row_operand(self, n: Node, k: int, one: Lanes) -> Value:
        b = self.places[n.inputs[k]].base
        if b in self.row_values:
            return self.row_values[b]
        if b in self.constants:
            kind = kind_of(b)
            assert kind is not None
            return self.number(b.scalar_at, b.stypes[0], kind)
        key = self.operand[(n, k)]
        return one.load(self.pointer[key], self.accesses[key].kind)

    def _pass(self, stage: int, row: Index, low: Index, high: Index) -> None:
        """One loop over the columns: the stores and reductions of this stage."""
        c, f = self.cluster, self.f
        self._current = stage
        stores = [
            n
            for n in c.nodes
            if c.level[n] == FULL
            and self.stage[n] == stage
            and (n in self.stored or n in self.kept)
        ]
        sums = [
            n
            for n in c.nodes
            if (c.level[n] in (COLUMN, ALL) and self.stage[n] == stage)
            or (
                c.level[n] == ROW
                and n.op.name in ("sum", "amax", "amin")
                and self.stage[n] == stage + 1
            )
        ]
        if not stores and not sums:
            return
        extreme = self._invert()
        carried = [n for n in sums if c.level[n] != COLUMN]
        wide, one = Lanes(f, self.width), Lanes(f, 1)
        values = [self._identity(wide, n) for n in carried]
        singles = [self._identity(one, n) for n in carried]
        do = (row, low, high, extreme, stores, sums, carried)
        if self.pieces:
            pairs = [
                (x.type(v.kind), v.name) for x, vs in ((wide, values), (one, singles)) for v in vs
            ]
            with f.loop(0, math.prod(self.pieces), 1, pairs, some=True) as piece:
                self._enter(piece.index)
                k = len(carried)
                values = renamed(values, piece.values[:k])
                singles = renamed(singles, piece.values[k:])
                values, singles = self._piece(*do, values, singles)
                piece.next = [v.name for v in (*values, *singles)]
            values, singles = renamed(values, piece.values[:k]), renamed(singles, piece.values[k:])
        else:
            values, singles = self._piece(*do, values, singles)
        if not isinstance(low, int) or not isinstance(high, int) or high - low >= self.width:
            singles = [
                self._combine(one, n, a, self._horizontal(wide, n, b))
                for n, a, b in zip(carried, singles, values, strict=True)
            ]
        for n, v in zip(carried, singles, strict=True):
            if c.level[n] == ALL:
                p = f.at(self.buffer(n, "partial"), f.mul(self.unit, 64))
                one.store(one.add(one.load(p, v.kind), v), p)
            else:
                self.row_values[n] = v

    def _piece(
        self,
        row: Index,
        low: Index,
        high: Index,
        extreme: str,
        stores: list[Node],
        sums: list[Node],
        carried: list[Node],
        values: list[Value],
        singles: list[Value],
    ) -> tuple[list[Value], list[Value]]:
        """The columns of one piece, by vectors, half a vector, and one by one. Returns the sums so
        far, in vectors and of what did not fit into vectors."""
        f, w, many = self.f, self.width, len(carried)
        start = low

        def unless(end: Index) -> Index:
            """Where vectors end: lanes are divided one by one if a divisor is extreme."""
            return f.let(f"select i1 {extreme}, i64 {start}, i64 {end}") if extreme else end

        def over(x: Lanes, low: Index, high: Index, accs: list[Value], unroll: int) -> list[Value]:
            """The columns from low to high; `accs` has accumulators for each of the unrolled."""
            first = [(x.type(v.kind), v.name) for v in accs]
            with f.loop(low, high, x.width * unroll, first) as loop:
                out: list[str] = []
                for u in range(unroll):
                    some = loop.values[u * many : (u + 1) * many]
                    column = f.add(loop.index, u * x.width)
                    out += self._step(x, column, row, stores, sums, carried, some)
                loop.next = out
            return renamed(accs, loop.values)

        def four(high: Index) -> list[Value]:
            """The columns up to high, with four accumulators of each sum."""
            none = [self._identity(wide, n) for n in carried]
            groups = over(wide, start, unless(high), values + 3 * none, 4)
            while len(groups) > many:
                half = len(groups) // 2
                groups = [
                    self._combine(wide, n, a, b)
                    for n, a, b in zip(2 * carried, groups[:half], groups[half:], strict=False)
                ]
            return groups

        wide, one = Lanes(f, w), Lanes(f, 1)
        known = isinstance(low, int) and isinstance(high, int)
        if known:
            middle: Index = low + (high - low) // w * w  # type: ignore[operator]
        else:
            middle = f.add(low, f.let(f"and i64 {f.sub(high, low)}, {-w}"))
        at = low
        if self.hidden is not None:
            end = self._seen(row)
            wide_sums = carried and self.stride > w
            values = four(end) if wide_sums else over(wide, low, unless(end), values, 1)
            if extreme:
                singles = over(one, unless(end), end, singles, 1)
            self._fill(stores, end)
            at = start = self.covered
        elif known and carried and middle - low >= 8 * w:  # type: ignore[operator]
            at = low + (middle - low) // (4 * w) * (4 * w)  # type: ignore[operator]
            values = four(at)
        elif self.any_length and carried:  # as where it is known
            long = f.let(f"icmp sge i64 {high}, {8 * w}")
            fours = f.let(f"and i64 {high}, {-4 * w}")
            at = f.let(f"select i1 {long}, i64 {fours}, i64 0")
            values = four(at)
        if not known or at < middle:  # type: ignore[operator]
            begin = unless(at) if at != start else start
            values = over(wide, begin, unless(middle), values, 1)
        if not known or middle > low:  # type: ignore[operator]
            at = unless(middle)
        w //= 2
        if w > 1 and (known or self.any_length):
            if self.any_length:
                middle = f.let(f"and i64 {high}, {-w}")
            if self.any_length or high - middle >= w:  # type: ignore[operator]
                if known:
                    middle += w  # type: ignore[operator]
                narrow, end = Lanes(f, w), unless(middle)
                none = [self._identity(narrow, n) for n in carried]
                singles = [
                    self._combine(one, n, a, self._horizontal(narrow, n, b))
                    for n, a, b in zip(
                        carried, singles, over(narrow, at, end, none, 1), strict=True
                    )
                ]
                at = end
        if not known or extreme or middle < high:  # type: ignore[operator]
            singles = over(one, at, high, singles, 1)
        return values, singles

    def _seen(self, row: Index) -> Index:
        """Where the columns end that a mask leaves, whole strides of them."""
        f, step = self.f, self.stride
        at = f.add(f.rem(row, self.cluster.shape[-2]), self.hidden.diagonal + step)
        return f.smaller(f.mul(f.div(at, step), step), self.covered)

    def _fill(self, stores: list[Node], low: Index) -> None:
        """Write what is known of the columns that a mask hides."""
        f, x = self.f, Lanes(self.f, self.width)
        known = [n for n in stores if n in self.stored and n in self.hidden.fills]
        if not known:
            return
        with f.loop(low, self.covered, self.width) as loop:
            for n in known:
                kind = kind_of(n)
                assert kind is not None
                v = x.const(self.hidden.fills[n], kind)
                x.store(v, f.at(self.out[n], f.mul(loop.index, SIZE[kind])))

    def _invert(self) -> str:
        """Prepare to divide by what is known of the row; an i1, whether that is not possible."""
        from facula.cpu.jit import has_avx512

        f, out = self.f, ""
        if self.columns < 4 * self.width or not has_avx512():
            return out
        for n in self.cluster.nodes:
            if n.op.name == "div" and self.cluster.level[n] == FULL:
                v = self.row_values.get(self.places[n.b].base)
                if v is None or v.kind != "f32":
                    continue
                if v not in self.extreme:
                    self.extreme[v] = Lanes(f, 1).invert(v)
                out = f.let(f"or i1 {out}, {self.extreme[v]}") if out else self.extreme[v]
        return out

    def _step(
        self,
        x: Lanes,
        column: Index,
        row: Index,
        stores: list[Node],
        sums: list[Node],
        carried: list[Node],
        accs: list[str],
    ) -> list[str]:
        memo: dict[Node, Value] = {}
        loads: dict[Any, Value] = {}
        f = self.f
        for n in stores:
            v = self._element(n, x, column, memo, loads, computing=True)
            size = SIZE[v.kind]
            if n in self.stored:
                x.store(v, f.at(self.out[n], f.mul(column, size)))
            if n in self.kept:
                x.store(v, f.at(self.at[n], f.mul(column, size)))
        out = []
        for n in sums:
            b = self.places[n.inputs[0]].base
            if b in self.cluster.level or b in self.constants:
                v = self._operand(n, 0, x, column, memo, loads)
            else:
                v = self._load(self.operand[(n, 0)], x, column, loads)
            if n in carried:
                acc = Value(accs[carried.index(n)], v.kind)
                out.append(self._combine(x, n, acc, v).name)
            else:
                size = SIZE[v.kind]
                at = f.add(f.mul(self.unit, f.mul(self.length, size)), f.mul(column, size))
                p = f.at(self.buffer(n, "partial"), at)
                x.store(x.add(x.load(p, v.kind), v), p)
        return out

    def _identity(self, x: Lanes, n: Node) -> Value:
        kind = kind_of(n)
        assert kind is not None
        first = {"sum": 0.0, "amax": float("-inf"), "amin": float("inf")}[n.op.name]
        return x.const(first, kind)

    def _combine(self, x: Lanes, n: Node, a: Value, b: Value) -> Value:
        if n.op.name == "sum":
            return x.add(a, b)
        return x.maximum(b, a) if n.op.name == "amax" else x.minimum(b, a)

    def _horizontal(self, x: Lanes, n: Node, v: Value) -> Value:
        """The lanes of an accumulator as one."""
        return x.folded(v, lambda y, a, b: self._combine(y, n, a, b))

    def _load(self, key: Any, x: Lanes, column: Index, loads: dict[Any, Value]) -> Value:
        if key not in loads:
            a = self.accesses[key]
            size = SIZE[a.kind]
            if a.column == 0:
                loads[key] = x.splat(Lanes(self.f, 1).load(self.pointer[key], a.kind))
            else:
                p = self.f.at(self.pointer[key], self.f.mul(column, a.column * size))
                if a.column == 1 or x.width == 1:
                    loads[key] = x.load(p, a.kind)
                else:
                    loads[key] = x.load_strided(p, a.column * size, a.kind)
        return loads[key]

    def _operand(self, n: Node, k: int, x: Lanes, column: Index, memo: Any, loads: Any) -> Value:
        b = self.places[n.inputs[k]].base
        if b in self.constants:
            kind = kind_of(b)
            assert kind is not None
            return x.splat(self.number(b.scalar_at, b.stypes[0], kind))
        if b in self.row_values:
            return x.splat(self.row_values[b])
        if b in self.cluster.level:
            return self._element(b, x, column, memo, loads)
        return self._load(self.operand[(n, k)], x, column, loads)

    def _element(
        self, n: Node, x: Lanes, column: Index, memo: Any, loads: Any, computing: bool = False
    ) -> Value:
        if n in memo:
            return memo[n]
        f = self.f
        kind = kind_of(n)
        assert kind is not None
        known = not computing and self.stage[n] < self._current
        if known and n in self.stored:
            v = x.load(f.at(self.out[n], f.mul(column, SIZE[kind])), kind)
        elif known and n in self.kept:
            v = x.load(f.at(self.at[n], f.mul(column, SIZE[kind])), kind)
        else:
            args = [self._operand(n, k, x, column, memo, loads) for k in range(len(n.inputs))]
            v = self.compute(n, x, args)
        memo[n] = v
        return v

    _current = 0
