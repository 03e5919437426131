"""Tensor: what the user holds.

A tensor's `node` says what its value is: a leaf of the trace (the buffer is in `_data`), an input
or an entry of the trace being recorded, or stale (its storage has moved on). All other attributes
have class-level defaults, so that making a tensor is cheap: see trace/README.md.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from facula import devices, dtypes, storage
from facula.autograd import graph
from facula.dtypes import can_cast
from facula.meta import META
from facula.ops import table
from facula.storage import make_view, write
from facula.trace import flight, recorder
from facula.trace.node import INPUT, LEAF, STALE, Node, contiguous_strides, is_contiguous, leaf
from facula.trace.recorder import TLS, flush

__all__ = ["Size", "Tensor", "can_cast", "from_array", "make_view", "write"]


class Size(tuple[int, ...]):
    """The shape of a tensor: a tuple that knows its number of elements."""

    __slots__ = ()

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
        return Size(tuple.__add__(self, tuple(other)))

    def __radd__(self, other: Any) -> Size:
        return Size(tuple(other) + tuple(self))

    def __mul__(self, n: Any) -> Size:
        return Size(tuple.__mul__(self, n))

    __rmul__ = __mul__


class Tensor:
    """A multi-dimensional array that records what is done with it.

    Source: https://pytorch.org/docs/stable/tensors.html
    """

    _data: Any = None
    _storage: Any = None
    _failure: Any = None  # why it has no value
    _chain: tuple[Any, ...] = ()
    _offset = 0
    _base_t: Any = None  # what this tensor is a view of, for autograd
    _own: Any = None  # the group of tensors with one history: None is the storage's own
    _counter: Any = None  # a version counter apart from the storage's, for `.data`
    _seen = 0  # the version at which a view last took its history from its base
    _multi = False  # one of several views that one operation made
    _no_grad = False  # a view made while gradients were not recorded
    _grad: Any = None
    _gfn: Any = None
    _leaf_rg = False
    _saved = False
    _acc: Any = None
    _token: Any = None
    _writes = 0
    _exported: Any = None
    _hooks: Any = None
    _post_hooks: Any = None
    _retains: Any = None  # the graph node that hands this tensor its gradient
    _inference = False
    _backward_hooks: Any = None
    names: Any = None
    node: Any
    __array_priority__ = 1000
    __hash__ = object.__hash__

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

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Legacy constructor: sizes, or data of the default dtype."""
        kwargs.pop("device", None)
        if len(args) == 1 and not isinstance(args[0], int):
            if isinstance(args[0], Tensor):
                made = args[0].detach()
            elif isinstance(args[0], Size):
                made = METHODS_EMPTY(args[0])
            else:
                made = tensor(args[0], dtype=dtypes.get_default_dtype())
        else:
            made = METHODS_EMPTY(args)
        if cls is Tensor:
            return made
        return cls._make_subclass(cls, made)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__module__.startswith("facula."):
            table.OVERRIDES.append(cls)

    @staticmethod
    def _make_subclass(cls: type, data: Tensor, require_grad: bool = False) -> Any:
        """A tensor of class `cls` that shares the data of another."""
        out: Any = object.__new__(cls)
        _share(out, data.detach())
        if require_grad:
            out.requires_grad_(True)
        return out

    def as_subclass(self, cls: type) -> Any:
        """A view of this tensor that is an instance of a subclass."""
        from facula.ops.movement import ALIAS

        out: Any = object.__new__(cls)
        _share(out, make_view(self, ALIAS, ()))
        return out

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function itself; results keep the subclass."""
        with table.without_subclasses(keep_modes=False):
            out = func(*args, **(kwargs or {}))
        if type(out) is Tensor and cls is not Tensor:
            return out.as_subclass(cls)
        return out

    # What it is.
    @property
    def shape(self) -> Size:
        return Size(self.node.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        if dim is None:
            return Size(self.node.shape)
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

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether the elements lie in row-major order without gaps."""
        n = self.node
        if memory_format is not None and str(memory_format) != "torch.contiguous_format":
            if str(memory_format) == "torch.channels_last" and len(n.shape) == 4:
                s = self.stride()
                return is_contiguous(
                    tuple(n.shape[i] for i in (0, 2, 3, 1)), tuple(s[i] for i in (0, 2, 3, 1))
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
    _is_view_cache = None

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
        """Always False: conjugation is not lazy here."""
        return False

    is_neg = is_inference = is_conj

    def _is_view(self) -> bool:
        return self._base_t is not None

    @property
    def _base(self) -> Any:
        return self._base_t

    def data_ptr(self) -> int:
        """The address of the first element; 0 where there is none."""
        if 0 in self.node.shape or self.node.op is META:
            return 0
        own_memory(self)
        if self.node.device is not None:
            return int(self._data.address)
        return int(self._data.ctypes.data)

    # Autograd.
    @property
    def requires_grad(self) -> bool:
        if self._leaf_rg or self._gfn is not None:
            return True
        base = self._base_t
        if base is not None:  # a view requires grad where its base does, even without a history
            return self.node.rg or base.requires_grad
        if self.node.op is STALE:
            storage.rederive(self)
            return self.node.rg or self._gfn is not None
        return self.node.rg

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Begin (or end) recording what is done with this leaf."""
        if requires_grad and self.node.dtype.category < dtypes.FLOAT:
            raise RuntimeError(
                "only Tensors of floating point and complex dtype can require "
                f"gradients, got {self.node.dtype}"
            )
        if requires_grad and self.requires_grad:
            return self
        # A view that never had a history, or that nobody has asked for the one of its base.
        bare = self._base_t is not None and self._gfn is None
        bare = bare and (self._no_grad or not self.node.rg)
        if not requires_grad and not (bare or self.is_leaf):
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you "
                "want to use a computed variable in a subgraph that doesn't "
                "require differentiation use var_no_grad = var.detach()."
            )
        if requires_grad == self._leaf_rg or (bare and not requires_grad) or not self.is_leaf:
            return self
        if self.node.op is META:
            n = self.node
            self._leaf_rg = requires_grad
            self.node = Node(META, n.shape, n.dtype, n.strides, n.offset, requires_grad)
            return self
        realise(self)
        if not requires_grad:
            flush()  # what was recorded knows this tensor as a leaf that wants a gradient
        self._leaf_rg = requires_grad
        n = self.node
        self.node = leaf(n.shape, n.dtype, n.strides, requires_grad, n.device)
        return self

    @property
    def is_leaf(self) -> bool:
        if self.node.op is STALE:
            storage.rederive(self)
        elif self._base_t is not None and not self.node.rg:
            self._awaken()
        n = self.node
        return self._leaf_rg or not n.rg or (n.op in (LEAF, INPUT) and self._gfn is None)

    @property
    def grad_fn(self) -> Any:
        if self._leaf_rg:
            return None
        return self._edge() if self.requires_grad else None

    @property
    def grad(self) -> Any:
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of "
                    f"type {type(value).__name__}"
                )
            if value is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if value.node.shape != self.node.shape:
                raise RuntimeError(
                    f"assigned grad has data of a different size: expected "
                    f"{list(self.node.shape)}, got {list(value.node.shape)}"
                )
            if value.node.dtype is not self.node.dtype:
                raise RuntimeError(
                    f"assigned grad has data of a different type: expected "
                    f"{self.node.dtype}, got {value.node.dtype}"
                )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def output_nr(self) -> int:
        return 0

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add the gradients of this tensor to the `.grad` of the leaves it depends on."""
        global _backward
        if _backward is None:
            from facula.autograd.engine import backward

            _backward = backward
        _backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def detach(self) -> Tensor:
        """A tensor of the same memory that does not require grad."""
        from facula.ops.movement import DETACH

        return make_view(self, DETACH, ())

    def detach_(self) -> Any:
        """Cut this tensor off from its history."""
        if self._base_t is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        if self.node.op is META:
            _replace(self, self.detach())
            self.requires_grad_(False)
        elif self.requires_grad:
            realise(self)
            flush()  # what was recorded knows this tensor with its history
            held = self if self._storage is None else self._storage
            if held._token is not None:
                held._token.detached = True
            self._leaf_rg = False
            self._gfn = None
            n = self.node
            self.node = leaf(n.shape, n.dtype, n.strides, device=n.device)
            if self._storage is not None:
                storage.forget(self)
        return self

    @property
    def data(self) -> Tensor:
        from facula.ops.movement import DETACH

        v = make_view(self, DETACH, "data")
        if v.node.op is META:
            return v
        v._counter = storage.Counter()  # autograd does not see what is written through it
        if v.node.op is not LEAF:
            storage.mark(v)
        return v

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        if self.requires_grad and value.node.dtype.category < dtypes.FLOAT:
            raise RuntimeError(
                "data set to a tensor that requires gradients must be floating point or complex "
                f"dtype, got {value.node.dtype}"
            )
        if META in (self.node.op, value.node.op):
            _replace(self, value.detach())
            return
        v = realise(value.detach())
        realise(self)
        flush()  # what was saved of the old memory is to be tied to this tensor's version
        storage.move(self, v, self._version, self._gfn)

    def retain_grad(self) -> None:
        """Keep the gradient of this non-leaf in `.grad`."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self._leaf_rg or (self._no_grad and self._gfn is None) or self._retains is not None:
            return
        edge = self._edge()
        if isinstance(edge, graph.GradNode):
            edge.retain = weakref.ref(self)
            self._retains = edge

    @property
    def retains_grad(self) -> bool:
        return self._retains is not None

    def register_hook(self, hook: Any) -> Any:
        """Call hook(grad) when the gradient of this tensor is complete; it may return another."""
        from facula.autograd.hooks import add_hook

        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self._leaf_rg:
            return add_hook(self, "_hooks", hook)
        return add_hook(self._edge() or graph.GradNode(), "tensor_hooks", hook)

    def _edge(self) -> Any:
        """Where gradients go; None for a view that only its base makes require grad."""
        if self.node.op is STALE:
            storage.rederive(self)
        elif self._base_t is not None and not self.node.rg:
            self._awaken()
        return graph.edge_of(self)

    def register_post_accumulate_grad_hook(self, hook: Any) -> Any:
        """Call hook(tensor) after a leaf's `.grad` has been updated."""
        from facula.autograd.hooks import add_hook

        if not self.requires_grad or self.grad_fn is not None:
            raise RuntimeError(
                "post accumulate grad hooks cannot be registered on non-leaf tensors"
            )
        return add_hook(self, "_post_hooks", hook)

    # Storage.
    def _rederive(self, linked: bool = True) -> Any:
        return storage.rederive(self, linked and TLS.r.grad)

    def _awaken(self) -> None:
        """Let a view without a history require grad where its base does.

        Nothing flows there, unless the memory was written since: then it has its base's history.
        """
        if not self._base_t.requires_grad:
            return
        if self._seen != storage.version_of(self):
            storage.rederive(self)
        else:
            realise(self)
            n = self.node
            self.node = leaf(n.shape, n.dtype, n.strides, True, n.device)

    def _settle_alias(self) -> None:
        if self.node.op is not STALE:
            storage.settle_alias(self)

    @property
    def _version(self) -> int:
        return storage.version_of(self)

    # Values.
    def numpy(self, *, force: bool = False) -> Any:
        """The values as a NumPy array that shares the tensor's memory."""
        if self.node.op is META:
            raise TypeError(
                "can't convert meta device type tensor to numpy. Use Tensor.cpu() to copy the "
                "tensor to host memory first."
            )
        if force:
            return self.detach().cpu().numpy()
        if self.node.device is not None:
            raise TypeError(
                f"can't convert {self.node.device} device type tensor to numpy. Use Tensor.cpu() "
                "to copy the tensor to host memory first."
            )
        if self.requires_grad and TLS.r.grad:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use "
                "tensor.detach().numpy() instead."
            )
        owner = own_memory(self)
        if in_use(owner):
            flush()  # what is pending reads this memory: before NumPy code can write to it
        base = _lend(owner)
        if owner is self:
            return base[...]
        if self._data is None or not np.may_share_memory(self._data, base):
            storage.settle_alias(self)
        for op, params in self._chain:
            seen = op.body(params, (), base)
            if base.flags.writeable and not seen.flags.writeable:  # PyTorch's broadcasts are
                seen = np.lib.stride_tricks.as_strided(base, seen.shape, seen.strides)
            base = seen
        return base

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        a = self.numpy()
        if dtype is not None and a.dtype != dtype:
            return a.astype(dtype)
        return a.copy() if copy else a

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return from_array(np.asarray(array))

    def item(self) -> Any:
        """The single value, as a Python number."""
        if self.numel() != 1:
            raise RuntimeError(
                f"a Tensor with {self.numel()} elements cannot be converted to Scalar"
            )
        if self.node.op is META:
            raise RuntimeError("Tensor.item() cannot be called on meta tensors")
        a = values(self)
        return float(a.reshape(-1)[0]) if a.dtype == dtypes.bfloat16.np else a.item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        a = values(self)
        return (a.astype(np.float32) if a.dtype == dtypes.bfloat16.np else a).tolist()

    def __bool__(self) -> bool:
        n = self.numel()
        if n != 1:
            raise RuntimeError(
                "Boolean value of Tensor with "
                + ("no values" if n == 0 else "more than one value")
                + " is ambiguous"
            )
        return bool(self.item())

    def __float__(self) -> float:
        return float(self._number("float"))

    def __int__(self) -> int:
        return int(self._number("int"))

    def __complex__(self) -> complex:
        return complex(self._number("complex"))

    def _number(self, kind: str) -> Any:
        if self.numel() != 1:
            raise ValueError(
                f"{kind}(): only one element tensors can be converted to Python scalars, got shape "
                f"{list(self.node.shape)}"
            )
        return self.item()

    def __index__(self) -> int:
        if self.node.dtype.category > dtypes.INT or self.numel() != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __len__(self) -> int:
        if not self.node.shape:
            raise TypeError("len() of a 0-d tensor")
        return self.node.shape[0]

    def __iter__(self) -> Any:
        if not self.node.shape:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __contains__(self, value: Any) -> bool:
        if not isinstance(value, (Tensor, int, float, complex, np.generic)):
            raise RuntimeError(
                "Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
                f"{type(value)}."
            )
        same: Any = self == value
        return bool(same.any())

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        from facula.printing import meta_str, tensor_str

        rg = self.requires_grad
        name = None
        try:
            fn = self.grad_fn
        except RuntimeError:  # the rules of views forbid it a history (`storage.forbid`)
            name = "Invalid"
        else:
            if fn is not None:
                name = fn.name() if hasattr(fn, "name") else type(fn).__name__
        if self.node.op is META:
            return meta_str(self, None if self._leaf_rg else name)
        shown = values(self)
        where = str(self.device)
        name_ = self.node.dtype._name
        return tensor_str(shown, name_, requires_grad=rg, grad_fn_name=name, device=where)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from facula.notebook.html import tensor

        return tensor(self)

    def __format__(self, spec: str) -> str:
        if not self.node.shape and self.node.op is not META:
            return format(self.item(), spec)
        return object.__format__(self, spec)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if not self.is_leaf:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support "
                "the deepcopy protocol at the moment."
            )
        if id(self) in memo:
            return memo[id(self)]
        if self.node.op is META:
            made = self.detach()
            out = made if type(self) is Tensor else Tensor._make_subclass(type(self), made)
            memo[id(self)] = out
            return out.requires_grad_(self.requires_grad)
        realise(self)
        out = object.__new__(type(self))
        n = self.node
        rg = self.requires_grad  # a view has it from its base
        if self._storage is None:
            out._data = recorder.duplicate(self._data, n.strides)
        else:  # what shares memory goes on sharing it
            _share(out, storage.copied_view(self, memo))
        out.node = leaf(n.shape, n.dtype, n.strides, rg, n.device)
        out._leaf_rg = rg
        memo[id(self)] = out
        if self._grad is not None:
            out._grad = self._grad.__deepcopy__(memo)
        for k, v in self.__dict__.items():
            if not k.startswith("_") and k != "node":
                import copy

                out.__dict__[k] = copy.deepcopy(v, memo)
        return out

    def __reduce_ex__(self, protocol: Any) -> Any:
        if not self.is_leaf:
            raise RuntimeError("Only graph leaves can be pickled; call detach() first")
        if self.node.op is META:
            n = self.node
            return _rebuild_meta, (type(self), tuple(n.shape), n.dtype, n.strides, self._leaf_rg)
        a = np.ascontiguousarray(values(self))
        return _rebuild, (
            type(self),
            a.tobytes(),
            self.node.dtype,
            tuple(self.node.shape),
            self._leaf_rg,
        )

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: Any = None,
        dl_device: Any = None,
        copy: bool | None = None,
    ) -> Any:
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return self.numpy().__dlpack__(max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        """The Python array API standard's functions for this tensor."""
        from facula import array_api

        return array_api.namespace(api_version)

    def to_device(self, device: Any, /, *, stream: Any = None) -> Any:
        """This tensor, on the device where it is: there is one."""
        if stream is not None:
            raise ValueError(f"to_device(): the CPU has no streams, got {stream!r}")
        return self.to(device)


_backward: Any = None
DEFAULT = Tensor.__torch_function__.__func__  # type: ignore[attr-defined]
METHODS_EMPTY: Any = None
tensor: Any = None


def _new() -> Tensor:
    return object.__new__(Tensor)


def _share(out: Tensor, source: Tensor) -> None:
    """Give `out` the value and memory of another tensor."""
    if source.node.op is META:
        n = source.node
        out.node = Node(META, n.shape, n.dtype, n.strides, n.offset)
        return
    if source._storage is None:
        raise AssertionError("memory is shared through a storage: give _share a view")
    for k, v in source.__dict__.items():
        if k not in ("_acc", "_grad", "_hooks"):
            out.__dict__[k] = v
    out._storage.aliases.append(weakref.ref(out))
    if out.node.op is not LEAF and out.node.op is not STALE:
        TLS.r.add(out)


def own_memory(t: Any) -> Any:
    """Realise t, in memory that is its own and its aliases'; returns who holds that memory.

    A constant of a program lies in memory that can't be written, once for all tensors that hold it.
    """
    realise(t)
    owner = t if t._storage is None else t._storage
    if owner.node.device is None and not owner._data.flags.writeable:
        move_memory(owner, owner._data.copy(order="K"))
    return owner


def move_memory(owner: Any, data: Any) -> None:
    """Let a realised tensor or storage, and its aliases, lie in the memory of `data`, its copy."""
    owner._data = data
    for ref in _aliases(owner):
        a = ref()
        if a is not None and a.node.op in (LEAF, INPUT):
            part = data
            for op, params in a._chain:
                part = op.body(params, (), part)
            a._data = part


def _rebuild(cls: type, raw: bytes, dtype: Any, shape: tuple[int, ...], rg: bool) -> Any:
    t = from_array(np.frombuffer(bytearray(raw), dtype.np).reshape(shape))
    if cls is not Tensor:
        return Tensor._make_subclass(cls, t, rg)
    return t.requires_grad_(rg)


def _rebuild_meta(cls: type, shape: Any, dtype: Any, strides: Any, rg: bool) -> Any:
    t = _new()
    t.node = Node(META, shape, dtype, strides)
    if cls is not Tensor:
        return Tensor._make_subclass(cls, t, rg)
    return t.requires_grad_(rg)


def _replace(t: Any, v: Any) -> None:
    """Let t be what v is, where one of them has no data; what t requires stays."""
    rg = t._leaf_rg
    for k in ("_data", "_storage", "_chain", "_offset", "_base_t", "_own", "_counter", "_exported"):
        t.__dict__.pop(k, None)
    t._leaf_rg, t._gfn = False, None
    _share(t, v)
    if rg:
        t.requires_grad_(True)


def realise(t: Any) -> Any:
    """Make the tensor's values present in `_data`."""
    while True:
        node = t.node
        op = node.op
        if op is LEAF or op is INPUT:
            if flight.CURRENT is not None:
                flight.CURRENT.settle(t._data)
            return t
        if op is STALE:
            u = storage.rederive(t, False)
            if u is not t:  # a view without a valid history: the value alone
                t._data = realise(u)._data
                return t
        elif node.rec is TLS.r:
            flush(node.rec)
            if t.node is node:  # it was not among the handles of the frame
                raise AssertionError(
                    f"facula: a {node.dtype} tensor of shape {list(node.shape)} belongs to a frame "
                    "of the trace that has ended; please report how it was made"
                )
        else:
            s = recorder._foreign(t)
            if t.node is node:
                return s


def values(t: Any) -> Any:
    """The values as an array of the CPU, to be read and not kept."""
    a = realise(t)._data
    return a if a.__class__ is np.ndarray else a.download()


def present(t: Any) -> Any:
    """The values of t as an array to read, if they are there already, in the host's memory."""
    if (t.node.op is not LEAF and t.node.op is not INPUT) or t.node.device is not None:
        return None
    if flight.CURRENT is not None:
        flight.CURRENT.settle(t._data, reading=True)
    return t._data


def _aliases(owner: Any) -> list[Any]:
    """References to the tensors that lie in a storage; a tensor without one has none."""
    return owner.aliases if owner.__class__ is storage.Storage else []


def in_use(owner: Any) -> bool:
    """Whether the frame being recorded reads the memory of a tensor or storage."""
    seen = [owner, *[ref() for ref in _aliases(owner)]]
    if any([t is not None and t.node.op is not LEAF and t.node.op is not STALE for t in seen]):
        return True
    return any([t is owner or t._storage is owner for t, _, _ in TLS.r.inputs])


def _lend(owner: Any) -> Any:
    """The array of a tensor or storage, for NumPy code to hold.

    Every array that is made of it keeps alive what `owner._exported` refers to.
    """
    base = owner._data
    lent = None if owner._exported is None else owner._exported()
    if lent is not None:
        return lent if lent.shape == base.shape and lent.strides == base.strides else base
    # An array whose own base is no array: NumPy's views of views would skip any other.
    lent = np.lib.stride_tricks.as_strided(base, base.shape, base.strides)
    owner._exported = weakref.ref(lent)
    for x in (owner, *[ref() for ref in _aliases(owner)]):
        counted = x if x is None or x._counter is None else x._counter
        if counted is not None and counted._token is not None:
            counted._token.lent = owner._exported
    return lent


def from_array(a: Any, owned: bool = True) -> Tensor:
    """A tensor over a NumPy array's memory, without copying."""
    t = _new()
    d = dtypes.from_np(a.dtype)
    if not a.dtype.isnative:
        a = a.astype(d.np)
    strides = None
    if not a.flags.c_contiguous:
        if any([s < 0 for s in a.strides]):
            raise ValueError(
                "At least one stride in the given numpy array is negative, and "
                "tensors with negative strides are not supported; copy the array "
                "first: array.copy()"
            )
        if any([s % a.itemsize for s in a.strides]):
            a = np.ascontiguousarray(a)
        else:
            strides = tuple([s // a.itemsize for s in a.strides])
    t.node = leaf(a.shape, d, strides)
    t._data = a
    if not owned:
        owner = a
        while type(owner.base) is np.ndarray:
            owner = owner.base
        t._exported = weakref.ref(owner)
        t._data = a[...]
    return t


def wrap_dim(dim: Any, rank: int) -> int:
    """A dimension counted from the front; IndexError out of range."""
    n = rank or 1
    if -n <= dim < n:
        return dim + n if dim < 0 else dim
    raise IndexError(
        f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
    )


def check_in_place(t: Any, name: str, distinct: bool = True) -> None:
    """The rules for writing to a tensor while operations are recorded for autograd.

    `distinct`: whether elements that share memory are forbidden.
    """
    if TLS.r.grad:
        if t._leaf_rg:
            raise RuntimeError(
                f"{name}: a leaf Variable that requires grad is being used in an "
                f"in-place operation. (a {t.dtype} tensor of shape "
                f"{list(t.shape)})"
            )
        if t._base_t is not None and t.requires_grad:
            if t._base_t.is_leaf:
                raise RuntimeError(
                    f"{name}: a view of a leaf Variable that requires grad is being "
                    "used in an in-place operation."
                )
            if t._multi or t._no_grad:
                storage.forbid(t, f"and is being modified inplace by {name}")
            unasked = not t.node.rg and t._gfn is None
            if unasked and (t.node.op is STALE or t._seen != storage.version_of(t)):
                # Its base got a history since it was made, and nobody has asked for its own.
                raise RuntimeError(
                    f"{name}: a leaf Variable that requires grad is being used in an in-place "
                    f"operation. (a {t.dtype} view of shape {list(t.shape)}, of memory that "
                    "requires grad since it was made)"
                )
    if distinct:
        check_distinct(t, name)


def forbidden(args: tuple[Any, ...]) -> None:
    """RuntimeError for a view that the rules of views forbid a history: it comes before others."""
    for t in args:
        if isinstance(t, Tensor) and t._base_t is not None and (t._multi or t._no_grad):
            if TLS.r.grad and t.requires_grad:
                t._edge()


def check_distinct(t: Any, name: str) -> None:
    """RuntimeError where several elements of a tensor to be written are known to be one."""
    s = t.node.strides
    if (
        s is not None
        and 0 in s
        and 0 not in t.node.shape
        and any([st == 0 and n > 1 for st, n in zip(s, t.node.shape, strict=True)])
    ):
        raise RuntimeError(
            f"{name}: unsupported operation: more than one element of the "
            "written-to tensor refers to a single memory location. Please "
            "clone() the tensor before performing the operation."
        )


def check_overlap(t: Any, others: Any, name: str, same: bool = True) -> None:
    """RuntimeError where an operand shares a part of the memory that is to be written.

    An operand that is the written tensor, element for element, is allowed if `same` says so.
    """
    if t._storage is None and same:
        return  # alone in its memory
    for o in others:
        if isinstance(o, Tensor) and (o is t or o._storage is t._storage is not None):
            if o is t:
                bad = not same
            else:
                n, m = t.node, o.node
                if not (_fills(n) and _fills(m)):
                    continue
                i, j, size, other = t._offset, o._offset, t.numel(), o.numel()
                if i == j and size == other:
                    bad = not same or t.stride() != o.stride()
                else:
                    bad = i < j + other and j < i + size
            if bad:
                raise RuntimeError(
                    f"{name}: unsupported operation: some elements of the input tensor and the "
                    "written-to tensor refer to a single memory location. Please clone() the "
                    "tensor before performing the operation."
                )


def _fills(n: Any) -> bool:
    """Whether the elements lie without gaps and overlaps, in whatever order of dimensions."""
    if 0 in n.shape:
        return False
    if n.strides is None:
        return True
    step = 1
    for s, k in sorted([(s, k) for s, k in zip(n.strides, n.shape, strict=True) if k != 1]):
        if s != step:
            return False
        step *= k
    return True


def replace(t: Any, value: Any, name: str) -> Any:
    """Store the result of an in-place operation; returns t."""
    n, v = t.node, value.node
    if v.shape != n.shape:
        raise RuntimeError(
            f"{name}: output with shape {list(n.shape)} doesn't match the broadcast "
            f"shape {list(v.shape)}"
        )
    if v.dtype is not n.dtype:
        if not can_cast(v.dtype, n.dtype):
            raise RuntimeError(
                f"{name}: result type {v.dtype} can't be cast to the desired output type {n.dtype}"
            )
        value = value.to(n.dtype)
    write(t, value)
    return t


def resize(t: Any, shape: tuple[int, ...], strides: tuple[int, ...] | None = None) -> None:
    """Give a tensor another shape and layout; what it held is lost (the `out=` rule)."""
    if t.numel() and t.shape != shape:
        import warnings

        warnings.warn(
            f"An output with one or more elements was resized since it had shape "
            f"{list(t.shape)}, which does not match the required output shape "
            f"{list(shape)}.",
            UserWarning,
            stacklevel=4,
        )
    if t.node.op is META:
        t.node = Node(META, shape, t.dtype, strides)
        return
    rg = t.requires_grad  # which it goes on to do
    edge = t._edge() if rg and not t._leaf_rg else None
    zeros = np.zeros(shape, t.dtype.np)
    new = from_array(zeros if strides is None else recorder.relayout(zeros, strides))
    for k in ("_storage", "_chain", "_offset", "_exported", "_base_t", "_own", "_counter"):
        t.__dict__.pop(k, None)
    t._gfn, t._data = edge, new._data
    t.node = leaf(shape, new.node.dtype, new.node.strides, rg)


recorder._new_tensor = _new
recorder._graph = graph
graph._new_tensor = _new
table.PLAIN.add(Tensor)
table._tensor = __import__("sys").modules[__name__]
