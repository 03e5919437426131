"""Special functions on vectors: the gamma function's kin, Bessel's, quantiles.

All are computed in float64, by the formulas of `facula/ops/gamma.py`, `bessel.py` and `normal.py`;
for float32 with fewer terms where that tells, and rounded once. Ends are those of the interpreter,
which are PyTorch's. `tests/cpu/test_special.py` holds the errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from facula.cpu import elementary
from facula.cpu.coefficients import I0_FAR, I1_FAR
from facula.cpu.elementary import _exp64, _log64
from facula.cpu.polynomials import polynomial, through_f64
from facula.cpu.vector import Lanes, Value
from facula.ops.gamma import _BERNOULLI, _near_two
from facula.ops.normal import _CENTRE, _FAR, _NEAR

INFINITY, NAN = math.inf, math.nan


def _c(x: Lanes, value: float) -> Value:
    return x.const(value, "f64")


def _sine(x: Lanes, d: Value, full: bool) -> Value:
    """sin(pi d) for d from 0 to 1/2."""
    terms = range(12 if full else 8, -1, -1)
    series = [(-1) ** k * math.pi ** (2 * k + 1) / math.factorial(2 * k + 1) for k in terms]
    return x.mul(d, polynomial(x, x.mul(d, d), tuple(series)))


def _mirrored(x: Lanes, a: Value) -> tuple[Value, Value]:
    """Whether an argument is below 1/2, and the one to compute with: 1 - a there."""
    low = x.compare("lt", a, _c(x, 0.5))
    return low, x.select(low, x.sub(_c(x, 1), a), a)


def _lgamma(x: Lanes, a: Value, full: bool) -> Value:
    """Stirling's series from 2.5 on, after steps up; a series around 2 and the recurrence below;
    the reflection for what is less than 1/2."""
    one = _c(x, 1)
    low, y = _mirrored(x, a)
    least, terms = (10, 10) if full else (6, 5)
    z, product = y, one
    for _ in range(math.ceil(least - 2.5)):
        step = x.compare("lt", z, _c(x, least))
        product = x.select(step, x.mul(product, z), product)
        z = x.select(step, x.add(z, one), z)
    near = x.compare("le", y, _c(x, 2.5))
    log = _log64(x, x.select(near, y, z), full)
    w = x.div(one, z)
    series = [_BERNOULLI[k - 1] / (2 * k * (2 * k - 1)) for k in range(terms, 0, -1)]
    out = x.mul(polynomial(x, x.mul(w, w), tuple(series)), w)
    out = x.sub(x.add(out, _c(x, 0.5 * math.log(2 * math.pi))), _log64(x, product, full))
    out = x.add(out, x.sub(x.mul(x.sub(z, _c(x, 0.5)), log), z))
    out = x.select(x.compare("eq", y, _c(x, INFINITY)), _c(x, INFINITY), out)
    first = x.compare("lt", y, _c(x, 1.5))
    e = x.sub(y, x.select(first, one, _c(x, 2)))
    around = _near_two()[: 30 if full else 18]
    beside = x.mul(e, polynomial(x, e, tuple(around[::-1])))
    beside = x.select(first, x.sub(beside, log), beside)
    out = x.select(near, beside, out)

    def below() -> Value:
        d = x.absolute(x.sub(a, x.intrinsic("roundeven", a)))
        sine = _log64(x, _sine(x, d, full), full)
        other = x.sub(x.sub(_c(x, math.log(math.pi)), sine), out)
        r = x.select(low, other, out)
        return x.select(x.compare("eq", a, _c(x, -INFINITY)), _c(x, INFINITY), r)

    return x.branch(low, below, lambda: out)


def _digamma(x: Lanes, a: Value, full: bool) -> Value:
    """Stirling's series after steps up, whose fractions are added as one; the reflection for what
    is less than 1/2."""
    one, zero = _c(x, 1), _c(x, 0)
    low, y = _mirrored(x, a)
    least, terms = (10, 10) if full else (6, 5)
    z, above, below = y, zero, one
    for _ in range(least):
        step = x.compare("lt", z, _c(x, least))
        above = x.select(step, x.fma(above, z, below), above)
        below = x.select(step, x.mul(below, z), below)
        z = x.select(step, x.add(z, one), z)
    w = x.div(one, z)
    series = [_BERNOULLI[k - 1] / (2 * k) for k in range(terms, 0, -1)]
    square = x.mul(w, w)
    tail = x.fma(polynomial(x, square, tuple(series)), square, x.mul(w, _c(x, 0.5)))
    out = x.sub(x.sub(_log64(x, z, full), tail), x.div(above, below))
    out = x.select(x.compare("eq", z, _c(x, INFINITY)), z, out)

    def reflected() -> Value:
        r = x.sub(a, x.intrinsic("roundeven", a))
        d = x.absolute(r)
        sine = x.intrinsic("copysign", _sine(x, d, full), r)
        cosine = _sine(x, x.sub(_c(x, 0.5), d), full)
        other = x.sub(out, x.div(x.mul(cosine, _c(x, math.pi)), sine))
        other = x.select(x.compare("eq", d, zero), _c(x, NAN), other)
        other = x.select(low, other, out)
        pole = x.intrinsic("copysign", _c(x, INFINITY), x.neg(a))
        return x.select(x.compare("eq", a, zero), pole, other)

    return x.branch(low, reflected, lambda: out)


def _bessel(order: int, scaled: bool) -> Callable[[Lanes, Value, bool], Value]:
    """I_0 or I_1, perhaps times exp(-|a|): the power series up to 8, whose terms are all positive,
    then a polynomial in the inverse."""
    last = 25
    powers = [1 / (math.factorial(k) * math.factorial(k + order)) for k in range(last, -1, -1)]

    def f(x: Lanes, a: Value, full: bool) -> Value:
        m = x.absolute(a)
        far = x.op("fcmp ugt", m, _c(x, 8), "b")
        small = x.select(far, _c(x, 8), m)
        half = x.mul(small, _c(x, 0.5))
        near = polynomial(x, x.mul(half, half), tuple(powers))
        near = x.mul(half, near) if order else near
        down = _exp64(x, x.neg(small), full) if scaled else None
        near = x.mul(near, down) if down is not None else near

        def beyond() -> Value:
            s = x.sub(x.div(_c(x, 16), x.select(far, m, _c(x, 8))), _c(x, 1))
            p = polynomial(x, s, I1_FAR if order else I0_FAR)
            p = x.div(p, x.intrinsic("sqrt", m))
            p = p if scaled else x.mul(p, elementary.exp(x, m))
            return x.select(far, p, near)

        out = x.branch(far, beyond, lambda: near)
        if not order:
            return out
        return x.select(x.compare("lt", a, _c(x, 0)), x.neg(out), out)

    return f


def _quotient(x: Lanes, r: Value, polynomials: tuple[tuple[float, ...], ...]) -> Value:
    above, below = [polynomial(x, r, p) for p in polynomials]
    return x.div(above, below)


def _quantile(x: Lanes, q: Value, tail: Value) -> Value:
    """The normal quantile of 0.5 + q, by Wichura's quotients (`facula/ops/normal.py`)."""
    edge = x.op("fcmp ugt", x.absolute(q), _c(x, 0.425), "b")
    centre = x.mul(q, _quotient(x, x.fma(x.neg(q), q, _c(x, 0.180625)), _CENTRE))

    def outside() -> Value:
        r = x.intrinsic("sqrt", x.neg(_log64(x, tail, True)))
        near = _quotient(x, x.sub(r, _c(x, 1.6)), _NEAR)
        far = x.compare("gt", r, _c(x, 5))
        deep = x.branch(
            far,
            lambda: x.select(far, _quotient(x, x.sub(r, _c(x, 5)), _FAR), near),
            lambda: near,
        )
        deep = x.select(x.compare("eq", r, _c(x, INFINITY)), r, deep)
        return x.select(edge, x.intrinsic("copysign", deep, q), centre)

    return x.branch(edge, outside, lambda: centre)


def _erfinv(x: Lanes, a: Value, full: bool) -> Value:
    half = _c(x, 0.5)
    tail = x.mul(x.sub(_c(x, 1), x.absolute(a)), half)
    out = _quantile(x, x.mul(a, half), tail)
    return x.mul(out, _c(x, math.sqrt(0.5)))


def _ndtri(x: Lanes, a: Value, full: bool) -> Value:
    other = x.sub(_c(x, 1), a)
    tail = x.select(x.compare("lt", a, other), a, other)
    return _quantile(x, x.sub(a, _c(x, 0.5)), tail)


def _either(f: Callable[[Lanes, Value, bool], Value]) -> Callable[[Lanes, Value], Value]:
    """The function of float32 and of float64."""

    def of(x: Lanes, a: Value) -> Value:
        if a.kind == "f64":
            return f(x, a, True)
        return through_f64(x, lambda x, a: f(x, a, False), a)

    return of


FUNCTIONS: dict[str, Callable[..., Value]] = {
    **elementary.FUNCTIONS,
    "lgamma": _either(_lgamma),
    "digamma": _either(_digamma),
    "erfinv": _either(_erfinv),
    "ndtri": _either(_ndtri),
    **dict.fromkeys(("i0", "modified_bessel_i0"), _either(_bessel(0, False))),
    **dict.fromkeys(("i1", "modified_bessel_i1"), _either(_bessel(1, False))),
    "i0e": _either(_bessel(0, True)),
    "i1e": _either(_bessel(1, True)),
}
