"""Saving and loading tensors, in PyTorch's file format. See README.md in this folder.

Source: https://docs.pytorch.org/docs/stable/notes/serialization.html
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, TypeAlias

from facula.devices import device
from facula.errors import honest
from facula.memory import TypedStorage, UntypedStorage
from facula.serialization.loading import load
from facula.serialization.locations import _restore as default_restore_location
from facula.serialization.registry import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    safe_globals,
)
from facula.serialization.saving import save

DEFAULT_PROTOCOL = 2  # of pickle, as `save` writes
STORAGE: TypeAlias = TypedStorage | UntypedStorage
MAP_LOCATION: TypeAlias = Callable[[STORAGE, str], STORAGE] | device | str | dict[str, str] | None
__all__ = [
    "DEFAULT_PROTOCOL",
    "MAP_LOCATION",
    "add_safe_globals",
    "clear_safe_globals",
    "default_restore_location",
    "get_safe_globals",
    "load",
    "normalize_storage_type",
    "safe_globals",
    "save",
]


def normalize_storage_type(storage_type: type) -> Any:
    """The class of storages that has the same name at the top level, such as `FloatStorage`."""
    import facula

    return getattr(facula, storage_type.__name__)


__getattr__ = honest(__name__)
