"""Helpers of PyTorch's `torch._utils` that programs import although they are private."""

from __future__ import annotations

import math
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from facula import cuda, devices, dtypes
from facula.nn.parameter import _rebuild_parameter, _rebuild_parameter_with_state
from facula.ops.table import FUNCTIONS
from facula.serialization import rebuild
from facula.tensor import Tensor

__all__ = ["_rebuild_parameter", "_rebuild_parameter_with_state"]

# What tensors are made by in the plain pickles that PyTorch writes.
_rebuild_tensor, _rebuild_tensor_v2 = rebuild._tensor, rebuild._tensor_v2
_rebuild_tensor_v3 = rebuild._tensor_v3


def _flatten_dense_tensors(tensors: Iterable[Tensor]) -> Tensor:
    """All elements of some tensors in one of one dimension; of a single tensor, a view of it."""
    flat = [t.contiguous().view(-1) for t in tensors]
    return flat[0] if len(flat) == 1 else FUNCTIONS["cat"](flat)


def _unflatten_dense_tensors(flat: Tensor, tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Views of what `_flatten_dense_tensors` made, in the shapes of `tensors`."""
    out, begin = [], 0
    for t in tensors:
        n = math.prod(t.shape)
        out.append(flat.narrow(0, begin, n).view(t.shape))
        begin += n
    return tuple(out)


def _take_tensors(tensors: Iterable[Tensor], size_limit: int) -> Iterator[list[Tensor]]:
    """Lists of tensors of one type each, of at most `size_limit` bytes where they can be."""
    pending: dict[str, tuple[list[Tensor], int]] = {}
    for t in tensors:
        key, size = t.type(), t.numel() * t.element_size()
        group, bytes_ = pending.get(key, ([], 0))
        if group and bytes_ + size > size_limit:
            yield group
            group, bytes_ = [], 0
        group.append(t)
        pending[key] = group, bytes_ + size
    yield from (group for group, _ in pending.values() if group)


def _reorder_tensors_as(tensors: Iterable[Tensor], order: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The tensors that `_take_tensors` grouped by type, in the order of `order` again."""
    by_type: dict[str, list[Tensor]] = {}
    for t in tensors:
        by_type.setdefault(t.type(), []).append(t)
    each = {key: iter(group) for key, group in by_type.items()}
    return tuple(next(each[t.type()]) for t in order)


def _get_device_index(device: Any, optional: bool = False, allow_cpu: bool = False) -> int:
    """The number of a device; -1 for the CPU where that is allowed."""
    index = device
    if isinstance(device, str):
        device = devices.device(device)
    if isinstance(device, devices.device):
        if device.type == "cpu" and not allow_cpu:
            raise ValueError(f"Expected a non cpu device, but got: {device}")
        index = -1 if device.type == "cpu" else device.index
    if index is None and optional:
        index = cuda.current_device()
    if not isinstance(index, int):
        raise ValueError(
            f"Expected a torch.device with a specified index or an integer, but got:{device}"
        )
    return index


def _get_available_device_type() -> str | None:
    """The type of the accelerator, None without one."""
    return "cuda" if cuda.is_available() else None


def _get_device_module(device_type: str) -> Any:
    """The module that is named as a type of device: `torch.cuda`."""
    import facula

    module = getattr(facula, device_type, None)
    if module is None:
        raise RuntimeError(
            f"Device '{device_type}' does not have a corresponding module registered as "
            f"'torch.{device_type}'."
        )
    return module


def _element_size(dtype: Any) -> int:
    """The bytes of an element."""
    if not isinstance(dtype, dtypes.dtype):
        raise RuntimeError(f"expected torch.dtype, but got {type(dtype)}")
    return dtype.itemsize


class ExceptionWrapper:
    """An exception of another thread or process as text, to be raised here."""

    def __init__(self, exc_info: Any = None, where: str = "in background") -> None:
        kind, error, trace = sys.exc_info() if exc_info is None else exc_info
        self.exc_type: Any = kind
        self.exc_msg = "".join(traceback.format_exception(kind, error, trace))
        self.where = where

    def reraise(self) -> None:
        """Raise the exception again, saying where it was raised first."""
        message = f"Caught {self.exc_type.__name__} {self.where}.\nOriginal {self.exc_msg}"
        try:
            error = self.exc_type(message)
        except Exception:  # its constructor wants something else than a text
            raise RuntimeError(message) from None
        raise error
