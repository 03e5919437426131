"""Products of groups of rows, each with a matrix of its own: layers of mixtures of experts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from facula import dtypes
from facula.numpy_threads import matmul
from facula.ops.contraction import _h, _lines
from facula.ops.registry import Op, widened
from facula.ops.table import api
from facula.trace.recorder import record

_KINDS = {dtypes.float32: "Float32", dtypes.bfloat16: "BFloat16", dtypes.float16: "Float16"}


def _infer(p: Any, st: Any, a: Any, b: Any, ends: Any) -> Any:
    x, y = a.shape, b.shape
    groups = ends.shape if len(x) == len(y) else ()  # each with a result of its own
    return (*groups, x[-2], y[-1]), a.dtype, None, 0


def _groups(ends: Any, size: int) -> Iterator[tuple[int, slice]]:
    """Each group and its range, which ends where `ends` says and within the operand."""
    start = 0
    for i, end in enumerate(np.clip(ends, 0, size).tolist()):
        yield i, slice(start, max(start, end))
        start = max(start, end)


def _body(p: Any, s: Any, a: Any, b: Any, ends: Any) -> Any:
    if a.ndim == b.ndim:  # the groups lie along the summed dimension
        out = np.zeros((*ends.shape, a.shape[0], b.shape[1]), a.dtype)
        for i, part in _groups(ends, a.shape[1]):
            matmul(_lines(a[:, part]), _lines(b[part]), out=out[i])
        return out
    out = np.zeros((a.shape[-2], b.shape[-1]), a.dtype)
    if a.ndim == 2:
        for i, part in _groups(ends, len(a)):
            out[part] = matmul(_lines(a[part]), _lines(b[i]))
    else:
        for i, part in _groups(ends, b.shape[1]):
            out[:, part] = matmul(_lines(a[i]), _lines(b[:, part]))
    return out


# Operands of two and three, three and two or two and two dimensions, and where each group ends in
# the one dimension that they share. Rows or columns behind the last group are zero.
GROUPED_MM: Op = Op(
    "grouped_mm",
    _infer,
    widened(_body),
    (
        lambda g, b, c: record(GROUPED_MM, (g, _h(b), c)),
        lambda g, a, c: record(GROUPED_MM, (_h(a), g, c)),
        None,
    ),
)


@api(method=False)
def _grouped_mm(
    mat_a: Any, mat_b: Any, offs: Any = None, bias: Any = None, out_dtype: Any = None
) -> Any:
    """The products of the groups that end at `offs` (see `nn.functional.grouped_mm`)."""
    what = "grouped_mm()"
    kind, ranks = mat_a.dtype, (mat_a.dim(), mat_b.dim())
    for name, t in ("mat_a", mat_a), ("mat_b", mat_b):
        if t.dtype not in _KINDS:
            raise RuntimeError(
                f"{what}: Expected {name} to be Float32, BFloat16 or Float16 matrix, got {t.dtype}"
            )
        if t.dim() not in (2, 3):
            raise RuntimeError(f"{what}: {name} has to be 2 or 3d, got shape {list(t.shape)}")
    if mat_b.dtype is not kind:
        raise RuntimeError(f"{what}: mat_a is of {kind}, mat_b of {mat_b.dtype}")
    if mat_a.shape[-1] != mat_b.shape[-2]:
        raise RuntimeError(
            f"{what}: contraction dimension of mat_a and mat_b must match, got "
            f"{list(mat_a.shape)} and {list(mat_b.shape)}"
        )
    if (offs is None) != (ranks == (3, 3)):
        raise RuntimeError(
            f"{what}: Have to provide offsets if there is a 2d matrix, or no offset if both "
            "matrices are 3d"
        )
    if bias is not None:
        raise RuntimeError(f"{what}: Bias not supported yet")
    if out_dtype not in (None, kind):
        raise RuntimeError(
            f"{what}: Grouped gemm output dtype must match `mat_a` dtype, got {out_dtype}"
        )
    batches = [t.shape[0] for t in (mat_a, mat_b) if t.dim() == 3]
    if offs is not None:
        if offs.dtype is not dtypes.int32 or offs.dim() != 1:
            raise RuntimeError(
                f"{what}: Offsets have to be int32 of one dimension, got {offs.dtype} of shape "
                f"{list(offs.shape)}"
            )
        batches.append(offs.shape[0])
    if len({*batches}) > 1:
        raise RuntimeError(
            f"{what}: matrix batch sizes have to match, got {list(mat_a.shape)}, "
            f"{list(mat_b.shape)} and offs of {None if offs is None else list(offs.shape)}"
        )
    if offs is None:
        return mat_a.bmm(mat_b)
    return record(GROUPED_MM, (mat_a, mat_b, offs))
