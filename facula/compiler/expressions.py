"""What each pointwise primitive computes, said once for every emitter.

An expression is a function of a builder `x` (see `facula.cpu.vector.Lanes`) and its operands; the
Python numbers of the operation come last (first for the reflected ones), already converted.
Primitives that are not here are run by the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula.cpu.elementary import FUNCTIONS
from facula.trace.node import Node

Build = Callable[..., Any]


def _float_only(*kinds: str) -> bool:
    return all([k in ("f32", "f64") for k in kinds])


def _compare(how: str) -> Build:
    return lambda x, a, b: x.compare(how, a, b)


def _intrinsic(name: str) -> Build:
    return lambda x, a: x.intrinsic(name, a)


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
    "rsub_s": lambda x, a, b: x.sub(b, a),
    "neg": lambda x, a: x.neg(a),
    "where": lambda x, c, a, b: x.select(c, a, b),
    "maximum": lambda x, a, b: x.maximum(a, b),
    "minimum": lambda x, a, b: x.minimum(a, b),
    "clamp_min": lambda x, a, b: x.maximum(a, b),
    "clamp_max": lambda x, a, b: x.minimum(a, b),
    "relu": _relu,
    "abs": lambda x, a: x.absolute(a),
    "sign": _sign,
    "sgn": _sign,
    "fill": lambda x, a, s: s,
    "copy": lambda x, a, b: b,
    "logical_not": lambda x, a: x.compare("eq", a, x.const(0, a.kind)),
    **{n: _compare(n) for n in ("eq", "ne", "lt", "le", "gt", "ge")},
    **{n + "_s": _compare(n) for n in ("eq", "ne", "lt", "le", "gt", "ge")},
}
INTEGER: dict[str, Build] = {
    "bitwise_and": lambda x, a, b: x.op("and", a, b),
    "bitwise_or": lambda x, a, b: x.op("or", a, b),
    "bitwise_xor": lambda x, a, b: x.op("xor", a, b),
    "bitwise_not": lambda x, a: x.op("xor", a, _ones(x, a)),
}
FLOAT: dict[str, Build] = {
    "div": lambda x, a, b: x.div(a, b),
    "div_s": lambda x, a, b: x.div(a, b),
    "rdiv_s": lambda x, a, b: x.div(b, a),
    "isnan": lambda x, a: x.nan(a),
    "reciprocal": lambda x, a: x.div(x.const(1, a.kind), a),
    "sqrt": _intrinsic("sqrt"),
    "rsqrt": lambda x, a: x.div(x.const(1, a.kind), x.intrinsic("sqrt", a)),
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "trunc": _intrinsic("trunc"),
    "round": _intrinsic("roundeven"),
    **FUNCTIONS,
}


def power(exponent: Any) -> Build | None:
    """a ** exponent for an exponent that is known."""
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
    return lambda x, a: FUNCTIONS["pow"](x, a, x.const(float(exponent), a.kind))


CHEAP = {
    *("add", "sub", "mul", "add_s", "sub_s", "mul_s", "rsub_s", "neg", "where", "maximum"),
    *("minimum", "clamp_min", "clamp_max", "relu", "abs", "copy", "fill", "to", "full"),
    *ANY,
}


def expression(n: Node, kinds: tuple[str, ...]) -> Build | None:
    """The expression of an entry whose operands are of these kinds; None: not compiled."""
    name = n.op.name
    if not kinds:
        return None
    last = kinds[-1]
    if name in ("where",) and kinds[0] != "b":
        return None
    if name in ANY:
        if last == "b" and name in ("sub", "sub_s", "rsub_s", "neg", "abs", "sign", "sgn"):
            return None
        return ANY[name]
    if name in INTEGER:
        return INTEGER[name] if last not in ("f32", "f64") else None
    if name in FLOAT:
        return FLOAT[name] if _float_only(*kinds) else None
    return None
