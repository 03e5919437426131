"""Reductions of consecutive rows: segments of given lengths."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula import dtypes
from facula.ops.composed import whole
from facula.ops.promotion import need
from facula.ops.table import FUNCTIONS, api
from facula.values import from_array, realise

# What an empty segment gives: PyTorch's names, the reductions of index_reduce, the first value.
_KINDS = {
    "sum": ("sum", 0.0),
    "mean": ("sum", 0.0),
    "max": ("amax", -math.inf),
    "min": ("amin", math.inf),
    "prod": ("prod", 1.0),
}
_KINDS |= {"amax": _KINDS["max"], "amin": _KINDS["min"]}


@api(names=("_segment_reduce",), method=False)
def segment_reduce(
    data: Any,
    reduce: str,
    *,
    lengths: Any = None,
    indices: Any = None,
    offsets: Any = None,
    axis: int = 0,
    unsafe: bool = False,
    initial: Any = None,
) -> Any:
    """Reduce segments along `axis`, the last dimension of `lengths` (or of `offsets`, which say
    where they begin and, with one more, where the last ends). 'sum', 'mean', 'max' or 'amax',
    'min' or 'amin', 'prod'.

    Source: https://pytorch.org/docs/stable/generated/torch.segment_reduce.html
    """
    need("segment_reduce", data=data)
    if reduce not in _KINDS:
        raise RuntimeError(
            f"segment_reduce(): reduce must be one of {', '.join(_KINDS)}, got {reduce!r}"
        )
    if indices is not None:
        raise NotImplementedError("segment_reduce(): indices= is not supported")
    given = offsets if lengths is None else lengths
    if given is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    if not data.dtype.is_floating_point or given.dtype not in (dtypes.int32, dtypes.int64):
        raise NotImplementedError(
            f"segment_reduce() is not implemented for data of {data.dtype} and lengths of "
            f"{given.dtype}"
        )
    rank, shape = len(given.node.shape), data.node.shape
    if axis != rank - 1:
        raise RuntimeError(
            f"segment_reduce(): Expected axis to be the last dimension of lengths but got {axis}."
        )
    if rank > len(shape) or given.node.shape[:-1] != shape[: rank - 1]:
        raise RuntimeError(
            f"segment_reduce(): lengths of shape {list(given.node.shape)} do not fit data of shape "
            f"{list(shape)}"
        )
    n, rest = shape[axis], shape[rank:]
    sizes = realise(given.cpu())._data.reshape(-1, given.node.shape[-1])
    if lengths is None:
        starts, sizes = sizes[:, :1], np.diff(sizes)
    else:
        starts = np.zeros((len(sizes), 1), sizes.dtype)
    if (sizes < 0).any():
        raise RuntimeError("segment_reduce(): lengths contains negative value!")
    if not unsafe and (starts[:, 0] + sizes.sum(1) != n).any():
        raise RuntimeError(
            "segment_reduce(): Expected all rows of lengths along axis to sum to "
            f"data.size({axis}), which is {n}, when !unsafe."
        )
    batches, segments = sizes.shape
    used = sizes.sum(1)
    within = np.arange(used.sum()) - np.repeat(np.cumsum(used) - used, used)
    rows = np.repeat(np.arange(batches) * n + starts[:, 0], used) + within
    owner = np.repeat(np.arange(sizes.size), sizes.reshape(-1))
    flat = data.reshape((batches * n, *rest))
    flat = FUNCTIONS["index_select"](flat, 0, from_array(rows))
    kind, empty = _KINDS[reduce]
    first = flat.new_full((sizes.size, *rest), empty if initial is None else initial)
    if kind == "sum":
        out = FUNCTIONS["index_add"](first, 0, from_array(owner), flat)
    else:
        out = FUNCTIONS["index_reduce"](first, 0, from_array(owner), flat, kind)
    if reduce == "mean":
        count = from_array(sizes.reshape((-1, *(1 for _ in rest)))).to(data.dtype)
        out = out / count if initial is None else out / count.clamp(min=1)
    out = out.reshape((*shape[:axis], segments, *rest))
    return whole(out, "SegmentReduce", data, lengths, offsets)
