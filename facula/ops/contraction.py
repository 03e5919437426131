"""Matrix products."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from facula import dtypes
from facula.numpy_threads import matmul
from facula.ops.movement import PERMUTE, RESHAPE
from facula.ops.pointwise import MUL
from facula.ops.registry import Op, broadcast, widened
from facula.summation import product
from facula.trace.recorder import record


def _infer(p: Any, st: Any, a: Any, b: Any) -> Any:
    x, y = a.shape, b.shape
    if x[-1] != y[-2]:
        raise RuntimeError(
            f"matmul: mat1 and mat2 shapes cannot be multiplied "
            f"({x[-2]}x{x[-1]} and {y[-2]}x{y[-1]})"
        )
    if a.dtype is dtypes.bool and 0 not in x and 0 not in y:
        raise NotImplementedError('matmul: "addmm_impl_cpu_" not implemented for torch.bool')
    return (*broadcast([x[:-2], y[:-2]], "matmul"), x[-2], y[-1]), a.dtype, None, 0


def _body(p: Any, s: Any, a: Any, b: Any) -> Any:
    a, b = _lines(a), _lines(b)
    if a.ndim == b.ndim == 2 and a.dtype.char == "f":
        return product(a, b)
    return matmul(a, b)


def _lines(a: Any) -> Any:
    """The operand with rows or columns of adjacent elements: NumPy multiplies others without its
    library, a hundred times slower."""
    rows, columns = a.strides[-2:]
    if columns == a.itemsize or rows == a.itemsize or a.size < 4096:
        return a
    return np.ascontiguousarray(a)


def _h(t: Any) -> Any:
    """Conjugate transpose of the last two dimensions."""
    rank = len(t.node.shape)
    t = record(PERMUTE, (t,), (*range(rank - 2), rank - 1, rank - 2))
    return t.conj_physical() if t.dtype.is_complex else t


def _fit(g: Any, n: Any) -> Any:
    from facula.autograd.engine import sum_to

    return sum_to(g, n.shape) if g.node.shape != n.shape else g


def _product(a: Any, b: Any) -> Any:
    """The product; of a column and a row it has one factor each, and can be part of a pass."""
    return record(MATMUL if a.node.shape[-1] != 1 else MUL, (a, b))


def _right(g: Any, a: Any, bn: Any) -> Any:
    """The gradient of the right operand. Of a matrix that every product of the batch shared it is
    one product over all rows, not a sum of products."""
    if len(bn.shape) == 2 < len(a.node.shape):
        a, g = _rows(a), _rows(g)
    return _fit(_product(_h(a), g), bn)


def _rows(t: Any) -> Any:
    shape = t.node.shape
    return record(RESHAPE, (t,), (prod(shape[:-1]), shape[-1]))


# Operands of at least two dimensions, of one dtype; the leading ones broadcast.
MATMUL: Op = Op(
    "matmul",
    _infer,
    widened(_body),
    (
        lambda g, b, an: _fit(_product(g, _h(b)), an),
        lambda g, a, bn: _right(g, a, bn),
    ),
)


def _wide_infer(p: Any, st: Any, a: Any, b: Any) -> Any:
    return _infer(p, st, a, b)[0], dtypes.float32, None, 0


# Of two operands of one 16-bit dtype: what their product is before it is rounded to that dtype. The
# gradient is rounded first, as where attention is one kernel.
MATMUL_WIDE: Op = Op(
    "matmul_wide",
    _wide_infer,
    lambda p, s, a, b: _body(p, s, a.astype(np.float32), b.astype(np.float32)),
    (
        lambda g, b, an: _fit(_product(g.to(an.dtype), _h(b)), an),
        lambda g, a, bn: _right(g.to(bn.dtype), a, bn),
    ),
)
