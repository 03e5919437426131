"""Images sampled at other places: resizing, grids, affine maps."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

import facula
from facula import Tensor
from facula.ops.composed import whole
from facula.ops.indexing import GATHER
from facula.ops.movement import in_layout, is_channels_last
from facula.ops.table import mixed
from facula.trace.recorder import record
from facula.trace.spans import pure, run
from facula.values import from_array

from . import pooling
from ._common import dims, require_float, scalar_type, upcast
from ._resample import antialias_matrix, cubic_weights, fixed_point, neighbours_matrix

GRID_SAMPLE_INTERPOLATION_MODES = {"bilinear": 0, "nearest": 1, "bicubic": 2}
GRID_SAMPLE_PADDING_MODES = {"zeros": 0, "border": 1, "reflection": 2}

_INTERPOLATING = ("linear", "bilinear", "bicubic", "trilinear")
_MODE_DIMS = {"linear": 3, "bilinear": 4, "bicubic": 4, "trilinear": 5, "lanczos": 4}


# ---- resizing


@mixed
def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize ``(N, C, d1, ...)`` to ``size``, or by ``scale_factor``.

    Args:
        mode: ``nearest``, ``nearest-exact``, ``linear`` (3-D), ``bilinear``, ``bicubic``,
            ``lanczos`` (4-D), ``trilinear`` (5-D) or ``area``.
        align_corners: whether the centres of the corner pixels stay corners.
        recompute_scale_factor: take the scale from the sizes even if a factor is given.
        antialias: widen the filter when shrinking (``bilinear``, ``bicubic``, ``lanczos``).
    """
    static = (size, scale_factor, mode, align_corners, recompute_scale_factor, antialias)
    return run(_interpolate, (input,), static)


@pure
def _interpolate(tensors: Any, static: Any, numbers: Any) -> Tensor:
    (input,) = tensors
    size, scale_factor, mode, align_corners, recompute_scale_factor, antialias = static
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | "
                "bilinear | bicubic | trilinear"
            )
    elif align_corners is None:
        align_corners = False
    spatial = list(input.shape[2:])
    size, factors = _output_size(spatial, size, scale_factor)
    if recompute_scale_factor:
        if factors is None:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        size = [math.floor(float(n) * f) for n, f in zip(spatial, factors, strict=True)]
        factors = None
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and input.dim() == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires "
            "a 4-D tensor as input"
        )
    _check_mode(input, mode)
    if size is None:
        size = [math.floor(float(n) * f) for n, f in zip(spatial, factors, strict=True)]
    if factors is None:
        factors = [None] * len(spatial)
    if min(spatial) < 1 or min(size) < 1:
        names = "DHW"[3 - len(spatial) :]
        listed = [", ".join(f"{c}: {n}" for c, n in zip(names, s, strict=True))
                  for s in (spatial, size)]  # fmt: skip
        raise RuntimeError(
            "Input and output sizes should be greater than 0, but got input "
            f"({listed[0]}) output ({listed[1]})"
        )
    if input.shape[1] == 0:
        raise RuntimeError(
            f"Non-empty {input.dim()}D data tensor expected but got a tensor with sizes "
            f"{dims(input.shape)}"
        )
    is_byte = input.dtype is facula.uint8
    if not is_byte:
        require_float(input, f"upsample_{mode.replace('-', '_')}{len(spatial)}d", False)
    if mode in ("nearest", "nearest-exact"):
        return _apart(_nearest(input, size, factors, exact=mode == "nearest-exact"), input)
    if mode == "area":
        return getattr(pooling, f"adaptive_avg_pool{len(spatial)}d")(input, size)
    if is_byte and mode in ("bilinear", "bicubic", "lanczos"):
        x = input.to(facula.float64)
        for i in (1, 0):  # PyTorch goes along the rows first, and rounds in between
            given = 2 + i, size[i], factors[i], mode, bool(align_corners), antialias
            x = _resize_bytes(x, *given)
        return _apart(x.to(facula.uint8), input)
    x = input.to(facula.float32) if is_byte else upcast(input)
    for i, (n, factor) in enumerate(zip(size, factors, strict=True)):
        x = _resize_dim(x, 2 + i, n, factor, mode, bool(align_corners), antialias)
    if is_byte:
        return _apart(x.round().clamp(0, 255).to(facula.uint8), input)
    return _apart(x.to(input.dtype), input)


def _apart(out: Tensor, input: Tensor) -> Tensor:
    """The result, row by row; a copy of the input where that has the size asked for."""
    if out is input:
        out = input.clone()
    return out if is_channels_last(out.node) else in_layout(out, None)


def _output_size(spatial: list[int], size, scale_factor):
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    given, name = (size, "size") if size is not None else (scale_factor, "scale_factor")
    if not isinstance(given, (list, tuple)):
        given = [given] * len(spatial)
    elif len(given) != len(spatial):
        what = f"output size of {given}" if name == "size" else f"scale_factor of shape {given}"
        form = (
            "output size in (o1, o2, ...,oK)" if name == "size"
            else "scale_factor in (s1, s2, ...,sK)"
        )  # fmt: skip
        raise ValueError(
            f"Input and {'output' if name == 'size' else name} must have the same number of "
            f"spatial dimensions, but got input with spatial dimensions of {spatial} and {what}. "
            f"Please provide input tensor in (N, C, d1, d2, ...,dK) format and {form} format."
        )
    kind, expected = (int,), "int"
    if name == "scale_factor":
        kind, expected = (int, float, np.floating), "float"
    for value in given:
        if isinstance(value, bool) or not (isinstance(value, kind) or hasattr(value, "__index__")):
            raise TypeError(
                f"interpolate(): {name} must be of type {expected}, but got {type(value).__name__}"
            )
    if name == "size":
        return [int(n) for n in given], None
    return None, [float(f) for f in given]


def _check_mode(x: Tensor, mode: str) -> None:
    known = ("nearest", "nearest-exact", "area")
    if x.dim() not in (3, 4, 5) or mode not in (*known, *_MODE_DIMS):
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {x.dim()}D) for the "
            "modes: nearest | linear | bilinear | bicubic | trilinear | lanczos | area | "
            f"nearest-exact (got {mode})"
        )
    needed = _MODE_DIMS.get(mode, x.dim())
    if x.dim() != needed:
        raise NotImplementedError(f"Got {x.dim()}D input, but {mode} mode needs {needed}D input")


def _nearest(x: Tensor, size: list[int], factors: list, exact: bool) -> Tensor:
    for i, (n, factor) in enumerate(zip(size, factors, strict=True)):
        dim, old = 2 + i, x.shape[2 + i]
        if n == old and factor in (None, 1.0):
            continue
        times = n // old
        if n == old * times and factor in (None, float(times)):
            # Every pixel a whole number of times: a copy that needs no index.
            shape = list(x.shape)
            x = x.unsqueeze(dim + 1).expand([*shape[: dim + 1], times, *shape[dim + 1 :]])
            x = x.reshape([*shape[:dim], n, *shape[dim + 1 :]])
            continue
        scale = old / n if factor is None else 1.0 / factor
        place = np.arange(n, dtype=np.float32) + np.float32(0.5 if exact else 0)
        place = np.floor(place * np.float32(scale)).clip(max=old - 1)
        x = _picked(x, dim, place.astype(np.int64))
    return x


def _resize_dim(x, dim, n, factor, mode, align_corners, antialias) -> Tensor:
    old = x.shape[dim]
    if antialias or mode == "lanczos":
        scale = _scale(old, n, factor, align_corners)
        return _times_matrix(x, dim, antialias_matrix(old, n, scale, mode, antialias))
    if n == old and factor in (None, 1.0):
        return x
    scale = _scale(old, n, factor, align_corners)
    shape = [-1 if d == dim else 1 for d in range(x.dim())]
    place = _places(n, scale, align_corners, x.dtype.np)
    if mode == "bicubic":
        first = np.floor(place)
        out = None
        for tap, weight in enumerate(cubic_weights(place - first, -0.75)):
            index = (first + (tap - 1)).clip(0, old - 1).astype(np.int64)
            index = np.minimum(index, old - 1)  # float32 rounds a large size up
            term = _picked(x, dim, index) * _constant(weight.reshape(shape), x)
            out = term if out is None else out + term
        return out
    place = place.clip(0, old - 1)
    first = np.floor(place)
    part = place - first
    low = np.minimum(first.astype(np.int64), old - 1)  # float32 rounds a large size up
    weights = [_constant(t.reshape(shape), x) for t in (1 - part, part)]
    high = np.minimum(low + 1, old - 1)
    return _picked(x, dim, low) * weights[0] + _picked(x, dim, high) * weights[1]


def _resize_bytes(x, dim, n, factor, mode, align_corners, antialias) -> Tensor:
    """Whole numbers from 0 to 255, with weights of 16 bits as Pillow and PyTorch have them."""
    old = x.shape[dim]
    if n == old and factor in (None, 1.0):
        return x
    scale = _scale(old, n, factor, align_corners)
    if antialias or mode == "lanczos":
        weights = np.array(antialias_matrix(old, n, scale, mode, antialias))
    else:
        weights = neighbours_matrix(_places(n, scale, align_corners, np.dtype("f8")), old, mode)
    weights, bits = fixed_point(weights)
    total = _times_matrix(x, dim, weights)
    return ((total + 2 ** (bits - 1)) / 2**bits).floor().clamp(0, 255)


def _places(n: int, scale: float, align_corners: bool, dtype: Any) -> Any:
    """Where in the input each of n elements lies: an array, since indices are looked at by the call
    in any case."""
    place, by, half = np.arange(n, dtype=dtype), dtype.type(scale), dtype.type(0.5)
    return place * by if align_corners else (place + half) * by - half


def _constant(a: Any, like: Tensor) -> Tensor:
    return from_array(a).to(like.device)


def _picked(x: Tensor, dim: int, index: Any) -> Tensor:
    return x.index_select(dim, _constant(index, x))


def _scale(old: int, new: int, factor, align_corners: bool) -> float:
    """How far the source moves for one step of the result."""
    if align_corners:
        return (old - 1) / (new - 1) if new > 1 else 0.0
    return 1.0 / factor if factor else old / new


def _times_matrix(x: Tensor, dim: int, rows: Any) -> Tensor:
    """Each line of ``x`` along ``dim`` times a matrix of weights (out, in)."""
    matrix = facula.tensor(rows, dtype=x.dtype, device=x.device)
    return x.transpose(dim, -1).matmul(matrix.t()).transpose(dim, -1)


def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Deprecated name of :func:`interpolate`."""
    _deprecated("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """Deprecated: :func:`interpolate` with ``mode="nearest"``."""
    _deprecated("upsample_nearest")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """Deprecated: :func:`interpolate` with ``mode="bilinear"`` and aligned corners."""
    _deprecated("upsample_bilinear")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


def _deprecated(name: str) -> None:
    warnings.warn(
        f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=4,
    )


# ---- grids


def _warn_corners() -> None:
    warnings.warn(
        "Default grid_sample and affine_grid behavior has changed to align_corners=False since "
        "1.3.0. Please specify align_corners=True if the old behavior is desired. See the "
        "documentation of grid_sample for details.",
        stacklevel=5,
    )


@mixed
def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """The sampling grid of affine maps ``theta`` for results of ``size``.

    ``theta`` ``(N, 2, 3)`` with ``size`` ``(N, C, H, W)``, or ``(N, 3, 4)`` with
    ``(N, C, D, H, W)``; coordinates run from -1 to 1.
    """
    if align_corners is None:
        _warn_corners()
        align_corners = False
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    n = len(size) - 2
    if n not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {size}."
        )
    if theta.dim() != 3 or tuple(theta.shape[1:]) != (n, n + 1):
        raise ValueError(
            f"Expected a batch of {n}D affine matrices of shape Nx{n}x{n + 1} for size {size}. "
            f"Got {theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    return run(_affine_grid, (theta,), (tuple(size), align_corners))


@pure
def _affine_grid(tensors: tuple, static: tuple, numbers: Any) -> Tensor:
    (theta,), (size, align_corners) = tensors, static
    n, spatial = len(size) - 2, list(size[2:])
    axes = []
    for d, length in enumerate(spatial):
        steps = facula.linspace(-1, 1, length, dtype=theta.dtype, device=theta.device)
        if length <= 1:
            steps = steps * 0
        elif not align_corners:
            steps = steps * ((length - 1) / length)
        axes.append(steps.reshape([-1 if i == d else 1 for i in range(n)]).expand(spatial))
    ones = facula.ones(spatial, dtype=theta.dtype, device=theta.device)
    points = facula.stack([*reversed(axes), ones], -1).reshape(1, -1, n + 1)
    grid = points.expand(size[0], -1, -1).matmul(theta.transpose(1, 2))
    return grid.reshape([size[0], *spatial, n])


@mixed
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Values of ``input`` at the places that ``grid`` says.

    Args:
        input: ``(N, C, H, W)`` or ``(N, C, D, H, W)``.
        grid: ``(N, Ho, Wo, 2)`` or ``(N, Do, Ho, Wo, 3)``: x, y (and z), from -1 to 1.
        mode: ``bilinear``, ``nearest`` or (4-D only) ``bicubic``.
        padding_mode: beyond the border ``zeros``, the ``border`` itself, or its ``reflection``.
        align_corners: whether -1 and 1 are the centres of the corner pixels or their edges.

    See https://arxiv.org/abs/1506.02025
    """
    if mode not in GRID_SAMPLE_INTERPOLATION_MODES:
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', "
            f"but got: '{mode}'"
        )
    if padding_mode not in GRID_SAMPLE_PADDING_MODES:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: '{padding_mode}'"
        )
    if align_corners is None:
        _warn_corners()
        align_corners = False
    _check_grid(input, grid, mode)
    return run(_grid_sample, (input, grid), (mode, padding_mode, bool(align_corners)))


@pure
def _grid_sample(tensors: tuple, static: tuple, numbers: Any) -> Tensor:
    (input, grid), (mode, padding_mode, align_corners) = tensors, static
    x, g = upcast(input), upcast(grid)
    sizes = list(reversed(x.shape[2:]))  # x first, as in the grid
    places = []
    for d, length in enumerate(sizes):
        place = g[..., d]
        if align_corners:
            place = (place + 1) * ((length - 1) / 2)
        else:
            place = ((place + 1) * length - 1) / 2
        places.append(place)
    if mode == "bicubic":
        out = _sample_cubic(x, places, sizes, padding_mode, align_corners)
    else:
        places = [
            _bounded(p, n, padding_mode, align_corners) for p, n in zip(places, sizes, strict=True)
        ]
        if mode == "nearest":
            out = _values_at(x, [p.round() for p in places], sizes)
            if g.requires_grad:  # steps have no slope: the gradient is zero, not missing
                out = out + facula.nan_to_num(places[0].sign()).unsqueeze(1) * 0.0
        else:
            out = _sample_linear(x, places, sizes)
    return whole(out.to(input.dtype), f"GridSampler{len(sizes)}D", input, grid)


def _check_grid(input: Tensor, grid: Tensor, mode: str) -> None:
    n = input.dim() - 2
    if input.dim() not in (4, 5) or (grid.dim() != input.dim() and input.shape[0] == grid.shape[0]):
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but "
            f"got input with sizes {dims(input.shape)} and grid with sizes {dims(grid.shape)}"
        )
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with "
            f"sizes {dims(input.shape)} and grid with sizes {dims(grid.shape)}"
        )
    if grid.shape[-1] != n:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {n} in last dimension, but got grid with "
            f"sizes {dims(grid.shape)}"
        )
    for d in range(2, input.dim()):
        if input.shape[d] == 0:
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input "
                f"has sizes {dims(input.shape)} with dimension {d} being empty"
            )
    if mode == "bicubic" and input.dim() != 4:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    require_float(input, "grid_sampler_2d_cpu_kernel_impl")
    if input.dtype != grid.dtype:
        raise RuntimeError(
            f"expected scalar type {scalar_type(input.dtype)} but found {scalar_type(grid.dtype)}"
        )


def _bounded(place: Tensor, length: int, padding_mode: str, align_corners: bool) -> Tensor:
    """Bring places beyond the border back into the image, as ``padding_mode`` says."""
    if padding_mode == "reflection":
        low, high = (0, length - 1) if align_corners else (-0.5, length - 0.5)
        span = high - low
        if span == 0:
            return place * 0
        away = (place - low).abs()
        rest = facula.fmod(away, span)
        turned = (away / span).floor() % 2 == 1
        place = facula.where(turned, span - rest, rest) + low
    if padding_mode != "zeros":
        # As in PyTorch there is no gradient at the limits themselves.
        inside = (place > 0) & (place < length - 1)
        place = facula.where(inside, place, place.detach().clamp(0, length - 1))
    return place


def _values_at(x: Tensor, places: list[Tensor], sizes: list[int]) -> Tensor:
    """Pixels at whole-numbered places; zero outside the image. Result ``(N, C, ...)``."""
    inside, index, stride = None, None, 1
    for place, length in zip(places, sizes, strict=True):
        good = (place >= 0) & (place <= length - 1)
        inside = good if inside is None else inside & good
        step = facula.where(good, place, 0.0).to(facula.int64) * stride
        index = step if index is None else index + step
        stride *= length
    n, channels = x.shape[:2]
    count = math.prod(index.shape[1:])
    flat = index.reshape(n, 1, count).expand(n, channels, -1)  # in range, whatever the places are
    values = record(GATHER, (x.reshape(n, channels, stride), flat), 2)
    values = values.reshape([n, channels, *index.shape[1:]])
    return facula.where(inside.unsqueeze(1), values, 0.0)


def _sample_linear(x: Tensor, places: list[Tensor], sizes: list[int]) -> Tensor:
    floors = [p.detach().floor() for p in places]
    parts = [p - f for p, f in zip(places, floors, strict=True)]
    out = None
    for corner in range(2 ** len(places)):
        weight, at = None, []
        for d, (floor, part) in enumerate(zip(floors, parts, strict=True)):
            upper = corner >> d & 1
            at.append(floor + 1 if upper else floor)
            w = part if upper else 1 - part
            weight = w if weight is None else weight * w
        term = _values_at(x, at, sizes) * weight.unsqueeze(1)
        out = term if out is None else out + term
    return out


def _sample_cubic(x, places, sizes, padding_mode, align_corners) -> Tensor:
    floors = [p.detach().floor() for p in places]
    weights = [cubic_weights(p - f, -0.75) for p, f in zip(places, floors, strict=True)]
    out = None
    for i in range(4):
        across = None
        for j in range(4):
            at = [
                _bounded(floors[0] + (j - 1), sizes[0], padding_mode, align_corners),
                _bounded(floors[1] + (i - 1), sizes[1], padding_mode, align_corners),
            ]
            term = _values_at(x, at, sizes) * weights[0][j].unsqueeze(1)
            across = term if across is None else across + term
        term = across * weights[1][i].unsqueeze(1)
        out = term if out is None else out + term
    return out
