"""What functions by polynomials are made of; see `elementary.py` and `circular.py`."""

from __future__ import annotations

from collections.abc import Callable

from facula.cpu.vector import Lanes, Value


def polynomial(x: Lanes, a: Value, coefficients: tuple[float, ...]) -> Value:
    """Horner's scheme, highest power first."""
    p = x.const(coefficients[0], a.kind)
    for c in coefficients[1:]:
        p = x.fma(p, a, x.const(c, a.kind))
    return p


def clamped(x: Lanes, a: Value, low: float, high: float) -> Value:
    """Limited to a range; NaN stays."""
    least, most = x.const(low, a.kind), x.const(high, a.kind)
    a = x.select(x.compare("lt", a, least), least, a)
    return x.select(x.compare("gt", a, most), most, a)


def whole(x: Lanes, a: Value) -> Value:
    """A whole number of at most 31 bits as i32."""
    return x.convert("fptosi", a, "i32")


def power_of_two(x: Lanes, n: Value, kind: str) -> Value:
    """2**n for i32 n in the range of normal numbers."""
    if kind == "f32":
        return x.bits(x.op("shl", x.add(n, x.const(127, "i32")), x.const(23, "i32")))
    wide = x.cast(x.add(n, x.const(1023, "i32")), "i64")
    return x.bits(x.op("shl", wide, x.const(52, "i64")))


def scaled(x: Lanes, p: Value, n: Value) -> Value:
    """p times 2**n for a whole n, in one instruction or in two steps, since it may underflow.

    What would vanish is zero at once: multiplying it takes a hundred times as long, and the scores
    that a mask has made minus infinity are many."""
    keep = x.op("fcmp uge", n, x.const(-150.0 if p.kind == "f32" else -1075.0, p.kind), "b")
    if x.scales(p):
        return x.scale(p, n, keep)
    p = x.select(keep, p, x.const(0.0, p.kind))
    i = whole(x, n)
    half = x.op("ashr", i, x.const(1, "i32"))
    for part in (half, x.sub(i, half)):
        p = x.mul(p, power_of_two(x, part, p.kind))
    return p


def through_f64(x: Lanes, f: Callable[..., Value], *args: Value) -> Value:
    """A function of float32 by one of float64, rounded once."""
    return x.cast(f(x, *[x.cast(a, "f64") for a in args]), "f32")


def wide(name: str, f: Callable[..., Value]) -> Callable[..., Value]:
    """The function of float32 through float64, of float64 by the library."""

    def either(x: Lanes, *args: Value) -> Value:
        if args[0].kind == "f64":
            return x.library(name, *args)
        return through_f64(x, f, *args)

    return either
