"""Products and elementary functions of complex numbers, written with real operations.

Each takes the pass (`pairs.Pairs`) and the parts of its operands. Sources: W. Kahan, "Branch cuts
for complex elementary functions" (1987), for the inverse functions; R. L. Smith, "Algorithm 116:
complex division" (1962).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from facula.cuda.pairs import BY_NUMBER, Pairs, Parts, rule
from facula.trace.node import Node


def times(p: Pairs, z: Parts, w: Parts) -> Parts:
    """The product."""
    (a, b), (c, d) = z, w
    f = p.f
    real = f("sub", f("mul", a, c), f("mul", b, d))
    return real, f("add", f("mul", a, d), f("mul", b, c))


def over(p: Pairs, z: Parts, w: Parts) -> Parts:
    """The quotient: the smaller part of the divisor is divided by the larger first."""
    (a, b), (c, d) = z, w
    f = p.f
    small = f("lt", f("abs", c), f("abs", d))
    large, less = f("where", small, d, c), f("where", small, c, d)
    none = f("eq", large, p.number(0, c.dtype))
    ratio = f("where", none, less, f("div", less, large))
    total = f("add", large, f("mul", less, ratio))
    x, y = f("where", small, b, a), f("where", small, a, b)
    real, imag = f("add", x, f("mul", y, ratio)), f("sub", y, f("mul", x, ratio))
    return f("div", real, total), f("div", f("where", small, f("neg", imag), imag), total)


def scaled(p: Pairs, z: Parts, by: float) -> Parts:
    """Both parts times a number."""
    s = p.number(by, z[0].dtype)
    return p.f("mul", z[0], s), p.f("mul", z[1], s)


def turned(p: Pairs, z: Parts) -> Parts:
    """iz."""
    return p.f("neg", z[1]), z[0]


def back(p: Pairs, z: Parts) -> Parts:
    """-iz."""
    return z[1], p.f("neg", z[0])


def plus(p: Pairs, z: Parts, number: float) -> Parts:
    """z and a real number."""
    return p.f("add", z[0], p.number(number, z[0].dtype)), z[1]


def negative(p: Pairs, z: Parts) -> Parts:
    """-z."""
    return p.f("neg", z[0]), p.f("neg", z[1])


def exp(p: Pairs, z: Parts) -> Parts:
    """The exponential."""
    a, b = z
    f = p.f
    e, none = f("exp", a), f("eq", b, p.number(0, b.dtype))
    return f("where", none, e, f("mul", e, f("cos", b))), f(
        "where", none, b, f("mul", e, f("sin", b))
    )


def expm1(p: Pairs, z: Parts) -> Parts:
    """The exponential without one, exact where it is small."""
    a, b = z
    f = p.f
    half = f("sin", f("mul", b, p.number(0.5, b.dtype)))
    lost = f("mul", f("mul", half, half), p.number(2, b.dtype))
    e = f("expm1", a)
    real = f("sub", f("mul", e, f("cos", b)), lost)
    return real, f("mul", f("exp", a), f("sin", b))


def log(p: Pairs, z: Parts) -> Parts:
    """The principal logarithm."""
    return p.f("log", p.f("hypot", *z)), p.f("atan2", z[1], z[0])


def log1p(p: Pairs, z: Parts) -> Parts:
    """The logarithm of one more."""
    a, b = z
    f = p.f
    square = f("add", f("mul", a, f("add", a, p.number(2, a.dtype))), f("mul", b, b))
    half = f("mul", f("log1p", square), p.number(0.5, a.dtype))
    return half, f("atan2", b, f("add", a, p.number(1, a.dtype)))


def sqrt(p: Pairs, z: Parts) -> Parts:
    """The principal square root."""
    a, b = z
    f = p.f
    zero = p.number(0, a.dtype)
    both = f("add", f("abs", a), f("hypot", a, b))
    t = f("sqrt", f("mul", both, p.number(0.5, a.dtype)))
    other = f("where", f("eq", t, zero), zero, f("div", b, f("add", t, t)))
    left = f("lt", a, zero)
    real = f("where", left, f("abs", other), t)
    return real, f("where", left, f("copysign", t, b), f("copysign", other, b))


def sin(p: Pairs, z: Parts) -> Parts:
    """The sine."""
    a, b = z
    f = p.f
    return f("mul", f("sin", a), f("cosh", b)), f("mul", f("cos", a), f("sinh", b))


def cos(p: Pairs, z: Parts) -> Parts:
    """The cosine."""
    a, b = z
    f = p.f
    return f("mul", f("cos", a), f("cosh", b)), f("neg", f("mul", f("sin", a), f("sinh", b)))


def sinh(p: Pairs, z: Parts) -> Parts:
    """The hyperbolic sine."""
    return back(p, sin(p, turned(p, z)))


def cosh(p: Pairs, z: Parts) -> Parts:
    """The hyperbolic cosine."""
    return cos(p, turned(p, z))


def tanh(p: Pairs, z: Parts) -> Parts:
    """The hyperbolic tangent. Far out it is one, so the real part need go no further than 40."""
    f = p.f
    end = p.number(40, z[0].dtype)
    a = f("maximum", f("minimum", z[0], end), f("neg", end))
    a, b = f("add", a, a), f("add", z[1], z[1])
    below = f("add", f("cosh", a), f("cos", b))
    return f("div", f("sinh", a), below), f("div", f("sin", b), below)


def tan(p: Pairs, z: Parts) -> Parts:
    """The tangent."""
    return back(p, tanh(p, turned(p, z)))


def _roots(p: Pairs, z: Parts) -> tuple[Parts, Parts]:
    """The roots of 1 - z and of 1 + z."""
    return sqrt(p, plus(p, negative(p, z), 1)), sqrt(p, plus(p, z, 1))


def _cross(p: Pairs, z: Parts, w: Parts) -> Parts:
    """conj(z) w."""
    return times(p, (z[0], p.f("neg", z[1])), w)


def asin(p: Pairs, z: Parts) -> Parts:
    """The inverse sine."""
    low, high = _roots(p, z)
    return (
        p.f("atan2", z[0], times(p, low, high)[0]),
        p.f("asinh", _cross(p, low, high)[1]),
    )


def acos(p: Pairs, z: Parts) -> Parts:
    """The inverse cosine."""
    low, high = _roots(p, z)
    half = p.f("atan2", low[0], high[0])
    return p.f("add", half, half), p.f("asinh", _cross(p, high, low)[1])


def asinh(p: Pairs, z: Parts) -> Parts:
    """The inverse hyperbolic sine."""
    return back(p, asin(p, turned(p, z)))


def acosh(p: Pairs, z: Parts) -> Parts:
    """The inverse hyperbolic cosine."""
    low, high = sqrt(p, plus(p, z, -1)), sqrt(p, plus(p, z, 1))
    half = p.f("atan2", low[1], high[0])
    return p.f("asinh", _cross(p, low, high)[0]), p.f("add", half, half)


def atanh(p: Pairs, z: Parts) -> Parts:
    """The inverse hyperbolic tangent: odd, so it is computed where the real part is positive."""
    a, b = z
    f = p.f
    one, size, square = p.number(1, a.dtype), f("abs", a), f("mul", b, b)
    less = f("sub", one, size)
    near = f("add", f("mul", less, less), square)
    four = f("mul", size, p.number(4, a.dtype))
    real = f("mul", f("log1p", f("div", four, near)), p.number(0.25, a.dtype))
    across = f("sub", f("mul", less, f("add", one, size)), square)
    angle = f("atan2", f("add", b, b), across)
    return f("copysign", real, a), f("mul", angle, p.number(0.5, a.dtype))


def atan(p: Pairs, z: Parts) -> Parts:
    """The inverse tangent."""
    return back(p, atanh(p, turned(p, z)))


def reciprocal(p: Pairs, z: Parts) -> Parts:
    """1 / z."""
    return over(p, (p.number(1, z[0].dtype), p.number(0, z[0].dtype)), z)


def power(p: Pairs, z: Parts, w: Parts) -> Parts:
    """z to the power w; of zero, zero or one."""
    f = p.f
    zero, one = p.number(0, z[0].dtype), p.number(1, z[0].dtype)
    made = exp(p, times(p, w, log(p, z)))

    def none(x: Parts) -> Node:
        return f("bitwise_and", f("eq", x[0], zero), f("eq", x[1], zero))

    start, still = none(z), none(w)
    real = f("where", start, zero, made[0])
    imag = f("where", f("bitwise_or", start, still), zero, made[1])
    return f("where", still, one, real), imag


def known_power(p: Pairs, z: Parts, e: Any) -> Parts:
    """z to a power that is known."""
    if e == 0.5:
        return sqrt(p, z)
    if e == -0.5:
        return reciprocal(p, sqrt(p, z))
    whole = not isinstance(e, complex) and e == int(e) and 0 < abs(e) <= 64
    if whole:
        out, square, left = None, z, abs(int(e))
        while left:
            if left & 1:
                out = square if out is None else times(p, out, square)
            left >>= 1
            square = times(p, square, square) if left else square
        assert out is not None
        return reciprocal(p, out) if e < 0 else out
    d = z[0].dtype
    w = complex(e)
    return power(p, z, (p.number(w.real, d), p.number(w.imag, d)))


def sigmoid(p: Pairs, z: Parts) -> Parts:
    """1 / (1 + exp(-z))."""
    return reciprocal(p, plus(p, exp(p, negative(p, z)), 1))


def sgn(p: Pairs, z: Parts) -> Parts:
    """z by its magnitude; 0 of 0."""
    f = p.f
    zero, size = p.number(0, z[0].dtype), f("hypot", *z)
    none = f("eq", size, zero)
    a, b = [f("where", none, zero, f("div", x, size)) for x in z]
    return a, b


def sinc(p: Pairs, z: Parts) -> Parts:
    """sin(pi z) / (pi z); 1 of 0."""
    f = p.f
    zero, one = p.number(0, z[0].dtype), p.number(1, z[0].dtype)
    none = f("bitwise_and", f("eq", z[0], zero), f("eq", z[1], zero))
    w = scaled(p, (f("where", none, one, z[0]), z[1]), math.pi)
    a, b = over(p, sin(p, w), w)
    return f("where", none, one, a), f("where", none, zero, b)


def log_add(p: Pairs, z: Parts, w: Parts) -> Parts:
    """The logarithm of the sum of two exponentials."""
    f = p.f
    less = f("lt", z[0], w[0])
    high = [f("where", less, y, x) for x, y in zip(z, w, strict=True)]
    low = [f("where", less, x, y) for x, y in zip(z, w, strict=True)]
    a, b = exp(p, (f("sub", low[0], high[0]), f("sub", low[1], high[1])))
    a, b = log1p(p, (a, b))
    return f("add", high[0], a), f("add", high[1], b)


FUNCTIONS: dict[str, Callable[[Pairs, Parts], Any]] = {
    **{g.__name__: g for g in (exp, expm1, log, log1p, sqrt, sin, cos, tan, sinh, cosh, tanh)},
    **{
        g.__name__: g
        for g in (asin, acos, atan, asinh, acosh, atanh, reciprocal, sigmoid, sgn, sinc)
    },
    "exp2": lambda p, z: exp(p, scaled(p, z, math.log(2))),
    "log2": lambda p, z: scaled(p, log(p, z), 1 / math.log(2)),
    "log10": lambda p, z: scaled(p, log(p, z), 1 / math.log(10)),
    "rsqrt": lambda p, z: reciprocal(p, sqrt(p, z)),
    "abs": lambda p, z: p.f("hypot", *z),
    "angle": lambda p, z: p.f("atan2", z[1], z[0]),
}


@rule(*FUNCTIONS)
def _function(p: Pairs, n: Node) -> Any:
    return FUNCTIONS[n.op.name](p, p.of(n.inputs[0]))


@rule("mul", "div", "pow", "logaddexp")
def _pair(p: Pairs, n: Node) -> Parts:
    f = {"mul": times, "div": over, "pow": power, "logaddexp": log_add}[n.op.name]
    return f(p, *[p.of(i) for i in n.inputs])


@rule("rdiv_s", "rpow_s", *BY_NUMBER)
def _by_number(p: Pairs, n: Node) -> Parts:
    """With a number that is complex, or stands first."""
    z, s, name = p.of(n.inputs[0]), p.scalar(n), n.op.name
    if name == "rdiv_s":
        return over(p, s, z)
    if name == "rpow_s":
        return power(p, s, z)
    if name.startswith("lerp"):
        w = p.of(n.inputs[1])
        f = p.f
        a, b = times(p, s, (f("sub", w[0], z[0]), f("sub", w[1], z[1])))
        if name == "lerp_from":
            return f("add", z[0], a), f("add", z[1], b)
        return f("sub", w[0], a), f("sub", w[1], b)
    return (times if BY_NUMBER[name] == "mul" else over)(p, z, s)


@rule("pow_s")
def _pow_number(p: Pairs, n: Node) -> Parts:
    return known_power(p, p.of(n.inputs[0]), p.known_number(n))


__all__ = ["FUNCTIONS", "over", "times"]
