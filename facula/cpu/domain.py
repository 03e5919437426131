"""Kernels that walk over strided operands: loops, and a core with the operations that follow it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.kernels import CHUNK, UNITS, Kernel, merged, strides_in
from facula.cpu.text import Function, Index, NotCompiled
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node, contiguous_strides

Body = Callable[[Lanes, list[str], list[int]], None]


def load(x: Lanes, pointer: str, step: int, kind: str) -> Value:
    """Lanes that lie `step` bytes apart."""
    if x.width == 1 or step == SIZE[kind]:
        return x.load(pointer, kind)
    return x.load_strided(pointer, step, kind)


def store(x: Lanes, v: Value, pointer: str, step: int) -> None:
    """Store lanes `step` bytes apart."""
    if x.width == 1 or step == SIZE[v.kind]:
        x.store(v, pointer)
    else:
        x.store_strided(v, pointer, step)


def walk(
    f: Function,
    sizes: list[int],
    pointers: list[str],
    tables: list[list[int]],
    width: int,
    body: Body,
    first: tuple[Index, Index] | None = None,
) -> None:
    """Loops over a domain. `tables` has each pointer's steps in bytes; the innermost dimension goes
    by `width` lanes, then by fewer. `first` bounds the outermost dimension instead of its size.

    The body gets the lanes, the pointers to their first elements, and the innermost steps.
    """
    if not sizes:
        body(Lanes(f, 1), pointers, [0] * len(pointers))
        return
    low, high = first or (0, sizes[0])
    steps = [t[0] for t in tables]

    def moved(at: Index) -> list[str]:
        return [f.at(p, f.mul(at, s)) for p, s in zip(pointers, steps, strict=True)]

    if len(sizes) > 1:
        with f.loop(low, high) as i:
            walk(f, sizes[1:], moved(i.index), [t[1:] for t in tables], width, body)
        return
    if isinstance(low, int) and isinstance(high, int):
        at, w = low, width
        while at < high:
            count = (high - at) // w
            if count > 1:
                with f.loop(at, at + count * w, w) as i:
                    body(Lanes(f, w), moved(i.index), steps)
            elif count:
                body(Lanes(f, w), moved(at), steps)
            at += count * w
            w = max(1, w // 4)
        return
    span = f.sub(high, low)
    middle = f.add(low, f.let(f"and i64 {span}, {-width}"))
    for a, b, w in ((low, middle, width), (middle, high, 1)):
        with f.loop(a, b, w) as i:
            body(Lanes(f, w), moved(i.index), steps)


class Stream:
    """One operand as a walk sees it: where it begins and its steps over the domain, in elements."""

    __slots__ = ("column", "kind", "offset", "pointer", "rows", "steps", "value", "what")

    def __init__(self, what: tuple[str, Node], kind: str, offset: int, steps: list[int]) -> None:
        self.what = what  # a descriptor's entry
        self.kind = kind
        self.offset = offset
        self.steps = steps
        self.rows: list[int] = []
        self.column = 0
        self.pointer = ""
        self.value: Value | None = None  # of a row, where its elements are all the same one


class DomainKernel(Kernel):
    """A core that has a value for each element, and the pointwise operations that follow it."""

    def __init__(self, *args: Any, guards: dict[int, Any]) -> None:
        super().__init__(*args)
        self.guards = guards
        self.streams: dict[Any, Stream] = {}
        self.operand: dict[tuple[Node, int], Any] = {}
        self.work = 1  # operations for one element

    def prepare(self) -> None:
        """Name the core's streams."""
        raise NotImplementedError

    def core(self, x: Lanes, column: Index) -> Value:
        """The core's value at lanes from a column of the present row on."""
        raise NotImplementedError

    def stream(self, base: Node, offset: int, steps: list[int]) -> Any:
        """The key of an operand's stream."""
        kind = kind_of(base)
        if kind is None:
            raise NotCompiled(str(base.dtype))
        return self.stream_of(("buffer", base), kind, offset, steps)

    def stream_of(self, what: tuple[str, Node], kind: str, offset: int, steps: list[int]) -> Any:
        """The key of the stream of a buffer of some sort."""
        key = (what, offset, tuple(steps))
        if key not in self.streams:
            self.streams[key] = Stream(what, kind, offset, steps)
        return key

    def lanes(self, width: int) -> int:
        """How many elements a core has at a time, at most."""
        return width

    def build(self, width: int) -> None:
        """Write the kernel; `width` is that of a vector of float32."""
        f, c = self.f, self.cluster
        shape = c.shape
        self.width = width
        self.prepare()
        width = self.lanes(width)
        for n in c.nodes:
            if n is c.core:
                continue
            for k, i in enumerate(n.inputs):
                p = self.places[i]
                if p.base not in c.level and p.base not in self.constants:
                    self.operand[(n, k)] = self.stream(p.base, p.offset, strides_in(p, shape))
        streams = list(self.streams.values())
        sizes, tables = merged(
            list(shape), [*[list(s.steps) for s in streams], list(contiguous_strides(shape))]
        )
        if not sizes:
            sizes, tables = [1], [[0] for _ in tables]
        self.columns, rows = sizes[-1], 1
        self.row_sizes = sizes[:-1]
        for m in self.row_sizes:
            rows *= m
        for s, t in zip(streams, tables, strict=False):
            s.rows, s.column = t[:-1], t[-1]
        for s in streams:
            self._address(s)
        self.outs = [n for n in c.nodes if n in self.stored]
        for n in self.outs:
            self.buffer(n)
        self.preload()
        total = rows if self.row_sizes else self.columns
        weight = self.columns if self.row_sizes else 1
        per = max(1, -(-CHUNK // (weight * self.work)), -(-total // UNITS))
        if not self.row_sizes and width > 1:
            per = -(-per // 64) * 64
        self.units = -(-total // per)
        with f.loop("%lo", "%hi") as unit:
            low: Index = f.mul(unit.index, per)
            high: Index = f.smaller(f.add(low, per), total)
            if self.units == 1:
                low, high = 0, total
            if not self.row_sizes:
                self._row(0, low, high, width)
            else:
                with f.loop(low, high, some=True) as row:
                    self._row(row.index, 0, self.columns, width)

    def _address(self, s: Stream) -> str:
        what, node = s.what
        return self.buffer(node, what)

    def _row(self, row: Index, low: Index, high: Index, width: int) -> None:
        f = self.f
        parts: list[Index] = []
        rest = row
        for m in reversed(self.row_sizes[1:]):
            parts.append(f.rem(rest, m))
            rest = f.div(rest, m)
        parts.append(rest)
        parts.reverse()
        for s in self.streams.values():
            size = SIZE[s.kind]
            offset: Index = s.offset * size
            for part, step in zip(parts, s.rows, strict=False):
                offset = f.add(offset, f.mul(part, step * size))
            s.pointer = f.at(self._address(s), offset)
            s.value = None if s.column else Lanes(f, 1).load(s.pointer, s.kind)
        self.begin_row()
        known = isinstance(low, int) and isinstance(high, int)
        if known:
            at, w = low, width
            while at < high:  # type: ignore[operator]
                count = (high - at) // w  # type: ignore[operator]
                if count:
                    with f.loop(at, at + count * w, w) as i:  # type: ignore[operator]
                        self._elements(Lanes(f, w), i.index, row)
                at += count * w  # type: ignore[operator]
                w = max(1, w // 4)
            return
        middle = f.add(low, f.let(f"and i64 {f.sub(high, low)}, {-width}"))
        for a, b, w in ((low, middle, width), (middle, high, 1)):
            with f.loop(a, b, w) as i:
                self._elements(Lanes(f, w), i.index, row)

    def begin_row(self) -> None:
        """What a core computes once a row."""

    def read(self, key: Any, x: Lanes, column: Index) -> Value:
        """Lanes of a stream."""
        s = self.streams[key]
        if s.value is not None:
            return x.splat(s.value)
        size = SIZE[s.kind]
        at = self.f.at(s.pointer, self.f.mul(column, s.column * size))
        return load(x, at, s.column * size, s.kind)

    def _elements(self, x: Lanes, column: Index, row: Index) -> None:
        f, c = self.f, self.cluster
        assert c.core is not None
        memo: dict[Node, Value] = {c.core: self.core(x, column)}
        loads: dict[Any, Value] = {}
        for n in c.nodes:
            if n is c.core:
                continue
            args = []
            for k, i in enumerate(n.inputs):
                b = self.places[i].base
                if b in memo:
                    args.append(memo[b])
                elif b in self.constants:
                    kind = kind_of(b)
                    assert kind is not None
                    args.append(x.splat(self.number(b.scalar_at, b.stypes[0], kind)))
                else:
                    key = self.operand[(n, k)]
                    if key not in loads:
                        loads[key] = self.read(key, x, column)
                    args.append(loads[key])
            memo[n] = self.compute(n, x, args)
        for n in self.outs:
            v = memo[n]
            at = f.add(f.mul(row, self.columns * SIZE[v.kind]), f.mul(column, SIZE[v.kind]))
            x.store(v, f.at(self.buffer(n), at))
