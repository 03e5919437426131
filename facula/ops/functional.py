"""Functions of `nn.functional` that PyTorch also has at its top level, with the same arguments."""

from __future__ import annotations

from typing import Any

from facula.nn import functional
from facula.nn.functional._offered import AS_GIVEN
from facula.ops.later import MODULES
from facula.ops.table import FUNCTIONS, METHODS


def _same(name: str) -> Any:
    def f(*args: Any, **kwargs: Any) -> Any:
        return getattr(functional, name)(*args, **kwargs)

    f.__name__ = f.__qualname__ = name
    f.__module__ = "facula"
    f.__doc__ = f"`nn.functional.{name}`."
    return f


for _name in MODULES["facula.ops.functional"].split():
    if _name not in FUNCTIONS:
        # What is one function in PyTorch is one here: programs compare them.
        FUNCTIONS[_name] = getattr(functional, _name) if _name in AS_GIVEN else _same(_name)
        if _name in ("hardshrink", "prelu"):
            METHODS[_name] = FUNCTIONS[_name]
