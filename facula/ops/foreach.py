"""Functions of lists of tensors, `torch._foreach_add_` and its kin, which optimisers call.

Each is the function of the same name, called once for each tensor: what a loop records is run as
one program, so that lists are no faster here. They are PyTorch's private names, but libraries of
optimisers are written with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula.ops import later
from facula.ops.table import FUNCTIONS, METHODS
from facula.tensor import Tensor

UNARY = later.FOREACH_UNARY.split()
# One more operand: a list, a tensor of one element, a number, or a list of numbers.
BINARY = later.FOREACH_BINARY.split()


def _lists(name: str, *lists: Any) -> None:
    first = lists[0]
    if not isinstance(first, (list, tuple)):
        raise TypeError(
            f"_foreach_{name}(): expected a list of tensors, got {type(first).__name__}"
        )
    if not first:
        raise RuntimeError(f"_foreach_{name}(): Tensor list must have at least one tensor.")
    for other in lists[1:]:
        if len(other) != len(first):
            raise RuntimeError(
                f"_foreach_{name}(): Tensor lists must have the same number of tensors, got "
                f"{len(first)} and {len(other)}"
            )


def _each(name: str, tensors: Any, operand: Any) -> list[Any]:
    """One operand for each tensor."""
    if isinstance(operand, (list, tuple)):
        _lists(name, tensors, operand)
        return list(operand)
    if isinstance(operand, Tensor) and operand.dim() == 1 and len(operand) == len(tensors):
        return list(operand.unbind())
    return [operand] * len(tensors)


def _declare(name: str, one: Callable[..., Any]) -> None:
    """Enter both forms of a function; `one(method, tensors, i, ...)` does the i-th tensor."""

    def new(self: Any, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        _lists(name, self)
        return tuple(one(name, self, *args, **kwargs))

    def in_place(self: Any, *args: Any, **kwargs: Any) -> Any:
        _lists(name, self)
        for _ in one(name + "_", self, *args, **kwargs):
            pass
        return self

    for suffix, f in (("", new), ("_", in_place)):
        f.__name__ = f.__qualname__ = f"_foreach_{name}{suffix}"
        f.__doc__ = f"`{name}{suffix}` for each tensor of a list."
        FUNCTIONS[f.__name__] = f


def _call(method: str, t: Any, *args: Any, **kwargs: Any) -> Any:
    found = METHODS.get(method)
    return (found or getattr(type(t), method))(t, *args, **kwargs)


def _unary(method: str, tensors: Any) -> Any:
    return (_call(method, t) for t in tensors)


def _binary(method: str, tensors: Any, other: Any, *, alpha: Any = None) -> Any:
    more = {} if alpha is None else {"alpha": alpha}
    others = _each(method.rstrip("_"), tensors, other)
    return (_call(method, t, o, **more) for t, o in zip(tensors, others, strict=True))


def _extremum(method: str, tensors: Any, other: Any) -> Any:
    """`maximum` and `clamp_min` are one function of lists, `minimum` and `clamp_max` another."""
    name = method.rstrip("_")
    clamp = "clamp_min" if name in ("maximum", "clamp_min") else "clamp_max"
    others = _each(name, tensors, other)
    return (_call(clamp + method[len(name) :], t, o) for t, o in zip(tensors, others, strict=True))


def _with_factor(method: str, tensors: Any, a: Any, b: Any, value: Any = None, **given: Any) -> Any:
    """`addcmul` and `addcdiv`: the factor is one, or one for each."""
    values = given.pop("scalars", 1 if value is None else value)
    _lists(method.rstrip("_"), tensors, a, b)
    values = _each(method.rstrip("_"), tensors, values)
    for t, x, y, v in zip(tensors, a, b, values, strict=True):
        yield _call(method, t, x, y, value=v.item() if isinstance(v, Tensor) else v)


def _lerp(method: str, tensors: Any, ends: Any, weight: Any) -> Any:
    _lists("lerp", tensors, ends)
    weights = _each("lerp", tensors, weight)
    return (_call(method, t, e, w) for t, e, w in zip(tensors, ends, weights, strict=True))


def _foreach_norm(self: Any, ord: Any = 2, dtype: Any = None) -> tuple[Any, ...]:
    """The vector norm of each tensor of a list."""
    from facula.linalg import vector_norm

    _lists("norm", self)
    return tuple([vector_norm(t, ord, dtype=dtype) for t in self])


def _foreach_max(self: Any) -> tuple[Any, ...]:
    """The largest element of each tensor of a list."""
    _lists("max", self)
    return tuple([t.max() for t in self])


def _foreach_copy_(self: Any, src: Any, non_blocking: bool = False) -> Any:
    """Write each tensor of a list into the one at its place."""
    _lists("copy", self, src)
    for t, s in zip(self, src, strict=True):
        t.copy_(s)
    return self


for _name in UNARY:
    _declare(_name, _unary)
for _name in BINARY:
    _declare(_name, _binary)
for _name in ("maximum", "minimum", "clamp_min", "clamp_max"):
    _declare(_name, _extremum)
for _name in ("addcmul", "addcdiv"):
    _declare(_name, _with_factor)
_declare("lerp", _lerp)
del FUNCTIONS["_foreach_zero"]  # only the form that writes is there
FUNCTIONS.update(
    _foreach_norm=_foreach_norm, _foreach_max=_foreach_max, _foreach_copy_=_foreach_copy_
)
