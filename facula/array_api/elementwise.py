"""Functions of the standard that work element by element, and the operators that follow from them.

Operands are brought to one dtype by the standard's rules; then the functions are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import facula as torch
from facula.array_api.array import SCALARS, Array, common, lift, standard
from facula.in_place import replace
from facula.tensor import Tensor


def _unary(name: str, f: Callable[..., Any]) -> Any:
    def call(x: Any, /) -> Any:
        return lift(f(x), (x,))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`{name}` of every element."
    return call


def _binary(name: str, f: Callable[..., Any]) -> Any:
    def call(x1: Any, x2: Any, /) -> Any:
        return lift(f(*common(x1, x2)))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`{name}` of every two elements."
    return call


acos = _unary("acos", torch.acos)
acosh = _unary("acosh", torch.acosh)
asin = _unary("asin", torch.asin)
asinh = _unary("asinh", torch.asinh)
atan = _unary("atan", torch.atan)
atanh = _unary("atanh", torch.atanh)
bitwise_invert = _unary("bitwise_invert", torch.bitwise_not)
ceil = _unary("ceil", torch.ceil)
conj = _unary("conj", torch.conj_physical)  # no view: NumPy asks for its memory
cos = _unary("cos", torch.cos)
cosh = _unary("cosh", torch.cosh)
exp = _unary("exp", torch.exp)
floor = _unary("floor", torch.floor)
isfinite = _unary("isfinite", torch.isfinite)
isinf = _unary("isinf", torch.isinf)
isnan = _unary("isnan", torch.isnan)
log = _unary("log", torch.log)
log1p = _unary("log1p", torch.log1p)
log2 = _unary("log2", torch.log2)
log10 = _unary("log10", torch.log10)
logical_not = _unary("logical_not", torch.logical_not)
negative = _unary("negative", torch.neg)
positive = _unary("positive", torch.positive)
reciprocal = _unary("reciprocal", torch.reciprocal)
signbit = _unary("signbit", torch.signbit)
sin = _unary("sin", torch.sin)
sinh = _unary("sinh", torch.sinh)
sqrt = _unary("sqrt", torch.sqrt)
square = _unary("square", torch.square)
tan = _unary("tan", torch.tan)
tanh = _unary("tanh", torch.tanh)
trunc = _unary("trunc", torch.trunc)
abs = _unary("abs", torch.abs)

add = _binary("add", torch.add)
atan2 = _binary("atan2", torch.atan2)
bitwise_and = _binary("bitwise_and", torch.bitwise_and)
bitwise_left_shift = _binary("bitwise_left_shift", torch.bitwise_left_shift)
bitwise_or = _binary("bitwise_or", torch.bitwise_or)
bitwise_right_shift = _binary("bitwise_right_shift", torch.bitwise_right_shift)
bitwise_xor = _binary("bitwise_xor", torch.bitwise_xor)
copysign = _binary("copysign", torch.copysign)
divide = _binary("divide", torch.div)
equal = _binary("equal", torch.eq)
greater = _binary("greater", torch.gt)
greater_equal = _binary("greater_equal", torch.ge)
hypot = _binary("hypot", torch.hypot)
less = _binary("less", torch.lt)
less_equal = _binary("less_equal", torch.le)
logaddexp = _binary("logaddexp", torch.logaddexp)
logical_and = _binary("logical_and", torch.logical_and)
logical_or = _binary("logical_or", torch.logical_or)
logical_xor = _binary("logical_xor", torch.logical_xor)
maximum = _binary("maximum", torch.maximum)
minimum = _binary("minimum", torch.minimum)
multiply = _binary("multiply", torch.mul)
nextafter = _binary("nextafter", torch.nextafter)
not_equal = _binary("not_equal", torch.ne)
pow = _binary("pow", torch.pow)
remainder = _binary("remainder", torch.remainder)
subtract = _binary("subtract", torch.sub)


@standard
def expm1(x: Any, /) -> Any:
    """exp(x) - 1, precise near zero; infinities of complex numbers as `exp` has them."""
    if not x.is_complex():
        return torch.expm1(x)
    near = torch.expm1(x)
    near = torch.complex(near.real + 0.0, near.imag)  # a real part of -0 gives +0
    return torch.where(torch.isfinite(x), near, torch.exp(x) - 1)


@standard
def sign(x: Any, /) -> Any:
    """The sign, NaN for NaN; for complex numbers the unit vector."""
    return torch.where(torch.isnan(x), x, torch.sgn(x)) if x.is_floating_point() else torch.sgn(x)


@standard
def floor_divide(x1: Any, x2: Any, /) -> Any:
    """The quotient rounded down; where an operand is infinite, as the standard has it."""
    a, b = common(x1, x2)
    if not a.is_floating_point():
        return torch.floor_divide(a, b)
    q = torch.div(a, b)
    return torch.where(torch.isinf(a) | torch.isinf(b), q, torch.floor_divide(a, b))


@standard
def real(x: Any, /) -> Any:
    """The real part."""
    return x.real.clone() if x.is_complex() else x


@standard
def imag(x: Any, /) -> Any:
    """The imaginary part."""
    return x.imag.clone() if x.is_complex() else torch.zeros_like(x)


@standard
def round(x: Any, /) -> Any:
    """The nearest integer, ties to even; of both parts of a complex number."""
    return torch.complex(x.real.round(), x.imag.round()) if x.is_complex() else torch.round(x)


@standard
def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """The elements, brought between two bounds; the dtype stays."""
    out = x.clone()
    for bound, f in ((min, maximum), (max, minimum)):
        if bound is not None:
            out = f(out, bound).to(x.dtype)
    return out


@standard
def matmul(x1: Any, x2: Any, /) -> Any:
    """The matrix product."""
    return torch.matmul(*common(x1, x2))


# Operators.
_OPERATORS = {
    "add": add,
    "and": bitwise_and,
    "floordiv": floor_divide,
    "lshift": bitwise_left_shift,
    "matmul": matmul,
    "mod": remainder,
    "mul": multiply,
    "or": bitwise_or,
    "pow": pow,
    "rshift": bitwise_right_shift,
    "sub": subtract,
    "truediv": divide,
    "xor": bitwise_xor,
}
_COMPARISONS = {
    "eq": equal, "ge": greater_equal, "gt": greater, "le": less_equal, "lt": less, "ne": not_equal,
}  # fmt: skip
_UNARY = {"abs": abs, "invert": bitwise_invert, "neg": negative, "pos": positive}


def _taken(self: Any, other: Any) -> bool:
    return isinstance(other, (Tensor, *SCALARS))


def _operator(f: Any) -> Any:
    def method(self: Any, other: Any, /) -> Any:
        return f(self, other) if _taken(self, other) else NotImplemented

    return method


def _reflected(f: Any) -> Any:
    def method(self: Any, other: Any, /) -> Any:
        return f(other, self) if _taken(self, other) else NotImplemented

    return method


def _augmented(f: Any, name: str) -> Any:
    def method(self: Any, other: Any, /) -> Any:
        if not _taken(self, other):
            return NotImplemented
        got = f(self, other)
        if got.dtype is not self.dtype and got.dtype.category > self.dtype.category:
            raise TypeError(f"{name}: a result of {got.dtype} can't be stored as {self.dtype}")
        return replace(self, got, name)

    return method


for _name, _f in _OPERATORS.items():
    setattr(Array, f"__{_name}__", _operator(_f))
    setattr(Array, f"__r{_name}__", _reflected(_f))
    setattr(Array, f"__i{_name}__", _augmented(_f, f"{_name}_"))
for _name, _f in _COMPARISONS.items():
    setattr(Array, f"__{_name}__", _operator(_f))
for _name, _f in _UNARY.items():
    setattr(Array, f"__{_name}__", lambda self, _f=_f: _f(self))
Array.__hash__ = Tensor.__hash__  # type: ignore[method-assign]
