"""Graphs: programs as lists of calls, to be looked at, changed and written out as Python again.

Source: https://pytorch.org/docs/stable/fx.html#torch.fx.Graph (the interface)
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from facula.errors import honest
from facula.fx._code import CodeGen, PythonCode
from facula.fx._code import Namespace as _Namespace
from facula.fx.node import OPS, Node, map_arg, public_name, type_text

__all__ = ["CodeGen", "Graph", "PythonCode"]


class _node_list:
    """The nodes of a graph, forwards or backwards. They may be changed while they are gone over."""

    def __init__(self, graph: Graph, direction: str = "_next") -> None:
        self.graph, self.direction = graph, direction

    def __len__(self) -> int:
        return self.graph._len

    def __iter__(self) -> Iterator[Node]:
        root = self.graph._root
        node = getattr(root, self.direction)
        while node is not root:
            if not node._erased:
                yield node
            node = getattr(node, self.direction)

    def __reversed__(self) -> Any:
        return _node_list(self.graph, "_prev" if self.direction == "_next" else "_next")


class _InsertPoint:
    """Puts new nodes in one place; as a block, until it ends."""

    def __init__(self, graph: Graph, insert: Callable[[Node], None]) -> None:
        self.graph, self.before = graph, graph._insert
        graph._insert = insert

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        self.graph._insert = self.before


class Graph:
    """A list of nodes: arguments (`placeholder`), calls, and one `output`.

        graph = fx.Graph()
        x = graph.placeholder("x")
        graph.output(graph.call_function(torch.relu, (x,)))
        module = fx.GraphModule({}, graph)

    Args:
        owning_module: the GraphModule whose graph it is; it is set by that.
        tracer_cls: the class of the tracer that makes it.
    """

    def __init__(
        self, owning_module: Any = None, tracer_cls: Any = None, tracer_extras: Any = None
    ) -> None:
        self._root = Node(self, "", "root", "", (), {})
        self._len = 0
        self._graph_namespace = _Namespace()
        self._insert: Callable[[Node], None] = self._root.prepend
        self._owning_module = owning_module
        self._tracer_cls, self._tracer_extras = tracer_cls, tracer_extras
        self._codegen = CodeGen()

    @property
    def owning_module(self) -> Any:
        """The GraphModule whose graph it is, or None."""
        return self._owning_module

    @owning_module.setter
    def owning_module(self, module: Any) -> None:
        self._owning_module = module

    @property
    def nodes(self) -> Any:
        """All nodes in order; `reversed` goes backwards."""
        return _node_list(self)

    def find_nodes(self, *, op: str, target: Any = None, sort: bool = True) -> list[Node]:
        """The nodes with this op and, if given (calls of functions: needed), this target."""
        return [n for n in self.nodes if n.op == op and (target is None or n.target == target)]

    def output_node(self) -> Node:
        """The node that returns, which is the last one."""
        node = next(iter(reversed(self.nodes)), None)
        if node is None or node.op != "output":
            raise AssertionError(f"Expected output node, got op={node and node.op}")
        return node

    # ---- making nodes

    def create_node(
        self,
        op: str,
        target: Any,
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
        name: str | None = None,
        type_expr: Any = None,
    ) -> Node:
        """Add a node at the place for new ones, which is the end unless it has been moved.

        Raises:
            AssertionError: for an op that there isn't.
            ValueError: for a target that is no function or no name, as the op needs.
        """
        if op not in OPS:
            raise AssertionError(f"op '{op}' is not in _legal_ops")
        name = self._graph_namespace.create_name(name or self._target_to_str(target))
        node = Node(self, name, op, target, args or (), kwargs or {}, type_expr)
        self._insert(node)
        self._len += 1
        return node

    def placeholder(self, name: str, type_expr: Any = None, default_value: Any = ...) -> Node:
        """An argument of the function; without `default_value` it has to be given."""
        args = () if default_value is ... else (default_value,)
        return self.create_node("placeholder", name, args, type_expr=type_expr)

    def get_attr(self, qualified_name: str, type_expr: Any = None) -> Node:
        """A parameter, buffer or other attribute of the module, by its path."""
        if self.owning_module is not None and not _has(self.owning_module, qualified_name):
            warnings.warn(
                "Attempted to insert a get_attr Node with no underlying reference in the owning "
                "GraphModule! Call GraphModule.add_submodule to add the necessary submodule, "
                "GraphModule.add_parameter to add the necessary Parameter, or "
                "nn.Module.register_buffer to add the necessary buffer",
                stacklevel=2,
            )
        return self.create_node("get_attr", qualified_name, type_expr=type_expr)

    def call_module(
        self, module_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None
    ) -> Node:
        """A call of a submodule, by its path."""
        if self.owning_module is not None:
            self.owning_module.get_submodule(module_name)  # AttributeError where there is none
        return self.create_node("call_module", module_name, args, kwargs, type_expr=type_expr)

    def call_method(
        self, method_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None
    ) -> Node:
        """A call of a method of the first argument."""
        return self.create_node("call_method", method_name, args, kwargs, type_expr=type_expr)

    def call_function(
        self,
        the_function: Callable[..., Any],
        args: Any = None,
        kwargs: Any = None,
        type_expr: Any = None,
        name: str | None = None,
    ) -> Node:
        """A call of a function."""
        return self.create_node("call_function", the_function, args, kwargs, name, type_expr)

    def output(self, result: Any, type_expr: Any = None) -> Node:
        """What the function returns: a node, or nodes in tuples, lists and dictionaries."""
        return self.create_node("output", "output", (result,), type_expr=type_expr)

    def _target_to_str(self, target: Any) -> str:
        name = target if isinstance(target, str) else public_name(target).rpartition(".")[2]
        if name.startswith("__") and name.endswith("__"):
            name = name[2:-2]
        return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name.replace(".", "_")).lower()

    # ---- changing the graph

    def inserting_before(self, n: Node | None = None) -> _InsertPoint:
        """Put new nodes before this one (the beginning without one): a block, or until changed."""
        if n is None:
            return self.inserting_after(self._root)
        if n.graph is not self:
            raise AssertionError("Node to insert before is not in graph.")
        return _InsertPoint(self, n.prepend)

    def inserting_after(self, n: Node | None = None) -> _InsertPoint:
        """Put each new node right after this one (the end without one)."""
        if n is None:
            return self.inserting_before(self._root)
        if n.graph is not self:
            raise AssertionError("Node to insert after is not in graph.")
        return _InsertPoint(self, n.append)

    def erase_node(self, to_erase: Node) -> None:
        """Take out a node that nobody uses.

        Raises:
            RuntimeError: where there are users left, or the node is of another graph.
        """
        if to_erase.graph is not self:
            raise RuntimeError(f"Attempting to remove {to_erase} from wrong graph!")
        if to_erase.users:
            raise RuntimeError(
                f"Tried to erase Node {to_erase} but it still had {len(to_erase.users)} users in "
                f"the graph: {to_erase.users}!"
            )
        if to_erase._erased:
            warnings.warn(f"erase_node({to_erase}) on an already erased node", stacklevel=2)
            return
        to_erase._set((), {})
        to_erase._unlink()
        to_erase._erased = True
        self._len -= 1

    def node_copy(self, node: Node, arg_transform: Callable[[Node], Any] = lambda x: x) -> Node:
        """A copy of another graph's node, with its arguments as `arg_transform` has them."""
        args, kwargs = map_arg((node.args, node.kwargs), arg_transform)
        new = self.create_node(node.op, node.target, args, kwargs, node.name, node.type)
        new.meta = dict(node.meta)
        return new

    def graph_copy(
        self, g: Graph, val_map: dict[Node, Node], return_output_node: bool = False
    ) -> Any:
        """Copy another graph's nodes to the end; what its output returns, in this graph's nodes.

        Args:
            val_map: nodes here that stand for nodes there, which are not copied again; all copied
                nodes are entered.
            return_output_node: return a pair, with the other graph's output node.
        """
        for node in g.nodes:
            if node in val_map:
                continue
            if node.op == "output":
                result = map_arg(node.args[0], lambda n: val_map[n])
                return (result, node) if return_output_node else result
            val_map[node] = self.node_copy(node, lambda n: val_map[n])
        return None

    def eliminate_dead_code(self, is_impure_node: Callable[[Node], bool] | None = None) -> bool:
        """Take out what nobody uses and what does nothing else; whether there was any."""
        self.lint()
        before = self._len
        impure = is_impure_node or Node.is_impure
        for node in reversed(self.nodes):
            if not node.users and not impure(node):
                self.erase_node(node)
        return self._len < before

    def on_generate_code(self, make_transformer: Callable[[Any], Any]) -> Any:
        """Refused: the code that is written can be changed by `set_codegen`."""
        from facula.errors import refuse

        refuse("Graph.on_generate_code", "use Graph.set_codegen")

    def set_codegen(self, codegen: CodeGen) -> None:
        """Let another object write the code."""
        self._codegen = codegen

    def process_inputs(self, *args: Any) -> Any:
        """What a call's arguments are for the placeholders."""
        return self._codegen.process_inputs(*args)

    def process_outputs(self, out: Any) -> Any:
        """What the caller gets of the output node's value."""
        return self._codegen.process_outputs(out)

    # ---- looking at it

    def python_code(self, root_module: str, **options: Any) -> PythonCode:
        """The graph as a function `forward`, and what its names stand for.

        Args:
            root_module: the name of the module in the code.
        """
        names = _Namespace()  # of its own, so that a graph that was changed is numbered anew

        def shown(n: Node) -> str:
            return names.create_name(n.name, n)

        nodes = list(self.nodes)
        kept = [n._repr_fn for n in nodes]
        for n in nodes:
            n._repr_fn = shown
        try:
            return self._codegen._gen_python_code(nodes, root_module, names)
        finally:
            for n, before in zip(nodes, kept, strict=True):
                n._repr_fn = before

    def __str__(self) -> str:
        return "\n    ".join(["graph():", *[n.format_node() or "" for n in self.nodes]])

    def print_tabular(self) -> None:
        """Print a table of the nodes: op, name, target, args, kwargs."""
        heads = ["opcode", "name", "target", "args", "kwargs"]
        rows = [[str(x) for x in (n.op, n.name, n.target, n.args, n.kwargs)] for n in self.nodes]
        widths = [max([len(heads[i]) + 2, *[len(row[i]) for row in rows]]) for i in range(5)]

        def line(row: list[str]) -> str:
            return "  ".join([c.ljust(w) for c, w in zip(row, widths, strict=True)]).rstrip()

        print("\n".join([line(heads), "  ".join(["-" * w for w in widths]), *map(line, rows)]))

    def lint(self) -> None:
        """Check that nodes come after what they use, that names differ and targets exist.

        Raises:
            RuntimeError: saying what is wrong.
        """
        seen: set[Node] = set()
        names: set[str] = set()
        for node in self.nodes:
            if node.graph is not self:
                raise RuntimeError(f"Node '{node}' does not belong to this Graph!")
            for arg in node.all_input_nodes:
                if arg.graph is not self:
                    raise RuntimeError(
                        f"Argument '{arg}' of Node '{node}' does not belong to this Graph, but was "
                        "used as an argument! If you are copying nodes from another graph, make "
                        "sure to use ``arg_transform`` on node_copy() to remap values"
                    )
                if arg not in seen:
                    raise RuntimeError(
                        f"Argument '{arg}' of Node '{node}' was used before it has been defined! "
                        f"Please check that Nodes in the graph are topologically ordered\n{self}"
                    )
            if node.name in names:
                raise RuntimeError(f"Node redefined name {node.name}!")
            names.add(node.name)
            seen.add(node)
            if self.owning_module is not None and node.op in ("get_attr", "call_module"):
                _check(self.owning_module, node)

    def __deepcopy__(self, memo: dict[int, Any]) -> Graph:
        copy = Graph(tracer_cls=self._tracer_cls)
        copy._codegen = self._codegen
        made: dict[Node, Node] = {}
        result = copy.graph_copy(self, made, return_output_node=True)
        if result is not None:
            value, old = result
            new = copy.output(value, old.type)
            new.meta = dict(old.meta)
        memo[id(self)] = copy
        return copy


def _has(module: Any, path: str) -> bool:
    for part in path.split("."):
        if not hasattr(module, part):
            return False
        module = getattr(module, part)
    return True


def _check(module: Any, node: Node) -> None:
    """RuntimeError where a path leads to nothing, or to what can't be called."""
    here = module
    for part in str(node.target).split("."):
        if not hasattr(here, part):
            raise RuntimeError(
                f"Node {node} target {node.target} references nonexistent attribute {part} of "
                f"{type(here).__name__}"
            )
        here = getattr(here, part)
    if node.op == "call_module" and not callable(here):
        raise RuntimeError(
            f"Node {node} target {node.target} references {type_text(type(here))}, which is no "
            "module"
        )


__getattr__ = honest(__name__)
