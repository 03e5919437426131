"""``Module``: the base class of every network."""

from __future__ import annotations

import facula
from facula import Tensor
from facula.dtypes import OF_PYTHON
from facula.meta import is_meta

from ..functional._common import type_name
from ..parameter import Buffer, Parameter
from . import _hooks
from ._conversion import convert
from ._hooks import (  # noqa: F401  (public names of this module, as in PyTorch)
    HookMixin,
    RemovableHandle,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from ._state import EXTRA_STATE, StateDictMixin
from ._state import _IncompatibleKeys as _IncompatibleKeys
from ._tree import TreeMixin

__all__ = ["Module"]

# Names that libraries take from here.
_EXTRA_STATE_KEY_SUFFIX = EXTRA_STATE
_global_hooks = _hooks.global_hooks
_global_parameter_registration_hooks = _hooks.HooksOfKind("parameter_registration")
_global_buffer_registration_hooks = _hooks.HooksOfKind("buffer_registration")
_global_module_registration_hooks = _hooks.HooksOfKind("module_registration")
_global_forward_pre_hooks = _hooks.HooksOfKind("forward_pre")
_global_forward_hooks = _hooks.HooksOfKind("forward")
_global_forward_hooks_always_called = _hooks.HooksOfKind("forward", always=True)
_global_backward_pre_hooks = _hooks.HooksOfKind("backward_pre")
_global_backward_hooks = _hooks.HooksOfKind("backward", "backward_full")
_NO_ENTRIES: dict = {}  # of a module whose __init__ has not run


class Module(HookMixin, StateDictMixin, TreeMixin):
    """Base class of all neural network modules.

    A subclass creates its parameters, buffers and children in ``__init__`` (after calling
    ``super().__init__()``) and computes in ``forward``. Assigning a :class:`Parameter` or a
    module to an attribute registers it.

    See https://pytorch.org/docs/stable/generated/torch.nn.Module.html
    """

    call_super_init: bool = False
    training: bool

    def __init__(self, *args, **kwargs) -> None:
        if not self.call_super_init:
            name = type(self).__name__
            if kwargs:
                raise TypeError(
                    f"{name}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'"
                )
            if args:
                raise TypeError(
                    f"{name}.__init__() takes 1 positional argument but {len(args) + 1} were given"
                )
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _non_persistent_buffers_set=set(),
        )
        self._init_hooks()
        self.__dict__["_modules"] = {}
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    # ---- calling

    def forward(self, *input):
        """Compute the output; every subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args, **kwargs):
        # The hot path of every model: five truth tests, then the subclass's forward.
        if (
            _global_hooks
            or self._forward_pre_hooks
            or self._forward_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
        ):
            return self._call_with_hooks(args, kwargs)
        return self.forward(*args, **kwargs)

    _call_impl = __call__

    def compile(self, *args, **kwargs) -> None:
        """Accepted for compatibility: every program is compiled as it runs."""

    # ---- registration

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter; ``None`` reserves the name for one that the module lacks."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        _check_name(self, name, "parameter", self._parameters)
        if param is None:
            self._parameters[name] = None
            return
        if not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{_type_name(param)}' object to parameter '{name}' "
                "(torch.nn.Parameter or None required)"
            )
        if param.grad_fn is not None:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be "
                f"created explicitly. To express '{name}' as a function of another Tensor, "
                "compute the value in the forward() method."
            )
        self._parameters[name] = _replaced(self, name, param, "parameter_registration")

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but not a parameter (running statistics, for example).

        A buffer that is not ``persistent`` is left out of the ``state_dict``.
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        _check_name(self, name, "buffer", self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_type_name(tensor)}' object to buffer '{name}' "
                "(torch Tensor or None required)"
            )
        self._buffers[name] = _replaced(self, name, tensor, "buffer_registration")
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child; it is then also an attribute of that name."""
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{_type_name(module)} is not a Module subclass")
        _check_name(self, name, "module", self._modules)
        self._modules[name] = _replaced(self, name, module, "module_registration")

    def register_module(self, name: str, module: Module | None) -> None:
        """Another name of :meth:`add_module`."""
        self.add_module(name, module)

    # ---- attributes

    def __getattr__(self, name: str):
        # Runs only when ordinary lookup has failed: parameters, buffers and children live in
        # tables of their own. Python needs 600 ns to come here, so modules that are called often
        # look into their tables first.
        tables = self.__dict__
        entries = tables.get("_parameters", _NO_ENTRIES)
        if name in entries:
            return entries[name]
        entries = tables.get("_buffers", _NO_ENTRIES)
        if name in entries:
            return entries[name]
        entries = tables.get("_modules", _NO_ENTRIES)
        if name in entries:
            return entries[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value) -> None:
        tables = self.__dict__
        params = tables.get("_parameters")
        if isinstance(value, Parameter):
            if params is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_buffers", "_modules")
            self.register_parameter(name, value)
            return
        if params is not None and name in params:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_type_name(value)}' as parameter '{name}' "
                    "(torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, None)
            return
        modules = tables.get("_modules")
        if isinstance(value, Module):
            if modules is None:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, "_parameters", "_buffers")
            modules[name] = _replaced(self, name, value, "module_registration")
            return
        if modules is not None and name in modules:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_type_name(value)}' as child module '{name}' "
                    "(torch.nn.Module or None expected)"
                )
            modules[name] = _replaced(self, name, None, "module_registration")
            return
        buffers = tables.get("_buffers")
        known = buffers is not None and name in buffers
        if isinstance(value, Tensor) and (known or getattr(value, "_is_buffer", False)):
            self._set_buffer(name, value, known)
        elif known:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_type_name(value)}' as buffer '{name}' "
                    "(torch.nn.Buffer, torch.Tensor or None expected)"
                )
            buffers[name] = None
        else:
            object.__setattr__(self, name, value)

    def _set_buffer(self, name: str, value: Tensor, known: bool) -> None:
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._forget(name, "_parameters", "_modules")
        if isinstance(value, Buffer) or not known:
            persistent = getattr(value, "persistent", True)
        else:
            persistent = name not in self._non_persistent_buffers_set
        self._buffers.setdefault(name, None)
        self._buffers[name] = _replaced(self, name, value, "buffer_registration")
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def _forget(self, name: str, *tables: str) -> None:
        """Remove ``name`` from __dict__ and the other ``tables`` before it is registered."""
        own = self.__dict__
        own.pop(name, None)
        for table in tables:
            entries = own.get(table)
            if entries is not None and name in entries:
                del entries[name]
                if table == "_buffers":
                    self._non_persistent_buffers_set.discard(name)

    def __delattr__(self, name: str) -> None:
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            object.__delattr__(self, name)

    def __dir__(self):
        names = {*dir(type(self)), *self.__dict__}
        names.update(self._parameters, self._modules, self._buffers)
        return sorted(name for name in names if name and not name[0].isdigit())

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        # A module pickled by an older version may lack tables that have been added since.
        fresh = Module()
        for name, value in fresh.__dict__.items():
            self.__dict__.setdefault(name, value)

    # ---- changing everything below

    def apply(self, fn):
        """Call ``fn(module)`` for every child, recursively, and last for this module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def _apply(self, fn, recurse: bool = True):
        """Replace the values of all parameters, gradients and buffers by ``fn`` of them.

        A parameter remains the same object, so that optimisers keep their hold on it (unless
        ``torch.__future__`` says otherwise).
        """
        if recurse:
            for module in self.children():
                module._apply(fn)
        for name, param in self._parameters.items():
            if param is not None:
                convert(self, name, param, fn)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args, **kwargs):
        """Move or cast all parameters and buffers, in place, and return the module.

        ``to(device)``, ``to(dtype)``, ``to(device, dtype)``, ``to(tensor)``; a ``dtype``
        applies to floating-point and complex tensors only.
        """
        device, dtype, non_blocking, memory_format = _parse_to(args, kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={dtype}"
            )

        def convert(t: Tensor) -> Tensor:
            if t.is_meta and device is not None and not is_meta(device):
                raise NotImplementedError(
                    "Cannot copy out of meta tensor; no data! Please use torch.nn.Module."
                    "to_empty() instead of torch.nn.Module.to() when moving module from meta to "
                    "a different device."
                )
            target = dtype if t.is_floating_point() or t.is_complex() else None
            if memory_format is not None and t.dim() in (4, 5):
                return t.to(device, target, non_blocking, memory_format=memory_format)
            return t.to(device, target, non_blocking)

        return self._apply(convert)

    def to_empty(self, *, device, recurse: bool = True):
        """Move to ``device`` without copying the values."""
        return self._apply(lambda t: facula.empty_like(t, device=device), recurse=recurse)

    def type(self, dst_type):
        """Cast all parameters and buffers to ``dst_type``."""
        if isinstance(dst_type, facula.dtype):
            return self._apply(lambda t: t.to(dst_type))
        return self._apply(lambda t: t.type(dst_type))

    def _to_dtype(self, dtype):
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def float(self):
        """Cast all floating-point parameters and buffers to float32."""
        return self._to_dtype(facula.float32)

    def double(self):
        """Cast all floating-point parameters and buffers to float64."""
        return self._to_dtype(facula.float64)

    def half(self):
        """Cast all floating-point parameters and buffers to float16."""
        return self._to_dtype(facula.float16)

    def bfloat16(self):
        """Cast all floating-point parameters and buffers to bfloat16."""
        return self._to_dtype(facula.bfloat16)

    def cuda(self, device=None):
        """Move all parameters and buffers to a GPU."""
        return self._apply(lambda t: t.cuda(device))

    def cpu(self):
        """Move all parameters and buffers to the CPU."""
        return self._apply(lambda t: t.cpu())

    def train(self, mode: bool = True):
        """Set training mode for this module and everything below it."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self):
        """Set evaluation mode: ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True):
        """Say for all parameters whether autograd computes their gradients."""
        if not isinstance(requires_grad, bool):
            raise TypeError(
                "requires_grad_(): argument 'requires_grad' must be bool, not "
                f"{type(requires_grad).__name__}"
            )
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        for param in self.parameters():
            if param.grad is None:
                continue
            if set_to_none:
                param.grad = None
            else:
                if param.grad.grad_fn is not None:
                    param.grad.detach_()
                else:
                    param.grad.requires_grad_(False)
                param.grad.zero_()

    def share_memory(self):
        """Move all parameters and buffers to memory shared between processes."""
        return self._apply(lambda t: t.share_memory_())

    # ---- printing

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands between the parentheses when the module is printed."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        extra_lines = extra.split("\n") if extra else []
        child_lines = [
            f"({name}): {indent(repr(child), 2)}" for name, child in self._modules.items()
        ]
        lines = extra_lines + child_lines
        if not child_lines and len(extra_lines) <= 1:
            return f"{self._get_name()}({''.join(extra_lines)})"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from facula.notebook import summary

        return summary(self)._repr_html_()

    def _replicate_for_data_parallel(self):
        replica = self.__new__(type(self))
        replica.__dict__ = self.__dict__.copy()
        for table in ("_parameters", "_buffers", "_modules"):
            replica.__dict__[table] = self.__dict__[table].copy()
        return replica


def weight_and_bias(module: Module):
    """A module's weight and bias, as a rule from its table at once: see `__getattr__`."""
    own = module._parameters
    try:
        return own["weight"], own["bias"]
    except KeyError:  # parametrized, or pruned
        return module.weight, module.bias


def buffer_of(module: Module, name: str):
    """A module's buffer, as a rule from its table at once: see `__getattr__`."""
    try:
        return module._buffers[name]
    except KeyError:
        return getattr(module, name)


def _addindent(s_: str, numSpaces: int) -> str:
    """`indent` by the name that old programs import."""
    return indent(s_, numSpaces)


def indent(text: str, spaces: int) -> str:
    """``text`` with every line but the first indented."""
    return text.replace("\n", "\n" + " " * spaces)


def _type_name(value) -> str:
    """The name of a value's type as PyTorch's messages give it."""
    if isinstance(value, Tensor):
        return type_name(value)
    kind = type(value)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _check_name(module: Module, name, kind: str, table: dict) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{kind} name should be a string. Got {_type_name(name)}")
    if "." in name:
        raise KeyError(f'{kind} name can\'t contain "."' + f", got: {name}" * (kind == "module"))
    if name == "":
        raise KeyError(f'{kind} name can\'t be empty string ""')
    if hasattr(module, name) and name not in table:
        raise KeyError(f"attribute '{name}' already exists")


def _replaced(module: Module, name: str, value, kind: str):
    """``value``, or what a global registration hook gives in its place."""
    for hook in _hooks.registration_hooks(kind):
        new = hook(module, name, value)
        if new is not None:
            value = new
    return value


def _parse_to(args: tuple, kwargs: dict):
    """The device, dtype, non_blocking and memory_format of a call of ``Module.to``."""
    unknown = set(kwargs) - {
        "device", "dtype", "non_blocking", "copy", "memory_format", "tensor",
    }  # fmt: skip
    by_dtype = bool(args) and isinstance(args[0], facula.dtype | Tensor | type)
    if unknown or len(args) > 4 or (not by_dtype and len(args) > 1 and isinstance(args[1], bool)):
        raise TypeError(
            "to() received an invalid combination of arguments - got "
            f"({', '.join([type(a).__name__ for a in args] + sorted(kwargs))}), but expected "
            "(device, dtype, non_blocking), (dtype, non_blocking) or (tensor, non_blocking)"
        )
    if "copy" in kwargs or len(args) > (2 if by_dtype else 3):
        raise RuntimeError(".to() does not accept copy argument")
    kwargs = dict(kwargs)
    if type(kwargs.get("dtype")) is type:
        kwargs["dtype"] = OF_PYTHON.get(kwargs["dtype"], kwargs["dtype"])
    rest = [OF_PYTHON.get(a, a) if type(a) is type else a for a in args]
    first = rest[0] if rest else kwargs.pop("tensor", None)
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    if dtype is not None and not isinstance(dtype, facula.dtype):
        raise TypeError(f"to(): argument 'dtype' must be torch.dtype, not {type(dtype).__name__}")
    if isinstance(first, Tensor):
        device, dtype, rest = first.device, first.dtype, rest[1:]
    elif isinstance(first, facula.dtype):
        dtype, rest = first, rest[1:]
    elif rest:
        device, rest = first, rest[1:]
        if rest and (rest[0] is None or isinstance(rest[0], facula.dtype)):
            dtype, rest = rest[0] if rest[0] is not None else dtype, rest[1:]
    non_blocking = rest[0] if rest else kwargs.get("non_blocking", False)
    if not isinstance(non_blocking, bool):
        raise TypeError(
            f"to(): argument 'non_blocking' must be bool, not {type(non_blocking).__name__}"
        )
    if device is not None:
        device = facula.device(device)
    return device, dtype, bool(non_blocking), kwargs.get("memory_format")
