"""A module as a table: its parts, the shapes of their parameters and results, and their memory."""

from __future__ import annotations

from collections import Counter
from typing import Any

import facula
from facula.nn.modules.module import Module
from facula.nn.parameter import is_lazy
from facula.notebook import html

__all__ = ["Summary", "summary"]


class Row:
    """One module of the tree."""

    __slots__ = ("bytes", "count", "depth", "kind", "name", "result", "tensors", "trained")

    def __init__(self, depth: int, name: str, module: Module, seen: set[int]) -> None:
        self.depth, self.name, self.kind = depth, name, module._get_name()
        self.count = self.bytes = self.trained = 0
        self.result = ""
        self.tensors: list[str] = []
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        parameters = set(map(id, module.parameters(recurse=False)))
        for label, t in own:
            if is_lazy(t):
                self.tensors.append(f"{label}: not known yet")
                continue
            shared = id(t) in seen
            self.tensors.append(f"{label} {list(t.shape)}" + " (shared)" * shared)
            if shared:
                continue
            seen.add(id(t))
            self.bytes += t.numel() * t.element_size()
            if id(t) in parameters:
                self.count += t.numel()
                self.trained += t.numel() * t.requires_grad

    def cells(self, results: bool) -> list[str]:
        """The row as texts."""
        name = "  " * self.depth + (f"{self.name}: " if self.name else "") + self.kind
        out = [name, ", ".join(self.tensors), f"{self.count:,}", html.size(self.bytes)]
        if results:
            out.insert(2, self.result)
        return out


class Summary:
    """What `summary` returns: printed it is a table, in a notebook one of HTML."""

    def __init__(self, module: Module, results: dict[int, list[str]] | None = None) -> None:
        self.title = module._get_name()
        self.results = results is not None
        self.rows: list[Row] = []
        seen: set[int] = set()
        stack: list[tuple[int, str, Module]] = [(0, "", module)]
        visited: set[int] = set()
        while stack:
            depth, name, m = stack.pop()
            row = Row(depth, name, m, seen)
            self.rows.append(row)
            if results is not None:
                row.result = _joined(results.get(id(m), []))
            if id(m) in visited:  # a module that stands in two places
                continue
            visited.add(id(m))
            children = [(depth + 1, n, c) for n, c in m._modules.items() if c is not None]
            stack += reversed(children)
        self.parameters = sum([r.count for r in self.rows])
        self.trained = sum([r.trained for r in self.rows])
        self.bytes = sum([r.bytes for r in self.rows])

    def _table(self) -> list[list[str]]:
        rows = [r.cells(self.results) for r in self.rows[: html.MOST_ROWS]]
        left = len(self.rows) - len(rows)
        if left:
            rows.append([f"... and {left} more"] + [""] * (len(rows[0]) - 1))
        return rows

    def _head(self) -> list[str]:
        head = ["module", "its tensors", "parameters", "memory"]
        if self.results:
            head.insert(2, "result")
        return head

    def _total(self) -> str:
        fixed = self.parameters - self.trained
        held = f", {fixed:,} of them held fixed" if fixed else ""
        return f"{self.parameters:,} parameters{held}; {html.size(self.bytes)} with buffers"

    def __repr__(self) -> str:
        return html.columns([self._head(), *self._table()]) + f"\n{self._total()}"

    def _repr_html_(self) -> str:
        table = html.table(self._head(), self._table())
        return f"<div>{table}<small>{html.text(self._total())}</small></div>"


def summary(module: Module, *args: Any, **kwargs: Any) -> Summary:
    """The parts of a module, with the shapes of their results where arguments are given.

    With arguments the module is called once, without gradients, on copies of its buffers, and the
    random numbers that it draws are given back. Its operations are recorded and then dropped: what
    the module's own code does not look at is not computed.
    """
    if not isinstance(module, Module):
        raise TypeError(f"summary(): expected a torch.nn.Module, got {type(module).__name__}")
    if not args and not kwargs:
        return Summary(module)
    results: dict[int, list[str]] = {}

    def keep(m: Module, inputs: Any, output: Any) -> None:
        results.setdefault(id(m), []).append(_shape(output))

    handles = [m.register_forward_hook(keep) for m in module.modules()]
    buffers = {n: b.clone() for n, b in module.named_buffers() if not is_lazy(b)}
    state = facula.get_rng_state()
    try:
        with facula.no_grad():
            facula.nn.utils.stateless.functional_call(module, buffers, args, kwargs)
    finally:
        facula.set_rng_state(state)
        for handle in handles:
            handle.remove()
    return Summary(module, results)


def _shape(value: Any) -> str:
    if isinstance(value, facula.Tensor):
        return str(list(value.shape))
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_shape, value))})"
    if isinstance(value, dict):
        return "{" + ", ".join([f"{k}: {_shape(v)}" for k, v in value.items()]) + "}"
    return type(value).__name__


def _joined(shapes: list[str]) -> str:
    """The shapes of all calls: `[2, 3] 4 times`."""
    return ", ".join([s + (f" {n} times" if n > 1 else "") for s, n in Counter(shapes).items()])
