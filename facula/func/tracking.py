"""What the transforms of derivatives share: inputs that are tracked, and what leads to them.

The transforms use the graph that the operations record. The inputs of the function get a place of
their own in it, so that an inner derivative sees its own inputs only; batches of the vmaps under
way are dimensions of these places, since each element of a batch has its own derivative.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import facula
from facula.autograd.edges import GradientEdge, get_gradient_edge
from facula.autograd.graph import edge_of, edges_of
from facula.autograd.nodes import AccumulateGrad, GradNode
from facula.batches import ACTIVE, all_lowered, all_raised
from facula.dtypes import FLOAT
from facula.errors import refuse
from facula.tensor import Tensor
from facula.trace.recorder import TLS
from facula.utils._pytree import tree_flatten, tree_unflatten


class Tracked:
    """A structure of tensors whose derivatives are wanted.

    `places` are the tensors as they are in the graph, `seen` is what the function gets. Where
    derivatives are taken `forward`, the function may write to them, as in PyTorch: their `edges`
    are those of what they were.
    """

    def __init__(self, tree: Any, name: str, forward: bool = False) -> None:
        self.levels = list(ACTIVE.levels)
        leaves, self.spec = tree_flatten(tree)
        for x in leaves:
            if not isinstance(x, Tensor):
                raise ValueError(
                    f"{name}: Thing passed to transform API must be Tensor, got {type(x)}"
                )
        self.leaves = leaves
        self.places = [place(all_lowered(x, self.levels), forward) for x in leaves]
        self.open = [Open(p) for p in self.places] if forward else []
        self.edges = [o.edge for o in self.open] if forward else self.places
        self.seen = tree_unflatten([all_raised(p, self.levels) for p in self.places], self.spec)

    def value(self, leaves: Any) -> Any:
        """A structure like the inputs'."""
        return tree_unflatten(leaves, self.spec)


class Open:
    """A place that may be written to: it has another edge in the graph afterwards."""

    def __init__(self, at: Any) -> None:
        self.at, self.edge = at, get_gradient_edge(at)
        self.version = None if at._leaf_rg else at._version

    def check(self, name: str) -> None:
        """NotImplementedError after a write to what has a history of its own: of what was not
        written, the new history is that of its base, past this place."""
        if self.version is not None and self.at._version != self.version:
            refuse(
                f"{name} after a {self.at.dtype} tensor of shape {list(self.at.shape)}, which "
                "requires grad, was written to in place",
                "write to a clone of it",
            )


def need_real(name: str, what: str, tree: Any) -> None:
    """RuntimeError for complex tensors in a structure, which Jacobians are not made of."""
    for i, t in enumerate(tree_flatten(tree)[0]):
        if isinstance(t, Tensor) and t.dtype.is_complex:
            raise RuntimeError(
                f"{name}: Expected all {what} to be real but received complex tensor at flattened "
                f"input idx: {i}"
            )


def need_float(what: str, leaves: list[Any]) -> None:
    """The errors of tensors that can have no tangent, or be none."""
    for t in leaves:
        if not isinstance(t, Tensor):
            raise RuntimeError(
                f"jvp(f, primals, tangents): Expected {what}s to only contain Tensors, got "
                f"{type(t)}"
            )
        if t.dtype.category < FLOAT:
            raise ValueError(f"Expected {what} to be floating point or complex, but got: {t.dtype}")


def place(t: Any, forward: bool) -> Any:
    """The tensor at a place of its own in the graph, which may be written to if `forward`."""
    if t.requires_grad:
        with facula.enable_grad():
            p = t.view_as(t)
    else:
        p = t.detach().requires_grad_()
    p._place = forward
    return p


def recordable(f: Callable[..., Any]) -> Callable[..., Any]:
    """A transform that records what it needs in inference mode too, as PyTorch's do."""

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not TLS.r.inference:
            return f(*args, **kwargs)
        with facula.inference_mode(False), facula.no_grad():
            return f(*args, **kwargs)

    return call


def recording(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function with gradient recording on."""
    with facula.enable_grad():
        return f(*args, **kwargs)


def outputs(out: Any, name: str, levels: list[Any]) -> tuple[list[Any], Any]:
    """The results of a function as they are in the graph, and their structure."""
    leaves, spec = tree_flatten(out)
    if not leaves or leaves == [None]:
        raise RuntimeError(
            f"{name}: Expected f to be a function that has non-empty output (got output = {leaves})"
        )
    for y in leaves:
        if not isinstance(y, Tensor):
            raise RuntimeError(
                f"{name}: expected f(*primals) to return only tensors, got unsupported type "
                f"{type(y)}"
            )
    return [all_lowered(y, levels) for y in leaves], spec


def detached(tree: Any) -> Any:
    """The structure with tensors that have no history."""
    leaves, spec = tree_flatten(tree)
    return tree_unflatten([x.detach() if isinstance(x, Tensor) else x for x in leaves], spec)


def leads_elsewhere(ys: list[Any], own: list[Any]) -> bool:
    """Whether results depend, by the graph, on anything but these places (or their edges)."""
    mine = [t.node if isinstance(t, GradientEdge) else edge_of(t) for t in own]
    if any([e is not None and not isinstance(e, AccumulateGrad) for e in mine]):
        return True  # places of an outer transform or of the user
    stack = [edge_of(y) for y in ys if y.requires_grad]
    seen = set()
    while stack:
        n = stack.pop()
        if n is None or n in seen:
            continue
        seen.add(n)
        if isinstance(n, AccumulateGrad):
            if n not in mine:
                return True
        elif isinstance(n, GradNode):
            stack.extend(edges_of(n))
    return False


def graph_wanted(ys: list[Any], places: list[Any]) -> bool:
    """Whether a derivative may be differentiated again: by whoever else recorded something."""
    return TLS.r.grad and leads_elsewhere(ys, places)
