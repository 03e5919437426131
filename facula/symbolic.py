"""Symbolic numbers: programs ask for them when shapes are traced. Here shapes are Python's numbers.

The classes are for `isinstance`; there are no instances. The functions work on numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NoReturn

from facula.errors import refuse


class _Symbolic:
    def __new__(cls, *args: Any, **kwargs: Any) -> NoReturn:  # type: ignore[misc]
        refuse(cls.__name__, "shapes are numbers")


class SymInt(_Symbolic):
    """An integer that is not known yet."""


class SymFloat(_Symbolic):
    """A floating-point number that is not known yet."""


class SymBool(_Symbolic):
    """A truth value that is not known yet."""


def sym_int(a: Any) -> int:
    """The integer part."""
    return math.floor(a) if a >= 0 else math.ceil(a)


def sym_float(a: Any) -> float:
    """The number as a float."""
    return float(a)


def sym_not(a: Any) -> bool:
    """The opposite."""
    return not a


def sym_max(a: Any, b: Any) -> Any:
    """The larger number; a float if one is."""
    if isinstance(a, float) or isinstance(b, float):
        return float(max(a, b))
    return max(a, b)


def sym_min(a: Any, b: Any) -> Any:
    """The smaller number; a float if one is."""
    if isinstance(a, float) or isinstance(b, float):
        return float(min(a, b))
    return min(a, b)


def sym_sum(args: Iterable[Any]) -> Any:
    """The sum."""
    return sum(args)


def sym_sqrt(a: Any) -> float:
    """The square root."""
    return math.sqrt(a)


def sym_ite(b: bool, t: Any, f: Any) -> Any:
    """The one number or the other."""
    if not isinstance(b, bool) or type(t) is not type(f):
        raise AssertionError(
            f"sym_ite(): expected SymBool or bool and two of a kind, got {b, t, f}"
        )
    return t if b else f
