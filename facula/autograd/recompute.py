"""Graphs that are not kept: a function is run again when its gradients are needed.

`run(function)` records what the function does and keeps of its graph only where gradients leave it
(the boundary). Nothing inside is saved, so nothing inside need be in memory, or computed, before
the backward pass. That pass runs the function again and goes on from the boundary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula import grad_mode
from facula.autograd.function import _Part
from facula.autograd.graph import _input_edge, edges_of, expanded, joins, leaf_edge
from facula.autograd.nodes import AccumulateGrad, GradNode
from facula.ops.movement import DETACH
from facula.storage import version_of
from facula.tensor import Tensor
from facula.trace.node import ASSIGN, INPUT, LEAF, STALE, leaf
from facula.trace.recorder import TLS, flush, record


def tensors_of(tree: Any) -> list[Any]:
    """The tensors in nested tuples, lists and dictionaries, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = tree.values()
    if isinstance(tree, (tuple, list)) or (hasattr(tree, "__iter__") and not isinstance(tree, str)):
        return [t for item in tree for t in tensors_of(item)]
    return []


def rebuilt(tree: Any, swap: dict[int, Any]) -> Any:
    """The same structure with some tensors, by identity, replaced."""
    if isinstance(tree, Tensor):
        return swap.get(id(tree), tree)
    if isinstance(tree, dict):
        return type(tree)({k: rebuilt(v, swap) for k, v in tree.items()})  # type: ignore[call-arg]
    if isinstance(tree, (tuple, list)):
        items = [rebuilt(v, swap) for v in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return tree


def _start(r: Any, t: Any) -> Any:
    """Where a tensor's history begins: an entry of the current frame or an edge of the graph."""
    if t._leaf_rg:
        return leaf_edge(t)
    if t.node.op is STALE:
        t._rederive()
    n = t.node
    if n.op is LEAF or n.op is INPUT:
        return expanded(t._gfn) if n.rg else None
    return n if n.rg else None


def _boundary(r: Any, starts: list[Any], first: int) -> tuple[list[Any], int]:
    """The edges that lead out of what was recorded since a frame, and how much is inside."""
    edges: list[Any] = []
    inside: set[Any] = set()
    stack = list(starts)
    while stack:
        n = r.gnodes.get(n := stack.pop(), n)
        if n is None or n in inside or n in edges:
            continue
        if isinstance(n, AccumulateGrad):
            edges.append(n)
        elif isinstance(n, GradNode):
            if n.order[0] < first:
                edges.append(n)
            else:
                inside.add(n)
                stack.extend(edges_of(n))
        elif n.op is INPUT:
            stack.append(_input_edge(r, n))
        elif n.op.name == "join":  # the history of its second operand, as it is
            stack.append(n.b)
        else:
            inside.add(n)
            sources = (n.b,) if n.op is ASSIGN else n.inputs
            stack.extend([i for i in sources if i.rg])
    return edges, len(inside)


class _Recomputed:
    """Runs the function again and sends the gradients of its results to the boundary."""

    def __init__(self, again: Callable[[], list[Any]], count: int, size: int) -> None:
        self.again, self.count, self.size = again, count, size
        self.grads: dict[int, Any] = {}
        self.parts: dict[int, Any] = {}  # weak references to the nodes of its results
        self.metas: list[Any] = []  # the results' entries

    @property
    def joint(self) -> Any:
        return self

    def _run_backward(self, node: Any, g: Any) -> list[Any]:
        from facula.autograd.engine import run

        if self.count == 1:
            self.grads = {0: g}
        grads, self.grads = self.grads, {}
        keep = TLS.r.grad
        flush(TLS.r)
        first = TLS.r.frame
        with grad_mode.enable_grad():
            outs = self.again()
            starts = [_start(TLS.r, o) for o in outs]
            edges, size = _boundary(TLS.r, starts, first)
            if len(outs) != self.count or size != self.size or set(edges) != set(node.edges):
                raise CheckpointError(
                    "checkpoint: the function did something else when it was run again: "
                    f"{size} differentiable operations and {len(edges)} inputs instead of "
                    f"{self.size} and {len(node.edges)}"
                )
            from facula.autograd.graph import edge_of

            roots = [(edge_of(outs[i]), d) for i, d in grads.items()]
        edges = list(node.edges)
        found = run(
            roots, keep=keep, create_graph=keep, targets=edges, accumulate=False, beyond=False
        )
        return [found.get(e) for e in node.edges]


class CheckpointError(RuntimeError):
    """A function that was run again did not do the same."""


def _joint_node(name: str, runner: _Recomputed, edges: list[Any]) -> GradNode:
    node = GradNode()
    node.custom = runner
    runner.__class__ = type(name, (_Recomputed,), {})
    node.op = name
    node.edges = edges
    node.order = joins(TLS.r, edges)
    node.scalars, node.params, node.entry, node.out_meta = (), (), None, None
    return node


def run(function: Callable[[], Any], again: Callable[[], Any], name: str | None = None) -> Any:
    """function(), whose graph is that of again() when its gradients are needed."""
    r = TLS.r
    flush(r)
    first = r.frame
    out = function()
    outs = [t for t in dict.fromkeys(tensors_of(out)) if t.requires_grad]
    starts = [_start(r, t) for t in outs]
    # Results that are inputs stay what they are.
    inner = [
        (t, s)
        for t, s in zip(outs, starts, strict=True)
        if not isinstance(s, AccumulateGrad)
        and s is not None
        and not (isinstance(s, GradNode) and s.order[0] < first)
    ]
    if not inner:
        return out
    edges, size = _boundary(r, [s for _, s in inner], first)
    # A view that a function of the user's returns may not be written to.
    views = [name is not None and t._base_t is not None for t, _ in inner]
    positions = [i for i, t in enumerate(outs) if any(t is u for u, _ in inner)]
    if name is None:
        s = inner[0][1]
        from facula.autograd.names import node_name

        name = s.name() if isinstance(s, GradNode) else node_name(s.op, s.params, s)
    with grad_mode.no_grad():
        values = [record(DETACH, (t,)) for t, _ in inner]
    swap = {id(t): v for (t, _), v in zip(inner, values, strict=True)}
    result = rebuilt(out, swap)
    del out, outs, inner, starts
    flush(r)

    def outputs() -> list[Any]:
        found = [t for t in dict.fromkeys(tensors_of(again())) if t.requires_grad]
        return [found[i] for i in positions if i < len(found)]

    runner = _Recomputed(outputs, len(values), size)
    node = _joint_node(name, runner, edges)
    runner.metas = [v.node for v in values]
    for i, v in enumerate(values):
        v._gfn = node if len(values) == 1 else _Part.of(node, i)
        n = v.node
        v.node = leaf(n.shape, n.dtype, n.strides, True, n.device)
        if views[i]:
            v._fixed, v._seen = True, version_of(v)
    return result
