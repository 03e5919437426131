"""Tensors cut into several along a dimension: all results are views."""

from __future__ import annotations

from itertools import accumulate, pairwise
from operator import index
from typing import Any

import numpy as np

from facula import dtypes
from facula.ops.movement import SLICE
from facula.ops.shapes import slice_dim
from facula.ops.table import api
from facula.tensor import Tensor
from facula.tensor_base import wrap_dim
from facula.views import make_slices


def _several(parts: list[Any]) -> tuple[Any, ...]:
    for p in parts:
        p._multi = True
    return tuple(parts)


@api
def unbind(input: Any, dim: int = 0) -> Any:
    """All slices along a dimension."""
    shape = input.node.shape
    if not shape:
        raise IndexError(f"unbind: Dimension specified as {dim} but tensor has no dimensions")
    d = wrap_dim(dim, len(shape))
    return _several(make_slices(input, SLICE, d, list(range(shape[d]))))


@api
def split(
    tensor: Any, split_size_or_sections: Any = None, dim: int = 0, *, split_size: Any = None
) -> Any:
    """Parts along a dimension, of one size or of given sizes (`split_size=` to the method)."""
    shape = tensor.node.shape
    if split_size_or_sections is None:
        split_size_or_sections = split_size
        if split_size is None:
            raise TypeError("split(): missing the size of the parts")
    if not shape:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = wrap_dim(dim, len(shape))
    n = shape[d]
    if isinstance(split_size_or_sections, Tensor) and not split_size_or_sections.node.shape:
        split_size_or_sections = index(split_size_or_sections)
    if isinstance(split_size_or_sections, bool):
        raise TypeError("split(): argument 'split_size' must be int, not bool")
    if isinstance(split_size_or_sections, int):
        k = split_size_or_sections
        if k < 0 or (k == 0 and n):
            raise RuntimeError(f"split expects split_size be non-negative, but got split_size={k}")
        parts = [min(k, n - i) for i in range(0, n, k)] if n else [0]
    else:
        parts = [int(s) for s in split_size_or_sections]
        if sum(parts) != n or any([p < 0 for p in parts]):
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {n} (input "
                f"tensor's size at dimension {d}), but got split_sizes={parts}"
            )
    begins = accumulate(parts, initial=0)
    return _several(make_slices(tensor, SLICE, d, list(zip(begins, parts, strict=False))))


@api
def split_with_sizes(input: Any, split_sizes: Any, dim: int = 0) -> Any:
    """Parts of given sizes."""
    return split.__wrapped__(input, list(split_sizes), dim)


@api
def chunk(input: Any, chunks: int, dim: int = 0) -> Any:
    """At most `chunks` parts of equal size (the last may be smaller)."""
    if not input.node.shape:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = input.node.shape[wrap_dim(dim, len(input.node.shape))]
    if n == 0:
        return split.__wrapped__(input, [0] * chunks, dim)
    return split.__wrapped__(input, -(-n // chunks), dim)


@api
def unsafe_split(tensor: Any, split_size: Any, dim: int = 0) -> Any:
    """split, whose parts may be written to."""
    return _single(split.__wrapped__(tensor, split_size, dim))


@api
def unsafe_split_with_sizes(input: Any, split_sizes: Any, dim: int = 0) -> Any:
    """split_with_sizes, whose parts may be written to."""
    return _single(split_with_sizes.__wrapped__(input, split_sizes, dim))


@api
def unsafe_chunk(input: Any, chunks: int, dim: int = 0) -> Any:
    """chunk, whose parts may be written to."""
    return _single(chunk.__wrapped__(input, chunks, dim))


def _single(parts: Any) -> Any:
    for p in parts:
        p._multi = False
    return parts


def _at(name: str, given: Any) -> Any:
    """Sections or indices as a number or a list of numbers."""
    if isinstance(given, Tensor):
        if len(given.node.shape) > 1:
            raise RuntimeError(
                f"{name} expected tensor_indices_or_sections to be a zero-dimensional or "
                f"one-dimensional tensor, but got {len(given.node.shape)} dims"
            )
        if given.dtype.category != dtypes.INT:
            raise RuntimeError(
                f"{name} expected tensor_indices_or_sections to be of integers, got {given.dtype}"
            )
        given = given.tolist()
    if isinstance(given, np.integer):
        return int(given)
    if isinstance(given, (int, list, tuple)) and not isinstance(given, bool):
        return given
    raise TypeError(f"{name}(): expected an int, a sequence of ints or a tensor, got {given!r}")


@api
def tensor_split(
    input: Any,
    indices_or_sections: Any = None,
    dim: int = 0,
    *,
    indices: Any = None,
    sections: Any = None,
    tensor_indices_or_sections: Any = None,
) -> Any:
    """Parts along a dimension: a number of nearly equal ones, or cut at the given indices."""
    shape = input.node.shape
    if not shape:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got 0 dims")
    for other in (indices, sections, tensor_indices_or_sections):
        indices_or_sections = other if indices_or_sections is None else indices_or_sections
    at = _at("tensor_split", indices_or_sections)
    d = wrap_dim(dim, len(shape))
    n = shape[d]
    if isinstance(at, int):
        if at <= 0:
            raise RuntimeError(f"tensor_split: number of sections must be larger than 0, got {at}")
        small, extra = divmod(n, at)
        bounds = [0]
        for i in range(at):
            bounds.append(bounds[-1] + small + (i < extra))
        return tuple([slice_dim(input, d, a, b - a) for a, b in pairwise(bounds)])
    out, start = [], 0
    for stop in [*[int(i) for i in at], n]:
        a, b, _ = slice(start, stop).indices(n)
        out.append(slice_dim(input, d, a, max(b - a, 0)))
        start = stop
    return tuple(out)


def _split_along(name: str, least: int, dim_of: Any) -> None:
    def f(
        input: Any, indices_or_sections: Any = None, *, indices: Any = None, sections: Any = None
    ) -> Any:
        rank = len(input.node.shape)
        given = next((x for x in (indices_or_sections, indices, sections) if x is not None), None)
        if rank < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension, but got a "
                f"tensor with {rank} dimensions!"
            )
        at, d = _at(name, given), dim_of(rank)
        n = input.node.shape[d]
        if isinstance(at, int) and (at <= 0 or n % at):
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {d}, but the size of the "
                f"dimension {n} is not divisible by the split_size {at}!"
            )
        return tensor_split.__wrapped__(input, at, d)

    f.__name__ = name
    f.__doc__ = f"tensor_split along the dimension that {name} stands for."
    api(f)


_split_along("hsplit", 1, lambda rank: 0 if rank == 1 else 1)
_split_along("vsplit", 2, lambda rank: 0)
_split_along("dsplit", 3, lambda rank: 2)
