"""Nodes of a graph: one call each, with links to the nodes that its arguments are.

Source: https://pytorch.org/docs/stable/fx.html#torch.fx.Node (the interface)
"""

from __future__ import annotations

import builtins
import operator
import types
import typing
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import facula
from facula.errors import honest
from facula.fx.immutable_collections import immutable_dict, immutable_list

if TYPE_CHECKING:
    from facula.fx.graph import Graph

__all__ = ["Argument", "Node", "Target", "has_side_effect", "map_aggregate", "map_arg"]

Target: TypeAlias = Callable[..., Any] | str
Argument: TypeAlias = Any
base_types = (
    str, int, float, bool, complex, facula.dtype, facula.Tensor, facula.device,
    facula.memory_format, facula.layout,
)  # fmt: skip
OPS = ("placeholder", "call_method", "call_module", "call_function", "get_attr", "output", "root")
# Functions whose calls are kept even where nobody uses the result.
_side_effectful_functions: set[Callable[..., Any]] = {
    facula._assert, operator.setitem, facula.bernoulli, facula.multinomial, facula.normal,
    facula.poisson, facula.rand, facula.rand_like, facula.randint, facula.randint_like,
    facula.randn, facula.randn_like, facula.randperm,
}  # fmt: skip


def has_side_effect(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Keep calls of a function (a decorator) when what is not used is taken out of graphs."""
    _side_effectful_functions.add(fn)
    return fn


def map_aggregate(a: Any, fn: Callable[[Any], Any]) -> Any:
    """Apply `fn` to all that tuples, lists, dictionaries and slices hold, at any depth."""
    if isinstance(a, tuple):
        parts = [map_aggregate(x, fn) for x in a]
        return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
    if isinstance(a, list):
        return immutable_list([map_aggregate(x, fn) for x in a])
    if isinstance(a, dict):
        return immutable_dict({k: map_aggregate(v, fn) for k, v in a.items()})
    if isinstance(a, slice):
        return slice(*[map_aggregate(x, fn) for x in (a.start, a.stop, a.step)])
    return fn(a)


def map_arg(a: Any, fn: Callable[[Node], Any]) -> Any:
    """Apply `fn` to the nodes among arguments."""
    return map_aggregate(a, lambda x: fn(x) if isinstance(x, Node) else x)


def nodes_in(a: Any) -> Iterator[Node]:
    """The nodes among arguments, in order."""
    if isinstance(a, Node):
        yield a
    elif isinstance(a, (tuple, list)):
        for x in a:
            yield from nodes_in(x)
    elif isinstance(a, dict):
        for x in a.values():
            yield from nodes_in(x)
    elif isinstance(a, slice):
        yield from nodes_in((a.start, a.stop, a.step))


def public_name(obj: Any) -> str:
    """The name by which a program reaches a function: `torch.cat`, `operator.add`, `module.f`."""
    from facula.fx import _names

    known = _names.of(obj)
    if known is not None:
        return known
    name = getattr(obj, "__name__", None) or type(obj).__name__
    if getattr(builtins, name, None) is obj:
        return str(name)
    if isinstance(obj, (types.MethodDescriptorType, types.WrapperDescriptorType)):
        return f"{obj.__objclass__.__module__}.{obj.__objclass__.__name__}.{name}"
    module = getattr(obj, "__module__", None) or "builtins"
    return f"{'operator' if module == '_operator' else module}.{getattr(obj, '__qualname__', name)}"


_get_qualified_name = public_name


def _shown(target: Any) -> str:
    """A target as it is shown: builtins with their module."""
    if isinstance(target, str):
        return target
    name = public_name(target)
    return name if "." in name else f"builtins.{name}"


def type_text(t: Any) -> str:
    """A type as annotations have it: `int`, `torch.Tensor`, `typing.List[int]`."""
    if isinstance(t, type) and not typing.get_args(t):
        if t.__module__ == "builtins":
            return t.__qualname__
        from facula.fx import _names

        return _names.of(t) or f"{t.__module__}.{t.__qualname__}"
    if t is ...:
        return "..."
    return t.__name__ if isinstance(t, types.FunctionType) else repr(t)


class Node:
    """One call in a graph, and the value that it makes.

    Attributes:
        op: `placeholder`, `get_attr`, `call_function`, `call_module`, `call_method` or `output`.
        target: the function, or the name of an argument, attribute, module or method.
        args, kwargs: the arguments, among them other nodes. They can't be changed in place.
        users: the nodes that use this one, as the keys of a dictionary.
        meta: notes of those who work on graphs.
    """

    def __init__(
        self,
        graph: Graph,
        name: str,
        op: str,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        return_type: Any = None,
    ) -> None:
        if op not in OPS:
            raise AssertionError(f"a node's op is one of {', '.join(OPS)}, not {op!r}")
        if op == "call_function" and not callable(target):
            raise ValueError(
                f"Node [graph = {graph}, name = '{name}'] target {target} has type "
                f"{type(target)} but a Callable is expected"
            )
        if op != "call_function" and not isinstance(target, str):
            raise ValueError(
                f"Node [graph = {graph}, name = '{name}'] target {target} has type "
                f"{type(target)} but a str is expected"
            )
        self.graph, self.name, self.op, self.target = graph, name, op, target
        self.type = return_type
        self.users: dict[Node, None] = {}
        self.meta: dict[str, Any] = {}
        self._input_nodes: dict[Node, None] = {}
        self._prev = self._next = self
        self._erased = False
        self._repr_fn: Callable[[Node], str] | None = None
        self._args: tuple[Any, ...] = ()
        self._kwargs: dict[str, Any] = {}
        self._set(args, kwargs)

    # ---- arguments

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments; assign a new tuple to change them."""
        return self._args

    @args.setter
    def args(self, args: tuple[Any, ...]) -> None:
        self._set(args, self._kwargs)

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments; assign a new dictionary to change them."""
        return self._kwargs

    @kwargs.setter
    def kwargs(self, kwargs: dict[str, Any]) -> None:
        self._set(self._args, kwargs)

    def _set(self, args: Any, kwargs: Any) -> None:
        for n in self._input_nodes:
            n.users.pop(self, None)
        self._args = map_aggregate(tuple(args), lambda x: x)
        self._kwargs = map_aggregate(dict(kwargs), lambda x: x)
        self._input_nodes = dict.fromkeys(nodes_in((self._args, self._kwargs)))
        for n in self._input_nodes:
            n.users[self] = None

    _update_args_kwargs = _set

    @property
    def all_input_nodes(self) -> list[Node]:
        """The nodes among the arguments, each once."""
        return list(self._input_nodes)

    def update_arg(self, idx: int, arg: Any) -> None:
        """Change one positional argument."""
        args = list(self._args)
        args[idx] = arg
        self.args = tuple(args)

    def insert_arg(self, idx: int, arg: Any) -> None:
        """Put a positional argument before the one at `idx`."""
        if not 0 <= idx <= len(self._args):
            raise AssertionError("insert_args index must be between 0 and len(self.args)")
        self.args = (*self._args[:idx], arg, *self._args[idx:])

    def update_kwarg(self, key: str, arg: Any) -> None:
        """Change one keyword argument."""
        self.kwargs = {**self._kwargs, key: arg}

    def replace_input_with(self, old_input: Node, new_input: Node) -> None:
        """Use another node wherever the arguments have `old_input`."""
        self._set(
            *map_arg((self._args, self._kwargs), lambda n: new_input if n is old_input else n)
        )

    def replace_all_uses_with(
        self,
        replace_with: Node,
        delete_user_cb: Callable[[Node], bool] = lambda user: True,
        *,
        propagate_meta: bool = False,
    ) -> list[Node]:
        """Let all users of this node use another; those that were asked for it.

        With `delete_user_cb` only those of which it is true.
        """
        if propagate_meta:
            if replace_with.meta:
                raise AssertionError(
                    "Called node.replace_all_uses_with(replace_with, propagate_meta=True), but "
                    "replace_with already has .meta keys"
                )
            replace_with.meta.update(self.meta)
        changed = list(self.users)
        kept = [user for user in changed if not delete_user_cb(user)]
        for user in changed:
            if user not in kept:
                user.replace_input_with(self, replace_with)
        return [user for user in changed if user not in kept]

    # ---- the place in the graph

    @property
    def next(self) -> Node:
        """The node after this one."""
        return self._next

    @property
    def prev(self) -> Node:
        """The node before this one."""
        return self._prev

    def prepend(self, x: Node) -> None:
        """Move `x`, of the same graph, to the place before this node."""
        if self.graph is not x.graph:
            raise AssertionError("Attempting to move a Node into a different Graph")
        if self is x:
            return
        x._unlink()
        before = self._prev
        before._next, x._prev = x, before
        x._next, self._prev = self, x

    def append(self, x: Node) -> None:
        """Move `x`, of the same graph, to the place after this node."""
        self._next.prepend(x)

    def _unlink(self) -> None:
        self._prev._next, self._next._prev = self._next, self._prev

    # ---- what it is

    def is_impure(self, impure_random: bool = True) -> bool:
        """Whether the call may do something besides making a value, so that it has to stay."""
        if self.op in ("placeholder", "output"):
            return True
        if self.op == "call_function":
            return self.target in _side_effectful_functions
        if self.op == "call_module" and self.graph.owning_module is not None:
            module = self.graph.owning_module.get_submodule(self.target)
            return bool(getattr(module, "_is_impure", False))
        return False

    @property
    def stack_trace(self) -> str | None:
        """The lines of the program that made this node, where they were recorded."""
        return self.meta.get("stack_trace")

    @stack_trace.setter
    def stack_trace(self, trace: str | None) -> None:
        self.meta["stack_trace"] = trace

    def _pretty_print_target(self, target: Any) -> str:
        return _shown(target)

    def format_node(
        self,
        placeholder_names: list[str] | None = None,
        maybe_return_typename: list[str] | None = None,
        **kwargs: Any,
    ) -> str | None:
        """One line for printing; the lists, if given, collect arguments and the return type."""
        kind = "" if self.type is None else f"{type_text(self.type)} "
        head = f"%{self.name} : {kind}[num_users={len(self.users)}] = {self.op}"
        head += f"[target={_shown(self.target)}]"
        if self.op == "placeholder":
            if placeholder_names is not None:
                placeholder_names.append(f"%{self.target}" + (f" : {kind[:-1]}" if kind else ""))
                return None
            return head + (f"(default={self._args[0]})" if self._args else "")
        if self.op == "output":
            if self.type is not None and maybe_return_typename is not None:
                maybe_return_typename[0] = f" -> {type_text(self.type)}"
            return f"return {self._args[0]}"
        if self.op == "get_attr":
            return head
        return f"{head}(args = {_told(self._args)}, kwargs = {_told(self._kwargs)})"

    def __repr__(self) -> str:
        return self._repr_fn(self) if self._repr_fn else self.name

    def __deepcopy__(self, memo: dict[int, Any]) -> Node:
        raise RuntimeError("Node objects should not be deepcopied; copy the Graph or GraphModule")


def _told(a: Any) -> str:
    """Arguments as the lines of a graph have them: `(%x, 1)`, `{dim: 0}`."""
    if isinstance(a, Node):
        return f"%{a.name}"
    if isinstance(a, tuple):
        inner = ", ".join([_told(x) for x in a])
        return f"({inner},)" if len(a) == 1 else f"({inner})"
    if isinstance(a, list):
        return "[" + ", ".join([_told(x) for x in a]) + "]"
    if isinstance(a, dict):
        return "{" + ", ".join([f"{k}: {_told(v)}" for k, v in a.items()]) + "}"
    return str(a)


__getattr__ = honest(__name__)
