"""Contractions, pooling and scattered sums of 16-bit floats: in float32, as PyTorch computes them.

Their kernels know float32 and float64. A conversion before and one after join what is there to be
joined: the one before is often made where the operand is, the one after as the result is written.
"""

from __future__ import annotations

from collections.abc import Callable

from facula import dtypes
from facula.compiler.cluster import kind_of
from facula.compiler.layout import Place
from facula.cpu.vector import NARROW
from facula.interpreter.program import source
from facula.ops.contraction import MATMUL, MATMUL_WIDE
from facula.ops.pointwise import CAST
from facula.trace.node import ASSIGN, Node, contiguous_strides

WIDENED = (
    *("matmul", "matmul_wide", "conv", "conv_input", "conv_weight"),
    *("max_pool", "max_pool_index", "avg_pool", "avg_pool_spread", "pool_take", "pool_put"),
    "max_pool_put",
    *("adaptive_avg_pool", "adaptive_avg_spread", "adaptive_max_index"),
    "scatter_add",
)


LOOKS = ("permute", "expand", "reshape")  # views that are taken of the converted value


class _Widening:
    """The entries so far, and what was converted."""

    def __init__(self) -> None:
        self.entries: list[Node] = []
        self.wide: dict[Node, Node] = {}

    def new(self, like: Node, inputs: tuple[Node, ...], dtype: dtypes.dtype) -> Node:
        """An entry as `like`, of other operands."""
        op = MATMUL if like.op is MATMUL_WIDE else like.op
        made = Node(op, like.shape, dtype)
        made.params, made.stypes, made.scalar_at = like.params, like.stypes, like.scalar_at
        made.inputs = inputs
        made.a = inputs[0]
        made.b = inputs[1] if len(inputs) > 1 else None
        made.index = like.index
        self.entries.append(made)
        return made

    def cast(self, n: Node, to: dtypes.dtype) -> Node:
        """A value converted."""
        made = Node(CAST, n.shape, to)
        made.params = to
        made.inputs = (n,)
        made.a = n
        made.index = n.index
        self.entries.append(made)
        return made

    def widened(self, n: Node) -> Node:
        """A narrow value in float32; conversion and view change places."""
        s = source(n)
        s = s if s.shape == n.shape else n
        found = self.wide.get(s)
        if found is None:
            if s.op.name in LOOKS:
                found = self.new(s, (self.widened(s.a),), dtypes.float32)
            else:
                found = self.cast(s, dtypes.float32)
            self.wide[s] = found
        return found


def widen(
    entries: list[Node], places: dict[Node, Place], kept: Callable[[Node], bool] | None = None
) -> list[Node]:
    """The entries with such operations in float32, except those that are to be `kept` as they are;
    `places` learns where their results are."""
    w = _Widening()
    for n in entries:
        if (
            n.op is ASSIGN
            or n.op.name not in WIDENED
            or not any([kind_of(i) in NARROW for i in n.inputs])
            or (kept is not None and kept(n))
        ):
            w.entries.append(n)
            continue
        narrow = kind_of(n) in NARROW
        operands = tuple([w.widened(i) if kind_of(i) in NARROW else i for i in n.inputs])
        made = w.new(n, operands, dtypes.float32 if narrow else n.dtype)
        if narrow:
            made = w.cast(made, n.dtype)
        places[n] = Place(made, 0, n.shape, contiguous_strides(n.shape))
    return w.entries


__all__ = ["widen"]
