"""Elementary functions on vectors, by polynomials.

Functions of float32 that are wanted often (exp, log, tanh, erf and kin) are computed in float32.
The others are computed in float64 and rounded once: a vector of float64 is half as wide, and yet
they are far faster, and nearer to the exact value, than the C library lane by lane. Functions of
float64 are here where few operations give them; the others are the library's.

`tests/cpu/test_elementary.py` holds the errors. No fast-math: what NaN, infinities and signed zeros
give is what the C library gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from facula.cpu.circular import CIRCULAR
from facula.cpu.coefficients import (
    ERF_FAR,
    ERF_NEAR,
    ERF_STEPS,
    ERFC,
    EXP,
    EXP2,
    EXP_FULL,
    EXPM1,
    LOG,
    LOG32,
    LOG_FULL,
    STEPS,
    TANH32,
)
from facula.cpu.polynomials import (
    clamped,
    polynomial,
    power_of_two,
    scaled,
    through_f64,
    whole,
    wide,
)
from facula.cpu.vector import Lanes, Value

LN2 = math.log(2)
LOG2E = 1 / LN2
UNITS = 1.5 * 2**23  # float32 near this are whole: adding it rounds, and it can be taken off again


# ---- exponential functions


def _reduced(x: Lanes, t: Value) -> tuple[Value, Value]:
    """n and r with t = n ln(2) + r, for float64."""
    n = x.intrinsic("roundeven", x.mul(t, x.const(LOG2E, "f64")))
    r = x.fma(n, x.const(-0.6931471803691238, "f64"), t)
    return n, x.fma(n, x.const(-1.9082149292705877e-10, "f64"), r)


def _exp64(x: Lanes, a: Value, full: bool = False) -> Value:
    """exp in float64; without `full`, to 2**-39 and for exponents that float32 may need."""
    t = clamped(x, a, -746.0 if full else -200.0, 710.0 if full else 200.0)
    n, r = _reduced(x, t)
    p = x.fma(x.mul(r, r), polynomial(x, r, EXP_FULL if full else EXP), r)
    p = x.add(p, x.const(1.0, "f64"))
    return scaled(x, p, n) if full else x.mul(p, power_of_two(x, whole(x, n), "f64"))


def exp(x: Lanes, a: Value) -> Value:
    """e to the a: 2**n times a polynomial in what is left of a (Cody and Waite)."""
    if a.kind == "f64":
        return _exp64(x, a, full=True)
    t = clamped(x, a, -106.0, 89.0)
    n = x.sub(x.fma(t, x.const(LOG2E, "f32"), x.const(UNITS, "f32")), x.const(UNITS, "f32"))
    r = x.fma(n, x.const(-0.693145751953125, "f32"), t)
    r = x.fma(n, x.const(-1.428606765330187e-6, "f32"), r)
    p = x.fma(x.mul(r, r), polynomial(x, r, EXPM1), r)
    return scaled(x, x.add(p, x.const(1.0, "f32")), n)


def exp2(x: Lanes, a: Value) -> Value:
    """2 to the a."""
    if a.kind == "f64":
        return x.library("exp2", a)
    t = clamped(x, a, -152.0, 129.0)
    n = x.intrinsic("roundeven", t)
    r = x.sub(t, n)
    return scaled(x, x.fma(polynomial(x, r, EXP2), r, x.const(1.0, "f32")), n)


def expm1(x: Lanes, a: Value) -> Value:
    """exp(a) - 1, exact near zero: 2**n (p + 1) - 1 with the halves of 2**n apart."""
    kind = a.kind
    full = kind == "f64"
    if full:
        t = clamped(x, a, -60.0, 710.0)
        n, r = _reduced(x, t)
    else:
        t = clamped(x, a, -30.0, 89.0)
        n = x.intrinsic("roundeven", x.mul(t, x.const(LOG2E, kind)))
        r = x.fma(n, x.const(-0.693145751953125, kind), t)
        r = x.fma(n, x.const(-1.428606765330187e-6, kind), r)
    p = x.fma(x.mul(r, r), polynomial(x, r, EXP_FULL if full else EXPM1), r)
    half = power_of_two(x, x.sub(whole(x, n), x.const(1, "i32")), kind)
    out = x.fma(half, p, x.sub(half, x.const(0.5, kind)))
    return x.intrinsic("copysign", x.add(out, out), a)


def sigmoid(x: Lanes, a: Value) -> Value:
    """1 / (1 + exp(-a)), and a step of Newton's for what the sum and the quotient rounded off."""
    one = x.const(1.0, a.kind)
    e = exp(x, x.neg(a))
    r = x.div(one, x.add(one, e))
    better = x.fma(r, x.fma(x.neg(r), e, x.sub(one, r)), r)
    return x.select(x.compare("lt", e, x.const(2.0**100, a.kind)), better, r)


def tanh(x: Lanes, a: Value) -> Value:
    """An odd polynomial near zero, 1 - 2 / (exp(2|a|) + 1) elsewhere."""
    m = x.absolute(a)
    one, two = x.const(1.0, a.kind), x.const(2.0, a.kind)
    if a.kind == "f64":
        e = expm1(x, clamped(x, x.add(m, m), 0.0, 60.0))
        return x.intrinsic("copysign", x.div(e, x.add(e, two)), a)
    e = exp(x, x.add(m, m))
    far = x.sub(one, x.div(two, x.add(e, one)))
    z = x.mul(m, m)
    near = x.fma(x.mul(polynomial(x, z, TANH32), z), m, m)
    return x.intrinsic(
        "copysign", x.select(x.compare("lt", m, x.const(0.625, "f32")), near, far), a
    )


def _sinh64(x: Lanes, a: Value) -> Value:
    m = x.absolute(a)
    e = _exp64(x, m)
    far = x.mul(x.sub(e, x.div(x.const(1.0, "f64"), e)), x.const(0.5, "f64"))
    z = x.mul(m, m)
    series = tuple([1 / math.factorial(k) for k in (11, 9, 7, 5, 3)])
    near = x.fma(x.mul(polynomial(x, z, series), z), m, m)
    near_zero = x.compare("lt", m, x.const(0.5, "f64"))
    return x.intrinsic("copysign", x.select(near_zero, near, far), a)


def _cosh64(x: Lanes, a: Value) -> Value:
    e = _exp64(x, x.absolute(a))
    return x.mul(x.add(e, x.div(x.const(1.0, "f64"), e)), x.const(0.5, "f64"))


# ---- logarithms


def _log_parts(x: Lanes, a: Value, full: bool) -> tuple[Value, Value, Value]:
    """log(a) as e ln(2) + (f - c), for positive normal float64: e, f and c."""
    least = 0x3FE6A09E667F3BCD  # the bits of sqrt(1/2)
    i = x.bits(a)
    t = x.sub(i, x.const(least, "i64"))
    e = x.op("ashr", t, x.const(52, "i64"))
    m = x.bits(x.sub(i, x.op("shl", e, x.const(52, "i64"))))
    f = x.sub(m, x.const(1.0, "f64"))
    s = x.div(f, x.add(f, x.const(2.0, "f64")))
    z = x.mul(s, s)
    two = x.const(2.0, "f64")
    r = x.mul(x.mul(two, z), polynomial(x, z, LOG_FULL if full else LOG))
    h = x.mul(x.mul(f, f), x.const(0.5, "f64"))
    c = x.sub(h, x.mul(s, x.add(h, r)))
    return x.cast(x.cast(e, "i32"), "f64"), f, c


def _log64(x: Lanes, a: Value, full: bool = False, scale: float = 1.0) -> Value:
    """The logarithm, times a scale, in float64; denormals only with `full`."""
    b = a
    if full:
        tiny = x.compare("lt", a, x.const(2.2250738585072014e-308, "f64"))
        b = x.select(tiny, x.mul(a, x.const(2.0**54, "f64")), a)
    e, f, c = _log_parts(x, b, full)
    if full:
        e = x.select(tiny, x.sub(e, x.const(54.0, "f64")), e)
    if scale == 1.0:
        low = x.fma(e, x.const(-1.9082149292705877e-10, "f64"), c)
        r = x.fma(e, x.const(0.6931471803691238, "f64"), x.sub(f, low))
    else:
        r = x.mul(x.sub(f, c), x.const(scale, "f64"))
        r = x.fma(e, x.const(scale * LN2 if scale != LOG2E else 1.0, "f64"), r)
    return _log_ends(x, a, r)


def _log_ends(x: Lanes, a: Value, r: Value) -> Value:
    """What logarithms give for zero, for less, for infinity and for NaN."""
    kind = a.kind
    if x.scales(a):  # by classes: NaN, NaN, zero, one, minus infinity, infinity, negative, positive
        return x.fix(r, a, 0x03530422)
    zero, infinity = x.const(0.0, kind), x.const(float("inf"), kind)
    r = x.select(x.compare("eq", a, zero), x.const(float("-inf"), kind), r)
    r = x.select(x.op("fcmp ult", a, zero, "b"), x.const(float("nan"), kind), r)
    return x.select(x.compare("eq", a, infinity), infinity, r)


def _split(x: Lanes, a: Value, denormal: bool) -> tuple[Value, Value, Value]:
    """The exponent of positive float32, its power of two's inverse, and the mantissa from 0.75 to
    1.5. The inverse only without denormals."""
    if x.scales(a):
        e, m = x.split(a)
        every = x.const(1, "b")
        return e, a if denormal else x.scale(x.const(1.0, "f32"), x.neg(e), every), m
    if denormal:
        tiny = x.compare("lt", a, x.const(1.1754943508222875e-38, "f32"))
        a = x.select(tiny, x.mul(a, x.const(8388608.0, "f32")), a)
    i = x.bits(a)
    e = x.op("ashr", x.sub(i, x.const(0x3F400000, "i32")), x.const(23, "i32"))
    power = x.op("shl", e, x.const(23, "i32"))
    m, inverse = x.bits(x.sub(i, power)), x.bits(x.sub(x.const(0x3F800000, "i32"), power))
    e = x.cast(e, "f32")
    if denormal:
        e = x.select(tiny, x.sub(e, x.const(23.0, "f32")), e)
    return e, inverse, m


def _log32(x: Lanes, e: Value, m: Value, more: Value | None = None) -> Value:
    """log(m) + e log(2), and a small number more."""
    f = x.sub(m, x.const(1.0, "f32"))
    z = x.mul(f, f)
    p = x.mul(x.mul(polynomial(x, f, LOG32), f), z)
    p = x.fma(e, x.const(-2.12194440e-4, "f32"), p)
    if more is not None:  # d / (1 + f), d being what m has lost
        one = x.const(1.0, "f32")
        p = x.fma(more, x.fma(f, x.sub(f, one), one), p)
    p = x.fma(z, x.const(-0.5, "f32"), p)
    return x.fma(e, x.const(0.693359375, "f32"), x.add(p, f))


def log(x: Lanes, a: Value) -> Value:
    """The natural logarithm: exponent plus a polynomial in the mantissa (Cephes' form)."""
    if a.kind == "f64":
        return _log64(x, a, full=True)
    e, _, m = _split(x, a, denormal=True)
    return _log_ends(x, a, _log32(x, e, m))


def _log_of(scale: float, name: str) -> Callable[[Lanes, Value], Value]:
    def f(x: Lanes, a: Value) -> Value:
        if a.kind == "f64":
            return x.library(name, a)
        return x.cast(_log64(x, x.cast(a, "f64"), scale=scale), "f32")

    return f


def log2(x: Lanes, a: Value) -> Value:
    """The binary logarithm, as `log`; exact for powers of two."""
    if a.kind == "f64":
        return x.library("log2", a)
    e, _, m = _split(x, a, denormal=True)
    f = x.sub(m, x.const(1.0, "f32"))
    z = x.mul(f, f)
    p = x.mul(x.mul(polynomial(x, f, LOG32), f), z)
    p = x.fma(z, x.const(-0.5, "f32"), p)  # log(m) = f + p, and log2(e) in two parts
    p = x.fma(p, x.const(LOG2E, "f32"), x.mul(f, x.const(1.92596298909109e-08, "f32")))
    scale = x.const(1.4426950216293335, "f32")
    u = x.fma(f, scale, p)
    lost = x.add(x.fma(f, scale, x.neg(u)), p)
    r = x.add(e, u)  # where a little is left of both, what was rounded off counts
    return _log_ends(x, a, x.add(r, x.add(x.sub(u, x.sub(r, e)), lost)))


log10 = _log_of(1 / math.log(10), "log10")


def _log1p64(x: Lanes, a: Value, full: bool = False) -> Value:
    """log(1 + a), with what 1 + a rounded off put back."""
    one = x.const(1.0, "f64")
    u = x.add(a, one)
    lost = x.sub(a, x.sub(u, one))
    lost = x.select(x.compare("lt", u, x.const(2.0**53, "f64")), lost, x.const(0.0, "f64"))
    if full:
        lost = x.div(lost, x.select(x.compare("eq", u, x.const(0.0, "f64")), one, u))
    return x.intrinsic("copysign", x.add(_log64(x, u, full), lost), a)


def log1p(x: Lanes, a: Value) -> Value:
    """log(1 + a), exact near zero: with what 1 + a rounded off."""
    if a.kind == "f64":
        return _log1p64(x, a, True)
    one = x.const(1.0, "f32")
    u = x.add(a, one)
    lost = x.sub(a, x.sub(u, one))
    e, inverse, m = _split(x, u, denormal=False)
    lost = x.mul(lost, inverse)
    lost = x.select(x.compare("lt", u, x.const(2.0**24, "f32")), lost, x.const(0.0, "f32"))
    r = _log_ends(x, u, _log32(x, e, m, lost))
    return x.intrinsic("copysign", r, a)


def _asinh64(x: Lanes, a: Value) -> Value:
    m = x.absolute(a)
    one = x.const(1.0, "f64")
    z = x.mul(m, m)
    u = x.add(m, x.div(z, x.add(one, x.intrinsic("sqrt", x.add(z, one)))))
    infinity = x.const(float("inf"), "f64")
    r = x.select(x.compare("eq", m, infinity), infinity, _log1p64(x, u))
    return x.intrinsic("copysign", r, a)


def _acosh64(x: Lanes, a: Value) -> Value:
    one = x.const(1.0, "f64")
    t = x.sub(a, one)
    root = x.intrinsic("sqrt", x.fma(t, t, x.add(t, t)))
    r = _log1p64(x, x.add(t, root))
    return x.select(x.compare("lt", a, one), x.const(float("nan"), "f64"), r)


def _atanh64(x: Lanes, a: Value) -> Value:
    m = x.absolute(a)
    r = _log1p64(x, x.div(x.add(m, m), x.sub(x.const(1.0, "f64"), m)))
    far = x.compare("gt", m, x.const(1.0, "f64"))
    r = x.select(far, x.const(float("nan"), "f64"), r)
    return x.intrinsic("copysign", x.mul(r, x.const(0.5, "f64")), a)


# ---- error functions


def erf(x: Lanes, a: Value) -> Value:
    """A polynomial near zero; elsewhere 1 - erfc, whose logarithm is one. With AVX-512, which has
    tables, one of sixteen polynomials."""
    from facula.cpu.jit import has_avx512

    if a.kind == "f64":
        return x.library("erf", a)
    if has_avx512():
        return x.by_sixteen(_erf_by_steps, a)
    m = x.absolute(a)
    near = x.fma(polynomial(x, x.mul(a, a), ERF_NEAR), a, a)
    t = polynomial(x, clamped(x, m, 0.0, 4.0), ERF_FAR)
    n = x.intrinsic("roundeven", t)
    r = x.sub(t, n)
    e = x.fma(polynomial(x, r, EXP2), r, x.const(1.0, "f32"))
    e = scaled(x, e, n) if x.scales(e) else x.mul(e, power_of_two(x, whole(x, n), "f32"))
    far = x.intrinsic("copysign", x.sub(x.const(1.0, "f32"), e), a)
    return x.select(x.compare("gt", m, x.const(0.921875, "f32")), far, near)


def _erf_by_steps(x: Lanes, a: Value) -> Value:
    most = x.const(15.49 / STEPS, "f32")
    m = x.absolute(a)
    far = x.compare("gt", m, most)
    m = x.select(far, most, m)
    j = x.fma(m, x.const(STEPS, "f32"), x.const(UNITS, "f32"))
    index = x.bits(j)  # its low bits
    j = x.sub(j, x.const(UNITS, "f32"))
    t = x.fma(m, x.const(STEPS, "f32"), x.neg(j))
    p = x.chosen(ERF_STEPS[0], index)
    for table in ERF_STEPS[1:]:
        p = x.fma(p, t, x.chosen(table, index))
    p = x.select(x.compare("lt", j, x.const(2.5, "f32")), x.fma(m, p, m), p)
    return x.intrinsic("copysign", x.select(far, x.const(1.0, "f32"), p), a)


def _erfc64(x: Lanes, a: Value) -> Value:
    m = clamped(x, x.absolute(a), 0.0, 10.3)
    two = x.const(2.0, "f64")
    t = x.div(two, x.add(two, m))
    r = x.mul(t, _exp64(x, x.fma(x.neg(m), m, polynomial(x, t, ERFC))))
    return x.select(x.compare("lt", a, x.const(0.0, "f64")), x.sub(two, r), r)


# ---- powers and remainders


def _pow64(x: Lanes, a: Value, b: Value) -> Value:
    """a to the b for what float32 may hold, with the ends as C has them."""
    zero, one = x.const(0.0, "f64"), x.const(1.0, "f64")
    infinity, nan = x.const(float("inf"), "f64"), x.const(float("nan"), "f64")
    m = x.absolute(a)
    r = _exp64(x, x.mul(b, _log64(x, m)))
    half = x.mul(b, x.const(0.5, "f64"))
    is_whole = x.compare("eq", x.intrinsic("trunc", b), b)
    odd = x.op("and", is_whole, x.compare("ne", x.intrinsic("trunc", half), half))
    negative = x.compare("lt", x.bits(a), x.const(0, "i64"))
    r = x.select(x.op("and", odd, negative), x.neg(r), r)
    inside = x.op("and", x.compare("lt", a, zero), x.compare("lt", m, infinity))
    part = x.op("fcmp one", x.intrinsic("trunc", b), b, "b")
    r = x.select(x.op("and", inside, part), nan, r)
    endless = x.compare("eq", x.absolute(b), infinity)
    unit = x.op("and", x.compare("eq", m, one), endless)
    unit = x.op("or", unit, x.compare("eq", a, one))
    return x.select(x.op("or", unit, x.compare("eq", b, zero)), one, r)


def _fmod64(x: Lanes, a: Value, b: Value) -> Value:
    """The remainder of truncated division, where the quotient is below 2**28."""
    m, n = x.absolute(a), x.absolute(b)
    q = x.intrinsic("trunc", x.div(m, n))
    r = x.fma(x.neg(q), n, m)
    r = x.select(x.compare("lt", r, x.const(0.0, "f64")), x.add(r, n), r)
    r = x.select(x.compare("ge", r, n), x.sub(r, n), r)
    r = x.select(x.compare("eq", n, x.const(float("inf"), "f64")), m, r)
    return x.intrinsic("copysign", r, a)


def fmod(x: Lanes, a: Value, b: Value) -> Value:
    """The exact remainder, with the sign of a."""
    if a.kind == "f64":
        return x.library("fmod", a, b)
    q = x.absolute(x.div(a, b))
    far = x.op("fcmp uge", q, x.const(2.0**28, "f32"), "b")
    return x.branch(far, lambda: x.library("fmod", a, b), lambda: through_f64(x, _fmod64, a, b))


def remainder(x: Lanes, a: Value, b: Value) -> Value:
    """The exact remainder, with the sign of b; a zero has the sign of a."""
    r = fmod(x, a, b)
    zero = x.const(0.0, a.kind)
    signs = x.op("xor", x.compare("lt", r, zero), x.compare("lt", b, zero))
    wrong = x.op("and", x.compare("ne", r, zero), signs)
    wrong = x.op("and", wrong, x.op("fcmp ord", r, r, "b"))
    return x.select(wrong, x.add(r, b), r)


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exp": exp,
    "exp2": exp2,
    "expm1": expm1,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "sinh": wide("sinh", _sinh64),
    "cosh": wide("cosh", _cosh64),
    "log": log,
    "log2": log2,
    "log10": log10,
    "log1p": log1p,
    "asinh": wide("asinh", _asinh64),
    "acosh": wide("acosh", _acosh64),
    "atanh": wide("atanh", _atanh64),
    **CIRCULAR,
    "erf": erf,
    "erfc": wide("erfc", _erfc64),
    "pow": wide("pow", _pow64),
    "fmod": fmod,
    "remainder": remainder,
}
