"""Affine maps."""

from __future__ import annotations

import math
from typing import Any

import facula
from facula import Tensor
from facula.ops import table
from facula.ops.composed import whole
from facula.ops.contraction import MATMUL_WIDE
from facula.ops.movement import PERMUTE, shaped, view_strides
from facula.ops.pointwise import cast
from facula.ops.promotion import need
from facula.ops.table import OVERRIDES, mixed
from facula.trace.node import contiguous_strides
from facula.trace.recorder import record
from facula.trace.spans import pure, run

from ._common import is_low, output


def linear(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, *, out: Tensor | None = None
) -> Tensor:
    """``input @ weight.T + bias``: the last dimension goes from ``in`` to ``out`` features.

    Args:
        input: ``(*, in)``.
        weight: ``(out, in)``, or ``(in)`` for one output without a dimension of its own.
        bias: ``(out)``.
    """
    if OVERRIDES:
        named = {} if out is None else {"out": out}
        done = table.as_a_whole(linear, (input, weight, bias), named)
        if done is not NotImplemented:
            return done
    result = run(_linear, (input, weight, bias))
    return result if out is None else output(result, out)


@pure
def _linear(tensors: Any, static: Any, numbers: Any) -> Tensor:
    input, weight, bias = tensors
    need("linear", input=input, weight=weight)
    if bias is not None:
        need("linear", bias=bias)
    if weight.dim() != 2:
        if weight.dim() > 2:
            raise RuntimeError(
                f"t() expects a tensor with <= 2 dimensions, but self is {weight.dim()}D "
                f"(linear: weight has shape {list(weight.shape)})"
            )
        if input.dim() == 0 or weight.dim() == 0:
            raise RuntimeError(
                "both arguments to linear need to be at least 1D, but they are "
                f"{input.dim()}D and {weight.dim()}D"
            )
        if bias is None:
            return input.matmul(weight)
        if input.dim() == 2:
            raise RuntimeError(f"mat2 must be a matrix, got {weight.dim()}-D tensor")
    if bias is not None and not input.dtype == weight.dtype == bias.dtype:
        raise RuntimeError(
            "linear: input, weight and bias must have the same dtype, but got "
            f"{input.dtype}, {weight.dtype} and {bias.dtype}"
        )
    inner = weight.shape[-1]
    if weight.dim() == 2 and input.dim() and input.shape[-1] != inner:
        rows = math.prod(input.shape[:-1])
        raise RuntimeError(
            f"linear: mat1 and mat2 shapes cannot be multiplied ({rows}x{input.shape[-1]} and "
            f"{inner}x{weight.shape[0]}): input of shape {list(input.shape)}, weight of shape "
            f"{list(weight.shape)}"
        )
    # The weight's value, transposed: no view of the parameter has to be kept up to date.
    turned = record(PERMUTE, (weight,), (1, 0)) if weight.dim() == 2 else weight
    once = bias is not None and turned is not weight and is_low(input) and _as_rows(input)
    if once:  # one product with its bias, which is rounded once
        rows = input if input.dim() > 1 else shaped(input, (1, inner))
        result = record(MATMUL_WIDE, (rows, turned))
        result = result if input.dim() > 1 else shaped(result, weight.shape[:1])
    else:
        result = input.matmul(turned)
    if bias is None:
        return result
    shape, own = result.shape, bias.shape
    if own != shape[-1:] and not (
        len(own) <= len(shape)
        and all([n in (1, m) for n, m in zip(own[::-1], shape[::-1], strict=False)])
    ):
        raise RuntimeError(
            f"linear: a bias of shape {list(own)} can't be expanded to the product's shape "
            f"{list(shape)}"
        )
    return cast(result + cast(bias, facula.float32), input.dtype) if once else result + bias


def _as_rows(input: Tensor) -> bool:
    """Whether PyTorch multiplies the rows as one matrix: they lie as one, without a copy."""
    shape = input.node.shape
    if len(shape) < 3:
        return True
    steps = input.node.strides or contiguous_strides(shape)
    return view_strides(shape, steps, (math.prod(shape[:-1]), shape[-1])) is not None


def grouped_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    *,
    offs: Tensor | None = None,
    bias: Tensor | None = None,
    out_dtype: facula.dtype | None = None,
) -> Tensor:
    """Products of groups of rows, each with a matrix of its own, as mixtures of experts need.

    Args:
        mat_a: ``(rows, in)``, or ``(groups, rows, in)``.
        mat_b: ``(groups, in, out)``, or ``(in, out)``.
        offs: where each group ends (int32) in the dimension that operands of two dimensions
            share it out by: the rows, the columns or, with two of them, the summed dimension.
            What lies behind the last group is zero.
        bias: is refused, as by PyTorch.
        out_dtype: the dtype of the operands, which the result has anyway.
    """
    return facula._grouped_mm(mat_a, mat_b, offs=offs, bias=bias, out_dtype=out_dtype)


@mixed
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input1 @ weight[k] @ input2 + bias[k]`` for every output feature ``k``.

    Args:
        input1: ``(*, in1)``.
        input2: ``(*, in2)``, with the same leading dimensions.
        weight: ``(out, in1, in2)``.
        bias: ``(out)``.
    """
    if input1.dim() != input2.dim():
        raise RuntimeError(
            f"bilinear(): input dimensions do not match: got {input1.dim()} and {input2.dim()}"
        )
    for d in range(input1.dim() - 1):
        if input1.shape[d] != input2.shape[d]:
            raise RuntimeError(
                f"bilinear(): input batch dimensions do not match at dim {d}: got "
                f"{input1.shape[d]} and {input2.shape[d]}"
            )
    if weight.dim() != 3:
        raise RuntimeError(
            f"bilinear(): weight must have 3 dimensions (out, in1, in2), got {weight.dim()}"
        )
    for i, x in ((1, input1), (2, input2)):
        if x.shape[-1] != weight.shape[i]:
            raise RuntimeError(
                f"bilinear(): input{i} size does not match weight size: got {x.shape[-1]} but "
                f"expected {weight.shape[i]}"
            )
    features, in1, in2 = weight.shape
    if bias is not None and bias.shape[0] != features:
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but expected "
            f"{features}"
        )
    lead = list(input1.shape[:-1])
    a, b = input1.reshape(-1, in1), input2.reshape(-1, in2)
    # (n, in1) x (in1, out * in2), then a weighted sum over in2 for every sample.
    half = a.matmul(weight.permute(1, 0, 2).reshape(in1, features * in2))
    out = facula.bmm(half.reshape(-1, features, in2), b.unsqueeze(2)).squeeze(2)
    out = whole(out.reshape([*lead, features]), "Trilinear", input1, input2, weight)
    return out if bias is None else out + bias
