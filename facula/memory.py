"""The memory of tensors as programs see it: `x.untyped_storage()`, `x.storage()`.

A storage here is a flat tensor of bytes that aliases the tensor's whole memory, so that writes go
either way by the rules of views. Tensors are the way to work with memory; these classes are for
programs that ask where it is, how much of it there is and who shares it.

Source: https://docs.pytorch.org/docs/stable/storage.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from facula import devices, dtypes, meta, views
from facula.grad_mode import no_grad
from facula.ops import movement as mv
from facula.ops.layouts import view_dtype
from facula.ops.strided import checked_strides
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


class StorageBase:
    """What every untyped storage is one of."""


class UntypedStorage(StorageBase):
    """Bytes of memory; its elements are integers from 0 to 255.

    `UntypedStorage(n)` has n bytes, `UntypedStorage([1, 2])` these. Slices share the memory.
    """

    _bytes: Tensor
    is_cuda = is_hpu = is_sparse = is_sparse_csr = False

    def __init__(self, *args: Any, device: Any = None) -> None:
        devices.check(device)
        if len(args) > 1:
            raise TypeError(
                f"UntypedStorage(): expected a size or bytes, got {len(args)} arguments"
            )
        data = args[0] if args else 0
        if isinstance(data, int):
            if data < 0:
                raise RuntimeError(f"UntypedStorage(): a size of {data} bytes is negative")
            self._bytes = from_array(np.zeros(data, np.uint8))
        elif isinstance(data, Sequence) and not isinstance(data, str):
            self._bytes = from_array(np.array(data, np.uint8))
        else:
            raise TypeError(
                f"UntypedStorage(): expected a size or a sequence, got {type(data).__name__}"
            )

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
        return cls._over(from_array(np.asarray(np.memmap(filename, np.uint8, "c", 0, (n,)))))

    @property
    def device(self) -> devices.device:
        return self._bytes.device

    @property
    def _cdata(self) -> int:
        """A number that two storages share if their memory begins at the same place."""
        return self.data_ptr()

    def data_ptr(self) -> int:
        """The address of the first byte; 0 where there is none."""
        return self._bytes.data_ptr() if len(self) else 0

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._bytes.numel()

    size = __len__ = nbytes

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes()

    def element_size(self) -> int:
        """1: the elements are bytes."""
        return 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            if index.step not in (None, 1):
                raise RuntimeError(
                    f"slices of a storage have a step of 1, but this one has {index.step}"
                )
            return self._over(self._bytes[index])
        return self._bytes[_position(index, len(self))].item()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._bytes[index if isinstance(index, slice) else _position(index, len(self))] = value

    def __iter__(self) -> Iterator[int]:
        return iter(self.tolist())

    def __repr__(self) -> str:
        lines = [f" {v}" for v in self.tolist()]
        tail = f"[torch.storage.UntypedStorage(device=cpu) of size {len(self)}]"
        return "\n".join([*lines, tail])

    def __bytes__(self) -> bytes:
        return self._bytes.numpy().tobytes()

    def tolist(self) -> list[int]:
        """The bytes as a list."""
        return self._bytes.tolist()

    def untyped(self) -> UntypedStorage:
        """Itself."""
        return self

    def cpu(self) -> UntypedStorage:
        """Itself: it is in the memory of the CPU."""
        return self

    def clone(self) -> UntypedStorage:
        """A copy in memory of its own."""
        return self._over(self._bytes.clone())

    def copy_(self, source: Any, non_blocking: bool | None = None) -> UntypedStorage:
        """Take the bytes of a storage of the same size."""
        if len(source) != len(self):
            raise RuntimeError(
                f"copy_: size does not match, self was {len(self)} bytes but src was "
                f"{len(source)} bytes"
            )
        self._bytes.copy_(source.untyped()._bytes)
        return self

    def fill_(self, value: int) -> UntypedStorage:
        """Set every byte."""
        self._bytes.fill_(value)
        return self

    def is_pinned(self, device: Any = None) -> bool:
        """False: there is no device that would transfer from it."""
        return False

    def is_shared(self) -> bool:
        """Whether the memory is shared between processes."""
        return self._bytes.is_shared()

    def share_memory_(self) -> UntypedStorage:
        """Move the memory to where processes share it."""
        self._bytes.share_memory_()
        return self

    def resizable(self) -> bool:
        """False."""
        return False

    def resize_(self, size: int) -> UntypedStorage:
        """Only to the size that it has."""
        if size != len(self):
            raise NotImplementedError("UntypedStorage.resize_ is not in Facula")
        return self


class TypedStorage:
    """Memory as numbers of one dtype: what `x.storage()` gives, from before UntypedStorage."""

    def __init__(self, *, wrap_storage: UntypedStorage, dtype: Any) -> None:
        self._untyped_storage = wrap_storage
        self.dtype = dtype
        n = len(wrap_storage) // dtype.itemsize * dtype.itemsize
        self._numbers = view_dtype(wrap_storage._bytes[:n], dtype)

    @property
    def device(self) -> devices.device:
        return self._untyped_storage.device

    is_cuda = False

    def untyped(self) -> UntypedStorage:
        """The bytes."""
        return self._untyped_storage

    def data_ptr(self) -> int:
        """The address of the first element; 0 where there is none."""
        return self._untyped_storage.data_ptr()

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._untyped_storage.nbytes()

    def size(self) -> int:
        """The number of elements."""
        return self._numbers.numel()

    __len__ = size

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes()

    def element_size(self) -> int:
        """Bytes in one element."""
        return self.dtype.itemsize

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        return self._numbers[_position(index, len(self))].item()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._numbers[index if isinstance(index, slice) else _position(index, len(self))] = value

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __repr__(self) -> str:
        lines = [f" {v}" for v in self.tolist()]
        tail = f"[torch.storage.TypedStorage(dtype={self.dtype}, device=cpu) of size {len(self)}]"
        return "\n".join([*lines, tail])

    def tolist(self) -> list[Any]:
        """The elements as a list."""
        return self._numbers.tolist()

    def cpu(self) -> TypedStorage:
        """Itself: it is in the memory of the CPU."""
        return self

    def clone(self) -> TypedStorage:
        """A copy in memory of its own."""
        return TypedStorage(wrap_storage=self._untyped_storage.clone(), dtype=self.dtype)

    def copy_(self, source: Any, non_blocking: bool | None = None) -> TypedStorage:
        """Take the numbers of another, converted to this dtype."""
        self._numbers.copy_(source._numbers)
        return self

    def fill_(self, value: Any) -> TypedStorage:
        """Set every element."""
        self._numbers.fill_(value)
        return self


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
    """A flat tensor over the memory."""
    if isinstance(memory, TypedStorage):
        if dtype not in (None, memory.dtype):
            raise RuntimeError(f"expected a storage of {dtype}, but got one of {memory.dtype}")
        return memory._numbers
    if not isinstance(memory, UntypedStorage):
        raise TypeError(f"set_(): expected a tensor or a storage, got {type(memory).__name__}")
    t = memory._bytes
    return t if dtype in (None, dtypes.uint8) else view_dtype(t, dtype)


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
