"""Matrix products with the pointwise operations that follow, in registers.

A unit is a block of rows (and, where there are few rows, of columns) of one product of the batch.
Within it, tiles of a few rows times a few vectors are held in registers over the whole of k. The
right operand is read in place where its columns are next to each other and its rows not too far
apart; otherwise it is packed first, by a kernel of its own, into panels as wide as a tile.
"""

from __future__ import annotations

import math
from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.kernels import Access, Kernel, NotCompiled, strides_in
from facula.cpu.text import Function, Index
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node

UNITS = 32
BLOCK = 192
NARROW = 12
SMALL = 60_000  # multiplications that a unit should have at least


def pieces(n: int, width: int) -> list[int]:
    """n columns as vectors of falling width."""
    out = [width] * (n // width)
    rest = n % width
    w = width // 2
    while rest:
        if rest >= w:
            out.append(w)
            rest -= w
        else:
            w //= 2
    return out


def balanced(n: int, most: int) -> list[tuple[int, int, int]]:
    """n rows in tiles of at most `most`, nearly equal: (first row, tile size, how many)."""
    count = -(-n // most)
    small = n // count
    big = n - small * count
    out = []
    if big:
        out.append((0, small + 1, big))
    if count - big:
        out.append((big * (small + 1), small, count - big))
    return out


class Shape:
    """The sizes and steps of one product, in elements."""

    def __init__(self, n: Node, places: Any) -> None:
        a, b = places[n.inputs[0]], places[n.inputs[1]]
        self.batch = n.shape[:-2]
        self.m, self.n = n.shape[-2:]
        self.k = a.shape[-1]
        sa = strides_in(a, (*self.batch, self.m, self.k))
        sb = strides_in(b, (*self.batch, self.k, self.n))
        self.a_batch, self.b_batch = sa[:-2], sb[:-2]
        self.a_row, self.a_k = sa[-2:]
        self.b_k, self.b_column = sb[-2:]
        self.a_offset, self.b_offset = a.offset, b.offset
        self.count = 1
        for s in self.batch:
            self.count *= s

    def packs(self, width: int) -> bool:
        """Whether the right operand is packed into panels first."""
        if self.n == 1 or self.k == 1:
            return self.b_column != 1 and self.n > 1
        if self.b_column != 1:
            return True
        return self.m >= 32 and self.b_k * 4 >= 2048 and self.k >= 32


class ProductKernel(Kernel):
    """One product and what follows it."""

    def __init__(self, *args: Any, guards: dict[int, Any], packed: bool) -> None:
        super().__init__(*args)
        self.guards = guards
        self.packed = packed

    def build(self, width: int) -> None:
        """Write the kernel; `width` is that of a vector of float32."""
        c = self.cluster
        n = c.core
        assert n is not None
        kind = kind_of(n)
        assert kind is not None
        self.kind = kind
        self.width = width if kind == "f32" else width // 2
        self.s = s = Shape(n, self.places)
        self.tile_rows, self.tile_vectors = 6, 2
        if width == 16:
            self.tile_rows, self.tile_vectors = 12, 2
        self._accesses()
        f = self.f
        left = self.buffer(self.places[n.inputs[0]].base)
        if self.packed:
            self.room[("packed", n)] = packed_bytes(s, self.width * self.tile_vectors, kind)
            right = self.buffer(n, "packed")
        else:
            right = self.buffer(self.places[n.inputs[1]].base)
        for a in self.accesses.values():
            self.buffer(a.node)
        for e in c.nodes:
            if e in self.stored:
                self.buffer(e)
        self._numbers()
        size = SIZE[kind]
        panel = self.width * self.tile_vectors
        # Blocks of rows and columns.
        work = s.m * s.n * s.k
        wanted = max(1, min(UNITS, work * s.count // SMALL))
        blocks = max(1, -(-wanted // s.count))
        row_blocks = max(1, min(blocks, s.m // self.tile_rows))
        per = -(-s.m // row_blocks)
        if per > self.tile_rows:
            per = -(-per // self.tile_rows) * self.tile_rows
        row_blocks = -(-s.m // per)
        column_blocks = max(1, min(-(-blocks // row_blocks), s.n // panel))
        wide = -(-s.n // (column_blocks * panel)) * panel
        column_blocks = -(-s.n // wide)
        self.units = s.count * row_blocks * column_blocks
        with f.loop("%lo", "%hi") as unit:
            rest: Index = unit.index
            column_block = f.rem(rest, column_blocks)
            rest = f.div(rest, column_blocks)
            row_block = f.rem(rest, row_blocks)
            batch = f.div(rest, row_blocks)
            parts: list[Index] = []
            for m in reversed(s.batch[1:]):
                parts.append(f.rem(batch, m))
                batch = f.div(batch, m)
            if s.batch:
                parts.append(batch)
            parts.reverse()
            self.batch_parts = parts
            a0, b0 = f.at(left, s.a_offset * size), right
            for part, sa in zip(parts, s.a_batch, strict=True):
                a0 = f.at(a0, f.mul(part, sa * size))
            if self.packed:
                flat: Index = 0
                step = 1
                for part, m, sb in reversed(list(zip(parts, s.batch, s.b_batch, strict=True))):
                    if sb:
                        flat = f.add(flat, f.mul(part, step))
                        step *= m
                b0 = f.at(b0, f.mul(flat, packed_size(s, panel) * size))
            else:
                b0 = f.at(b0, s.b_offset * size)
                for part, sb in zip(parts, s.b_batch, strict=True):
                    b0 = f.at(b0, f.mul(part, sb * size))
            linear: Index = 0
            step = 1
            for part, m in reversed(list(zip(parts, s.batch, strict=True))):
                linear = f.add(linear, f.mul(part, step))
                step *= m
            self.batch_index = linear
            row0 = f.mul(row_block, per)
            self._block(
                a0,
                b0,
                row0,
                min(per, s.m),
                row_block,
                row_blocks,
                per,
                column_block,
                column_blocks,
                wide,
                panel,
            )

    def _block(
        self,
        a0: str,
        b0: str,
        row0: Index,
        rows: int,
        row_block: Index,
        row_blocks: int,
        per: int,
        column_block: Index,
        column_blocks: int,
        wide: int,
        panel: int,
    ) -> None:
        f, s = self.f, self.s
        last_rows = s.m - per * (row_blocks - 1)
        last_wide = s.n - wide * (column_blocks - 1)
        cases = []
        if row_blocks > 1 and last_rows != per:
            cases = [(per, "slt"), (last_rows, "eq")]
        else:
            cases = [(per if row_blocks > 1 else s.m, "")]
        for count, how in cases:
            if how:
                test = f.let(f"icmp {how} i64 {row_block}, {row_blocks - 1}")
                with f.when(test):
                    self._columns(
                        a0, b0, row0, count, column_block, column_blocks, wide, last_wide, panel
                    )
            else:
                self._columns(
                    a0, b0, row0, count, column_block, column_blocks, wide, last_wide, panel
                )

    def _columns(
        self,
        a0: str,
        b0: str,
        row0: Index,
        rows: int,
        column_block: Index,
        column_blocks: int,
        wide: int,
        last_wide: int,
        panel: int,
    ) -> None:
        f = self.f
        first = f.mul(column_block, wide)
        if column_blocks == 1 or last_wide == wide:
            self._panels(a0, b0, row0, rows, first, wide if column_blocks > 1 else self.s.n, panel)
            return
        for count, how in ((wide, "slt"), (last_wide, "eq")):
            test = f.let(f"icmp {how} i64 {column_block}, {column_blocks - 1}")
            with f.when(test):
                self._panels(a0, b0, row0, rows, first, count, panel)

    def _panels(
        self, a0: str, b0: str, row0: Index, rows: int, column0: Index, columns: int, panel: int
    ) -> None:
        f = self.f
        whole, rest = columns // panel, columns % panel
        if whole:
            with f.loop(0, whole) as j:
                column = f.add(column0, f.mul(j.index, panel))
                self._rows(a0, b0, row0, rows, column, [self.width] * self.tile_vectors, panel)
        if rest:
            column = f.add(column0, whole * panel)
            self._rows(a0, b0, row0, rows, column, pieces(rest, self.width), panel)

    def _rows(
        self, a0: str, b0: str, row0: Index, rows: int, column: Index, widths: list[int], panel: int
    ) -> None:
        f, s, size = self.f, self.s, SIZE[self.kind]
        if self.packed:
            b = f.at(b0, f.mul(column, s.k * size))
            b_step = panel * size
        else:
            b = f.at(b0, f.mul(column, size))
            b_step = s.b_k * size
        most = self.tile_rows
        if len(widths) == 1 and rows > most:
            most = min(12, 2 * most)
        for first, count, times in balanced(rows, most):
            if times == 1:
                self._tile(a0, b, f.add(row0, first), count, column, widths, b_step)
            else:
                with f.loop(0, times) as i:
                    row = f.add(f.add(row0, first), f.mul(i.index, count))
                    self._tile(a0, b, row, count, column, widths, b_step)

    def _tile(
        self, a0: str, b: str, row: Index, rows: int, column: Index, widths: list[int], b_step: int
    ) -> None:
        """The product of `rows` rows and all k with a few vectors, then what follows."""
        name = f"tile{len(self.functions)}"
        key = (rows, tuple(widths), b_step)
        known = self.tiles.get(key)
        if known is None:
            known = self.tiles[key] = self._tile_function(name, rows, widths, b_step)
        f = self.f
        size = SIZE[self.kind]
        a = f.at(a0, f.mul(row, self.s.a_row * size))
        pointers = []
        for pointer, batch, rs, cs, bytes_ in self.epilogue_addresses():
            at: Index = 0
            for part, step in zip(self.batch_parts, batch, strict=True):
                at = f.add(at, f.mul(part, step * bytes_))
            at = f.add(at, f.mul(row, rs * bytes_))
            at = f.add(at, f.mul(column, cs * bytes_))
            pointers.append(f.at(pointer, at))
        listed = "".join([f", ptr {p}" for p in pointers])
        numbers = "".join([f", {Lanes(f, 1).type(v.kind)} {v.name}" for v in self.numbers.values()])
        f.do(f"call void @{known}(ptr {a}, ptr {b}{listed}{numbers})")

    # What follows the product.
    def _accesses(self) -> None:
        c = self.cluster
        self.tiles: dict[Any, str] = {}
        self.accesses: dict[Any, Access] = {}
        self.operand: dict[tuple[Node, int], Any] = {}
        for n in c.nodes:
            if n is c.core:
                continue
            for k, i in enumerate(n.inputs):
                p = self.places[i]
                if p.base in c.level or p.base in self.constants:
                    continue
                kind = kind_of(p.base)
                if kind is None:
                    raise NotCompiled(str(p.base.dtype))
                steps = strides_in(p, c.shape)
                key = (p.base, p.offset, tuple(steps))
                self.accesses[key] = Access(p.base, kind, p.offset, tuple(steps[:-1]), steps[-1])
                self.operand[(n, k)] = key

    def _numbers(self) -> None:
        for n in self.cluster.nodes:
            if n.op.name in ("pow_s", "matmul"):
                continue
            for k, t in enumerate(n.stypes):
                kind = kind_of(n.inputs[-1]) if n.inputs else kind_of(n)
                assert kind is not None
                self.number(n.scalar_at + k, t, kind)
            for i in n.inputs:
                b = self.places[i].base
                if b in self.constants:
                    ck = kind_of(b)
                    assert ck is not None
                    self.number(b.scalar_at, b.stypes[0], ck)

    def epilogue_addresses(self) -> list[Any]:
        """For each operand and result: its address, steps (batch, row, column), element size."""
        out: list[Any] = []
        f = self.f
        for a in self.accesses.values():
            size = SIZE[a.kind]
            p = self.buffer(a.node)
            p = p if not a.offset else f.at(p, a.offset * size)
            out.append((p, a.rows[:-1], a.rows[-1], a.column, size))
        s = self.s
        steps = []
        step = s.m * s.n
        for m in reversed(s.batch):
            steps.append(step)
            step *= m
        steps.reverse()
        for n in self.cluster.nodes:
            if n in self.stored:
                kind = kind_of(n)
                assert kind is not None
                out.append((self.buffer(n), tuple(steps), s.n, 1, SIZE[kind]))
        return out

    def _tile_function(self, name: str, rows: int, widths: list[int], b_step: int) -> str:
        s, kind = self.s, self.kind
        size = SIZE[kind]
        keys = list(self.accesses)
        outs = [n for n in self.cluster.nodes if n in self.stored]
        params = ["ptr %a", "ptr %b"]
        params += [f"ptr %x{k}" for k in range(len(keys))]
        params += [f"ptr %o{k}" for k in range(len(outs))]
        numbers = {}
        for k, (key, v) in enumerate(self.numbers.items()):
            params.append(f"{Lanes(self.f, 1).type(v.kind)} %n{k}")
            numbers[key] = Value(f"%n{k}", v.kind)
        f = Function(name, ", ".join(params), self.declarations)
        lanes = [Lanes(f, w) for w in widths]
        offsets = [sum(widths[:j]) for j in range(len(widths))]
        # The order of summation is that of the library PyTorch uses on this kind of machine: k in
        # blocks of 192, and few columns without fusing product and sum. What float32 rounds off
        # then is rounded off alike, which keeps long training runs next to PyTorch's.
        fused = s.n >= NARROW

        def multiply(a: str, b: str, u: int, acc: list[str]) -> list[str]:
            right = [
                x.load(f.at(b, u * b_step + offsets[j] * size), kind) for j, x in enumerate(lanes)
            ]
            out = []
            for i in range(rows):
                left = Lanes(f, 1).load(f.at(a, (i * s.a_row + u * s.a_k) * size), kind)
                for j, x in enumerate(lanes):
                    old = Value(acc[i * len(lanes) + j], kind)
                    wide = x.splat(left)
                    if fused:
                        out.append(x.fma(wide, right[j], old).name)
                    else:
                        out.append(x.add(old, x.mul(wide, right[j])).name)
            return out

        def span(a: str, b: str, count: int) -> tuple[list[str], str, str]:
            unroll = 2 if count % 2 == 0 and count > 2 else 1
            with f.loop(0, count, unroll, [*carried, ("ptr", a), ("ptr", b)], some=True) as loop:
                acc, p, q = loop.values[:-2], loop.values[-2], loop.values[-1]
                for u in range(unroll):
                    acc = multiply(p, q, u, acc)
                loop.next = [*acc, f.at(p, unroll * s.a_k * size), f.at(q, unroll * b_step)]
            return loop.values[:-2], loop.values[-2], loop.values[-1]

        zeros = [x.const(0, kind).name for _ in range(rows) for x in lanes]
        carried = [(x.type(kind), z) for (x, z) in zip(lanes * rows, zeros, strict=True)]
        blocks, rest = divmod(s.k, BLOCK)
        if s.k <= BLOCK:
            sums, _, _ = span("%a", "%b", s.k)
        else:
            room = f.scratch(Lanes(f, 1).type(kind), rows * sum(widths))
            spots = [
                (x, f.at(room, (i * sum(widths) + offsets[j]) * size))
                for i in range(rows)
                for j, x in enumerate(lanes)
            ]
            for x, p in spots:
                x.store(x.const(0, kind), p)

            def total(sums: list[str]) -> list[Value]:
                return [
                    x.add(x.load(p, kind), Value(v, kind))
                    for (x, p), v in zip(spots, sums, strict=True)
                ]

            with f.loop(0, blocks, 1, [("ptr", "%a"), ("ptr", "%b")], some=True) as block:
                sums, a, b = span(block.values[0], block.values[1], BLOCK)
                for (x, p), v in zip(spots, total(sums), strict=True):
                    x.store(v, p)
                block.next = [a, b]
            if rest:
                sums, _, _ = span(block.values[0], block.values[1], rest)
                sums = [v.name for v in total(sums)]
            else:
                sums = [x.load(p, kind).name for x, p in spots]
        own = self.f
        for i in range(rows):
            for j, x in enumerate(lanes):
                memo = {self.cluster.core: Value(sums[i * len(lanes) + j], kind)}
                self.f = f  # the expressions go into the tile
                try:
                    for n in self.cluster.nodes:
                        if n not in memo:
                            args = [
                                self._operand(n, k, x, i, offsets[j], memo, keys, numbers)
                                for k in range(len(n.inputs))
                            ]
                            memo[n] = self._compute_in_tile(n, x, args, numbers)
                finally:
                    self.f = own
                for k, n in enumerate(outs):
                    item = SIZE[memo[n].kind]
                    x.store(memo[n], f.at(f"%o{k}", (i * s.n + offsets[j]) * item))
        self.functions.append(f.text("internal "))
        return name

    def _compute_in_tile(self, n: Node, x: Lanes, args: list[Value], numbers: Any) -> Value:
        saved = self.numbers
        self.numbers = numbers
        try:
            return self.compute(n, x, args)
        finally:
            self.numbers = saved

    def _operand(
        self, n: Node, k: int, x: Lanes, i: int, column: int, memo: Any, keys: Any, numbers: Any
    ) -> Value:
        b = self.places[n.inputs[k]].base
        if b in memo:
            return memo[b]
        if b in self.constants:
            kind = kind_of(b)
            assert kind is not None
            return x.splat(numbers[(b.scalar_at, b.stypes[0].__name__, kind)])
        key = self.operand[(n, k)]
        a = self.accesses[key]
        size = SIZE[a.kind]
        p = x.f.at(f"%x{keys.index(key)}", (i * a.rows[-1] + column * a.column) * size)
        if a.column == 1 or x.width == 1:
            return x.load(p, a.kind)
        return x.load_strided(p, a.column * size, a.kind)


def packed_size(s: Shape, panel: int) -> int:
    """Elements of one packed matrix."""
    return -(-s.n // panel) * panel * s.k


def packed_bytes(s: Shape, panel: int, kind: str) -> int:
    """Bytes of all packed matrices of a product."""
    own = math.prod([m for m, b in zip(s.batch, s.b_batch, strict=True) if b])
    return packed_size(s, panel) * own * SIZE[kind]


class PackKernel(Kernel):
    """Copies the right operand of a product into panels."""

    def build(self, width: int) -> None:
        """Write the kernel; `width` is that of a vector of float32."""
        n = self.cluster.core
        assert n is not None
        kind = kind_of(n)
        assert kind is not None
        size = SIZE[kind]
        w = width if kind == "f32" else width // 2
        panel = 2 * w
        s = Shape(n, self.places)
        f = self.f
        source = f.at(self.buffer(self.places[n.inputs[1]].base), s.b_offset * size)
        self.room[("packed", n)] = packed_bytes(s, panel, kind)
        target = self.buffer(n, "packed")
        panels = -(-s.n // panel)
        own = [(m, sb) for m, sb in zip(s.batch, s.b_batch, strict=True) if sb]
        batches = 1
        for m, _ in own:
            batches *= m
        self.units = batches * panels
        x = Lanes(f, w)
        one = Lanes(f, 1)
        with f.loop("%lo", "%hi") as unit:
            j = f.rem(unit.index, panels)
            batch = f.div(unit.index, panels)
            src = f.at(source, f.mul(j, panel * s.b_column * size))
            rest: Index = batch
            for m, sb in reversed(own):
                src = f.at(src, f.mul(f.rem(rest, m), sb * size))
                rest = f.div(rest, m)
            dst = f.at(target, f.mul(unit.index, panel * s.k * size))
            tail = s.n % panel
            if tail:
                whole = f.let(f"icmp slt i64 {j}, {panels - 1}")
                with f.when(whole):
                    self._panel(x, one, s, src, dst, panel, panel, kind)
                part = f.let(f"icmp eq i64 {j}, {panels - 1}")
                with f.when(part):
                    self._panel(x, one, s, src, dst, tail, panel, kind)
            else:
                self._panel(x, one, s, src, dst, panel, panel, kind)

    def _panel(
        self, x: Lanes, one: Lanes, s: Shape, src: str, dst: str, count: int, panel: int, kind: str
    ) -> None:
        f, size, w = self.f, SIZE[kind], x.width
        if s.b_column == 1:
            with f.loop(0, s.k, some=True) as k:
                a = f.at(src, f.mul(k.index, s.b_k * size))
                b = f.at(dst, f.mul(k.index, panel * size))
                at = 0
                for p in pieces(count, w):
                    y = Lanes(f, p)
                    y.store(y.load(f.at(a, at * size), kind), f.at(b, at * size))
                    at += p
            return
        blocks, low = 0, 0
        if s.b_k == 1 and w in (4, 8) and s.k >= w:
            blocks, low = count // w, s.k // w * w
            if blocks:
                with f.loop(0, low, w, some=True) as k:
                    for q in range(blocks):
                        a = f.at(src, f.mul(k.index, size))
                        a = f.at(a, q * w * s.b_column * size)
                        rows = [x.load(f.at(a, r * s.b_column * size), kind) for r in range(w)]
                        b = f.at(f.at(dst, f.mul(k.index, panel * size)), q * w * size)
                        for r, v in enumerate(transposed(x, rows)):
                            x.store(v, f.at(b, r * panel * size))

        def scalars(first: Index, last: Index, columns: range) -> None:
            if not len(columns) or (isinstance(first, int) and first >= s.k):
                return
            with f.loop(first, last, some=True) as k:
                a = f.at(src, f.mul(k.index, s.b_k * size))
                b = f.at(dst, f.mul(k.index, panel * size))
                for c in columns:
                    v = one.load(f.at(a, c * s.b_column * size), kind)
                    one.store(v, f.at(b, c * size))

        scalars(low if blocks else 0, s.k, range(blocks * w))
        scalars(0, s.k, range(blocks * w, count))


def transposed(x: Lanes, rows: list[Value]) -> list[Value]:
    """A square of vectors, transposed by exchanging halves, quarters and so on."""
    w, f = x.width, x.f
    d = w // 2
    out = list(rows)
    t = x.type(rows[0].kind)
    while d:
        low = [i if not i // d % 2 else w + i - d for i in range(w)]
        high = [i + d if not i // d % 2 else w + i for i in range(w)]
        done = list(out)
        for i in range(w):
            if i // d % 2 == 0:
                for k, mask in ((i, low), (i + d, high)):
                    m = ", ".join([f"i32 {q}" for q in mask])
                    done[k] = Value(
                        f.let(
                            f"shufflevector {t} {out[i].name}, {t} {out[i + d].name}, "
                            f"<{w} x i32> <{m}>"
                        ),
                        rows[0].kind,
                    )
        out = done
        d //= 2
    return out


class Product:
    """The emitter of matrix products."""

    joins = True
    constants = ()

    def accepts(self, n: Node) -> bool:
        """float32 and float64."""
        return kind_of(n) in ("f32", "f64")

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """Packing where it pays, then the product."""
        cluster, places = args[:2]
        packed = Shape(cluster.core, places).packs(width)
        out: list[Kernel] = []
        if packed:
            pack = PackKernel(*args)
            pack.build(width)
            out.append(pack)
        product = ProductKernel(*args, guards=guards, packed=packed)
        product.build(width)
        return [*out, product]
