"""Schemas of operators, made of the annotations of Python functions.

Source: https://pytorch.org/docs/stable/library.html#torch.library.infer_schema
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import operator
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

from facula import dtypes
from facula.devices import device
from facula.tensor import Tensor

_SIMPLE = {
    Tensor: "Tensor",
    int: "SymInt",
    float: "float",
    bool: "bool",
    str: "str",
    dtypes.dtype: "ScalarType",
    device: "Device",
}
_RESULTS = ("Tensor", "Tensor[]", "SymInt", "float", "bool", "Scalar")


def _kind(t: Any) -> str | None:
    """A type as schemas write it; None for one that they have not."""
    if isinstance(t, type) and t in _SIMPLE:
        return _SIMPLE[t]
    origin, args = typing.get_origin(t), typing.get_args(t)
    if origin in (typing.Union, types.UnionType):
        if set(args) in ({int, float, bool}, {int, float, bool, complex}):
            return "Scalar"
        some = [a for a in args if a is not type(None)]
        inner = _kind(functools.reduce(operator.or_, some)) if len(some) < len(args) else None
        return None if inner is None or inner.endswith("?") else inner + "?"
    if origin in (list, collections.abc.Sequence) and len(args) == 1:
        inner = _kind(args[0])
        lists = inner is None or "[]" in inner or inner in ("str", "ScalarType", "Device")
        return None if lists else f"{inner}[]"
    return None


def _default(value: Any, refuse: Callable[[str], Exception], name: str) -> str:
    if value is None or isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (str, device)):
        return f'"{value}"'
    if isinstance(value, dtypes.dtype):
        return str(value).removeprefix("torch.")
    raise refuse(f"Parameter {name} has an unsupported default value type {type(value)}.")


def infer_schema(
    prototype_function: Any,
    /,
    *,
    mutates_args: str | Iterable[str],
    op_name: str | None = None,
) -> str:
    """The schema of a function with annotations: ``"(Tensor x, SymInt n=3) -> Tensor"``.

    Args:
        mutates_args: the names of the arguments that it writes to; ``"unknown"``: all tensors.
        op_name: a name to put in front.

    Raises:
        ValueError: something is not annotated, or of a type that schemas don't have.
    """
    if isinstance(mutates_args, str) and mutates_args != "unknown":
        raise ValueError(
            "mutates_args must either be a sequence of the names of the arguments that are mutated "
            "or the string 'unknown'. "
        )
    signature = inspect.signature(prototype_function)

    def refuse(what: str) -> ValueError:
        return ValueError(f"infer_schema(func): {what} Got func with signature {signature}")

    def read(annotation: Any) -> Any:
        if isinstance(annotation, str):
            names = getattr(prototype_function, "__globals__", {})
            try:
                return eval(annotation, names)
            except Exception as e:
                raise refuse(f"Unsupported type annotation {annotation}. It is not a type.") from e
        return annotation

    names = set(mutates_args) if not isinstance(mutates_args, str) else set()
    if unknown := names - set(signature.parameters):
        raise refuse(
            f"{unknown} in mutates_args were not found in the custom op's signature. mutates_args "
            "should contain the names of all args that the custom op mutates, or just the string "
            '"unknown" if you don\'t know.'
        )
    found: list[str] = []
    for i, p in enumerate(signature.parameters.values()):
        if p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.annotation is not p.empty:
            raise refuse("We do not support positional-only args, varargs, or varkwargs.")
        if p.annotation is p.empty:
            raise refuse(f"Parameter {p.name} must have a type annotation.")
        if p.kind is p.KEYWORD_ONLY and "*" not in found:
            found.append("*")
        annotation = read(p.annotation)
        kind = _kind(annotation)
        if kind is None:
            raise refuse(f"Parameter {p.name} has unsupported type {annotation}.")
        if p.name in names and not kind.startswith("Tensor"):
            raise refuse(
                f"Parameter {p.name} is in mutable_args but only Tensors or collections of Tensors "
                "can be mutated."
            )
        if kind.startswith("Tensor") and (mutates_args == "unknown" or p.name in names):
            kind = f"Tensor(a{i}!){kind.removeprefix('Tensor')}"
        end = "" if p.default is p.empty else f"={_default(p.default, refuse, p.name)}"
        found.append(f"{kind} {p.name}{end}")
    if signature.return_annotation is signature.empty:
        raise refuse("No return type annotation was provided. Please add one.")
    result = read(signature.return_annotation)
    several = typing.get_origin(result) is tuple
    parts = (
        typing.get_args(result) if several else () if result in (None, type(None)) else (result,)
    )
    kinds = [_kind(t) for t in parts]
    for t, kind in zip(parts, kinds, strict=True):
        if kind not in _RESULTS:
            raise refuse(f"Return has unsupported type {t}.")
    out = str(kinds[0]) if len(kinds) == 1 else f"({', '.join(map(str, kinds))})"
    return f"{op_name or ''}({', '.join(found)}) -> {out}"
