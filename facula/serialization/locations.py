"""Where storages go: the location that a checkpoint names, and what the user wants instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula.devices import device, present
from facula.serialization.rebuild import StorageRef


def restorer(map_location: Any) -> Callable[[StorageRef], StorageRef]:
    """A function that takes a storage to where it belongs.

    `map_location` may be None (where it was), a device or its name (there, whatever it was), a
    dict from location to location, or a function of the storage and its location, which returns
    the storage, or None for where it was.

    Raises TypeError for something else; the function raises RuntimeError for another device.
    """
    if map_location is None:
        return lambda storage: _restore(storage, storage.location)
    if isinstance(map_location, (str, device)):
        there = str(map_location if isinstance(map_location, device) else device(map_location))
        return lambda storage: _restore(storage, there)
    if isinstance(map_location, dict):

        def from_dict(storage: StorageRef) -> StorageRef:
            there = map_location.get(storage.location, storage.location)
            return _restore(storage, str(there))

        return from_dict
    if callable(map_location):

        def from_function(storage: StorageRef) -> StorageRef:
            there = map_location(storage, storage.location)
            if there is None:
                return _restore(storage, storage.location)
            if there is not storage:
                raise TypeError(
                    "map_location: the function has to return the storage that it got, or None, "
                    f"but it returned a {type(there).__name__}"
                )
            return storage

        return from_function
    raise TypeError(
        "map_location should be a torch.device, a string, a dict or a function, but got a "
        f"{type(map_location).__name__}"
    )


def _restore(storage: StorageRef, location: str) -> StorageRef:
    if location == "cpu" or location.startswith("cpu:"):
        return storage.cpu()
    if location.startswith("cuda"):
        if present("cuda"):
            return storage.cuda(location)
        raise RuntimeError(
            f"load: the checkpoint holds a storage on CUDA device {location!r}, but "
            "torch.cuda.is_available() is False. Use map_location='cpu' to put it in the memory of "
            "the CPU"
        )
    if location.startswith("meta"):
        return storage.meta()
    raise RuntimeError(
        f"load: don't know how to restore a storage on {location!r}; use map_location='cpu' to put "
        "it in the memory of the CPU"
    )
