"""Tensors from data: numbers, sequences, arrays and buffers."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from facula import devices, dtypes, meta
from facula.ops.creations import finish
from facula.ops.table import FUNCTIONS, api
from facula.tensor import Tensor
from facula.trace.node import placed
from facula.values import from_array
from facula.warned import warn


def _guess(data: Any) -> Any:
    """The dtype of nested Python numbers."""
    if isinstance(data, (list, tuple)):
        if data and isinstance(data[0], str):
            raise ValueError(f"too many dimensions 'str': {data[0]!r} is no number")
        out = None
        for x in data:
            d = _guess(x)
            if d is not None:
                out = d if out is None else dtypes.promote_types(out, d)
        return out
    if isinstance(data, Tensor):
        return data.dtype
    if isinstance(data, (np.ndarray, np.generic)):
        return dtypes.from_np(data.dtype)
    if isinstance(data, str):
        raise TypeError(f"new(): invalid data type 'str': {data!r} is no number")
    if data.__class__ is int:  # of any size: it may be one of several numbers
        return dtypes.int64
    try:
        return dtypes.scalar_type(data)
    except TypeError:
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}") from None


def _plain(data: Any, whole: bool) -> Any:
    """Nested numbers, where tensors of one element stand for numbers, whatever their dimensions.

    `whole`: they are to be integers.
    """
    if isinstance(data, Tensor):
        if data.numel() != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        if whole and data.dtype.category > dtypes.INT:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return data.item()
    if isinstance(data, (list, tuple)) and any(isinstance(x, (Tensor, list, tuple)) for x in data):
        return [_plain(x, whole) for x in data]
    return data


_BEYOND = "Overflow when unpacking"


def _check_range(a: Any, data: Any, d: Any) -> None:
    """Refuse numbers that a dtype of integers has no place for."""
    if a.dtype.kind in "bc" or not a.size:
        return
    if a.dtype.kind == "i":
        dtypes.check_fits(int(a.min()), d)
        dtypes.check_fits(int(a.max()), d)
        return
    for x in np.array(data, dtype=object).flat:  # other kinds round what is beyond 64 bits
        if isinstance(x, int) and d is not dtypes.uint64 and not -(2**63) <= x < 2**63:
            raise ValueError(f"{_BEYOND} long long: {x} is no {d}")
        dtypes.check_fits(x, d)


@api(method=False)
def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """A tensor with a copy of the data: numbers, nested sequences, arrays or tensors."""
    if isinstance(data, Tensor):
        warn(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() or sourceTensor.detach().clone().requires_grad_(True), "
            "rather than torch.tensor(sourceTensor)."
        )
        out = data.detach().clone()
        return finish(out if dtype is None else out.to(dtype), requires_grad, device)
    if isinstance(data, (np.ndarray, np.generic)):
        own = dtypes.from_np(data.dtype)  # an array of objects is refused whatever `dtype` says
        d = dtype or own
        if d.category == dtypes.INT and isinstance(data, np.generic):
            _check_range(np.array(data), data, d)
        a = dtypes.convert(np.asarray(data), d.np)
    else:
        if hasattr(data, "untyped"):  # a storage
            from facula.memory import seen_as

            return finish(seen_as(data, dtype).clone(), requires_grad, device)
        if isinstance(data, str):
            raise TypeError("new(): invalid data type 'str'")
        if data is None or isinstance(data, dict):
            raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
        if isinstance(data, Sequence) and not isinstance(data, (list, tuple)):
            data = list(data)  # a deque, a range
        if hasattr(data, "__array__"):
            a = np.asarray(data)
            return tensor.__wrapped__(a, dtype=dtype, device=device, requires_grad=requires_grad)
        try:
            d = dtype or _guess(data) or dtypes.get_default_dtype()
            data = _plain(data, d.category == dtypes.INT)
        except RecursionError:
            raise TypeError("tensor(): a list that holds itself is no tensor") from None
        try:
            a = np.array(data)
            if a.dtype.kind in "US":
                raise ValueError(f"too many dimensions 'str': {data!r} holds no numbers")
            if d.category == dtypes.INT:
                _check_range(a, data, d)
            elif a.dtype.kind == "O":  # whole numbers beyond 64 bits
                if not all([isinstance(x, (int, float, complex)) for x in a.flat]):
                    raise ValueError
                a = a.astype(np.complex128 if d.category == dtypes.COMPLEX else np.float64)
            if a.dtype.kind != "c" or d.category == dtypes.COMPLEX:
                a = dtypes.convert(a, d.np)
        except (ValueError, TypeError) as e:
            if d.category == dtypes.INT and _BEYOND in str(e):
                raise
            _check_nesting(data, d)
            raise ValueError(
                f"tensor(): expected numbers nested in sequences of equal lengths, "
                f"got {type(data).__name__} {str(data)[:60]}"
            ) from None
        if a.dtype.kind == "c" and d.category != dtypes.COMPLEX:
            raise TypeError(f"must be real number, not complex, for a {d} tensor")
    made = from_array(placed(np.ascontiguousarray(a).reshape(a.shape)))
    return finish(made, requires_grad, device)


@api(method=False)
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """The data as a tensor, sharing memory where possible."""
    if devices.check(device) is devices.META:
        return meta.like(as_tensor.__wrapped__(data, dtype))
    if isinstance(data, Tensor):
        data = data if dtype is None else data.to(dtype)
        return data if device is None else data.to(device)
    if device is not None and devices.check(device) is not devices.CPU:
        return tensor.__wrapped__(data, dtype=dtype, device=device)
    if isinstance(data, np.ndarray) and (dtype is None or dtypes.from_np(data.dtype) is dtype):
        return from_numpy(data)
    if hasattr(data, "untyped"):  # a storage
        from facula.memory import seen_as

        return seen_as(data, dtype)
    return tensor.__wrapped__(data, dtype=dtype)


@api(method=False)
def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool | None = None,
) -> Any:
    """A tensor of a tensor, an array, a buffer, a number or nested sequences.

    `copy`: True always copies, False never does (ValueError where it would have to).
    """
    if devices.check(device) is devices.META:
        made = asarray.__wrapped__(obj, dtype=dtype, copy=copy)
        return finish(made, bool(requires_grad), device)
    if isinstance(obj, Tensor):
        out = obj
    elif hasattr(obj, "untyped"):  # a storage
        return as_tensor.__wrapped__(obj, dtype)
    elif isinstance(obj, np.ndarray):
        out = from_numpy(obj.copy() if copy else obj)
    elif type(obj).__name__ == "PyCapsule" or (
        hasattr(obj, "__dlpack__") and not isinstance(obj, np.generic)
    ):
        out = from_dlpack(obj)
    elif isinstance(obj, (bytes, bytearray, memoryview)):
        out = frombuffer(obj, dtype=dtype or dtypes.get_default_dtype())
    elif copy is False:
        if isinstance(obj, np.generic):
            raise RuntimeError("asarray(): can't alias NumPy scalars.")
        raise ValueError("asarray(): can't alias arbitrary sequence into a tensor.")
    else:
        return tensor.__wrapped__(obj, dtype=dtype, requires_grad=bool(requires_grad))
    if dtype is not None and dtype is not out.dtype:
        if copy is False:
            raise ValueError(
                f"asarray(): can't alias tensor with dtype {out.dtype} into dtype {dtype}."
            )
        out = out.to(dtype)
    elif copy:
        out = out.clone()
    if requires_grad is False and out.requires_grad:
        out = out.detach()
    return finish(out, True) if requires_grad and not out.requires_grad else out


_NESTED = (list, tuple, np.ndarray, Tensor)


def _check_nesting(data: Any, d: Any) -> None:
    """PyTorch's error for sequences that are not of one length, or not all of one depth."""
    sizes, x = [], data
    while isinstance(x, _NESTED) and getattr(x, "ndim", True):
        sizes.append(len(x))
        if not len(x):
            break
        x = x[0]

    def check(x: Any, dim: int) -> None:
        nested = isinstance(x, _NESTED) and getattr(x, "ndim", True)
        if dim == len(sizes):
            if nested:
                need = "an integer" if d.category == dtypes.INT else "a real number"
                raise TypeError(f"tensor(): expected {need} as before, got {type(x).__name__} {x}")
            return
        if not nested:
            raise TypeError(
                f"tensor(): not a sequence: {x!r}, where others have {sizes[dim]} items"
            )
        if len(x) != sizes[dim]:
            raise ValueError(
                f"tensor(): expected sequence of length {sizes[dim]} at dim {dim} (got {len(x)})"
            )
        for y in x:
            check(y, dim + 1)

    check(data, 0)


def _writable(array: Any, what: str = "NumPy array") -> Any:
    """The array, or a copy of one that can't be written, with a warning."""
    if array.flags.writeable:
        return array
    warnings.warn(
        f"The given {what} is not writable, and PyTorch does not support "
        "non-writable tensors. It was copied.",
        UserWarning,
        stacklevel=3,
    )
    return array.copy()


def from_numpy(ndarray: Any) -> Any:
    """A tensor that shares the array's memory."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    if not ndarray.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion "
            f"between byte orders is not supported (dtype {ndarray.dtype.str})"
        )
    return from_array(np.asarray(_writable(ndarray)), owned=False)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Any:
    """A tensor that shares the memory of an object with `__dlpack__`, or of a DLPack capsule."""
    devices.check(device)
    if type(ext_tensor).__name__ != "PyCapsule" and not hasattr(ext_tensor, "__dlpack__"):
        raise RuntimeError(
            "from_dlpack(): expected a DLPack capsule or an object with __dlpack__, got "
            f"{type(ext_tensor).__name__}"
        )
    from facula.capsules import imported

    array = imported(ext_tensor)
    if copy:
        return from_array(array.copy())
    return from_array(_writable(array), owned=False)


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Any:
    """A tensor over a Python buffer."""
    if not isinstance(dtype, dtypes.dtype):
        raise TypeError(
            f"frombuffer(): argument 'dtype' must be torch.dtype, not {type(dtype).__name__}"
        )
    try:
        length = memoryview(buffer).nbytes
    except TypeError:
        raise ValueError(
            f"frombuffer(): object does not implement Python buffer protocol: a "
            f"{type(buffer).__name__}"
        ) from None
    if not length or not count:
        raise ValueError(f"both buffer length ({length}) and count ({count}) must not be 0")
    if not 0 <= offset < length:
        raise ValueError(
            f"frombuffer(): offset ({offset} bytes) must be non-negative and no greater than "
            f"buffer length ({length} bytes) minus 1"
        )
    if count > 0 and count * dtype.itemsize > length - offset:
        raise ValueError(
            f"frombuffer(): requested buffer length ({count} * {dtype.itemsize} bytes) after "
            f"offset ({offset} bytes) must not be greater than actual buffer length "
            f"({length} bytes)"
        )
    if count < 0 and (length - offset) % dtype.itemsize:
        raise ValueError(
            f"frombuffer(): buffer length ({length - offset} bytes) after offset ({offset} bytes) "
            f"must be a multiple of element size ({dtype.itemsize})"
        )
    count = count if count > 0 else -1
    array = _writable(np.frombuffer(buffer, dtype.np, count, offset), "buffer")
    return finish(from_array(array, owned=False), requires_grad)


def from_file(
    filename: Any,
    shared: bool | None = None,
    size: int = 0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """A tensor over the first `size` elements of a file, which is read when they are.

    `shared`: what is written to the tensor is written to the file, which is made or made longer
    where need be. Otherwise the file stays as it is.
    """
    d = dtypes.OF_PYTHON.get(dtype, dtype) or dtypes.get_default_dtype()
    name, need = os.fspath(filename), size * d.itemsize
    if not shared and not os.path.exists(name):
        raise RuntimeError(
            f"from_file(): unable to open file <{name}> in read-only mode: No such file"
        )
    there = os.path.getsize(name) if os.path.exists(name) else 0
    if there < need:
        if not shared:
            raise RuntimeError(
                f"from_file(): file <{name}> size <{there}> is smaller than the required mapping "
                f"size <{need}>"
            )
        with open(name, "ab") as f:
            f.truncate(need)
    if not need:
        a = np.empty(0, d.np)
    else:
        a = np.memmap(name, d.np, "r+" if shared else "c", shape=(size,)).view(np.ndarray)
    return finish(from_array(a, owned=False), requires_grad, device)


FUNCTIONS.update(
    from_numpy=from_numpy, from_dlpack=from_dlpack, frombuffer=frombuffer, from_file=from_file
)


@api(method=False)
def scalar_tensor(
    s: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """A 0-d tensor of a number, of the default dtype."""
    if isinstance(s, Tensor) and s.node.shape:
        raise TypeError("scalar_tensor(): argument 's' must be Number, not Tensor")
    d = dtype or dtypes.get_default_dtype()
    return tensor.__wrapped__(s, dtype=d, device=device, requires_grad=requires_grad)


@api(function=False)
def new_tensor(
    self: Any, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """A tensor of the data with this one's dtype."""
    d, where = dtype or self.dtype, device or self.device
    return tensor.__wrapped__(data, dtype=d, device=where, requires_grad=requires_grad)
