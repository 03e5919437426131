"""`load`: reading PyTorch's checkpoints, without running anything that is in them.

Source: https://docs.pytorch.org/docs/stable/generated/torch.load.html
"""

from __future__ import annotations

import io
import os
import sys
from pickle import UnpicklingError
from typing import IO, Any

from facula.serialization import registry
from facula.serialization.archive import SIGNATURE, ArchiveReader
from facula.serialization.locations import restorer
from facula.serialization.rebuild import Rebuilder, StorageRef, StorageType
from facula.serialization.storages import (
    LEGACY_MAGIC,
    LEGACY_VERSION,
    LegacyStorages,
    ZipStorages,
)
from facula.serialization.unpickler import Function, Unpickler, check_depth, shown


def load(
    f: str | os.PathLike[str] | IO[bytes],
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """The object in a checkpoint that `save`, or PyTorch's `torch.save`, has written.

    f: a path, or a file that can be read and sought.
    map_location: where tensors go that were on other devices: a device or its name, a dict, or a
        function of storage and location. Without it, they have to be on the CPU.
    weights_only: with False, a file may hold whole models: objects of classes that the program has
        imported already (see `facula.serialization.objects`). No function is called by its name in
        either case. What else is not a tensor or plain data has to be allowed by
        `facula.serialization.add_safe_globals`.
    mmap: leave the contents of tensors in the file until they are used. Writing to the tensors
        does not change the file, which must stay as it is. Needs a path.
    encoding: (keyword) of text that Python 2 wrote, default "utf-8".

    Raises pickle.UnpicklingError for what is damaged or not allowed in the pickle, RuntimeError for
    a damaged container, a tensor outside its storage or a device that is not there, EOFError for
    an empty file, NotImplementedError for kinds of tensors that Facula lacks.
    """
    if pickle_module is not None and getattr(pickle_module, "__name__", "") != "pickle":
        raise NotImplementedError("load: reading with another pickle_module is not in Facula")
    encoding = pickle_load_args.pop("encoding", "utf-8")
    if pickle_load_args:
        raise TypeError(f"load: unexpected arguments {sorted(pickle_load_args)}")
    restore = restorer(map_location)
    trusted = weights_only is False
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            return _load(file, os.fspath(f), restore, bool(mmap), encoding, trusted)
    if mmap:
        raise ValueError("load: f must be a file path in order to use the mmap argument")
    for method in ("read", "seek", "tell"):
        if not hasattr(f, method):
            raise AttributeError(
                f"load: f has no {method}(): give a path or a file that can be sought, such as "
                "io.BytesIO(data)"
            )
    return _load(f, str(getattr(f, "name", type(f).__name__)), restore, False, encoding, trusted)


def _load(file: Any, name: str, restore: Any, mapped: bool, encoding: str, trusted: bool) -> Any:
    start = file.tell()
    head = file.read(len(SIGNATURE))
    file.seek(start)
    if not head:
        raise EOFError(f"load: {name} is empty")
    if head == SIGNATURE:
        return _load_zip(ArchiveReader(file, name), restore, mapped, encoding, trusted)
    if mapped:
        raise RuntimeError("load: mmap=True needs a file in the zip format, which this one is not")
    if not isinstance(head, bytes) or head[:1] != b"\x80":
        raise UnpicklingError(
            f"load: {name} is no checkpoint: it begins with {head!r} and neither as a zip file nor "
            "as a pickle"
        )
    return _load_legacy(file, start, name, restore, encoding, trusted)


def load_from_bytes(data: bytes) -> StorageRef:
    """The storage of a tensor in a plain pickle: PyTorch writes it as a checkpoint in there."""
    value = _load_legacy(io.BytesIO(data), 0, "storage", restorer(None), "utf-8", False, True)
    if not isinstance(value, StorageRef):
        raise UnpicklingError(f"a storage was pickled as a {type(value).__name__}")
    return value


def _refuse_parts(value: Any) -> None:
    """What may occur within a checkpoint, but not stand in it for itself."""
    if isinstance(value, (StorageRef, StorageType)):
        raise NotImplementedError("load: storages that are saved by themselves are not in Facula")
    if isinstance(value, Function):
        raise UnpicklingError(f"the checkpoint holds {value!r} as a value")


def _load_zip(
    archive: ArchiveReader, restore: Any, mapped: bool, encoding: str, trusted: bool
) -> Any:
    if "constants.pkl" in archive:
        raise NotImplementedError(
            f"load: {archive.name} is a TorchScript program, which is not in Facula"
        )
    pickled = archive.read("data.pkl")
    rebuilder = Rebuilder(len(pickled), registry.table(), trusted)
    storages = ZipStorages(archive, restore, mapped)
    reader = _reader(pickled, rebuilder, storages.find, encoding)
    value = reader.load()
    check_depth(value, _refuse_parts)
    return value


def _reader(data: Any, rebuilder: Rebuilder, find: Any, encoding: str, at: int = 0) -> Unpickler:
    return Unpickler(
        data,
        rebuilder.find,
        find,
        rebuilder.build,
        rebuilder.registered,
        encoding,
        at,
        rebuilder.made,
    )


def _load_legacy(
    file: Any,
    start: int,
    name: str,
    restore: Any,
    encoding: str,
    trusted: bool,
    storage: bool = False,
) -> Any:
    """What a file in the old format holds; with `storage`, that may be a storage by itself."""
    data = file.read()
    if len(data) > 512 and data[257:262] == b"ustar":
        raise NotImplementedError(f"load: {name} is a tar file, as PyTorch wrote before 0.1.10")

    def no_storage(pid: Any) -> Any:
        raise UnpicklingError("the head of the file refers to a storage")

    rebuilder = Rebuilder(len(data), registry.table(), trusted)
    at = 0
    head = []
    for _ in range(3):
        reader = _reader(data, rebuilder, no_storage, encoding, at)
        head.append(reader.load())
        at = reader.at
        if type(head[0]) is not int or head[0] != LEGACY_MAGIC:
            raise UnpicklingError(f"load: {name} is no checkpoint: it is a pickle of another kind")
    if head[1] != LEGACY_VERSION:
        raise RuntimeError(f"load: {name} has protocol version {shown(head[1])}, not 1001")
    if type(head[2]) is not dict:
        raise UnpicklingError("the head of the file does not say which machine wrote it")
    little = head[2].get("little_endian", True)
    storages = LegacyStorages(restore, len(data))
    rebuilder.empty = True
    reader = _reader(data, rebuilder, storages.find, encoding, at)
    value = reader.load()
    if not (storage and isinstance(value, StorageRef)):
        check_depth(value, _refuse_parts)
    keys_reader = _reader(data, rebuilder, no_storage, encoding, reader.at)
    keys = keys_reader.load()
    swap = bool(little) != (sys.byteorder == "little")
    end = storages.fill(keys, memoryview(data), keys_reader.at, swap)
    if rebuilder.deferred:  # again, now that the storages have their contents
        rebuilder = Rebuilder(len(data), registry.table(), trusted)
        value = _reader(data, rebuilder, storages.find, encoding, at).load()
    file.seek(start + end)
    return value
