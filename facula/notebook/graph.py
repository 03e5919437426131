"""The autograd graph of a tensor, drawn: by Graphviz's `dot` where it is installed, else in words.

The values of the tensors play no part: a graph is read from what was recorded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

from facula.autograd.nodes import AccumulateGrad
from facula.notebook import html
from facula.tensor import Tensor

__all__ = ["Graph", "graph"]

DOT_SECONDS = 20.0
MOST_LABEL = 60  # characters of a line in a box


class Vertex:
    """One node of the graph: an operation, or a leaf whose gradient is accumulated."""

    __slots__ = ("label", "leaf", "number", "place", "shape", "sources")

    def __init__(self, number: int, node: Any, names: dict[int, str]) -> None:
        self.number = number
        self.leaf = isinstance(node, AccumulateGrad)
        self.sources: list[int] = []
        self.place = ""
        if self.leaf:
            leaf = node.variable
            self.label = names.get(id(leaf), "") or "leaf"
            self.shape = str(list(leaf.shape))
            return
        self.label = node.name() if callable(getattr(node, "name", None)) else str(node)
        shape = getattr(getattr(node, "out_meta", None), "shape", None)
        self.shape = "" if shape is None else str(list(shape))
        line = getattr(node, "line", None)
        if line:
            folder, name = os.path.split(line[0])
            cell = os.path.basename(folder).startswith("ipykernel_")  # a file only by name
            self.place = f"line {line[1]}" if cell else f"{name}:{line[1]}"


class Graph:
    """What `graph` returns: printed it is a list, in a notebook a drawing."""

    def __init__(self, root: Tensor, params: dict[str, Any] | None, most: int) -> None:
        names = {id(t): n for n, t in (params or {}).items()}
        top = root.grad_fn
        if top is None:
            what = "it is a leaf" if root.requires_grad else "it requires no grad"
            raise ValueError(f"graph(): the tensor has no history to draw: {what}")
        self.vertices: list[Vertex] = []
        self.left_out = 0
        queue = [top]
        numbers = {top: 0}
        for node in queue:  # which grows
            vertex = Vertex(len(self.vertices), node, names)
            self.vertices.append(vertex)
            for source, _ in node.next_functions:
                if source is None:
                    continue
                if source not in numbers:
                    if len(queue) >= most:
                        self.left_out += 1
                        continue
                    numbers[source] = len(queue)
                    queue.append(source)
                vertex.sources.append(numbers[source])

    def dot(self) -> str:
        """The graph in Graphviz's language."""
        lines = ["digraph {", '  node [shape=box, fontname="sans-serif", fontsize=10];']
        for v in self.vertices:
            rows = [r for r in (v.label, v.shape, v.place) if r]
            style = ', style=filled, fillcolor="#dcebf7"' if v.leaf else ""
            label = "\\n".join([_quoted(r) for r in rows])
            lines.append(f'  n{v.number} [label="{label}"{style}];')
        for v in self.vertices:
            lines += [f"  n{source} -> n{v.number};" for source in v.sources]
        if self.left_out:
            lines.append(f'  rest [label="... and more ({self.left_out} edges)", shape=plaintext];')
        return "\n".join([*lines, "}"])

    def _rows(self) -> list[list[str]]:
        rows = []
        for v in self.vertices:
            sources = ", ".join([f"#{s}" for s in v.sources])
            rows.append([f"#{v.number}", v.label, v.shape, sources, v.place])
        if self.left_out:
            rows.append(["...", f"and more ({self.left_out} edges)", "", "", ""])
        return rows

    def __repr__(self) -> str:
        return html.columns([list(_HEAD), *self._rows()])

    def svg(self) -> str | None:
        """The drawing, or None where Graphviz is not installed or can't draw this."""
        program = shutil.which("dot")
        if program is None:
            return None
        try:
            done = subprocess.run(
                [program, "-Tsvg"],
                input=self.dot().encode(),
                capture_output=True,
                timeout=DOT_SECONDS,
                check=True,
            )
        except (subprocess.SubprocessError, OSError):
            return None  # the list says the same
        out = done.stdout.decode()
        begin = out.find("<svg")
        return out[begin:] if begin >= 0 else None

    def _repr_html_(self) -> str:
        drawing = self.svg()
        if drawing is not None:
            return f'<div style="overflow: auto">{drawing}</div>'
        return html.table(_HEAD, self._rows())


_HEAD = ("node", "operation", "shape", "from", "line")


def graph(
    tensor: Tensor, params: dict[str, Any] | None = None, most: int = html.MOST_ROWS
) -> Graph:
    """The autograd graph that leads to a tensor.

    Args:
        params: names of leaves, such as `dict(model.named_parameters())`.
        most: how many nodes are drawn, those nearest to the tensor first.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"graph(): expected a torch.Tensor, got {type(tensor).__name__}")
    return Graph(tensor, params, most)


def _quoted(s: str) -> str:
    s = s if len(s) <= MOST_LABEL else s[:MOST_LABEL] + "..."
    return s.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
