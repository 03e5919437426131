"""What a tensor holds, and what it says of itself.

A tensor's `node` says what its value is: a leaf of the trace (the buffer is in `_data`), an input
or an entry of the trace being recorded, or stale (its storage has moved on). All other attributes
have class-level defaults, so that making a tensor is cheap: see trace/README.md.
"""

from __future__ import annotations

import operator
from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from facula import devices, unresolved
from facula.meta import META
from facula.trace.node import contiguous_strides, is_contiguous
from facula.trace.state import TLS
from facula.values import own_memory


class Size(tuple[int, ...]):
    """The shape of a tensor: a tuple that knows its number of elements."""

    __slots__ = ()

    def __new__(cls, sizes: Any = ()) -> Size:
        out = tuple.__new__(cls, sizes)
        for i, s in enumerate(out):
            if s.__class__ is not int and (
                not hasattr(s, "__index__") or (hasattr(s, "node") and s.node.dtype.category >= 2)
            ):
                raise TypeError(
                    f"torch.Size() takes an iterable of 'int' (item {i} is '{type(s).__name__}')"
                )
        return out

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    __str__ = __repr__

    def numel(self) -> int:
        """The product of all sizes."""
        n = 1
        for s in self:
            n *= s
        return n

    def __getitem__(self, i: Any) -> Any:
        got = tuple.__getitem__(self, i)
        return Size(got) if isinstance(i, slice) else got

    def __add__(self, other: Any) -> Size:  # type: ignore[override]
        if isinstance(other, tuple):
            return Size(tuple.__add__(self, other))
        if hasattr(other, "__radd__"):
            return NotImplemented
        raise TypeError(f"can only concatenate tuple (not {type(other).__name__}) to torch.Size")

    def __radd__(self, other: Any) -> Size:
        if isinstance(other, tuple):
            return Size(tuple.__add__(other, self))
        raise TypeError(f"can only concatenate tuple (not {type(other).__name__}) to torch.Size")

    def __mul__(self, n: Any) -> Size:
        return Size(tuple.__mul__(self, n))

    __rmul__ = __mul__


_bare: Any = tuple.__new__  # a Size of what is known to be ints


def whole_dim(dim: Any) -> int:
    """A dimension as an int; TypeError for True, which is equal to 1, and for what is no int."""
    if dim.__class__ is int:
        return dim  # type: ignore[no-any-return]
    if isinstance(dim, bool) or not hasattr(dim, "__index__"):
        raise TypeError(f"argument 'dim' must be int, not {type(dim).__name__}")
    return operator.index(dim)


def wrap_dim(dim: Any, rank: int) -> int:
    """A dimension counted from the front; IndexError out of range."""
    if dim.__class__ is not int:
        dim = whole_dim(dim)
    n = rank or 1
    if -n <= dim < n:
        return dim + n if dim < 0 else dim
    if not -(2**63) <= dim < 2**63:
        raise ValueError(f"Overflow when unpacking dim={dim} as an int64")
    raise IndexError(
        f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
    )


class _Dictionary:
    """Where `state_of` has the attribute from that tensors hide."""


state_of: Any = _Dictionary.__dict__["__dict__"].__get__
"""The dictionary of all that a tensor holds. Its `__dict__` has what users have added."""


def _users(t: Any) -> dict[str, Any]:
    return {k: v for k, v in state_of(t).items() if k != "node" and not hasattr(TensorBase, k)}


class _Attributes(dict):  # type: ignore[type-arg]
    """The attributes that users have given a tensor; what is written here is written there."""

    def __init__(self, t: Any) -> None:
        super().__init__(_users(t))
        self._t = t

    def __setitem__(self, name: Any, value: Any) -> None:
        setattr(self._t, name, value)
        super().__setitem__(name, value)

    def __delitem__(self, name: Any) -> None:
        super().__delitem__(name)
        delattr(self._t, name)

    # What dict writes without coming by, in terms of the two above.
    clear = MutableMapping.clear
    pop = MutableMapping.pop
    popitem = MutableMapping.popitem
    setdefault = MutableMapping.setdefault
    update = MutableMapping.update

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]
        self.update(other)
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        return dict, (dict(self),)


def _replace(self: Any, attributes: Any) -> None:
    state = state_of(self)
    for name in _users(self):
        del state[name]
    for name, value in attributes.items():
        if name != "node" and not hasattr(TensorBase, name):
            state[name] = value


class TensorMeta(type):
    """The class of classes of tensors: each has the `__dict__` of tensors, whatever other classes
    it is made of."""

    def __new__(mcls, name: str, bases: Any, namespace: Any, **kwargs: Any) -> Any:
        text = "What users have added: libraries copy it from tensor to tensor, and replace it."
        namespace.setdefault("__dict__", property(_Attributes, _replace, doc=text))
        return super().__new__(mcls, name, bases, namespace, **kwargs)


class TensorBase(_Dictionary, metaclass=TensorMeta):
    """The state of a tensor, and what that says of it."""

    _data: Any = None
    _storage: Any = None
    _failure: Any = None  # why it has no value
    _chain: tuple[Any, ...] = ()
    _offset = 0
    _base_t: Any = None  # what this tensor is a view of, for autograd
    _viewed: Any = None  # what it was a view of before `.data =`, which forbids writes as before
    _own: Any = None  # the group of tensors with one history: None is the storage's own
    _counter: Any = None  # a version counter apart from the storage's, for `.data`
    _seen = 0  # the version at which a view last took its history from its base
    _wrote = 0  # the version that a view's last write with a history made
    _multi = False  # one of several views that one operation made
    _no_grad = False  # a view made while gradients were not recorded
    _fixed = False  # an input that a custom function returned: a view with that history
    _grad: Any = None
    _gfn: Any = None
    _leaf_rg = False
    _was_leaf = False  # a leaf until memory that it is a view of got a history
    _saved = False
    _acc: Any = None
    _token: Any = None
    _writes = 0
    _exported: Any = None
    _hooks: Any = None
    _post_hooks: Any = None
    _retains: Any = None  # the graph node that hands this tensor its gradient
    # A view whose history is not its base's (hooks, `as_strided` beyond it), or a view of one.
    _hooked = False
    _inference = False
    # An input of a transform: whether it may be written to, though it is a leaf (func/tracking.py).
    _place: Any = None
    _backward_hooks: Any = None
    node: Any

    if TYPE_CHECKING:  # the methods of the table in ops/ are attached when the package is imported

        def __getattr__(self, name: str) -> Any: ...

        def __getitem__(self, index: Any) -> Any: ...

        def __setitem__(self, index: Any, value: Any) -> None: ...

        def __add__(self, other: Any) -> Any: ...

        def __radd__(self, other: Any) -> Any: ...

        def __sub__(self, other: Any) -> Any: ...

        def __rsub__(self, other: Any) -> Any: ...

        def __mul__(self, other: Any) -> Any: ...

        def __rmul__(self, other: Any) -> Any: ...

        def __truediv__(self, other: Any) -> Any: ...

        def __rtruediv__(self, other: Any) -> Any: ...

        def __pow__(self, other: Any) -> Any: ...

        def __matmul__(self, other: Any) -> Any: ...

        def __neg__(self) -> Any: ...

        def __invert__(self) -> Any: ...

        def __and__(self, other: Any) -> Any: ...

        def __or__(self, other: Any) -> Any: ...

        def __lt__(self, other: Any) -> Any: ...

        def __le__(self, other: Any) -> Any: ...

        def __gt__(self, other: Any) -> Any: ...

        def __ge__(self, other: Any) -> Any: ...

    @property
    def shape(self) -> Size:
        return _bare(Size, self.node.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        if dim is None:
            return _bare(Size, self.node.shape)
        return self.node.shape[wrap_dim(dim, len(self.node.shape))]

    @property
    def dtype(self) -> Any:
        return self.node.dtype

    @property
    def device(self) -> devices.device:
        return devices.META if self.node.op is META else self.node.device or devices.CPU

    @property
    def layout(self) -> Any:
        from facula import strided

        return strided

    @property
    def ndim(self) -> int:
        return len(self.node.shape)

    def dim(self) -> int:
        """The number of dimensions."""
        return len(self.node.shape)

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        n = 1
        for s in self.node.shape:
            n *= s
        return n

    nelement = numel

    @property
    def itemsize(self) -> int:
        return self.node.dtype.itemsize

    def element_size(self) -> int:
        """Bytes in one element."""
        return self.node.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.numel() * self.node.dtype.itemsize

    def stride(self, dim: int | None = None) -> Any:
        """Steps through memory, in elements."""
        n = self.node
        s = n.strides if n.strides is not None else contiguous_strides(n.shape)
        return s if dim is None else s[wrap_dim(dim, len(s))]

    def storage_offset(self) -> int:
        """Where the tensor begins in its storage, in elements."""
        return self._offset

    def is_contiguous(self, *, memory_format: Any = None) -> bool:
        """Whether the elements lie in row-major order without gaps."""
        n = self.node
        if memory_format is not None and str(memory_format) != "torch.contiguous_format":
            from facula.ops.arguments import check_memory_format

            check_memory_format("is_contiguous", memory_format)
            rank = len(n.shape)
            if {"torch.channels_last": 4, "torch.channels_last_3d": 5}.get(
                str(memory_format)
            ) == rank:
                order, s = (0, *range(2, rank), 1), self.stride()
                return is_contiguous(
                    tuple([n.shape[i] for i in order]), tuple([s[i] for i in order])
                )
            return False
        return is_contiguous(n.shape, n.strides)

    def is_floating_point(self) -> bool:
        """Whether the dtype is a real floating-point type."""
        return self.node.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the dtype is complex."""
        return self.node.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether the dtype has a sign."""
        return self.node.dtype.is_signed

    is_sparse = is_quantized = is_mkldnn = is_nested = False
    is_xpu = is_mps = is_mtia = is_ipu = is_xla = is_vulkan = is_maia = is_sparse_csr = False

    @property
    def is_meta(self) -> bool:
        return self.node.op is META

    @property
    def is_cpu(self) -> bool:
        return self.node.op is not META and self.node.device is None

    @property
    def is_cuda(self) -> bool:
        return self.node.device is not None

    def is_conj(self) -> bool:
        """Whether this is the conjugate of what is in its memory."""
        return unresolved.bits_of(self)[0]

    def is_neg(self) -> bool:
        """Whether this is the negative of what is in its memory."""
        return unresolved.bits_of(self)[1]

    def is_inference(self) -> bool:
        """Whether the tensor was made in inference mode, or is a view of one that was."""
        r = TLS.r
        if r.inference:
            r.inference.mark(r)
        base = self._base_t
        if self._inference or (base is not None and base._inference):
            return True
        return self._own is not None and self._storage._inference

    def _is_view(self) -> bool:
        return self._base is not None

    @property
    def _base(self) -> Any:
        base = self._viewed if self._base_t is None else self._base_t
        return None if base is not None and base._inference else base

    def is_set_to(self, tensor: Any) -> bool:
        """Whether both see the same elements of the same memory in the same order."""
        if not isinstance(tensor, TensorBase):
            raise TypeError(
                "is_set_to(): argument 'tensor' (position 1) must be Tensor, not "
                f"{type(tensor).__name__}"
            )
        if any((*unresolved.bits_of(self), *unresolved.bits_of(tensor))):
            return False  # PyTorch asks copies
        shared = self._storage is tensor._storage is not None
        return self is tensor or (
            shared
            and self._offset == tensor._offset
            and self.node.shape == tensor.node.shape
            and self.stride() == tensor.stride()
        )

    def data_ptr(self) -> int:
        """The address of the first element; 0 where there is none."""
        if 0 in self.node.shape or self.node.op is META:
            return 0
        own_memory(self)
        data = self._data
        if any(unresolved.bits_of(self)):
            data = unresolved.place(self._storage._data, self._chain)
        if self.node.device is not None:
            return int(data.address)
        return int(data.__array_interface__["data"][0])


def is_size(value: Any) -> bool:
    """Whether a constructor of old takes a lone argument for a size: what can be an index is one,
    NumPy's integers too, but not a bool."""
    if isinstance(value, (bool, TensorBase)):
        return False
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def is_data(value: Any) -> bool:
    """Whether a constructor of old takes its one argument for data."""
    return not isinstance(value, (str, np.generic)) and (
        isinstance(value, Sequence) or hasattr(value, "__array__") or hasattr(value, "__len__")
    )


def kind_of(value: Any) -> str:
    """The name of a value's type as messages have it."""
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
