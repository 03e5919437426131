"""Python's operators on tensors: the hot way into the recorder."""

from __future__ import annotations

from typing import Any

import numpy as np

from facula import dtypes
from facula.in_place import check_distinct, check_in_place, check_overlap, replace
from facula.ops import pointwise as pw
from facula.ops.promotion import NUMBERS
from facula.ops.table import (
    FUNCTIONS,
    METHODS,
    OVERRIDES,
    PLAIN,
    concerned,
    dispatch,
    own_value,
    usual_exponent,
)
from facula.tensor import Tensor
from facula.trace.recorder import TLS, assign, follow1, follow2, record_slow
from facula.values import from_array

_new = object.__new__


# Operators. The first test of each is the follower's: the expected operation on the same nodes.
def _operator(prim: Any, scalar: Any, general: Any) -> Any:
    name = general.__name__
    power = scalar is pw.POW_S  # that of an integer may not be negative, nor too large for float16

    def method(self: Any, other: Any) -> Any:
        r = TLS.r
        e = r.next
        kind = type(other)
        if OVERRIDES and concerned((self, other), name):
            return _plainly(general, self, other)
        if e.op is prim:
            if kind in PLAIN:
                if e.a is self.node and e.b is other.node:
                    r.cur = e
                    r.next = e.succ
                    t = _new(Tensor)
                    t.node = e
                    r.add(t)
                    return t
                t = follow2(r, e, self, other)
                if t is not None:
                    return t
        elif e.op is scalar and e.b is kind and (not power or usual_exponent(other)):
            t = follow1(r, e, self, other)
            if t is not None:
                return t
        if scalar is not None and self.node.dtype.is_floating_point:
            if kind in PLAIN:  # no promotion: straight on
                if other.node.dtype is self.node.dtype:
                    return record_slow(r, prim, (self, other), (), ())
            elif kind is float and (not power or usual_exponent(other)):
                return record_slow(r, scalar, (self,), (), (other,))
        return _plainly(general, self, other)

    return method


def _plainly(general: Any, self: Any, other: Any) -> Any:
    """An operator as the function that does the same."""
    if isinstance(other, np.ndarray) and general is _EQ and other.dtype.kind in "biufc":
        other = from_array(other)  # the one operator that takes arrays for tensors
    return general(self, other) if _accepted(other) else NotImplemented


_EQ = FUNCTIONS["eq"]


def _checked(general: Any) -> Any:
    def method(self: Any, other: Any) -> Any:
        return _plainly(general, self, other)

    return method


_ACCEPTED = (Tensor, *NUMBERS, np.generic)


def _accepted(other: Any) -> bool:
    """Whether the operator's function takes it: a number, or what answers for itself.

    A NumPy array is left to NumPy, as in PyTorch: after `t + a` it computes with the tensor's
    values, by its own rules of dtypes, and `__array_wrap__` makes a tensor of the result; to
    `a + t` there is no answer.
    """
    return isinstance(other, _ACCEPTED) or hasattr(other, "__torch_function__")


def _reflected(general: Any) -> Any:
    def method(self: Any, other: Any) -> Any:
        return general(other, self) if _accepted(other) else NotImplemented

    return method


# The methods that write what an operator gives, where they have another name.
_WRITING = {"truediv": "div", "floordiv": "floor_divide", "mod": "remainder"}


def _augmented(binary: Any, name: str) -> Any:
    def method(self: Any, other: Any) -> Any:
        if OVERRIDES and name in METHODS:
            done = dispatch(METHODS[name], (self, other), {})
            if done is not NotImplemented:
                return done
        check_in_place(self, name, False)
        value = binary(own_value(self, (other,)) if TLS.r.grad else self, other)
        if value is NotImplemented:
            return value
        check_distinct(self, name)
        check_overlap(self, (other,), name)
        node = self.node
        if (
            self._storage is None
            and value.node.shape == node.shape
            and (value.node.dtype is node.dtype)
            and self._token is None
            and (self._gfn is None)
            and not (node.rg and not TLS.r.grad)
            and (self._exported is None)
            and self._retains is None
        ):
            assign(self, value)
            self._writes += 1
            return self
        return replace(self, value, name)

    return method


def _over(self: Any, other: Any) -> Any:
    """other / self, which PyTorch computes with the reciprocal."""
    if not isinstance(other, (*_ACCEPTED, np.ndarray)):
        return FUNCTIONS["div"](other, self) if _accepted(other) else NotImplemented
    return self.reciprocal() * other


def _invert(self: Any) -> Any:
    if self.dtype.category > dtypes.INT:
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors, got "
            f"{self.dtype}"
        )
    return METHODS["bitwise_not"](self)


def _tf(name: str) -> Any:
    return FUNCTIONS[name]


for _n, _p, _s in (
    ("add", pw.ADD, pw.ADD_S),
    ("sub", pw.SUB, pw.SUB_S),
    ("mul", pw.MUL, pw.MUL_S),
    ("truediv", pw.DIV, pw.DIV_S),
    ("pow", pw.POW, pw.POW_S),
    ("floordiv", pw.FLOOR_DIVIDE, None),
    ("mod", pw.REMAINDER, None),
    ("and", pw.AND, None),
    ("or", pw.OR, None),
    ("xor", pw.XOR, None),
    ("lshift", pw.LSHIFT, None),
    ("rshift", pw.RSHIFT, None),
):
    _g = _tf(
        {
            "truediv": "div",
            "floordiv": "floor_divide",
            "mod": "remainder",
            "and": "bitwise_and",
            "or": "bitwise_or",
            "xor": "bitwise_xor",
            "lshift": "bitwise_left_shift",
            "rshift": "bitwise_right_shift",
        }.get(_n, _n)
    )
    # Division of integers is checked at every call.
    _m = _checked(_g) if _n in ("floordiv", "mod") else _operator(_p, _s, _g)
    METHODS[f"__{_n}__"] = _m
    # A sum or product with a number is the same primitive from either side.
    METHODS[f"__r{_n}__"] = _m if _n in ("add", "mul") else _reflected(_g)
    METHODS[f"__i{_n}__"] = _augmented(_m, f"{_WRITING.get(_n, _n)}_")
for _n in ("eq", "ne", "lt", "le", "gt", "ge"):
    METHODS[f"__{_n}__"] = _operator(getattr(pw, _n.upper()), pw.COMPARE_S[_n], _tf(_n))
METHODS["__rtruediv__"] = _over
METHODS["__div__"] = METHODS["__truediv__"]
METHODS["__rdiv__"] = METHODS["__rtruediv__"]
METHODS["__neg__"] = METHODS["neg"]
METHODS["__abs__"] = METHODS["abs"]
METHODS["__invert__"] = _invert


def _plus(self: Any) -> Any:
    if self.node.dtype is dtypes.bool:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return self


METHODS["__pos__"] = _plus
