"""Modules called at once on CUDA devices: an error, as there are no such devices."""

from __future__ import annotations

from typing import Any, NoReturn

from facula.errors import NoDeviceError
from facula.tensor import Tensor

__all__ = ["get_a_var", "parallel_apply"]


def get_a_var(obj: Any) -> Tensor | None:
    """The first tensor in nested lists, tuples and dicts, None without one."""
    if isinstance(obj, Tensor):
        return obj
    if isinstance(obj, (list, tuple)):
        parts: Any = obj
    elif isinstance(obj, dict):
        parts = obj.items()
    else:
        return None
    return next((t for t in map(get_a_var, parts) if t is not None), None)


def parallel_apply(
    modules: Any, inputs: Any, kwargs_tup: Any = None, devices: Any = None
) -> NoReturn:
    """Call each module with its inputs, each on its device."""
    raise NoDeviceError("parallel_apply(): there are not several CUDA devices")
