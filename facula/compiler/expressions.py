"""What each pointwise primitive computes, said once for every emitter.

An expression is a function of a builder `x` (see `facula.cpu.vector.Lanes`) and its operands; the
Python numbers of the operation come last (first for the reflected ones), already converted.
Primitives that are not here are run by the interpreter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from facula.compiler.builder import NARROW, SIZE, Value
from facula.compiler.cluster import kind_of, wide
from facula.cpu.special import FUNCTIONS
from facula.cpu.text import NotCompiled
from facula.dtypes import narrowed
from facula.trace.node import Node

Build = Callable[..., Any]


def _float_only(*kinds: str) -> bool:
    return all([k in ("f32", "f64") for k in kinds])


def _compare(how: str) -> Build:
    return lambda x, a, b: x.compare(how, a, b)


def _intrinsic(name: str) -> Build:
    return lambda x, a: x.intrinsic(name, a)


def _elementary(name: str) -> Build:
    """A function that each emitter has its own form of."""
    return lambda x, *args: x.function(name, *args)


def _sign(x: Any, a: Any) -> Any:
    zero = x.const(0, a.kind)
    up = x.select(x.compare("gt", a, zero), x.const(1, a.kind), zero)
    return x.select(x.compare("lt", a, zero), x.const(-1, a.kind), up)


def _relu(x: Any, a: Any) -> Any:
    zero = x.const(0, a.kind)
    return x.select(x.compare("lt", a, zero), zero, a)


def _ones(x: Any, a: Any) -> Any:
    return x.const(1 if a.kind == "b" else -1, a.kind)


ANY: dict[str, Build] = {
    "add": lambda x, a, b: x.add(a, b),
    "sub": lambda x, a, b: x.sub(a, b),
    "mul": lambda x, a, b: x.mul(a, b),
    "add_s": lambda x, a, b: x.add(a, b),
    "sub_s": lambda x, a, b: x.sub(a, b),
    "mul_s": lambda x, a, b: x.mul(a, b),
    "scale": lambda x, a, b: x.mul(a, b),
    "rsub_s": lambda x, a, b: x.sub(b, a),
    "lerp_from": lambda x, a, b, w: x.add(a, x.mul(w, x.sub(b, a))),
    "lerp_back": lambda x, a, b, w: x.sub(b, x.mul(x.sub(b, a), w)),
    "tanh_backward": lambda x, a, b: x.mul(a, x.sub(x.const(1, b.kind), x.mul(b, b))),
    "sigmoid_backward": lambda x, a, b: x.mul(x.mul(a, x.sub(x.const(1, b.kind), b)), b),
    "neg": lambda x, a: x.neg(a),
    "where": lambda x, c, a, b: x.select(c, a, b),
    "triangle": lambda x, c, a: x.select(c, a, x.const(0, a.kind)),
    "maximum": lambda x, a, b: x.maximum(b, a),
    "minimum": lambda x, a, b: x.minimum(b, a),
    "clamp_low": lambda x, a, b: x.maximum(b, a),
    "clamp_high": lambda x, a, b: x.minimum(b, a),
    "clamp_min": lambda x, a, b: x.maximum(b, a),
    "clamp_max": lambda x, a, b: x.minimum(b, a),
    "relu": _relu,
    "abs": lambda x, a: x.absolute(a),
    "sign": _sign,
    "sgn": _sign,
    "fill": lambda x, a, s: s,
    "copy": lambda x, a, b: b,
    "standard_gamma": lambda x, a, b: b,
    "sample_dirichlet": lambda x, a, b: b,
    "logical_not": lambda x, a: x.compare("eq", a, x.const(0, a.kind)),
    **{n: _compare(n) for n in ("eq", "ne", "lt", "le", "gt", "ge")},
    **{n + "_s": _compare(n) for n in ("eq", "ne", "lt", "le", "gt", "ge")},
    "signbit": lambda x, a: _signbit(x, a),
    "floor_divide": lambda x, a, b: _floor_divide(x, a, b),
    "remainder": lambda x, a, b: _remainder(x, a, b),
    "fmod": lambda x, a, b: _fmod(x, a, b),
}
NOT_BOOL = {
    *("sub", "sub_s", "rsub_s", "lerp_from", "lerp_back", "neg", "abs", "sign", "sgn"),
    *("floor_divide", "remainder", "fmod"),
}


def _shift(right: bool) -> Build:
    """A shift; by as many bits as there are, or more, or fewer than none, all of them go."""

    def build(x: Any, a: Any, b: Any) -> Any:
        bits = 8 * SIZE[a.kind]
        far = x.op("icmp uge", b, x.const(bits, a.kind), "b")
        most = x.const(bits - 1, a.kind)
        signed = a.kind != "u8"
        if right:
            out = x.op("ashr" if signed else "lshr", a, x.select(far, most, b))
            return out if signed else x.select(far, x.const(0, a.kind), out)
        return x.select(far, x.const(0, a.kind), x.op("shl", a, x.select(far, most, b)))

    return build


def _quotient(x: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Truncated quotient and remainder of integers. Of a division by zero the remainder is 0;
    -1 divides apart, since the processor faults on the quotient that does not fit."""
    zero, one = x.const(0, b.kind), x.const(1, b.kind)
    safe = x.select(x.compare("eq", b, zero), one, b)
    if a.kind == "u8":
        return x.op("udiv", a, safe), x.op("urem", a, safe)
    minus = x.compare("eq", b, x.const(-1, b.kind))
    safe = x.select(minus, one, safe)
    q = x.op("sdiv", a, safe)
    return x.select(minus, x.neg(a), q), x.sub(a, x.mul(q, safe))


def _floor_divide(x: Any, a: Any, b: Any) -> Any:
    zero = x.const(0, a.kind)
    if not x.floating(a):
        x.f.report(x.some(x.compare("eq", b, zero)))
        q, r = _quotient(x, a, b)
        if a.kind == "u8":
            return q
        apart = x.op("xor", x.compare("lt", r, zero), x.compare("lt", b, zero))
        down = x.op("and", x.compare("ne", r, zero), apart)
        return x.select(down, x.sub(q, x.const(1, a.kind)), q)
    r = x.function("fmod", a, b)
    q = x.div(x.sub(a, r), b)
    apart = x.op("xor", x.compare("lt", r, zero), x.compare("lt", b, zero))
    down = x.op("and", x.compare("ne", r, zero), apart)
    q = x.select(down, x.sub(q, x.const(1, a.kind)), q)
    f = x.intrinsic("floor", q)
    up = x.compare("gt", x.sub(q, f), x.const(0.5, a.kind))
    f = x.select(up, x.add(f, x.const(1, a.kind)), f)
    exact = x.div(a, b)
    f = x.select(x.compare("eq", q, zero), x.intrinsic("copysign", zero, exact), f)
    return x.select(x.compare("eq", b, zero), exact, f)


def _remainder(x: Any, a: Any, b: Any) -> Any:
    if x.floating(a):
        return x.function("remainder", a, b)
    _, r = _quotient(x, a, b)
    if a.kind == "u8":
        return x.select(x.compare("eq", b, x.const(0, "u8")), b, r)
    zero = x.const(0, a.kind)
    apart = x.op("xor", x.compare("lt", r, zero), x.compare("lt", b, zero))
    r = x.select(x.op("and", x.compare("ne", r, zero), apart), x.add(r, b), r)
    return x.select(x.compare("eq", b, zero), zero, r)


def _fmod(x: Any, a: Any, b: Any) -> Any:
    if x.floating(a):
        return x.function("fmod", a, b)
    zero = x.const(0, a.kind)
    return x.select(x.compare("eq", b, zero), zero, _quotient(x, a, b)[1])


INTEGER: dict[str, Build] = {
    "bitwise_and": lambda x, a, b: x.op("and", a, b),
    "bitwise_or": lambda x, a, b: x.op("or", a, b),
    "bitwise_xor": lambda x, a, b: x.op("xor", a, b),
    "bitwise_not": lambda x, a: x.op("xor", a, _ones(x, a)),
    "bitwise_left_shift": _shift(False),
    "bitwise_right_shift": _shift(True),
}


def _passing(how: str) -> Build:
    """The larger or smaller of two, passing over NaN."""

    def build(x: Any, a: Any, b: Any) -> Any:
        m = x.select(x.compare(how, a, b), a, b)
        return x.select(x.nan(b), a, m)

    return build


def _heaviside(x: Any, a: Any, b: Any) -> Any:
    zero, one = x.const(0, a.kind), x.const(1, a.kind)
    out = x.select(x.compare("gt", a, zero), one, zero)
    return x.select(x.compare("eq", a, zero), b, out)


def _hypot(x: Any, a: Any, b: Any) -> Any:
    if a.kind == "f64":
        return x.library("hypot", a, b)
    p, q = x.cast(a, "f64"), x.cast(b, "f64")
    out = x.cast(x.intrinsic("sqrt", x.fma(p, p, x.mul(q, q))), "f32")
    infinity = x.const(float("inf"), "f32")
    endless = x.op(
        "or",
        x.compare("eq", x.absolute(a), infinity),
        x.compare("eq", x.absolute(b), infinity),
    )
    return x.select(endless, infinity, out)


def _signbit(x: Any, a: Any) -> Any:
    if x.floating(a):
        i = x.bits(a)
        return x.compare("lt", i, x.const(0, i.kind))
    return x.compare("lt", a, x.const(0, a.kind))


def _times_log(name: str) -> Build:
    """a log(b), or a log(1 + b): 0 where a is 0, unless b is NaN."""

    def build(x: Any, a: Any, b: Any) -> Any:
        zero = x.const(0, a.kind)
        none = x.op("and", x.compare("eq", a, zero), x.op("fcmp ord", b, b, "b"))
        return x.select(none, zero, x.mul(a, x.function(name, b)))

    return build


def _log_add(two: bool) -> Build:
    """log(exp(a) + exp(b)), or the same with powers of two."""

    def build(x: Any, a: Any, b: Any) -> Any:
        up = x.function("exp2" if two else "exp", x.neg(x.absolute(x.sub(a, b))))
        r = x.function("log1p", up)
        if two:
            r = x.mul(r, x.const(1 / math.log(2), a.kind))
        same = x.add(a, x.const(1 if two else math.log(2), a.kind))
        return x.select(x.compare("eq", a, b), same, x.add(x.maximum(a, b), r))

    return build


def _normal(x: Any, a: Any) -> Any:
    """The normal distribution function."""
    half = x.function("erfc", x.mul(a, x.const(-math.sqrt(0.5), a.kind)))
    return x.mul(half, x.const(0.5, a.kind))


def _logit(x: Any, a: Any) -> Any:
    return x.function("log", x.div(a, x.sub(x.const(1, a.kind), a)))


def _entropy(x: Any, a: Any) -> Any:
    zero = x.const(0, a.kind)
    out = x.neg(x.mul(a, x.function("log", a)))
    out = x.select(x.compare("eq", a, zero), zero, out)
    return x.select(x.compare("lt", a, zero), x.const(float("-inf"), a.kind), out)


def _sinc(x: Any, a: Any) -> Any:
    zero = x.compare("eq", a, x.const(0, a.kind))
    y = x.mul(x.const(math.pi, a.kind), x.select(zero, x.const(1e-20, a.kind), a))
    return x.div(x.function("sin", y), y)


def _nan_to_num(x: Any, a: Any, nan: Any, high: Any, low: Any) -> Any:
    out = x.select(x.compare("eq", a, x.const(math.inf, a.kind)), high, a)
    out = x.select(x.compare("eq", a, x.const(-math.inf, a.kind)), low, out)
    return x.select(x.nan(a), nan, out)


def _number_equal(number: float) -> Build:
    return lambda x, a: x.compare("eq", a, x.const(number, a.kind))


FLOAT: dict[str, Build] = {
    "div": lambda x, a, b: x.div(a, b),
    "div_s": lambda x, a, b: x.div(a, b),
    "over": lambda x, a, b: x.div(a, b),
    "rdiv_s": lambda x, a, b: x.div(b, a),
    "isnan": lambda x, a: x.nan(a),
    "reciprocal": lambda x, a: x.div(x.const(1, a.kind), a),
    "sqrt": _intrinsic("sqrt"),
    "rsqrt": lambda x, a: x.div(x.const(1, a.kind), x.intrinsic("sqrt", a)),
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "div_trunc": lambda x, a, b: x.intrinsic("trunc", x.div(a, b)),
    "trunc": _intrinsic("trunc"),
    "round": _intrinsic("roundeven"),
    **{name: _elementary(name) for name in FUNCTIONS},
    "rpow_s": lambda x, a, s: x.function("pow", s, a),
    "copysign": lambda x, a, b: x.intrinsic("copysign", a, b),
    "fmax": _passing("ge"),
    "fmin": _passing("le"),
    "heaviside": _heaviside,
    "hypot": _hypot,
    "xlogy": _times_log("log"),
    "xlog1py": _times_log("log1p"),
    "logaddexp": _log_add(False),
    "logaddexp2": _log_add(True),
    "logit": _logit,
    "ndtr": _normal,
    "entr": _entropy,
    "sinc": _sinc,
    "deg2rad": lambda x, a: x.mul(a, x.const(math.pi / 180, a.kind)),
    "rad2deg": lambda x, a: x.mul(a, x.const(180 / math.pi, a.kind)),
    "nan_to_num": _nan_to_num,
    "isposinf": _number_equal(math.inf),
    "isneginf": _number_equal(-math.inf),
    "pair": lambda x, a, b: x.pair(a, b),
}


def _whole_power(exponent: int) -> Build:
    """Powers of integers by squaring; they wrap around."""

    def build(x: Any, a: Any) -> Any:
        out, square, e = x.const(1, a.kind), a, exponent
        while e:
            if e & 1:
                out = x.mul(out, square)
            e >>= 1
            square = x.mul(square, square) if e else square
        return out

    return build


def power(exponent: Any, kind: str) -> Build | None:
    """a ** exponent for an exponent that is known; None: not compiled."""
    if kind not in ("f32", "f64"):
        if type(exponent) is not int or exponent < 0 or kind == "b":
            return None
        return _whole_power(exponent)
    if exponent == 2:
        return lambda x, a: x.mul(a, a)
    if exponent == 1:
        return lambda x, a: a
    if exponent == 3:
        return lambda x, a: x.mul(x.mul(a, a), a)
    if exponent == 0.5:
        return FLOAT["sqrt"]
    if exponent == -0.5:
        return FLOAT["rsqrt"]
    if exponent == -1:
        return FLOAT["reciprocal"]
    if exponent == -2:
        return lambda x, a: x.div(x.const(1, a.kind), x.mul(a, a))
    return lambda x, a: x.function("pow", a, x.const(float(exponent), a.kind))


CHEAP = {"to", "full", *ANY} - {"floor_divide", "remainder", "fmod"}

MASKED = ("where", "triangle")  # whose first operand is a condition

# Whose results are operands, or as exact, so that narrow ones need no rounding.
EXACT = {
    *(
        "where",
        "triangle",
        "neg",
        "abs",
        "relu",
        "maximum",
        "minimum",
        "clamp_low",
        "clamp_high",
        "copy",
    ),
    *("sign", "sgn", "fmax", "fmin"),
}


def expression(n: Node, kinds: tuple[str, ...]) -> Build | None:
    """The expression of an entry whose operands are of these kinds; None: not compiled."""
    name = n.op.name
    if not kinds:
        return None
    last = kinds[-1]
    if name in MASKED and kinds[0] != "b":
        return None
    if name in ANY:
        if last == "b" and name in NOT_BOOL:
            return None
        return ANY[name]
    if name in INTEGER:
        return INTEGER[name] if last not in ("f32", "f64") else None
    if name in FLOAT:
        return FLOAT[name] if _float_only(*kinds) else None
    return None


COPIES = ("reshape", "clone", "flatten_copy")


def computed(
    n: Node, x: Any, args: list[Value], numbers: Callable[[], list[Value]], guards: dict[int, Any]
) -> Value:
    """What an entry computes of operands that are there. `numbers` gives its Python numbers, as
    scalars; `guards` the exponents that the program was made for."""
    name, kind = n.op.name, kind_of(n)
    assert kind is not None
    if name == "to":
        return x.cast(args[0], kind)
    if name in COPIES:
        return args[0]
    args = [x.widened(a) for a in args]
    if name == "pow_s":
        exponent = guards[n.scalar_at]
        if kind in NARROW and x.rounds:
            exponent = narrowed(exponent, n.dtype.np)
        build = power(exponent, wide(kind))
        if build is None:
            raise NotCompiled(f"a power of {kind}")
        out = build(x, args[0])
    else:
        scalars = [x.splat(a) for a in numbers()]
        if name == "full":
            return x.cast(scalars[0], kind)
        scalars = [x.widened(a) if a.kind in NARROW else a for a in scalars]
        build = expression(n, tuple([a.kind for a in args]))
        if build is None:
            raise NotCompiled(str(n.op))
        out = build(x, *args, *scalars)
    if kind not in NARROW:
        return out
    return Value(out.name, kind) if name in EXACT else x.rounded(out, kind)
