"""Running a graph node by node, and rewriting it by running it with stand-ins.

Source: https://pytorch.org/docs/stable/fx.html#torch.fx.Interpreter (the interface)
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from facula.errors import honest
from facula.fx._symbolic_trace import Tracer
from facula.fx.graph import Graph
from facula.fx.graph_module import GraphModule
from facula.fx.node import Node, map_aggregate, map_arg
from facula.fx.proxy import Proxy
from facula.nn import Module

__all__ = ["Interpreter", "Transformer"]


class Interpreter:
    """Runs a graph. A subclass's methods say what each kind of node does.

    Args:
        module: the module that has the submodules and attributes, and the graph if none is given.
        garbage_collect_values: let go of values after their last use.
    """

    def __init__(
        self, module: Module, garbage_collect_values: bool = True, graph: Graph | None = None
    ) -> None:
        self.module = module
        self.submodules = dict(module.named_modules())
        self.graph: Graph = module.graph if graph is None else graph
        self.env: dict[Node, Any] = {}
        self.name = "Interpreter"
        self.garbage_collect_values = garbage_collect_values
        self.extra_traceback = True
        self.user_to_last_uses: dict[Node, list[Node]] = {}
        if garbage_collect_values:
            from facula.fx._code import _last_uses

            self.user_to_last_uses = _last_uses(list(self.graph.nodes))
        self.args_iter: Iterator[Any] = iter(())

    def run(
        self,
        *args: Any,
        initial_env: dict[Node, Any] | None = None,
        enable_io_processing: bool = True,
    ) -> Any:
        """The result for these arguments.

        Args:
            initial_env: values of nodes that are known; they are not run.
        """
        self.env = {} if initial_env is None else initial_env
        if enable_io_processing:
            args = self.graph.process_inputs(*args)
        self.args_iter = iter(args)
        for node in self.graph.nodes:
            if node in self.env:
                continue
            try:
                self.env[node] = self.run_node(node)
            except Exception as error:
                if self.extra_traceback:
                    told = f"While executing {node.format_node()}"
                    text = f"{error.args[0]}\n\n{told}" if error.args else told
                    error.args = (text, *error.args[1:])
                    if isinstance(error, KeyError):  # its text would be shown as a key
                        raise RuntimeError(*error.args) from error
                raise
            for n in self.user_to_last_uses.get(node, ()):
                del self.env[n]
            if node.op == "output":
                result = self.env[node]
                return self.graph.process_outputs(result) if enable_io_processing else result
        return None

    def run_node(self, n: Node) -> Any:
        """What one node gives: the method of its kind, of its arguments' values."""
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return getattr(self, n.op)(n.target, args, kwargs)

    def placeholder(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The next argument of the call, or the default."""
        if target.startswith("*"):
            return list(self.args_iter)
        try:
            return next(self.args_iter)
        except StopIteration:
            if args:
                return args[0]
            raise RuntimeError(
                f"Expected positional argument for parameter {target}, but one was not passed in!"
            ) from None

    def get_attr(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An attribute of the module."""
        return self.fetch_attr(target)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function."""
        return target(*args, **kwargs)

    def call_method(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a method of the first argument."""
        first, *rest = args
        return getattr(first, target)(*rest, **kwargs)

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a submodule."""
        return self.fetch_attr(target)(*args, **kwargs)

    def output(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the graph returns."""
        return args[0]

    def fetch_attr(self, target: str) -> Any:
        """What the module has under a path; RuntimeError where that leads to nothing."""
        here: Any = self.module
        done: list[str] = []
        for part in target.split("."):
            if not hasattr(here, part):
                raise RuntimeError(f"Node referenced nonexistent target {'.'.join([*done, part])}")
            here = getattr(here, part)
            done.append(part)
        return here

    def fetch_args_kwargs_from_env(self, n: Node) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The values of a node's arguments."""
        return self.map_nodes_to_values(n.args, n), self.map_nodes_to_values(n.kwargs, n)

    def map_nodes_to_values(self, args: Any, n: Node) -> Any:
        """Arguments with the values of nodes in their places."""

        def value(of: Node) -> Any:
            if of not in self.env:
                raise RuntimeError(f"Node {n} referenced nonexistent value {of}! Run Graph.lint()")
            return self.env[of]

        return map_arg(args, value)


class _TransformerTracer(Tracer):
    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def is_leaf_module(self, m: Module, module_qualified_name: str) -> bool:
        return True


class Transformer(Interpreter):
    """Makes a new graph of what its methods return for each node of the old one."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.new_graph = Graph(tracer_cls=module.graph._tracer_cls)
        self.new_graph.set_codegen(module.graph._codegen)
        self.tracer = _TransformerTracer(self.new_graph)
        self.tracer.root = module

    def placeholder(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A placeholder of the new graph."""
        default = args[0] if args else inspect.Parameter.empty
        given = () if default is inspect.Parameter.empty else (default,)
        return Proxy(self.new_graph.create_node("placeholder", target, given, {}), self.tracer)

    def get_attr(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An attribute, in the new graph."""
        return self.tracer.create_proxy("get_attr", target, args, kwargs)

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call of a submodule, in the new graph."""
        return self.tracer.create_proxy("call_module", target, args, kwargs)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call of a function, in the new graph."""
        return self.tracer.create_proxy("call_function", target, args, kwargs)

    def transform(self) -> GraphModule:
        """The module with the new graph."""
        result = super().run(enable_io_processing=False)
        if result is not None:

            def node_of(a: Any) -> Any:
                return a.node if isinstance(a, Proxy) else a

            old = self.graph.output_node()
            new = self.new_graph.output(map_aggregate(result, node_of))
            new.type = old.type
        return GraphModule(self.module, self.new_graph)


__getattr__ = honest(__name__)
