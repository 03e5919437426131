"""Functions of `nn.functional` that PyTorch also has at its top level, with the same arguments."""

from __future__ import annotations

from typing import Any

from facula.ops.later import MODULES
from facula.ops.table import FUNCTIONS


def _same(name: str) -> Any:
    def f(*args: Any, **kwargs: Any) -> Any:
        from facula.nn import functional

        return getattr(functional, name)(*args, **kwargs)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"`nn.functional.{name}`."
    return f


for _name in MODULES["facula.ops.functional"].split():
    if _name not in FUNCTIONS:
        FUNCTIONS[_name] = _same(_name)
