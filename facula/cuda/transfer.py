"""Tensors from the CPU to the device and back, at the call; gradients come back the same way."""

from __future__ import annotations

from typing import Any

from facula.autograd.function import Function
from facula.cuda import arrays
from facula.cuda.arrays import DeviceArray
from facula.trace import recorder
from facula.trace.node import leaf
from facula.trace.recorder import TLS
from facula.values import from_array, realise


def tensor_of(data: Any, device: Any) -> Any:
    """A tensor over an array of the device."""
    t = recorder._new_tensor()
    t._data = data
    t.node = leaf(data.shape, data.dtype, data.strides_, False, device)
    return t


def _moved(t: Any, where: Any) -> Any:
    t = realise(t)
    data = t._data
    if data.__class__ is DeviceArray:
        return from_array(data.download())
    return tensor_of(arrays.upload(data, t.node.dtype, t.node.strides), where)


class ToCopy(Function):
    """A copy on another device."""

    @staticmethod
    def forward(ctx: Any, t: Any, where: Any) -> Any:
        """The copy."""
        ctx.where = t.device
        return _moved(t, where)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        """The gradient, where the operand is."""
        return g.to(ctx.where), None


def move(t: Any, where: Any) -> Any:
    """The tensor on another device (`where`: a CUDA device, or the CPU)."""
    if TLS.r.grad and t.requires_grad:
        return ToCopy.apply(t, where)
    return _moved(t, where)


__all__ = ["ToCopy", "move", "tensor_of"]
