"""Sliding blocks taken out of images and put back, and channels traded for resolution."""

from __future__ import annotations

from typing import Any

from facula import Tensor
from facula.ops.movement import in_layout, shaped
from facula.ops.table import explained
from facula.ops.windows import COL2IM, IM2COL
from facula.trace.recorder import record

from ._common import dims, ntuple, require_float


def _pairs(kernel_size, dilation, padding, stride):
    """The four settings as (height, width), checked."""
    named = (
        ("kernel_size", kernel_size, "kernel size should be greater than zero", "kernel", 1),
        ("stride", stride, "stride should be greater than zero", "stride", 1),
        ("dilation", dilation, "dilation should be greater than zero", "dilation", 1),
        ("padding", padding, "padding should be non-negative", "pad", 0),
    )
    out = []
    for name, value, complaint, prefix, least in named:
        pair = ntuple(value, 2)
        if len(pair) == 1:
            pair *= 2
        if len(pair) != 2:
            raise RuntimeError(f"It is expected {name} equals to 2, but got size {len(pair)}")
        for v in pair:
            if isinstance(v, bool) or not hasattr(v, "__index__") or not -(2**63) <= v < 2**63:
                raise TypeError(f"argument '{name}' must be tuple of ints, but found {v!r}")
        if min(pair) < least:
            raise RuntimeError(
                f"{complaint}, but got {prefix}_height: {pair[0]} {prefix}_width: {pair[1]}"
            )
        out.append(tuple(int(v) for v in pair))
    kernel, stride, dilation, padding = out
    return kernel, dilation, padding, stride


def _blocks(size, kernel, dilation, padding, stride) -> tuple[int, ...]:
    """How many positions the kernel takes along each dimension."""
    return tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, d, p, s in zip(size, kernel, dilation, padding, stride, strict=True)
    )


@explained
def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """All sliding blocks of an image as columns: ``(N, C, H, W)`` to ``(N, C * kh * kw, L)``."""
    kernel, dilation, padding, stride = _pairs(kernel_size, dilation, padding, stride)
    batched = input.dim() == 4
    if input.dim() not in (3, 4) or 0 in (input.shape[1:] if batched else input.shape):
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {dims(input.shape)}"
        )
    x = input if batched else input.unsqueeze(0)
    n, channels, *size = x.shape
    count = _blocks(size, kernel, dilation, padding, stride)
    if min(count) < 1:
        raise RuntimeError(
            f"Given input with spatial size {tuple(size)}, kernel_size={kernel}, "
            f"dilation={dilation}, padding={padding}, calculated shape of the array of sliding "
            f"blocks as {count}, but its components must be at least one."
        )
    out = record(IM2COL, (x,), (*kernel, *stride, *padding, *dilation, *count))
    out = out.reshape(n, channels * kernel[0] * kernel[1], count[0] * count[1])
    return out if batched else out.squeeze(0)


@explained
def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """Blocks added up into an image, each where :func:`unfold` would have taken it."""
    size = ntuple(output_size, 2)
    if len(size) == 1:
        size *= 2
    if len(size) != 2:
        raise RuntimeError(f"It is expected output_size equals to 2, but got size {len(size)}")
    kernel, dilation, padding, stride = _pairs(kernel_size, dilation, padding, stride)
    batched = input.dim() == 3
    if input.dim() not in (2, 3) or 0 in (input.shape[1:] if batched else input.shape):
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {dims(input.shape)}"
        )
    x = input if batched else input.unsqueeze(0)
    n, rows, columns = x.shape
    if rows % (kernel[0] * kernel[1]):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            f"but got input.size(1)={rows} and kernel_size={kernel}."
        )
    count = _blocks(size, kernel, dilation, padding, stride)
    if count[0] * count[1] != columns or min(count) < 1:
        raise RuntimeError(
            f"Given output_size={tuple(size)}, kernel_size={kernel}, dilation={dilation}, "
            f"padding={padding}, stride={stride}, expected size of input's dimension 2 to match "
            f"the calculated number of sliding blocks {count[0]} * {count[1]} = "
            f"{count[0] * count[1]}, but got input.size(2)={columns}."
        )
    require_float(input, "col2im_out_cpu")
    channels = rows // (kernel[0] * kernel[1])
    blocks = x.reshape(n, channels, *kernel, *count)
    out = record(COL2IM, (blocks,), (*kernel, *stride, *padding, *dilation, *size))
    return out if batched else out.squeeze(0)


def _fresh(x: Tensor, shape: list[int]) -> Tensor:
    """A view in another shape and by itself, also where nothing had to move."""
    return in_layout(shaped(x, shape), None)


@explained
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """``(*, C r^2, H, W)`` to ``(*, C, H r, W r)`` (https://arxiv.org/abs/1609.05158)."""
    if input.dim() < 3:
        raise RuntimeError(
            "pixel_shuffle expects input to have at least 3 dimensions, but got input with "
            f"{input.dim()} dimension(s)"
        )
    r = upscale_factor
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, channels, height, width = input.shape
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={channels} is not divisible by {r * r}"
        )
    b = len(lead)
    x = input.reshape([*lead, channels // (r * r), r, r, height, width])
    x = x.permute(*range(b), b, b + 3, b + 1, b + 4, b + 2)
    return _fresh(x, [*lead, channels // (r * r), height * r, width * r])


@explained
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """``(*, C, H r, W r)`` to ``(*, C r^2, H, W)``: the inverse of :func:`pixel_shuffle`."""
    if input.dim() < 3:
        raise RuntimeError(
            "pixel_unshuffle expects input to have at least 3 dimensions, but got input with "
            f"{input.dim()} dimension(s)"
        )
    r = downscale_factor
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, channels, height, width = input.shape
    for name, dim, n in (("height", -2, height), ("width", -1, width)):
        if n % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
                f"input.size({dim})={n} is not divisible by {r}"
            )
    b = len(lead)
    x = input.reshape([*lead, channels, height // r, r, width // r, r])
    x = x.permute(*range(b), b, b + 2, b + 4, b + 1, b + 3)
    return _fresh(x, [*lead, channels * r * r, height // r, width // r])


@explained
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Take channels in turn from each of ``groups`` groups of ``(N, C, ...)``."""
    if input.dim() <= 2:
        raise RuntimeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes "
            f"{dims(input.shape)}"
        )
    if groups <= 0:
        raise RuntimeError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
    n, channels, *rest = input.shape
    if channels % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {channels} channels and "
            f"{groups} groups."
        )
    x = input.reshape([n, groups, channels // groups, *rest])
    return _fresh(x.transpose(1, 2), [n, channels, *rest])


native_channel_shuffle = channel_shuffle
