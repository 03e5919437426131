"""Cross entropy of scores that are a linear function of the input."""

from __future__ import annotations

from typing import Any

from facula import Tensor
from facula.ops.table import mixed

from ._common import check_reduction
from .classification import cross_entropy
from .linear import linear


@mixed
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """``cross_entropy(linear(input, linear_weight, linear_bias), target)``.

    Args:
        input: ``(in)`` or ``(N, in)``.
        linear_weight: ``(C, in)``, or ``(C, d1, ..., in)`` for ``(N, C, d1, ...)`` scores.
        target: class numbers or probabilities, as for :func:`cross_entropy`.
        linear_bias: ``(C)`` or ``(C, d1, ...)``.
        weight: a factor for each class.
        ignore_index: class numbers that count as nothing; -100 by default.
        options: how PyTorch would cut the batch into pieces to save memory. The result does not
            depend on it, and it is not used here.
    """
    check_reduction(reduction)
    if input.dim() not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if linear_weight.dim() < 2:
        raise RuntimeError(
            f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}"
        )
    features = linear_weight.shape[-1]
    if input.shape[-1] != features:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {features}, respectively"
        )
    shape = tuple(linear_weight.shape[:-1])
    if len(shape) > 1 and input.dim() == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} "
            f"requires batched input, (N, {features}), got unbatched input with shape "
            f"{tuple(input.shape)}"
        )
    if linear_bias is not None and tuple(linear_bias.shape) != shape:
        raise RuntimeError(f"expected linear_bias shape {shape}, got {tuple(linear_bias.shape)}")
    if weight is not None and tuple(weight.shape) != shape[:1]:
        raise RuntimeError(f"expected weight shape to be {shape[:1]}, got {tuple(weight.shape)}")
    if ignore_index is None:
        ignore_index = -100
    elif target.is_floating_point():
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")

    flat_bias = None if linear_bias is None else linear_bias.reshape(-1)
    scores = linear(input, linear_weight.reshape(-1, features), flat_bias)
    if len(shape) > 1:
        scores = scores.reshape([input.shape[0], *shape])
    return cross_entropy(
        scores,
        target,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
