"""Functions of the standard that move elements, and those that look them up."""

from __future__ import annotations

from typing import Any

import facula as torch
from facula.array_api.array import common, lift, standard
from facula.devices import check
from facula.ops.registry import broadcast


@standard
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """The elements as another dtype."""
    check(device)
    if x.is_complex() and not dtype.is_complex:
        raise TypeError(f"astype(): {x.dtype} can't become {dtype}: take real() or imag() first")
    return x.clone() if copy and x.dtype is dtype else x.to(dtype)


def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """The arrays, all with their common shape."""
    return tuple([lift(t, arrays) for t in torch.broadcast_tensors(*arrays)])


def broadcast_shapes(*shapes: Any) -> tuple[Any, ...]:
    """The common shape; a dimension that is not known (None) stays so."""
    rank = max([len(s) for s in shapes], default=0)
    out: list[Any] = []
    for i in range(-rank, 0):
        sizes = {s[i] for s in shapes if len(s) >= -i} - {1}
        known = sizes - {None}
        if len(known) > 1:
            raise ValueError(f"broadcast_shapes(): no common shape of {shapes}")
        out.append(known.pop() if known else None if None in sizes else 1)
    return tuple(out)


@standard
def broadcast_to(x: Any, /, shape: Any) -> Any:
    """The array with a shape that it broadcasts to."""
    if broadcast([tuple(x.shape), tuple(shape)], "broadcast_to") != tuple(shape):
        raise ValueError(f"broadcast_to(): {tuple(x.shape)} does not broadcast to {tuple(shape)}")
    return torch.broadcast_to(x, tuple(shape))


@standard
def concat(arrays: Any, /, *, axis: Any = 0) -> Any:
    """The arrays one after the other along an axis; flattened first without one."""
    parts = common(*arrays)
    if axis is None:
        return torch.cat([t.reshape(-1) for t in parts])
    return torch.cat(parts, axis)


@standard
def expand_dims(x: Any, /, axis: Any) -> Any:
    """New dimensions of size 1 at positions of the result."""
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    rank = x.ndim + len(axes)
    if any([not -rank <= a < rank for a in axes]):
        raise IndexError(f"expand_dims(): axis {axis} is out of range for {rank} dimensions")
    places = sorted([a % rank for a in axes])
    if len(set(places)) < len(places):
        raise ValueError(f"expand_dims(): axis {axis} names a dimension twice")
    out = x
    for a in places:
        out = torch.unsqueeze(out, a)
    return out


@standard
def flip(x: Any, /, *, axis: Any = None) -> Any:
    """The elements in reverse order along axes, all without any."""
    if axis is None:
        axis = tuple(range(x.ndim))
    return torch.flip(x, (axis,) if isinstance(axis, int) else tuple(axis))


@standard
def matrix_transpose(x: Any, /) -> Any:
    """Each matrix of a stack, transposed."""
    if x.ndim < 2:
        raise ValueError(f"matrix_transpose(): two dimensions are needed, got {tuple(x.shape)}")
    return x.transpose(-2, -1)


@standard
def moveaxis(x: Any, source: Any, destination: Any, /) -> Any:
    """The array with dimensions moved to other positions."""
    return torch.movedim(x, source, destination)


@standard
def permute_dims(x: Any, /, axes: Any) -> Any:
    """The array with its dimensions in another order."""
    return torch.permute(x, tuple(axes))


@standard
def repeat(x: Any, repeats: Any, /, *, axis: Any = None) -> Any:
    """Each element several times."""
    if not isinstance(repeats, int):
        repeats = repeats.to(torch.int64)
        if repeats.numel() == 1:
            repeats = int(repeats)
    return torch.repeat_interleave(x, repeats, dim=axis)


@standard
def reshape(x: Any, /, shape: Any, *, copy: Any = None) -> Any:
    """The elements in another shape."""
    if copy is False:
        try:
            return x.view(tuple(shape))
        except RuntimeError as why:
            raise ValueError(f"reshape(): not without a copy: {why}") from None
    return torch.reshape(x.clone() if copy else x, tuple(shape))


@standard
def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Any:
    """The elements moved along, and those that fall off at the end put in front."""
    if axis is None:
        return torch.roll(x, shift)
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    shifts = (shift,) * len(axes) if isinstance(shift, int) else tuple(shift)
    return torch.roll(x, shifts, axes)


@standard
def squeeze(x: Any, /, axis: Any) -> Any:
    """The array without some dimensions, which must have size 1."""
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    for a in axes:
        if x.shape[a] != 1:
            raise ValueError(f"squeeze(): dimension {a} of shape {tuple(x.shape)} is not 1")
    return torch.squeeze(x, axes)


@standard
def stack(arrays: Any, /, *, axis: int = 0) -> Any:
    """The arrays along a new axis."""
    return torch.stack(common(*arrays), axis)


@standard
def take(x: Any, indices: Any, /, *, axis: Any = None) -> Any:
    """The elements at positions of an axis."""
    if axis is None:
        if x.ndim != 1:
            raise ValueError(f"take(): an axis is needed for shape {tuple(x.shape)}")
        axis = 0
    return x[(slice(None),) * (axis % x.ndim) + (indices.to(torch.int64),)]


@standard
def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    """The elements at positions along an axis, other positions for each row."""
    i = indices.to(torch.int64)
    n = x.shape[axis]
    return torch.take_along_dim(x, torch.where(i < 0, i + n, i), axis)


@standard
def tile(x: Any, repetitions: Any, /) -> Any:
    """The array several times along each dimension."""
    return torch.tile(x, tuple(repetitions))


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """The parts of an array along an axis."""
    return tuple([lift(t) for t in torch.unbind(x, axis)])
