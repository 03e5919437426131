"""Arithmetic and elementary functions of tensors and numbers: promotion, then a primitive."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

import numpy as np

from facula import dtypes
from facula.errors import describe
from facula.ops import pointwise as pw
from facula.ops.composed import whole
from facula.ops.movement import in_layout, instead
from facula.ops.promotion import (
    common,
    implemented,
    in_float32,
    need,
    one_tensor,
    operands,
    real_only,
    result_type,
    standing,
    tensor_of,
)
from facula.ops.table import FUNCTIONS, METHODS, api, in_place
from facula.tensor import Tensor
from facula.trace.node import Other
from facula.trace.recorder import TLS, record
from facula.values import realise

if TYPE_CHECKING:
    from facula.types import Number
from facula.views import make_view

_NARROW = (dtypes.bfloat16, dtypes.float16)


def _by_scalar(a: Any, b: Any, d: Any) -> bool:
    """Whether PyTorch computes a product or quotient of dtype d in float32 with a `b` that is not
    rounded: a number, or a CPU tensor without dimensions, and the second of two operands."""
    if d not in _NARROW or not isinstance(a, Tensor):
        return False
    return not isinstance(b, Tensor) or (b.node.shape == () and b.node.device is None)


def _binary(name: str, tt: Any, ts: Any, st: Any, real: bool = False, exact: bool = False) -> Any:
    """The function of two operands over its primitives (tensor-tensor, -number, number-).

    `exact`: whether a second operand without dimensions is not rounded to 16 bits."""

    def f(a: Any, b: Any) -> Any:
        first, second = a, b
        a, b, d = operands(name, a, b, real)
        if exact and b is not second and isinstance(b, Tensor) and _by_scalar(a, b, d):
            given = (first, second)
            wide = [pw.cast(t, dtypes.float32) for t in given]
            out = pw.cast(record(tt, tuple(standing(wide, given))), d)
            return whole(out, name.capitalize(), *given)
        if isinstance(a, Tensor):
            if isinstance(b, Tensor):
                return record(tt, (a, b))
            if ts is not None:
                return record(ts, (a,), (), (b,))
            return record(tt, (a, tensor_of(b, d)))
        if not isinstance(b, Tensor):
            return record(tt, (tensor_of(a, d), tensor_of(b, d)))
        if st is not None:
            return record(st, (b,), (), (a,))
        return record(tt, (tensor_of(a, d), b))

    f.__name__ = name
    return f


_add = _binary("add", pw.ADD, pw.ADD_S, pw.ADD_S)
_sub = _binary("sub", pw.SUB, pw.SUB_S, pw.RSUB_S)
_mul = _binary("mul", pw.MUL, pw.MUL_S, pw.MUL_S, exact=True)
_div = _binary("div", pw.DIV, pw.DIV_S, pw.RDIV_S, real=True, exact=True)
_pow = _binary("pow", pw.POW, pw.POW_S, pw.RPOW_S)


def check_factor(name: str, argument: str, x: Any, d: Any, *operands: Any) -> None:
    """RuntimeError for a factor of another kind than the result's dtype d."""
    if isinstance(x, bool):
        if d is not dtypes.bool:
            raise RuntimeError(
                f"{name}: Boolean {argument} only supported for Boolean results, got {d}"
            )
        return
    if isinstance(x, complex) and not d.is_complex:
        kinds, kind = "non-complex", "complex"
    elif isinstance(x, float) and d.category < dtypes.FLOAT:
        kinds, kind = "integral", "floating point"
    else:
        return
    raise RuntimeError(
        f"{name}: For {kinds} input tensors, argument {argument} must not be a {kind} number; "
        f"the operands are {' and '.join([describe(t) for t in operands])}"
    )


def _scaled(name: str, a: Any, b: Any, alpha: Any) -> Any:
    """alpha * b, for adding to a."""
    if alpha == 1 and type(alpha) is int:
        return b
    d = result_type(a, b)
    check_factor(name, "alpha", alpha, d, a, b)
    dtypes.check_fits(alpha, d)
    if d is dtypes.bool:
        return b if alpha else b & False
    return _times(pw.cast(b, d), alpha) if isinstance(b, Tensor) else b * alpha


def _narrow(a: Any, b: Any, alpha: Any) -> bool:
    if type(alpha) is int and alpha == 1:
        return False
    return isinstance(a, Tensor) and result_type(a, b) in _NARROW


def _scaled_sum(name: str, add: Any, a: Any, b: Any, alpha: Any) -> Any:
    """a + alpha * b of 16-bit floats, rounded once; on the CPU PyTorch rounds numbers before."""
    d = result_type(a, b)

    def rounded(x: Any) -> Any:
        plain = type(x) in (int, float) and a.node.device is None
        return dtypes.narrowed(x, d.np) if plain else x

    dtypes.check_fits(alpha, d)
    alpha = rounded(alpha)
    if not isinstance(b, Tensor):
        return in_float32(lambda x: add(x, _scaled(name, x, rounded(b), alpha)), a)
    a, b = common(a, b)
    out = in_float32(lambda x, y: add(x, _scaled(name, x, y, alpha)), a, b)
    return whole(out, name.capitalize(), a, b)


def _times(t: Any, factor: Any) -> Any:
    """t * factor, a part of an operation: the graph node saves nothing."""
    if t.node.dtype.category < dtypes.FLOAT or factor == 1:
        return _mul(t, factor)
    return record(pw.SCALE, (t,), (), (factor,))


def _nonzero(name: str, divisor: Any, d: Any) -> None:
    """RuntimeError where integers are divided by zero: checked at the call, as indices are."""
    if d.category >= dtypes.FLOAT:
        return
    if isinstance(divisor, Tensor):
        if divisor.node.device is not None:
            return  # the kernel looks
        divisor = realise(divisor)._data
    if np.any(np.equal(divisor, 0)):
        raise RuntimeError(f"{name}: ZeroDivisionError: integer division by zero")


@api(inplace=True, follows=(pw.ADD, pw.ADD_S, 0))
def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input + alpha * other."""
    if _narrow(input, other, alpha):
        return _scaled_sum("add", _add, input, other, alpha)
    return _add(input, _scaled("add", input, other, alpha))


@api(names=("subtract",), inplace=True)
def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input - alpha * other."""
    for x in (input, other):
        if isinstance(x, bool) or (isinstance(x, Tensor) and x.dtype is dtypes.bool):
            raise RuntimeError(
                "sub: Subtraction, the `-` operator, with a bool tensor is not "
                "supported. Use the `^` or `logical_xor()` operator instead."
            )
    if _narrow(input, other, alpha):
        return _scaled_sum("sub", _sub, input, other, alpha)
    return _sub(input, _scaled("sub", input, other, alpha))


@api
def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """other - alpha * input."""
    need("rsub", input=input)
    return (
        METHODS["sub"](other, input, alpha=alpha)
        if isinstance(other, Tensor)
        else (sub.__wrapped__(other, input, alpha=alpha))
    )


@api(names=("multiply",), inplace=True, follows=(pw.MUL, pw.MUL_S, 0))
def mul(input: Any, other: Any) -> Any:
    """input * other."""
    return _mul(input, other)


@api(names=("divide", "true_divide"), inplace=True)
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other, optionally rounded towards zero ('trunc') or down ('floor')."""
    if rounding_mode is None:
        return _div(input, other)
    if rounding_mode == "floor":
        return _floor_divide(input, other)
    if rounding_mode != "trunc":
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but "
            f"found '{rounding_mode}'"
        )
    a, b, d = operands("div", input, other)
    if d.category >= dtypes.FLOAT:
        if _by_scalar(a, other, d):
            return _in_float32_by(pw.DIV_TRUNC, a, other, d)
        if d in _NARROW:  # the quotient is rounded before it is cut
            return record(pw.TRUNC, (_div(a, b),))
        return record(pw.DIV_TRUNC, (tensor_of(a, d), tensor_of(b, d)))
    q = _floor_divide(a, b)
    a, b = tensor_of(a, d), tensor_of(b, d)
    return q + ((q < 0) & (q * b != a)).to(d)


def _in_float32_by(op: Any, a: Any, b: Any, d: Any) -> Any:
    """The operation in float32, rounded once: see `_by_scalar`."""
    wide = pw.cast(a, dtypes.float32)
    b = pw.cast(b, dtypes.float32) if isinstance(b, Tensor) else tensor_of(b, dtypes.float32)
    return pw.cast(record(op, (wide, b)), d)


@api(inplace=True)
def floor_divide(input: Any, other: Any) -> Any:
    """The quotient rounded down."""
    return _underivable("aten::floor_divide", _floor_divide(input, other))


def _floor_divide(input: Any, other: Any) -> Any:
    a, b, d = operands("floor_divide", input, other)
    implemented("floor_divide", d, dtypes.INT, dtypes.FLOAT)
    _nonzero("floor_divide", b, d)
    if _by_scalar(a, other, d):
        return _in_float32_by(pw.FLOOR_DIVIDE, a, other, d)
    return record(pw.FLOOR_DIVIDE, (tensor_of(a, d), tensor_of(b, d)))


def _underivable(name: str, t: Any) -> Any:
    return record(pw.UNDERIVABLE, (t,), name) if t.node.rg else t


@api(inplace=True)
def remainder(input: Any, other: Any) -> Any:
    """Python's modulus: the result has the divisor's sign."""
    one_tensor("remainder", input, other)
    a, b, d = operands("remainder", input, other)
    implemented("remainder", d, dtypes.INT, dtypes.FLOAT)
    _nonzero("remainder", b, d)
    out = record(pw.REMAINDER, (tensor_of(a, d), tensor_of(b, d)))
    return out if isinstance(input, Tensor) else _underivable("aten::remainder", out)


@api(inplace=True)
def fmod(input: Any, other: Any) -> Any:
    """C's modulus: the result has the dividend's sign."""
    need("fmod", input=input)
    a, b, d = operands("fmod", input, other)
    implemented("fmod", d, dtypes.INT, dtypes.FLOAT)
    _nonzero("fmod", b, d)
    return record(pw.FMOD, (tensor_of(a, d), tensor_of(b, d)))


@api(inplace=True, follows=(pw.POW, pw.POW_S, 0))
def pow(input: Any, exponent: Any) -> Any:
    """input raised to a power."""
    one_tensor("pow", input, exponent)
    if isinstance(input, Tensor) and isinstance(exponent, int):
        if input.dtype.category == dtypes.INT:
            if exponent < 0:
                raise RuntimeError("Integers to negative integer powers are not allowed.")
            dtypes.check_fits(exponent, input.dtype)
        elif input.dtype is dtypes.bool and isinstance(exponent, bool):
            return input | (not exponent)
    elif isinstance(input, Tensor) and result_type(input, exponent) is dtypes.bool:
        raise NotImplementedError('"pow" not implemented for torch.bool')
    if isinstance(exponent, (int, float)) and isinstance(input, Tensor):
        if input.dtype in (dtypes.float16, dtypes.bfloat16):
            dtypes.check_fits(exponent, input.dtype)
    out = _pow(input, exponent)
    return out if isinstance(input, Tensor) else in_layout(out, None)


@api(names=("arctan2",), inplace=True)
def atan2(input: Any, other: Any) -> Any:
    """The angle of the point (other, input)."""
    need("atan2", input=input, other=other)
    a, b, d = operands("atan2", input, other, True)
    implemented("atan2", d, dtypes.FLOAT)
    return record(pw.ATAN2, (tensor_of(a, d), tensor_of(b, d)))


def _unary(name: str, prim: Any, real: bool = True, names: tuple[str, ...] = ()) -> Any:
    """A function of one tensor; integers become the default dtype where the result is real."""

    def f(input: Any) -> Any:
        if not isinstance(input, Tensor):
            raise TypeError(
                f"{name}(): argument 'input' must be Tensor, not {type(input).__name__}"
            )
        if real and input.node.dtype.category < dtypes.FLOAT:
            input = pw.cast(input, dtypes.get_default_dtype())
        if name in ("erf", "erfc", "sign"):
            real_only(name, input)
        return record(prim, (input,))

    f.__name__ = name
    f.__doc__ = f"{name} of every element."
    return api(f, names=names, inplace=True, follows=(prim, None, 0))


for _name in (
    "exp",
    "expm1",
    "exp2",
    "log",
    "log1p",
    "log2",
    "log10",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "sigmoid",
    "erf",
    "erfc",
):
    _unary(_name, getattr(pw, _name.upper()))
for _name in ("asin", "acos", "atan", "asinh", "acosh", "atanh"):
    _unary(_name, getattr(pw, _name.upper()), names=("arc" + _name[1:],))
_unary("sign", pw.SIGN, False)


@api(inplace=True, follows=(pw.RELU, None, 0))
def relu(input: Any) -> Any:
    """The larger of 0 and each element."""
    need("relu", input=input)
    if input.node.dtype is dtypes.bool:
        raise RuntimeError("relu: Boolean inputs not supported for relu")
    real_only("relu", input)
    return record(pw.RELU, (input,))


def _no_bool(name: str, t: Any) -> None:
    if t.node.dtype is dtypes.bool:
        raise NotImplementedError(f'{name}: "{name}_vml_cpu" not implemented for {t.dtype}')


def _rounding(name: str, prim: Any, names: tuple[str, ...] = ()) -> Any:
    def f(input: Any) -> Any:
        real_only(name, input)
        _no_bool(name, input)
        return record(prim, (input,)) if input.dtype.category >= dtypes.FLOAT else input.clone()

    f.__name__ = name
    f.__doc__ = f"{name} of every element; integers are copied."
    return api(f, names=names, inplace=True)


_rounding("floor", pw.FLOOR)
_rounding("ceil", pw.CEIL)
_rounding("trunc", pw.TRUNC, ("fix",))


@api(inplace=True)
def round(input: Any, *, decimals: int = 0) -> Any:
    """The nearest integer, ties to even; or rounded to some decimals."""
    real_only("round", input)
    _no_bool("round", input)
    if input.dtype.category < dtypes.FLOAT:
        return input.clone()
    if decimals == 0:
        return record(pw.ROUND, (input,))
    f = 10.0 ** (decimals if decimals > 0 else -decimals)
    return in_float32(
        lambda t: (
            record(pw.ROUND, (t * f,)) / f if decimals > 0 else record(pw.ROUND, (t / f,)) * f
        ),
        input,
    )


@api(names=("negative",), inplace=True)
def neg(input: Any) -> Any:
    """-input."""
    if input.dtype is dtypes.bool:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you "
            "are trying to invert a mask, use the `~` or `logical_not()` operator "
            "instead."
        )
    return record(pw.NEG, (input,))


@api(names=("absolute",), inplace=True)
def abs(input: Any) -> Any:
    """The absolute value."""
    _no_bool("abs", input)
    return record(pw.ABS, (input,))


_abs_in_place = in_place(abs.__wrapped__, "abs_")


def abs_(self: Any) -> Any:
    """In-place form of `abs`, which has another dtype for complex numbers."""
    if isinstance(self, Tensor) and self.dtype.is_complex:
        raise RuntimeError(
            f"abs_: In-place abs is not supported for complex tensors ({self.dtype})"
        )
    return _abs_in_place(self)


METHODS["abs_"] = METHODS["absolute_"] = abs_


@api(inplace=True)
def sgn(input: Any) -> Any:
    """The sign; for complex numbers the unit vector."""
    return record(pw.SGN, (input,)) if input.dtype is not dtypes.bool else input.clone()


@api(names=("_conj",))
def conj(input: Any) -> Any:
    """The complex conjugate, as a view; a real tensor as it is, a sparse one as a copy."""
    if not input.dtype.is_complex:
        return input
    from facula.ops.complexes import CONJ_VIEW

    sparse = input.node.op.__class__ is Other and input.node.op.name in ("sparse", "compressed")
    return record(pw.CONJ, (input,)) if sparse else make_view(input, CONJ_VIEW, ())


@api(inplace=True, names=("_conj_physical",))
def conj_physical(input: Any) -> Any:
    """The complex conjugate, as a copy; a real tensor as it is."""
    return record(pw.CONJ, (input,)) if input.dtype.is_complex else input


@api(inplace=True)
def square(input: Any) -> Any:
    """input * input."""
    need("square", input=input)
    return _pow(input, 2)


@api
def positive(input: Any) -> Any:
    """The tensor itself; RuntimeError for bool."""
    if input.dtype is dtypes.bool:
        raise RuntimeError("positive: The `+` operator, on a bool tensor is not supported.")
    return input


@api
def isnan(input: Any) -> Any:
    """Whether elements are NaN."""
    return record(pw.ISNAN, (input,))


@api
def isinf(input: Any) -> Any:
    """Whether elements are infinite."""
    if input.dtype.category < dtypes.FLOAT:
        return input != input
    if input.dtype.is_complex:
        return input.real.isinf() | input.imag.isinf()
    return input.abs() == float("inf")


@api
def isfinite(input: Any) -> Any:
    """Whether elements are neither NaN nor infinite."""
    if input.dtype.category < dtypes.FLOAT:
        return input == input
    if input.dtype.is_complex:
        return input.real.isfinite() & input.imag.isfinite()
    return input.abs() < float("inf")


@api
def signbit(input: Any) -> Any:
    """Whether the sign bit is set."""
    real_only("signbit", input)
    return record(pw.SIGNBIT, (input,))


def _real_setting(name: str, argument: str, x: Any, input: Any) -> None:
    """RuntimeError for a number that the type in which the input is computed has no place for."""
    d = input.dtype
    if isinstance(x, complex) and not d.is_complex:
        raise RuntimeError(
            f"{name}: {argument} {x} cannot be converted to type {d} without overflow"
        )
    if not isinstance(x, Tensor):
        narrow = d is dtypes.float16 or d is dtypes.bfloat16
        dtypes.check_fits(x, dtypes.float32 if narrow else d)


@api(inplace=True)
def lerp(input: Any, end: Any, weight: Any) -> Any:
    """input + weight * (end - input), exact at both ends."""
    need("lerp", input=input, end=end)
    if input.node.dtype is not end.node.dtype:
        raise RuntimeError(
            f"lerp: expected dtype {input.dtype} for `end` but got dtype {end.dtype}"
        )
    if input.node.dtype.category < dtypes.FLOAT:
        raise NotImplementedError(f'"lerp_kernel_scalar" not implemented for {input.dtype}')
    _real_setting("lerp", "weight", weight, input)
    if isinstance(weight, Tensor):
        if weight.dtype is not input.dtype and weight.node.shape:
            raise RuntimeError(
                f"lerp: expected dtype {input.dtype} for `weight` but got dtype {weight.dtype}"
            )

        def f(a: Any, b: Any, w: Any) -> Any:
            d = b - a
            low = a + w * d
            size = w.abs() if w.dtype.is_complex else record(pw.ABS, (w,))
            return record(pw.WHERE, (size < 0.5, low, b - d * (1 - w)))

        weight = pw.cast(weight, input.node.dtype)
        ts = FUNCTIONS["broadcast_tensors"](input, end, weight)
        value = in_float32(f, *[t.detach() for t in ts])
        return record(pw.LERP, (value, *ts))
    if builtins.abs(weight) >= 0.5:
        return record(pw.LERP_BACK, (input, end), (), (1 - weight,))
    return record(pw.LERP_FROM, (input, end), (), (weight,))


@api(inplace=True)
def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Number = 1) -> Any:
    """input + value * tensor1 * tensor2."""
    _real_setting("addcmul", "value", value, input)
    category = result_type(input, tensor1, tensor2).category
    if category == dtypes.BOOL:
        raise NotImplementedError("addcmul(): not implemented for bools")
    if category < dtypes.FLOAT:
        value = int(value)
    return in_float32(
        lambda t, a, b: _add(t, _mul(_factor(a, value, b), b)),
        *common(input, tensor1, tensor2),
    )


def _factor(a: Any, value: Any, b: Any) -> Any:
    """value * a, to be multiplied with b: for the gradient of b PyTorch saves a as it is."""
    out = _times(a, value)
    return instead(out, a) if TLS.r.grad and b.requires_grad else out


@api(inplace=True)
def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Number = 1) -> Any:
    """input + value * tensor1 / tensor2."""
    if result_type(tensor1, tensor2).category < dtypes.FLOAT:
        raise RuntimeError("Integer division with addcdiv is no longer supported")
    _real_setting("addcdiv", "value", value, input)
    out = in_float32(
        lambda t, a, b: _add(t, _div(_factor(a, value, b), b)),
        *common(input, tensor1, tensor2),
    )
    return whole(out, "Addcdiv", input, tensor1, tensor2)
