"""The memory order of convolution weights."""

from __future__ import annotations

from typing import Any

import facula
from facula.nn.modules.module import Module

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]


def _arranged(weight, memory_format):
    """A copy of ``weight`` in this order of memory."""
    n = {facula.channels_last: 4, facula.channels_last_3d: 5}.get(memory_format)
    if n is None:
        return weight.clone().contiguous(memory_format=memory_format)
    if weight.dim() != n:
        raise RuntimeError(f"required rank {n} tensor to use {memory_format} format")
    return weight.movedim(1, -1).clone(memory_format=facula.contiguous_format).movedim(-1, 1)


def _convert(module, memory_format, names: tuple[str, ...]):
    from ..modules import conv

    kinds = tuple(getattr(conv, name) for name in names)
    for child in module.modules():
        if isinstance(child, kinds):
            with facula.no_grad():
                child.weight.data = _arranged(child.weight.detach(), memory_format)
    return module


def convert_conv2d_weight_memory_format(module: Module, memory_format: Any) -> Module:
    """Rearrange the weights of all 2-d convolutions in ``module``; returns it."""
    return _convert(module, memory_format, ("Conv2d", "ConvTranspose2d"))


def convert_conv3d_weight_memory_format(module: Module, memory_format: Any) -> Module:
    """Rearrange the weights of all 3-d convolutions in ``module``; returns it."""
    return _convert(module, memory_format, ("Conv3d", "ConvTranspose3d"))
