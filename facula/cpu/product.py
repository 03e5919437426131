"""Matrix products with the pointwise operations that follow, in registers.

`blocking` decides how a product is cut, `tiles` writes the innermost loops, `packing` the copies
that a unit makes of what it goes over more than once, on its stack. What is here walks the units,
the batch and the panels.
"""

from __future__ import annotations

from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.blocking import AHEAD, NEAR, PANEL, SAME, SOON, SOONER, Shape, Size, plan, registers
from facula.cpu.kernels import Kernel
from facula.cpu.loose import LooseProduct
from facula.cpu.packing import copy_panel, copy_panels, copy_rows, copy_tile
from facula.cpu.peeled import PeeledWriter
from facula.cpu.text import Index
from facula.cpu.tiles import DotWriter, Epilogue, TileWriter, lanes_of
from facula.cpu.vector import SIZE
from facula.summation import BLOCK, NARROW
from facula.trace.node import Node


class ProductKernel(Kernel):
    """One product and what follows it."""

    def build(self, width: int) -> None:
        """Write the kernel; `width` is that of a vector of float32."""
        n = self.cluster.core
        assert n is not None
        kind = kind_of(n)
        assert kind is not None
        self.kind, self.size = kind, SIZE[kind]
        self.width = width if kind == "f32" else width // 2
        self.epilogue = e = Epilogue(self)
        self.s = s = Shape(n, self.places, e.steps)
        steps = (s.a_row, s.a_k, s.b_k, s.b_column)
        size = Size(s.count, s.m, s.n, s.k, *steps, self.size, self.width, registers(width))
        self.p = p = plan(size)
        f = self.f
        left = self.places[n.inputs[s.left]]
        right = self.places[n.inputs[s.right]]
        a = self.origin(left.base, s.a_offset)
        b = self.origin(right.base, s.b_offset)
        self.bases = e.bases()
        self.preload()
        tables = [*s.steps[:-1], *[s.steps[-1]] * len(e.outs)]
        items = [SIZE[k] for k in e.kinds]
        self.steps = [
            ([x * i for x in batch], row * i, column * i)
            for (batch, row, column), i in zip(tables, items, strict=True)
        ]
        self.panel = p.columns
        self.rows = p.small + (p.big > 0)  # of the largest tile
        # A last pass over little of k would have no time to fetch what follows: the one before it
        # does both.
        short = s.k % p.depth
        self.more = short if short * 2 < BLOCK else 0
        self.deep = p.depth + self.more
        self._masked(n)
        narrow = not p.dot and n.shape[-1] < NARROW and self.reach is None and p.depth == s.k
        narrow = narrow and kind == "f32" and s.b_column == 1 and not s.turned
        peeled = narrow and s.count == 1 and s.n > 4 and s.n % 4 and p.panels + (p.edge > 0) == 1
        writer = PeeledWriter if peeled else DotWriter if p.dot else TileWriter
        self.tile = t = writer(self, e, kind, self.width)
        t.k, t.parts = s.k, (s.k > BLOCK or self.reach is not None) and not (p.dot or narrow)
        last = s.k % BLOCK or BLOCK
        self.fetching = max(0, s.k - (last if last * 2 >= BLOCK else last + BLOCK))
        t.fetching = min(BLOCK, s.k - self.fetching) if self.reach is None else BLOCK
        t.fused, t.packed = n.shape[-1] >= NARROW, p.pack_b
        t.steps = [(row, column) for _, row, column in self.steps]
        self._rooms()
        self.units = p.units
        with f.loop("%lo", "%hi") as unit:
            rest: Index = unit.index
            # Few rows read all of a large right operand: neighbours, which are one thread's mostly,
            # then read the same part of it, which stays in that thread's cache.
            if s.n > 4 * s.m and s.k * s.n * self.size >= NEAR and not p.edge:
                row_block, rest = f.rem(rest, p.row_blocks), f.div(rest, p.row_blocks)
                column_block, rest = f.rem(rest, p.column_blocks), f.div(rest, p.column_blocks)
            else:
                column_block, rest = f.rem(rest, p.column_blocks), f.div(rest, p.column_blocks)
                row_block, rest = f.rem(rest, p.row_blocks), f.div(rest, p.row_blocks)
            self._ranges(row_block, column_block)
            if p.together == 1:
                self._product(a, b, rest)
            else:
                first = f.mul(rest, p.together)
                last = f.smaller(f.add(first, p.together), s.count)
                with f.loop(first, last, some=True) as one:
                    self._product(a, b, one.index)

    def _masked(self, n: Node) -> None:
        """What a mask spares: tiles whose results it hides, and where the left operand is zero."""
        c, s, p = self.cluster, self.s, self.p
        whole = (s.m, s.n) == n.shape[-2:] and not s.turned
        self.hidden: Any = c.hidden if whole else None
        self.reach: Any = c.reach if whole and p.depth == s.k and not p.dot else None

    def _rooms(self) -> None:
        """Room on the stack, and the steps of what tiles read."""
        f, s, p, t, size = self.f, self.s, self.p, self.tile, self.size
        element = "float" if self.kind == "f32" else "double"
        sums = self.rows * self.panel
        if p.depth < s.k:
            sums *= p.row_tiles * p.unit_panels
        self.sums = f.scratch(element, sums)
        t.a_row, t.a_k = s.a_row * size, s.a_k * size
        t.b_k, t.b_column = s.b_k * size, s.b_column * size
        if s.a_row == 1 and not p.pack_a:
            t.ahead = self.rows * size  # what the next tile needs
        if p.pack_a:
            tiles = 1 if p.whole else p.row_tiles
            self.left_copy = f.scratch(element, tiles * self.rows * self.deep)
            t.a_row, t.a_k = size, self.rows * size
            t.ahead = AHEAD
        if p.pack_b:
            panels = p.unit_panels if p.whole else 1
            self.panel_copy = f.scratch(element, self.panel * self.deep * panels)
            t.b_k = self.panel * size
        # With one row nothing but loads is under way, and the processor fetches early by itself.
        if self.rows > 1 and (not p.pack_b or self.panel * self.deep * size > PANEL):
            # Small tiles are done with a step of k sooner.
            small = self.width * registers(self.width) // (self.rows * min(self.panel, s.n))
            soon = SOON if t.b_k % SAME else SOONER
            t.right_ahead = soon * max(1, small) * t.b_k
        self.copies: dict[Any, str] = {}

    def _ranges(self, row_block: Index, column_block: Index) -> None:
        """The tiles and panels of a unit: first and last but one of each kind."""
        f, p = self.f, self.p
        self.first_tile = f.mul(row_block, p.row_tiles)
        self.last_tile = f.smaller(f.add(self.first_tile, p.row_tiles), p.tiles)
        self._rows(self.first_tile, self.last_tile)
        self.first_panel = f.mul(column_block, p.unit_panels)
        total = p.panels + (p.edge > 0)
        last = f.smaller(f.add(self.first_panel, p.unit_panels), total)
        self.last_panel = f.smaller(last, p.panels)
        self.at_edge: str | bool = p.edge > 0
        if p.edge and p.column_blocks > 1:
            self.at_edge = f.let(f"icmp eq i64 {column_block}, {p.column_blocks - 1}")

    def _rows(self, first: Index, last: Index) -> None:
        """Which tiles are gone over: those of each height."""
        f, p = self.f, self.p
        self.first_near = first
        self.tile_ranges = [(f.larger(first, p.big), last, p.small)]
        if p.big:
            self.tile_ranges.insert(0, (first, f.smaller(last, p.big), p.small + 1))

    def _row(self, tile: Index) -> Index:
        """The first row of a tile."""
        f, p = self.f, self.p
        return f.add(f.mul(tile, p.small), f.smaller(tile, p.big) if p.big else 0)

    def _product(self, a: str, b: str, index: Index) -> None:
        """A unit's share of one product of the batch."""
        f, s, p, size = self.f, self.s, self.p, self.size
        parts: list[Index] = []
        for m in reversed(s.batch[1:]):
            parts.append(f.rem(index, m))
            index = f.div(index, m)
        if s.batch:
            parts.append(index)
        parts.reverse()

        def moved(pointer: str, steps: list[int], item: int) -> str:
            at: Index = 0
            for part, step in zip(parts, steps, strict=True):
                at = f.add(at, f.mul(part, step * item))
            return f.at(pointer, at)

        a, b = moved(a, s.a_batch, size), moved(b, s.b_batch, size)
        self.pointers = [
            moved(pointer, steps, 1)
            for pointer, (steps, _, _) in zip(self.bases, self.steps, strict=True)
        ]
        if p.depth == s.k:
            self._tiles(a, b, 0, s.k)
            return
        with f.loop(0, s.k - self.more, p.depth, some=True) as loop:
            count: Index = p.depth
            if self.more or s.k % p.depth:
                left = f.sub(s.k, loop.index)
                ends = f.let(f"icmp sle i64 {left}, {self.deep}")
                count = f.let(f"select i1 {ends}, i64 {left}, i64 {p.depth}")
            self._tiles(a, b, loop.index, count)

    def _part(self, first: Index, count: Index) -> Index:
        """Whether a part of k is the first (1), the last (2) and the one that fetches what follows
        (4), added up."""
        s = self.s
        if isinstance(first, int) and isinstance(count, int):
            return (first == 0) + 2 * (first + count == s.k) + 4 * (first == self.fetching)
        return self._flags((first, 0), (self.f.add(first, count), s.k), (first, self.fetching))

    def _flags(self, *pairs: tuple[Index, Index]) -> Index:
        """A number that has, for each pair, a bit that says whether the two are equal."""
        f = self.f
        out: Index = 0
        for k, (a, b) in enumerate(pairs):
            same = f.let(f"icmp eq i64 {a}, {b}")
            out = f.add(out, f.let(f"select i1 {same}, i64 {1 << k}, i64 0"))
        return out

    def _tiles(self, a: str, b: str, first: Index, count: Index) -> None:
        """All tiles and panels of the unit, over a part of k."""
        f, s, p, size = self.f, self.s, self.p, self.size
        a = f.at(a, f.mul(first, s.a_k * size))
        b = f.at(b, f.mul(first, s.b_k * size))
        if p.whole:
            self._copy_panels(b, count)
            with f.loop(self.first_tile, self.last_tile, some=True) as tile:
                self._rows(tile.index, f.add(tile.index, 1))
                self._panels(a, b, first, count)
        else:
            self._panels(a, b, first, count)

    def _panels(self, a: str, b: str, first: Index, count: Index) -> None:
        """All tiles that are near and all panels of the unit, over a part of k."""
        f, p = self.f, self.p
        if p.pack_a:
            self._copy_left(a, count)
        low, high = self.first_panel, self.last_panel
        if p.panels and low != high:
            with f.loop(low, high) as j:
                self._panel(a, b, j.index, self.panel, first, count)
        if self.at_edge is True:
            self._panel(a, b, p.panels, p.edge, first, count)
        elif self.at_edge:
            with f.when(self.at_edge):
                self._panel(a, b, p.panels, p.edge, first, count)

    def _copy_panels(self, b: str, k: Index) -> None:
        """Copy all panels of the unit: for one k after the other where a row is in one piece."""
        f, s, p, size = self.f, self.s, self.p, self.size
        low, high = self.first_panel, self.last_panel
        across = self.panel * s.b_column * size
        if p.panels and low != high:
            if s.b_column == 1:
                count = f", i64 {f.sub(high, low)}"
                source = f.at(b, f.mul(low, across))
                self._copy(copy_panels, self.panel, source, self.panel_copy, k, count)
            else:
                with f.loop(low, high) as j:
                    source = f.at(b, f.mul(j.index, across))
                    self._copy_panel(self.panel, source, self._right(j.index), k)
        if self.at_edge is True:
            self._copy_edge(b, across, k)
        elif self.at_edge:
            with f.when(self.at_edge):
                self._copy_edge(b, across, k)

    def _copy_edge(self, b: str, across: int, k: Index) -> None:
        p = self.p
        source = self.f.at(b, p.panels * across)
        self._copy_panel(p.edge, source, self._right(p.panels), k)

    def _copy_panel(self, columns: int, source: str, target: str, k: Index) -> None:
        key = ("panel", columns)
        if key not in self.copies:
            self.copies[key] = copy_panel(self, self.s, self.kind, self.width, columns, self.panel)
        self.f.do(f"call void @{self.copies[key]}(ptr {source}, ptr {target}, i64 {k})")

    def _right(self, panel: Index) -> str:
        """Where the copy of a panel lies."""
        f, p = self.f, self.p
        if not p.whole:
            return self.panel_copy
        at = f.mul(f.sub(panel, self.first_panel), self.panel * self.deep * self.size)
        return f.at(self.panel_copy, at)

    def _copy_left(self, a: str, k: Index) -> None:
        """Copy the unit's rows of the left operand: tile by tile, or all tiles for one k after the
        other where they are next to each other."""
        f, s = self.f, self.s
        for low, high, rows in self.tile_ranges:
            if s.a_row == 1:
                source = f.at(a, f.mul(self._row(low), self.size))
                count = f", i64 {f.sub(high, low)}"
                self._copy(copy_rows, rows, source, self._left(low), k, count)
                continue
            with f.loop(low, high) as i:
                source = f.at(a, f.mul(self._row(i.index), s.a_row * self.size))
                self._copy(copy_tile, rows, source, self._left(i.index), k)

    def _copy(
        self, write: Any, rows: int, source: str, target: str, k: Index, more: str = ""
    ) -> None:
        """Call the function that `write` writes for tiles of so many rows."""
        key = (write, rows)
        if key not in self.copies:
            rooms = {copy_rows: self.rows, copy_panels: self.panel}
            room = [rooms[write] * self.deep] if write in rooms else []
            self.copies[key] = write(self, self.s, self.kind, self.width, rows, self.rows, *room)
        name = self.copies[key]
        self.f.do(f"call void @{name}(ptr {source}, ptr {target}, i64 {k}{more})")

    def _left(self, tile: Index) -> str:
        """Where the copy of a tile's rows lies."""
        f = self.f
        at = f.mul(f.sub(tile, self.first_near), self.rows * self.deep * self.size)
        return f.at(self.left_copy, at)

    def _panel(self, a: str, b: str, j: Index, columns: int, first: Index, count: Index) -> None:
        """All tiles of a panel, over a part of k."""
        f, s, p, size = self.f, self.s, self.p, self.size
        column = f.mul(j, self.panel)
        b = f.at(b, f.mul(column, s.b_column * size))
        if p.pack_b:
            copy = self._right(j)
            if not p.whole:
                self._copy_panel(columns, b, copy, count)
            b = copy
        for low, high, rows in self.tile_ranges:
            with f.loop(low, high) as i:
                row = self._row(i.index)
                at = [
                    f.at(x, f.add(f.mul(row, down), f.mul(column, across)))
                    for x, (_, down, across) in zip(self.pointers, self.steps, strict=True)
                ]
                place = (a, b, i.index, j, row, first, count)
                if self.hidden is None:
                    self._tile(rows, columns, *place, at)
                    continue
                last = f.add(row, rows - 1 + self.hidden.diagonal)
                hides = f.let(f"icmp sgt i64 {column}, {last}")
                with f.when(hides):
                    self._fill(rows, columns, at)
                with f.when(f.let(f"xor i1 {hides}, true")):
                    self._tile(rows, columns, *place, at)

    def _tile(
        self,
        rows: int,
        columns: int,
        a: str,
        b: str,
        i: Index,
        j: Index,
        row: Index,
        first: Index,
        count: Index,
        at: list[str],
    ) -> None:
        """Tile i of panel j, over a part of k; `at`: where what follows reads and writes."""
        f, s, p, t, size = self.f, self.s, self.p, self.tile, self.size
        left = self._left(i) if p.pack_a else f.at(a, f.mul(row, s.a_row * size))
        room = self.sums
        if p.depth < s.k:
            spot = f.mul(f.sub(i, self.first_tile), p.unit_panels)
            spot = f.add(spot, f.sub(j, self.first_panel))
            room = f.at(room, f.mul(spot, self.rows * self.panel * size))
        if self.reach is None and (self.deep <= BLOCK or not t.parts):
            t.call(rows, columns, left, b, room, count, self._part(first, count), at, row)
            return
        # Blocks begin where they would without a mask: the sums are the same.
        begin, low, high = (0, 0, count) if self.reach is None else self._reached(rows, row)
        with f.loop(begin, high, BLOCK, some=True) as block:
            start = block.index if low == 0 else f.larger(block.index, low)
            some = f.sub(f.smaller(high, f.add(block.index, BLOCK)), start)
            x = f.at(left, f.mul(start, t.a_k))
            y = f.at(b, f.mul(start, t.b_k))
            if self.reach is None:
                part = self._part(f.add(first, start), some)
            else:
                end = (f.add(start, some), high)
                part = self._flags((block.index, begin), end, end)
            t.call(rows, columns, x, y, room, some, part, at, row)

    def _reached(self, rows: int, row: Index) -> tuple[Index, Index, Index]:
        """The part of k in which rows of the left operand are not zero: the beginning of its first
        block, its first and its end."""
        f, s, (turned, diagonal) = self.f, self.s, self.reach
        if not turned:
            return 0, 0, f.smaller(f.add(row, rows + diagonal), s.k)
        low = f.smaller(f.larger(f.sub(row, diagonal), 0), s.k - 1)
        return f.mul(f.div(low, BLOCK), BLOCK), low, s.k

    def _fill(self, rows: int, columns: int, at: list[str]) -> None:
        """Write what is known of a tile that a mask hides."""
        f, e = self.f, self.epilogue
        for k, n in enumerate(e.outs, len(e.keys)):
            if n not in self.hidden.fills:
                continue
            with f.loop(0, rows) as i:
                p = f.at(at[k], f.mul(i.index, self.steps[k][1]))
                for x in lanes_of(f, columns, self.width):
                    x.store(x.const(self.hidden.fills[n], e.kinds[k]), p)
                    p = f.at(p, x.width * SIZE[e.kinds[k]])


class Product:
    """The emitter of matrix products."""

    joins = True
    relocates = True
    constants = ()

    def accepts(self, n: Node) -> bool:
        """float32 and float64."""
        return kind_of(n) in ("f32", "f64")

    def kernels(
        self, args: Any, guards: dict[int, Any], width: int, loose: bool = False
    ) -> list[Kernel]:
        """One kernel; a loose one takes its sizes as arguments."""
        product = (LooseProduct if loose else ProductKernel)(*args, guards=guards)
        product.build(width)
        return [product]
