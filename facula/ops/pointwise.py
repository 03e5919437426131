"""Pointwise primitives: one declaration each, with NumPy body and derivative.

A name that ends in `_s` takes a Python number as its last operand, one that begins with `r` and
ends in `_s` as its first. Numbers are inputs of the program, not part of the trace.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula import dtypes
from facula.ops.movement import tied
from facula.ops.registry import Op, cloned_strides, pointwise, to_bool
from facula.trace.recorder import record

__all__ = ["cast", "num"]


def num(value: Any, like: Any) -> Any:
    """A Python number as a NumPy scalar of the array's dtype, wrapping around as C does."""
    d = like.dtype
    if d.kind == "f" and type(value) is float:
        return d.type(value)
    if d.kind in "iub" and type(value) is int:
        return np.asarray(value).astype(d)[()] if -(1 << 63) <= value < 1 << 63 else d.type(value)
    return dtypes.convert(np.asarray(value), d)[()]


def _real(d: Any) -> Any:
    return d.to_real()


def _c(t: Any) -> Any:
    """The conjugate of a complex tensor, any other as it is."""
    return t.conj_physical() if t.dtype.is_complex else t


def _scalar(f: Any) -> Any:
    return lambda p, s, a: f(a, num(s[0], a))


def _rscalar(f: Any) -> Any:
    return lambda p, s, a: f(num(s[0], a), a)


# Casting: the dtype is a parameter.
def _cast_infer(p: Any, st: Any, a: Any) -> Any:
    return a.shape, p, cloned_strides(a), 0


def _cast_body(p: Any, s: Any, a: Any) -> Any:
    if a.dtype.kind == "c" and p.category != dtypes.COMPLEX:
        return a.astype(np.bool_) if p is dtypes.bool else dtypes.convert(a.real, p.np)
    if p.category == dtypes.INT and a.dtype.kind not in "iub":
        # As C does on the usual machines: what 32 bits have no place for is the least number.
        way = np.int64 if p.itemsize == 8 or p is dtypes.uint32 else np.int32
        return a.astype(way).astype(p.np)
    return dtypes.convert(a, p.np)


def cast(t: Any, d: Any) -> Any:
    """The tensor converted to a dtype; itself where it has it."""
    return t if t.node.dtype is d else record(CAST, (t,), d)


CAST: Op = pointwise("to", lambda p, s, a: a, lambda g, an: cast(g, an.dtype))
CAST.infer, CAST.body, CAST.pointwise, CAST.alike = _cast_infer, _cast_body, False, False

# Arithmetic.
ADD: Op = pointwise("add", lambda p, s, a, b: a + b, lambda g: g, lambda g: g)
SUB: Op = pointwise("sub", lambda p, s, a, b: a - b, lambda g: g, lambda g: -g)
MUL: Op = pointwise("mul", lambda p, s, a, b: a * b, lambda g, b: g * _c(b), lambda g, a: g * _c(a))
DIV: Op = pointwise(
    "div", lambda p, s, a, b: a / b, lambda g, b: g / _c(b), lambda g, a, b: -g * _c(a / (b * b))
)
ADD_S: Op = pointwise("add_s", _scalar(np.add), lambda g: g, number=True, rounds=True)
SUB_S: Op = pointwise("sub_s", _scalar(np.subtract), lambda g: g, number=True, rounds=True)
MUL_S: Op = pointwise("mul_s", _scalar(np.multiply), lambda g, s: g * _cs(s[0]), number=True)
DIV_S: Op = pointwise("div_s", _scalar(np.divide), lambda g, s: g / _cs(s[0]), number=True)
MUL_S.frees = DIV_S.frees = True  # PyTorch saves the number as a tensor
# The same within operations that save nothing (`add(alpha=)`; `mean`).
SCALE: Op = pointwise("scale", _scalar(np.multiply), lambda g, s: record(SCALE, (g,), (), s))
OVER: Op = pointwise("over", _scalar(np.divide), lambda g, s: record(OVER, (g,), (), s))
# Between two by a number: of the way from the first, or of the way back from the second.
LERP_FROM: Op = pointwise(
    "lerp_from",
    lambda p, s, a, b: a + num(s[0], a) * (b - a),
    lambda g, s: record(SCALE, (g,), (), (1 - _cs(s[0]),)),
    lambda g, s: record(SCALE, (g,), (), (_cs(s[0]),)),
)
LERP_BACK: Op = pointwise(
    "lerp_back",
    lambda p, s, a, b: b - (b - a) * num(s[0], a),
    lambda g, s: record(SCALE, (g,), (), (_cs(s[0]),)),
    lambda g, s: record(SCALE, (g,), (), (1 - _cs(s[0]),)),
)
# The same, by a tensor, after the value.
LERP: Op = Op(
    "lerp",
    lambda p, st, a, b, c, d: (a.shape, a.dtype, a.strides, 0),
    lambda p, s, a, b, c, d: a,
    (
        None,
        lambda g, d: g * (1 - _c(d)),
        lambda g, d: g * _c(d),
        lambda g, b, c: g * _c(c - b),
    ),
)
RSUB_S: Op = pointwise("rsub_s", _rscalar(np.subtract), lambda g: -g, number=True, rounds=True)
RDIV_S: Op = pointwise("rdiv_s", _rscalar(np.divide), lambda g, a, s: -g * _c(_cs(s[0]) / (a * a)))
NEG: Op = pointwise("neg", lambda p, s, a: -a, lambda g: -g)


def _cs(x: Any) -> Any:
    return x.conjugate() if type(x) is complex else x


def _pow_s(p: Any, s: Any, a: Any) -> Any:
    e = s[0]
    if e == 2:
        return a * a
    if e == 0.5:
        return np.sqrt(a)
    if e == -0.5:
        return 1 / np.sqrt(a)
    if e == -1 and a.dtype.kind in "fc":
        return 1 / a
    if a.dtype.kind in "iu" and type(e) is int and e < 0:
        if a.dtype.kind == "i":
            odd = e & 1
            return np.where(a == 1, 1, np.where(a == -1, -1 if odd else 1, 0)).astype(a.dtype)
        return (a == 1).astype(a.dtype)
    return np.power(a, num(e, a))


def _pow(p: Any, s: Any, a: Any, b: Any) -> Any:
    if a.dtype.kind in "iu":
        out = np.power(a, np.maximum(b, 0))
        odd = np.where((b & 1) == 1, -1, 1) if a.dtype.kind == "i" else 1
        return np.where(b < 0, np.where(a == 1, 1, np.where(a + 1 == 0, odd, 0)), out).astype(
            a.dtype
        )
    return np.power(a, b)


def _pow_s_grad(g: Any, a: Any, s: Any) -> Any:
    e = s[0]
    if e == 0:
        return _zeros(g)
    return g * _c(a.pow(e - 1) * e)


def _pow_base(g: Any, a: Any, b: Any) -> Any:
    return _select(b == 0, _zero_like(g), g * _c(b * a.pow(b - 1)))


def _pow_exponent(g: Any, a: Any, b: Any, o: Any) -> Any:
    zero = (a == 0) & (b >= 0) if not a.dtype.is_complex else (a == 0)
    return _select(zero, _zero_like(g), g * _c(o * a.log()))


POW: Op = pointwise("pow", _pow, _pow_base, _pow_exponent)
POW.watches = "o"
POW_S: Op = pointwise("pow_s", _pow_s, _pow_s_grad, rounds=True)


def _rpow_s_grad(g: Any, o: Any, s: Any) -> Any:
    d = g * _c(o * _log(complex(s[0]) if s[0] < 0 and o.dtype.is_complex else s[0]))
    if s[0] == 0 and not o.dtype.is_complex:  # it is 0 or 1 where the exponent is not negative
        return _select(o.abs() <= 1, _zero_like(g), d)
    return d


RPOW_S: Op = pointwise(
    "rpow_s", lambda p, s, a: _pow(p, s, num(s[0], a), a), _rpow_s_grad, rounds=True
)
RPOW_S.watches = "a"


def _log(x: Any) -> Any:
    if type(x) is complex:
        import cmath

        return cmath.log(x)
    return math.log(x) if x > 0 else (-math.inf if x == 0 else math.nan)


# Comparison and logic.
EQ: Op = pointwise("eq", lambda p, s, a, b: a == b, None, None, out=to_bool)
NE: Op = pointwise("ne", lambda p, s, a, b: a != b, None, None, out=to_bool)
LT: Op = pointwise("lt", lambda p, s, a, b: a < b, None, None, out=to_bool)
LE: Op = pointwise("le", lambda p, s, a, b: a <= b, None, None, out=to_bool)
GT: Op = pointwise("gt", lambda p, s, a, b: a > b, None, None, out=to_bool)
GE: Op = pointwise("ge", lambda p, s, a, b: a >= b, None, None, out=to_bool)
COMPARE_S: dict[str, Op] = {}
for _n, _ufunc in {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}.items():
    COMPARE_S[_n] = pointwise(
        _n + "_s", _scalar(_ufunc), None, out=to_bool, number=True, rounds=True
    )
AND: Op = pointwise("bitwise_and", lambda p, s, a, b: a & b, None, None)
OR: Op = pointwise("bitwise_or", lambda p, s, a, b: a | b, None, None)
XOR: Op = pointwise("bitwise_xor", lambda p, s, a, b: a ^ b, None, None)
NOT: Op = pointwise("bitwise_not", lambda p, s, a: ~a, None)
LSHIFT: Op = pointwise("bitwise_left_shift", lambda p, s, a, b: np.left_shift(a, b), None, None)
RSHIFT: Op = pointwise("bitwise_right_shift", lambda p, s, a, b: np.right_shift(a, b), None, None)
LOGICAL_NOT: Op = pointwise("logical_not", lambda p, s, a: np.logical_not(a), None, out=to_bool)
ISNAN: Op = pointwise(
    "isnan",
    lambda p, s, a: np.isnan(a) if a.dtype.kind not in "iub" else np.zeros(a.shape, bool),
    None,
    out=to_bool,
)
SIGNBIT: Op = pointwise(
    "signbit",
    lambda p, s, a: np.signbit(a) if a.dtype.kind != "b" else np.zeros(a.shape, bool),
    None,
    out=to_bool,
)


# Selection: the condition is bool, the others have one dtype.
def _select(c: Any, a: Any, b: Any) -> Any:
    return record(WHERE, (c, a, b))


def _zero_like(g: Any) -> Any:
    return g.new_zeros(())


FORESEEN = 1024  # elements of a condition; NumPy jumps at each, and waits where it guessed wrong


def _chosen(p: Any, s: Any, c: Any, a: Any, b: Any) -> Any:
    """Elements of a or b, of more than a few by their bits."""
    size = a.dtype.itemsize
    if c.size < FORESEEN or size > 8:
        return np.where(c, a, b)
    kind = f"i{size}"
    x, y = a.view(kind), b.view(kind)
    out = (x ^ y) & np.negative(c.view(np.int8)).astype(kind)
    out ^= y
    return out.view(a.dtype)


WHERE: Op = pointwise(
    "where",
    _chosen,
    None,
    lambda g, a: _select(a, g, _zero_like(g)),
    lambda g, a: _select(a, _zero_like(g), g),
)


def _split(g: Any, loses: Any, ties: Any) -> Any:
    """The gradient where an operand was chosen; half of it at a tie, as PyTorch does."""
    return _select(loses, _zero_like(g), _select(ties, g / 2, g))


# Of equal operands NumPy's functions give the second, here it is to be the first: zeros have signs.
MAXIMUM: Op = pointwise(
    "maximum",
    lambda p, s, a, b: np.maximum(b, a),
    lambda g, a, b: _split(g, a < b, a == b),
    lambda g, a, b: _split(g, a > b, a == b),
)
MINIMUM: Op = pointwise(
    "minimum",
    lambda p, s, a, b: np.minimum(b, a),
    lambda g, a, b: _split(g, a > b, a == b),
    lambda g, a, b: _split(g, a < b, a == b),
)
# clamp by tensors: at a tie the gradient is the clamped tensor's.
CLAMP_LOW: Op = pointwise(
    "clamp_low",
    lambda p, s, a, b: np.maximum(b, a),
    lambda g, a, b: _select(a >= b, g, _zero_like(g)),
    lambda g, a, b: _select(a < b, g, _zero_like(g)),
)
CLAMP_HIGH: Op = pointwise(
    "clamp_high",
    lambda p, s, a, b: np.minimum(b, a),
    lambda g, a, b: _select(a <= b, g, _zero_like(g)),
    lambda g, a, b: _select(a > b, g, _zero_like(g)),
)


def _clamp_min(p: Any, s: Any, a: Any) -> Any:
    return np.maximum(num(s[0], a), a)


CLAMP_MIN: Op = pointwise(
    "clamp_min", _clamp_min, lambda g, a, s: _select(a >= s[0], g, _zero_like(g))
)
CLAMP_MAX: Op = pointwise(
    "clamp_max",
    lambda p, s, a: np.minimum(num(s[0], a), a),
    lambda g, a, s: _select(a <= s[0], g, _zero_like(g)),
)
RELU: Op = pointwise(
    "relu",
    lambda p, s, a: np.maximum(a.dtype.type(0), a),  # -0.0 stays
    lambda g, o, z: tied(_select(o <= 0, _zero_like(g), g), z),  # NaN lets the gradient through
)


def _zeros(g: Any) -> Any:
    return g.new_zeros(g.node.shape)


# In-place stores: the first operand gives the shape, and its gradient is zero.
FILL: Op = pointwise(
    "fill", lambda p, s, a: np.full(a.shape, num(s[0], a), a.dtype), lambda g: _zeros(g)
)
COPY: Op = pointwise(
    "copy",
    lambda p, s, a, b: np.broadcast_to(b, np.broadcast_shapes(a.shape, b.shape)).copy(),
    lambda g: _zeros(g),
    lambda g: g,
)


# Elementary functions.
def _f(name: str, f: Any, grad: Any) -> Any:
    return pointwise(name, lambda p, s, a: f(a), grad)


def _sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


# Gradients of what a recurrent network does at every step: one operation each, in PyTorch's order.
TANH_BACKWARD: Op = pointwise(
    "tanh_backward",
    lambda p, s, a, b: a * (1 - b * b),
    lambda g, b: record(TANH_BACKWARD, (g, b)),
    lambda g, a, b: g * a * b * -2,
)
SIGMOID_BACKWARD: Op = pointwise(
    "sigmoid_backward",
    lambda p, s, a, b: a * (1 - b) * b,
    lambda g, b: record(SIGMOID_BACKWARD, (g, b)),
    lambda g, a, b: g * a * (1 - b * 2),
)


def _tanh_grad(g: Any, o: Any) -> Any:
    return g * _c(1 - o * o) if o.dtype.is_complex else record(TANH_BACKWARD, (g, o))


def _sigmoid_grad(g: Any, o: Any) -> Any:
    return g * _c(o * (1 - o)) if o.dtype.is_complex else record(SIGMOID_BACKWARD, (g, o))


EXP = _f("exp", np.exp, lambda g, o: g * _c(o))
EXPM1 = _f("expm1", np.expm1, lambda g, o: g * _c(o + 1))
EXP2 = _f("exp2", np.exp2, lambda g, o: g * _c(o * math.log(2)))
LOG = _f("log", np.log, lambda g, a: g / _c(a))
LOG1P = _f("log1p", np.log1p, lambda g, a: g / _c(a + 1))
LOG2 = _f("log2", np.log2, lambda g, a: g / _c(a * math.log(2)))
LOG10 = _f("log10", np.log10, lambda g, a: g / _c(a * math.log(10)))
SQRT = _f("sqrt", np.sqrt, lambda g, o: g / _c(o * 2))
RSQRT = _f("rsqrt", lambda a: 1 / np.sqrt(a), lambda g, o: g * _c(o.pow(3) * -0.5))
RECIPROCAL = _f("reciprocal", lambda a: 1 / a, lambda g, o: -g * _c(o * o))
SIN = _f("sin", np.sin, lambda g, a: g * _c(a.cos()))
COS = _f("cos", np.cos, lambda g, a: -g * _c(a.sin()))
TAN = _f("tan", np.tan, lambda g, o: g * _c(o * o + 1))
ASIN = _f("asin", np.arcsin, lambda g, a: g * _c((1 - a * a).rsqrt()))
ACOS = _f("acos", np.arccos, lambda g, a: -g * _c((1 - a * a).rsqrt()))
ATAN = _f("atan", np.arctan, lambda g, a: g / _c(a * a + 1))
SINH = _f("sinh", np.sinh, lambda g, a: g * _c(a.cosh()))
COSH = _f("cosh", np.cosh, lambda g, a: g * _c(a.sinh()))
TANH = _f("tanh", np.tanh, _tanh_grad)
ASINH = _f("asinh", np.arcsinh, lambda g, a: g * _c((a * a + 1).rsqrt()))
ACOSH = _f("acosh", np.arccosh, lambda g, a: g * _c((a * a - 1).rsqrt()))
ATANH = _f("atanh", np.arctanh, lambda g, a: g / _c(1 - a * a))
SIGMOID = _f("sigmoid", _sigmoid, _sigmoid_grad)
FLOOR = _f("floor", np.floor, _zeros)
CEIL = _f("ceil", np.ceil, _zeros)
ROUND = _f("round", np.rint, _zeros)
TRUNC = _f("trunc", np.trunc, _zeros)


def _sign(a: Any) -> Any:
    """The sign; NaN has none (0), as in PyTorch."""
    if a.dtype.kind == "b":
        return a
    s = np.sign(a)
    return np.where(np.isnan(a), a.dtype.type(0), s) if a.dtype.kind == "f" else s


SIGN = _f("sign", _sign, _zeros)


def _erf(a: Any) -> Any:
    from facula.ops.erf import erf

    return erf(a)


def _erfc(a: Any) -> Any:
    from facula.ops.erf import erfc

    return erfc(a)


_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
ERF = _f("erf", _erf, lambda g, a: g * ((-(a * a)).exp() * _TWO_OVER_ROOT_PI))
ERFC = _f("erfc", _erfc, lambda g, a: g * ((-(a * a)).exp() * -_TWO_OVER_ROOT_PI))


def _abs_grad(g: Any, a: Any) -> Any:
    return g * a.sgn()


ABS: Op = pointwise("abs", lambda p, s, a: np.abs(a), _abs_grad, out=_real)


def _sgn_grad(g: Any, a: Any, o: Any) -> Any:
    """What of g is at a right angle to the number, which alone turns it; 0 at 0."""
    if not a.node.dtype.is_complex:
        return _zeros(g)
    size = a.abs()
    zero = size == 0
    safe = record(WHERE, (zero, size.new_ones(()), size))
    along = record(REAL, (g * o.conj_physical(),))
    return record(WHERE, (zero, g.new_zeros(()), (g - o * along) / safe))


SGN: Op = pointwise(
    "sgn",
    lambda p, s, a: (
        np.where(a == 0, 0, a / np.where(a == 0, 1, np.abs(a))).astype(a.dtype)
        if a.dtype.kind == "c"
        else _sign(a)
    ),
    _sgn_grad,
)
CONJ: Op = pointwise("conj_physical", lambda p, s, a: np.conj(a), lambda g: record(CONJ, (g,)))
REAL: Op = pointwise(
    "real", lambda p, s, a: a.real.copy(), lambda g, an: cast(g, an.dtype), out=_real
)
IMAG: Op = pointwise(
    "imag", lambda p, s, a: a.imag.copy(), lambda g, an: cast(g, an.dtype) * 1j, out=_real
)


def _square_radius(a: Any, b: Any) -> Any:
    """Infinite at the origin, where PyTorch gives the angle no gradient."""
    r = a * a + b * b
    return _select(r == 0, r.new_full((), math.inf), r)


ATAN2: Op = pointwise(
    "atan2",
    lambda p, s, a, b: np.arctan2(a, b),
    lambda g, a, b: g * (b / _square_radius(a, b)),
    lambda g, a, b: g * (-a / _square_radius(a, b)),
)
FLOOR_DIVIDE: Op = pointwise(
    "floor_divide",
    lambda p, s, a, b: _floor_divide(a, b),
    _zeros,
    _zeros,
)
FLOOR_DIVIDE.watches = ("b", "ab")
DIV_TRUNC: Op = pointwise("div_trunc", lambda p, s, a, b: np.trunc(a / b), _zeros, _zeros)
DIV_TRUNC.watches = ("b", "ab")


# Those for which PyTorch has a rule, which says so.
_REFUSED = ("_unique2", "geqrf", "unique_consecutive", "unique_dim")


def _underivable(g: Any, p: Any) -> Any:
    if p in _REFUSED:
        raise NotImplementedError(f"the derivative for '{p}' is not implemented.")
    raise RuntimeError(f"derivative for {p} is not implemented")


# What PyTorch has no derivative of. The parameter is the operation's name.
UNDERIVABLE: Op = pointwise("underivable", lambda p, s, a: a, _underivable)
UNDERIVABLE.hurries = True  # the pass fails before it has gone through what is older or apart


def _remainder(a: Any, b: Any) -> Any:
    """The remainder with the sign of b; a zero has the sign of a, as in PyTorch."""
    r = np.remainder(a, b)
    return r if r.dtype.kind in "iub" else np.where(r == 0, np.copysign(r, a), r)


REMAINDER: Op = pointwise(
    "remainder",
    lambda p, s, a, b: _remainder(a, b),
    lambda g: g,
    lambda g, a, b: -g * record(FLOOR_DIVIDE, (a, b)),
)
FMOD: Op = pointwise(
    "fmod", lambda p, s, a, b: np.fmod(a, b), lambda g: g, lambda g, a, b: -g * (a / b).trunc()
)


def _floor_divide(a: Any, b: Any) -> Any:
    if a.dtype.kind == "f":
        out = np.floor_divide(a, b)
        return np.where(b == 0, a / b, out)
    return np.floor_divide(a, b)
