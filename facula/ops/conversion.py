"""Conversions of tensors to other dtypes and devices."""

from __future__ import annotations

from typing import Any

from facula import devices, dtypes
from facula.ops import pointwise as pw
from facula.ops.movement import channels_last_strides
from facula.ops.shapes import clone
from facula.ops.table import api
from facula.tensor import Tensor
from facula.trace.node import STALE

_DEVICE = (str, devices.device, type(None))
_OF_TO = {"dtype", "device", "copy", "non_blocking", "memory_format", "tensor"}


@api(function=False)
def to(self: Any, *args: Any, **kwargs: Any) -> Any:
    """The tensor with another dtype or on another device; itself where nothing changes."""
    if not kwargs.keys() <= _OF_TO:
        raise TypeError(
            f"to() got an unexpected keyword argument '{next(iter(kwargs.keys() - _OF_TO))}'"
        )
    d = kwargs.get("dtype")
    if d is not None and not isinstance(d, dtypes.dtype):
        raise TypeError(f"to(): argument 'dtype' must be torch.dtype, not {type(d).__name__}")
    copy = kwargs.get("copy", False)
    for name in kwargs.keys() & {"copy", "non_blocking"}:
        if not isinstance(kwargs[name], bool):
            raise TypeError(
                f"to(): argument '{name}' must be bool, not {type(kwargs[name]).__name__}"
            )
    where = None
    if "tensor" in kwargs:
        args = (kwargs["tensor"], *args)
    first = args[0] if args else None
    if len(args) > 1 and isinstance(args[1], bool) and isinstance(first, _DEVICE):
        raise TypeError(
            "to() received an invalid combination of arguments - got "
            f"({', '.join([type(a).__name__ for a in args])}), but expected (device, dtype, "
            "non_blocking, copy), (dtype, non_blocking, copy) or (tensor, non_blocking, copy)"
        )
    flags = [a for a in args if isinstance(a, bool)]
    if len(flags) > 1:
        copy = flags[1]  # after non_blocking
    if kwargs.get("device") is not None:
        where = devices.check(kwargs["device"])
    for a in args:
        if isinstance(a, dtypes.dtype):
            d = a
        elif type(a) is type and a in dtypes.OF_PYTHON:
            d = dtypes.OF_PYTHON[a]
        elif isinstance(a, Tensor):
            d, where = a.dtype, a.device
        elif isinstance(a, (str, devices.device, int)) and not isinstance(a, bool):
            where = devices.check(a)
        elif a is not None and not isinstance(a, (int, float, complex)):
            raise TypeError(
                f"to(): arguments must be a torch.dtype, a torch.device, a Tensor and bools, got "
                f"{type(a).__name__}"
            )
    if where is not None and where is not self.device:
        moved = devices.moved(self, where)
        copy = copy and moved is self
        self = moved
    before = self
    if d is not None and d is not self.node.dtype:
        self, copy = _converted(self, d), False
    layout = kwargs.get("memory_format")
    if layout is not None:
        return _in_format(self, layout, copy or self is not before)
    return clone.__wrapped__(self) if copy else self


def _in_format(t: Any, layout: Any, new: bool = False) -> Any:
    """A tensor in a memory format. `new`: it is a copy anyway; otherwise it is as it is if PyTorch
    takes that for its format: contiguous is what is not channels last."""
    name = str(layout).rpartition(".")[2]
    if name == "preserve_format":
        return clone.__wrapped__(t) if new else t
    if name == "contiguous_format" and not new:
        shape, steps = t.node.shape, t.node.strides
        if steps is None or len(shape) not in (4, 5) or steps != channels_last_strides(shape):
            return t
    return clone.__wrapped__(t, memory_format=layout) if new else t.contiguous(layout)


def _converted(t: Any, d: Any) -> Any:
    if d.category < dtypes.FLOAT and t.requires_grad:
        t = t.detach()  # no gradient comes back from there, so no history is asked for
    elif t.node.op is STALE:
        t._rederive()
    return pw.cast(t, d)


for _name, _d in {
    "float": dtypes.float32,
    "double": dtypes.float64,
    "half": dtypes.float16,
    "bfloat16": dtypes.bfloat16,
    "int": dtypes.int32,
    "long": dtypes.int64,
    "short": dtypes.int16,
    "char": dtypes.int8,
    "byte": dtypes.uint8,
    "bool": dtypes.bool,
    "cfloat": dtypes.complex64,
    "cdouble": dtypes.complex128,
}.items():

    def _make(d: Any, name: str) -> Any:
        def f(self: Any, *, memory_format: Any = None) -> Any:
            if memory_format is not None:
                return to.__wrapped__(self, d, memory_format=memory_format)
            return self if self.node.dtype is d else _converted(self, d)

        f.__name__ = name
        f.__doc__ = f"The tensor as {d}."
        return f

    api(_make(_d, _name), function=False)


@api(function=False)
def type_as(self: Any, other: Any) -> Any:
    """The tensor with another one's dtype, on its device."""
    return devices.moved(pw.cast(self, other.node.dtype), other.device)


@api(function=False)
def cpu(self: Any, *, memory_format: Any = None) -> Any:
    """The tensor on the CPU: itself where it is there."""
    moved = devices.moved(self, devices.CPU)
    return moved if memory_format is None else _in_format(moved, memory_format)


@api(function=False)
def cuda(self: Any, device: Any = None, non_blocking: bool = False) -> Any:
    """The tensor on a CUDA device; RuntimeError for a device of another type."""
    where = devices.check("cuda" if device is None else device)
    if where.type != "cuda":
        raise RuntimeError(f"cuda(): Invalid device, must be cuda device, but got {where}")
    return devices.moved(self, where)
