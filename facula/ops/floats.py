"""Functions of floating-point and integer numbers beyond arithmetic: signs, exponents, logarithms
of sums, common divisors, angles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula import dtypes
from facula.ops import pointwise as pw
from facula.ops.arithmetic import _underivable
from facula.ops.pointwise import _c, _f
from facula.ops.promotion import implemented, need, one_tensor, operands, real_only, tensor_of
from facula.ops.registry import Op, broadcast, pointwise, to_bool
from facula.ops.table import METHODS, api
from facula.return_types import fields
from facula.tensor import Tensor
from facula.trace.recorder import record


def _zero(g: Any) -> Any:
    return g.new_zeros(())


def _where(c: Any, a: Any, b: Any) -> Any:
    return record(pw.WHERE, (c, a, b))


def _two(
    name: str,
    prim: Op,
    *,
    inplace: bool = True,
    allowed: Any = None,
    doc: str = "",
) -> Any:
    """A function of two tensors over one primitive."""

    def f(input: Any, other: Any) -> Any:
        need(name, input=input, other=other)
        a, b, d = operands(name, input, other)
        if allowed is not None and not allowed(d):
            raise NotImplementedError(f"{name}: not implemented for {d}")
        return record(prim, (tensor_of(a, d), tensor_of(b, d)))

    f.__name__ = name
    f.__doc__ = doc
    return api(f, inplace=inplace)


def _is_int(d: Any) -> bool:
    return d.category == dtypes.INT


def _not_complex(d: Any) -> bool:
    return not d.is_complex


def _float_only(d: Any) -> bool:
    return d.category >= dtypes.FLOAT


def _real_float(d: Any) -> bool:
    return d.category == dtypes.FLOAT


_two(
    "gcd",
    pointwise("gcd", lambda p, s, a, b: np.gcd(a, b), None, None),
    allowed=_is_int,
    doc="The greatest common divisor of integers.",
)
_two(
    "lcm",
    pointwise("lcm", lambda p, s, a, b: np.abs(np.lcm(a, b)), None, None),
    allowed=_is_int,
    doc="The least common multiple of integers.",
)
_two(
    "hypot",
    pointwise(
        "hypot",
        lambda p, s, a, b: np.hypot(a, b),
        lambda g, a, o: g * (a / o),
        lambda g, b, o: g * (b / o),
    ),
    allowed=_real_float,
    doc="The length of the hypotenuse, sqrt(input^2 + other^2).",
)


def _next(p: Any, s: Any, a: Any, b: Any) -> Any:
    if a.dtype == dtypes.bfloat16.np:
        bits = a.view(np.int16).astype(np.int32)
        up = (b.astype(np.float32) > a.astype(np.float32)) == (a.astype(np.float32) > 0)
        out = np.where(up, bits + 1, bits - 1)
        zero = a.astype(np.float32) == 0
        tiny = np.where(b.astype(np.float32) > 0, 1, -0x8000 + 1)
        out = np.where(zero, tiny, out).astype(np.int16).view(a.dtype)
        out = np.where(a == b, b, out)
        nan = np.isnan(a) | np.isnan(b)
        return np.where(nan, np.array(np.nan, a.dtype), out)
    return np.nextafter(a, b)


NEXTAFTER: Op = pointwise("nextafter", _next, lambda g: g, lambda g: g * 0)
NEXTAFTER.body = _next  # in the dtype itself: widening would step in float32
_two(
    "nextafter",
    NEXTAFTER,
    allowed=_real_float,
    doc="The next number after input in the direction of other.",
)


def _copysign_grad(g: Any, a: Any, o: Any) -> Any:
    return _where(a == 0, _zero(g), g * (a.sign() * _sign_of(o)))


def _sign_of(t: Any) -> Any:
    return 1 - 2 * record(pw.SIGNBIT, (t,)).to(t.dtype)


COPYSIGN: Op = pointwise(
    "copysign", lambda p, s, a, b: np.copysign(a, b), _copysign_grad, pw._zeros
)


@api(inplace=True)
def copysign(input: Any, other: Any) -> Any:
    """The size of input with the sign of other."""
    need("copysign", input=input)
    a, b, d = operands("copysign", input, other, True)
    implemented("copysign", d, dtypes.FLOAT)
    return record(COPYSIGN, (a, tensor_of(b, d)))


def _one_sided(name: str, beats: Any) -> None:
    def grad_a(g: Any, a: Any, b: Any) -> Any:
        first = (a >= b) if name == "fmax" else (a <= b)
        return _where(first | b.isnan(), g, _zero(g))

    def grad_b(g: Any, a: Any, b: Any) -> Any:
        first = (a >= b) if name == "fmax" else (a <= b)
        return _where(first | b.isnan(), _zero(g), g)

    def body(p: Any, s: Any, a: Any, b: Any) -> Any:
        return np.where(beats(b, a) | (a != a), b, a)  # of equal ones the first, as of zeros

    prim = pointwise(name, body, grad_a, grad_b)
    doc = f"The {'larger' if name == 'fmax' else 'smaller'} of two numbers; NaN is passed over."
    _two(name, prim, allowed=_not_complex, inplace=False, doc=doc)


_one_sided("fmax", np.greater)
_one_sided("fmin", np.less)


def _heaviside(p: Any, s: Any, a: Any, b: Any) -> Any:
    return np.where(a == 0, b, (a > 0).astype(a.dtype)).astype(a.dtype)


HEAVISIDE: Op = pointwise("heaviside", _heaviside, pw._zeros, pw._zeros)


@api(inplace=True)
def heaviside(input: Any, values: Any) -> Any:
    """0 for negative numbers and NaN, 1 for positive ones, `values` at zero."""
    need("heaviside", input=input, values=values)
    if input.dtype is not values.dtype:
        raise RuntimeError(
            f"heaviside: input and values must have the same dtype, got {input.dtype} and "
            f"{values.dtype}"
        )
    if input.dtype.is_complex:
        raise RuntimeError(f"heaviside is not yet implemented for {input.dtype} tensors")
    return _underivable("aten::heaviside", record(HEAVISIDE, (input, values)))


@api(names=("special_xlogy",), inplace=True)
def xlogy(input: Any, other: Any) -> Any:
    """input * log(other), 0 where input is 0 (NaN where other is)."""
    one_tensor("xlogy", input, other)
    a, b, d = operands("xlogy", input, other, True)
    implemented("xlogy", d, dtypes.FLOAT)
    return record(XLOGY, (tensor_of(a, d), tensor_of(b, d)))


def _xlogy(p: Any, s: Any, a: Any, b: Any) -> Any:
    zero = (a == 0) & ~np.isnan(b)
    return np.where(zero, a.dtype.type(0), a * np.log(np.where(zero, b.dtype.type(1), b)))


XLOGY: Op = pointwise(
    "xlogy",
    _xlogy,
    lambda g, a, b: _where((a == 0) & (b <= 0), _zero(g), record(XLOGY, (g, b))),
    lambda g, a, b: g * a / b,
)


# log(exp(a) + exp(b)).
def _log_add(p: Any, s: Any, a: Any, b: Any) -> Any:
    if a.dtype.kind != "c":
        return np.logaddexp(a, b)
    low, high = np.where(a.real < b.real, a, b), np.where(a.real < b.real, b, a)
    return np.log(1 + np.exp(low - high)) + high


LOGADDEXP: Op = pointwise(
    "logaddexp",
    _log_add,
    lambda g, a, b: g / _c(1 + (b - a).exp()),
    lambda g, a, b: g / _c(1 + (a - b).exp()),
)
LOGADDEXP2: Op = pointwise(
    "logaddexp2",
    lambda p, s, a, b: np.logaddexp2(a, b),
    lambda g, a, b: g / (1 + (b - a).exp2()),
    lambda g, a, b: g / (1 + (a - b).exp2()),
)


_two("logaddexp", LOGADDEXP, inplace=False, allowed=_float_only, doc="log(exp(a) + exp(b)).")
_two("logaddexp2", LOGADDEXP2, inplace=False, allowed=_real_float, doc="log2(2^a + 2^b).")


@api
def float_power(input: Any, exponent: Any) -> Any:
    """The power in float64 (complex128 for complex operands)."""
    one_tensor("float_power", input, exponent)
    wide = _widest(input, exponent)
    a, b = [pw.cast(x, wide) if isinstance(x, Tensor) else x for x in (input, exponent)]
    return (a if isinstance(a, Tensor) else tensor_of(a, wide)).pow(b)


def _widest(*xs: Any) -> Any:
    for x in xs:
        if x.dtype.is_complex if isinstance(x, Tensor) else isinstance(x, complex):
            return dtypes.complex128
    return dtypes.float64


def _float_power_(self: Any, exponent: Any) -> Any:
    """In-place form of `float_power`; only float64 and complex128 tensors can hold the result."""
    wide = _widest(self, exponent)
    if wide is not self.dtype:
        raise RuntimeError(
            f"float_power_: the base given to float_power_ has dtype {self.dtype} but the "
            f"operation's result requires dtype {wide}"
        )
    return self.pow_(pw.cast(exponent, wide) if isinstance(exponent, Tensor) else exponent)


METHODS["float_power_"] = _float_power_


@api(inplace=True)
def ldexp(input: Any, other: Any) -> Any:
    """input * 2^other."""
    need("ldexp", input=input, other=other)
    if other.dtype.category >= dtypes.FLOAT:
        return input * input.new_full((), 2.0, dtype=other.dtype).pow(other)
    d = input.dtype if input.dtype.category >= dtypes.FLOAT else dtypes.get_default_dtype()
    wide = dtypes.promote_types(d, dtypes.get_default_dtype())  # 16 bits have too few for the power
    return pw.cast(pw.cast(input, wide) * input.new_full((), 2.0, dtype=wide).pow(other), d)


# Mantissa and exponent.
_FREXP = fields("frexp")
MANTISSA: Op = pointwise(
    "frexp_mantissa",
    lambda p, s, a: np.frexp(a)[0],
    lambda g, a: g * record(EXPONENT, (a,)).neg().to(g.dtype).exp2(),
)
EXPONENT: Op = pointwise(
    "frexp_exponent",
    lambda p, s, a: np.frexp(a)[1].astype(np.int32),
    None,
    out=lambda d: dtypes.int32,
)


@api
def frexp(input: Any) -> Any:
    """The mantissa, in [0.5, 1), and the exponent of two of every element."""
    if input.dtype.category != dtypes.FLOAT:
        raise RuntimeError(f"torch.frexp() only supports floating-point dtypes, got {input.dtype}")
    return _FREXP((record(MANTISSA, (input,)), record(EXPONENT, (input,))))


@api(inplace=True)
def frac(input: Any) -> Any:
    """The part after the point, with the sign of the number."""
    real_only("frac", input)
    if input.dtype.category < dtypes.FLOAT:
        raise NotImplementedError(f'"frac" not implemented for {input.dtype}')
    return input - input.trunc()


def _nan_to_num(p: Any, s: Any, a: Any) -> Any:
    if a.dtype.kind not in "fc" and a.dtype != dtypes.bfloat16.np:
        return a
    nan, high, low = s
    if a.dtype.kind == "c":
        out = np.array(a)  # a single number may be a NumPy scalar, which can't be written
        out.real = np.nan_to_num(a.real, nan=nan, posinf=high, neginf=low)
        out.imag = np.nan_to_num(a.imag, nan=nan, posinf=high, neginf=low)
        return out
    return np.nan_to_num(a, nan=nan, posinf=high, neginf=low)


NAN_TO_NUM: Op = pointwise(
    "nan_to_num", _nan_to_num, lambda g, a: _where(a.isfinite(), g, _zero(g))
)


@api(inplace=True)
def nan_to_num(
    input: Any,
    nan: float | None = 0.0,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Any:
    """NaN and infinities replaced by numbers (zero and the dtype's largest by default)."""
    need("nan_to_num", input=input)
    if input.dtype.category < dtypes.FLOAT:
        return input.clone()
    most = float(dtypes.finfo(input.dtype.to_real()).max)
    given = (nan or 0.0, most if posinf is None else posinf, -most if neginf is None else neginf)
    return record(NAN_TO_NUM, (input,), (), given)


# sin(pi x) / (pi x), logit, degrees.
def _sinc_grad(g: Any, a: Any) -> Any:
    x = a * math.pi
    zero = a == 0
    safe = _where(zero, x.new_ones(()), x)
    slope = (safe.cos() * safe - safe.sin()) / (safe * safe) * math.pi
    return _where(zero, _zero(g), g * _c(slope))  # an infinite gradient too gives 0


SINC = _f("sinc", np.sinc, _sinc_grad)
DEG2RAD = _f("deg2rad", lambda a: a * a.dtype.type(math.pi / 180), lambda g: g * (math.pi / 180))
RAD2DEG = _f("rad2deg", lambda a: a * a.dtype.type(180 / math.pi), lambda g: g * (180 / math.pi))


def _unary(name: str, prim: Op, doc: str, names: tuple[str, ...] = ()) -> None:
    def f(input: Any) -> Any:
        need(name, input=input)
        if input.dtype.category < dtypes.FLOAT:
            input = pw.cast(input, dtypes.get_default_dtype())
        elif input.dtype.is_complex and name != "sinc":
            raise RuntimeError(f"{name} is not supported for complex tensors.")
        return record(prim, (input,))

    f.__name__, f.__doc__ = name, doc
    api(f, names=names, inplace=True)


_unary("sinc", SINC, "sin(pi * input) / (pi * input), 1 at zero.", ("special_sinc",))
_unary("deg2rad", DEG2RAD, "Degrees as radians.")
_unary("rad2deg", RAD2DEG, "Radians as degrees.")


@api(names=("special_logit",), inplace=True)
def logit(input: Any, eps: float | None = None) -> Any:
    """log(x / (1 - x)); with `eps`, x is first limited to [eps, 1 - eps]."""
    if input.dtype.category < dtypes.FLOAT:
        input = pw.cast(input, dtypes.get_default_dtype())
    if eps is None:
        return record(LOGIT, (input,))
    inside = (input >= eps) & (input <= 1 - eps)
    limited = input.detach().clamp(eps, 1 - eps)
    return record(LOGIT, (_where(inside, input, limited),))


def _logit_grad(g: Any, a: Any) -> Any:
    return _where((a < 0) | (a > 1), g.new_full((), math.nan), g / (a * (1 - a)))


LOGIT = _f("logit", lambda a: np.log(a / (1 - a)), _logit_grad)


# Tests.
def _infinite(name: str, sign: float) -> None:
    prim = pointwise(name, lambda p, s, a: a == sign, None, out=to_bool)

    def f(input: Any) -> Any:
        if input.dtype.is_complex:
            raise RuntimeError(f"{name} does not support complex inputs.")
        return record(prim, (input,))

    f.__name__ = name
    f.__doc__ = f"Whether elements are {'plus' if sign > 0 else 'minus'} infinity."
    api(f)


_infinite("isposinf", math.inf)
_infinite("isneginf", -math.inf)


@api(function=False)
def sum_to_size(self: Any, *shape: Any, size: Any = None) -> Any:
    """The sum over the dimensions that broadcasting from the given size would add."""
    from facula.autograd.engine import sum_to
    from facula.ops.shapes import sizes

    want = sizes(shape if size is None else (size,))
    try:
        fits = broadcast([self.node.shape, want]) == self.node.shape
    except RuntimeError:
        fits = False
    if not fits:
        raise RuntimeError(
            f"size {list(want)} is not expandable to size {list(self.node.shape)} in sum_to_size"
        )
    if not want:
        return self.sum()
    if want == self.node.shape:
        return self
    t = self if self.dtype.category >= dtypes.FLOAT else pw.cast(self, dtypes.int64)
    return sum_to(t, want)
