"""Tensor: what the user holds."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from facula import dtypes, pickling, sharing, storage, unresolved, views
from facula.autograd import graph, later, nodes
from facula.meta import META
from facula.ops import storing, table
from facula.tensor_base import Size, TensorBase, is_data, is_size, kind_of
from facula.trace import recorder, settling
from facula.trace.node import INPUT, LEAF, STALE, Node, Other, leaf
from facula.trace.recorder import TLS, flush
from facula.values import from_array, lent_view, realise, single, values
from facula.views import make_view

__all__ = ["Tensor"]


class Tensor(TensorBase):
    """A multi-dimensional array that records what is done with it.

    Source: https://pytorch.org/docs/stable/tensors.html
    """

    __array_priority__ = 1000
    __hash__ = object.__hash__

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Legacy constructor: sizes, or data of the default dtype."""
        where = kwargs.pop("device", None)
        if where is not None:
            from facula.devices import device

            if device(where).type != "cpu":
                raise RuntimeError(
                    f"{cls.__name__}(): legacy constructor expects device type: cpu but device "
                    f"type: {device(where).type} was passed"
                )
        if not args and len(kwargs) == 1 and kwargs.keys() <= {"data", "other", "size"}:
            args = (kwargs.popitem()[1],)
        if kwargs:
            raise TypeError(
                f"{cls.__name__}(): the legacy constructor takes sizes or data and no "
                f"{', '.join(kwargs)}; tensor() takes data and options"
            )
        if len(args) == 1 and not is_size(args[0]):
            if isinstance(args[0], Tensor):
                return Tensor.as_subclass(args[0], cls)  # history and all
            if isinstance(args[0], Size):
                made = METHODS_EMPTY(args[0])
            else:
                if not is_data(args[0]):
                    raise TypeError(f"new(): data must be a sequence (got {kind_of(args[0])})")
                made = tensor(args[0], dtype=dtypes.get_default_dtype())
        else:
            made = METHODS_EMPTY(args or (0,))
        if cls is Tensor:
            return made
        return cls._make_subclass(cls, made)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__module__.startswith("facula."):
            table.CLASSES.add(cls)
            table.OVERRIDES.append(cls)
            if "__torch_function__" in vars(cls) and "grad" not in vars(cls):
                cls.grad = _asked("grad")  # type: ignore[method-assign,assignment]

    @staticmethod
    def _make_subclass(cls: type, data: Tensor, require_grad: bool = False) -> Any:
        """A tensor of class `cls` that shares the data of another."""
        out: Any = object.__new__(cls)
        from facula.ops.movement import DETACH

        sharing.share(out, make_view(data, DETACH, ()))
        if require_grad:
            out.requires_grad_(True)
        return out

    def module_load(self, other: Tensor, assign: bool = False) -> Tensor:
        """What `load_state_dict` swaps this parameter with, where `torch.__future__` says so."""
        return other.detach() if assign else self.copy_(other).detach()

    def as_subclass(self, cls: type) -> Any:
        """A view of this tensor that is an instance of a subclass."""
        from facula.ops.movement import ALIAS

        out: Any = object.__new__(cls)
        sharing.share(out, make_view(self, ALIAS, ()))
        return out

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function itself; results, and those in tuples and lists, keep the subclass."""
        if not all([issubclass(cls, t) for t in types]):
            return NotImplemented
        with table.without_subclasses(keep_modes=False):
            out = func(*args, **(kwargs or {}))
        # A gradient is what it is, in PyTorch too.
        return out if func == _grad_of else _kept(out, cls)

    # Autograd.
    @property
    def requires_grad(self) -> bool:
        if self._leaf_rg or self._gfn is not None:
            return True
        base = self._base_t
        if base is not None:  # a view requires grad where its base does, even without a history
            return self.node.rg or base.requires_grad
        if self.node.op is STALE:
            views.rederive(self)
            return self.node.rg or self._gfn is not None
        if self._viewed is not None and not self.node.rg:  # as it did before `.data =`
            return self._viewed.requires_grad  # type: ignore[no-any-return]
        return self.node.rg

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise RuntimeError(f"requires_grad must be a bool, not {type(value).__name__}")
        if value and not self.is_leaf:  # also where it requires grad already
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables; this is the result of "
                f"{self.grad_fn}"
            )
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Begin (or end) recording what is done with this leaf."""
        if requires_grad.__class__ is not bool:
            raise TypeError(
                "requires_grad_(): argument 'requires_grad' must be bool, not "
                f"{type(requires_grad).__name__}"
            )
        if requires_grad and self._inference and not TLS.r.inference:
            raise RuntimeError(
                "Setting requires_grad=True on inference tensor outside InferenceMode is not "
                f"allowed. (a {self.dtype} tensor of shape {list(self.shape)})"
            )
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
            storage.sleep(self)
        self._leaf_rg = requires_grad
        n = self.node
        self.node = leaf(n.shape, n.dtype, n.strides, requires_grad, n.device)
        if requires_grad and self._storage is not None:
            storage.wake_leaves(self)
        return self

    @property
    def is_leaf(self) -> bool:
        if self.node.op is STALE:
            views.rederive(self)
        elif self._base_t is not None and not self.node.rg:
            self._awaken()
        n = self.node
        return self._leaf_rg or not n.rg or (n.op in (LEAF, INPUT) and self._gfn is None)

    @property
    def grad_fn(self) -> Any:
        if self._leaf_rg:
            if self._base_t is None or self.node.op is not STALE:
                return None
            views.rederive(self)  # its base may have a history since
            if self._leaf_rg:
                return None
        return nodes.shown(self._edge()) if self.requires_grad else None

    @property
    def grad(self) -> Any:
        if self._grad is None and self.node.rg and not self._leaf_rg and self._retains is None:
            if self._gfn is not None or self.node.op not in (LEAF, INPUT, STALE):
                graph.warn_of_no_leaf(self)
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
        return nodes.output_of(self._edge()) if self.requires_grad else 0

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add the gradients of this tensor to the `.grad` of the leaves it depends on."""
        global _backward, _follow
        if _backward is not None:
            if gradient is retain_graph is inputs is None and create_graph is False:
                if TLS.dual is None and _follow(TLS.r, self.node):  # the usual call
                    return
        else:
            from facula.autograd.calls import backward
            from facula.autograd.replay import follow

            _backward, _follow = backward, follow
        _backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def detach(self) -> Tensor:
        """A tensor of the same memory that does not require grad."""
        from facula.ops.movement import DETACH

        if table.OVERRIDES:
            done = table.dispatch(Tensor.detach, (self,), {})
            if done is not NotImplemented:
                return done
        return make_view(self, DETACH, ())

    def detach_(self) -> Any:
        """Cut this tensor off from its history."""
        if self._base is not None or self._fixed:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        if self.node.op is META:
            sharing.become(self, self.detach())
            self.requires_grad_(False)
        elif self.requires_grad:
            sharing.cut_off(self)
        return self

    @property
    def data(self) -> Tensor:
        from facula.ops.movement import DETACH

        if table.OVERRIDES:
            done = table.dispatch(_data_of, (self,), {})
            if done is not NotImplemented:
                return done
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
            sharing.become(self, value.detach())
            return
        if sharing.same_place(self, value):  # `x.data -= y`: it has been written already
            return
        v = realise(value.detach())
        realise(self)
        if self._storage is not None and self.requires_grad:
            views.look_all(self)
        flush()  # what was saved of the old memory is to be tied to this tensor's version
        sharing.move(self, v, self._version, self._gfn)

    def retain_grad(self) -> None:
        """Keep the gradient of this non-leaf in `.grad`."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self._leaf_rg or self._retains is not None:
            return
        viewed = self._no_grad or (self._base_t is not None and not self.node.rg)
        if viewed and self._gfn is None:  # nobody has asked for its history: it counts as a leaf
            return
        edge = self._edge()
        if isinstance(edge, nodes.GradNode):
            edge.retain = weakref.ref(self)
            self._retains = edge
            views.mark_hooked(self)

    @property
    def retains_grad(self) -> bool:
        return self._retains is not None

    def register_hook(self, hook: Any) -> Any:
        """Call hook(grad) when the gradient of this tensor is complete; it may return another."""
        from facula.autograd.hooks import add_hook

        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self._leaf_rg and self._base_t is not None and self.node.op is STALE:
            views.rederive(self)  # its base may have a history since
        if self._leaf_rg:
            return add_hook(self, "_hooks", hook)
        views.mark_hooked(self)
        return add_hook(self._edge() or nodes.GradNode(), "tensor_hooks", hook)

    def _edge(self) -> Any:
        """Where gradients go; None for a view that only its base makes require grad."""
        if self.node.op is STALE:
            views.rederive(self)
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
        return views.rederive(self, linked and TLS.r.grad)

    def _awaken(self) -> None:
        """Let a view without a history require grad where its base does.

        Nothing flows there, unless the memory was written since: then it has its base's history.
        """
        if not self._base_t.requires_grad:
            return
        if self._seen != storage.version_of(self):
            views.rederive(self)
        else:
            realise(self)
            n = self.node
            self.node = leaf(n.shape, n.dtype, n.strides, True, n.device)

    def _settle_alias(self) -> None:
        if self.node.op is not STALE:
            views.settle_alias(self)

    @property
    def _version(self) -> int:
        return storage.version_of(self)

    # Values.
    def numpy(self, *, force: bool = False) -> Any:
        """The values as a NumPy array that shares the tensor's memory."""
        node = self.node
        if node.op is META:
            raise TypeError(
                "can't convert meta device type tensor to numpy. Use Tensor.cpu() to copy the "
                "tensor to host memory first."
            )
        if force is not False:
            if force is not True:
                name = type(force).__name__
                raise TypeError(f"numpy(): argument 'force' must be bool, not {name}")
            return self.detach().cpu().resolve_conj().resolve_neg().numpy()
        if node.device is not None:
            raise TypeError(
                f"can't convert {self.node.device} device type tensor to numpy. Use Tensor.cpu() "
                "to copy the tensor to host memory first."
            )
        if TLS.r.grad and self.requires_grad:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use "
                "tensor.detach().numpy() instead."
            )
        unresolved.check("numpy", self)
        return lent_view(self)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        a = self.numpy()
        if dtype is not None and a.dtype != dtype:
            return a.astype(dtype)
        return a.copy() if copy else a

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        a = np.asarray(array)
        return from_array(a.astype(np.uint8) if a.dtype == bool else a)  # as in PyTorch

    def __delitem__(self, index: Any) -> None:
        raise TypeError("Tensor does not support deleting items")

    def item(self) -> Any:
        """The single value, as a Python number."""
        n = self.node
        if n.shape and self.numel() != 1:
            raise RuntimeError(
                f"a Tensor with {self.numel()} elements cannot be converted to Scalar"
            )
        if n.op is META:
            raise RuntimeError("Tensor.item() cannot be called on meta tensors")
        a = single(self)
        return float(a.reshape(-1)[0]) if n.dtype is dtypes.bfloat16 else a.item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        a = values(self)
        return (a.astype(np.float32) if a.dtype == dtypes.bfloat16.np else a).tolist()

    def __bool__(self) -> bool:
        n = self.numel() if self.node.shape else 1
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
        if self.node.shape and self.numel() != 1:
            raise ValueError(
                f"{kind}(): only one element tensors can be converted to Python scalars, got shape "
                f"{list(self.node.shape)}"
            )
        number = self.item()
        if number.__class__ is complex and kind != "complex":
            if number.imag:
                raise RuntimeError(
                    f"{kind}(): value cannot be converted to a real number without overflow: "
                    f"{number}"
                )
            return number.real
        return number

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

    def __reversed__(self) -> Any:
        return self if not self.node.shape else self.flip(0)

    def __contains__(self, value: Any) -> bool:
        if not isinstance(value, (Tensor, int, float, complex, np.generic)):
            raise RuntimeError(
                "Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
                f"{type(value)}."
            )
        same: Any = self == value
        return bool(same.any())

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        from facula.printing import text_of

        return text_of(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from facula.notebook.html import tensor

        return tensor(self)

    def __format__(self, spec: str) -> str:
        if not self.node.shape and self.node.op is not META:
            return format(self.item(), spec)
        return object.__format__(self, spec)

    def __copy__(self) -> Any:
        """A leaf that shares the memory, not the gradient or the version counter."""
        if self.node.op.__class__ is Other:
            return self.detach().requires_grad_(self.requires_grad)
        with table.without_subclasses(keep_modes=False):
            out = self.data
        if type(self) is not Tensor:
            out = Tensor._make_subclass(type(self), out)
        if self.__dict__:
            out.__dict__.update(self.__dict__)
        return out.requires_grad_() if self.requires_grad else out

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return sharing.deep_copy(self, memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # Tensor has another module where it stands for PyTorch's; a pickle is read in both.
        return pickling.reduced(self, None if type(self) is Tensor else type(self))

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
        if self.is_conj():
            raise BufferError("Can't export tensors with the conjugate bit set")
        if self.is_sparse:
            raise BufferError("Can't export tensors with layout other than torch.strided")
        if type(stream) is not int and stream is not None:
            raise TypeError(f"stream must be int or None, not {type(stream).__name__}")
        from facula.capsules import exported

        array, how = self.numpy(), {"max_version": max_version, "dl_device": dl_device}
        return exported(array, self.dtype, copy=copy, **how)

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
_follow: Any = None
DEFAULT = Tensor.__torch_function__.__func__  # type: ignore[attr-defined]
METHODS_EMPTY: Any = None
tensor: Any = None


_data_of = Tensor.__dict__["data"].__get__
_grad_of = Tensor.__dict__["grad"].__get__


def _asked(name: str) -> Any:
    """A property of Tensor's as one of a subclass that has a `__torch_function__` of its own."""
    of = Tensor.__dict__[name]

    def ask(what: Any, self: Any, *value: Any) -> Any:
        if type(self) not in table.OVERRIDES:
            return what(self, *value)
        from facula.overrides import handle_torch_function

        return handle_torch_function(what, (self,), self, *value)

    get, put, drop = [partial(ask, f) for f in (of.__get__, of.__set__, of.__delete__)]
    return property(get, put, drop)


def _kept(out: Any, cls: type) -> Any:
    """The result of a function as one of the subclass that its operand had."""
    if isinstance(out, Tensor):
        return out if cls is Tensor or isinstance(out, cls) else out.as_subclass(cls)
    if isinstance(out, (tuple, list)) and any([isinstance(t, (Tensor, tuple, list)) for t in out]):
        return type(out)([_kept(t, cls) for t in out])
    return out


_new: Callable[[], Tensor] = partial(object.__new__, Tensor)


recorder._new_tensor = _new
settling._graph = graph
settling._later = later
graph._new_tensor = _new
table.PLAIN.add(Tensor)
table._tensor = storing._tensor = __import__("sys").modules[__name__]
