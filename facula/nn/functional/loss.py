"""Losses that compare numbers: regression, divergences, margins between pairs.

The losses over classes are in ``classification.py``.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import facula
from facula import Tensor
from facula.ops.composed import whole
from facula.ops.movement import in_layout
from facula.ops.registry import Op, like_strides
from facula.ops.table import mixed
from facula.trace.recorder import record
from facula.trace.spans import pure, run
from facula.values import to_check

from ._common import (
    check_reduction,
    dims,
    is_low,
    legacy_reduction,
    reduced,
    require_float,
    scalar_type,
    upcast,
)
from .activation import logsigmoid
from .distance import pairwise_distance


def _warn_if_broadcast(input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.size()}) that is different to the input size "
            f"({input.size()}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=5,
        )


def _promoted(input: Tensor, target: Tensor):
    """Both in the common dtype of what they are expanded to, where a 0-d one counts in full."""
    if input.dtype is target.dtype:
        return input, target
    d = facula.promote_types(input.dtype, target.dtype)
    return input.to(d), target.to(d)


def _pair(input: Tensor, target: Tensor):
    """Both in the precision to compute in, and the dtype of the result (None: as computed)."""
    if not is_low(input, target):
        return input, target, None
    return upcast(input), upcast(target), facula.result_type(input, target)


def _weighted(loss: Tensor, weight: Tensor, reduction: str, average_of_weights: bool) -> Tensor:
    if weight.shape != loss.shape:
        raise ValueError("Weights and input must have the same size.")
    weight = upcast(weight)
    if reduction == "mean" and average_of_weights:
        return (loss * weight).sum() / weight.sum()
    return reduced(loss * weight, reduction)


def _finish(
    loss: Tensor, weight: Tensor | None, reduction: str, dtype, average_of_weights: bool = True
) -> Tensor:
    if weight is not None:
        loss, reduction = _weighted(loss, weight, reduction, average_of_weights), "none"
    return reduced(loss, reduction, dtype)


@mixed
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """``(input - target) ** 2``, averaged, summed or element by element."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _warn_if_broadcast(input, target)
    check_reduction(reduction)
    return run(_mse_loss, (input, target, weight), reduction)


@pure
def _mse_loss(tensors: Any, reduction: Any, numbers: Any) -> Tensor:
    input, target, weight = tensors
    a, b, dtype = _pair(*_promoted(input, target))
    difference = a - b
    require_float(difference, "mse_cpu", False)
    loss = _finish(difference * difference, weight, reduction, dtype)
    return loss if weight is not None else whole(loss, "MseLoss", input, target)


@mixed
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """``|input - target|``."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _warn_if_broadcast(input, target)
    check_reduction(reduction)
    return run(_l1_loss, (input, target, weight), reduction)


@pure
def _l1_loss(tensors: Any, reduction: Any, numbers: Any) -> Tensor:
    input, target, weight = tensors
    a, b, dtype = _pair(input, target)
    return _finish((a - b).abs(), weight, reduction, dtype)


@mixed
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Squared below a difference of ``beta``, absolute above: ``huber_loss / beta``."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _warn_if_broadcast(input, target)
    check_reduction(reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    return run(_smooth_l1_loss, (input, target), (reduction, beta))


@pure
def _smooth_l1_loss(tensors: Any, static: Any, numbers: Any) -> Tensor:
    (input, target), (reduction, beta) = tensors, static
    a, b, dtype = _pair(*_promoted(input, target))
    size = (a - b).abs()
    if beta == 0:
        return reduced(size, reduction, dtype)
    require_float(size, "smooth_l1_cpu")
    far = size >= beta
    near = facula.where(far, 0.0, size)  # so that no infinite product meets a slope of 0
    loss = facula.where(far, size - 0.5 * beta, near * near * (0.5 / beta))
    return whole(reduced(loss, reduction, dtype), "SmoothL1Loss", input, target)


@mixed
def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Half the squared difference below ``delta``, linear above."""
    _warn_if_broadcast(input, target)
    check_reduction(reduction)
    if isinstance(delta, (str, complex)):
        raise TypeError(f"huber_loss(): argument 'delta' must be float, not {type(delta).__name__}")
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    a, b, dtype = _pair(input, target)
    size = (a - b).abs()
    if (a - b).is_complex():
        raise RuntimeError(f"huber_loss: not implemented for {input.dtype} and {target.dtype}")
    require_float(size, "huber_cpu")
    far = size > delta
    near = facula.where(far, 0.0, size)  # so that no infinite product meets a slope of 0
    loss = facula.where(far, (size - 0.5 * delta) * delta, near * near * 0.5)
    # PyTorch averages a weighted Huber loss over its elements, not over the weights.
    loss = _finish(loss, weight, reduction, dtype, average_of_weights=False)
    return whole(loss, "HuberLoss", input, target)


def _self_entropy(t: Tensor) -> Tensor:
    """``t * log(t)``, and 0 where ``t`` is."""
    if t.requires_grad:
        return facula.xlogy(t, t)
    zero = t == 0
    return facula.where(zero, 0.0, t * facula.where(zero, 1.0, t).log())


@mixed
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """``target * (log(target) - input)``: ``input`` holds log-probabilities.

    With ``log_target`` the target does too. ``reduction="batchmean"`` sums and divides by the
    first dimension, which is the divergence of the mathematical definition.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support "
            "size. 'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition. 'mean' will be changed to behave the same as 'batchmean' in the next "
            "major release.",
            stacklevel=4,
        )
    if reduction != "batchmean":
        check_reduction(reduction)
    if not (input.is_floating_point() and target.is_floating_point()):
        raise RuntimeError("kl_div: Integral inputs not supported.")
    x, t, dtype = _pair(input, target)
    loss = t.exp() * (t - x) if log_target else _self_entropy(t) - t * x
    if reduction == "batchmean":
        batch = input.size(0) if input.dim() else 1
        return reduced(loss.sum() / batch, "none", dtype)
    return reduced(loss, reduction, dtype)


def _limited_log(x: Tensor) -> Tensor:
    """``log(x)``, but at least -100, without a gradient where the limit holds."""
    zero = x == 0
    return facula.where(zero, -100.0, facula.where(zero, 1.0, x).log().clamp(min=-100))


# After the value. PyTorch limits the quotient, not the logarithms: where a probability is 0 or 1
# and the target is another, the gradient is large but finite.
_BCE: Op = Op(
    "binary_cross_entropy",
    lambda p, st, a, b, c: (a.shape, a.dtype, a.strides, 0),
    lambda p, s, a, b, c: a,
    (
        None,
        lambda g, b, c: g * (b - c) / ((1 - b) * b).clamp(min=1e-12),
        lambda g, b: g * ((-b).log1p() - b.log()),
    ),
)


@mixed
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross entropy of probabilities ``input`` and ``target``, both between 0 and 1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size "
            f"({input.size()}) is deprecated. Please ensure they have the same size."
        )
    if target.dtype != input.dtype:
        raise RuntimeError(
            f"Found dtype {scalar_type(target.dtype)} but expected {scalar_type(input.dtype)}"
        )
    require_float(input, "binary_cross_entropy")
    for name, t in (("input", input), ("target", target)):
        values = to_check(t, 0, 1)
        if values is not None and not ((values >= 0) & (values <= 1)).all():
            raise RuntimeError(f"all elements of {name} should be between 0 and 1")
    return run(_bce, (input, target, weight), reduction)


@pure
def _bce(tensors: Any, reduction: Any, numbers: Any) -> Tensor:
    input, target, weight = tensors
    x, t = upcast(input), upcast(target)
    p, y = x.detach(), t.detach()
    value = (y - 1) * _limited_log(1 - p) - y * _limited_log(p)
    loss = record(_BCE, (value, x, t))
    if weight is not None:
        loss = loss * upcast(weight)
    loss = reduced(loss, reduction, input.dtype)
    return whole(loss, "BinaryCrossEntropy", input, target, weight)


@mixed
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """:func:`binary_cross_entropy` of ``sigmoid(input)``, without its loss of precision.

    ``pos_weight`` multiplies the loss of positive targets; it is broadcast to ``target``.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    if target.size() != input.size():
        raise ValueError(
            f"Target size ({target.size()}) must be the same as input size ({input.size()})"
        )
    if not (target.dtype.is_floating_point or target.dtype.is_complex):
        raise RuntimeError(
            "binary_cross_entropy_with_logits: the target must be floating point, as the result "
            f"is, but got input of {input.dtype} and target of {target.dtype}"
        )
    return run(_bce_with_logits, (input, target, weight, pos_weight), reduction)


@pure
def _bce_with_logits(tensors: Any, reduction: Any, numbers: Any) -> Tensor:
    input, target, weight, pos_weight = tensors
    x, t, _ = _pair(input, target)
    log_sigmoid = logsigmoid(x)
    if pos_weight is not None:
        log_sigmoid = log_sigmoid * ((upcast(pos_weight) - 1) * t + 1)
    loss = (1 - t) * x - log_sigmoid
    if weight is not None:
        loss = loss * upcast(weight)
    loss = reduced(loss, reduction, target.dtype)
    return whole(loss, "BinaryCrossEntropyWithLogits", input, target, weight, pos_weight)


@mixed
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log likelihood of counts ``target`` under Poisson rates.

    ``input`` holds the rates or, with ``log_input``, their logarithms. ``full`` adds Stirling's
    approximation of ``log(target!)``.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    x, t, dtype = _pair(input, target)
    loss = x.exp() - t * x if log_input else x - t * (x + eps).log()
    if full:
        safe = facula.where(t > 1, t, 1.0)
        stirling = safe * safe.log() - safe + 0.5 * (2 * math.pi * safe).log()
        loss = loss + facula.where(t > 1, stirling, 0.0)
    return reduced(loss, reduction, dtype)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Negative log likelihood of ``target`` under normal distributions.

    Args:
        input: the means.
        var: the variances: one for all, one per element, or one per sample.
        full: whether to add the constant ``log(2 pi) / 2``.
        eps: the least variance.
    """
    if isinstance(var, (int, float)):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * facula.ones_like(input)
    if var.size() != input.size():
        if input.size()[:-1] == var.size():
            var = var.unsqueeze(-1)
        elif not _broadcasts_one_dim(input.size(), var.size()):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    values = to_check(var, 0, math.inf)
    if values is not None and (values < 0).any():
        raise ValueError("var has negative entry/entries")
    if isinstance(target, (int, float)):
        target = input.new_full((), target)
    x, t, dtype = _pair(input, target)
    var = upcast(var)
    # The limit does not enter the gradient: it is that of the variance itself.
    limited = var + (var.clamp(min=eps) - var).detach()
    loss = 0.5 * (limited.log() + (x - t) ** 2 / limited)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction, dtype)


def _broadcasts_one_dim(full, size) -> bool:
    """Whether ``size`` is ``full`` but for one dimension, which is 1."""
    if len(full) != len(size):
        return False
    return sum(a != b for a, b in zip(full, size, strict=True)) == 1 and all(
        b in (a, 1) for a, b in zip(full, size, strict=True)
    )


@mixed
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``input`` where the target is 1, ``max(0, margin - input)`` where it is -1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    x = upcast(input)
    apart = facula.where(target != 1, (margin - x).clamp(min=0), 0)
    together = facula.where(target != -1, x, 0)
    return reduced(together + apart, reduction, input.dtype)


@mixed
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``log(1 + exp(-target * input))``."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    if not input.is_floating_point():
        raise RuntimeError(
            "soft_margin_loss: result type Float can't be cast to the desired output type "
            + scalar_type(input.dtype)
        )
    x, t, dtype = _pair(input, target)
    z = t * x
    loss = reduced(in_layout(-logsigmoid(z), like_strides(z.node)), reduction, dtype)
    return whole(loss, "SoftMarginLoss", input, target)


@mixed
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``1 - cos`` where the target is 1, ``max(0, cos - margin)`` where it is -1.

    Inputs ``(N, D)`` and target ``(N)``, or ``(D)`` and a scalar.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    if target.dim() > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    expected = target.dim() + 1
    if input1.dim() != expected or input2.dim() != expected:
        raise RuntimeError(
            f"{target.dim()}D target tensor expects {expected}D input tensors, but found inputs "
            f"with sizes {dims(input1.shape)} and {dims(input2.shape)}."
        )
    a, b, dtype = _pair(input1, input2)
    eps = 1e-12
    squares = ((a * a).sum(-1) + eps) * ((b * b).sum(-1) + eps)
    cosine = (a * b).sum(-1) / squares.sqrt()
    apart = facula.where(target == -1, (cosine - margin).clamp(min=0), 0)
    together = facula.where(target == 1, 1 - cosine, 0)
    return reduced(together + apart, reduction, dtype)


@mixed
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, -target * (input1 - input2) + margin)``."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    if not input1.dim() == input2.dim() == target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    a, b, dtype = _pair(input1, input2)
    return reduced((float(margin) + -target * (a - b)).clamp(min=0), reduction, dtype)


def _check_triplet(anchor: Tensor, positive: Tensor, negative: Tensor) -> None:
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.dim()}D, positive {positive.dim()}D, and "
            f"negative {negative.dim()}D inputs"
        )


@mixed
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, d(anchor, positive) - d(anchor, negative) + margin)`` with the p-norm distance.

    With ``swap`` the negative's distance is the smaller of those to anchor and positive.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    _check_triplet(anchor, positive, negative)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def _triplet(anchor, positive, negative, distance, margin, swap, reduction) -> Tensor:
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = facula.minimum(far, distance(positive, negative))
    return reduced((near - far + margin).clamp(min=0), reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Any = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """:func:`triplet_margin_loss` with any distance (Euclidean when none is given)."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    _check_triplet(anchor, positive, negative)
    if distance_function is None:
        distance_function = pairwise_distance
    return _triplet(anchor, positive, negative, distance_function, margin, swap, reduction)
