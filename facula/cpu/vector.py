"""Values of several lanes, and the elementary functions on them.

A kernel computes with vectors of one width; at the end of a row the same code is emitted once more
for a single lane. Functions that have no vector form here are calls into the C library, lane by
lane: slower, never less exact. No fast-math: what NaN, infinities and signed zeros do is PyTorch's.
"""

from __future__ import annotations

from facula.cpu.text import Function, float_bits

KINDS = {
    "float32": "f32",
    "float64": "f64",
    "int64": "i64",
    "int32": "i32",
    "int16": "i16",
    "int8": "i8",
    "uint8": "u8",
    "bool": "b",
}
_TYPE = {
    "f32": "float",
    "f64": "double",
    "i64": "i64",
    "i32": "i32",
    "i16": "i16",
    "i8": "i8",
    "u8": "i8",
    "b": "i1",
}
SIZE = {"f32": 4, "f64": 8, "i64": 8, "i32": 4, "i16": 2, "i8": 1, "u8": 1, "b": 1}


class Value:
    """The name of a value and its kind."""

    __slots__ = ("kind", "name")

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind


class Lanes:
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
        return "<" + ", ".join([f"{_TYPE[kind]} {text}"] * self.width) + ">"

    def const(self, x: float, kind: str) -> Value:
        """A constant in every lane."""
        if kind in ("f32", "f64"):
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
        return Value(f.let(f"shufflevector {wide} {v}, {wide} poison, {zero}"), a.kind)

    # Memory. Bools are bytes there.
    def load(self, pointer: str, kind: str) -> Value:
        """Lanes next to each other in memory."""
        f = self.f
        if kind == "b":
            t = "i8" if self.width == 1 else f"<{self.width} x i8>"
            byte = f.let(f"load {t}, ptr {pointer}, align 1")
            zero = "0" if self.width == 1 else "zeroinitializer"
            return Value(f.let(f"icmp ne {t} {byte}, {zero}"), "b")
        return Value(f.let(f"load {self.type(kind)}, ptr {pointer}, align {SIZE[kind]}"), kind)

    def load_strided(self, pointer: str, step: int, kind: str) -> Value:
        """Lanes `step` bytes apart."""
        one = Lanes(self.f, 1)
        if step == 0:
            return self.splat(one.load(pointer, kind))
        parts = [one.load(self.f.at(pointer, k * step), kind) for k in range(self.width)]
        return self.join(parts)

    def join(self, parts: list[Value]) -> Value:
        """Single lanes as one vector."""
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
        t = self.type(a.kind)
        mask = ", ".join([f"i32 {k}" for k in range(first, first + count)])
        return Value(
            self.f.let(f"shufflevector {t} {a.name}, {t} poison, <{count} x i32> <{mask}>"), a.kind
        )

    def count(self, kind: str) -> Value:
        """The numbers of the lanes."""
        if self.width == 1:
            return self.const(0, kind)
        return Value("<" + ", ".join([f"{_TYPE[kind]} {k}" for k in range(self.width)]) + ">", kind)

    def lane(self, a: Value, k: int) -> Value:
        if self.width == 1:
            return a
        return Value(self.f.let(f"extractelement {self.type(a.kind)} {a.name}, i32 {k}"), a.kind)

    def store(self, a: Value, pointer: str) -> None:
        f = self.f
        if a.kind == "b":
            t = "i8" if self.width == 1 else f"<{self.width} x i8>"
            byte = f.let(f"zext {self.type('b')} {a.name} to {t}")
            f.do(f"store {t} {byte}, ptr {pointer}, align 1")
        else:
            f.do(f"store {self.type(a.kind)} {a.name}, ptr {pointer}, align {SIZE[a.kind]}")

    def store_strided(self, a: Value, pointer: str, step: int) -> None:
        one = Lanes(self.f, 1)
        for k in range(self.width):
            one.store(self.lane(a, k), self.f.at(pointer, k * step))

    # Arithmetic.
    def op(self, name: str, a: Value, b: Value, kind: str | None = None) -> Value:
        return Value(self.f.let(f"{name} {self.type(a.kind)} {a.name}, {b.name}"), kind or a.kind)

    def floating(self, a: Value) -> bool:
        return a.kind in ("f32", "f64")

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
        return self.op("fdiv", a, b)

    def neg(self, a: Value) -> Value:
        if self.floating(a):
            return Value(self.f.let(f"fneg {self.type(a.kind)} {a.name}"), a.kind)
        return self.sub(self.const(0, a.kind), a)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        return self.intrinsic("fma", a, b, c)

    def intrinsic(self, name: str, *args: Value) -> Value:
        kind, t = args[0].kind, self.type(args[0].kind)
        full = f"llvm.{name}." + (f"v{self.width}" if self.width > 1 else "") + kind
        self.f.declare(t, full, *[t] * len(args))
        listed = ", ".join([f"{t} {a.name}" for a in args])
        return Value(self.f.let(f"call {t} @{full}({listed})"), kind)

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

    def maximum(self, a: Value, b: Value) -> Value:
        """The larger; NaN propagates."""
        m = self.select(self.compare("gt", a, b), a, b)
        return self.select(self.nan(a), a, m) if self.floating(a) else m

    def minimum(self, a: Value, b: Value) -> Value:
        m = self.select(self.compare("lt", a, b), a, b)
        return self.select(self.nan(a), a, m) if self.floating(a) else m

    def absolute(self, a: Value) -> Value:
        if self.floating(a):
            return self.intrinsic("fabs", a)
        if a.kind in ("u8", "b"):
            return a
        return self.select(self.compare("lt", a, self.const(0, a.kind)), self.neg(a), a)

    def cast(self, a: Value, kind: str) -> Value:
        """Conversion as C does it."""
        if a.kind == kind:
            return a
        old, new = self.type(a.kind), self.type(kind)
        if kind == "b":
            return self.compare("ne", a, self.const(0, a.kind))
        signed = a.kind not in ("u8", "b")
        if self.floating(a):
            if kind in ("f32", "f64"):
                how = "fpext" if kind == "f64" else "fptrunc"
            elif kind == "i64":
                how = "fptosi"
            else:  # through 64 bits, as the interpreter does: wraps
                return self.cast(self.cast(a, "i64"), kind)
        elif kind in ("f32", "f64"):
            how = "sitofp" if signed else "uitofp"
        elif a.kind != "b" and SIZE[kind] == SIZE[a.kind]:
            return Value(a.name, kind)
        elif a.kind != "b" and SIZE[kind] < SIZE[a.kind]:
            how = "trunc"
        else:
            how = "sext" if signed else "zext"
        return Value(self.f.let(f"{how} {old} {a.name} to {new}"), kind)

    def bits(self, a: Value) -> Value:
        """The bit pattern of floats, or the floats of a bit pattern."""
        kind = {"f32": "i32", "i32": "f32", "f64": "i64", "i64": "f64"}[a.kind]
        return Value(self.f.let(f"bitcast {self.type(a.kind)} {a.name} to {self.type(kind)}"), kind)

    # Elementary functions of float32 by polynomials; the rest by the C library.
    def polynomial(self, x: Value, coefficients: tuple[float, ...]) -> Value:
        """Horner's scheme, highest power first."""
        p = self.const(coefficients[0], x.kind)
        for c in coefficients[1:]:
            p = self.fma(p, x, self.const(c, x.kind))
        return p

    def exp(self, x: Value) -> Value:
        """e to the x: 2**n times a polynomial in what is left of x (Cody and Waite)."""
        if x.kind != "f32":
            return self.library("exp", x)
        low, high = self.const(-104.0, "f32"), self.const(89.0, "f32")
        t = self.select(self.compare("lt", x, low), low, x)
        t = self.select(self.compare("gt", t, high), high, t)
        n = self.intrinsic("roundeven", self.mul(t, self.const(1.4426950408889634, "f32")))
        r = self.fma(n, self.const(-0.693145751953125, "f32"), t)
        r = self.fma(n, self.const(-1.428606765330187e-6, "f32"), r)
        p = self.polynomial(
            r,
            (1.3934543e-3, 8.3637768e-3, 4.1666456e-2, 1.6666573e-1, 0.5, 1.0, 1.0),
        )
        return self.scaled(p, n)

    def scaled(self, p: Value, n: Value) -> Value:
        """p times 2**n for a whole n from -150 to 129: in two steps, so that it may underflow."""
        i = Value(self.f.let(f"fptosi {self.type('f32')} {n.name} to {self.type('i32')}"), "i32")
        half = self.op("ashr", i, self.const(1, "i32"))
        rest = self.sub(i, half)
        for part in (half, rest):
            biased = self.add(part, self.const(127, "i32"))
            p = self.mul(p, self.bits(self.op("shl", biased, self.const(23, "i32"))))
        return p

    def log(self, x: Value) -> Value:
        """The natural logarithm: exponent plus a polynomial in the mantissa (Cephes' form)."""
        if x.kind != "f32":
            return self.library("log", x)
        tiny = self.compare("lt", x, self.const(1.1754943508222875e-38, "f32"))
        scaled = self.select(tiny, self.mul(x, self.const(8388608.0, "f32")), x)
        i = self.bits(scaled)
        t = self.sub(i, self.const(0x3F3504F3, "i32"))
        e = self.op("ashr", t, self.const(23, "i32"))
        m = self.bits(self.sub(i, self.op("shl", e, self.const(23, "i32"))))
        e = self.cast(e, "f32")
        e = self.select(tiny, self.sub(e, self.const(23.0, "f32")), e)
        f = self.sub(m, self.const(1.0, "f32"))
        z = self.mul(f, f)
        p = self.polynomial(
            f,
            (
                7.0376836292e-2,
                -1.1514610310e-1,
                1.1676998740e-1,
                -1.2420140846e-1,
                1.4249322787e-1,
                -1.6668057665e-1,
                2.0000714765e-1,
                -2.4999993993e-1,
                3.3333331174e-1,
            ),
        )
        p = self.mul(self.mul(p, f), z)
        p = self.fma(e, self.const(-2.12194440e-4, "f32"), p)
        p = self.fma(z, self.const(-0.5, "f32"), p)
        r = self.fma(e, self.const(0.693359375, "f32"), self.add(p, f))
        infinity = self.const(float("inf"), "f32")
        zero = self.const(0.0, "f32")
        r = self.select(self.compare("eq", x, zero), self.const(float("-inf"), "f32"), r)
        bad = self.op("fcmp ult", x, zero, "b")
        r = self.select(bad, self.const(float("nan"), "f32"), r)
        return self.select(self.compare("eq", x, infinity), infinity, r)

    def erf(self, x: Value) -> Value:
        """Near zero an odd polynomial; elsewhere 1 - exp(p), where p is a polynomial for the
        logarithm of 1 - erf. Both were fitted to SciPy's values at Chebyshev's points."""
        if x.kind != "f32":
            return self.library("erf", x)
        a = self.absolute(x)
        p = self.polynomial(
            self.mul(x, x),
            (
                8.404849359067157e-05,
                -0.0008151340298354626,
                0.0052018375135958195,
                -0.026859745383262634,
                0.11283702403306961,
                -0.37612634897232056,
                0.12837916612625122,
            ),
        )
        near = self.fma(p, x, x)
        four = self.const(4.0, "f32")
        most = self.select(self.compare("gt", a, four), four, a)
        q = self.polynomial(
            most,
            (
                -1.881459502328653e-05,
                0.0004045790119562298,
                -0.004008729476481676,
                0.024645350873470306,
                -0.10747574269771576,
                -0.6341404318809509,
                -1.129093050956726,
                8.12924190540798e-05,
            ),
        )
        far = self.intrinsic("copysign", self.sub(self.const(1.0, "f32"), self.exp(q)), x)
        return self.select(self.compare("gt", a, self.const(0.92, "f32")), far, near)

    def sigmoid(self, x: Value) -> Value:
        one = self.const(1.0, x.kind)
        return self.div(one, self.add(one, self.exp(self.neg(x))))

    def tanh(self, x: Value) -> Value:
        """An odd polynomial near zero, 1 - 2 / (exp(2|x|) + 1) elsewhere."""
        if x.kind != "f32":
            return self.library("tanh", x)
        a = self.absolute(x)
        one, two = self.const(1.0, "f32"), self.const(2.0, "f32")
        e = self.exp(self.add(a, a))
        far = self.sub(one, self.div(two, self.add(e, one)))
        far = self.intrinsic("copysign", far, x)
        z = self.mul(x, x)
        p = self.polynomial(
            z,
            (
                -5.70498872745e-3,
                2.06390887954e-2,
                -5.37397155531e-2,
                1.33314422036e-1,
                -3.33332819422e-1,
            ),
        )
        near = self.intrinsic("copysign", self.fma(self.mul(p, z), x, x), x)
        small = self.compare("lt", a, self.const(0.625, "f32"))
        return self.select(small, near, far)
