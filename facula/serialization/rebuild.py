"""What the names in a checkpoint stand for, and tensors made from what it says of them.

The names are PyTorch's; each stands for a function of this file, a dtype or a class. Nothing here
trusts its arguments.
"""

from __future__ import annotations

import math
import re
from collections import Counter, OrderedDict
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np

import facula
from facula import Size, Tensor, devices, dtypes, meta
from facula.devices import device
from facula.nn import parameter
from facula.ops.table import METHODS
from facula.serialization import layouts, objects
from facula.serialization.unpickler import Budget, Function, make_set, shown
from facula.sharing import with_bits
from facula.trace.node import canonical
from facula.values import from_array

STORAGE_DTYPES = {
    "BoolStorage": dtypes.bool,
    "ByteStorage": dtypes.uint8,
    "CharStorage": dtypes.int8,
    "ShortStorage": dtypes.int16,
    "IntStorage": dtypes.int32,
    "LongStorage": dtypes.int64,
    "HalfStorage": dtypes.float16,
    "BFloat16Storage": dtypes.bfloat16,
    "FloatStorage": dtypes.float32,
    "DoubleStorage": dtypes.float64,
    "ComplexFloatStorage": dtypes.complex64,
    "ComplexDoubleStorage": dtypes.complex128,
}
_NOT_HERE = {  # dtypes of PyTorch that Facula lacks
    *("complex32", "float4_e2m1fn_x2", "qint8", "qint32", "quint8", "quint4x2", "quint2x4"),
    *("bits8", "bits16", "bits1x8", "bits2x4", "bits4x2"),
    *(f"{sign}int{n}" for sign in ("", "u") for n in range(1, 8)),
}
_MAX_DIMS = 64  # NumPy's limit


class StorageType:
    """The class of a storage, as a persistent id names it; dtype None is untyped bytes."""

    __slots__ = ("dtype", "name")

    def __init__(self, name: str, dtype: Any) -> None:
        self.name = name
        self.dtype = dtype


class StorageRef:
    """A storage of a checkpoint: its memory, and what is known of the tensors in it.

    `map_location` functions get it as their first argument and return it.
    """

    def __init__(self, memory: np.ndarray, dtype: Any, location: str) -> None:
        self._memory = memory  # bytes
        self._dtype = dtype
        self._base: Any = None
        self.location = location
        self.device = devices.CPU  # where its tensors are to be

    @property
    def is_cuda(self) -> bool:
        """Whether its tensors are to be on a CUDA device."""
        return self.device.type == "cuda"

    def nbytes(self) -> int:
        """The size in bytes."""
        return self._memory.size

    def size(self) -> int:
        """The number of elements."""
        return self._memory.size // (1 if self._dtype is None else self._dtype.itemsize)

    __len__ = size

    def cpu(self) -> StorageRef:
        """Itself, with its tensors on the CPU."""
        self.device = devices.CPU
        return self

    def cuda(self, device: Any = None, non_blocking: bool = False) -> StorageRef:
        """Itself, with its tensors on a CUDA device."""
        self.device = devices.check("cuda" if device is None else device)
        return self

    def meta(self) -> StorageRef:
        """Itself, with tensors that have no values."""
        self.device = devices.META
        return self

    def tensor(
        self, dtype: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
    ) -> Any:
        """A tensor in this memory, which aliases the others that were made from it."""
        if self._dtype is None:
            self._dtype = dtype
        if dtype is not self._dtype:
            raise NotImplementedError(
                f"load: a storage that holds {self._dtype} and {dtype} tensors at once is not in "
                "Facula"
            )
        numel = self._memory.size // dtype.itemsize
        _check_layout(offset, size, stride, numel)
        if self.device is devices.META:
            return meta.empty(tuple(size), dtype, canonical(tuple(size), tuple(stride)))
        if self._base is None:
            data = self._memory[: numel * dtype.itemsize].view(dtype.np)
            if offset == 0 and math.prod(size) == numel and _contiguous(size, stride):
                # What almost every tensor is: all of its storage, in order.
                self._base = devices.moved(from_array(data.reshape(size)), self.device)
                return self._base
            self._base = devices.moved(from_array(data), self.device)
        if 0 in size:
            return devices.moved(facula.empty(size, dtype=dtype), self.device)  # type: ignore[attr-defined]
        return self._base.as_strided(size, stride, offset)


def _contiguous(size: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    step = 1
    for n, s in zip(reversed(size), reversed(stride)):
        if n != 1 and s != step:
            return False
        step *= n
    return True


def _check_layout(offset: int, size: tuple[int, ...], stride: tuple[int, ...], numel: int) -> None:
    """RuntimeError unless every element is within a storage of `numel` elements."""
    for what, values in (("size", size), ("stride", stride), ("offset", (offset,))):
        if type(values) not in (tuple, Size) or not all([type(v) is int for v in values]):
            raise UnpicklingError(f"the {what} of a tensor is not made of integers")
        if any([v < 0 for v in values]):
            raise RuntimeError(f"load: the {what} of a tensor is negative: {values}")
    if len(size) != len(stride):
        raise RuntimeError(f"load: a tensor of size {list(size)} has strides {list(stride)}")
    if len(size) > _MAX_DIMS:
        raise RuntimeError(f"load: a tensor has {len(size)} dimensions; {_MAX_DIMS} is the limit")
    last = offset - 1 if 0 in size else offset + sum([(n - 1) * s for n, s in zip(size, stride)])
    if last >= numel or math.prod(size) >= 2**62:
        raise RuntimeError(
            f"load: a tensor of size {list(size)}, strides {list(stride)} and offset {offset} is "
            f"out of bounds for its storage of {numel} elements"
        )


class Rebuilder:
    """Resolves the names of one checkpoint; `extra` are the user's own, by their full name.

    With `trusted`, objects of the program's own classes may be made as well (see `objects`).
    """

    def __init__(self, size: int, extra: dict[str, Any], trusted: bool = False) -> None:
        self.trusted = trusted
        self.empty = False  # whether storages have no contents yet, which come last in old files
        self.deferred = False  # whether something was met that has to be made of contents
        self.budget = Budget(size)
        self.extra = extra
        self._allowed = {id(value) for value in extra.values()}
        self._encoded: dict[int, tuple[str, bytes]] = {}
        self.names = self._names()

    def registered(self, value: Any) -> bool:
        """Whether the user has allowed this class or function."""
        return id(value) in self._allowed

    def made(self, cls: Any) -> bool:
        """Whether objects of this class may be made and be given their state."""
        return self.registered(cls) or (self.trusted and objects.is_made(cls))

    def find(self, module: str, name: str) -> Any:
        """What a name stands for; UnpicklingError if it is not allowed."""
        full = f"{module}.{name}"
        found = self.extra.get(full)
        if found is None:
            found = self.names.get(full)
        if found is not None:
            return found
        if module == "torch" and name in _NOT_HERE:
            raise NotImplementedError(f"load: the dtype torch.{name} is not in Facula")
        if module == "torch._utils" and name in _LATER:
            raise NotImplementedError(f"load: {_LATER[name]} are not in Facula ({full})")
        if self.trusted and (found := objects.known(module, name)) is not None:
            return found
        raise UnpicklingError(
            f"the checkpoint asks for {full!r}, which is not plain data and might run code. If it "
            "is yours, or you trust whoever made it, allow it by "
            f"facula.serialization.add_safe_globals([{name}])"
        )

    def _names(self) -> dict[str, Any]:
        table: dict[str, Any] = {
            "torch._utils._rebuild_tensor": _tensor,
            "torch._utils._rebuild_tensor_v2": _tensor_v2,
            "torch._utils._rebuild_tensor_v3": _tensor_v3,
            "torch._utils._rebuild_meta_tensor_no_storage": _meta_tensor,
            "torch._utils._rebuild_sparse_tensor": self._sparse,
            "torch.serialization._get_layout": layouts.layout_of,
            "torch._utils._rebuild_parameter": _parameter,
            "torch._utils._rebuild_parameter_with_state": _parameter_with_state,
            "torch._tensor._rebuild_from_type_v2": self._from_type,
            "torch.nn.parameter.UninitializedParameter": _uninitialized(
                parameter.UninitializedParameter
            ),
            "torch.nn.parameter.UninitializedBuffer": _uninitialized(parameter.UninitializedBuffer),
            "torch.Size": self._size,
            "torch.device": _device,
            "collections.OrderedDict": self._ordered_dict,
            "collections.Counter": self._counter,
            "_codecs.encode": self._encode,
            "numpy.dtype": _numpy_dtype,
        }
        for module in ("builtins", "__builtin__"):
            table[f"{module}.set"] = self._set
            table[f"{module}.frozenset"] = self._frozenset
            table[f"{module}.bytearray"] = self._bytearray
            table[f"{module}.complex"] = _complex
            table[f"{module}.bytes"] = _no_bytes
            if self.trusted:
                table[f"{module}.slice"] = _slice
                table[f"{module}.range"] = table[f"{module}.xrange"] = _range  # its old name
        for module in ("numpy.core", "numpy._core"):
            table[f"{module}.multiarray._reconstruct"] = _numpy_array
            table[f"{module}.multiarray.scalar"] = _numpy_scalar
            table[f"{module}.numeric._frombuffer"] = self._numpy_buffer
        names: dict[str, Any] = {name: Function(name, run) for name, run in table.items()}
        names["numpy.ndarray"] = np.ndarray
        names["torch.Tensor"] = Tensor
        names["torch.nn.parameter.Parameter"] = parameter.Parameter
        names["torch.nn.parameter.Buffer"] = parameter.Buffer
        for d in (*dtypes.ALL, *dtypes.STORED):
            names[f"torch.{d._name}"] = d
        for name, d in STORAGE_DTYPES.items():
            for module in ("torch", "torch.cuda", "torch.storage"):
                names[f"{module}.{name}"] = StorageType(name, d)
        names["torch.storage.UntypedStorage"] = StorageType("UntypedStorage", None)
        names["torch.UntypedStorage"] = names["torch.storage.UntypedStorage"]
        return names

    # ---- values ------------------------------------------------------------------------------

    def _size(self, sizes: Any = ()) -> Size:
        if not isinstance(sizes, (tuple, list)) or not all([type(n) is int for n in sizes]):
            raise UnpicklingError("a torch.Size is not made of integers")
        self.budget.charge(8 * len(sizes))
        return Size(sizes)

    def _items(self, items: Any) -> list[Any]:
        if not isinstance(items, (list, tuple)):
            raise UnpicklingError(f"items are given as a {type(items).__name__}")
        self.budget.charge(100 * len(items))
        return list(items)

    def _ordered_dict(self, items: Any = ()) -> Any:
        made: OrderedDict[Any, Any] = OrderedDict()
        for pair in self._items(items):
            if not isinstance(pair, (list, tuple)) or len(pair) != 2:
                raise UnpicklingError("an item of an OrderedDict is no pair")
            make_set(set, [pair[0]])
            made[pair[0]] = pair[1]
        return made

    def _counter(self, items: Any = None) -> Any:
        made: Any = Counter()
        if items is not None:
            if type(items) is not dict:
                raise UnpicklingError("a Counter is not made from a dict")
            self.budget.charge(100 * len(items))
            made.update(items)
        return made

    def _set(self, items: Any = ()) -> Any:
        return make_set(set, self._items(items))

    def _frozenset(self, items: Any = ()) -> Any:
        return make_set(frozenset, self._items(items))

    def _bytearray(self, data: Any = b"", encoding: Any = None) -> bytearray:
        """From bytes; old protocols give text in which every character is a byte."""
        if isinstance(data, str) and encoding in ("latin-1", "latin1"):
            data = self._encode(data)
        if not isinstance(data, bytes):
            raise UnpicklingError(f"a bytearray is made from a {type(data).__name__}")
        self.budget.charge(len(data))
        return bytearray(data)

    def _encode(self, text: Any, encoding: Any = "latin1") -> bytes:
        """How protocol 2 writes bytes. Bytes can't be changed, so the same text gives the same."""
        if type(text) is not str or encoding not in ("latin1", "latin-1"):
            raise UnpicklingError("only text is encoded in checkpoints, and only as latin1")
        found = self._encoded.get(id(text))
        if found is None:
            found = self._encoded[id(text)] = text, text.encode("latin1")
        return found[1]

    # ---- states ------------------------------------------------------------------------------

    def build(self, target: Any, state: Any) -> None:
        """Give an object its state; UnpicklingError for one that has none."""
        kind = type(target)
        if kind is OrderedDict:
            target.__dict__.update(_attributes(state))
        elif kind is np.ndarray:
            self._set_array(target, state)
        elif isinstance(target, np.dtype):
            _set_dtype(target, state)
        elif self.made(kind):
            if hasattr(target, "__setstate__"):
                target.__setstate__(state)
                return
            slots: Any = None
            if isinstance(state, tuple) and len(state) == 2:
                state, slots = state
            if state is not None:
                target.__dict__.update(_attributes(state))
            for name, value in _attributes(slots or {}).items():
                setattr(target, name, value)
        else:
            raise UnpicklingError(f"the pickle sets the state of a {kind.__name__}")

    def _from_type(self, function: Any, kind: Any, args: Any, state: Any) -> Any:
        """A tensor of a subclass, or one with attributes of the user's."""
        if type(function) is not Function or function.name not in _REBUILDS:
            raise UnpicklingError("a tensor is rebuilt by something that rebuilds no tensors")
        if type(args) is not tuple:
            raise UnpicklingError("the arguments of a call are no tuple")
        made = function.run(*args)
        if kind is not type(made) and kind is not parameter.Buffer:
            if not self.registered(kind) or not issubclass(kind, Tensor):
                raise UnpicklingError(f"a tensor is made into {shown(kind)}")
            made = made.as_subclass(kind)
        set_state(made, state)
        return made

    def _sparse(self, layout: Any, data: Any) -> Any:
        """A sparse tensor, which is made of the values of its parts."""
        if self.empty:
            self.deferred = True
            return facula.empty(0)  # type: ignore[attr-defined]
        return layouts.rebuild(layout, data)

    def _set_array(self, array: Any, state: Any) -> None:
        if type(state) is not tuple or len(state) != 5:
            raise UnpicklingError("the state of a NumPy array has not five parts")
        _, shape, dtype, columns, raw = state
        _check_numpy(dtype)
        if type(shape) is not tuple or len(shape) > _MAX_DIMS:
            raise UnpicklingError(f"the shape of a NumPy array is {shown(shape)}")
        if not all([type(n) is int and 0 <= n < 1 << 60 for n in shape]):
            raise UnpicklingError("the shape of a NumPy array is not made of sizes")
        if type(raw) is not bytes or len(raw) != math.prod(shape) * dtype.itemsize:
            raise UnpicklingError(f"a NumPy array of shape {shape} and {dtype} has too few bytes")
        self.budget.charge(len(raw))
        # A copy, since NumPy may take the bytes over as the array's memory.
        array.__setstate__((1, shape, dtype, bool(columns), bytes(bytearray(raw))))

    def _numpy_buffer(self, raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
        """How protocol 5 writes an array."""
        if not isinstance(raw, (bytes, bytearray)) or order not in ("C", "F"):
            raise UnpicklingError("a NumPy array is not made from bytes")
        array = np.empty(0)
        self._set_array(array, (1, shape, dtype, order == "F", bytes(raw)))
        return array


def _attributes(state: Any) -> dict[str, Any]:
    """State that is a dict of attributes."""
    if type(state) not in (dict, OrderedDict) or not all([type(k) is str for k in state]):
        raise UnpicklingError(f"a state is no dict of attributes but a {type(state).__name__}")
    return state


def own_attribute(name: str) -> bool:
    """Whether an attribute of a tensor is the user's and not the framework's or Python's.

    NumPy, for one, would read any memory that an `__array_interface__` points it to.
    """
    if name.startswith("__") and name.endswith("__"):
        return False
    return not hasattr(Tensor, name) and name not in METHODS and name != "node"


def set_state(tensor: Any, state: Any) -> None:
    """Set the attributes that a user has given a tensor."""
    if isinstance(state, tuple):
        if len(state) != 2 or state[1]:
            raise UnpicklingError("the state of a tensor has slots")
        state = state[0]
    for name, value in _attributes(state or {}).items():
        if not own_attribute(name) or not name.isidentifier():
            raise UnpicklingError(f"the attribute {name!r} of a tensor is not the user's to set")
        setattr(tensor, name, value)


# ---- tensors -----------------------------------------------------------------------------------


def _check_storage(storage: Any) -> StorageRef:
    if type(storage) is not StorageRef:
        raise UnpicklingError(f"a tensor is made from a {type(storage).__name__}, no storage")
    return storage


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, dtype: Any = None) -> Any:
    s = _check_storage(storage)
    if dtype is None:
        dtype = s._dtype
        if dtype is None:
            raise UnpicklingError("a tensor without a dtype is made from an untyped storage")
    return s.tensor(dtype, offset, size, stride)


def _tensor_v2(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    backward_hooks: Any = None,
    metadata: Any = None,
    dtype: Any = None,
) -> Any:
    made = _tensor(storage, offset, size, stride, dtype)
    bits = {b for b, on in _attributes(metadata or {}).items() if on is True}
    if bits & {"conj", "neg"}:
        if made.numel() > storage.size():  # here it needs memory, and a file could ask for any
            raise NotImplementedError(
                "load: conjugate or negative views that repeat elements are not in Facula"
            )
        if "conj" in bits:
            made = made.conj().detach()
        if "neg" in bits:
            made = with_bits(made, False, True).detach()
    if type(requires_grad) is not bool:
        raise UnpicklingError(f"requires_grad is {shown(requires_grad)}")
    if requires_grad:
        made = made.detach().requires_grad_(True)
    return made


def _meta_tensor(dtype: Any, size: Any, stride: Any, requires_grad: Any) -> Any:
    lists = [tuple(v) for v in (size, stride) if isinstance(v, (tuple, list))]
    if (
        len(lists) != 2
        or len(lists[0]) != len(lists[1])
        or any([type(n) is not int or n < 0 for v in lists for n in v])
        or not isinstance(dtype, dtypes.dtype)
        or type(requires_grad) is not bool
    ):
        raise UnpicklingError(
            "a meta tensor is made from a dtype, a size, strides and whether it requires grad, not "
            f"from {shown(dtype)}, {shown(size)}, {shown(stride)}, {shown(requires_grad)}"
        )
    made = meta.empty(lists[0], dtype, canonical(*lists))
    return made.requires_grad_(True) if requires_grad else made


def _tensor_v3(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    backward_hooks: Any,
    dtype: Any,
    metadata: Any = None,
) -> Any:
    if not isinstance(dtype, dtypes.dtype):
        raise UnpicklingError(f"the dtype of a tensor is a {type(dtype).__name__}")
    return _tensor_v2(storage, offset, size, stride, requires_grad, None, metadata, dtype)


def _parameter(data: Any, requires_grad: Any, backward_hooks: Any = None) -> Any:
    if not isinstance(data, Tensor) or type(requires_grad) is not bool:
        raise UnpicklingError(f"a parameter is made from a {type(data).__name__}")
    return parameter.Parameter(data, requires_grad)


def _parameter_with_state(data: Any, requires_grad: Any, hooks: Any, state: Any) -> Any:
    made = _parameter(data, requires_grad, hooks)
    set_state(made, state)
    return made


def _uninitialized(kind: type) -> Callable[..., Any]:
    def make(requires_grad: Any = False) -> Any:
        if type(requires_grad) is not bool:
            raise UnpicklingError(f"requires_grad is {shown(requires_grad)}")
        return kind(requires_grad)

    return make


_REBUILDS = {
    *("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"),
    *("torch._utils._rebuild_tensor_v3", "torch._utils._rebuild_parameter"),
    "torch._utils._rebuild_meta_tensor_no_storage",
}
_LATER = {
    "_rebuild_qtensor": "quantised tensors",
    "_rebuild_nested_tensor": "nested tensors",
    "_rebuild_wrapper_subclass": "wrapper subclasses",
    "_rebuild_device_tensor_from_numpy": "tensors of other devices that were saved by NumPy",
    "_rebuild_device_tensor_from_cpu_tensor": "tensors of other devices that were saved by the CPU",
}


# ---- other values ------------------------------------------------------------------------------


def _device(kind: Any, index: Any = None) -> device:
    if type(kind) is not str or not (index is None or type(index) is int):
        raise UnpicklingError("a torch.device is not made from a name and a number")
    return device(kind, index)


def _no_bytes() -> bytes:
    """How protocol 2 writes bytes of length 0."""
    return b""


def _complex(real: Any = 0.0, imag: Any = 0.0) -> complex:
    if not all([type(v) in (int, float) for v in (real, imag)]):
        raise UnpicklingError("a complex number is not made from two numbers")
    return complex(real, imag)


def _slice(start: Any, stop: Any, step: Any) -> slice:
    return slice(start, stop, step)


def _range(start: Any, stop: Any, step: Any) -> range:
    return range(start, stop, step)


def _check_numpy(dtype: Any) -> None:
    """UnpicklingError unless this is a NumPy dtype of plain bytes."""
    if not isinstance(dtype, np.dtype) or dtype.kind not in "biufcSU" or dtype.shape:
        raise UnpicklingError(f"NumPy data of {shown(dtype)} is not read from checkpoints")


# How NumPy writes the plain dtypes. Nothing else reaches np.dtype, which reads whole records from
# a string ("2i4,f8") and evaluates parts of it as Python literals.
_NUMPY_NAME = re.compile(r"[<>=|]?(?:b1|[iu][1248]|f[248]|c8|c16|[SU][0-9]{1,6})")


def _numpy_dtype(name: Any, align: Any = False, copy: Any = False) -> Any:
    if type(name) is not str or not _NUMPY_NAME.fullmatch(name):
        raise UnpicklingError(f"{shown(name)} is no NumPy dtype that is read from checkpoints")
    made = np.dtype(name, copy=True)
    _check_numpy(made)
    return made


def _set_dtype(dtype: Any, state: Any) -> None:
    """The state of a plain dtype says its byte order and, for text, its size."""
    _check_numpy(dtype)
    if type(state) is not tuple or len(state) < 8 or state[2:5] != (None, None, None):
        raise UnpicklingError("a NumPy dtype has fields, which are not read from checkpoints")
    if state[1] not in ("<", ">", "=", "|"):
        raise UnpicklingError(f"a NumPy dtype has the byte order {shown(state[1])}")
    if dtype.kind in "biufc" or state[5] == dtype.itemsize:
        if not dtype.isbuiltin:
            dtype.__setstate__((3, state[1], None, None, None, *_text_size(dtype), 0))
        return
    raise UnpicklingError("a NumPy dtype of text has two sizes")


def _text_size(dtype: Any) -> tuple[int, int]:
    if dtype.kind in "biufc":
        return -1, -1
    return dtype.itemsize, 4 if dtype.kind == "U" else 1


def _numpy_array(kind: Any, shape: Any, typecode: Any) -> np.ndarray:
    """An empty array; its state follows."""
    if kind is not np.ndarray:
        raise UnpicklingError(f"{shown(kind)} is no NumPy array")
    return np.empty(0, np.uint8)


def _numpy_scalar(dtype: Any, raw: Any) -> Any:
    _check_numpy(dtype)
    if type(raw) is not bytes or len(raw) != dtype.itemsize:
        raise UnpicklingError(f"a NumPy number of {dtype} has {len(raw)} bytes")
    return np.frombuffer(raw, dtype)[0]
