"""Stand-ins for values: what a program does with one is written into a graph.

Source: https://pytorch.org/docs/stable/fx.html#torch.fx.Proxy (the interface)
"""

from __future__ import annotations

import collections
import dis
import inspect
import operator
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import facula
from facula.errors import honest
from facula.fx import _names
from facula.fx.graph import Graph
from facula.fx.node import Node, base_types, map_aggregate, map_arg
from facula.ops import table

__all__ = ["Attribute", "GraphAppendingTracer", "ParameterProxy", "Proxy", "TraceError"]


class TraceError(ValueError):
    """The program asks something of a stand-in that only a value can answer."""


_ITERATED = (
    "Proxy object cannot be iterated. This can be attempted when the Proxy is used in a loop or as "
    "a *args or **kwargs function argument. See the torch.fx docs on pytorch.org for a more "
    "detailed explanation of what types of control flow can be traced, and check out the Proxy "
    "docstring for help troubleshooting Proxy iteration errors"
)


class TracerBase:
    """Writes what is done with stand-ins into `graph`."""

    graph: Graph
    record_stack_traces = False
    check_mutable_operations = False
    traced_func_name = "forward"

    def create_node(
        self,
        kind: str,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        name: str | None = None,
        type_expr: Any = None,
    ) -> Node:
        """Add a node to the graph."""
        return self.graph.create_node(kind, target, args, kwargs, name, type_expr)

    def proxy(self, node: Node) -> Proxy:
        """The stand-in for a node's value."""
        return Proxy(node, self)

    def create_proxy(
        self,
        kind: str,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        name: str | None = None,
        type_expr: Any = None,
        proxy_factory_fn: Callable[[Node], Proxy] | None = None,
    ) -> Proxy:
        """Add a node whose arguments may hold stand-ins; the stand-in for its value."""
        args, kwargs = self.create_arg(args), self.create_arg(kwargs)
        node = self.create_node(kind, target, args, kwargs, name, type_expr)
        if self.record_stack_traces:
            node.stack_trace = _lines_of_the_program()
        return (proxy_factory_fn or self.proxy)(node)

    def create_arg(self, a: Any) -> Any:
        """A value of the program as an argument of a node.

        Raises:
            NotImplementedError: for what the code of a graph can't name.
        """
        if isinstance(a, Proxy):
            return a.node
        if hasattr(a, "__fx_create_arg__"):
            return a.__fx_create_arg__(self)
        if isinstance(a, tuple):
            parts = [self.create_arg(x) for x in a]
            return type(a)(*parts) if hasattr(a, "_fields") else type(a)(parts)
        if isinstance(a, list):
            return [self.create_arg(x) for x in a]
        if isinstance(a, dict):
            return self._dictionary(a)
        if isinstance(a, slice):
            return slice(*[self.create_arg(x) for x in (a.start, a.stop, a.step)])
        if isinstance(a, range):
            return range(*[self.create_arg(x) for x in (a.start, a.stop, a.step)])
        if isinstance(a, (*base_types, Node)) or a is None or a is ...:
            return a
        raise NotImplementedError(f"argument of type: {type(a)}")

    def _dictionary(self, a: dict[Any, Any]) -> dict[Any, Any]:
        out = {}
        for key, value in a.items():
            key = self.create_arg(key)

            def refused(n: Node, key: Any = key) -> NoReturn:
                raise RuntimeError(
                    "Keys for dictionaries used as an argument cannot contain a Node. "
                    f"Got key: {key}"
                )

            map_arg(key, refused)
            out[key] = self.create_arg(value)
        return out

    def to_bool(self, obj: Proxy) -> bool:
        """TraceError: whether a stand-in is true is not known; a subclass may decide."""
        raise TraceError("symbolically traced variables cannot be used as inputs to control flow")

    def iter(self, obj: Proxy) -> Iterator[Any]:
        """The parts, where the program says how many there are (`a, b = x`); else TraceError."""
        frame = inspect.currentframe()
        while frame is not None and frame.f_code.co_filename == __file__:
            frame = frame.f_back
        if frame is not None:
            for i in dis.get_instructions(frame.f_code):
                if i.offset == frame.f_lasti and i.opname == "UNPACK_SEQUENCE":
                    return iter([obj[n] for n in range(i.argval)])
        raise TraceError(_ITERATED)

    def keys(self, obj: Proxy) -> Any:
        """What `**x` goes over: a stand-in for `x.keys()`, which can't be iterated."""
        return Attribute(obj, "keys")()


class GraphAppendingTracer(TracerBase):
    """Adds what is done with stand-ins to a graph that is there."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph


def _lines_of_the_program() -> str:
    import traceback

    lines = [f for f in traceback.extract_stack() if "/facula/" not in f.filename]
    return "".join(traceback.format_list(lines))


# How many stand-ins of each class there are. Only while there is one do operations ask their
# operands for a `__torch_function__`.
_living: collections.Counter[type] = collections.Counter()


class Proxy:
    """A stand-in for the value of a node: operations with it add nodes to the graph.

    Args:
        node: the node.
        tracer: who adds nodes; without one they go to the node's graph.
    """

    def __init__(self, node: Node, tracer: TracerBase | None = None) -> None:
        self.tracer = GraphAppendingTracer(node.graph) if tracer is None else tracer
        self.node = node

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if not _living[cls]:
            table.CLASSES.add(cls)
            table.OVERRIDES.append(cls)
        _living[cls] += 1
        return object.__new__(cls)

    def __del__(self) -> None:
        cls = type(self)
        _living[cls] -= 1
        if not _living[cls] and cls in table.OVERRIDES:
            table.OVERRIDES.remove(cls)

    def __repr__(self) -> str:
        return f"Proxy({self.node.name})"

    def __getattr__(self, name: str) -> Any:
        if name == "node" or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return Attribute(self, name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Proxy:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", "__call__", (self, *args), kwargs)

    def __iter__(self) -> Iterator[Any]:
        return self.tracer.iter(self)

    def __bool__(self) -> bool:
        return self.tracer.to_bool(self)

    if TYPE_CHECKING:

        def __getitem__(self, index: Any) -> Proxy: ...

    def keys(self) -> Any:
        """See `TracerBase.keys`."""
        return self.tracer.keys(self)

    def __len__(self) -> int:
        raise RuntimeError(
            "'len' is not supported in symbolic tracing by default. If you want this call to be "
            "recorded, please call torch.fx.wrap('len') at module scope"
        )

    @classmethod
    def __torch_function__(
        cls, orig_method: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        tracers: list[TracerBase] = []

        def look(a: Any) -> None:
            if isinstance(a, Proxy) and a.tracer not in tracers:
                tracers.append(a.tracer)

        map_aggregate((args, kwargs), look)
        if len(tracers) != 1:
            raise RuntimeError(f"{len(tracers)} tracers at work in one call of {orig_method}")
        name = orig_method.__name__
        if table.METHODS.get(name) is orig_method and not hasattr(facula, name):
            return tracers[0].create_proxy("call_method", name, args, kwargs)
        return tracers[0].create_proxy("call_function", orig_method, args, kwargs)


class Attribute(Proxy):
    """`x.name`, which is a method if it is called, and becomes a node if it is not."""

    def __init__(self, root: Proxy, attr: str) -> None:
        self.root, self.attr, self.tracer = root, attr, root.tracer
        self._node: Node | None = None

    @property
    def node(self) -> Node:  # type: ignore[override]
        if self._node is None:
            made = self.tracer.create_proxy("call_function", getattr, (self.root, self.attr), {})
            self._node = made.node
        return self._node

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)


class ParameterProxy(Proxy):
    """A stand-in for a parameter whose shape the program may look at."""

    def __init__(self, tracer: TracerBase, node: Node, name: str, param: facula.Tensor) -> None:
        super().__init__(node, tracer)
        self.param, self.name = param, name

    def __repr__(self) -> str:
        return f"ParameterProxy({self.name})"

    @property
    def shape(self) -> Any:
        return self.param.shape

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        return self.param.size(dim)

    def dim(self) -> int:
        """The number of dimensions."""
        return self.param.dim()

    @property
    def ndim(self) -> int:
        return self.param.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self.param.numel()

    def nelement(self) -> int:
        """The number of elements."""
        return self.param.numel()


def _operator(function: Any) -> Any:
    def method(self: Proxy, *args: Any) -> Any:
        return self.tracer.create_proxy("call_function", function, (self, *args), {})

    return method


def _reflected(function: Any) -> Any:
    def method(self: Proxy, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", function, (other, self), {})

    return method


for _special, _function in _names.operators():
    setattr(Proxy, _special, _operator(_function))
for _name in _names.REFLECTED:
    setattr(Proxy, f"__r{_name.rstrip('_')}__", _reflected(getattr(operator, _name)))
Proxy.__hash__ = object.__hash__  # type: ignore[method-assign]

__getattr__ = honest(__name__)
