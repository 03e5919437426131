"""Objects of the program's own classes, for files that the caller trusts (`weights_only=False`).

Whole models are saved as the names of their classes and their attributes. With
`weights_only=False` such a name stands for a class that the program has **already imported**, if
it is a module (`nn.Module`), a dataclass or `argparse.Namespace`. An object of it is made without
its constructor and given its attributes. Functions may only be values, as in
`self.activation = F.relu`: Facula's operations and those of the program itself. So a file calls
nothing by name, and imports nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import sys
from types import FunctionType
from typing import Any

from facula import nn
from facula.ops.table import FUNCTIONS


def known(module: str, name: str) -> Any:
    """What `module.name` is in this program, or None where it may not stand in a file."""
    found: Any = _module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if is_made(found) or _is_harmless(found, module) else None


def _module(name: str) -> Any:
    """A module that has been imported, or one of Facula's by PyTorch's name."""
    if name == "torch" or name.startswith("torch."):
        ours = "facula" + name.removeprefix("torch")
        if ours not in sys.modules and importlib.util.find_spec(ours) is not None:
            importlib.import_module(ours)
        return sys.modules.get(ours)
    return sys.modules.get(name)


def _is_harmless(function: Any, module: str) -> bool:
    """Whether this is an operation or a function of the program, which may be a value."""
    if not isinstance(function, FunctionType):
        return False
    where = function.__module__
    if where == "facula":
        return FUNCTIONS.get(function.__name__) is function
    return module == where == "__main__" or where.startswith(("facula.ops.", "facula.nn.func"))


def is_made(cls: Any) -> bool:
    """Whether a file may hold objects of this class."""
    return isinstance(cls, type) and (
        issubclass(cls, nn.Module) or dataclasses.is_dataclass(cls) or cls is argparse.Namespace
    )
