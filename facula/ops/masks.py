"""Elements picked by masks, and where the elements are that are not zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from facula import devices, dtypes
from facula.ops import indexing as ix
from facula.ops import pointwise as pw
from facula.ops.assignment import filler
from facula.ops.composed import whole
from facula.ops.indices import array_of, getitem, positions
from facula.ops.movement import in_layout
from facula.ops.promotion import need
from facula.ops.table import FUNCTIONS, api
from facula.tensor import Tensor
from facula.trace.recorder import record
from facula.trace.spans import pure, run
from facula.values import from_array


def _bool_mask(name: str, mask: Any) -> None:
    need(name, mask=mask)
    if mask.node.dtype is not dtypes.bool:
        raise RuntimeError(
            f"{name} only supports boolean masks, but got mask with dtype {mask.dtype}"
        )


@api(inplace=True)
def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """value where mask, input elsewhere."""
    if type(value) is float:  # by its name: 0.0 and -0.0 are equal, and NaN is not
        return run(_filled, (input, mask), repr(value))
    return _masked_fill(input, mask, value)


@pure
def _filled(tensors: Any, value: Any, numbers: Any) -> Any:
    input, mask = tensors
    return _masked_fill(input, mask, float(value))


def _masked_fill(input: Any, mask: Any, value: Any) -> Any:
    _bool_mask("masked_fill", mask)
    if isinstance(value, Tensor) and value.node.shape:
        raise RuntimeError(
            "masked_fill only supports a 0-dimensional value tensor, but got tensor "
            f"with {len(value.node.shape)} dimension(s)."
        )
    return in_layout(record(pw.WHERE, (mask, filler(value, input), input)), None)


@api
def masked_select(input: Any, mask: Any) -> Any:
    """The elements where mask is true, in one dimension."""
    if mask.node.dtype is not dtypes.bool:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    a, m = FUNCTIONS["broadcast_tensors"](input, mask)
    return whole(getitem(a, m), "MaskedSelect", input, mask)


@api(inplace=True)
def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """The elements where mask is true replaced, in order, by those of the source."""
    _bool_mask("masked_scatter", mask)
    need("masked_scatter", source=source)
    if source.node.dtype is not input.node.dtype:
        raise RuntimeError(
            f"masked_scatter_: expected self and source to have same dtypes but got {input.dtype} "
            f"and {source.dtype}"
        )
    t, m = FUNCTIONS["broadcast_tensors"](input, mask)
    flags = array_of(m)
    count = int(np.count_nonzero(flags))
    if count > source.numel():
        raise RuntimeError(
            f"masked_scatter: Number of elements of source < number of ones in mask: "
            f"{source.numel()} < {count}"
        )
    if count == 0 and not source.requires_grad:  # PyTorch saves the mask all the same
        return record(pw.WHERE, (m, t.new_zeros(()), t)) if t.requires_grad else t.clone()
    if count == 0:  # the result depends on the source all the same
        none = record(pw.FILL, (source,), (), (0,)).sum().to(t.dtype)
        return record(pw.WHERE, (m, none.expand(t.shape), t))
    at = np.clip(np.cumsum(flags.reshape(-1)) - 1, 0, None).reshape(flags.shape)
    places = from_array(at.reshape(-1))
    if source.node.device is not None:
        places = places.to(source.node.device)
    picked = record(ix.GATHER, (source.reshape(-1), places), 0)
    return in_layout(record(pw.WHERE, (m, picked.reshape(flags.shape), t)), None)


@api
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The positions of the elements that are not zero (computed at once: the shape is data)."""
    found = (
        positions(np.atleast_1d(array_of(input)) if as_tuple else array_of(input))
        if (input.node.shape or as_tuple)
        else ()
    )
    if as_tuple:
        return tuple([devices.moved(from_array(x), input.device) for x in found])
    if not input.node.shape:
        return from_array(np.zeros((int(bool(input.item())), 0), np.int64))
    return devices.moved(from_array(np.stack(found).T), input.device)


@api
def argwhere(input: Any) -> Any:
    """The positions of the elements that are not zero, one a row."""
    return FUNCTIONS["nonzero"](input)


@api
def nonzero_static(input: Any, *, size: int, fill_value: int = -1) -> Any:
    """The first `size` positions of elements that are not zero, filled up to that number."""
    if size < 0:
        raise RuntimeError(f"nonzero_static: 'size' must be an non-negative integer, got {size}")
    found = array_of(FUNCTIONS["nonzero"](input))
    out = np.full((size, found.shape[1]), fill_value, np.int64)
    out[: len(found)] = found[:size]
    return from_array(out)
