"""Values of several lanes and the operations on them.

A kernel computes with vectors of one width; at the end of a row the same code is emitted once more
for fewer lanes. No fast-math: what NaN, infinities and signed zeros do is PyTorch's. Elementary
functions are in `facula.cpu.elementary`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from facula.compiler.builder import NARROW, SIZE, Builder, Value
from facula.cpu.text import Function, Index, float_bits

STORED = {"b": "u8", "bf16": "i16", "f16": "i16"}
_TYPE = {
    "f32": "float",
    "f64": "double",
    "i64": "i64",
    "i32": "i32",
    "i16": "i16",
    "i8": "i8",
    "u8": "i8",
    "b": "i1",
    "bf16": "float",
    "f16": "float",
}
NOT_USUAL = 0x9F  # classes of floats as x86 numbers them: zero, infinite or NaN


class Lanes(Builder):
    """Writes operations on `width` lanes into a function."""

    def __init__(self, f: Function, width: int) -> None:
        self.f = f
        self.width = width

    def type(self, kind: str) -> str:
        """LLVM's type of a value of this kind."""
        return _TYPE[kind] if self.width == 1 else f"<{self.width} x {_TYPE[kind]}>"

    def _spread(self, text: str, kind: str) -> str:
        if self.width == 1:
            return text
        return f"splat ({_TYPE[kind]} {text})"

    def const(self, x: float, kind: str) -> Value:
        """A constant in every lane."""
        if kind in ("f32", "f64", *NARROW):
            return Value(self._spread(float_bits(float(x), kind == "f64"), kind), kind)
        if kind == "b":
            return Value(self._spread("true" if x else "false", kind), kind)
        return Value(self._spread(str(int(x)), kind), kind)

    def splat(self, a: Value) -> Value:
        """One scalar in every lane."""
        if self.width == 1:
            return a
        t, f = _TYPE[a.kind], self.f
        v = f.let(f"insertelement <{self.width} x {t}> poison, {t} {a.name}, i32 0")
        zero = f"<{self.width} x i32> zeroinitializer"
        wide = f"<{self.width} x {t}>"
        return Value(f.let(f"shufflevector {wide} {v}, {wide} poison, {zero}"), a.kind, a)

    def first(self, count: str) -> Value:
        """Which lanes are the first so many; `count` is the name of an i64."""
        some = self.splat(Value(self.f.let(f"trunc i64 {count} to i32"), "i32"))
        lanes = "<" + ", ".join([f"i32 {k}" for k in range(self.width)]) + ">"
        return Value(self.f.let(f"icmp ult {self.type('i32')} {lanes}, {some.name}"), "b")

    # Memory. Bools are bytes there, narrow floats 16-bit patterns.
    def unpack(self, raw: Value, kind: str) -> Value:
        """A value from the form in which it lies in memory."""
        if kind == "b":
            return self.compare("ne", raw, self.const(0, "u8"))
        if kind == "bf16":
            i = self.convert("zext", raw, "i32")
            return Value(self.bits(self.op("shl", i, self.const(16, "i32"))).name, kind)
        if kind == "f16":
            half = self._half()
            h = self.f.let(f"bitcast {self.type('i16')} {raw.name} to {half}")
            return Value(self.f.let(f"fpext {half} {h} to {self.type(kind)}"), kind)
        return raw

    def pack(self, a: Value) -> Value:
        """A value in the form in which it lies in memory; narrow floats are rounded before."""
        if a.kind == "b":
            return self.convert("zext", a, "u8")
        if a.kind == "bf16":
            i = self.op("lshr", self.bits(a), self.const(16, "i32"))
            return self.convert("trunc", i, "i16")
        if a.kind == "f16":
            half = self._half()
            h = self.f.let(f"fptrunc {self.type(a.kind)} {a.name} to {half}")
            return Value(self.f.let(f"bitcast {half} {h} to {self.type('i16')}"), "i16")
        return a

    def _half(self) -> str:
        return "half" if self.width == 1 else f"<{self.width} x half>"

    def rounded(self, a: Value, kind: str) -> Value:
        """float32 rounded to a narrow kind, to nearest and even."""
        if kind == "f16":
            half = self._half()
            h = self.f.let(f"fptrunc {self.type('f32')} {a.name} to {half}")
            return Value(self.f.let(f"fpext {half} {h} to {self.type('f32')}"), kind)
        i = self.bits(a)
        odd = self.op("and", self.op("lshr", i, self.const(16, "i32")), self.const(1, "i32"))
        i = self.add(i, self.add(odd, self.const(0x7FFF, "i32")))
        i = self.op("and", i, self.const(-0x10000, "i32"))
        nan = self.const(float("nan"), "f32")
        return Value(self.select(self.nan(a), nan, self.bits(i)).name, kind)

    def load(self, pointer: str, kind: str) -> Value:
        """Lanes next to each other in memory."""
        raw = STORED.get(kind, kind)
        v = self.f.let(f"load {self.type(raw)}, ptr {pointer}, align {SIZE[kind]}")
        return self.unpack(Value(v, raw), kind)

    def load_strided(self, pointer: str, step: Index, kind: str) -> Value:
        """Lanes `step` bytes apart."""
        one = Lanes(self.f, 1)
        if step == 0:
            return self.splat(one.load(pointer, kind))
        parts = [one.load(self.f.at(pointer, self.f.mul(k, step)), kind) for k in range(self.width)]
        return self.join(parts)

    def join(self, parts: list[Value]) -> Value:
        """Single lanes as one vector."""
        if self.width == 1:
            return parts[0]
        kind = parts[0].kind
        v = "poison"
        for k, part in enumerate(parts):
            v = self.f.let(
                f"insertelement {self.type(kind)} {v}, {_TYPE[kind]} {part.name}, i32 {k}"
            )
        return Value(v, kind)

    def part(self, a: Value, first: int, count: int) -> Value:
        """Some neighbouring lanes, as fewer."""
        if count == 1:
            return self.lane(a, first)
        return self.shuffle(a, None, list(range(first, first + count)))

    def shuffle(self, a: Value, b: Value | None, lanes: list[int]) -> Value:
        """Lanes of two vectors, counted from the first of `a` on, as one vector."""
        t = self.type(a.kind)
        other = "poison" if b is None else b.name
        mask = f"<{len(lanes)} x i32> <{', '.join([f'i32 {k}' for k in lanes])}>"
        return Value(self.f.let(f"shufflevector {t} {a.name}, {t} {other}, {mask}"), a.kind)

    def folded(self, v: Value, combine: Callable[[Lanes, Value, Value], Value]) -> Value:
        """All lanes as one: halves are combined with each other, until there is one lane."""
        x = self
        while x.width > 1:
            half = x.width // 2
            low, high = x.part(v, 0, half), x.part(v, half, half)
            x = Lanes(self.f, half)
            v = combine(x, low, high)
        return v

    def count(self, kind: str) -> Value:
        """The numbers of the lanes."""
        if self.width == 1:
            return self.const(0, kind)
        lanes = "<" + ", ".join([f"i32 {k}" for k in range(self.width)]) + ">"
        return self.cast(Value(lanes, "i32"), kind)

    def lane(self, a: Value, k: int) -> Value:
        if self.width == 1:
            return a
        return Value(self.f.let(f"extractelement {self.type(a.kind)} {a.name}, i32 {k}"), a.kind)

    def store(self, a: Value, pointer: str) -> None:
        """Lanes next to each other in memory."""
        raw = self.pack(a)
        size = SIZE[a.kind]
        self.f.do(f"store {self.type(raw.kind)} {raw.name}, ptr {pointer}, align {size}")

    def store_strided(self, a: Value, pointer: str, step: int) -> None:
        one = Lanes(self.f, 1)
        for k in range(self.width):
            one.store(self.lane(a, k), self.f.at(pointer, k * step))

    # Arithmetic.
    def op(self, name: str, a: Value, b: Value, kind: str | None = None) -> Value:
        return Value(self.f.let(f"{name} {self.type(a.kind)} {a.name}, {b.name}"), kind or a.kind)

    def add(self, a: Value, b: Value) -> Value:
        if a.kind == "b":
            return self.op("or", a, b)
        return self.op("fadd" if self.floating(a) else "add", a, b)

    def sub(self, a: Value, b: Value) -> Value:
        return self.op("fsub" if self.floating(a) else "sub", a, b)

    def mul(self, a: Value, b: Value) -> Value:
        if a.kind == "b":
            return self.op("and", a, b)
        return self.op("fmul" if self.floating(a) else "mul", a, b)

    def div(self, a: Value, b: Value) -> Value:
        if b.same is None or b.same.inverse is None or self.width != 16:
            return self.op("fdiv", a, b)
        # The product with the inverse, and with what that leaves over. Where that is zero or not
        # finite, the product is exact, infinite or NaN. A fifth of the time of dividing.
        y = self.splat(b.same.inverse)
        q = self.mul(a, y)
        left = self.fma(self.neg(q), b, a)
        t, test = self.type(a.kind), "llvm.x86.avx512.fpclass.ps.512"
        self.f.declare(self.type("b"), test, t, "i32")
        done = self.f.let(f"call {self.type('b')} @{test}({t} {left.name}, i32 {NOT_USUAL})")
        return self.select(Value(done, "b"), q, self.fma(left, y, q))

    def invert(self, a: Value) -> str:
        """Prepare to divide many vectors by a scalar of float32. Returns an i1: whether it or its
        inverse is too small, too large or no number, so that they must not be divided so."""
        f, one = self.f, Lanes(self.f, 1)
        i = f.let(f"shl i32 {one.bits(a).name}, 1")  # without the sign
        a.inverse = one.op("fdiv", one.const(1, "f32"), a)
        low = 4 << 24  # exponents
        away = f.let(f"sub i32 {i}, {low}")
        return f.let(f"icmp ugt i32 {away}, {(1 << 32) - 2 * low}")

    def neg(self, a: Value) -> Value:
        if self.floating(a):
            return Value(self.f.let(f"fneg {self.type(a.kind)} {a.name}"), a.kind)
        return self.sub(self.const(0, a.kind), a)

    def intrinsic(self, name: str, *args: Value) -> Value:
        kind = "f32" if args[0].kind in NARROW else args[0].kind
        t = self.type(kind)
        full = f"llvm.{name}." + (f"v{self.width}" if self.width > 1 else "") + kind
        self.f.declare(t, full, *[t] * len(args))
        listed = ", ".join([f"{t} {a.name}" for a in args])
        return Value(self.f.let(f"call {t} @{full}({listed})"), kind)

    def scales(self, a: Value) -> bool:
        """Whether `scale` is one instruction."""
        from facula.cpu.jit import has_avx512

        return self.width == 16 and a.kind == "f32" and has_avx512()

    def scale(self, a: Value, n: Value, keep: Value) -> Value:
        """a times 2**n for whole n, rounded once; zero where `keep` is not set."""
        t, name = self.type(a.kind), "llvm.x86.avx512.mask.scalef.ps.512"
        self.f.declare(t, name, t, t, t, "i16", "i32")
        mask = self.f.let(f"bitcast {self.type('b')} {keep.name} to i16")
        listed = f"{t} {a.name}, {t} {n.name}, {t} zeroinitializer, i16 {mask}, i32 4"
        return Value(self.f.let(f"call {t} @{name}({listed})"), a.kind)

    def _of_sixteen(self, name: str, *args: str) -> Value:
        """An instruction of AVX-512 on sixteen lanes of float32 that are all kept."""
        t = "<16 x float>"
        types = [a[: a.index(">") + 1] if a[0] == "<" else a.split()[0] for a in args]
        self.f.declare(t, name, *types)
        return Value(self.f.let(f"call {t} @{name}({', '.join(args)})"), "f32")

    def split(self, a: Value) -> tuple[Value, Value]:
        """The exponent of float32 as a whole number, and the mantissa from 0.75 to 1.5, both with
        the sign left out or of no account. Where `scales` holds; denormals are numbers too."""
        t, rest = f"<16 x float> {a.name}", ("<16 x float> poison", "i16 -1", "i32 4")
        name = "llvm.x86.avx512.mask.{}.ps.512"
        m = self._of_sixteen(name.format("getmant"), t, "i32 3", *rest)
        high = self._of_sixteen(name.format("getexp"), t, *rest)
        low = self._of_sixteen(name.format("getexp"), f"<16 x float> {m.name}", *rest)
        return self.sub(high, low), m

    def fix(self, a: Value, by: Value, table: int) -> Value:
        """a, but where `by` is of a certain class what the table says. Where `scales` holds."""
        name = "llvm.x86.avx512.mask.fixupimm.ps.512"
        tables = "<16 x i32> <" + ", ".join([f"i32 {table}"] * 16) + ">"
        args = (f"<16 x float> {a.name}", f"<16 x float> {by.name}", tables, "i32 0", "i16 -1")
        return self._of_sixteen(name, *args, "i32 4")

    def chosen(self, table: Sequence[float], index: Value) -> Value:
        """Of sixteen constants those that the low bits of an index of i32 name. Where `scales`."""
        constants = ", ".join([f"float {float_bits(v, False)}" for v in table])
        name = "llvm.x86.avx512.permvar.sf.512"
        args = (f"<16 x float> <{constants}>", f"<16 x i32> {index.name}")
        return self._of_sixteen(name, *args)

    def by_sixteen(self, f: Callable[[Lanes, Value], Value], a: Value) -> Value:
        """What f computes of sixteen lanes, for any number of lanes."""
        x, w = Lanes(self.f, 16), self.width
        if w == 16:
            return f(x, a)
        if w > 16:
            parts = [f(x, self.part(a, k, 16)) for k in range(0, w, 16)]
            while len(parts) > 1:
                n = w // len(parts)
                mask = ", ".join([f"i32 {k}" for k in range(2 * n)])
                t = f"<{n} x {_TYPE[a.kind]}>"
                parts = [
                    Value(
                        self.f.let(
                            f"shufflevector {t} {p.name}, {t} {q.name}, <{2 * n} x i32> <{mask}>"
                        ),
                        a.kind,
                    )
                    for p, q in zip(parts[::2], parts[1::2], strict=True)
                ]
            return parts[0]
        if w == 1:
            return x.lane(f(x, x.splat(a)), 0)
        t, mask = self.type(a.kind), ", ".join([f"i32 {k % w}" for k in range(16)])
        wide = self.f.let(f"shufflevector {t} {a.name}, {t} poison, <16 x i32> <{mask}>")
        return x.part(f(x, Value(wide, a.kind)), 0, w)

    def library(self, name: str, *args: Value) -> Value:
        """A function of the C library on every lane."""
        kind = args[0].kind
        symbol = name + ("f" if kind == "f32" else "")
        t = _TYPE[kind]
        self.f.declare(t, symbol, *[t] * len(args))
        out = []
        for k in range(self.width):
            lanes = [self.lane(a, k) for a in args]
            listed = ", ".join([f"{t} {a.name}" for a in lanes])
            out.append(Value(self.f.let(f"call {t} @{symbol}({listed})"), kind))
        return out[0] if self.width == 1 else self.join(out)

    def function(self, name: str, *args: Value) -> Value:
        """An elementary function."""
        from facula.cpu.special import FUNCTIONS

        return FUNCTIONS[name](self, *args)

    def compare(self, how: str, a: Value, b: Value) -> Value:
        """how: eq ne lt le gt ge; a NaN compares unequal to everything."""
        if self.floating(a):
            code = {"ne": "une"}.get(how, "o" + how)
            return self.op(f"fcmp {code}", a, b, "b")
        if how in ("eq", "ne"):
            return self.op(f"icmp {how}", a, b, "b")
        return self.op(f"icmp {'u' if a.kind in ('u8', 'b') else 's'}{how}", a, b, "b")

    def select(self, c: Value, a: Value, b: Value) -> Value:
        t = self.type(a.kind)
        return Value(
            self.f.let(f"select {self.type('b')} {c.name}, {t} {a.name}, {t} {b.name}"), a.kind
        )

    def nan(self, a: Value) -> Value:
        return self.op("fcmp uno", a, a, "b")

    def converted(self, a: Value, kind: str) -> Value:
        """Conversion as C does it."""
        old, new = self.type(a.kind), self.type(kind)
        if kind == "b":
            return self.compare("ne", a, self.const(0, a.kind))
        signed = a.kind not in ("u8", "b")
        if self.floating(a):
            if kind in ("f32", "f64"):
                how = "fpext" if kind == "f64" else "fptrunc"
            elif kind in ("i32", "i64"):
                how = "fptosi"
            else:  # through 32 bits, as the interpreter does: wraps
                return self.cast(self.cast(a, "i32"), kind)
        elif kind in ("f32", "f64"):
            how = "sitofp" if signed else "uitofp"
        elif a.kind != "b" and SIZE[kind] == SIZE[a.kind]:
            return Value(a.name, kind)
        elif a.kind != "b" and SIZE[kind] < SIZE[a.kind]:
            how = "trunc"
        else:
            how = "sext" if signed else "zext"
        return Value(self.f.let(f"{how} {old} {a.name} to {new}"), kind)

    def convert(self, how: str, a: Value, kind: str) -> Value:
        """A conversion by LLVM's name."""
        return Value(self.f.let(f"{how} {self.type(a.kind)} {a.name} to {self.type(kind)}"), kind)

    def some(self, a: Value) -> str:
        """Whether any lane is true, as an i1."""
        if self.width == 1:
            return a.name
        bits = self.f.let(f"bitcast {self.type('b')} {a.name} to i{self.width}")
        return self.f.let(f"icmp ne i{self.width} {bits}, 0")

    def branch(self, rare: Value, slow: Callable[[], Value], fast: Callable[[], Value]) -> Value:
        """The values of `slow` where a lane is rare: then for all of them; of `fast` otherwise."""
        f = self.f
        some = self.some(rare)
        yes, no, out = f.label("rare"), f.label("usual"), f.label("either")
        f.do(f"br i1 {some}, label %{yes}, label %{no}")
        f.start(yes)
        a = slow()
        after_a = f.block
        f.do(f"br label %{out}")
        f.start(no)
        b = fast()
        after_b = f.block
        f.do(f"br label %{out}")
        f.start(out)
        t = self.type(a.kind)
        name = f.let(f"phi {t} [{a.name}, %{after_a}], [{b.name}, %{after_b}]")
        return Value(name, a.kind)

    def bits(self, a: Value) -> Value:
        """The bit pattern of floats, or the floats of a bit pattern."""
        kind = {"f64": "i64", "i64": "f64", "i32": "f32"}.get(a.kind, "i32")
        return Value(self.f.let(f"bitcast {self.type(a.kind)} {a.name} to {self.type(kind)}"), kind)
