"""The Python code of a graph.

Every node is a line. What no later line uses is let go of (`; x = None`), so that the code needs no
more memory than the program that it was made of.
"""

from __future__ import annotations

import builtins
import enum
import keyword
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import facula
from facula.fx import _names
from facula.fx.node import Node, nodes_in, public_name, type_text


class PythonCode(NamedTuple):
    """Source text, and what its names stand for."""

    src: str
    globals: dict[str, Any]


class Namespace:
    """Names that are taken; a new one gets a number where it is."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._counts: dict[str, int] = defaultdict(int)
        self._of: dict[int, tuple[str, Any]] = {}  # by identity; the object is kept alive

    def create_name(self, candidate: str, obj: Any = None) -> str:
        """A name like `candidate` that is an identifier, no keyword or builtin, and free.

        The same object (by identity) gets the same name again.
        """
        if obj is not None and id(obj) in self._of:
            return self._of[id(obj)][0]
        name = re.sub(r"\W+", "_", candidate) or "_unnamed"
        if name[0].isdigit():
            name = "_" + name
        while name in self._used or _is_taken(name, obj):
            found = re.fullmatch(r"(.*)_(\d+)", name)
            base = found[1] if found else name
            self._counts[base] = max(self._counts[base], int(found[2]) if found else 0) + 1
            name = f"{base}_{self._counts[base]}"
        self._used.add(name)
        if obj is not None:
            self._of[id(obj)] = name, obj
        return name


_SPECIAL = {"inf": float("inf"), "nan": float("nan"), "NoneType": type(None), "torch": facula}
_SPECIAL["device"] = facula.device


def _is_taken(name: str, obj: Any) -> bool:
    if keyword.iskeyword(name):
        return True
    if name in _SPECIAL:
        return obj is not _SPECIAL[name]
    return hasattr(builtins, name) and obj is not getattr(builtins, name)


def attribute(base: str, path: str) -> str:
    """`base.path` as an expression: `getattr(self.layers, "0").weight`."""
    for part in path.split("."):
        base = f"{base}.{part}" if part.isidentifier() else f'getattr({base}, "{part}")'
    return base


class CodeGen:
    """Writes the code of a graph. What it writes around the lines of nodes can be overridden."""

    def gen_fn_def(self, free_vars: list[str], maybe_return_annotation: str) -> str:
        """The function's first line."""
        if not free_vars or free_vars[0] != "self":
            free_vars = ["self", *free_vars]
        return f"def forward({', '.join(free_vars)}){maybe_return_annotation}:"

    def generate_output(self, output_args: Any, repr_fn: Callable[[Any], str] = repr) -> str:
        """The line that returns."""
        return f"return {repr_fn(output_args)}"

    def process_inputs(self, *args: Any) -> Any:
        """What a call's arguments are for the nodes that stand for them."""
        return args

    def process_outputs(self, outputs: Any) -> Any:
        """What the caller gets of what the output node has."""
        return outputs

    def additional_globals(self) -> list[tuple[str, Any]]:
        """Names that the code needs besides those of the nodes."""
        return []

    def _gen_python_code(
        self, nodes: Any, root_module: str, namespace: Namespace, **options: Any
    ) -> PythonCode:
        return _Writer(self, list(nodes), root_module, namespace).written()


class _Writer:
    def __init__(self, codegen: CodeGen, nodes: list[Node], root: str, names: Namespace) -> None:
        self.codegen, self.nodes, self.root, self.names = codegen, nodes, root, names
        self.globals: dict[str, Any] = dict(_SPECIAL)
        self.wrapped: dict[str, None] = {}
        self.parameters: list[str] = []
        self.returns = ""
        for name, obj in codegen.additional_globals():
            self.globals[name] = obj

    def written(self) -> PythonCode:
        last = _last_uses(self.nodes)
        lines = []
        for node in self.nodes:
            line = self.line(node)
            if line is None:
                continue
            gone = [repr(n) for n in last.get(node, ())]
            if node.op == "placeholder":
                gone = []
            elif not node.users and node.op != "output":
                gone.append(repr(node))
            if node.op == "output":
                gone = []
            lines.append(line + (f";  {' = '.join([*gone, 'None'])}" if gone else ""))
        body = "".join([f"    {line}\n" for line in lines or ["pass"]]) + "    "
        wraps = "\n".join([f'torch.fx._symbolic_trace.wrap("{n}")' for n in self.wrapped])
        head = self.codegen.gen_fn_def(self.parameters, self.returns)
        return PythonCode(f"\n{wraps}\n\n{head}\n{body}", self.globals)

    def line(self, node: Node) -> str | None:
        """The statement that computes a node; None where none is needed."""
        name = repr(node)
        kind = f" : {self.type(node.type)}" if node.type is not None else ""
        if node.op == "placeholder":
            default = f" = {self.value(node.args[0])}" if node.args else ""
            self.parameters.append(f"{node.target}{kind}{default}")
            given = str(node.target).replace("*", "")
            return None if given == name else f"{name} = {given}"
        if node.op == "output":
            if node.type is not None:
                self.returns = f" -> {self.type(node.type)}"
            return self.codegen.generate_output(node.args[0], self.value)
        if node.op == "get_attr":
            return f"{name}{kind} = {attribute(self.root, str(node.target))}"
        if node.op == "call_method":
            function = attribute(self.value(node.args[0]), str(node.target))
            return f"{name}{kind} = {function}({self.arguments(node.args[1:], node.kwargs)})"
        if node.op == "call_module":
            function = attribute(self.root, str(node.target))
            return f"{name}{kind} = {function}({self.arguments(node.args, node.kwargs)})"
        return self.call(node, name, kind)

    def call(self, node: Node, name: str, kind: str) -> str:
        target: Any = node.target
        if getattr(target, "__module__", None) == "_operator" and not node.kwargs:
            args = [self.value(a) for a in node.args]
            operator = target.__name__
            if operator in _names.BINARY and len(args) == 2:
                return f"{name}{kind} = {args[0]} {_names.BINARY[operator]} {args[1]}"
            if operator in _names.UNARY and len(args) == 1:
                return f"{name}{kind} = {_names.UNARY[operator]}{args[0]}"
            if operator == "getitem" and len(args) == 2:
                return f"{name}{kind} = {args[0]}[{args[1]}]"
            if operator in _names.IN_PLACE and len(args) == 2:
                sign = _names.IN_PLACE[operator]
                return f"{args[0]} {sign} {args[1]};  {name}{kind} = {args[0]}"
        if target is getattr and len(node.args) == 2 and not node.kwargs:
            path = node.args[1]
            if isinstance(path, str) and path.isidentifier():
                return f"{name}{kind} = {attribute(self.value(node.args[0]), path)}"
        function = self.named(target)
        if node.meta.get("is_wrapped", False):
            self.wrapped[function] = None
        return f"{name}{kind} = {function}({self.arguments(node.args, node.kwargs)})"

    def named(self, obj: Any) -> str:
        """An expression for a function or class; it becomes a global where it needs one."""
        name = public_name(obj)
        if _names.reached(name, obj):
            return name
        if getattr(obj, "__module__", None) == "_operator":
            name = "_" + name
        return self.known(name.replace(".", "_"), obj)

    def known(self, hint: str, obj: Any) -> str:
        name = self.names.create_name(hint, obj)
        self.globals[name] = obj
        return name

    def type(self, t: Any) -> str:
        if isinstance(t, str):
            return repr(t)
        if isinstance(t, type) and t.__module__ == "builtins" and type_text(t) == t.__name__:
            return self.known(t.__name__, t)
        text = type_text(t)
        return text if _names.reached(text, t) else self.known(text, t)

    def arguments(self, args: Any, kwargs: Any) -> str:
        named = [f"{k} = {self.value(v)}" for k, v in kwargs.items()]
        return ", ".join([*[self.value(a) for a in args], *named])

    def value(self, a: Any) -> str:
        """An argument as an expression."""
        if isinstance(a, Node):
            return repr(a)
        if isinstance(a, tuple) and hasattr(a, "_fields"):
            inner = ", ".join([self.value(x) for x in a])
            return f"{self.named(type(a))}({inner})"
        if isinstance(a, tuple):
            inner = ", ".join([self.value(x) for x in a])
            return f"({inner},)" if len(a) == 1 else f"({inner})"
        if isinstance(a, list):
            return "[" + ", ".join([self.value(x) for x in a]) + "]"
        if isinstance(a, dict):
            return "{" + ", ".join([f"{k!r}: {self.value(v)}" for k, v in a.items()]) + "}"
        if isinstance(a, slice):
            return f"slice({self.value(a.start)}, {self.value(a.stop)}, {self.value(a.step)})"
        if isinstance(a, enum.Enum):
            return f"{self.known(type(a).__name__, type(a))}.{a.name}"
        if isinstance(a, type) or (callable(a) and hasattr(a, "__name__")):
            return self.named(a)
        return repr(a)


def _last_uses(nodes: list[Node]) -> dict[Node, list[Node]]:
    """For each node those that are used for the last time by it, in the order of its arguments."""
    seen: set[Node] = set()
    out: dict[Node, list[Node]] = {}
    for user in reversed(nodes):
        for n in nodes_in((user.args, user.kwargs)):
            if n not in seen:
                seen.add(n)
                out.setdefault(user, []).append(n)
    return out
