"""Tiles of a matrix product: the sums in registers, then what follows the product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula.compiler.cluster import kind_of, number_kind
from facula.cpu.blocking import LINE
from facula.cpu.kernels import Kernel, strides_in
from facula.cpu.strips import masked_load, masked_store
from facula.cpu.text import Function, Index, NotCompiled
from facula.cpu.vector import SIZE, STORED, Lanes, Value
from facula.summation import BLOCK
from facula.trace.node import Node

STRETCH = 16  # steps of k, at least, between fetches of what follows a product
UNROLLED = 48  # expressions after the product that are written out for every row


class Edge(Lanes):
    """Lanes of which only the first `active` are in memory."""

    def __init__(self, f: Function, width: int, active: int) -> None:
        super().__init__(f, width)
        self.active = active

    def _mask(self) -> Value:
        lanes = ["i1 true"] * self.active + ["i1 false"] * (self.width - self.active)
        return Value("<" + ", ".join(lanes) + ">", "b")

    def load(self, pointer: str, kind: str) -> Value:
        """Lanes next to each other in memory; zeros follow."""
        raw = STORED.get(kind, kind)
        return self.unpack(masked_load(self, pointer, self._mask(), self.const(0, raw)), kind)

    def load_strided(self, pointer: str, step: Index, kind: str) -> Value:
        """Lanes `step` bytes apart; zeros follow."""
        f, one = self.f, Lanes(self.f, 1)
        if step == 0:
            return self.splat(one.load(pointer, kind))
        parts = [one.load(f.at(pointer, f.mul(k, step)), kind) for k in range(self.active)]
        return self.join(parts + [one.const(0, kind)] * (self.width - self.active))

    def store(self, a: Value, pointer: str) -> None:
        """Only the lanes that are in memory."""
        masked_store(self, self.pack(a), pointer, self._mask())

    def library(self, name: str, *args: Value) -> Value:
        """A function of the C library on the lanes that are in memory."""
        one = Lanes(self.f, 1)
        out = [one.library(name, *[self.lane(a, k) for a in args]) for k in range(self.active)]
        zero = one.const(0, args[0].kind)
        return self.join(out + [zero] * (self.width - self.active))


def lanes_of(f: Function, columns: int, width: int) -> list[Lanes]:
    """So many columns as vectors, the last one perhaps in part."""
    out: list[Lanes] = [Lanes(f, width)] * (columns // width)
    rest = columns % width
    if rest:
        w = 1
        while w < rest:
            w *= 2
        out.append(Lanes(f, w) if w == rest else Edge(f, w, rest))
    return out


class Epilogue:
    """What follows a product: its operands, its expressions and its results."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        c = kernel.cluster
        assert c.core is not None
        self.core = c.core
        self.keys: dict[Any, int] = {}  # (node, offset, steps) -> position
        self.operand: dict[tuple[Node, int], int] = {}
        self.steps: list[list[int]] = []
        for n in c.nodes:
            if n is c.core:
                continue
            for k, i in enumerate(n.inputs):
                p = kernel.places[i]
                if p.base in c.level or p.base in kernel.constants:
                    continue
                if kind_of(p.base) is None:
                    raise NotCompiled(str(p.base.dtype))
                steps = strides_in(p, c.shape)
                key = (p.base, p.offset, tuple(steps))
                if key not in self.keys:
                    self.keys[key] = len(self.keys)
                    self.steps.append(steps)
                self.operand[(n, k)] = self.keys[key]
        self.outs = [n for n in c.nodes if n in kernel.stored]
        self.kinds = [_kind(k[0]) for k in self.keys] + [_kind(n) for n in self.outs]

    def bases(self) -> list[str]:
        """The addresses of operands and results, in the kernel."""
        kernel = self.kernel
        out = [kernel.origin(node, offset) for node, offset, _ in self.keys]
        return out + [kernel.buffer(n) for n in self.outs]

    def structure(self) -> tuple[Any, ...]:
        """What the expressions are, whatever the sizes. The kernel's numbers must be loaded."""
        kernel = self.kernel
        nodes = kernel.cluster.nodes
        order = {n: i for i, n in enumerate(nodes)}
        numbers = {at: i for i, at in enumerate(kernel.numbers)}

        def number(n: Node, k: int, kind: str) -> int:
            return numbers[n.scalar_at + k, n.stypes[k].__name__, kind]

        parts: list[Any] = [tuple(self.kinds), tuple([order[n] for n in self.outs])]
        for n in nodes:
            if n is self.core:
                continue
            parts.append((n.op, n.params, n.dtype))
            if n.op.name == "pow_s":
                exponent = kernel.guards[n.scalar_at]
                parts.append((type(exponent), repr(exponent)))
            elif n.stypes:
                kind = number_kind(n)
                parts.append(tuple([number(n, k, kind) for k in range(len(n.stypes))]))
            for k, i in enumerate(n.inputs):
                b = kernel.places[i].base
                if b in order:
                    parts.append(order[b])
                elif b in kernel.constants:
                    parts.append(("number", number(b, 0, _kind(b))))
                else:
                    parts.append(("at", self.operand[(n, k)]))
        return tuple(parts)


def _kind(n: Node) -> str:
    kind = kind_of(n)
    assert kind is not None
    return kind


class TileWriter:
    """Writes tile functions for one kernel.

    A tile is called with the addresses of its rows of the left operand, of its panel of the right
    one, of room for its sums, with how much of k to do, with whether that is the first part of k
    (1), the last (2) and the one that fetches what follows (4), and with an address for each
    operand and result of the epilogue.
    """

    lined = False  # whether a tile is told which row its first one is

    def __init__(self, kernel: Kernel, epilogue: Epilogue, kind: str, width: int) -> None:
        self.kernel = kernel
        self.epilogue = epilogue
        self.kind = kind
        self.width = width
        self.k = 0
        self.parts = False  # whether a call does a part of k only, `BLOCK` at most
        self.fetching = 0  # how much of k the part does that fetches what follows
        # Steps of the operands, in bytes; those of a loose kernel (`loose`) are names.
        self.a_row: Any = 0
        self.a_k: Any = 0
        self.b_k: Any = 0
        self.b_column: Any = 0
        self.fused = True
        self.packed = False  # whether the panel was copied: then it is filled up to whole vectors
        # Bytes from an element of an operand to one that is fetched early, or 0.
        self.ahead = self.right_ahead = 0
        self.steps: list[tuple[Any, Any]] = []  # of the epilogue, in bytes: row, column
        self.known: dict[Any, str] = {}

    def call(
        self,
        rows: int,
        columns: int,
        a: str,
        b: str,
        room: str,
        k: Index,
        part: Index,
        at: Any,
        line: Index,
    ) -> None:
        """Call the tile for so many rows and columns; `at`: addresses for the epilogue, `line`: the
        first of its rows."""
        key = (rows, columns)
        if key not in self.known:
            self.known[key] = self._write(rows, columns)
        f = self.kernel.f
        numbers = "".join(
            [f", {Lanes(f, 1).type(v.kind)} {v.name}" for v in self.kernel.numbers.values()]
        )
        pointers = "".join([f", ptr {p}" for p in at])
        if self.lined:
            numbers += f", i64 {line}"
        f.do(
            f"call void @{self.known[key]}(ptr {a}, ptr {b}, ptr {room}, i64 {k}, i64 {part}"
            f"{pointers}{numbers})"
        )

    def _write(self, rows: int, columns: int) -> str:
        def body(f: Function) -> None:
            self._body(f, rows, lanes_of(f, columns, self.width))

        own = ["ptr %a", "ptr %b", "ptr %room", "i64 %k", "i64 %part"]
        return self._function(own, ["i64 %line"] if self.lined else [], body)

    def _function(self, own: list[str], more: list[str], body: Callable[[Function], None]) -> str:
        """Write a function of these parameters and, between them, the addresses and Python numbers
        of the epilogue; its name."""
        name = f"tile{len(self.kernel.functions)}"
        params = own + [f"ptr %x{i}" for i in range(len(self.epilogue.kinds))]
        numbers = {}
        for i, (key, v) in enumerate(self.kernel.numbers.items()):
            params.append(f"{Lanes(self.kernel.f, 1).type(v.kind)} %n{i}")
            numbers[key] = Value(f"%n{i}", v.kind)
        f = Function(name, ", ".join(params + more), self.kernel.declarations)
        outer, saved = self.kernel.f, self.kernel.numbers
        self.kernel.f, self.kernel.numbers = f, numbers  # the expressions go into the tile
        try:
            body(f)
        finally:
            self.kernel.f, self.kernel.numbers = outer, saved
        self.kernel.functions.append(f.text("internal "))
        return name

    def _body(self, f: Function, rows: int, lanes: list[Lanes]) -> None:
        size, kind = SIZE[self.kind], self.kind
        offsets = [sum([x.width for x in lanes[:j]]) for j in range(len(lanes))]
        across = sum([x.width for x in lanes])
        self.many = rows * len(lanes) * len(self.epilogue.kernel.cluster.nodes) > UNROLLED
        spots = [
            (Lanes(f, x.width), f.at("%room", (i * across + offsets[j]) * size))
            for i in range(rows)
            for j, x in enumerate(lanes)
            if self.parts or self.many
        ]

        def leave(sums: list[Value]) -> None:
            for (x, p), v in zip(spots, sums, strict=True):
                x.store(v, p)

        count: Index = "%k" if self.parts else self.k
        sums = self._span(f, rows, lanes, offsets, count)
        if self.parts:
            sums = self._total(f, spots, sums)
            last = self._is(f, 2)
            then, more, end = f.label("then"), f.label("more"), f.label("end")
            f.do(f"br i1 {last}, label %{then}, label %{more}")
            f.start(more)
            leave(sums)
            f.do(f"br label %{end}")
            f.start(then)
        if self.many:
            leave(sums)
            with f.loop(0, rows) as loop:
                for j, x in enumerate(lanes):
                    at = f.add(f.mul(loop.index, across * size), offsets[j] * size)
                    v = Lanes(f, x.width).load(f.at("%room", at), kind)
                    self._finish(x, v, loop.index, offsets[j])
        else:
            for i in range(rows):
                for j, x in enumerate(lanes):
                    self._finish(x, sums[i * len(lanes) + j], i, offsets[j])
        if self.parts:
            f.do(f"br label %{end}")
            f.start(end)

    def _is(self, f: Function, what: int) -> str:
        """Whether this part of k is the first, the last, or the one that fetches."""
        return f.let(f"icmp ne i64 {f.let(f'and i64 %part, {what}')}, 0")

    def _expect(self, f: Function, pointers: dict[int, str], rows: int, columns: int) -> None:
        """Have brought near, while sums are made, what follows them reads and writes in some rows.
        `pointers`: for each operand and result, where the first of these rows begins."""
        e = self.epilogue
        # Results first: a line that is written over is asked for once, by who may write to it.
        for k, pointer in reversed(pointers.items()):
            row, step = self.steps[k]
            for i in range(rows):
                for byte in range(0, columns * step, LINE):
                    f.fetch(f.at(pointer, i * row + byte), write=k >= len(e.keys))

    def _total(self, f: Function, spots: Any, sums: list[Value]) -> list[Value]:
        """The sums added to those of the parts of k before, which are in the room."""
        begins = self._is(f, 1)
        before, add, out = f.block, f.label("add"), f.label("sum")
        f.do(f"br i1 {begins}, label %{out}, label %{add}")
        f.start(add)
        totals = [x.add(x.load(p, v.kind), v) for (x, p), v in zip(spots, sums, strict=True)]
        f.do(f"br label %{out}")
        f.start(out)
        return [
            Value(f.let(f"phi {x.type(v.kind)} [{v.name}, %{before}], [{t.name}, %{add}]"), v.kind)
            for (x, _), v, t in zip(spots, sums, totals, strict=True)
        ]

    def _span(
        self, f: Function, rows: int, lanes: list[Lanes], offsets: list[int], count: Index
    ) -> list[Value]:
        """Sums over a part of k, from zero.

        On the way, what follows them is fetched row by row: more lines at once would be waited for.
        """
        kind, size = self.kind, SIZE[self.kind]
        one = Lanes(f, 1)
        sums = [(x.type(kind), x.const(0, kind).name) for _ in range(rows) for x in lanes]
        kinds = enumerate(zip(self.epilogue.kinds, self.steps, strict=True))
        expected = [k for k, (what, (row, step)) in kinds if step == SIZE[what] and row]
        whole = self.fetching if self.parts else self.k
        stretches = max(1, min(rows, whole // STRETCH)) if expected else 1
        at_once = -(-rows // stretches)
        stretch = -(-whole // (2 * stretches)) * 2 if stretches > 1 else max(whole, BLOCK)
        across = sum([x.width for x in lanes])
        fetching = self._is(f, 4) if self.parts and expected else ""
        unroll = 2 if isinstance(count, int) and count % 2 == 0 and count > 2 else 1

        def multiply(p: str, q: str, u: int, acc: list[str]) -> list[str]:
            right = [
                (Lanes(f, x.width) if self.packed else x).load(
                    f.at(q, u * self.b_k + offsets[j] * size), kind
                )
                for j, x in enumerate(lanes)
            ]
            if self.ahead:
                f.fetch(f.at(p, u * self.a_k + self.ahead))
            if self.right_ahead:
                for byte in range(0, offsets[-1] * size + 1, LINE):
                    f.fetch(f.at(q, u * self.b_k + self.right_ahead + byte))
            out = []
            for i in range(rows):
                left = one.load(f.at(p, i * self.a_row + u * self.a_k), kind)
                for j, x in enumerate(lanes):
                    old = Value(acc[i * len(lanes) + j], kind)
                    wide = x.splat(left)
                    if self.fused:
                        out.append(x.fma(wide, right[j], old).name)
                    else:
                        out.append(x.add(old, x.mul(wide, right[j])).name)
            return out

        n = len(sums)
        carried = [*sums, ("ptr", "%a"), ("ptr", "%b"), *[("ptr", f"%x{k}") for k in expected]]
        with f.loop(0, count, stretch, carried, some=True) as part:
            pointers = dict(zip(expected, part.values[n + 2 :], strict=True))
            if fetching:
                with f.when(fetching):
                    self._expect(f, pointers, at_once, across)
            else:
                self._expect(f, pointers, at_once, across)
            these = f.smaller(f.sub(count, part.index), stretch) if stretches > 1 else count
            inner = zip([t for t, _ in carried[: n + 2]], part.values[: n + 2], strict=True)
            with f.loop(0, these, unroll, list(inner), some=True) as loop:
                acc, p, q = loop.values[:n], loop.values[n], loop.values[n + 1]
                for u in range(unroll):
                    acc = multiply(p, q, u, acc)
                loop.next = [*acc, f.at(p, unroll * self.a_k), f.at(q, unroll * self.b_k)]
            moved = [f.at(p, at_once * self.steps[k][0]) for k, p in pointers.items()]
            part.next = [*loop.values, *moved]
        return [Value(v, kind) for v in part.values[:n]]

    def _finish(self, x: Lanes, v: Value, i: Index, column: int) -> None:
        """The epilogue for one vector of the product, in row i of the tile."""
        e, f = self.epilogue, x.f
        kernel = e.kernel
        memo: dict[Node, Value] = {e.core: v}

        def address(k: int) -> str:
            row, across = self.steps[k]
            return f.at(f"%x{k}", f.add(f.mul(i, row), f.mul(column, across)))

        def operand(n: Node, k: int) -> Value:
            b = kernel.places[n.inputs[k]].base
            if b in memo:
                return memo[b]
            if b in kernel.constants:
                return x.splat(kernel.number(b.scalar_at, b.stypes[0], _kind(b)))
            at = e.operand[(n, k)]
            step = self.steps[at][1]
            if step == SIZE[e.kinds[at]] or x.width == 1:
                return x.load(address(at), e.kinds[at])
            return x.load_strided(address(at), step, e.kinds[at])

        for n in kernel.cluster.nodes:
            if n not in memo:
                memo[n] = kernel.compute(n, x, [operand(n, k) for k in range(len(n.inputs))])
        for k, n in enumerate(e.outs):
            x.store(memo[n], address(len(e.keys) + k))


class DotWriter(TileWriter):
    """Tiles whose vectors go along k, for operands that both have it in one piece: nothing needs
    to be copied, which few rows or columns would not pay for."""

    def _span(
        self, f: Function, rows: int, lanes: list[Lanes], offsets: list[int], count: Index
    ) -> list[Value]:
        """Sums over all of k."""
        (x,) = lanes
        columns = x.active if isinstance(x, Edge) else x.width
        kind, size, w = self.kind, SIZE[self.kind], self.width
        plain = Lanes(f, w)
        zero = plain.const(0, kind)
        each = rows * columns
        sets = 1  # of sums: with few of them, each would wait for the one before
        while each * sets < 8 and (2 * sets) * w <= self.k:
            sets *= 2

        def multiply(y: Lanes, at: Index, acc: list[str]) -> list[str]:
            p, q = f.at("%a", f.mul(at, size)), f.at("%b", f.mul(at, size))
            left = [y.load(f.at(p, i * self.a_row), kind) for i in range(rows)]
            out = []
            for j in range(columns):
                right = y.load(f.at(q, j * self.b_column), kind)
                for i in range(rows):
                    out.append(y.fma(left[i], right, Value(acc[j * rows + i], kind)).name)
            return out

        sums = [zero.name] * (each * sets)
        step = w * sets
        main = self.k // step * step
        with f.loop(0, main, step, [(plain.type(kind), v) for v in sums]) as loop:
            for u in range(sets):
                acc = loop.values[u * each : (u + 1) * each]
                loop.next += multiply(plain, f.add(loop.index, u * w), acc)
        sums = loop.values
        for at in range(main, self.k, w):
            rest = min(w, self.k - at)
            y = plain if rest == w else Edge(f, w, rest)
            sums[:each] = multiply(y, at, sums[:each])
        while len(sums) > each:
            half = len(sums) // 2
            pairs = zip(sums[:half], sums[half:], strict=True)
            sums = [plain.add(Value(a, kind), Value(b, kind)).name for a, b in pairs]
        out = []
        for i in range(rows):
            row = [Value(sums[j * rows + i], kind) for j in range(columns)]
            out.append(added(plain, row + [zero] * (x.width - columns)))
        return out


def added(x: Lanes, values: list[Value]) -> Value:
    """The sums of the lanes of each value, side by side; their number is a power of two."""
    w, d, count = x.width, 1, len(values)
    while len(values) > 1:
        low = [i if not i & d else w + i - d for i in range(w)]
        high = [i + d if not i & d else w + i for i in range(w)]
        pairs = zip(values[::2], values[1::2], strict=True)
        values = [x.add(x.shuffle(a, b, low), x.shuffle(a, b, high)) for a, b in pairs]
        d *= 2
    (v,) = values
    while w > count:
        w //= 2
        wide, x = x, Lanes(x.f, w)
        v = x.add(wide.part(v, 0, w), wide.part(v, w, w))
    return v
