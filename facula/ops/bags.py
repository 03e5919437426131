"""Sums of the rows of a table that each bag of indices names; bags may be of any size."""

from __future__ import annotations

from typing import Any

import numpy as np

from facula import dtypes
from facula.ops import indexing as ix
from facula.ops import pointwise as pw
from facula.ops.indices import saved_by
from facula.ops.movement import RESHAPE, zeros_node
from facula.ops.registry import Op
from facula.trace.recorder import record
from facula.values import from_array


def _sums(p: Any, s: Any, table: Any, index: Any, bounds: Any, *factors: Any) -> Any:
    rows = table[index[0]]
    rows = rows.astype(np.float32) if rows.dtype.itemsize == 2 else rows
    for f in factors:
        rows = rows * f[:, None]
    sizes = np.diff(bounds)
    out = np.zeros((len(sizes), rows.shape[1]), rows.dtype)
    if rows.size:
        out[sizes > 0] = np.add.reduceat(rows, bounds[:-1][sizes > 0])
    return out


def _infer(p: Any, st: Any, a: Any, b: Any, c: Any, *d: Any) -> Any:
    dtype = dtypes.float32 if a.dtype.itemsize == 2 else a.dtype
    return (c.shape[0] - 1, a.shape[1]), dtype, None, 0


def _rows(t: Any, b: Any, which: int) -> Any:
    """Of each index the row of a table, or of what has a row for each bag."""
    return record(ix.INDEX, (t, b.narrow(0, which, 1)), ((0, None), b.shape[1:]))


def _added(rows: Any, b: Any, an: Any) -> Any:
    where = (0, None), b.shape[1:]
    zeros = zeros_node(an, rows.node.dtype)
    return pw.cast(record(ix.INDEX_ADD, (zeros, b.narrow(0, 0, 1), rows), where), an.dtype)


def _column(d: Any) -> Any:
    return record(RESHAPE, (d,), (d.shape[0], 1))


# The second operand has the indices and, below them, the number of the bag of each; the third says
# where each bag begins, and the end of the last.
BAG_SUMS: Op = Op(
    "bag_sums", _infer, _sums, (lambda g, b, an: _added(_rows(g, b, 1), b, an), None, None)
)
BAG_WEIGHTED: Op = Op(
    "bag_weighted",
    _infer,
    _sums,
    (
        lambda g, b, d, an: _added(_rows(g, b, 1) * _column(d), b, an),
        None,
        None,
        lambda g, a, b: (_rows(g, b, 1) * pw.cast(_rows(a, b, 0), g.node.dtype)).sum(1),
    ),
)


def bag_sums(table: Any, index: Any, sizes: Any, factors: Any = None, saved: Any = None) -> Any:
    """The sums of rows of a matrix, in float32 at least.

    Args:
        index: an array of the rows, checked; those of a bag lie side by side.
        sizes: an array of how many each bag has.
        factors: a factor for each index, of the result's dtype.
        saved: what the index was made of, which the operation is to save.
    """
    both = from_array(np.stack([index, np.repeat(np.arange(len(sizes)), sizes)]))
    saved_by(table, both, saved)
    bounds = from_array(np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]))
    if factors is None:
        return record(BAG_SUMS, (table, both, bounds))
    return record(BAG_WEIGHTED, (table, both, bounds, factors))
