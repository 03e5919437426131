"""Settings of operations: their types are looked at before anything is done.

A call whose arguments have types that were found right is not looked at again: what that costs is
one look into a set.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from operator import index
from typing import Any

import numpy as np

from facula.dtypes import dtype

# What needs no second look, by the annotation of an argument or by its name.
_SURE: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "float": (float, int),
    "int": (int,),
    "str": (str,),
    "None": (type(None),),
    "dtype": (dtype, type(None)),
    "generator": (type(None),),
    "memory_format": (type(None),),
    "Number": (float, int, complex, bool),
    "tensors": (list, tuple),
}
_SURE |= dict.fromkeys(("alpha", "beta", "fill_value"), _SURE["Number"])
# How what is like a Python value becomes one: NumPy's numbers, integers in tensors.
_PLAIN: dict[str, Callable[[Any], Any]] = {"int": index, "float": float, "bool": bool}
_MOST = 64  # calls of different types that are known of one function
# Dimensions are looked at where they are counted from the front (`wrap_dim`).
_DIMENSIONS = {"dim", "dim0", "dim1", "dim2", "start_dim", "end_dim"}


class Settings:
    """The arguments of a function that are settings, with the types that need no second look.

    `first` is the position of the first; a call with fewer arguments has none of them by position.
    `known` are the types (and names) of the arguments of calls that were found right.
    """

    __slots__ = ("first", "function", "known", "name", "named", "sure")

    def __init__(self, f: Callable[..., Any], name: str) -> None:
        code = f.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        self.function, self.name = f, name
        self.named: dict[str, frozenset[type]] = {}
        self.known: set[Any] = set()
        for n in names:
            text = f.__annotations__.get(n, "Any")
            kinds = [n] if text == "Any" else [k.strip() for k in text.split("|")]
            if n not in _DIMENSIONS and all([k in _SURE for k in kinds]):
                self.named[n] = frozenset([t for k in kinds for t in _SURE[k]])
        self.sure = [self.named.get(n) for n in names[: code.co_argcount]]
        places = [i for i, sure in enumerate(self.sure) if sure is not None]
        self.first = places[0] if places else sys.maxsize

    def check(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """The arguments; TypeError for a setting of a wrong kind. Calls that were found right are
        not looked at."""
        if kwargs or len(args) > self.first:
            if (*map(type, args), *kwargs, *map(type, kwargs.values())) not in self.known:
                return self.look(args, kwargs)
        return args, kwargs

    def look(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """The arguments, NumPy's numbers among the settings as Python's; TypeError for a setting of
        a wrong kind, before anything is done."""
        wrong = [
            x for x, sure in zip(args, self.sure, strict=False) if sure and type(x) not in sure
        ]
        for argument, x in kwargs.items():
            if argument in self.named and type(x) not in self.named[argument]:
                wrong.append(x)
        if wrong:
            return self._look_closer(args, kwargs)
        if len(self.known) < _MOST:
            self.known.add((*map(type, args), *kwargs, *map(type, kwargs.values())))
        return args, kwargs

    def _look_closer(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        from facula.ops import table
        from facula.ops.arguments import unfit

        if not all([issubclass(t, table._tensor.Tensor) for t in table.overriding(args, kwargs)]):
            return args, kwargs  # what stands for a value says itself what the call means

        def plain(argument: str, x: Any) -> Any:
            if argument not in self.named or type(x) in self.named[argument]:
                return x
            error = unfit(self.function, self.name, argument, x, args, kwargs)
            if error is not None:
                raise error
            if getattr(x, "requires_grad", False):  # what is a number to the operation has none
                raise TypeError(
                    f"{self.name}(): argument '{argument}' must be a number, not a tensor that "
                    f"requires grad; use {argument}.detach() if its gradient is not wanted"
                )
            kind = self.function.__annotations__.get(argument, "Any").partition(" ")[0]
            return _PLAIN[kind](x) if kind in _PLAIN and _converted(x, kind) else x

        names = self.function.__code__.co_varnames[: len(self.sure)]
        given = [plain(n, x) for n, x in zip(names, args, strict=False)]
        return (*given, *args[len(given) :]), {n: plain(n, x) for n, x in kwargs.items()}


def _converted(x: Any, kind: str) -> bool:
    """Whether a setting is to be a Python value."""
    return isinstance(x, (np.number, np.bool_)) or (kind == "int" and hasattr(x, "node"))
