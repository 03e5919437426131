"""A model's graph for TensorBoard: its operations, each in the scope of the module that made it.

The model runs once, in evaluation mode. Operations are those that autograd noted (`grad_fn`), so
what has no gradient (an `argmax`, a comparison) is not drawn. A module's hook gives the operations
behind its result, as far as no inner module has them, the module's scope.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import facula
from facula.utils.tensorboard import events


def graph(model: Any, inputs: Any) -> bytes:
    """TensorFlow's `GraphDef` of `model(*inputs)`, in protobuf's wire format.

    Args:
        model: a module.
        inputs: a tensor, or a tuple, list or dict of them: what the model is called with.
    """
    called = inputs if isinstance(inputs, dict | list | tuple) else (inputs,)
    own = [_followed(x) for x in (called.values() if isinstance(called, dict) else called)]
    scopes: dict[Any, str] = {}
    names = _scopes_of(model)
    hooks = [m.register_forward_hook(_marker(scopes, names[m])) for m in names]
    modes = {m: m.training for m in names}
    try:
        model.eval()
        with facula.enable_grad():
            out = model(**dict(zip(called, own))) if isinstance(called, dict) else model(*own)
    finally:
        for hook in hooks:
            hook.remove()
        for m, training in modes.items():
            m.training = training
    leaves = {id(p): f"{names[model]}/{n.replace('.', '/')}" for n, p in model.named_parameters()}
    leaves |= {id(x): f"input/{i}" for i, x in enumerate(own) if facula.is_tensor(x)}
    return _Writer(scopes, leaves).written(list(_tensors(out)))


def _followed(x: Any) -> Any:
    """A tensor with the values of `x` from which autograd notes what is done."""
    if facula.is_tensor(x) and (x.is_floating_point() or x.is_complex()):
        return x.detach().requires_grad_()
    return x


def _scopes_of(model: Any) -> dict[Any, str]:
    """Each module's name in the graph: its classes and attributes, from the outermost."""
    scopes: dict[Any, str] = {}
    for name, module in model.named_modules():
        above, _, own = name.rpartition(".")
        kind = type(module).__name__
        scopes[module] = f"{scopes[model.get_submodule(above)]}/{kind}[{own}]" if name else kind
    return scopes


def _marker(scopes: dict[Any, str], scope: str) -> Any:
    """A hook that gives a scope to the operations that no inner module has."""

    def mark(module: Any, args: Any, result: Any) -> None:
        ends = [f for x in _tensors((args,)) if (f := x.grad_fn) is not None]
        seen = set(ends)
        todo = [x.grad_fn for x in _tensors(result)]
        while todo:
            f = todo.pop()
            if f is not None and f not in seen:
                seen.add(f)
                scopes.setdefault(f, scope)
                todo += [g for g, _ in f.next_functions]

    return mark


def _tensors(value: Any) -> Iterator[Any]:
    """The tensors in lists, tuples, dicts and plain objects."""
    if facula.is_tensor(value):
        yield value
    elif isinstance(value, dict):
        for x in value.values():
            yield from _tensors(x)
    elif isinstance(value, list | tuple):
        for x in value:
            yield from _tensors(x)
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        yield from _tensors(list(vars(value).values()))


class _Writer:
    """Nodes with names of their own, inputs first."""

    def __init__(self, scopes: dict[Any, str], leaves: dict[int, str]) -> None:
        self.scopes, self.leaves = scopes, leaves
        self.names: dict[Any, str] = {}
        self.taken: dict[str, int] = {}
        self.nodes: list[bytes] = []

    def written(self, results: list[Any]) -> bytes:
        """The graph that ends in `results`."""
        ends = [x.grad_fn for x in results if x.grad_fn is not None]
        todo = list(ends)
        while todo:
            f = todo[-1]
            above = [g for g, _ in f.next_functions if g is not None]
            missing = [g for g in above if g not in self.names]
            if f in self.names or not missing:
                todo.pop()
                if f not in self.names:
                    self.add(f, [self.names[g] for g in above])
            else:
                todo += missing
        for i, x in enumerate(results):
            if x.grad_fn is not None:
                self.node(f"output/{i}", "IO Node", [self.names[x.grad_fn]], tuple(x.shape))
        versions = events.message(4, events.integer(1, 22))
        return b"".join([events.message(1, node) for node in self.nodes]) + versions

    def add(self, function: Any, inputs: list[str]) -> None:
        """A node for one operation, or for the leaf whose gradient is gathered."""
        leaf = getattr(function, "variable", None)
        if leaf is not None:
            name, kind = self.leaves.get(id(leaf), "constant"), "Parameter"
            self.names[function] = self.node(name, kind, inputs, tuple(leaf.shape))
            return
        kind = function.name().rstrip("0123456789").removesuffix("Backward")
        scope = self.scopes.get(function)
        name = f"{scope}/{kind}" if scope else kind
        self.names[function] = self.node(name, kind, inputs, None)

    def node(self, name: str, kind: str, inputs: list[str], shape: tuple[int, ...] | None) -> str:
        """Write a node; the name that it got."""
        count = self.taken.get(name, 0)
        self.taken[name] = count + 1
        name = f"{name}_{count}" if count else name
        data = events.message(1, name) + events.message(2, kind)
        data += b"".join([events.message(3, i) for i in inputs])
        if shape is not None:
            sizes = b"".join([events.message(2, events.integer(1, n)) for n in shape])
            value = events.message(1, events.message(7, sizes))
            data += events.message(
                5, events.message(1, "_output_shapes") + events.message(2, value)
            )
        self.nodes.append(data)
        return name
