"""Modules whose `forward` is the code of a graph.

Source: https://pytorch.org/docs/stable/fx.html#torch.fx.GraphModule (the interface)
"""

from __future__ import annotations

import copy
import importlib
import itertools
import linecache
from typing import Any

import facula
from facula.errors import honest, refuse
from facula.fx._code import PythonCode
from facula.fx.graph import Graph
from facula.nn import Module

__all__ = ["GraphModule", "reduce_graph_module"]

_USER_PRESERVED_ATTRIBUTES_KEY = "_user_preserved_attributes"
_numbers = itertools.count()


def _forward_of(code: str, names: dict[str, Any]) -> Any:
    """The function that source text defines; tracebacks show its lines."""
    file = f"<eval_with_key>.{next(_numbers)}"
    linecache.cache[file] = (len(code), None, code.splitlines(True), file)
    space = dict(names)
    exec(compile(code, file, "exec"), space)
    return space["forward"]


def _parent(root: Module, target: str, make: bool = False) -> tuple[Any, str]:
    *path, name = target.split(".")
    here: Any = root
    for part in path:
        if make and getattr(here, part, None) is None:
            setattr(here, part, Module())
        here = getattr(here, part)
    return here, name


def _copy_attr(from_module: Module, to_module: Module, target: str) -> None:
    """Give a module what another has under a path; tensors become buffers."""
    home, name = _parent(from_module, target)
    _assign_attr(getattr(home, name), to_module, target)


def _assign_attr(value: Any, to_module: Module, target: str) -> None:
    """Put a value under a path, with plain modules on the way."""
    home, name = _parent(to_module, target, make=True)
    if isinstance(value, facula.Tensor) and not isinstance(value, facula.nn.Parameter):
        home.register_buffer(name, value)
    else:
        setattr(home, name, value)


class GraphModule(Module):
    """A module made of a graph: its `forward` is generated from that.

    Attributes:
        graph: the graph; after it has been changed call `recompile`, or assign it.
        code: the Python code of `forward`.

    Args:
        root: a module that has the submodules, parameters and buffers that the graph names, or a
            dictionary of them by path. Only these are taken over.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        # Each has a class of its own: `forward` is found there, as of any module.
        for c in cls.__mro__:
            if c.__qualname__ == "GraphModuleImpl":
                return super().__new__(cls)

        class GraphModuleImpl(cls):  # type: ignore[misc, valid-type]
            pass

        GraphModuleImpl.__qualname__ = "GraphModuleImpl"
        return super().__new__(GraphModuleImpl)

    def __init__(self, root: Any, graph: Graph, class_name: str = "GraphModule") -> None:
        super().__init__()
        self.__class__.__name__ = class_name
        needed = [n.target for n in graph.nodes if n.op in ("get_attr", "call_module")]
        if isinstance(root, Module):
            self.training = root.training
            for target in needed:
                _copy_attr(root, self, str(target))
        elif isinstance(root, dict):
            for node in graph.nodes:
                if node.op in ("get_attr", "call_module") and node.target not in root:
                    raise RuntimeError(
                        f"Node {node} referenced target {node.target} but that target was not "
                        "provided in ``root``!"
                    )
            for target in sorted(set(map(str, needed)), key=lambda t: t.count(".")):
                _assign_attr(root[target], self, target)
        else:
            raise RuntimeError(f"Unsupported type {root} passed for root!")
        self.meta: dict[str, Any] = dict(getattr(root, "meta", None) or {})
        self.graph = graph

    @property
    def graph(self) -> Graph:
        """The graph that `forward` is made of."""
        return self.__dict__["_graph"]  # type: ignore[no-any-return]

    @graph.setter
    def graph(self, graph: Graph) -> None:
        if not isinstance(graph, Graph):
            raise AssertionError(f"Expected a Graph instance, but got {type(graph)}")
        if graph.owning_module is not None and graph.owning_module is not self:
            graph = copy.deepcopy(graph)
        self.__dict__["_graph"] = graph
        graph.owning_module = self
        self.recompile()

    @property
    def code(self) -> str:
        """The Python code of `forward`."""
        if "_code" not in self.__dict__:
            raise RuntimeError("Code has not been generated! Please report a bug to PyTorch")
        return str(self.__dict__["_code"])

    def recompile(self) -> PythonCode:
        """Make `forward` anew, after the graph has been changed."""
        made = self.graph.python_code("self")
        self.__dict__["_code"] = made.src
        type(self).forward = _forward_of(made.src, made.globals)  # type: ignore[method-assign]
        return made

    # ---- submodules

    def add_submodule(self, target: str, m: Module) -> bool:
        """Put a module under a path; False where the path leads through something else."""
        here: Any = self
        *path, name = target.split(".")
        for part in path:
            if getattr(here, part, None) is None:
                setattr(here, part, Module())
            here = getattr(here, part)
            if not isinstance(here, Module):
                return False
        here.add_module(name, m)
        return True

    def delete_submodule(self, target: str) -> bool:
        """Take a submodule out; False where there is none."""
        try:
            home, name = _parent(self, target)
            found = isinstance(getattr(home, name), Module)
        except AttributeError:
            return False
        if found:
            delattr(home, name)
        return found

    def delete_all_unused_submodules(self) -> None:
        """Take out the submodules that no node names, by itself or by a part of it."""
        used: set[str] = set()
        for node in self.graph.nodes:
            if node.op not in ("get_attr", "call_module"):
                continue
            parts = str(node.target).split(".")
            used.update(".".join(parts[:i]) for i in range(1, len(parts) + 1))
            inner = dict(self.named_modules()).get(str(node.target))
            if node.op == "call_module" and inner is not None:
                used.update(f"{node.target}.{name}" for name, _ in inner.named_modules() if name)
        for name in [name for name, _ in self.named_modules() if name and name not in used]:
            self.delete_submodule(name)

    # ---- copies and text

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        holder = Module()
        state = {k: v for k, v in self.__dict__.items() if k not in ("_graph", "meta")}
        memo[id(self)] = holder
        holder.__dict__.update(copy.deepcopy(state, memo))
        out = GraphModule.__new__(GraphModule)
        GraphModule.__init__(out, holder, copy.deepcopy(self.graph))
        for key in ("_state_dict_hooks", "_load_state_dict_pre_hooks"):
            if key in holder.__dict__:
                out.__dict__[key] = holder.__dict__[key]
        out.meta = dict(self.meta)
        for name in self.meta.get(_USER_PRESERVED_ATTRIBUTES_KEY, {}):
            setattr(out, name, self.meta[_USER_PRESERVED_ATTRIBUTES_KEY][name])
        memo[id(self)] = out
        return out

    def __copy__(self) -> Any:
        out = GraphModule(self, self.graph)
        out.meta = dict(self.meta)
        return out

    def __reduce__(self) -> Any:
        state = {k: v for k, v in self.__dict__.items() if k != "_graph"}
        made = self.graph.python_code("self")
        return reduce_graph_module, (state, made.src, _places(made.globals))

    def _get_name(self) -> str:
        return type(self).__name__

    def print_readable(self, print_output: bool = True, **options: Any) -> str:
        """The code as that of a class, with those of submodules that are made of graphs."""
        lines = self.code.strip("\n ").split("\n")
        start = next(i for i, line in enumerate(lines) if line.startswith("def forward("))
        lines.insert(start + 1, "    # No stacktrace found for following nodes")
        body = "\n".join([f"    {line}".rstrip() for line in lines])
        text = f"class {self._get_name()}(torch.nn.Module):\n{body}\n"
        for child in self.children():
            if isinstance(child, GraphModule):
                inner = child.print_readable(print_output=False)
                text += "\n" + "\n".join([f"    {x}" if x else "" for x in inner.split("\n")])
        if print_output:
            print(text)
        return text

    def to_folder(self, folder: Any, module_name: str = "FxModule") -> None:
        """Refused: save the state and the code."""
        refuse("GraphModule.to_folder", "save m.state_dict() and m.code instead")

    def __str__(self) -> str:
        hint = "# To see more debug info, please use `graph_module.print_readable()`"
        return f"{super().__str__()}\n{self.code}\n{hint}"


class _CodeOnlyModule(Module):
    """A module with what a graph module has, but its graph: its code is traced for that."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__()
        self.__dict__.update(body)


def _places(names: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Where the names of a graph's code are imported from."""
    from facula.fx._code import _SPECIAL

    return {
        name: (obj.__module__, obj.__qualname__)
        for name, obj in names.items()
        if name not in _SPECIAL
    }


def _imported(module: str, path: str) -> Any:
    here: Any = importlib.import_module(module)
    for part in path.split("."):
        here = getattr(here, part)
    return here


def reduce_graph_module(
    body: dict[str, Any], code: str, places: dict[str, tuple[str, str]]
) -> GraphModule:
    """A graph module that was pickled: its code, traced with all submodules as single calls."""
    from facula.fx._code import _SPECIAL
    from facula.fx._symbolic_trace import Tracer

    class KeepModules(Tracer):
        def is_leaf_module(self, m: Module, module_qualified_name: str) -> bool:
            return True

    names = {name: _imported(*place) for name, place in places.items()}
    forward = _forward_of(code, {**_SPECIAL, **names})
    held = type("_CodeOnlyModule", (_CodeOnlyModule,), {"forward": forward})(body)
    tracer = KeepModules()
    return GraphModule(held, tracer.trace(held))


__getattr__ = honest(__name__)
