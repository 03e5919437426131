"""What libraries ask of PyTorch's compiled part of `torch.func`: which tensors are batches."""

from __future__ import annotations

from typing import Any

from facula.batches import is_batched
from facula.errors import honest
from facula.func.vmap import _add_batch_dim, _remove_batch_dim

__all__ = [
    "_add_batch_dim",
    "_remove_batch_dim",
    "get_unwrapped",
    "is_batchedtensor",
    "is_functorch_wrapped_tensor",
    "is_legacy_batchedtensor",
    "maybe_get_bdim",
    "maybe_get_level",
]


def is_batchedtensor(tensor: Any) -> bool:
    """Whether it is what a function sees that `vmap` calls."""
    return is_batched(tensor)


# Derivatives of `torch.func` follow plain tensors here, so no others are wrapped.
is_functorch_wrapped_tensor = is_batchedtensor


def is_legacy_batchedtensor(tensor: Any) -> bool:
    """Whether it is a batch of PyTorch's first `vmap`: there is one kind."""
    return False


def get_unwrapped(tensor: Any) -> Any:
    """The tensor with one dimension more that holds a batch."""
    return tensor._physical if is_batched(tensor) else tensor


def maybe_get_bdim(tensor: Any) -> int:
    """The dimension that `get_unwrapped` has more: the first; -1 of what is no batch."""
    return 0 if is_batched(tensor) else -1


def maybe_get_level(tensor: Any) -> int:
    """The number of the call of `vmap` of which it is a batch; -1 of what is none."""
    return tensor._level if is_batched(tensor) else -1


__getattr__ = honest(__name__)
