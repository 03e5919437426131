"""Circular functions and their inverses on vectors, by polynomials; see `elementary.py`."""

from __future__ import annotations

import math
from collections.abc import Callable

from facula.cpu.coefficients import ASIN, ATAN, COS, COS_FULL, SIN, SIN_FULL
from facula.cpu.polynomials import polynomial, whole, wide
from facula.cpu.vector import Lanes, Value

HALF_PI = math.pi / 2
_HALF_PI_PARTS = (1.5707963267948966, 6.123233995736765e-17, 1.0828566739219139e-32)
_HALF_PI_PARTS32 = (1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15)
NEAR32 = 8192.0  # up to here those three are enough


def _circular(x: Lanes, a: Value, which: str, full: bool) -> Value:
    """sin, cos or tan in float64, for |a| up to 2**31 (with `full`, to 2**20); sin and cos in
    float32 up to `NEAR32`."""
    kind = a.kind
    k = x.intrinsic("roundeven", x.mul(a, x.const(2 / math.pi, kind)))
    r = a
    for part in _HALF_PI_PARTS[: 2 + full] if kind == "f64" else _HALF_PI_PARTS32:
        r = x.fma(k, x.const(-part, kind), r)
    z = x.mul(r, r)
    s = x.fma(x.mul(polynomial(x, z, SIN_FULL if full else SIN), z), r, r)
    c = x.fma(z, x.const(-0.5, kind), x.const(1.0, kind))
    c = x.fma(x.mul(z, z), polynomial(x, z, COS_FULL if full else COS), c)
    i = whole(x, k)
    one = x.const(1, "i32")
    odd = x.compare("ne", x.op("and", i, one), x.const(0, "i32"))
    if which == "tan":
        up, down = x.select(odd, x.neg(c), s), x.select(odd, s, c)
        return x.select(x.compare("eq", a, x.const(0.0, "f64")), a, x.div(up, down))
    if which == "cos":
        out, turned = x.select(odd, s, c), x.add(i, one)
    else:
        out, turned = x.select(odd, c, s), i
    back = x.compare("ne", x.op("and", turned, x.const(2, "i32")), x.const(0, "i32"))
    out = x.select(back, x.neg(out), out)
    return x.select(x.compare("eq", a, x.const(0.0, kind)), a, out) if which == "sin" else out


def _periodic(which: str) -> Callable[[Lanes, Value], Value]:
    def f(x: Lanes, a: Value) -> Value:
        full = a.kind == "f64"
        if full and which == "tan":
            return x.library("tan", a)
        limit = x.const(2.0**20 if full else 2.0**31, a.kind)
        far = x.compare("ge", x.absolute(a), limit)

        def near() -> Value:
            if full:
                return _circular(x, a, which, True)
            return x.cast(_circular(x, x.cast(a, "f64"), which, False), "f32")

        def usual() -> Value:
            return x.branch(far, lambda: x.library(which, a), near)

        if full or which == "tan":
            return usual()
        middle = x.compare("ge", x.absolute(a), x.const(NEAR32, "f32"))
        return x.branch(middle, usual, lambda: _circular(x, a, which, False))

    return f


sin, cos, tan = _periodic("sin"), _periodic("cos"), _periodic("tan")


def _atan_positive(x: Lanes, t: Value) -> Value:
    z = x.mul(t, t)
    return x.fma(x.mul(polynomial(x, z, ATAN), z), t, t)


def _atan64(x: Lanes, a: Value) -> Value:
    m, one = x.absolute(a), x.const(1.0, "f64")
    big = x.compare("gt", m, one)
    p = _atan_positive(x, x.select(big, x.div(one, m), m))
    p = x.select(big, x.sub(x.const(HALF_PI, "f64"), p), p)
    return x.intrinsic("copysign", p, a)


def _atan2_64(x: Lanes, a: Value, b: Value) -> Value:
    up, right = x.absolute(a), x.absolute(b)
    steep = x.compare("gt", up, right)
    least, most = x.select(steep, right, up), x.select(steep, up, right)
    t = x.div(least, most)
    t = x.select(x.compare("eq", most, x.const(0.0, "f64")), x.const(0.0, "f64"), t)
    both = x.compare("eq", least, x.const(float("inf"), "f64"))
    t = x.select(both, x.const(1.0, "f64"), t)
    p = _atan_positive(x, t)
    p = x.select(steep, x.sub(x.const(HALF_PI, "f64"), p), p)
    left = x.compare("lt", x.bits(b), x.const(0, "i64"))
    p = x.select(left, x.sub(x.const(math.pi, "f64"), p), p)
    p = x.intrinsic("copysign", p, a)
    return x.select(x.op("fcmp uno", a, b, "b"), x.add(a, b), p)


def _half_angle(x: Lanes, a: Value) -> tuple[Value, Value]:
    """Whether |a| > 1/2, and asin of |a|, or there of sqrt((1 - |a|) / 2)."""
    m = x.absolute(a)
    big = x.compare("gt", m, x.const(0.5, "f64"))
    half = x.mul(x.sub(x.const(1.0, "f64"), m), x.const(0.5, "f64"))
    z = x.select(big, half, x.mul(m, m))
    s = x.select(big, x.intrinsic("sqrt", z), m)
    return big, x.fma(x.mul(polynomial(x, z, ASIN), z), s, s)


def _asin64(x: Lanes, a: Value) -> Value:
    big, p = _half_angle(x, a)
    p = x.select(big, x.sub(x.const(HALF_PI, "f64"), x.add(p, p)), p)
    return x.intrinsic("copysign", p, a)


def _acos64(x: Lanes, a: Value) -> Value:
    big, p = _half_angle(x, a)
    twice = x.add(p, p)
    negative = x.compare("lt", a, x.const(0.0, "f64"))
    far = x.select(negative, x.sub(x.const(math.pi, "f64"), twice), twice)
    near = x.sub(x.const(HALF_PI, "f64"), x.intrinsic("copysign", p, a))
    return x.select(big, far, near)


CIRCULAR: dict[str, Callable[..., Value]] = {
    "sin": sin,
    "cos": cos,
    "tan": tan,
    "asin": wide("asin", _asin64),
    "acos": wide("acos", _acos64),
    "atan": wide("atan", _atan64),
    "atan2": wide("atan2", _atan2_64),
}
