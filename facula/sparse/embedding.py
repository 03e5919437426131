"""Looking up rows of a matrix whose gradient is to be sparse."""

from __future__ import annotations

from typing import Any

import numpy as np

from facula.ops.indices import outside
from facula.ops.registry import Op
from facula.sparse.tensor import make, on_cpu
from facula.trace.recorder import record
from facula.values import from_array, realise


def _gradient(g: Any, an: Any, b: Any, p: Any) -> Any:
    index = realise(b)._data
    kept = np.flatnonzero(index != p)
    if len(kept) < len(index):
        g, index = g.index_select(0, from_array(kept)), index[kept]
    return make(index.reshape(1, -1), g, an.shape)


ROWS: Op = Op(
    "embedding_rows",
    lambda p, st, a, b: ((*b.shape, *a.shape[1:]), a.dtype, None, 0),
    lambda p, s, a, b: a[b],
    (_gradient, None),
)


def rows(weight: Any, index: Any, padding_idx: int) -> Any:
    """weight[index] for a vector of indices; the row `padding_idx` gets no gradient."""
    on_cpu("embedding(sparse=True)", None, weight, index)
    n = weight.shape[0]
    a = realise(index.detach())._data
    if outside(a, n):
        raise IndexError(f"embedding: index out of range in self (of {n} rows)")
    return record(ROWS, (weight, index), padding_idx)
