"""Putting tensors in the places of a module's own and taking these out, by name."""

from __future__ import annotations

from typing import Any

from facula.errors import honest
from facula.nn.modules.module import Module
from facula.tensor import Tensor

_MISSING: Any = object()  # in place of a tensor: nothing is there


def swap_tensor(module: Module, name: str, tensor: Any, allow_missing: bool = False) -> Any:
    """Put a tensor where the module has one (a parameter, buffer or attribute) and return that.

    Args:
        module: itself, not one of its children: a name has no dots.
        name: of the tensor.
        tensor: the new one; None, or ``_MISSING`` to leave nothing there.
        allow_missing: return ``_MISSING`` where the module has nothing of this name.
    """
    if not isinstance(module, Module):
        raise TypeError(f"swap_tensor(): {module} is not an instance of torch.nn.Module")
    if not (tensor is _MISSING or tensor is None or isinstance(tensor, Tensor)):
        raise TypeError(f"swap_tensor(): {tensor} is not an instance of torch.Tensor")
    if name == "" or "." in name:
        raise KeyError(f"swap_tensor(): tensor name can't be empty or contain '.', got {name!r}")
    for places in (module._parameters, module._buffers):
        if name in places:
            before = places[name]
            if tensor is _MISSING:
                del places[name]
            else:
                places[name] = tensor
            return before
    before = getattr(module, name, _MISSING)
    if before is _MISSING and not allow_missing:
        raise AttributeError(f"{module._get_name()} has no attribute {name!r}")
    if not (before is _MISSING or before is None or isinstance(before, Tensor)):
        raise TypeError(f"attribute {name!r}: {before} is not an instance of torch.Tensor")
    if tensor is not _MISSING:
        setattr(module, name, tensor)
    elif before is not _MISSING:
        delattr(module, name)
    return before


def set_tensor(module: Module, name: str, tensor: Any) -> None:
    """Put a tensor where the module has one, or nothing yet."""
    swap_tensor(module, name, tensor, allow_missing=True)


__getattr__ = honest(__name__)
