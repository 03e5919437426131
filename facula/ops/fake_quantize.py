"""Rounding to the values of a quantised tensor, with a gradient: what trains quantised networks.

Source: https://pytorch.org/docs/stable/generated/torch.fake_quantize_per_tensor_affine.html
"""

from __future__ import annotations

from typing import Any

from facula.dtypes import bfloat16, float16, float32, float64, int32
from facula.ops.table import api
from facula.tensor import Tensor
from facula.values import present


def _rounded(name: str, x: Any, scale: Any, zero: Any, low: int, high: int) -> Any:
    """The nearest quantised value, with the gradient 1 where that is in range and 0 elsewhere."""
    if x.dtype not in (float16, bfloat16, float32, float64):
        raise NotImplementedError(f"{name}: not implemented for a {x.dtype} tensor")
    wide = x.detach() if x.dtype is float64 else x.detach().float()
    at = wide * (1.0 / scale)
    fraction = isinstance(zero, Tensor) and zero.is_floating_point()
    at = (at + zero).round() if fraction else at.round() + zero
    inside = (at >= low) & (at <= high)
    # What is no number is the least of them, as PyTorch's conversion to an integer has it.
    value = ((at.nan_to_num(low, high, low).clamp(low, high) - zero) * scale).to(x.dtype)
    kept = x.where(inside, x.new_zeros(()))
    return value + (kept - kept.detach())


def _check_range(name: str, zero: Any, low: int, high: int) -> None:
    if low > high:
        raise RuntimeError(
            f"{name}: `quant_min` should be less than or equal to `quant_max`, but got {low} and "
            f"{high}"
        )
    ends = (zero, zero)
    if isinstance(zero, Tensor):
        there = present(zero)
        if there is None or not there.size:  # what is pending is not waited for
            return
        ends = (there.min(), there.max())
    if not low <= ends[0] <= ends[1] <= high:
        raise RuntimeError(
            f"{name}: `zero_point` must be between `quant_min` and `quant_max`, but got "
            f"{ends[0]} for {low} to {high}"
        )


@api(method=False)
def fake_quantize_per_tensor_affine(
    input: Any, scale: Any, zero_point: Any, quant_min: int, quant_max: int
) -> Any:
    """``(clamp(round(input / scale) + zero_point, quant_min, quant_max) - zero_point) * scale``.

    `scale` and `zero_point` are numbers or tensors of one element, which get no gradients. The
    gradient of `input` is 1 where the rounded value was in range. RuntimeError for a range that is
    empty, or a number as zero point that is outside.

    Source: https://pytorch.org/docs/stable/generated/torch.fake_quantize_per_tensor_affine.html
    """
    name = "fake_quantize_per_tensor_affine"
    given = isinstance(zero_point, Tensor)
    _check_range(name, quant_min if given else zero_point, quant_min, quant_max)
    if isinstance(scale, Tensor):
        scale = scale.detach()
    return _rounded(name, input, scale, zero_point, quant_min, quant_max)


@api(method=False)
def fake_quantize_per_channel_affine(
    input: Any, scale: Any, zero_point: Any, axis: int, quant_min: int, quant_max: int
) -> Any:
    """`fake_quantize_per_tensor_affine` with a scale and a zero point for each index of `axis`.

    RuntimeError where these are no vectors of that many elements, or of other dtypes than float32
    and bfloat16 (scale), int32, float32 and float16 (zero point).

    Source: https://pytorch.org/docs/stable/generated/torch.fake_quantize_per_channel_affine.html
    """
    name = "fake_quantize_per_channel_affine"
    if scale.dtype not in (float32, bfloat16):
        raise RuntimeError(f"{name}: Scale must be Float or BFloat16, found {scale.dtype}")
    if zero_point.dtype not in (int32, float32, float16):
        raise RuntimeError(
            f"{name}: Zero-point must be Int32, Float or Half, found {zero_point.dtype}"
        )
    if scale.dim() != 1 or zero_point.dim() != 1 or scale.numel() != zero_point.numel():
        raise RuntimeError(
            f"{name}: scale and zero-point need to have the same dimensions, but they are of "
            f"shapes {list(scale.shape)} and {list(zero_point.shape)}"
        )
    if axis < 0:
        raise RuntimeError(
            f"{name}: `axis` must be between 0 and number of dimensions of input, but got {axis}"
        )
    if scale.numel() != input.size(axis):
        raise RuntimeError(
            f"{name}: dimensions of scale and zero-point are not consistent with input tensor "
            f"({scale.numel()} of them, {input.size(axis)} indices of dimension {axis})"
        )
    _check_range(name, zero_point, quant_min, quant_max)
    shape = [1] * input.dim()
    shape[axis] = -1
    scale, zero = scale.detach().float().view(shape), zero_point.view(shape)
    return _rounded(name, input, scale, zero, quant_min, quant_max)
