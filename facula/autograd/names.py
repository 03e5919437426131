"""What PyTorch calls the nodes of its graph: `tensor(..., grad_fn=<AddBackward0>)`."""

from __future__ import annotations

from typing import Any

from facula.autograd.graph import edges_of
from facula.dtypes import FLOAT
from facula.interpreter.program import ACTIVATIONS

# Primitives whose own name, in capitals, is not PyTorch's.
_NAMES = {
    **{n + "_s": n.capitalize() + "Backward0" for n in ("add", "sub", "mul", "div", "pow")},
    "beyond": "AsStridedBackward0",
    "clamp_high": "ClampBackward0",
    "clamp_low": "ClampBackward0",
    "clamp_max": "ClampBackward1",
    "clamp_min": "ClampBackward1",
    "clone": "CloneBackward0",
    "conv": "ConvolutionBackward0",
    "conv_input": "ConvolutionBackward0",
    "copy_slices": "CopySlices",
    "det": "LinalgDetBackward0",
    "im2col": "Im2ColBackward0",
    "imag_view": "SelectBackward0",
    "inverse": "LinalgInvExBackward0",
    "lerp": "LerpBackward1",
    "lerp_back": "LerpBackward0",
    "lerp_from": "LerpBackward0",
    "log1p": "Log1PBackward0",
    "pow": "PowBackward1",
    "div_trunc": "DivBackward1",
    "rdiv_s": "MulBackward0",
    "real_view": "SelectBackward0",
    "rpow_s": "PowBackward2",
    "rsub_s": "RsubBackward1",
    "self": "AliasBackward0",
    "solve": "LinalgSolveExBackward0",
    "to": "ToCopyBackward0",
}


def node_name(op: Any, params: Any, entry: Any) -> str:
    """PyTorch's name for the node of a recorded operation."""
    name = str(op)
    if name == "whole":
        name = str(params).partition(" ")[0]
        return f"{name.rstrip('_')}Backward{int(name.endswith('_'))}"
    if name in _NAMES:
        return _NAMES[name]
    if entry is not None and name in _BY_SHAPE:
        return _BY_SHAPE[name](params, entry)
    return "".join([w.capitalize() for w in name.split("_")]) + "Backward0"


# Operations with a number, which PyTorch counts as an operand that takes no gradient.
_WITH_NUMBER = {n + "_s" for n in ("add", "sub", "mul", "div", "rdiv")}


def kept(node: Any) -> list[Any]:
    """Those of a node's edges that its node in PyTorch has.

    A composition's lead to its operands, past the operations that it is made of; the condition of
    `where` has none, nor have values that are there already.
    """
    name, edges = str(node.op), edges_of(node)
    if name in ACTIVATIONS:
        return edges[1:2]
    if name == "whole":  # integers are no operands of the graph
        operands = zip(edges[1:], node.entry.inputs[1:], strict=True)
        return [e for e, n in operands if n.dtype.category >= FLOAT]
    if name in ("where", "triangle", "lerp", "norm", "softmax", "std", "var"):
        return edges[1:]
    if name in _OF_FIRST:
        return [_past(edges[0], "watch")]
    if name == "over":
        return [_past(edges[0], "sum")]
    name = node.name()
    if name == "AddmmBackward0":  # the bias first, then the operands of the product
        product = edges[0]
        return [edges[1], *(product.edges if product is not None else (None, None))]
    if name == "StackBackward0":
        return [_past(e, "reshape") for e in _joined(node)]
    return [*edges, None] if str(node.op) in _WITH_NUMBER else edges


# What takes a gradient is their first operand; the others say where.
_OF_FIRST = ("beyond", "gather", "index")


def _past(edge: Any, name: str) -> Any:
    """What an edge leads to, past an operation of that name."""
    return edge.edges[0] if edge is not None and str(getattr(edge, "op", "")) == name else edge


def _joined(node: Any) -> list[Any]:
    """The edges of a concatenation, which is made of steps with two operands each."""
    found: list[Any] = []
    for e in node.edges:
        within = str(getattr(e, "op", "")) == "cat"
        found += _joined(e) if within else [e]
    return found


def _reshape(p: Any, entry: Any) -> str:
    old, new = entry.inputs[0].shape, entry.shape
    if len(new) == len(old) + 1 and any([new[:d] + new[d + 1 :] == old for d in _ones(new)]):
        return "UnsqueezeBackward0"
    if len(new) < len(old) and new == tuple([n for n in old if n != 1]):
        return "SqueezeBackward0"
    if len(new) + 1 == len(old) and any([old[:d] + old[d + 1 :] == new for d in _ones(old)]):
        return "SqueezeBackward1"
    return "ViewBackward0"


def _ones(shape: tuple[int, ...]) -> list[int]:
    return [d for d, n in enumerate(shape) if n == 1]


def _permute(p: Any, entry: Any) -> str:
    if len(p) == 2:
        return "TBackward0"
    moved = sum([d != i for i, d in enumerate(p)])
    return "TransposeBackward0" if moved == 2 else "PermuteBackward0"


def _slice(p: Any, entry: Any) -> str:
    return "SelectBackward0" if any([type(i) is int for i in p]) else "SliceBackward0"


def _matmul(p: Any, entry: Any) -> str:
    ranks = {len(i.shape) for i in entry.inputs}
    return {frozenset((2,)): "MmBackward0", frozenset((3,)): "BmmBackward0"}.get(
        frozenset(ranks), "UnsafeViewBackward0"
    )


def _sum(p: Any, entry: Any) -> str:
    return "SumBackward0" if not entry.shape else "SumBackward1"


def _add(p: Any, entry: Any) -> str:
    """A bias added to a product with a transposed matrix, as a linear layer does.

    PyTorch views what is no matrix as one first, and the result as what it was.
    """
    a, b = entry.inputs
    linear = str(a.op) == "matmul" and str(a.b.op) == "permute"
    ranks = [len(n.shape) for n in (*a.inputs, b)] if linear else []
    if ranks[1:] != [2, 1]:
        return "AddBackward0"
    return "AddmmBackward0" if ranks[0] == 2 else "ViewBackward0"


def _cat(p: Any, entry: Any) -> str:
    """Tensors that get a new dimension, in which they are joined, are a stack."""
    parts = list(entry.inputs)
    while parts:
        a = parts.pop()
        if a.op is entry.op and a.params == p:
            parts += a.inputs
        elif str(a.op) != "reshape" or a.shape != (*a.a.shape[:p], 1, *a.a.shape[p:]):
            return "CatBackward0"
    return "StackBackward0"


def _pool(name: str) -> Any:
    """Of two or three dimensions; one is two of which one is 1."""

    def of(p: Any, entry: Any) -> str:
        n = len(entry.shape) - 2
        return name.format(n) if n > 1 else "SqueezeBackward1"

    return of


def _reduction(name: str) -> Any:
    return lambda p, entry: f"A{name}Backward0" if entry.shape else f"{name.title()}Backward1"


_BY_SHAPE = {
    "adaptive_avg_pool": _pool("AdaptiveAvgPool{}DBackward0"),
    "add": _add,
    "amax": _reduction("max"),
    "amin": _reduction("min"),
    "avg_pool": _pool("AvgPool{}DBackward0"),
    "cat": _cat,
    "index": lambda p, entry: getattr(p, "backward", "IndexBackward0"),
    "matmul": _matmul,
    "max_pool": _pool("MaxPool{}DWithIndicesBackward0"),
    "over": lambda p, entry: "MeanBackward1" if entry.shape else "MeanBackward0",
    "permute": _permute,
    "prod": lambda p, entry: "ProdBackward1" if entry.shape else "ProdBackward0",
    "reshape": _reshape,
    "slice": _slice,
    "sum": _sum,
    "triangle": lambda p, entry: p[0].capitalize() + "Backward0",
}
