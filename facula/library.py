"""Operators that libraries bring: `torch.ops.mine.f`, each a Python function with a derivative.

Source: https://pytorch.org/docs/stable/library.html
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

from facula.amp.autocast_mode import is_autocast_available
from facula.autograd import Function
from facula.dtypes import float64
from facula.errors import honest, refuse
from facula.ops import table
from facula.schemas import infer_schema
from facula.tensor import Tensor
from facula.trace.recorder import TLS
from facula.utils._pytree import tree_flatten, tree_unflatten

__all__ = [
    "CustomOpDef",
    "Library",
    "custom_op",
    "define",
    "impl",
    "impl_abstract",
    "infer_schema",
    "opcheck",
    "register_autocast",
    "register_autograd",
    "register_fake",
    "register_kernel",
    "register_vmap",
]
_OPERATORS: dict[str, CustomOpDef] = {}


class CustomOpDef:
    """An operator: call it, or give it kernels and a derivative."""

    def __init__(
        self,
        name: str,
        fn: Callable[..., Any] | None = None,
        opaque: bool = False,
        mutates_args: Any = "unknown",
    ) -> None:
        """`opaque`: no gradients go through what the function does, but by a derivative."""
        self._name, self._fn, self._opaque = name, fn, opaque
        self.mutates_args = mutates_args
        self.fake: Callable[..., Any] | None = None
        self._casts: dict[str, Any] = {}  # by kinds of devices: the dtype under autocast
        self._vmap: Callable[..., Any] | None = None
        self._backward: Callable[..., Any] | None = None
        self._setup: Callable[..., Any] | None = None
        self._function: Any = None
        self._lists = False  # whether the last result was a list
        _OPERATORS[name] = self

    @property
    def default(self) -> CustomOpDef:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        fn = self._fn
        if table.MODES:
            done = table.as_a_whole(self, args, kwargs, cast=False)
            if done is not NotImplemented:
                return done
        if self._casts and TLS.r.autocast is not None:
            args, kwargs = self._cast(args, kwargs)
        if fn is None:
            raise NotImplementedError(f"torch.ops.{self._name.replace('::', '.')}: has no kernel")
        if not self._opaque and self._backward is None:
            return fn(*args, **kwargs)
        try:
            bound = inspect.signature(fn).bind(*args, **kwargs)
        except TypeError as e:
            raise RuntimeError(f"{self._name}(): {e}") from None
        bound.apply_defaults()
        inputs = tuple([list(a) if isinstance(a, tuple) else a for a in bound.args])
        leaves, spec = tree_flatten(inputs, _no_tensors)
        if self.fake is not None and any([isinstance(t, Tensor) and t.is_meta for t in leaves]):
            return self.fake(*inputs, **bound.kwargs)
        if self._function is None:
            self._function = _function_of(self)
        # What can only be given by name comes without gradients.
        out = self._function.apply(*leaves, _Call(spec, bound.kwargs))
        return list(out) if self._lists else out

    def _cast(self, args: Any, kwargs: Any) -> Any:
        """The arguments as autocast has them."""
        leaves, spec = tree_flatten((args, kwargs))
        for kind, low in self._casts.items():
            if kind in TLS.r.autocast:
                leaves = [
                    t.to(low)
                    if isinstance(t, Tensor)
                    and t.is_floating_point()
                    and t.device.type == kind
                    and t.dtype is not float64
                    else t
                    for t in leaves
                ]
        return tree_unflatten(leaves, spec)

    def register_autocast(self, device_type: str, cast_inputs: Any) -> None:
        """Call it with floating-point tensors of this kind of device cast to a dtype where autocast
        is on for them. ValueError where there is none for this kind."""
        if not isinstance(device_type, str):
            raise ValueError(
                f"Expected `device_type` of type `str`, got: `{type(device_type).__name__}`"
            )
        if not is_autocast_available(device_type):
            raise ValueError(f"Device type '{device_type}' does not support autocast.")
        self._casts.setdefault(device_type, cast_inputs)

    def parameters(self, args: Any, kwargs: Any) -> dict[str, Any]:
        """The arguments of a call by the names of the kernel's parameters."""
        if self._fn is None:
            raise NotImplementedError(f"{self}: has no kernel")
        return dict(inspect.signature(self._fn).bind(*args, **kwargs).arguments)

    def register_kernel(self, device_types: Any, func: Any = None, /) -> Any:
        """Use this function on these kinds of devices: for the CPU, in place of the first."""
        kinds = [device_types] if isinstance(device_types, str) else device_types

        def enter(f: Any) -> Any:
            if kinds is None or "cpu" in kinds:
                self._fn = f
            return f

        return enter if func is None else enter(func)

    def register_fake(self, abstract_impl: Any = None, /) -> Any:
        """Use this function where operands have no values (`device='meta'`)."""

        def enter(f: Any) -> Any:
            self.fake = f
            return f

        return enter if abstract_impl is None else enter(abstract_impl)

    def register_vmap(self, func: Any = None, /) -> Any:
        """Use `func(info, in_dims, *args)`, which returns results and their dimensions, in vmap."""

        def enter(f: Any) -> Any:
            self._vmap, self._function = f, None
            return f

        return enter if func is None else enter(func)

    def register_autograd(self, backward: Any, /, *, setup_context: Any = None) -> None:
        """Differentiate with `backward(ctx, *grads)`, after `setup_context`."""
        self._backward, self._setup, self._function = backward, setup_context, None

    def __repr__(self) -> str:
        return self._name.replace("::", ".") + ".default"


def _no_tensors(tree: Any) -> bool:
    """Whether an argument is a leaf: anything but a list of tensors, or of gradients of some."""
    if isinstance(tree, list):
        return any([not (t is None or isinstance(t, Tensor)) for t in tree])
    return not isinstance(tree, tuple)


class _Call(NamedTuple):
    """What an operator is called with beside the leaves of its arguments."""

    spec: Any
    named: dict[str, Any]


def _function_of(op: CustomOpDef) -> Any:
    """The function of autograd that an operator is: its inputs are the leaves of the arguments, and
    the call."""

    def forward(ctx: Any, *inputs: Any) -> Any:
        *leaves, call = inputs
        args = tree_unflatten(leaves, call.spec)
        output = op._fn(*args, **call.named)  # type: ignore[misc]
        _check_apart(op, leaves, tree_flatten(output)[0])
        op._lists = isinstance(output, list)
        ctx._spec, ctx._lists = call.spec, op._lists
        if op._setup is not None:
            more = {"keyword_only_inputs": call.named} if call.named else {}
            op._setup(ctx=ctx, inputs=args, output=output, **more)
        return output

    def backward(ctx: Any, *grads: Any) -> Any:
        if op._backward is None:
            raise RuntimeError(
                f"Trying to backward through {op} but no autograd formula was registered. Please "
                "use register_autograd to add one."
            )
        found = op._backward(ctx, list(grads)) if ctx._lists else op._backward(ctx, *grads)
        flat, spec = _like_inputs(found, ctx._spec)
        if spec != ctx._spec:
            raise RuntimeError(
                "Expected the return from backward to be of the same structure as the inputs. Got: "
                f"{spec} (return from backward), {ctx._spec} (inputs) for {op}"
            )
        return (*flat, None)

    made = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    if op._vmap is not None:
        made["vmap"] = staticmethod(functools.partial(_batched, op._vmap))
    return type(f"GeneratedBackwardFor_{op._name.replace('::', '_')}_default", (Function,), made)


def _batched(rule: Any, info: Any, in_dims: Any, *inputs: Any) -> Any:
    *leaves, call = inputs
    args = tree_unflatten(leaves, call.spec)
    return rule(info, tree_unflatten(list(in_dims[:-1]), call.spec), *args, **call.named)


def _like_inputs(found: Any, spec: Any) -> tuple[list[Any], Any]:
    """The leaves of gradients, and their structure; None for a list stands for as many of it, and
    None at the end may be left out."""
    found = found if isinstance(found, tuple) else (found,)
    size = len(spec.children_specs)
    found = (*found, *[None] * (size - len(found)))
    if all([g is None for g in found[size:]]):
        found = tuple(
            [
                tree_unflatten([None] * s.num_leaves, s) if g is None and not s.is_leaf() else g
                for g, s in zip(found[:size], spec.children_specs, strict=True)
            ]
        )
    return tree_flatten(found, _no_tensors)


def _check_apart(op: CustomOpDef, inputs: list[Any], outputs: list[Any]) -> None:
    """RuntimeError for results in the memory of operands or of each other."""
    before = [t for t in inputs if isinstance(t, Tensor)]
    for y in outputs:
        if isinstance(y, Tensor):
            if any([y is t or y._storage is t._storage is not None for t in before]):
                raise RuntimeError(
                    f"{op}: The output of this custom operator (1) must not also be an input to "
                    "this custom operator and (2) may not alias any inputs to this custom operator "
                    "or other returns. The most common way to trigger this error is if we have y = "
                    f"custom_op(x) and y and x are the same Tensor. (a {y.dtype} tensor of shape "
                    f"{list(y.shape)}) Please instead return a clone of the offending output."
                )
            before.append(y)


def custom_op(
    name: str,
    fn: Any = None,
    /,
    *,
    mutates_args: Any,
    device_types: Any = None,
    schema: str | None = None,
    tags: Any = None,
) -> Any:
    """Make a function an operator: `@custom_op("mine::f", mutates_args=())`."""
    if "::" not in name:
        raise ValueError(f"custom_op(): expected a name 'namespace::name', got {name!r}")

    def made(f: Any) -> CustomOpDef:
        if schema is None:
            infer_schema(f, mutates_args=mutates_args)
        return CustomOpDef(name, f, opaque=True, mutates_args=mutates_args)

    return made if fn is None else made(fn)


def triton_op(name: str, fn: Any = None, /, *, mutates_args: Any, schema: str | None = None) -> Any:
    """`custom_op`, for functions that launch kernels of Triton (see `wrap_triton`)."""
    return custom_op(name, fn, mutates_args=mutates_args, schema=schema)


def wrap_triton(triton_kernel: Any, /) -> NoReturn:
    """NotImplementedError: kernels of Triton work on memory of PyTorch's CUDA tensors."""
    refuse("torch.library.wrap_triton", "kernels of Triton are not in Facula")


def _known(op: Any) -> CustomOpDef:
    if isinstance(op, CustomOpDef):
        return op
    if op not in _OPERATORS:
        raise RuntimeError(f"operator {op} does not exist")
    return _OPERATORS[op]


def define(qualname: str, schema: str, *, lib: Any = None, tags: Any = ()) -> None:
    """Name an operator whose kernel follows."""
    CustomOpDef(qualname)


def impl(qualname: Any, types: Any, func: Any = None, *, lib: Any = None) -> Any:
    """Give an operator its kernel; `impl(library, name, key)` is the older form of a decorator."""
    if isinstance(qualname, Library):
        key = "" if func is None else func

        def register(f: Any) -> Any:
            qualname.impl(types, f, key)
            return f

        return register
    return _known(qualname).register_kernel("cpu" if types == "CPU" else types, func)


def register_kernel(op: Any, device_types: Any, func: Any = None, /, *, lib: Any = None) -> Any:
    """Give an operator a kernel for kinds of devices."""
    return _known(op).register_kernel(device_types, func)


def register_fake(op: Any, func: Any = None, /, *, lib: Any = None, **kwargs: Any) -> Any:
    """Give an operator what it does with tensors without values; for one that is not there, nothing
    is to be done."""
    if isinstance(op, CustomOpDef) or op in _OPERATORS:
        return _known(op).register_fake(func)
    return (lambda f: f) if func is None else func


impl_abstract = register_fake


def register_autograd(
    op: Any, backward: Any, /, *, setup_context: Any = None, lib: Any = None
) -> None:
    """Give an operator its derivative; for one that is not there, nothing is to be done."""
    if isinstance(op, CustomOpDef) or op in _OPERATORS:
        _known(op).register_autograd(backward, setup_context=setup_context)


def register_vmap(op: Any, func: Any = None, /, *, lib: Any = None) -> Any:
    """Give an operator its rule for batches: see `CustomOpDef.register_vmap`."""
    return _known(op).register_vmap(func)


def register_autocast(op: Any, device_type: str, cast_inputs: Any, /, *, lib: Any = None) -> None:
    """Give an operator a dtype for autocast: see `CustomOpDef.register_autocast`."""
    _known(op).register_autocast(device_type, cast_inputs)


def opcheck(op: Any, args: Any, kwargs: Any = None, **settings: Any) -> dict[str, Any]:
    """Check an operator on sample arguments: see `operator_checks.opcheck`."""
    from facula.operator_checks import opcheck as check

    return check(op, args, kwargs, **settings)


class Library:
    """Operators of one namespace, defined and implemented one by one."""

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """Name an operator by its schema: `f(Tensor x) -> Tensor`."""
        name = schema.partition("(")[0].strip()
        CustomOpDef(f"{self.ns}::{name}")
        return name

    def impl(self, op_name: Any, fn: Any, dispatch_key: str = "", **kwargs: Any) -> None:
        """Give an operator its kernel; those for other devices than the CPU are not used."""
        key = dispatch_key or self.dispatch_key
        if key in ("", "CPU", "CompositeImplicitAutograd", "CompositeExplicitAutograd"):
            name = op_name if isinstance(op_name, str) else op_name._name
            _known(name if "::" in name else f"{self.ns}::{name}").register_kernel(None, fn)


@contextlib.contextmanager
def _scoped_library(*args: Any, **kwargs: Any) -> Iterator[Library]:
    """A `Library` whose operators are gone at the end of the block."""
    before = dict(_OPERATORS)
    try:
        yield Library(*args, **kwargs)
    finally:
        for name in [n for n in _OPERATORS if n not in before]:
            del _OPERATORS[name]


class _Namespace:
    """`torch.ops.mine`: its operators."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        key = f"{self._name}::{name}"
        if key in _OPERATORS:
            return _OPERATORS[key]
        raise AttributeError(
            f"torch.ops.{self._name}.{name} is not in Facula (see docs/compatibility.md)", name=name
        )


class _Aten:
    """`torch.ops.aten`: the functions and methods of Facula by their names in PyTorch's library."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        operator = AtenOperator(name)
        # Such names are taken for keys of tables; what they are is asked when they are called.
        if not name.startswith(("_", "native_")) and operator.function() is None:
            raise AttributeError(
                f"torch.ops.aten.{name} is not in Facula (see docs/compatibility.md)", name=name
            )
        setattr(self, name, operator)
        return operator


_ATEN = _Aten()


class AtenOperator:
    """One name of `torch.ops.aten`, and one overload of it: they compute the same."""

    def __init__(self, name: str, overload: str = "") -> None:
        self._name, self.overload, self._call = name, overload, None

    def __getattr__(self, overload: str) -> Any:
        if overload.startswith("_") or self.overload:
            # Not {self!r}: a copy that is being made has no name yet.
            raise AttributeError(f"an OpOverload has no attribute {overload!r}", name=overload)
        found = AtenOperator(self._name, overload)
        setattr(self, overload, found)
        return found

    def function(self) -> Any:
        """The function or method of this name, or None."""
        import facula
        from facula.nn import functional

        own = _ATEN_FUNCTIONS.get(self._name)
        for place in (facula, facula.Tensor, functional):
            found = own or getattr(place, self._name, None)
            if callable(found):
                return found
        return None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._call is None:
            self._call = self.function()
            if self._call is None:
                raise NotImplementedError(
                    f"torch.ops.aten.{self._name} is not in Facula (see docs/compatibility.md)"
                )
        return self._call(*args, **kwargs)

    def __repr__(self) -> str:
        if self.overload:
            return f"<OpOverload(op='aten.{self._name}', overload='{self.overload}')>"
        return f"<OpOverloadPacket(op='aten.{self._name}')>"

    def __str__(self) -> str:
        return f"aten.{self._name}.{self.overload}".rstrip(".")


def _slice(self: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    return self[(slice(None),) * (dim % self.dim()) + (slice(start, end, step),)]


def _index(self: Any, indices: Any) -> Any:
    return self[tuple([slice(None) if i is None else i for i in indices])]


def _convolution(
    input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any,
    transposed: bool, output_padding: Any, groups: int,
) -> Any:  # fmt: skip
    from facula.nn import functional

    n = weight.dim() - 2
    if transposed:
        f = getattr(functional, f"conv_transpose{n}d")
        return f(input, weight, bias, stride, padding, output_padding, groups, dilation)
    f = getattr(functional, f"conv{n}d")
    return f(input, weight, bias, stride, padding, dilation, groups)


def _convolution_backward(
    grad_output: Any, input: Any, weight: Any, bias_sizes: Any, stride: Any, padding: Any,
    dilation: Any, transposed: bool, output_padding: Any, groups: int, output_mask: Any,
) -> Any:  # fmt: skip
    import facula
    from facula.autograd.calls import grad

    x, w = [t.detach().requires_grad_(on) for t, on in zip((input, weight), output_mask)]
    ends = (stride, padding, dilation, transposed, output_padding, groups)
    over = [d for d in range(grad_output.dim()) if d != 1]
    found: list[Any] = [None, None, grad_output.sum(over) if output_mask[2] else None]
    wanted = [t for t in (x, w) if t.requires_grad]
    if wanted:
        with facula.enable_grad():
            out = _convolution(x, w, None, *ends)
        grads = iter(grad(out, wanted, grad_output))
        found[:2] = [next(grads) if on else None for on in output_mask[:2]]
    return tuple(found)


_ATEN_FUNCTIONS: dict[str, Any] = {
    "_to_copy": lambda self, **kwargs: self.to(copy=True, **kwargs),
    "alias": lambda self: self.view(self.shape),
    "convolution": _convolution,
    "convolution_backward": _convolution_backward,
    "index": _index,
    "slice": _slice,
}


def has_namespace(name: str) -> bool:
    """Whether there are operators under `torch.ops.<name>`."""
    return any([key.startswith(name + "::") for key in _OPERATORS])


def namespace(name: str) -> Any:
    """`torch.ops.mine`, for any name."""
    return _ATEN if name == "aten" else _Namespace(name)


def load_library(path: Any) -> None:
    """OSError: libraries compiled against PyTorch's C++ interface can't be loaded.

    torchvision's and torchaudio's are not loaded either, but some of their operators are here in
    their place, and the others say that they are not.
    """
    folder, file = os.path.split(os.fspath(path))
    if folder.endswith(os.path.join("torchaudio", "lib")) and "torchaudio." in file:
        from facula import torchaudio_operators

        return torchaudio_operators.register()
    if os.path.basename(folder) == "torchvision" and file.startswith(("_C.", "_C_stable.")):
        from facula import torchvision_operators

        return torchvision_operators.register()
    raise OSError(
        f"Could not load this library: {os.fspath(path)} (it is compiled against PyTorch's C++ "
        "interface, which is not in Facula; see docs/compatibility.md)"
    )


__getattr__ = honest(__name__)
