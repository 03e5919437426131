"""By which name a program reaches a function of the package: `torch.cat`, `torch.linalg.norm`."""

from __future__ import annotations

import importlib
import operator
from collections.abc import Iterator
from typing import Any

import facula

# Where functions stand, in the order in which they are looked for.
_SPACES = (
    "functional", "", "_C._nn", "nn.functional", "linalg", "fft", "special", "nn.utils.rnn",
    "utils.checkpoint",
)  # fmt: skip


def of(obj: Any) -> str | None:
    """The dotted name of an object, beginning with `torch`; None of one that is not Facula's."""
    name = getattr(obj, "__name__", None)
    if not isinstance(name, str) or not name.isidentifier():
        return None
    module = getattr(obj, "__module__", None) or ""
    if module.partition(".")[0] not in ("facula", "torch", "math"):
        return None
    for space in _SPACES:
        home = importlib.import_module(f"facula.{space}" if space else "facula")
        if getattr(home, name, None) is obj:
            return ".".join(filter(None, ("torch", space, name)))
    dotted = f"{module}.{getattr(obj, '__qualname__', name)}"
    if dotted.startswith("facula."):
        dotted = dotted.replace("facula", "torch", 1)
    return dotted if reached(dotted, obj) else None


def reached(dotted: str, obj: Any) -> bool:
    """Whether a dotted name that begins with `torch` stands for this object."""
    first, *rest = dotted.split(".")
    here: Any = facula
    for part in rest:
        here = getattr(here, part, None)
    return first == "torch" and here is obj


# How calls of Python's operators are written; the ones in place are statements.
BINARY = {
    "eq": "==", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">=", "add": "+", "sub": "-",
    "mul": "*", "floordiv": "//", "truediv": "/", "mod": "%", "pow": "**", "lshift": "<<",
    "rshift": ">>", "and_": "&", "or_": "|", "xor": "^", "matmul": "@",
}  # fmt: skip
UNARY = {"pos": "+", "neg": "-", "invert": "~"}
IN_PLACE = {
    "iadd": "+=", "iand": "&=", "ifloordiv": "//=", "ilshift": "<<=", "imod": "%=", "imul": "*=",
    "imatmul": "@=", "ior": "|=", "ipow": "**=", "irshift": ">>=", "isub": "-=",
    "itruediv": "/=", "ixor": "^=",
}  # fmt: skip
# Those for which a stand-in has the operator with its operands exchanged, too.
REFLECTED = (
    "add", "sub", "mul", "floordiv", "truediv", "mod", "pow", "lshift", "rshift", "and_", "or_",
    "xor", "matmul",
)  # fmt: skip


def operators() -> Iterator[tuple[str, Any]]:
    """Python's operators that stand-ins answer to: the special method and the function."""
    for name in (*BINARY, *UNARY, "getitem", "abs"):
        yield f"__{name.rstrip('_')}__", getattr(operator, name)
