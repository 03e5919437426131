"""The memory of tensors as programs see it: `x.untyped_storage()`, `x.storage()`.

A storage here is a flat tensor of bytes that aliases the tensor's whole memory, so that writes go
either way by the rules of views. Tensors are the way to work with memory; these classes are for
programs that ask where it is, how much of it there is and who shares it.

Source: https://docs.pytorch.org/docs/stable/storage.html
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from facula import devices, dtypes, meta, views
from facula.grad_mode import no_grad
from facula.ops import movement as mv
from facula.ops.layouts import view_dtype
from facula.ops.strided import checked_strides
from facula.ops.table import FUNCTIONS
from facula.tensor import Tensor
from facula.values import from_array
from facula.views import make_view


def flat_bytes(t: Tensor) -> Tensor:
    """All of the memory that t lies in, as bytes: a view without a history."""
    if not t.numel() and t._storage is None:
        return from_array(np.empty(0, np.uint8))
    with no_grad():
        whole = views.whole(t).detach()
        if not whole.numel():
            return from_array(np.empty(0, np.uint8))
        steps = whole.stride()
        flat = whole.permute(sorted(range(len(steps)), key=lambda d: -steps[d]))
        if not flat.is_contiguous():
            raise NotImplementedError(
                f"storage of memory with gaps (size {list(whole.shape)}, strides {list(steps)}) is "
                "not in Facula"
            )
        return view_dtype(flat.view(-1), dtypes.uint8)


CASTS = {
    "bfloat16": dtypes.bfloat16,
    "bool": dtypes.bool,
    "byte": dtypes.uint8,
    "char": dtypes.int8,
    "complex_double": dtypes.complex128,
    "complex_float": dtypes.complex64,
    "double": dtypes.float64,
    "float": dtypes.float32,
    "half": dtypes.float16,
    "int": dtypes.int32,
    "long": dtypes.int64,
    "short": dtypes.int16,
}


class StorageBase:
    """What every untyped storage is one of."""


class _Memory:
    """What storages of bytes and of numbers have in common, in terms of their flat tensor."""

    @property
    def _flat(self) -> Tensor:
        raise NotImplementedError

    @property
    def device(self) -> devices.device:
        return self._flat.device

    @property
    def is_cuda(self) -> bool:
        return self._flat.is_cuda

    is_hpu = is_sparse = is_sparse_csr = False
    filename: str | None = None

    def get_device(self) -> int | None:
        """The number of the device; None on the CPU."""
        return self.device.index

    def data_ptr(self) -> int:
        """The address of the first element; 0 where there is none."""
        return self._flat.data_ptr() if self._flat.numel() and not self._flat.is_meta else 0

    @property
    def _cdata(self) -> int:
        """A number that two storages share if their memory begins at the same place."""
        return self.data_ptr()

    def size(self) -> int:
        """The number of elements."""
        return self._flat.numel()

    __len__ = size

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.size() * self._flat.itemsize

    def element_size(self) -> int:
        """Bytes in one element."""
        return self._flat.itemsize

    def tolist(self) -> list[Any]:
        """The elements as a list."""
        self._readable()
        return self._flat.tolist()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def is_shared(self) -> bool:
        """Whether the memory is shared between processes."""
        return self._flat.is_shared()

    def is_pinned(self, device: Any = None) -> bool:
        """False: there is no device that would transfer from it."""
        return False

    def resizable(self) -> bool:
        """False: memory has the size that it was made with."""
        return False

    def _readable(self) -> None:
        if self._flat.is_meta:
            raise NotImplementedError("Not available for 'meta' device type")

    def _to(self, dtype: Any) -> TypedStorage:
        """A copy with its elements as numbers of this dtype."""
        return self._flat.to(dtype, copy=True).storage()


for _name, _dtype in CASTS.items():

    def _cast(self: _Memory, _dtype: Any = _dtype) -> TypedStorage:
        return self._to(_dtype)

    _cast.__doc__ = f"A copy with its elements as {_dtype}."
    _cast.__name__ = _name
    setattr(_Memory, _name, _cast)


class UntypedStorage(_Memory, StorageBase):
    """Bytes of memory; its elements are integers from 0 to 255.

    `UntypedStorage(n)` has n bytes, `UntypedStorage([1, 2])` these. Slices share the memory.
    """

    _bytes: Tensor

    def __init__(self, *args: Any, device: Any = None) -> None:
        if len(args) > 1:
            raise TypeError(
                f"UntypedStorage(): expected a size or bytes, got {len(args)} arguments"
            )
        data = args[0] if args else 0
        if isinstance(data, int):
            if data < 0:
                raise RuntimeError(f"UntypedStorage(): a size of {data} bytes is negative")
            made = np.zeros(data, np.uint8)
        elif isinstance(data, Sequence) and not isinstance(data, str):
            made = np.array(data, np.uint8)
        else:
            raise TypeError(
                f"UntypedStorage(): expected a size or a sequence, got {type(data).__name__}"
            )
        self._bytes = _placed(from_array(made), device)

    @classmethod
    def _over(cls, data: Tensor) -> UntypedStorage:
        made = cls.__new__(cls)
        made._bytes = data
        return made

    @classmethod
    def from_file(
        cls, filename: Any, shared: bool = False, nbytes: int = 0, size: int | None = None
    ) -> UntypedStorage:
        """The first bytes of a file, mapped into memory; the file itself is never written."""
        if shared:
            raise NotImplementedError("UntypedStorage.from_file: shared=True is not in Facula")
        n = nbytes if size is None else size
        if not n:
            return cls(0)
        made = cls._over(from_array(np.asarray(np.memmap(filename, np.uint8, "c", 0, (n,)))))
        made.filename = str(filename)
        return made

    @classmethod
    def from_buffer(
        cls,
        buffer: Any,
        byte_order: str | None = None,
        count: int = -1,
        offset: int = 0,
        dtype: Any = None,
    ) -> UntypedStorage:
        """A copy of the bytes of an object with the buffer protocol.

        `byte_order` is "native", "little" or "big": how the buffer holds numbers of `dtype`.
        Booleans are True for every byte but 0.
        """
        if dtype is None:
            raise TypeError("from_buffer(): the argument 'dtype' is missing")
        if byte_order not in ("native", "little", "big") and not (
            byte_order is None and dtype.itemsize == 1
        ):
            raise ValueError(
                f"from_buffer(): byte_order is native, little or big, not {byte_order}"
            )
        data = np.frombuffer(buffer, np.uint8)
        if offset < 0 or (offset >= data.size and data.size):
            raise ValueError(
                f"from_buffer(): offset {offset} is not within the buffer of {data.size} bytes"
            )
        data = data[offset:]
        n = data.size // dtype.itemsize if count < 0 else count
        if n * dtype.itemsize > data.size or (count < 0 and data.size % dtype.itemsize):
            raise ValueError(
                f"from_buffer(): {data.size} bytes are not "
                f"{'whole elements' if count < 0 else f'{count} elements'} of {dtype}"
            )
        data = data[: n * dtype.itemsize].copy()
        if dtype is dtypes.bool:
            data = (data != 0).view(np.uint8)
        made = cls._over(from_array(data))
        if byte_order == ("big" if sys.byteorder == "little" else "little"):
            made.byteswap(dtype)
        return made

    @property
    def _flat(self) -> Tensor:
        return self._bytes

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._bytes.numel()

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of the class."""
        if dtype is not None:
            return self._to(dtype)
        return "torch.storage.UntypedStorage"

    def new(self) -> UntypedStorage:
        """One without bytes."""
        return type(self)(0, device=self.device)

    def __getitem__(self, index: Any) -> Any:
        self._readable()
        if isinstance(index, slice):
            if index.step not in (None, 1):
                raise RuntimeError(
                    f"slices of a storage have a step of 1, but this one has {index.step}"
                )
            return self._over(self._bytes[index])
        return self._bytes[_position(index, len(self))].item()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._bytes[index if isinstance(index, slice) else _position(index, len(self))] = value

    def __repr__(self) -> str:
        tail = f"[torch.storage.UntypedStorage(device={self.device}) of size {len(self)}]"
        return "\n".join([*_lines(self), tail])

    def __bytes__(self) -> bytes:
        return self._bytes.numpy().tobytes()

    def untyped(self) -> UntypedStorage:
        """Itself."""
        return self

    def to(self, *, device: Any, non_blocking: bool = False) -> UntypedStorage:
        """A copy on the device; itself where it is there."""
        moved = self._bytes.to(device)
        return self if moved is self._bytes else self._over(moved)

    def cpu(self) -> UntypedStorage:
        """A copy in the memory of the CPU; itself where it is there."""
        return self.to(device="cpu")

    def clone(self) -> UntypedStorage:
        """A copy in memory of its own."""
        return self._over(self._bytes.clone())

    __copy__ = clone

    def copy_(self, source: Any, non_blocking: bool | None = None) -> UntypedStorage:
        """Take the bytes of a storage of the same size."""
        if source.nbytes() != len(self):
            raise RuntimeError(
                f"copy_: size does not match, self was {len(self)} bytes but src was "
                f"{source.nbytes()} bytes"
            )
        self._bytes.copy_(source.untyped()._bytes)
        return self

    def fill_(self, value: int) -> UntypedStorage:
        """Set every byte."""
        self._bytes.fill_(value)
        return self

    def byteswap(self, dtype: Any) -> None:
        """Turn the order of the bytes in every number of this dtype; halves of complex ones."""
        n = dtype.itemsize // (2 if dtype.is_complex else 1)
        if n > 1:
            self._bytes.copy_(self._bytes.view(-1, n).flip(1).reshape(-1))

    def share_memory_(self) -> UntypedStorage:
        """Move the memory to where processes share it."""
        self._bytes.share_memory_()
        return self

    def resize_(self, size: int) -> UntypedStorage:
        """Only to the size that it has, or where there is no memory (the meta device)."""
        if self._bytes.is_meta:
            self._bytes = meta.empty((size,), dtypes.uint8)
        elif size != len(self):
            raise NotImplementedError("UntypedStorage.resize_ is not in Facula")
        return self


class TypedStorage(_Memory):
    """Memory as numbers of one dtype: what `x.storage()` gives, from before UntypedStorage.

    `TypedStorage(n, dtype=d)` has n numbers, `TypedStorage([1, 2], dtype=d)` these, and
    `TypedStorage(wrap_storage=s, dtype=d)` those in the bytes of s.
    """

    def __init__(
        self,
        *args: Any,
        wrap_storage: Any = None,
        dtype: Any = None,
        device: Any = None,
        _internal: bool = False,
    ) -> None:
        if wrap_storage is None:
            dtype = dtypes.get_default_dtype() if dtype is None else dtype
            wrap_storage = _numbers(args, dtype, device)
        elif args:
            raise RuntimeError(_how("No positional arguments go with 'wrap_storage'"))
        elif dtype is None:
            raise RuntimeError(_how("Argument 'dtype' must be specified"))
        elif not isinstance(dtype, dtypes.dtype):
            raise TypeError(_how(f"Argument 'dtype' must be torch.dtype, not {type(dtype)}"))
        elif device is not None:
            raise RuntimeError(_how("Argument 'device' should not be specified with wrap_storage"))
        elif not isinstance(wrap_storage, UntypedStorage):
            raise TypeError(
                _how(f"Argument 'wrap_storage' must be UntypedStorage, got {type(wrap_storage)}")
            )
        self._untyped_storage = wrap_storage
        self.dtype = dtype

    @property
    def _numbers(self) -> Tensor:
        whole = self._untyped_storage._bytes
        n = whole.numel() // self.dtype.itemsize * self.dtype.itemsize
        return view_dtype(whole[:n], self.dtype)

    @property
    def _flat(self) -> Tensor:
        return self._numbers

    @property
    def filename(self) -> str | None:  # type: ignore[override]
        """The file that the memory is mapped from; None where there is none."""
        return self._untyped_storage.filename

    @property
    def _dtype(self) -> Any:
        return self.dtype

    @classmethod
    def from_file(cls, filename: Any, shared: bool = False, size: int = 0) -> TypedStorage:
        """The first `size` numbers of the default dtype in a file."""
        return _mapped(dtypes.get_default_dtype(), filename, shared, size)

    def untyped(self) -> UntypedStorage:
        """The bytes."""
        return self._untyped_storage

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._untyped_storage.nbytes()

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of the class of such storages, "torch.FloatStorage"; a copy as `dtype`."""
        from facula import legacy

        if dtype is not None:
            return self._to(dtype)
        return f"torch.{legacy.storage_type(self).__name__}"

    def pickle_storage_type(self) -> str:
        """The name of the class of such storages: "FloatStorage"."""
        return self.type().removeprefix("torch.")

    def __getitem__(self, index: Any) -> Any:
        self._readable()
        if isinstance(index, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        return self._numbers[_position(index, len(self))].item()

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, (UntypedStorage, TypedStorage)):
            raise RuntimeError(f"cannot set item with value type {type(value)}")
        self._numbers[index if isinstance(index, slice) else _position(index, len(self))] = value

    def __repr__(self) -> str:
        tail = f"(dtype={self.dtype}, device={self.device}) of size {len(self)}]"
        return "\n".join([*_lines(self), f"[torch.storage.TypedStorage{tail}"])

    def _with(self, data: UntypedStorage) -> TypedStorage:
        return (
            self
            if data is self._untyped_storage
            else TypedStorage(wrap_storage=data, dtype=self.dtype)
        )

    def to(self, *, device: Any, non_blocking: bool = False) -> TypedStorage:
        """A copy on the device; itself where it is there."""
        return self._with(self._untyped_storage.to(device=device))

    def cpu(self) -> TypedStorage:
        """A copy in the memory of the CPU; itself where it is there."""
        return self._with(self._untyped_storage.cpu())

    def clone(self) -> TypedStorage:
        """A copy in memory of its own."""
        return self._with(self._untyped_storage.clone())

    __copy__ = clone

    def copy_(self, source: Any, non_blocking: bool | None = None) -> TypedStorage:
        """Take the numbers of another, converted to this dtype."""
        self._numbers.copy_(source._flat)
        return self

    def fill_(self, value: Any) -> TypedStorage:
        """Set every element."""
        self[:] = value
        return self

    def share_memory_(self) -> TypedStorage:
        """Move the memory to where processes share it."""
        self._untyped_storage.share_memory_()
        return self

    def resize_(self, size: int) -> TypedStorage:
        """Only to the size that it has, or where there is no memory (the meta device)."""
        self._untyped_storage.resize_(size * self.dtype.itemsize)
        return self


def _how(wrong: str) -> str:
    return (
        "TypedStorage(): takes a size or a sequence of numbers with dtype and device, or "
        f"wrap_storage and dtype. {wrong}"
    )


def _placed(data: Tensor, device: Any) -> Tensor:
    return data if devices.check(device) is devices.CPU else data.to(device)


def _numbers(args: tuple[Any, ...], dtype: Any, device: Any) -> UntypedStorage:
    """The bytes of a typed storage of these arguments."""
    if len(args) > 1:
        raise RuntimeError(_how("Too many positional arguments"))
    data = args[0] if args else 0
    if hasattr(data, "__index__") and not hasattr(data, "__len__"):
        return UntypedStorage(data.__index__() * dtype.itemsize, device=device)
    if not isinstance(data, Sequence) or isinstance(data, str):
        raise TypeError(_how(f"Argument type not recognized: {type(data)}"))
    with no_grad():
        return _placed(FUNCTIONS["tensor"](data, dtype=dtype), device).untyped_storage()


def _mapped(dtype: Any, filename: Any, shared: bool, size: int) -> TypedStorage:
    made = UntypedStorage.from_file(filename, shared, size * dtype.itemsize)
    return TypedStorage(wrap_storage=made, dtype=dtype)


def _lines(memory: UntypedStorage | TypedStorage) -> list[str]:
    return ["..."] if memory._flat.is_meta else [f" {v}" for v in memory.tolist()]


def _position(index: Any, n: int) -> int:
    if not hasattr(index, "__index__"):
        raise TypeError(f"can't index a storage with {type(index).__name__}")
    i = index.__index__()
    if not -n <= i < n:
        raise IndexError(f"index {i} out of range for storage of size {n}")
    return i % n


def untyped_storage(t: Tensor) -> UntypedStorage:
    """The memory that the tensor lies in, as bytes."""
    if t.is_meta:
        n, s = t.node, t.stride()
        span = (
            0 if 0 in n.shape else 1 + sum([(a - 1) * b for a, b in zip(n.shape, s, strict=True)])
        )
        return UntypedStorage._over(meta.empty(((t._offset + span) * t.itemsize,), dtypes.uint8))
    return UntypedStorage._over(flat_bytes(t))


def typed_storage(t: Tensor) -> TypedStorage:
    """The memory that the tensor lies in, as numbers of its dtype."""
    return TypedStorage(wrap_storage=untyped_storage(t), dtype=t.dtype)


def seen_as(memory: UntypedStorage | TypedStorage, dtype: Any = None) -> Tensor:
    """A flat tensor over the memory; bytes are taken for whole numbers of 64 bits, if not told."""
    if isinstance(memory, TypedStorage):
        if dtype not in (None, memory.dtype):
            raise RuntimeError(
                f"Expected a Storage of type {dtype} or an UntypedStorage, but got type "
                f"{memory.dtype} for argument 1 'storage'"
            )
        return memory._numbers
    if not isinstance(memory, UntypedStorage):
        raise TypeError(f"set_(): expected a tensor or a storage, got {type(memory).__name__}")
    if dtype is dtypes.uint8:
        return memory._bytes
    return TypedStorage(wrap_storage=memory, dtype=dtype or dtypes.int64)._numbers


def place(memory: Any, dtype: Any, offset: int, size: Any, stride: Any) -> Tensor:
    """A tensor of this layout in the memory (`x.set_(storage, offset, size, stride)`)."""
    flat = seen_as(memory, dtype)
    if size is None:
        size = (flat.numel() - offset,)
    size = tuple(size)
    if stride is None:
        stride = tuple([int(np.prod(size[i + 1 :], dtype=np.int64)) for i in range(len(size))])
    shape, strides = checked_strides(flat, size, tuple(stride), offset)
    v = make_view(flat, mv.AS_STRIDED, (shape, strides, offset))
    v._offset = offset
    return v


__all__ = ["TypedStorage", "UntypedStorage"]
