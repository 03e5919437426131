"""`save`: writing checkpoints that PyTorch reads.

Source: https://docs.pytorch.org/docs/stable/generated/torch.save.html
"""

from __future__ import annotations

import io
import os
import pickle
import stat
import sys
from collections import OrderedDict
from types import FunctionType
from typing import IO, Any

import numpy as np

import facula
from facula import Size, Tensor, dtypes, unresolved
from facula.devices import device
from facula.memory import TypedStorage, UntypedStorage
from facula.nn import parameter
from facula.serialization import layouts
from facula.serialization.archive import ALIGNMENT, ArchiveWriter
from facula.serialization.names import PROTOCOLS, Name, found, name, own, public, renamed
from facula.serialization.rebuild import STORAGE_DTYPES, own_attribute
from facula.serialization.storages import LEGACY_MAGIC, LEGACY_VERSION
from facula.values import realise

_STORAGE_NAMES = {d: name for name, d in STORAGE_DTYPES.items()}


class _Layout:
    """A layout, which is written as a call with its name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class _Storage:
    """What a tensor's persistent id is made of."""

    __slots__ = ("dtype", "key", "kind", "memory", "where")

    def __init__(self, key: str, memory: np.ndarray, dtype: Any, where: str) -> None:
        self.key = key
        self.where = where  # the device
        self.memory = memory
        self.dtype = dtype
        typed = _STORAGE_NAMES.get(dtype)
        self.kind = name("torch", typed) if typed else name("torch.storage", "UntypedStorage")

    def count(self) -> int:
        """The number of elements of a typed storage, of bytes of an untyped one."""
        return self.memory.size // (self.dtype.itemsize if self.dtype in _STORAGE_NAMES else 1)


class _Reducer:
    """How Facula's own objects are written, for both picklers."""

    def __init__(self, file: Any, protocol: int, legacy: bool = False) -> None:
        super().__init__(file, protocol)  # type: ignore[call-arg]
        self.legacy = legacy
        self.storages: dict[int, _Storage] = {}
        self.alive: list[Any] = []  # so that ids stay unique

    def persistent_id(self, obj: Any) -> Any:
        """A storage is not in the pickle, but in a record of its own."""
        if type(obj) is not _Storage:
            return None
        if self.legacy and obj.dtype not in _STORAGE_NAMES:
            raise RuntimeError(
                f"save: the format before PyTorch 1.6 has no {obj.dtype} tensors (PyTorch writes "
                "such files and can't read them)"
            )
        parts = "storage", obj.kind, obj.key, obj.where, obj.count()
        return (*parts, None) if self.legacy else parts  # None: it is not a view of another

    def reducer_override(self, obj: Any) -> Any:
        """How Facula's own objects are written."""
        if isinstance(obj, Tensor):
            return self._reduce_tensor(obj)
        if type(obj) is _Layout:
            return name("torch.serialization", "_get_layout"), (obj.name,)
        if type(obj) is facula.layout:
            return name("torch.serialization", "_get_layout"), (str(obj),)
        if type(obj) is Size:
            return name("torch", "Size"), (tuple(obj),)
        if isinstance(obj, (UntypedStorage, TypedStorage)):
            raise NotImplementedError(
                "save: storages by themselves are not in Facula; save a tensor of the storage"
            )
        if type(obj) is device:
            index = () if obj.index is None else (obj.index,)
            return name("torch", "device"), (obj.type, *index)
        return NotImplemented

    def _reduce_tensor(self, t: Any) -> Any:
        if parameter.is_lazy(t):
            return name("torch.nn.parameter", type(t).__name__), (t.requires_grad,)
        if t.layout is not facula.strided:
            return self._reduce_data(t)
        args: tuple[Any, ...]
        state = {k: v for k, v in t.__dict__.items() if own_attribute(k)}
        if type(t) is parameter.Parameter:
            self.alive.append(data := t.detach())
            args = (data, t.requires_grad, OrderedDict())
            if state:
                return name("torch._utils", "_rebuild_parameter_with_state"), (*args, state)
            return name("torch._utils", "_rebuild_parameter"), args
        function, parts = self._reduce_data(t)
        if type(t) is not Tensor or state:
            whole = function, type(t), parts, state
            return name("torch._tensor", "_rebuild_from_type_v2"), whole
        return function, parts

    def _reduce_data(self, t: Any) -> tuple[Name, tuple[Any, ...]]:
        requires_grad = t.requires_grad
        if t.is_meta:
            meta = t.dtype, tuple(t.shape), tuple(t.stride()), requires_grad
            return name("torch._utils", "_rebuild_meta_tensor_no_storage"), meta
        if t.layout is not facula.strided:
            kind, parts = layouts.parts_of(t)
            self.alive.append(parts)
            return name("torch._utils", "_rebuild_sparse_tensor"), (_Layout(kind), parts)
        t = realise(t)
        storage, offset = self._storage(t)
        args: tuple[Any, ...] = (
            storage,
            offset,
            tuple(t.shape),
            (*t.stride(),),  # not one that other tensors have too: pickle knows objects again
            requires_grad,
            OrderedDict(),
        )
        named = zip(("conj", "neg"), unresolved.bits_of(t), strict=True)
        metadata = {bit: True for bit, on in named if on}
        if metadata and t.dtype in _STORAGE_NAMES:
            return name("torch._utils", "_rebuild_tensor_v2"), (*args, metadata)
        if t.dtype in _STORAGE_NAMES:
            return name("torch._utils", "_rebuild_tensor_v2"), args
        return name("torch._utils", "_rebuild_tensor_v3"), (*args, t.dtype)

    def _storage(self, t: Any) -> tuple[_Storage, int]:
        """The whole memory that a realised tensor is in, and where in it the tensor begins."""
        owner = t if t._storage is None else t._storage
        known = self.storages.get(id(owner))
        if known is None:
            device = owner.node.device
            data = owner._data if device is None else owner._data.download()
            memory = _memory(np.asarray(data))
            known = _Storage(str(len(self.storages)), memory, t.dtype, str(device or "cpu"))
            self.storages[id(owner)] = known
            self.alive.append(owner)
        elif known.dtype is not t.dtype:
            raise RuntimeError(
                "save: cannot save tensors that view the same memory as different types "
                f"({known.dtype} and {t.dtype}); clone() one of them"
            )
        if owner is t or not t.numel() or known.memory.size == t.itemsize:
            return known, 0
        first, start = [
            a.ctypes.data if a.__class__ is np.ndarray else a.address
            for a in (owner._data, unresolved.place(owner._data, t._chain))
        ]
        return known, (start - first) // t.itemsize


class _Slow(Exception):
    """Something has a name by which it can't be found."""


class _Fast(_Reducer, pickle.Pickler):
    """The pickler in C. What it writes is renamed (`names.py`)."""

    def reducer_override(self, obj: Any) -> Any:
        """How Facula's own objects are written."""
        kind = type(obj)
        if kind is FunctionType or kind is type:
            module = getattr(obj, "__module__", None) or ""
            if own(module) and found(module, obj.__qualname__) is not obj:
                raise _Slow
            return NotImplemented
        if kind is Name:
            return obj.key
        if kind is dtypes.dtype:
            written: str = repr(obj).removeprefix("torch.")
            if found(dtypes.__name__, written) is not obj:
                raise _Slow
            return written
        return super().reducer_override(obj)


_Base: Any = pickle._Pickler  # type: ignore[attr-defined]


class _Plain(_Reducer, _Base):  # type: ignore[misc]
    """Python's own pickler in Python, which writes names without looking them up: for protocols
    that put names in strings, and functions whose module does not have them."""

    dispatch: dict[Any, Any] = dict(_Base.dispatch)

    def write_name(self, module: str, name: str, obj: Any) -> None:
        """Write a reference to a name."""
        if self.proto >= 4:
            self.save(module)
            self.save(name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.memoize(obj)

    def _save_name(self, obj: Name) -> None:
        self.write_name(obj.module, obj.name, obj)

    def _save_dtype(self, obj: Any) -> None:
        self.write_name("torch", obj._name, obj)

    dispatch[Name] = _save_name
    dispatch[dtypes.dtype] = _save_dtype

    def save_global(self, obj: Any, name: Any = None) -> None:
        """A class or function by its name: Facula's own have PyTorch's."""
        module: str = getattr(obj, "__module__", None) or ""
        qualified: str = name or getattr(obj, "__qualname__", "")
        if own(module) and "<" not in qualified:
            self.write_name(*public(module, qualified, obj), obj)
        else:
            super().save_global(obj, name)

    dispatch[FunctionType] = save_global
    dispatch[type] = lambda self, obj: self.save_type(obj)


def _pickled(obj: Any, protocol: int, legacy: bool) -> tuple[bytes, list[_Storage]]:
    """A pickle, and the storages that it refers to."""
    if protocol in PROTOCOLS:
        out = io.BytesIO()
        fast = _Fast(out, protocol, legacy)
        try:
            fast.dump(obj)
        except _Slow:
            pass
        else:
            return renamed(out.getvalue()), list(fast.storages.values())
    out = io.BytesIO()
    plain = _Plain(out, protocol, legacy)
    plain.dump(obj)
    return out.getvalue(), list(plain.storages.values())


def _memory(a: np.ndarray) -> np.ndarray:
    """All bytes between the first and the last element of an array of non-negative strides."""
    if not a.size:
        return np.empty(0, np.uint8)
    span = a.itemsize + sum([(n - 1) * s for n, s in zip(a.shape, a.strides)])
    first = a.reshape(-1)[:1] if a.flags.c_contiguous else a[(slice(0, 1),) * a.ndim].reshape(-1)
    return np.lib.stride_tricks.as_strided(first.view(np.uint8), (span,), (1,))


def save(
    obj: Any,
    f: str | os.PathLike[str] | IO[bytes],
    pickle_module: Any = None,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write an object with the tensors in it to a file that `load` and PyTorch's `torch.load` read.

    f: a path, or a file that can be written. A path is written under another name first and then
    renamed, so there is never half a checkpoint, and an old one stays until the new one is whole.
    Tensors that share memory still do after loading; a view brings its whole storage along.
    _use_new_zipfile_serialization: False for the format before PyTorch 1.6.

    Raises RuntimeError for a folder that does not exist, memory seen as two dtypes, or a dtype that
    the old format lacks, and what
    `pickle` raises for objects that can't be pickled.
    """
    if pickle_module is not None and getattr(pickle_module, "__name__", "") != "pickle":
        raise NotImplementedError("save: writing with another pickle_module is not in Facula")
    if not 2 <= pickle_protocol <= 5:
        raise NotImplementedError(f"save: pickle_protocol={pickle_protocol} is not among 2 to 5")
    if not isinstance(f, (str, os.PathLike)) and not hasattr(f, "write"):
        raise AttributeError(f"save: expected a path or a file to write to, got a {type(f)}")
    pickled, storages = _pickled(obj, pickle_protocol, not _use_new_zipfile_serialization)

    def write(out: Any, prefix: str) -> None:
        if not _use_new_zipfile_serialization:
            _write_legacy(out, pickled, storages, pickle_protocol)
            return
        archive = ArchiveWriter(out, prefix)
        archive.record("data.pkl", pickled)
        archive.record(".format_version", b"1")
        archive.record(".storage_alignment", str(ALIGNMENT).encode())
        if not _disable_byteorder_record:
            archive.record("byteorder", sys.byteorder.encode())
        for storage in storages:
            archive.record(f"data/{storage.key}", storage.memory)
        archive.record("version", b"3\n")
        archive.close()

    if isinstance(f, (str, os.PathLike)):
        path = os.fspath(f)
        name = os.path.basename(path)
        prefix = (name.rpartition(".")[0] or name).replace("\\", "_") or "archive"
        _write_file(path, lambda out: write(out.write, prefix))
    else:
        write(f.write, "archive")


def _write_legacy(out: Any, pickled: bytes, storages: list[_Storage], protocol: int) -> None:
    """The format before 1.6: pickles one after the other, then the storages."""
    little = sys.byteorder == "little"
    system = {
        "protocol_version": LEGACY_VERSION,
        "little_endian": little,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    for head in (LEGACY_MAGIC, LEGACY_VERSION, system):
        out(pickle.dumps(head, protocol))
    out(pickled)
    out(pickle.dumps([s.key for s in storages], protocol))
    for s in storages:
        out(s.count().to_bytes(8, sys.byteorder))
        out(s.memory.data)


def _write_file(path: str, write: Any) -> None:
    """Call write(file) and put the result at `path`, whole or not at all."""
    path = os.path.realpath(path)  # a link stays a link
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise RuntimeError(f"save: parent directory {folder} does not exist")
    mode = None
    if os.path.exists(path):
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):  # a device or a pipe has nothing to replace
            with open(path, "wb") as file:
                write(file)
            return
    while True:
        temporary = f"{path}.{os.urandom(4).hex()}.tmp"
        try:
            handle = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
            )
            break
        except FileExistsError:
            continue
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Make the new name durable, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # Windows opens no folders
    try:
        os.fsync(handle)
    except OSError:
        pass  # nor do some file systems sync them
    finally:
        os.close(handle)
