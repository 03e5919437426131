"""The storages of a checkpoint, by persistent id: in a zip file or in the legacy format."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np

from facula.serialization.archive import ArchiveReader
from facula.serialization.rebuild import StorageRef, StorageType
from facula.serialization.unpickler import shown

# How files begin that PyTorch wrote before 1.6, and the version of that format.
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001

# What a storage in a zip file or in the legacy format is restored by: see locations.py.
Restore = Callable[[StorageRef], StorageRef]


def _parts(pid: Any, count: int) -> tuple[Any, str, str, int]:
    """Dtype, key, location and size in bytes, out of a persistent id."""
    if type(pid) is not tuple or len(pid) != count or type(pid[0]) is not str:
        raise UnpicklingError(f"{shown(pid)} is no persistent id of a storage")
    what, kind, key, location, numel = pid[:5]
    if what != "storage":
        raise UnpicklingError(f"{shown(what)} is no persistent id of a storage")
    if type(kind) is not StorageType:
        raise UnpicklingError(f"a storage is of type {shown(kind)}")
    if type(key) is not str or type(location) is not str or type(numel) is not int:
        parts = ", ".join(map(shown, (key, location, numel)))
        raise UnpicklingError(f"{parts} are not key, location and size of a storage")
    if not 0 <= numel < 1 << 62:
        raise UnpicklingError(f"a storage can't have {shown(numel)} elements")
    return kind.dtype, key, location, numel * (1 if kind.dtype is None else kind.dtype.itemsize)


def _swapped(memory: np.ndarray, dtype: Any) -> np.ndarray:
    """The bytes of the other byte order; untyped ones are left as they are."""
    if dtype is None or dtype.itemsize == 1:
        return memory
    unit = dtype.itemsize // 2 if dtype.is_complex else dtype.itemsize
    return memory.view(f"u{unit}").byteswap().view(np.uint8)


class ZipStorages:
    """Storages that are records of a zip file."""

    def __init__(self, archive: ArchiveReader, restore: Restore, mapped: bool) -> None:
        self.archive = archive
        self.restore = restore
        self.mapped = mapped
        self.refs: dict[str, tuple[Any, StorageRef]] = {}
        order = "little"
        if "byteorder" in archive:
            order = archive.read("byteorder").decode("ascii", "replace")
            if order not in ("little", "big"):
                raise archive.damaged(f"its byte order is {order!r:.40}")
        self.swap = order != sys.byteorder
        if self.swap and mapped:
            raise RuntimeError("load: mmap=True can't be used for a file of the other byte order")

    def find(self, pid: Any) -> StorageRef:
        """The storage of a persistent id, read when it is first asked for."""
        dtype, key, location, nbytes = _parts(pid, 5)
        known = self.refs.get(key)
        if known is not None:
            _agree(key, known[0], (dtype, nbytes))
            return known[1]
        name = f"data/{key}"
        size = self.archive.find(name).size
        if size != nbytes:
            raise self.archive.damaged(
                f"the storage {key!r} has {nbytes} bytes, but its record has {size}"
            )
        memory = self.archive.mapped(name) if self.mapped else self.archive.array(name)
        if memory.ctypes.data % 16:
            memory = memory.copy()  # a file whose writer did not align its records
        if self.swap:
            memory = _swapped(memory, dtype)
        ref = self.restore(StorageRef(memory, dtype, location))
        self.refs[key] = (dtype, nbytes), ref
        return ref


def _agree(key: str, known: Any, now: Any) -> None:
    if known != now:
        raise UnpicklingError(f"the storage {key!r} has two types or sizes")


class LegacyStorages:
    """Storages whose bytes stand behind the pickle: memory now, contents later."""

    def __init__(self, restore: Restore, limit: int) -> None:
        self.restore = restore
        self.left = limit  # bytes that the file may still hold
        self.refs: dict[str, tuple[Any, StorageRef]] = {}
        self.memory: dict[str, tuple[np.ndarray, Any]] = {}

    def find(self, pid: Any) -> StorageRef:
        """The storage of a persistent id, not yet filled."""
        dtype, key, location, nbytes = _parts(pid, 6)
        if pid[5] is not None:
            raise NotImplementedError(
                "load: views of storages, which PyTorch wrote before 0.4, are not in Facula"
            )
        known = self.refs.get(key)
        if known is not None:
            _agree(key, known[0], (dtype, nbytes))
            return known[1]
        self.left -= nbytes
        if self.left < 0:
            raise UnpicklingError(f"the storage {key!r} of {nbytes} bytes is larger than the file")
        memory = np.zeros(nbytes, np.uint8)
        ref = self.restore(StorageRef(memory, dtype, location))
        self.refs[key] = (dtype, nbytes), ref
        self.memory[key] = memory, dtype
        return ref

    def fill(self, keys: Any, data: memoryview, at: int, swap: bool) -> int:
        """Fill the storages in the order of `keys`; returns where their bytes end."""
        if type(keys) is not list or not all([type(k) is str for k in keys]):
            raise UnpicklingError("the keys of the storages are no list of text")
        if sorted(keys) != sorted(self.memory):
            raise UnpicklingError("the keys of the storages are not those of the tensors")
        for key in keys:
            memory, dtype = self.memory[key]
            itemsize = 1 if dtype is None else dtype.itemsize
            head = bytes(data[at : at + 8])
            count = int.from_bytes(head, "big" if swap else "little", signed=True)
            if len(head) < 8 or count * itemsize != memory.size:
                raise UnpicklingError(
                    f"the storage {key!r} of {memory.size} bytes is announced with {count} elements"
                )
            at += 8
            raw = data[at : at + memory.size]
            if len(raw) < memory.size:
                raise UnpicklingError(
                    f"the file ends early: the storage {key!r} has {memory.size} bytes, of which "
                    f"{len(raw)} are there"
                )
            contents = np.frombuffer(raw, np.uint8) if memory.size else memory
            memory[:] = _swapped(contents, dtype) if swap else contents
            at += memory.size
        return at
