"""Losses over classes: likelihoods, multi-class margins, and labelled sequences (CTC)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import facula
from facula import Tensor
from facula.ops.composed import whole
from facula.ops.indexing import GATHER
from facula.ops.indices import outside
from facula.ops.movement import RESHAPE, watched
from facula.ops.table import mixed
from facula.trace.recorder import record
from facula.trace.spans import pure, run
from facula.values import from_array, lookable, present, to_check

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

# ---- likelihood


@mixed
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative of the log-probability that ``input`` gives to the class ``target``.

    Args:
        input: log-probabilities ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``.
        target: class numbers: a scalar, ``(N)`` or ``(N, d1, ...)``.
        weight: a factor for each class; the mean is then divided by the factors' sum.
        ignore_index: targets of this value count as nothing.

    Raises:
        IndexError: a target that is no class.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_classes(input, target, weight)
    check_reduction(reduction)
    require_float(input, "nll_loss_out_frame")
    if weight is not None and weight.dtype != input.dtype:
        raise RuntimeError(
            f"expected scalar type {scalar_type(input.dtype)} but found {scalar_type(weight.dtype)}"
        )
    classes = input.shape[1 if input.dim() > 1 else 0]
    checked, all_count = _check_range(target, classes, ignore_index)
    there = input.dim() > 1 and target.numel() and present(input) is not None
    if there and all_count and (weight is None or not weight.requires_grad):
        # Scores that are there already: nothing is to be fused with, and few of them are read.
        return run(_nll_there, (input, target, weight), (reduction,))
    return run(_nll_loss, (input, target, weight), (ignore_index, reduction, checked))


@pure
def _nll_loss(tensors: Any, static: Any, numbers: Any) -> Tensor:
    input, target, weight = tensors
    ignore_index, reduction, checked = static
    wide = None if weight is None else upcast(weight)
    loss, counted = _picked(upcast(input), target, wide, ignore_index, checked)
    return _finished(loss, counted, reduction, input, input, target, weight)


@pure
def _nll_there(tensors: Any, static: Any, numbers: Any) -> Tensor:
    input, target, weight = tensors
    shape, classes = tuple(target.shape), target.to(facula.int64)
    at = record(RESHAPE, (classes,), (shape[0], 1, *shape[1:]))
    loss = -record(RESHAPE, (record(GATHER, (watched(upcast(input)), at), 1),), shape)
    if weight is None:
        return whole(reduced(loss, static[0], input.dtype), _name(input), input, target)
    flat = record(RESHAPE, (classes,), (math.prod(shape),))
    counted = record(RESHAPE, (record(GATHER, (upcast(weight), flat), 0),), shape)
    return _finished(loss * counted, counted, static[0], input, input, target, weight)


def _name(input: Tensor) -> str:
    return "NllLoss" if input.dim() < 4 else "NllLoss2D"


def _finished(loss, counted, reduction: str, input: Tensor, *saved: Tensor | None) -> Tensor:
    """The loss, reduced; `saved`: what PyTorch takes the gradient of, the targets, the weights."""
    if reduction == "mean":
        loss = (loss.sum() / counted.sum()).to(input.dtype)
    else:
        loss = reduced(loss, reduction, input.dtype)
    return whole(loss, _name(input), *saved)


def _check_classes(input: Tensor, target: Tensor, weight: Tensor | None) -> None:
    """Raise as PyTorch does where the shapes and dtypes of a class target do not fit."""
    x, t = input.node, target.node
    if weight is None and len(x.shape) == 2 and t.shape == x.shape[:1] and t.dtype is facula.int64:
        return
    if input.dim() < 1:
        raise ValueError(f"Expected 1 or more dimensions (got {input.dim()})")
    if input.dim() == 1:
        if target.dim() > 1 or target.numel() != 1:
            raise ValueError(
                "For 1D input, 1D target must have size 1, but got target size: "
                f"{target.shape[0] if target.dim() else target.numel()}"
            )
    elif target.dim() == 0 or input.size(0) != target.size(0):
        raise ValueError(
            f"Expected input batch_size ({input.size(0)}) to match target batch_size "
            f"({target.size(0) if target.dim() else 0})."
        )
    if target.dtype not in (facula.int64, facula.uint8):
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {scalar_type(target.dtype)}"
        )
    if input.dim() == 4 and target.dim() != 3:
        raise RuntimeError(
            "only batches of spatial targets supported (3D tensors) but got targets of "
            f"dimension: {target.dim()}"
        )
    if input.dim() > 1:
        expected = (input.shape[0], *input.shape[2:])
        if (input.dim() == 3 and target.dim() == 2) or input.dim() != 3:
            matches = tuple(target.shape) == expected
        else:
            matches = False
        if not matches:
            raise RuntimeError(f"Expected target size {dims(expected)}, got {dims(target.shape)}")
    classes = input.shape[1] if input.dim() > 1 else input.shape[0]
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but "
            f"got weight tensor of shape: {dims(weight.shape)}"
        )


def _matches(target: Tensor, classes: int, dim: int, ndim: int) -> Tensor:
    """True where the class, counted along dimension ``dim`` of ``ndim``, is the target."""
    numbers = np.arange(classes).reshape([-1 if d == dim else 1 for d in range(ndim)])
    shape = target.shape
    # The target's value, reshaped: a view would give it a storage, and every step a handle more.
    classes_ = from_array(numbers).to(target.device)
    return classes_ == record(RESHAPE, (target,), (*shape[:dim], 1, *shape[dim:]))


def _check_range(target: Tensor, classes: int, ignore_index: int) -> tuple[bool, bool]:
    """Whether the targets are known to be classes, and whether none of them is ignored.

    IndexError for one that is no class.
    """
    values = to_check(target, 0, classes - 1)
    if values is None:
        checked = lookable(target)
        return checked, checked and not 0 <= ignore_index < classes
    if outside(values, classes):
        bad = values[(values != ignore_index) & ((values < 0) | (values >= classes))]
        if bad.size:
            raise IndexError(f"Target {bad.flat[0]} is out of bounds.")
        return True, False
    return True, not 0 <= ignore_index < classes


def _picked(
    log_probs: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, checked: bool
) -> tuple[Tensor, Tensor]:
    """Loss of every target, 0 where ignored, and how much every target counts.

    The target's entry is found by comparing, not by indexing: this fuses with the softmax, and
    its gradient needs no scattering. A target that is no class matches nothing: if the targets
    have not been checked, it makes the loss NaN.
    """
    dim = 1 if log_probs.dim() > 1 else 0
    classes = log_probs.shape[dim]
    flat = log_probs.dim() == 1 and target.dim() == 1  # one sample, whose target is (1)
    if flat:
        target = target.squeeze(0)
    kept = target != ignore_index
    match = _matches(target, classes, dim, log_probs.dim())
    if 0 <= ignore_index < classes:
        match = match & kept.unsqueeze(dim)
    loss = facula.where(match, -log_probs, 0.0).sum(dim)
    if not checked:
        wrong = kept & ((target < 0) | (target >= classes))
        loss = loss.masked_fill(wrong, float("nan"))
    if weight is None:
        counted = kept.to(loss.dtype)
    else:
        counted = facula.where(match, _along(weight, log_probs, dim), 0.0).sum(dim)
        loss = loss * counted
    return (loss.unsqueeze(0), counted.unsqueeze(0)) if flat else (loss, counted)


@mixed
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """:func:`nll_loss` of ``log_softmax(input)``.

    Args:
        input: scores ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``.
        target: class numbers as for :func:`nll_loss`, or probabilities of ``input``'s shape.
        label_smoothing: how much of the target is spread evenly over all classes.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if input.node.shape == target.node.shape:
        return _cross_entropy_of_probabilities(
            input, target, weight, ignore_index, reduction, label_smoothing
        )
    _check_classes(input, target, weight)
    check_reduction(reduction)
    require_float(input, "log_softmax_lastdim_kernel_impl")
    if weight is not None and weight.dtype != input.dtype:
        raise RuntimeError(
            f"expected scalar type {scalar_type(input.dtype)} but found {scalar_type(weight.dtype)}"
        )
    shape = input.node.shape
    checked, _ = _check_range(target, shape[1 if len(shape) > 1 else 0], ignore_index)
    static = (ignore_index, reduction, label_smoothing, checked)
    return run(_cross_entropy, (input, target, weight), static)


@pure
def _cross_entropy(tensors: Any, static: Any, numbers: Any) -> Tensor:
    """The loss for classes; static: ignored index, reduction, smoothing, whether it is checked."""
    input, target, weight = tensors
    ignore_index, reduction, label_smoothing, checked = static
    class_dim = 1 if input.dim() > 1 else 0
    log_probs = upcast(input).log_softmax(class_dim)
    wide = None if weight is None else upcast(weight)
    loss, counted = _picked(log_probs, target, wide, ignore_index, checked)
    if label_smoothing > 0:
        spread = log_probs if wide is None else log_probs * _along(wide, log_probs, class_dim)
        spread = facula.where(target != ignore_index, -spread.sum(class_dim), 0.0)
        share = label_smoothing / log_probs.shape[class_dim]
        loss = loss * (1 - label_smoothing) + spread * share
    return _finished(loss, counted, reduction, input, log_probs, target, weight)


def _along(weight: Tensor, x: Tensor, dim: int) -> Tensor:
    """``weight``, one number per class, in a shape that broadcasts along ``dim`` of ``x``."""
    return weight.reshape([-1 if i == dim else 1 for i in range(x.dim())])


def _cross_entropy_of_probabilities(
    input, target, weight, ignore_index, reduction, label_smoothing
) -> Tensor:
    if not target.is_floating_point():
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, got "
            + scalar_type(target.dtype)
        )
    if ignore_index >= 0:
        raise RuntimeError("ignore_index is not supported for floating point target")
    class_dim = 1 if input.dim() > 1 else 0
    classes = input.shape[class_dim]
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(
            f"cross_entropy: weight tensor should be defined either for all {classes} classes or "
            f"no classes but got weight tensor of shape: {dims(weight.shape)}"
        )
    check_reduction(reduction)
    dtype = facula.result_type(input, target) if is_low(input, target) else None
    log_probs, target = upcast(input).log_softmax(class_dim), upcast(target)
    if label_smoothing > 0:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    product = log_probs * target
    if weight is not None:
        product = product * _along(upcast(weight), product, class_dim)
    if reduction == "none":
        return reduced(-product.sum(class_dim), "none", dtype)
    loss = -product.sum()
    if reduction == "mean":
        count = 1
        for i, size in enumerate(input.shape):
            count *= 1 if i == class_dim else size
        loss = loss / count
    return reduced(loss, "none", dtype)


# ---- margins


def _check_margin_input(input: Tensor) -> None:
    good = (
        (input.dim() == 2 and input.size(1) != 0)
        or (input.dim() == 1 and input.size(0) != 0)
        or input.dim() == 0
    )
    if not good:
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            + dims(input.shape)
        )


@mixed
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Mean over the other classes of ``max(0, margin - input[target] + input[i]) ** p``."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError("weight must be one-dimensional")
    _check_margin_input(input)
    rows = input.reshape(-1, input.shape[-1] if input.dim() else 1)
    n, classes = rows.shape
    if target.dim() > 1 or target.numel() != n:
        raise RuntimeError(
            "multi_margin_loss: The target tensor should be 1-D with size equal to the batch "
            f"size. Expected target size [{n}] for input of size: {dims(input.shape)}, but got "
            f"{dims(target.shape)}"
        )
    if weight is not None and weight.numel() != classes:
        raise RuntimeError(
            f"inconsistent weight size: {dims(weight.shape)} for input of size: {dims(input.shape)}"
        )
    x, index = upcast(rows), target.reshape(n)
    values = to_check(target, 0, classes - 1)
    if values is not None and ((values < 0) | (values >= classes)).any():
        raise RuntimeError(f"multi_margin_loss: target out of range, there are {classes} classes")
    match = _matches(index, classes, 1, 2)
    own = facula.where(match, x, 0.0).sum(1)
    loss = (margin - own.unsqueeze(1) + x).clamp(min=0)
    if p == 2:
        loss = loss * loss
    if weight is not None:
        loss = loss * facula.where(match, upcast(weight), 0.0).sum(1, keepdim=True)
    loss = facula.where(match, 0.0, loss).sum(1) / classes
    if target.dim() == 0:
        loss = loss.reshape([])
    loss = reduced(loss, reduction, input.dtype)
    return whole(loss, "MultiMarginLoss", input, target, weight)


@mixed
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Sum of ``max(0, 1 - (input[j] - input[i]))`` over labels ``j`` and other classes ``i``.

    ``target`` has ``input``'s shape; each row lists its labels, up to the first -1. The sum is
    divided by the number of classes.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    _check_margin_input(input)
    if target.shape != input.shape and not (input.dim() <= 1 and target.numel() == input.numel()):
        raise RuntimeError(
            f"inconsistent target size: {dims(target.shape)} for input of size: {dims(input.shape)}"
        )
    classes = input.shape[-1] if input.dim() else 1
    x, t = upcast(input).reshape(-1, classes), target.reshape(-1, classes)
    listed = (t >= 0).to(facula.int64).cumprod(1) != 0  # before the row's first -1
    index = facula.where(listed, t, 0)
    numbers = facula.arange(classes, device=x.device)
    is_label = ((index.unsqueeze(2) == numbers) & listed.unsqueeze(2)).any(1)
    gaps = (1 - x.gather(1, index).unsqueeze(2) + x.unsqueeze(1)).clamp(min=0)
    counted = listed.unsqueeze(2) & is_label.logical_not().unsqueeze(1)
    loss = facula.where(counted, gaps, 0.0).sum((1, 2)) / classes
    if input.dim() < 2:
        loss = loss.reshape([])
    loss = reduced(loss, reduction, input.dtype)
    return whole(loss, "MultilabelMarginLoss", input, target)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross entropy of each class, averaged over the classes (the last dimension)."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    x, t = upcast(input), upcast(target)
    loss = -(t * logsigmoid(x) + (1 - t) * logsigmoid(-x))
    if weight is not None:
        loss = loss * upcast(weight)
    # The classes are the input's last dimension, also where the target has more dimensions.
    loss = loss.sum(input.dim() - 1) / input.size(-1)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    dtype = facula.result_type(input, target) if is_low(input, target) else None
    return reduced(loss, reduction, dtype)
