"""What the functions of this folder share: precision, reductions, in-place forms, checks."""

from __future__ import annotations

import functools
import warnings
from typing import Any, cast

import facula
from facula import Tensor
from facula.ops import table

# Formats with so few digits that a chain of operations would be rounded at every link.
_LOW = frozenset((facula.float16, facula.bfloat16))


def output(result: Tensor, out: Tensor | None) -> Tensor:
    """``result`` itself, or written into ``out`` if that is given."""
    return result if out is None else facula.add(result, 0, out=out)


def upcast(x: Tensor) -> Tensor:
    """``x`` in the precision to compute in: float32 for float16 and bfloat16, else its own.

    PyTorch's kernels round once, when they store the result. A composition that did not do
    this would round after every operation.
    """
    return x.to(facula.float32) if x.dtype in _LOW else x


def is_low(*tensors: Tensor | None) -> bool:
    """Whether any of ``tensors`` is of float16 or bfloat16."""
    return any(t is not None and t.dtype in _LOW for t in tensors)


def in_place(fn: Any, x: Tensor, *args: Any) -> Tensor:
    """Write ``fn(x, *args)`` back into ``x``, by the rules of all in-place operations."""
    return cast(Tensor, _in_place_form(fn)(x, *args))


@functools.cache
def _in_place_form(fn: Any) -> Any:
    return table.in_place(fn, fn.__name__.strip("_") + "_")


def legacy_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction meant by the two deprecated arguments, with PyTorch's warning."""
    if size_average is None and reduce is None:
        return reduction
    # Their truth is asked for: of two tensors, as in `nn.L1Loss(input, target)`, that is an error.
    averaged, reduced = size_average is None or bool(size_average), reduce is None or bool(reduce)
    if not reduced:
        meant = "none"
    else:
        meant = "mean" if averaged else "sum"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{meant}' instead.",
        stacklevel=5,
    )
    return meant


def check_reduction(reduction: str) -> None:
    if reduction not in ("none", "mean", "sum"):
        if reduction == "elementwise_mean":
            warnings.warn(
                "reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.",
                stacklevel=5,
            )
            return
        raise ValueError(f"{reduction} is not a valid value for reduction")


def reduced(loss: Tensor, reduction: str, dtype: Any = None) -> Tensor:
    """``loss`` summed, averaged or as it is; in ``dtype`` if given."""
    if reduction == "sum":
        loss = loss.sum()
    elif reduction != "none":
        loss = loss.mean()
    return loss if dtype is None or loss.dtype is dtype else loss.to(dtype)


def require_float(x: Tensor, name: str, complex_too: bool = True) -> None:
    """Raise as PyTorch's kernels do for a dtype they are not compiled for."""
    try:
        d = x.dtype
    except AttributeError:
        raise no_tensor(name, "input", x) from None
    if not (d.is_floating_point or (complex_too and d.is_complex)):
        raise NotImplementedError(f"\"{name}\" not implemented for '{scalar_type(d)}'")


def no_tensor(name: str, argument: str, x: object) -> TypeError:
    """The error for an argument that is no tensor."""
    return TypeError(f"{name}(): argument '{argument}' must be Tensor, not {type(x).__name__}")


def require_bools(name: str, **flags: object) -> None:
    """TypeError for a setting that is no bool."""
    for argument, x in flags.items():
        if not isinstance(x, bool):
            raise TypeError(f"{name}(): argument '{argument}' must be bool, not {type(x).__name__}")


def require_numbers(name: str, **settings: object) -> None:
    """TypeError for a setting that is no real number (nor a tensor that stands for one)."""
    for argument, x in settings.items():
        if not isinstance(x, (int, float)) and getattr(x, "ndim", 1) != 0:
            raise TypeError(
                f"{name}(): argument '{argument}' must be float, not {type(x).__name__}"
            )


_SCALAR_TYPES = {
    "bool": "Bool",
    "uint8": "Byte",
    "int8": "Char",
    "int16": "Short",
    "int32": "Int",
    "int64": "Long",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "float32": "Float",
    "float64": "Double",
    "complex64": "ComplexFloat",
    "complex128": "ComplexDouble",
}


def scalar_type(dtype: Any) -> str:
    """PyTorch's internal name of ``dtype``, which its error messages use."""
    name = str(dtype).rpartition(".")[2]
    return _SCALAR_TYPES.get(name, name)


def type_name(t: Tensor) -> str:
    """What ``Tensor.type()`` says: ``torch.FloatTensor``."""
    return f"torch.{scalar_type(t.dtype)}Tensor"


def dims(sizes: Any) -> str:
    """Sizes as PyTorch's messages print them: ``[2, 3]``."""
    return "[" + ", ".join(str(n) for n in sizes) + "]"


def ntuple(value: Any, n: int) -> tuple:
    """``value`` repeated ``n`` times, or its own elements if it has any."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * n
