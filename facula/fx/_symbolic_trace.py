"""Tracing: a module or function is called with stand-ins, and what it does with them is its graph.

Source: https://pytorch.org/docs/stable/fx.html#torch.fx.Tracer (the interface)
"""

from __future__ import annotations

import builtins
import collections
import contextlib
import functools
import inspect
import math
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import facula
from facula.errors import honest, refuse
from facula.fx.graph import Graph
from facula.fx.graph_module import GraphModule
from facula.fx.node import Node, base_types, map_aggregate
from facula.fx.proxy import ParameterProxy, Proxy, TracerBase
from facula.nn import Module, Sequential

__all__ = ["PH", "ProxyableClassMeta", "Tracer", "is_fx_tracing", "symbolic_trace", "wrap"]

_active: list[Any] = []  # the tracers at work, the innermost last
_wrapped: dict[tuple[int, str], dict[str, Any]] = {}  # names of modules that are single calls


class PHBase:
    """In `concrete_args`: this argument stays an argument."""

    def __repr__(self) -> str:
        return "PH"


PH = PHBase()


def is_fx_tracing() -> bool:
    """Whether a tracer is calling this code."""
    return bool(_active)


def _assert_is_none(value: Any, msg: str) -> None:
    if value is not None:
        raise AssertionError(msg)


class ProxyableClassMeta(type):
    """A class whose instances can be made of stand-ins while a tracer is at work."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        found: list[Proxy] = []
        map_aggregate((args, kwargs), lambda a: found.append(a) if isinstance(a, Proxy) else None)
        if _active and found:
            return found[0].tracer.create_proxy("call_function", cls, args, kwargs)
        return super().__call__(*args, **kwargs)


class Tracer(TracerBase):
    """Makes the graph of a module or function. Subclasses say what stays a single call.

    Args:
        autowrap_modules: modules whose functions become single calls where they get a stand-in.
        autowrap_functions: the same, for functions.
        param_shapes_constant: shapes of parameters are numbers, not nodes.
    """

    def __init__(
        self,
        autowrap_modules: tuple[types.ModuleType, ...] = (math,),
        autowrap_functions: tuple[Callable[..., Any], ...] = (),
        param_shapes_constant: bool = False,
    ) -> None:
        self._autowrap_search = autowrap_modules
        self._autowrapped = {
            id(f)
            for module in autowrap_modules
            for name, f in vars(module).items()
            if not name.startswith("_") and callable(f)
        } | {id(f) for f in autowrap_functions}
        self.param_shapes_constant = param_shapes_constant
        self.proxy_buffer_attributes = False
        self.root: Any = None
        self.submodule_paths: dict[Module, str] | None = None
        self.root_module_name = ""
        self.module_stack: dict[str, Any] = collections.OrderedDict()
        self.tensor_attrs: dict[Any, str] = {}

    # ---- what subclasses override

    def is_leaf_module(self, m: Module, module_qualified_name: str) -> bool:
        """Whether a submodule's call is one node: so it is of those of `torch.nn`."""
        ours = m.__module__.startswith(("facula.nn", "torch.nn", "facula.ao.nn"))
        return ours and not isinstance(m, Sequential)

    def call_module(
        self, m: Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """What happens when a submodule is called: one node, or what `forward` does."""
        path = self.path_of_module(m)
        self.module_stack[path] = (path, type(m))
        try:
            if self.is_leaf_module(m, path):
                return self.create_proxy("call_module", path, args, kwargs)
            return forward(*args, **kwargs)
        finally:
            self.module_stack.popitem()

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """What a module's attribute is in the program: parameters are stand-ins."""
        if not isinstance(attr_val, facula.nn.Parameter):
            wanted = self.proxy_buffer_attributes and isinstance(attr_val, facula.Tensor)
            return self._standin(attr_val, parameter_proxy_cache, False) if wanted else attr_val
        return self._standin(attr_val, parameter_proxy_cache, True)

    def _standin(self, value: Any, cache: dict[str, Any], parameter: bool) -> Any:
        entries = self.root.named_parameters if parameter else self.root.named_buffers
        for name, known in entries(remove_duplicate=False):
            if known is value:
                if name not in cache:
                    cache[name] = self._attribute(name, value, parameter)
                return cache[name]
        return value

    def _attribute(self, name: str, value: Any, parameter: bool) -> Proxy:
        if not (parameter and self.param_shapes_constant):
            return self.create_proxy("get_attr", name, (), {})

        def made(node: Node) -> Proxy:
            return ParameterProxy(self, node, name, value)

        return self.create_proxy("get_attr", name, (), {}, proxy_factory_fn=made)

    def create_arg(self, a: Any) -> Any:
        """As of TracerBase; tensors and modules of the traced module become `get_attr` nodes."""
        if isinstance(a, facula.nn.Parameter):
            for name, known in self.root.named_parameters():
                if known is a:
                    return self.create_node("get_attr", name, (), {})
            raise NameError("parameter is not a member of this module")
        if isinstance(a, facula.Tensor):
            for name, known in self.root.named_buffers():
                if known is a:
                    return self.create_node("get_attr", name, (), {})
            return self._constant(a, "_tensor_constant")
        if isinstance(a, Module):
            for name, module in self.root.named_modules():
                if module is a:
                    return self.create_node("get_attr", name, (), {})
        if isinstance(a, tuple) and hasattr(a, "_fields"):
            args = tuple([self.create_arg(x) for x in a])
            return self.create_node("call_function", type(a), args, {})
        if getattr(type(a), "__class__", None) is ProxyableClassMeta:
            return self._constant(a, f"_{type(a).__name__}_constant_")
        return super().create_arg(a)

    def _constant(self, value: Any, prefix: str) -> Node:
        """A tensor that is no buffer, as an attribute of the traced module."""
        name = self.tensor_attrs.get(id(value))
        if name is None:
            number = 0
            while hasattr(self.root, f"{prefix}{number}"):
                number += 1
            name = self.tensor_attrs[id(value)] = f"{prefix}{number}"
            setattr(self.root, name, value)
        return self.create_node("get_attr", name, (), {})

    def create_node(self, kind: str, target: Any, args: Any, kwargs: Any, *more: Any) -> Node:
        """Add a node, which knows the submodules that it was made in."""
        node = super().create_node(kind, target, args, kwargs, *more)
        if self.module_stack:
            node.meta["nn_module_stack"] = self.module_stack.copy()
        return node

    def path_of_module(self, mod: Module) -> str:
        """The submodule's path; NameError of one that is not in the traced module."""
        paths = self.submodule_paths
        if paths is None:
            paths = {m: name for name, m in self.root.named_modules()}
        if mod in paths:
            return paths[mod]
        raise NameError("module is not installed as a submodule")

    def get_fresh_qualname(self, prefix: str) -> str:
        """A name for an attribute of the traced module that it has none of yet."""
        number = 0
        while hasattr(self.root, f"{prefix}{number}"):
            number += 1
        return f"{prefix}{number}"

    # ---- tracing

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> Graph:
        """The graph of a module's `forward`, or of a function.

        Args:
            concrete_args: values of arguments on which control flow depends. The graph is for
                these values, and checks that it gets them.
        """
        if isinstance(root, Module):
            self.root = root
            function = getattr(type(root), self.traced_func_name)
            self.root_module_name = type(root).__name__
            self.submodule_paths = {m: name for name, m in root.named_modules()}
        else:
            self.root, function = Module(), root
            self.root_module_name = ""
            self.submodule_paths = {self.root: ""}
        self.graph = Graph(tracer_cls=type(self))
        self.tensor_attrs = _tensors_of(self.root)
        function, args = self.create_args_for_root(
            function, isinstance(root, Module), concrete_args
        )
        with self._calls_intercepted(function):
            result = self.create_arg(function(*args))
        returns = getattr(function, "__annotations__", {}).get("return")
        returns = None if isinstance(returns, str) else returns
        self.create_node("output", "output", (result,), {}, None, returns)
        self.submodule_paths = None
        return self.graph

    def create_args_for_root(
        self,
        root_fn: Callable[..., Any],
        is_module: bool,
        concrete_args: dict[str, Any] | None = None,
    ) -> tuple[Callable[..., Any], list[Any]]:
        """The function to call, and its arguments: the module, and stand-ins."""
        function = inspect.unwrap(root_fn)
        code = function.__code__
        signature = inspect.signature(function)
        count = code.co_argcount + code.co_kwonlyargcount
        names = list(code.co_varnames)
        args: list[Any] = []
        if is_module:
            if code.co_argcount == 0:
                raise RuntimeError("``self`` argument cannot be part of *args expansion!")
            args.append(self.root)
        for name in names[len(args) : count]:
            args.append(self._argument(name, signature.parameters[name], concrete_args or {}))
        keywords = names[code.co_argcount : count]
        if code.co_kwonlyargcount or code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
            rest = []
            if code.co_flags & inspect.CO_VARARGS:
                rest.append(self.create_proxy("placeholder", f"*{names[count]}", (), {}))
                count += 1
            more = {}
            if code.co_flags & inspect.CO_VARKEYWORDS:
                more[names[count]] = self.create_proxy("placeholder", f"**{names[count]}", (), {})
            return _spread(root_fn, code.co_argcount, keywords, rest, more), args
        return root_fn, args

    def _argument(self, name: str, parameter: inspect.Parameter, concrete: dict[str, Any]) -> Any:
        default = () if parameter.default is inspect.Parameter.empty else (parameter.default,)
        if name not in concrete or concrete[name] is PH:
            kind = parameter.annotation
            kind = None if kind is inspect.Parameter.empty or isinstance(kind, str) else kind
            return self.create_proxy("placeholder", name, default, {}, type_expr=kind)
        value = concrete[name]
        if isinstance(value, (tuple, list, dict)) and _holds_placeholders(value):
            refuse("torch.fx.symbolic_trace", "PH inside of a container is not in Facula")
        given = self.create_proxy("placeholder", f"{name}_1", default, {})
        why = f"{name} has been specialized to have value {value} but got another value"
        if value is None:
            self.create_proxy("call_function", _assert_is_none, (given, why), {})
        elif isinstance(value, base_types) and not isinstance(value, facula.Tensor):
            self.create_proxy("call_function", facula._assert, (given == value, why), {})
        else:
            warnings.warn(
                f"Was not able to add assertion to guarantee correct input {name} to specialized "
                "function. It is up to the user to make sure that your inputs match the inputs you "
                "specialized the function with.",
                stacklevel=2,
            )
        return value

    @contextlib.contextmanager
    def _calls_intercepted(self, function: Callable[..., Any]) -> Iterator[None]:
        """While the block runs, modules' calls and attributes and wrapped functions come here."""
        cache: dict[str, Any] = {}
        with contextlib.ExitStack() as changed:
            call, look = Module.__call__, Module.__getattr__

            def called(m: Module, *args: Any, **kwargs: Any) -> Any:
                def forward(*args: Any, **kwargs: Any) -> Any:
                    return call(m, *args, **kwargs)

                self._wrap_globals(getattr(m.forward, "__globals__", {}), changed)
                return self.call_module(m, forward, args, kwargs)

            def looked(m: Module, name: str) -> Any:
                return self.getattr(name, look(m, name), cache)

            _replace(changed, Module, "__call__", called)
            _replace(changed, Module, "__getattr__", looked)
            self._wrap_globals(getattr(function, "__globals__", {}), changed)
            for module in self._autowrap_search:
                self._wrap_globals(vars(module), changed)
            for (_, name), names in _wrapped.items():
                original = names.get(name, getattr(builtins, name, None))
                if original is not None:
                    _replace(changed, names, name, _single_call(original))
            _active.append(self)
            try:
                yield
            finally:
                _active.pop()

    def _wrap_globals(self, names: dict[str, Any], changed: contextlib.ExitStack) -> None:
        for name, value in list(names.items()):
            if id(value) in self._autowrapped and callable(value):
                _replace(changed, names, name, _single_call(value))


def _holds_placeholders(value: Any) -> bool:
    found: list[Any] = []
    map_aggregate(value, lambda a: found.append(a) if isinstance(a, PHBase) else None)
    return bool(found)


def _spread(
    function: Callable[..., Any],
    positional: int,
    keywords: list[str],
    rest: list[Any],
    more: dict[str, Any],
) -> Callable[..., Any]:
    """The function, called with all arguments in a row."""
    plain = inspect.unwrap(function)

    def call(*args: Any) -> Any:
        named = dict(zip(keywords, args[positional:], strict=True))
        return _with_standins(plain, args[:positional], named, rest, more)

    functools.update_wrapper(call, function)
    return call


def _with_standins(
    function: Any, args: Any, named: dict[str, Any], rest: list[Any], more: dict[str, Any]
) -> Any:
    """Call a function whose `*args` and `**kwargs` are stand-ins for the tuple and dictionary."""
    code = function.__code__
    flags = code.co_flags & ~(inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    count = code.co_argcount + code.co_kwonlyargcount + len(rest) + len(more)
    bare = types.FunctionType(
        code.replace(co_argcount=count, co_kwonlyargcount=0, co_posonlyargcount=0, co_flags=flags),
        function.__globals__,
        function.__name__,
        None,
        function.__closure__,
    )
    return bare(*args, *named.values(), *rest, *more.values())


def _tensors_of(root: Module) -> dict[Any, str]:
    """The tensors that modules hold as plain attributes, by identity: their paths."""
    out = {}
    for path, module in root.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, facula.Tensor):
                out[id(value)] = f"{path}.{name}" if path else name
    return out


def _replace(changed: contextlib.ExitStack, where: Any, name: str, value: Any) -> None:
    """Set an attribute or an entry until the stack ends."""
    if isinstance(where, dict):
        absent = object()
        before = where.get(name, absent)
        where[name] = value

        def back() -> None:
            if before is absent:
                del where[name]
            else:
                where[name] = before

    else:
        before = getattr(where, name)
        setattr(where, name, value)

        def back() -> None:
            setattr(where, name, before)

    changed.callback(back)


def _single_call(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that becomes one node where it gets a stand-in."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        found: list[Proxy] = []
        map_aggregate((args, kwargs), lambda a: found.append(a) if isinstance(a, Proxy) else None)
        if not found:
            return function(*args, **kwargs)
        out = found[0].tracer.create_proxy("call_function", function, args, kwargs)
        out.node.meta["is_wrapped"] = True
        return out

    return call


def wrap(fn_or_name: Any) -> Any:
    """Make a function of this module (or a builtin, by name) a single call in graphs.

    At module scope: `fx.wrap("len")`, or as a decorator.
    """
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError(
            "Unsupported type for global function! Must be either a callable or string name"
        )
    name = fn_or_name if isinstance(fn_or_name, str) else fn_or_name.__name__
    frame = inspect.currentframe()
    caller = frame.f_back if frame is not None else None
    if caller is None or caller.f_code.co_name != "<module>":
        raise NotImplementedError("wrap must be called at the top level of a module")
    _wrapped[id(caller.f_globals), name] = caller.f_globals
    return fn_or_name


def symbolic_trace(root: Any, concrete_args: dict[str, Any] | None = None) -> GraphModule:
    """A module that does what `root`, a module or function, does, with its graph.

    Raises:
        TraceError: where the program's course depends on a value.
    """
    tracer = Tracer()
    graph = tracer.trace(root, concrete_args)
    name = type(root).__name__ if isinstance(root, Module) else root.__name__
    return GraphModule(tracer.root, graph, name)


__getattr__ = honest(__name__)
