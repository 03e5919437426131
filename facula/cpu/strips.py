"""Vectors along a row of which some lanes may lie outside: how windows meet borders."""

from __future__ import annotations

from facula.cpu.text import Function, Index
from facula.cpu.vector import SIZE, Lanes, Value

AWAY = -(1 << 30)  # a position that is outside of every row, whatever lane is added to it


def ramp(x: Lanes, step: int = 1) -> Value:
    """0, step, 2 step, ... as int32."""
    if x.width == 1:
        return Value("0", "i32")
    return Value("<" + ", ".join([f"i32 {k * step}" for k in range(x.width)]) + ">", "i32")


def positions(x: Lanes, first: Index, step: int) -> Value:
    """first, first + step, ... as int32; `first` is an i64."""
    f = x.f
    short = str(first) if isinstance(first, int) else f.let(f"trunc i64 {first} to i32")
    wide = x.const(int(short), "i32") if isinstance(first, int) else x.splat(Value(short, "i32"))
    return x.add(wide, ramp(x, step)) if x.width > 1 else wide


def inside(x: Lanes, at: Value, size: Index) -> Value:
    """Which positions are in 0 .. size - 1."""
    if isinstance(size, int):
        limit = x.const(size, "i32")
    else:
        limit = x.splat(Value(x.f.let(f"trunc i64 {size} to i32"), "i32"))
    return x.op("icmp ult", at, limit, "b")


def _letter(x: Lanes, kind: str) -> str:
    return f"v{x.width}{kind}"


def masked_load(x: Lanes, pointer: str, mask: Value, fill: Value) -> Value:
    """Lanes next to each other; memory is touched only where the mask holds."""
    f, t, kind = x.f, x.type(fill.kind), fill.kind
    if x.width == 1:
        return _guarded(x, pointer, mask, fill)
    m = x.type("b")
    name = f"llvm.masked.load.{_letter(x, kind)}.p0"
    f.declare(t, name, "ptr", "i32", m, t)
    arguments = f"ptr {pointer}, i32 {SIZE[kind]}, {m} {mask.name}, {t} {fill.name}"
    return Value(f.let(f"call {t} @{name}({arguments})"), kind)


def _guarded(x: Lanes, pointer: str, mask: Value, fill: Value) -> Value:
    f, t = x.f, x.type(fill.kind)
    before = f.block
    yes, out = f.label("then"), f.label("fi")
    f.do(f"br i1 {mask.name}, label %{yes}, label %{out}")
    f.start(yes)
    v = x.load(pointer, fill.kind)
    f.do(f"br label %{out}")
    f.start(out)
    return Value(f.let(f"phi {t} [{fill.name}, %{before}], [{v.name}, %{yes}]"), fill.kind)


def masked_store(x: Lanes, v: Value, pointer: str, mask: Value) -> None:
    """Store the lanes where the mask holds."""
    f, t = x.f, x.type(v.kind)
    if x.width == 1:
        with f.when(mask.name):
            x.store(v, pointer)
        return
    m = x.type("b")
    name = f"llvm.masked.store.{_letter(x, v.kind)}.p0"
    f.declare("void", name, t, "ptr", "i32", m)
    f.do(f"call void @{name}({t} {v.name}, ptr {pointer}, i32 {SIZE[v.kind]}, {m} {mask.name})")


def gather(x: Lanes, base: str, at: Value, stride: int, mask: Value, fill: Value) -> Value:
    """Lanes at `stride * at` elements from the base, where the mask holds."""
    f, kind = x.f, fill.kind
    if x.width == 1:
        where = f.mul(f.let(f"sext i32 {at.name} to i64"), stride * SIZE[kind])
        return _guarded(x, f.at(base, where), mask, fill)
    t, m, p = x.type(kind), x.type("b"), f"<{x.width} x ptr>"
    wide = f.let(f"sext {x.type('i32')} {at.name} to {x.type('i64')}")
    if stride != 1:
        wide = x.mul(Value(wide, "i64"), x.const(stride, "i64")).name
    scalar = "float" if kind == "f32" else "double" if kind == "f64" else kind
    where = f.let(f"getelementptr {scalar}, ptr {base}, {x.type('i64')} {wide}")
    name = f"llvm.masked.gather.{_letter(x, kind)}.v{x.width}p0"
    f.declare(t, name, p, "i32", m, t)
    arguments = f"{p} {where}, i32 {SIZE[kind]}, {m} {mask.name}, {t} {fill.name}"
    return Value(f.let(f"call {t} @{name}({arguments})"), kind)


def even_lanes(x: Lanes, a: Value, b: Value) -> Value:
    """Lanes 0, 2, 4, ... of two vectors one after the other."""
    return x.shuffle(a, b, [2 * k for k in range(x.width)])


class Reader:
    """Reads elements first, first + step, ... of rows of `size` elements `stride` apart.

    What does not depend on the row is computed where the reader is made.
    """

    def __init__(
        self, x: Lanes, first: Index, step: int, size: Index, stride: int, fill: Value
    ) -> None:
        self.x, self.step, self.stride, self.fill = x, step, stride, fill
        self.at = positions(x, first, step)
        self.mask = inside(x, self.at, size)
        f = x.f
        self.ahead = f.mul(first, stride * SIZE[fill.kind])
        self.pairs = x.width > 1 and stride == 1 and step == 2
        if self.pairs:
            self.low = inside(x, positions(x, first, 1), size)
            self.high = inside(x, positions(x, f.add(first, x.width), 1), size)

    def load(self, row: str) -> Value:
        """The lanes of a row; `fill` where they are outside."""
        x, f = self.x, self.x.f
        if x.width == 1 or (self.stride == 1 and self.step == 1):
            return masked_load(x, f.at(row, self.ahead), self.mask, self.fill)
        if self.pairs:
            p = f.at(row, self.ahead)
            a = masked_load(x, p, self.low, self.fill)
            b = masked_load(x, f.at(p, x.width * SIZE[self.fill.kind]), self.high, self.fill)
            return even_lanes(x, a, b)
        return gather(x, row, self.at, self.stride, self.mask, self.fill)


def row_lanes(
    x: Lanes, row: str, first: Index, step: int, size: Index, stride: int, fill: Value
) -> tuple[Value, Value, Value]:
    """What a `Reader` reads of one row, the positions, and which of them are inside."""
    reader = Reader(x, first, step, size, stride, fill)
    return reader.load(row), reader.at, reader.mask


def choose(f: Function, condition: str, a: Index, b: Index) -> str:
    """One of two indices."""
    return f.let(f"select i1 {condition}, i64 {a}, i64 {b}")


def both(f: Function, a: str | None, b: str | None) -> str | None:
    """Two conditions, either of which may be None for always."""
    if a is None or b is None:
        return b if a is None else a
    return f.let(f"and i1 {a}, {b}")
