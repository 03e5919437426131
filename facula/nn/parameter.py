"""Tensors that a module registers when they are assigned to it: parameters and buffers."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Any

import facula
from facula import Tensor
from facula.errors import honest
from facula.ops import table

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "UninitializedTensorMixin",
    "is_lazy",
]


class _ParameterMeta(type(Tensor)):
    """A tensor of another subclass counts as a parameter once it is marked ``_is_param``."""

    def __instancecheck__(cls, instance) -> bool:
        if super().__instancecheck__(instance):
            return True
        return (
            cls is Parameter
            and isinstance(instance, Tensor)
            and getattr(instance, "_is_param", False)
        )


class Parameter(Tensor, metaclass=_ParameterMeta):
    """A tensor that is a parameter of the module it is assigned to.

    Args:
        data: the tensor whose values the parameter holds; the memory is shared. An empty
            tensor when left out.
        requires_grad: whether autograd computes a gradient for it.

    See https://pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True):
        if data is None:
            data = facula.empty(0)
        if not isinstance(requires_grad, bool):
            raise TypeError(
                f"Parameter(): argument 'requires_grad' must be bool, not "
                f"{type(requires_grad).__name__}"
            )
        if type(data) is Tensor or type(data) is Parameter:
            return Tensor._make_subclass(cls, data, requires_grad)
        # A user's own subclass keeps its type and is only marked.
        tensor = data.detach().requires_grad_(requires_grad)
        if type(tensor) is not type(data):
            raise RuntimeError(
                f"Creating a Parameter from an instance of type {type(data).__name__} requires "
                "that detach() returns an instance of the same type, but it returned "
                f"{type(tensor).__name__}. To use the type as a Parameter, correct the detach() "
                "semantics of its __torch_dispatch__() implementation."
            )
        tensor._is_param = True
        return tensor

    __torch_function__ = staticmethod(table.untouched)  # results are plain tensors

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        copied = self.data.clone(memory_format=facula.preserve_format)
        result = type(self)(copied, self.requires_grad)
        memo[id(self)] = result
        return result

    def __repr__(self, *, tensor_contents=None) -> str:
        return "Parameter containing:\n" + Tensor.__repr__(self)

    def __reduce_ex__(self, protocol):
        # Hooks are code of the running program and are not part of the saved value.
        args = (self.data, self.requires_grad, OrderedDict())
        state = _python_state(self)
        if state:
            return _rebuild_parameter_with_state, (*args, state)
        return _rebuild_parameter, args


table.PLAIN.add(Parameter)
# "torch" from `facula.run.install` on, which renames a Parameter that is there already itself.
Parameter.__module__ = Tensor.__module__.partition(".")[0] + ".nn.parameter"


def _python_state(tensor: Tensor) -> dict:
    """The attributes a user has set on ``tensor``, without the framework's own."""
    return {k: v for k, v in vars(tensor).items() if not k.startswith("_")}


def _rebuild_parameter(data: Tensor, requires_grad: bool, backward_hooks) -> Parameter:
    param = Parameter(data, requires_grad)
    param._backward_hooks = backward_hooks
    return param


def _rebuild_parameter_with_state(data, requires_grad, backward_hooks, state) -> Parameter:
    param = _rebuild_parameter(data, requires_grad, backward_hooks)
    for name, value in state.items():
        setattr(param, name, value)
    return param


class _BufferMeta(type(Tensor)):
    def __instancecheck__(cls, instance) -> bool:
        if super().__instancecheck__(instance):
            return True
        return (
            cls is Buffer
            and isinstance(instance, Tensor)
            and getattr(instance, "_is_buffer", False)
        )


class Buffer(Tensor, metaclass=_BufferMeta):
    """A tensor that becomes a buffer of the module it is assigned to.

    Args:
        data: the values; an empty tensor when left out.
        persistent: whether the buffer is part of the module's ``state_dict``.
    """

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True):
        if data is None:
            data = facula.empty(0)
        tensor = data.detach().requires_grad_(data.requires_grad)
        tensor.persistent = persistent
        tensor._is_buffer = True
        return tensor


# The uninitialised tensors that are there, by id (a WeakSet would compare them).
_SHAPELESS: Any = weakref.WeakValueDictionary()


class UninitializedTensorMixin:
    """A tensor whose shape is not known yet; ``materialize`` gives it one.

    Functions but the few ``_allowed`` raise ValueError for it. Every call of an operation looks
    for subclasses as soon as one is known, so these are known only while there are such tensors.
    """

    _allowed = frozenset(
        (
            "__hash__", "__repr__", "__get__", "__set__", "__class__", "__setstate__",
            "device", "dtype", "layout", "requires_grad", "is_leaf", "grad", "data", "is_cuda",
            "half", "float", "double", "char", "short", "int", "long", "to", "cuda", "cpu",
            "copy", "copy_", "requires_grad_", "is_floating_point", "is_complex", "dim",
            "share_memory_", "type", "bfloat16",
        )
    )  # fmt: skip

    def materialize(self, shape, device=None, dtype=None) -> None:
        """Allocate (uninitialised) memory of ``shape`` and become an ordinary tensor."""
        if device is None:
            device = self.data.device
        if dtype is None:
            dtype = self.data.dtype
        self.data = facula.empty(shape, device=device, dtype=dtype)
        _SHAPELESS.pop(id(self), None)
        cls, self.__class__ = type(self), self.cls_to_become
        if not any([type(t) is cls for t in _SHAPELESS.values()]) and cls in table.OVERRIDES:
            table.OVERRIDES.remove(cls)

    @property
    def shape(self):
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually "
            "happens in `load_state_dict` when trying to load an uninitialized parameter into an "
            "initialized one. Call `forward` to initialize the parameters before accessing their "
            "attributes."
        )

    def numel(self):
        """Raises ValueError, as the other functions do, but by itself: it is no operation."""
        return type(self).__torch_function__(Tensor.numel, (type(self),), (self,))

    def share_memory_(self):
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to "
            "initialize the parameters before calling `module.share_memory()`."
        )

    def __repr__(self, *, tensor_contents=None) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol):
        return type(self), (self.requires_grad,)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", str(func))
        if name in cls._allowed:
            return super().__torch_function__(func, types, args, kwargs or {})
        raise ValueError(
            f"Attempted to use an uninitialized parameter in {func}. This error happens when you "
            "are using a `LazyModule` or explicitly manipulating `facula.nn.parameter."
            f"{cls.__name__}` objects. When using LazyModules Call `forward` with a dummy batch "
            "to initialize the parameters before calling torch functions"
        )


def _shapeless(cls: type, data: Tensor, requires_grad: bool) -> Any:
    """An uninitialised tensor, about which `ops.table` knows."""
    tensor = Tensor._make_subclass(cls, data, requires_grad)
    _SHAPELESS[id(tensor)] = tensor
    table.CLASSES.add(cls)
    if cls not in table.OVERRIDES:
        table.OVERRIDES.append(cls)
    return tensor


def is_lazy(param: Any) -> bool:
    """Whether ``param`` has no shape yet."""
    return isinstance(param, UninitializedTensorMixin)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape the first call of its module decides."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device=None, dtype=None):
        data = facula.empty(0, device=device, dtype=dtype)
        return _shapeless(cls, data, requires_grad)

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        result = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        memo[id(self)] = result
        return result


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape the first call of its module decides."""

    cls_to_become = Tensor

    def __new__(cls, requires_grad: bool = False, device=None, dtype=None, persistent: bool = True):
        data = facula.empty(0, device=device, dtype=dtype)
        tensor = _shapeless(cls, data, requires_grad)
        tensor.persistent = persistent
        tensor._is_buffer = True
        return tensor


__getattr__ = honest(__name__)
