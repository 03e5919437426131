"""Scattering with a reduction: sum, mean, product and extremes of what an index brings together."""

from __future__ import annotations

from typing import Any

import numpy as np

from facula import dtypes
from facula.ops import indexing as ix
from facula.ops import pointwise as pw
from facula.ops.registry import Op, like_strides, widened
from facula.trace.recorder import TLS, record

# Parameters: the dimension, the reduction, whether self takes part.
# Operands have at least one dimension, and index and source one shape.
_START = {"sum": 0, "mean": 0, "prod": 1}


def _identity(kind: str, d: Any) -> Any:
    if kind in _START:
        return _START[kind]
    if d.kind == "b":
        return kind == "amin"
    if d.kind == "f":
        return -np.inf if kind == "amax" else np.inf
    return np.iinfo(d).min if kind == "amax" else np.iinfo(d).max


KINDS = {
    "sum": np.add,
    "mean": np.add,
    "prod": np.multiply,
    "amax": np.maximum,
    "amin": np.minimum,
}


def _scatter_reduce(p: Any, s: Any, a: Any, b: Any, c: Any) -> Any:
    dim, kind, own = p
    out = a.copy()
    at = ix._along(a.shape, b, dim)
    if not own:
        out[at] = _identity(kind, a.dtype)
    KINDS[kind].at(out, at, c)
    if kind == "mean":
        count = np.full(a.shape, 1 if own else 0)
        np.add.at(count, at, 1)
        count = np.maximum(count, 1)
        return (out // count if a.dtype.kind in "iu" else out / count).astype(a.dtype)
    return out


def _touched(like: Any, b: Any, dim: int) -> Any:
    """Where the index points, as bool."""
    none = like.new_zeros(like.node.shape, dtype=dtypes.bool)
    return record(ix.SCATTER, (none, b, like.new_ones(b.node.shape, dtype=dtypes.bool)), dim)


def _own_only(g: Any, b: Any, p: Any) -> Any:
    """Self's gradient: none where self did not take part."""
    if p[2]:
        return g
    return record(pw.WHERE, (_touched(g, b, p[0]), g.new_zeros(()), g))


def _counts(g: Any, b: Any, p: Any) -> Any:
    start = g.new_ones(g.node.shape) if p[2] else g.new_zeros(g.node.shape)
    n = record(ix.SCATTER_ADD, (start, b, g.new_ones(b.node.shape)), p[0])
    return n.clamp(min=1)


def _shares(g: Any, a: Any, b: Any, c: Any, o: Any, p: Any) -> tuple[Any, Any, Any]:
    """For extremes: who attains them (self, source), and the gradient for each of these."""
    mine = a == o
    if not p[2]:
        mine = mine & ~_touched(a, b, p[0])
    theirs = c == record(ix.GATHER, (o, b), p[0])
    n = record(ix.SCATTER_ADD, (mine.to(g.dtype), b, theirs.to(g.dtype)), p[0])
    return mine, theirs, g / n


def _one_for_zero(t: Any, zero: Any) -> Any:
    return record(pw.WHERE, (zero, t.new_ones(()), t))


def _self_grad(g: Any, a: Any, b: Any, c: Any, o: Any, p: Any) -> Any:
    kind = p[1]
    if kind == "sum":
        return _own_only(g, b, p)
    if kind == "mean":
        return _own_only(g / _counts(g, b, p), b, p)
    if kind == "prod":
        rest = _one_for_zero(a, a == 0)
        return _own_only(g * record(SCATTER_REDUCE, (rest, b, c), p) / rest, b, p)
    mine, _, share = _shares(g, a, b, c, o, p)
    return mine.to(g.dtype) * share


def _source_grad(g: Any, a: Any, b: Any, c: Any, o: Any, p: Any) -> Any:
    dim, kind, _ = p
    if kind == "sum":
        return record(ix.GATHER, (g, b), dim)
    if kind == "mean":
        return record(ix.GATHER, (g / _counts(g, b, p), b), dim)
    if kind == "prod":
        zero = c == 0
        none = g.new_zeros(g.node.shape)
        zeros = record(ix.SCATTER_ADD, (none, b, zero.to(g.dtype)), dim)
        single = zero & (record(ix.GATHER, (zeros, b), dim) == 1)
        without = record(SCATTER_REDUCE, (a, b, _one_for_zero(c, single)), p)
        at_zero = record(ix.GATHER, (g * without, b), dim)
        others = record(ix.GATHER, (g * o, b), dim) / _one_for_zero(c, zero)
        found = record(pw.WHERE, (single, at_zero, others))
        # What several zeros have in common is divided by them in the gradient of this gradient.
        if TLS.r.grad and bool((zeros > 1).any()):
            from facula.autograd.function import only_once

            return only_once(
                found,
                "scatter_reduce(): Double backward is unsupported for src when >1 zeros in src are "
                f"scattered to the same position in self (a {c.node.dtype} src of shape "
                f"{list(c.node.shape)})",
            )
        return found
    _, theirs, share = _shares(g, a, b, c, o, p)
    return theirs.to(g.dtype) * record(ix.GATHER, (share, b), dim)


SCATTER_REDUCE: Op = Op(
    "scatter_reduce",
    lambda p, st, a, b, c: (a.shape, a.dtype, like_strides(a), 0),
    widened(_scatter_reduce),
    (_self_grad, None, _source_grad),
)


def unchanged(input: Any, source: Any) -> Any:
    """A copy of the input, with the history of what nothing was taken of."""
    if not source.requires_grad:
        return input.clone()
    return input + source.reshape(-1)[:0].sum()


def reduced(input: Any, d: int, index: Any, src: Any, kind: str, own: bool) -> Any:
    """Input with src combined into it where the index points along dimension d; `own`: whether
    what is there takes part."""
    if index.numel() == 0:
        return unchanged(input, src)
    if not input.node.shape:
        t = reduced(input.reshape(1), 0, index.reshape(-1), src.reshape(-1), kind, own)
        return t.reshape(())
    if not index.node.shape or not src.node.shape:  # one element of a vector
        index, src = index.reshape(-1), src.reshape(-1)
    if src.node.shape != index.node.shape:
        for k, n in enumerate(index.node.shape):
            src = src.narrow(k, 0, n)
    return record(SCATTER_REDUCE, (input, index.to(dtypes.int64), src), (d, kind, own))
