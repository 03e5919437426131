"""What operations do with their operands first: they are checked, and brought to one dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from facula import dtypes
from facula.dtypes import promote_types
from facula.errors import describe
from facula.ops import pointwise as pw
from facula.ops.movement import instead
from facula.tensor import Tensor
from facula.trace.recorder import TLS
from facula.values import from_array

NUMBERS = (bool, int, float, complex)


def number(x: Any) -> Any:
    """A Python number for a NumPy scalar."""
    return x.item() if isinstance(x, np.generic) else x


def result_type(*xs: Any) -> Any:
    """The dtype of an operation on these tensors and numbers.

    Tensors with dimensions count before those without, and these before numbers: a lower group
    decides only if its category (bool, integer, floating, complex) is higher.
    Source: https://pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc
    """
    if len(xs) == 2 and isinstance(xs[0], Tensor) and isinstance(xs[1], Tensor):  # the usual case
        first: Any = xs[0].node.dtype
        if xs[1].node.dtype is first:
            return first
    groups: list[Any] = [None, None, None]
    for x in xs:
        if isinstance(x, Tensor):
            k, d = (0 if x.node.shape else 1), x.node.dtype
        elif isinstance(x, dtypes.dtype):
            k, d = 0, x
        else:
            k, d = 2, dtypes.scalar_type(x)
        groups[k] = d if groups[k] is None else promote_types(groups[k], d)
    out = groups[0]
    for d in groups[1:]:
        if d is not None and (out is None or d.category > out.category):
            if out is not None and d.category == dtypes.COMPLEX and out.category == dtypes.FLOAT:
                d = out.to_complex()
            out = d
    return out


def tensor_of(x: Any, like: Any = None) -> Any:
    """A number as a 0-d tensor (of a dtype), a tensor as it is."""
    if isinstance(x, Tensor):
        return x
    d = like or dtypes.scalar_type(x)
    return from_array(dtypes.convert(np.asarray(x), d.np))


def need(name: str, **tensors: Any) -> None:
    """TypeError for an argument that must be a tensor and is not."""
    for argument, x in tensors.items():
        if not isinstance(x, Tensor):
            raise TypeError(
                f"{name}(): argument '{argument}' must be Tensor, not {type(x).__name__}"
            )


def one_tensor(name: str, a: Any, b: Any) -> None:
    """TypeError where both operands are numbers."""
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        raise TypeError(
            f"{name}(): expected at least one tensor, got ({type(a).__name__}, {type(b).__name__})"
        )


def in_float32(f: Any, *ts: Any) -> Any:
    """f of the tensors; 16-bit floats are computed in float32 as a whole and rounded once."""
    d = result_type(*ts)
    if d is dtypes.bfloat16 or d is dtypes.float16:
        wide = [
            pw.cast(t, dtypes.float32) if isinstance(t, Tensor) and t.node.dtype is d else t
            for t in ts
        ]
        return pw.cast(f(*wide), d)
    return f(*ts)


_FAR = 1 << 63  # an integer beyond is an error


def operands(name: str, a: Any, b: Any, real: bool = False) -> tuple[Any, Any, Any]:
    """Both operands (numbers stay numbers) and their common dtype."""
    if isinstance(a, Tensor):  # the usual cases, of which nothing has to be found out
        d = a.node.dtype
        if d.category >= dtypes.FLOAT:
            if b.__class__ is float or (b.__class__ is int and -_FAR <= b < _FAR):
                return a, b, d
            if isinstance(b, Tensor) and b.node.dtype is d:
                return a, b, d
    for x in (a, b):
        if not isinstance(x, Tensor) and not isinstance(x, (*NUMBERS, np.generic)):
            raise TypeError(
                f"{name}(): expected tensors or numbers, got {describe(a)} and {describe(b)}"
            )
    # To PyTorch NumPy's bool is a float.
    a, b = [float(x) if isinstance(x, np.bool_) else x for x in (a, b)]
    d = result_type(a, b)
    if real and d.category < dtypes.FLOAT:
        d = dtypes.get_default_dtype()
    x = pw.cast(a, d) if isinstance(a, Tensor) else number(a)
    y = pw.cast(b, d) if isinstance(b, Tensor) else number(b)
    if x is not a or y is not b:
        x, y = standing((x, y), (a, b))
    return x, y, d


def standing(new: Any, given: Any) -> Any:
    """Operands converted to an operation's dtype, of which PyTorch saves what was given."""
    if not TLS.r.grad or not any([isinstance(t, Tensor) and t.requires_grad for t in given]):
        return new
    pairs = zip(new, given, strict=True)
    return [instead(n, t) if isinstance(t, Tensor) else n for n, t in pairs]


def common(*ts: Any) -> Any:
    d = result_type(*ts)
    return standing([pw.cast(t, d) for t in ts], ts)


def implemented(name: str, d: Any, *categories: int) -> None:
    """NotImplementedError for a dtype that an operation is not defined for."""
    if d.category not in categories:
        raise NotImplementedError(f'{name}: "{name}_cpu" not implemented for {d}')


def real_only(name: str, t: Any) -> None:
    """NotImplementedError for complex numbers, where they have no meaning."""
    if t.node.dtype.is_complex:
        raise NotImplementedError(f"{name}(): not implemented for complex numbers, {t.dtype}")
