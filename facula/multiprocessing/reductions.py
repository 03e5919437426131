"""How tensors travel between processes, by the names of PyTorch's module; see shared.py."""

from __future__ import annotations

import weakref
from multiprocessing.reduction import ForkingPickler
from typing import Any

from facula.errors import honest
from facula.multiprocessing import shared

__all__ = ["ForkingPickler", "StorageWeakRef", "init_reductions", "reduce_tensor"]


def init_reductions() -> None:
    """Nothing: the ways are registered on import."""


def reduce_tensor(tensor: Any) -> Any:
    """A function and its arguments, which make the tensor again in another process.

    Memory goes to where processes share it, as in PyTorch.
    """
    return shared._reduce(shared.share_memory_(tensor) if tensor.is_leaf else tensor)


class StorageWeakRef:
    """A reference to memory that does not keep it; equal for storages of the same memory."""

    def __init__(self, storage: Any) -> None:
        self.cdata = storage._cdata
        self._memory = weakref.ref(shared._owner(storage._flat))

    def expired(self) -> bool:
        """Whether the memory is gone."""
        return self._memory() is None

    def __hash__(self) -> int:
        return self.cdata

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StorageWeakRef) and self.cdata == other.cdata


__getattr__ = honest(__name__)
