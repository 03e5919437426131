"""Matrix products whose kernels take their sizes as arguments.

`product` writes kernels for given sizes, which is what a program that repeats wants: its loops are
unrolled, its tiles fit the matrix, and compiling it takes long. Where sizes change all the time
(sequences of many lengths, the last batch of an epoch) there is no time for that. What stands in
these texts is how tall and wide a tile is, how many vectors the last panel has, which operands
have their elements next to each other, and what follows the product; all else comes from the
descriptor. So a product of other sizes is, mostly, the same kernel.

Sums are made in the order of `product`: k in blocks, and within one from the first to the last.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.blocking import LEAST, MANY, NEAR, Shape, registers
from facula.cpu.kernels import UNITS, Kernel
from facula.cpu.packing import transposed
from facula.cpu.text import Function, Index, NotCompiled
from facula.cpu.tiles import Edge, Epilogue, TileWriter, added
from facula.cpu.vector import SIZE, Lanes, Value
from facula.summation import BLOCK, NARROW

ROOM = 1 << 19  # bytes of a panel that is copied, at most: they lie on the stack
DOTS = 4  # results that are made side by side where lanes go along k


class Masked(Edge):
    """Lanes of which the first are in memory, one at least; how many is known when the kernel
    runs."""

    def __init__(self, f: Function, width: int, active: str) -> None:
        super().__init__(f, width, width)
        self.mask = self.first(active)
        self.last = f.sub(active, 1)

    def _mask(self) -> Value:
        return self.mask

    def load_strided(self, pointer: str, step: Index, kind: str) -> Value:
        """Lanes `step` bytes apart; the last one is repeated."""
        f, one = self.f, Lanes(self.f, 1)
        if step == 0:
            return self.splat(one.load(pointer, kind))
        at = [f.mul(f.smaller(k, self.last), step) for k in range(self.width)]
        return self.join([one.load(f.at(pointer, x), kind) for x in at])


class LooseTile(TileWriter):
    """Writes the functions of tiles, which are called with what a `TileWriter`'s are, with how many
    of their rows are there, and with the names in `sizes`."""

    def __init__(self, kernel: Kernel, epilogue: Epilogue, kind: str, width: int) -> None:
        super().__init__(kernel, epilogue, kind, width)
        self.sizes: dict[str, str] = {}  # parameters, and what they are given

    def parameter(self, step: Index) -> Index:
        """A step as it is called inside: a constant, or the name of a parameter."""
        if isinstance(step, int):
            return step
        name = f"%z{len(self.sizes)}"
        self.sizes[name] = step
        return name

    def loose_call(
        self, rows: int, vectors: int, a: str, b: str, k: Index, height: Index, some: Index, at: Any
    ) -> None:
        """Call the tile of so many rows and vectors. `some`: lanes of the last vector that are
        there, 0 where all are."""
        key = (vectors, some != 0)
        if key not in self.known:
            self.known[key] = self._write_loose(rows, *key)
        f = self.kernel.f
        one = Lanes(f, 1)
        given = [f"ptr {a}", f"ptr {b}", f"i64 {k}", f"i64 {height}", f"i64 {some}"]
        given += [f"ptr {p}" for p in at]
        given += [f"{one.type(v.kind)} {v.name}" for v in self.kernel.numbers.values()]
        given += [f"i64 {x}" for x in self.sizes.values()]
        f.do(f"call void @{self.known[key]}({', '.join(given)})")

    def _write_loose(self, rows: int, vectors: int, masked: bool) -> str:
        def body(f: Function) -> None:
            lanes = [Lanes(f, self.width)] * vectors
            if masked:
                lanes[-1] = Masked(f, self.width, "%some")
            self._loose_body(f, rows, lanes)

        own = ["ptr %a", "ptr %b", "i64 %k", "i64 %height", "i64 %some"]
        return self._function(own, [f"i64 {name}" for name in self.sizes], body)

    def _loose_body(self, f: Function, rows: int, lanes: list[Lanes]) -> None:
        """Sums of blocks of k, added up in memory; then, row by row, what follows."""
        kind, size, w = self.kind, SIZE[self.kind], self.width
        one, plain = Lanes(f, 1), Lanes(f, w)
        room = f.scratch("float" if kind == "f32" else "double", rows * len(lanes) * w)
        spots = [f.at(room, i * w * size) for i in range(rows * len(lanes))]
        zero = plain.const(0, kind)
        for p in spots:
            plain.store(zero, p)
        last = f.sub("%height", 1)
        down = [f.mul(f.smaller(i, last) if i else 0, self.a_row) for i in range(rows)]
        ends = [("ptr", "%a"), ("ptr", "%b")]
        with f.loop(0, "%k", BLOCK, ends, some=True) as block:
            count = f.smaller(f.sub("%k", block.index), BLOCK)
            sums = [(plain.type(kind), zero.name)] * len(spots)
            begins = list(zip(("ptr", "ptr"), block.values, strict=True))
            with f.loop(0, count, 1, [*sums, *begins], some=True) as loop:
                *acc, p, q = loop.values
                right = [
                    (plain if self.packed else x).load(f.at(q, j * w * size), kind)
                    for j, x in enumerate(lanes)
                ]
                for i in range(rows):
                    left = plain.splat(one.load(f.at(p, down[i]), kind))
                    for j, r in enumerate(right):
                        at = i * len(lanes) + j
                        old = Value(acc[at], kind)
                        if self.fused:
                            acc[at] = plain.fma(left, r, old).name
                        else:
                            acc[at] = plain.add(old, plain.mul(left, r)).name
                loop.next = [*acc, f.at(p, self.a_k), f.at(q, self.b_k)]
            for p, v in zip(spots, loop.values, strict=False):
                plain.store(plain.add(plain.load(p, kind), Value(v, kind)), p)
            block.next = loop.values[len(spots) :]
        with f.loop(0, "%height", some=True) as row:
            line = f.at(room, f.mul(row.index, len(lanes) * w * size))
            for j, x in enumerate(lanes):
                total = plain.load(f.at(line, j * w * size), kind)
                self._finish(x, total, row.index, j * w)


class LooseDots(LooseTile):
    """Some results of one row: lanes go along k, which both operands have in one piece."""

    def __init__(self, kernel: Kernel, epilogue: Epilogue, kind: str, width: int) -> None:
        super().__init__(kernel, epilogue, kind, DOTS)
        self.along = width

    def _loose_body(self, f: Function, rows: int, lanes: list[Lanes]) -> None:
        """Two sums for each result, since one would wait for itself."""
        kind, size, w, one = self.kind, SIZE[self.kind], self.along, Lanes(f, self.along)
        (x,) = lanes
        last = x.last if isinstance(x, Masked) else DOTS - 1
        columns = [f.at("%b", f.mul(f.smaller(j, last), self.b_column)) for j in range(DOTS)]

        def more(y: Lanes, index: Index, sums: list[str]) -> list[str]:
            at = f.mul(index, size)
            left = y.load(f.at("%a", at), kind)
            right = [y.load(f.at(c, at), kind) for c in columns]
            pairs = zip(right, sums, strict=True)
            return [one.fma(left, r, Value(acc, kind)).name for r, acc in pairs]

        sums = [(one.type(kind), one.const(0, kind).name)] * (2 * DOTS)
        twice = f.let(f"and i64 %k, {-2 * w}")
        with f.loop(0, twice, 2 * w, sums) as loop:
            for u in range(2):
                at = f.add(loop.index, u * w)
                loop.next += more(one, at, loop.values[u * DOTS : (u + 1) * DOTS])
        first, second = loop.values[:DOTS], loop.values[DOTS:]
        whole = f.let(f"and i64 %k, {-w}")
        with f.loop(twice, whole, w, [(one.type(kind), v) for v in first]) as loop:
            loop.next = more(one, loop.index, loop.values)
        with f.loop(whole, "%k", w, [(one.type(kind), v) for v in loop.values]) as loop:
            rest = f.sub("%k", loop.index)
            assert isinstance(rest, str)
            loop.next = more(Masked(f, w, rest), loop.index, loop.values)
        both = zip(loop.values, second, strict=True)
        totals = [one.add(Value(a, kind), Value(b, kind)) for a, b in both]
        self._finish(x, added(one, totals), 0, 0)


_COPY = "ptr %from, ptr %to, i64 %k, i64 %columns, i64 %step, i64 %across, i64 %pitch"


@cache
def _copied(kind: str, width: int) -> Function:
    """Copies a panel, one k after the other, up to whole vectors: the last column is repeated. All
    kernels share it. Steps along k and from column to column, and between lines of the copy."""
    f = Function(f"shared_panel_{kind}_{width}", _COPY, set())
    one, last = Lanes(f, 1), f.sub("%columns", 1)
    wide = f.let(f"and i64 {f.add('%columns', width - 1)}, {-width}")
    with f.loop(0, "%k", some=True) as k, f.loop(0, wide, some=True) as c:
        a = f.at(f.at("%from", f.mul(k.index, "%step")), f.mul(f.smaller(c.index, last), "%across"))
        b = f.at(f.at("%to", f.mul(k.index, "%pitch")), f.mul(c.index, SIZE[kind]))
        one.store(one.load(a, kind), b)
    return f


@cache
def _turned(kind: str, width: int) -> Function:
    """The same of columns that are in one piece each, by squares; lines of the copy are written for
    whole squares."""
    f = Function(f"shared_turned_panel_{kind}_{width}", _COPY, set())
    size = SIZE[kind]
    with f.loop(0, "%columns", width, some=True) as c:
        last = f.sub(f.smaller(f.sub("%columns", c.index), width), 1)
        a = f.at("%from", f.mul(c.index, "%across"))
        b = f.at("%to", f.mul(c.index, size))
        down = [f.mul(f.smaller(r, last) if r else 0, "%across") for r in range(width)]
        with f.loop(0, "%k", width, some=True) as k:
            active = f.smaller(f.sub("%k", k.index), width)
            assert isinstance(active, str)
            x = Masked(f, width, active)
            p, q = f.at(a, f.mul(k.index, size)), f.at(b, f.mul(k.index, "%pitch"))
            for v in transposed(x, [x.load(f.at(p, d), kind) for d in down]):
                Lanes(f, width).store(v, q)
                q = f.at(q, "%pitch")
    return f


MAX_TEXTS = 200
_texts: dict[Any, Any] = {}  # those that were written


class LooseProduct(Kernel):
    """One product and what follows it, of any sizes."""

    def _step(self, n: int, item: int) -> Index:
        """A step in bytes; 1 and 0 elements are the text's."""
        return n * item if n in (0, 1) else self.literal(n * item)

    def build(self, width: int) -> None:
        """Write the kernel; `width` is that of a vector of float32."""
        n = self.cluster.core
        assert n is not None
        kind = kind_of(n)
        assert kind is not None
        self.kind, self.size = kind, SIZE[kind]
        self.width = w = width if kind == "f32" else width // 2
        self.epilogue = e = Epilogue(self)
        self.s = s = Shape(n, self.places, e.steps)
        self._cut(registers(width))
        left = self.places[n.inputs[s.left]]
        right = self.places[n.inputs[s.right]]
        a, b = self.origin(left.base, s.a_offset), self.origin(right.base, s.b_offset)
        bases = e.bases()
        self.preload()
        tables = [*s.steps[:-1], *[s.steps[-1]] * len(e.outs)]
        items = [SIZE[k] for k in e.kinds]
        self.tile = t = (LooseDots if self.dots else LooseTile)(self, e, kind, w)
        t.fused, t.packed = n.shape[-1] >= NARROW, self.packed
        self.a_row, self.a_k = self._step(s.a_row, self.size), self._step(s.a_k, self.size)
        self.b_k, self.b_column = self._step(s.b_k, self.size), self._step(s.b_column, self.size)
        t.a_row, t.a_k = t.parameter(self.a_row), t.parameter(self.a_k)
        t.b_k = self.panel * self.size if t.packed else t.parameter(self.b_k)
        if self.dots:
            t.b_column = t.parameter(self.b_column)
        self.across = [
            (self._step(row, i), self._step(column, i))
            for (_, row, column), i in zip(tables, items, strict=True)
        ]
        t.steps = [(t.parameter(row), t.parameter(column)) for row, column in self.across]
        batches = [s.a_batch, s.b_batch, *[batch for batch, _, _ in tables]]
        sizes = [self.size, self.size, *items]
        moves = [[self._step(x, i) for x in b] for b, i in zip(batches, sizes, strict=True)]
        if self.packed:
            element = "float" if kind == "f32" else "double"
            deep = self.literal(-(-s.k // w) * w * self.panel)  # whole squares
            self.panel_copy = self.f.let(f"alloca {element}, i64 {deep}, align 64")
        self._literals()
        # All that the rest of the text depends on: the names above, and what follows the product.
        key = (
            *(kind, w, self.rows, self.panel, self.dots, t.fused, s.b_k == 1),
            *(self.columns, self.vectors),
            *(tuple(self.f.lines), a, b, tuple(bases), tuple(map(tuple, moves)), e.structure()),
            *(self.a_row, self.a_k, self.b_k, self.b_column, tuple(self.across)),
        )
        known = _texts.get(key)
        if known is None:
            self._loops([a, b, *bases], moves)
            if len(_texts) >= MAX_TEXTS:
                _texts.clear()
            _texts[key] = self.f.lines, self.f.allocas, self.functions, self.declarations
        else:
            self.f.lines, self.f.allocas, self.functions, self.declarations = known

    def _cut(self, most: int) -> None:
        """Tiles, panels and units, by shapes alone."""
        s, w = self.s, self.width
        self.rows = 1 if s.m == 1 else 4 if s.m <= 4 else min(8, most // 2)
        vectors = 4 if self.rows <= 4 else 2
        self.packed = s.b_column != 1 and s.n > 1
        self.dots = self.packed and s.m < 8 and s.a_k == s.b_k == 1
        self.lanes = w  # of a tile: results side by side
        if self.dots:
            self.rows, vectors, self.packed, self.lanes = 1, 1, False, DOTS
        self.panel = vectors * self.lanes
        if 0 in (s.count, s.m, s.n, s.k):
            raise NotCompiled("a product of nothing")
        if self.packed and (s.m < 8 or self.panel * s.k * self.size > ROOM):
            raise NotCompiled("a panel that is not worth a copy, or too deep for the stack")
        tiles, (whole, self.edge) = -(-s.m // self.rows), divmod(s.n, self.panel)
        panels = whole + (self.edge > 0)
        tile = 60 + s.k * max(4, self.rows * vectors // 2)  # cycles, about
        wanted = min(UNITS, max(1, s.count * tiles * panels * tile // LEAST))
        self.together = max(1, s.count // wanted)
        cut = -(-wanted // s.count)
        # A unit's rows stay near while it goes over panels; where those are copied, each unit that
        # has one copies it.
        near = max(1, NEAR // (2 * self.rows * s.k * self.size))
        by_rows = -(-tiles // near)
        by_columns = min(panels, -(-cut // by_rows))
        most = max(by_rows, tiles // MANY) if self.packed else tiles
        by_rows = min(most, max(by_rows, -(-cut // by_columns)))
        self.unit_panels, self.row_tiles = -(-panels // by_columns), -(-tiles // by_rows)
        self.column_blocks = -(-panels // self.unit_panels)
        self.row_blocks = -(-tiles // self.row_tiles)
        self.units = -(-s.count // self.together) * self.column_blocks * self.row_blocks
        self.tiles, self.panels = tiles, whole

    def _literals(self) -> None:
        """The other sizes."""
        s = self.s
        cut = [self.row_blocks, self.column_blocks, self.row_tiles, self.unit_panels]
        cut += [self.tiles, self.panels, self.together, s.count]
        self.cut = [self.literal(x) for x in cut]
        self.batch = [self.literal(m) for m in s.batch]
        self.m, self.k = self.literal(s.m), self.literal(s.k)
        self.vectors = -(-self.edge // self.lanes)  # of the last panel
        self.columns, self.some = "", ""
        if self.edge:
            self.columns = self.literal(self.edge)
            self.some = self.literal(self.edge - (self.vectors - 1) * self.lanes)

    def _loops(self, pointers: list[str], moves: list[list[Index]]) -> None:
        """The units: products of the batch, panels, tiles."""
        f, sizes = self.f, self.batch
        row_blocks, column_blocks, row_tiles, unit_panels, *more = self.cut
        tiles, panels, together, count = more
        with f.loop("%lo", "%hi") as unit:
            column_block = f.rem(unit.index, column_blocks)
            rest = f.div(unit.index, column_blocks)
            row_block = f.rem(rest, row_blocks)
            rest = f.div(rest, row_blocks)
            self.first_tile = f.mul(row_block, row_tiles)
            self.last_tile = f.smaller(f.add(self.first_tile, row_tiles), tiles)
            low = f.mul(column_block, unit_panels)
            high = f.add(low, unit_panels)
            whole = f.smaller(high, panels)
            first = f.mul(rest, together)
            last = f.smaller(f.add(first, together), count)
            with f.loop(first, last, some=True) as one:
                parts: list[Index] = []
                index: Index = one.index
                for m in reversed(sizes[1:]):
                    parts.append(f.rem(index, m))
                    index = f.div(index, m)
                if sizes:
                    parts.append(index)
                parts.reverse()
                at = []
                for pointer, steps in zip(pointers, moves, strict=True):
                    for part, step in zip(parts, steps, strict=True):
                        pointer = f.at(pointer, f.mul(part, step))
                    at.append(pointer)
                with f.loop(low, whole) as j:
                    self._panel(at, j.index, self.panel, self.panel // self.lanes, 0)
                if self.columns:
                    with f.when(f.let(f"icmp slt i64 {panels}, {high}")):
                        self._panel(at, panels, self.columns, self.vectors, self.some)

    def _panel(self, at: list[str], j: Index, columns: Index, vectors: int, some: Index) -> None:
        """The tiles of one panel."""
        f = self.f
        column = f.mul(j, self.panel)
        b = f.at(at[1], f.mul(column, self.b_column))
        if self.tile.packed:
            copy = (_turned if self.s.b_k == 1 else _copied)(self.kind, self.width)
            f.share(copy)
            given = f"ptr {b}, ptr {self.panel_copy}, i64 {self.k}, i64 {columns}"
            given += f", i64 {self.b_k}, i64 {self.b_column}, i64 {self.panel * self.size}"
            f.do(f"call void @{copy.name}({given})")
            b = self.panel_copy
        with f.loop(self.first_tile, self.last_tile) as i:
            row = f.mul(i.index, self.rows)
            height = f.smaller(f.sub(self.m, row), self.rows)
            left = f.at(at[0], f.mul(row, self.a_row))
            others = [
                f.at(x, f.add(f.mul(row, down), f.mul(column, across)))
                for x, (down, across) in zip(at[2:], self.across, strict=True)
            ]
            self.tile.loose_call(self.rows, vectors, left, b, self.k, height, some, others)
