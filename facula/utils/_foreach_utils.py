"""How optimisers of libraries sort tensors before they work on whole lists of them.

Nothing is gained by lists here: what a loop over the parameters records is run as one program.
"""

from __future__ import annotations

from typing import Any

from facula import Tensor
from facula.errors import honest

__all__: list[str] = []


def _get_foreach_kernels_supported_devices() -> list[str]:
    """The kinds of devices on which lists are faster, as in PyTorch: not the CPU."""
    return ["cuda", "xpu", "mtia"]


def _get_fused_kernels_supported_devices() -> list[str]:
    return ["mps", "cuda", "xpu", "hpu", "cpu", "mtia"]


def _device_has_foreach_support(device: Any) -> bool:
    return device.type in (*_get_foreach_kernels_supported_devices(), "cpu")


def _has_foreach_support(tensors: list[Tensor], device: Any) -> bool:
    return _device_has_foreach_support(device) and all(
        [t is None or type(t) is Tensor for t in tensors]
    )


def _group_tensors_by_device_and_dtype(
    tensorlistlist: list[list[Tensor | None]], with_indices: bool = False
) -> dict[Any, tuple[list[list[Tensor | None]], list[int]]]:
    """Columns of a table of tensors, sorted by device and dtype of the first row's."""
    groups: dict[Any, tuple[list[list[Tensor | None]], list[int]]] = {}
    for i, column in enumerate(zip(*tensorlistlist, strict=True)):
        first = column[0]
        if first is None:
            raise RuntimeError("_group_tensors_by_device_and_dtype(): the first row has no tensor")
        rows, indices = groups.setdefault(
            (first.device, first.dtype), ([[] for _ in tensorlistlist], [])
        )
        for row, t in zip(rows, column, strict=True):
            row.append(t)
        if with_indices:
            indices.append(i)
    return groups


__getattr__ = honest(__name__)
