"""Comparison, logic, bits and selection on tensors and numbers."""

from __future__ import annotations

from typing import Any

from facula import dtypes
from facula.ops import pointwise as pw
from facula.ops.promotion import need, number, one_tensor, operands, result_type, tensor_of
from facula.ops.registry import broadcast
from facula.ops.table import FUNCTIONS, METHODS, api
from facula.tensor import Tensor
from facula.trace.recorder import TLS, follow1, record
from facula.warned import warn_once


def _compare(name: str, prim: Any, names: tuple[str, ...] = ()) -> Any:
    scalar = pw.COMPARE_S[name]

    def f(input: Any, other: Any) -> Any:
        need(name, input=input)
        a, b, d = operands(name, input, other)
        if d.is_complex and name not in ("eq", "ne"):
            raise NotImplementedError(f'"{name}" is not supported for complex numbers')
        return record(prim, (a, b)) if isinstance(b, Tensor) else record(scalar, (a,), (), (b,))

    f.__name__ = name
    f.__doc__ = f"Element by element: input {name} other, as a bool tensor."
    return api(f, names=names, inplace=True)


for _name, _prim, _names in (
    ("eq", pw.EQ, ()),
    ("ne", pw.NE, ("not_equal",)),
    ("lt", pw.LT, ("less",)),
    ("le", pw.LE, ("less_equal",)),
    ("gt", pw.GT, ("greater",)),
    ("ge", pw.GE, ("greater_equal",)),
):
    _compare(_name, _prim, _names)


def _bitwise(name: str, prim: Any) -> Any:
    def f(input: Any, other: Any) -> Any:
        one_tensor(name, input, other)
        a, b, d = operands(name, input, other)
        if d.category > dtypes.INT or (d is dtypes.bool and name.endswith("shift")):
            broadcast([x.node.shape for x in (a, b) if isinstance(x, Tensor)], name)
            raise NotImplementedError(f'"{name}_cpu" not implemented for {d}')
        return record(prim, (tensor_of(a, d), tensor_of(b, d)))

    f.__name__ = name
    f.__doc__ = f"{name} of integers or bools."
    return api(f, inplace=True)


for _name, _prim in (
    ("bitwise_and", pw.AND),
    ("bitwise_or", pw.OR),
    ("bitwise_xor", pw.XOR),
    ("bitwise_left_shift", pw.LSHIFT),
    ("bitwise_right_shift", pw.RSHIFT),
):
    _bitwise(_name, _prim)


@api(inplace=True)
def bitwise_not(input: Any) -> Any:
    """The complement of every bit; 'not' for bool."""
    if input.dtype.category > dtypes.INT:
        raise NotImplementedError(f'"bitwise_not_cpu" not implemented for {input.dtype}')
    return record(pw.NOT, (input,))


def truth(t: Any) -> Any:
    """The tensor as bool: non-zero is true."""
    return t if t.dtype is dtypes.bool else record(pw.COMPARE_S["ne"], (t,), (), (0,))


@api(inplace=True)
def logical_and(input: Any, other: Any) -> Any:
    """Both are non-zero."""
    need("logical_and", input=input, other=other)
    return record(pw.AND, (truth(input), truth(other)))


@api(inplace=True)
def logical_or(input: Any, other: Any) -> Any:
    """At least one is non-zero."""
    need("logical_or", input=input, other=other)
    return record(pw.OR, (truth(input), truth(other)))


@api(inplace=True)
def logical_xor(input: Any, other: Any) -> Any:
    """Exactly one is non-zero."""
    need("logical_xor", input=input, other=other)
    return record(pw.XOR, (truth(input), truth(other)))


@api(inplace=True)
def logical_not(input: Any) -> Any:
    """The value is zero."""
    return record(pw.LOGICAL_NOT, (input,))


@api
def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """input where condition, other elsewhere."""
    if input is None:
        return condition.nonzero(as_tuple=True)
    if other is None:
        raise TypeError(
            "where(): argument 'other' is missing: expected both input and other, or none"
        )
    d = result_type(input, other)
    if condition.dtype not in (dtypes.bool, dtypes.uint8):
        raise RuntimeError(
            f"where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{condition.dtype}"
        )
    c = condition
    if condition.dtype is not dtypes.bool:
        warn_once(
            "where received a uint8 condition tensor. This behavior is deprecated and will be "
            "removed in a future version of PyTorch. Use a boolean condition instead."
        )
        c = truth(condition)
    return record(pw.WHERE, (c, pw.cast(tensor_of(input, d), d), pw.cast(tensor_of(other, d), d)))


def _where_method(self: Any, condition: Any, other: Any) -> Any:
    """self where condition, other elsewhere (a bool `self` of the engine's own: see `select`)."""
    return FUNCTIONS["where"](condition, self, other)


def select(c: Any, a: Any, b: Any) -> Any:
    """where() for derivative formulas: dtypes are known to agree."""
    return FUNCTIONS["where"](c, a, b)


def _extreme(name: str, prim: Any) -> Any:
    def f(input: Any, other: Any) -> Any:
        need(name, input=input, other=other)
        a, b, d = operands(name, input, other)
        if d.is_complex:
            raise RuntimeError(f"{name} is not supported for complex numbers")
        return record(prim, (tensor_of(a, d), tensor_of(b, d)))

    f.__name__ = name
    f.__doc__ = f"The {name} of two tensors, element by element; NaN propagates."
    return api(f)


_extreme("maximum", pw.MAXIMUM)
_extreme("minimum", pw.MINIMUM)


@api(names=("clip",), inplace=True)
def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """The values limited to [min, max]; bounds are numbers or tensors."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    r = TLS.r
    if max is None and r.next.op is pw.CLAMP_MIN and r.next.b is type(min):
        t = follow1(r, r.next, input, min)
        if t is not None:
            return t
    if isinstance(min, Tensor) is not isinstance(max, Tensor):
        _alike(min, max)
    d = result_type(*[x for x in (input, min, max) if x is not None])
    if d.is_complex:
        for bound in (min, max):
            if isinstance(bound, complex) and not input.dtype.is_complex:
                raise RuntimeError(f"clamp: bound {bound} cannot be converted to type double")
        raise NotImplementedError("clamp is not supported for complex types")
    if d is dtypes.bool and isinstance(min, Tensor) and isinstance(max, Tensor):
        raise NotImplementedError(f'"clamp_cpu" not implemented for {d}')
    t = pw.cast(input, d)
    if isinstance(min, Tensor) and isinstance(max, Tensor) and min.requires_grad:
        min = record(pw.WHERE, (min < max, min, min.detach()))  # elsewhere it gets no gradient
    for bound, scalar, prim in (
        (min, pw.CLAMP_MIN, pw.CLAMP_LOW),
        (max, pw.CLAMP_MAX, pw.CLAMP_HIGH),
    ):
        if isinstance(bound, Tensor):
            t = record(prim, (t, pw.cast(bound, d)))
        elif bound is not None:
            dtypes.check_fits(bound, d)
            t = record(scalar, (t,), (), (number(bound),))
    return t


def _alike(min: Any, max: Any) -> None:
    """TypeError for a bound that is a tensor and one that is a number."""
    for bound in (min, max):
        if not isinstance(bound, Tensor) and bound is not None:
            other = max if bound is min else min
            if other is not None and other.node.shape:
                raise TypeError(
                    "clamp(): 'min' and 'max' must be both numbers or both tensors, got "
                    f"{bound} and a tensor of shape {list(other.node.shape)}"
                )


@api(inplace=True)
def clamp_min(input: Any, min: Any) -> Any:
    """The values, at least `min`."""
    need("clamp_min", input=input)
    return clamp.__wrapped__(input, min)


@api(inplace=True)
def clamp_max(input: Any, max: Any) -> Any:
    """The values, at most `max`."""
    need("clamp_max", input=input)
    return clamp.__wrapped__(input, None, max)


METHODS["where"] = _where_method
