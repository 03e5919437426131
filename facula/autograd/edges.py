"""Places in the graph, which `backward` and `grad` take where they take tensors.

Source: https://pytorch.org/docs/stable/autograd.html#torch.autograd.graph.GradientEdge
"""

from __future__ import annotations

from typing import Any, NamedTuple

from facula.autograd.graph import edge_of
from facula.autograd.nodes import AccumulateGrad, GradNode, output_of, shown
from facula.ops.movement import zeros_node


class GradientEdge(NamedTuple):
    """A place in the graph: where the gradient of a tensor arrives."""

    node: Any
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """Where the gradient of a tensor arrives, without keeping the tensor.

    RuntimeError for a tensor that requires no grad.
    """
    if not tensor.requires_grad:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            f"gradients (a {tensor.dtype} tensor of shape {list(tensor.shape)})"
        )
    edge = edge_of(tensor)
    node = shown(edge)
    return GradientEdge(node, output_of(edge), None if node is edge else edge)


def node_at(edge: GradientEdge) -> Any:
    """The node at which a gradient that comes to this edge arrives: that of one result, where what
    users see is the node of a function with several."""
    node = edge.node
    if not isinstance(node, (GradNode, AccumulateGrad)):
        raise TypeError(f"GradientEdge: `node` must be a node of the graph, got {node!r}")
    if edge.ownership_token is not None:
        return edge.ownership_token
    joint = None if isinstance(node, AccumulateGrad) else getattr(node.custom, "joint", None)
    if joint is None or joint.count == 1:
        return node
    part = joint.parts.get(edge.output_nr, _gone)()
    if part is None:
        raise RuntimeError(
            f"GradientEdge({node.name()}, {edge.output_nr}): nothing is left of that result"
        )
    return part


def _gone() -> None:
    return None


def stand_in(edge: GradientEdge) -> Any:
    """Zeros of the shape, dtype and device of the result that the edge belongs to."""
    node = edge.node
    if isinstance(node, AccumulateGrad):
        return zeros_node(node.variable.node)
    joint = None if node.custom is None else node.custom.joint
    return zeros_node(node.out_meta if joint is None else joint.metas[edge.output_nr])


def is_edge(x: Any) -> bool:
    """Whether this is an edge, or a sequence with one in it."""
    if isinstance(x, GradientEdge):
        return True
    return isinstance(x, (tuple, list)) and any([isinstance(e, GradientEdge) for e in x])


__all__ = ["GradientEdge", "get_gradient_edge", "is_edge", "node_at", "stand_in"]
