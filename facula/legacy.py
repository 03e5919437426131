"""Constructors from before dtypes: `FloatTensor(2, 3)`, `LongTensor([1, 2])`, `x.new(2, 3)`.

Source: https://pytorch.org/docs/stable/tensors.html#tensor-class-reference
"""

from __future__ import annotations

from typing import Any

from facula import devices, dtypes
from facula.ops.table import FUNCTIONS
from facula.tensor import Tensor
from facula.tensor_base import Size, is_data, is_size, kind_of

KINDS = {
    "FloatTensor": dtypes.float32,
    "DoubleTensor": dtypes.float64,
    "HalfTensor": dtypes.float16,
    "BFloat16Tensor": dtypes.bfloat16,
    "ByteTensor": dtypes.uint8,
    "CharTensor": dtypes.int8,
    "ShortTensor": dtypes.int16,
    "IntTensor": dtypes.int32,
    "LongTensor": dtypes.int64,
    "BoolTensor": dtypes.bool,
}


def make(name: str, dtype: Any, args: tuple[Any, ...], device: Any = None, **named: Any) -> Tensor:
    """A tensor of these sizes, or of this data: what the constructors of old take.

    By name: `size`, `data` (a sequence) or `other` (a tensor).
    """
    if named:
        key, value = named.popitem()
        if args or named or key not in ("size", "data", "other"):
            raise TypeError(
                f"{name}(): takes sizes, or one of size, data and other; got "
                f"{len(args)} arguments and {[key, *named]}"
            )
        args = (Size(value) if key == "size" and not is_size(value) else value,)
    if device is not None and devices.device(device).type != "cpu":
        raise RuntimeError(
            f"{name}(): legacy constructor expects device type: cpu but device type: "
            f"{devices.device(device).type} was passed"
        )
    if len(args) == 1 and not is_size(args[0]):
        data = args[0]
        if type(data).__name__ == "TypedStorage":
            data = data._numbers
        if isinstance(data, Tensor):
            if data.dtype is not dtype:
                raise TypeError(
                    f"{name}(): expected a tensor of dtype {dtype}, got {data.dtype}; convert it "
                    "with .to()"
                )
            return data.as_subclass(Tensor)  # history and all
        if isinstance(data, Size):
            return FUNCTIONS["empty"](data, dtype=dtype)
        if not is_data(data):
            raise TypeError(f"{name}(): data must be a sequence (got {kind_of(data)})")
        return FUNCTIONS["tensor"](data, dtype=dtype)
    return FUNCTIONS["empty"](args or (0,), dtype=dtype)


class tensortype(type):
    """The type of `FloatTensor` and its kin: tensors of the dtype are instances of them."""

    dtype: Any
    is_cuda = False
    is_sparse = False

    def __call__(cls, *args: Any, device: Any = None, **kwargs: Any) -> Tensor:
        return make(cls.__name__, cls.dtype, args, device, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype


for _name, _dtype in KINDS.items():
    globals()[_name] = tensortype(_name, (), {"dtype": _dtype, "__module__": "torch"})


class storagetype(type):
    """The type of `FloatStorage` and its kin: they make typed storages, which are instances."""

    dtype: Any

    def __call__(
        cls,
        *args: Any,
        wrap_storage: Any = None,
        device: Any = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> Any:
        from facula.memory import TypedStorage

        unknown = kwargs.keys() - {"_internal"}
        if unknown:
            raise TypeError(f"{cls.__name__}() got an unexpected keyword argument {min(unknown)!r}")
        if device is not None or dtype is not None:
            name = "dtype" if device is None else "device"
            raise RuntimeError(f"{cls.__name__}(): Keyword argument {name!r} cannot be specified")
        try:
            return TypedStorage(*args, wrap_storage=wrap_storage, dtype=cls.dtype)
        except (RuntimeError, TypeError) as e:
            raise type(e)(str(e).replace("TypedStorage()", f"{cls.__name__}()", 1)) from None

    @property
    def _dtype(cls) -> Any:
        return cls.dtype

    def from_buffer(
        cls, buffer: Any, byte_order: str | None = None, count: int = -1, offset: int = 0
    ) -> Any:
        """A copy of the bytes of an object with the buffer protocol, as numbers."""
        from facula.memory import TypedStorage, UntypedStorage

        data = UntypedStorage.from_buffer(buffer, byte_order, count, offset, cls.dtype)
        return TypedStorage(wrap_storage=data, dtype=cls.dtype)

    def from_file(cls, filename: Any, shared: bool = False, size: int = 0) -> Any:
        """The first `size` numbers in a file, mapped into memory; the file is never written."""
        from facula.memory import _mapped

        return _mapped(cls.dtype, filename, shared, size)

    def __instancecheck__(cls, instance: Any) -> bool:
        from facula.memory import TypedStorage

        return isinstance(instance, TypedStorage) and instance.dtype is cls.dtype


STORAGES = {kind.replace("Tensor", "Storage"): d for kind, d in KINDS.items()}
STORAGES |= {"ComplexFloatStorage": dtypes.complex64, "ComplexDoubleStorage": dtypes.complex128}
for _name, _dtype in STORAGES.items():
    globals()[_name] = storagetype(_name, (), {"dtype": _dtype, "__module__": "torch"})
Storage = globals()["FloatStorage"]


def storage_type(self: Any) -> Any:
    """The class of the tensor's (or typed storage's) memory: `FloatStorage`."""
    for name, d in STORAGES.items():
        if d is self.dtype:
            return globals()[name]
    raise NotImplementedError(f"storage_type(): no class of storages has dtype {self.dtype}")


def new(self: Tensor, *args: Any, device: Any = None, **named: Any) -> Tensor:
    """A tensor of this one's dtype with these sizes or this data."""
    return make("new", self.dtype, args, device, **named)
