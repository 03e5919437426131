"""Connectionist temporal classification."""

from __future__ import annotations

from typing import Any

import numpy as np

import facula
from facula import Tensor
from facula.ops.composed import whole
from facula.ops.ctc import IMPOSSIBLE as _IMPOSSIBLE
from facula.ops.ctc import alpha as variables
from facula.ops.table import mixed
from facula.values import from_array, present, values

from ._common import check_reduction, require_float, scalar_type


@mixed
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Negative log likelihood of label sequences, summed over all their alignments.

    Graves et al. 2006, https://www.cs.toronto.edu/~graves/icml_2006.pdf

    Args:
        log_probs: ``(T, N, C)`` or ``(T, C)``, log-probabilities (outputs of ``log_softmax``).
        targets: ``(N, S)`` padded, or all labels one after the other ``(sum of lengths)``.
        input_lengths: how many of the ``T`` steps each sequence has.
        target_lengths: how many labels each sequence has.
        blank: the class of the blank label.
        zero_infinity: whether sequences that cannot be aligned count as 0 instead of infinity.

    The gradient is PyTorch's: it takes ``log_probs`` for outputs of ``log_softmax``.
    """
    check_reduction(reduction)
    require_float(log_probs, "ctc_loss_cpu")
    batched = log_probs.dim() == 3
    if not batched:
        log_probs = log_probs.unsqueeze(1)
        targets = targets.unsqueeze(0) if targets.dim() == 1 else targets
    steps, batch, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    lengths = _lengths(input_lengths, batch, "input_lengths")
    label_counts = _lengths(target_lengths, batch, "target_lengths")
    if targets.dtype not in (facula.int32, facula.int64):
        raise RuntimeError(f"targets must be an integer tensor, got {scalar_type(targets.dtype)}")
    labels = _padded(targets.to(facula.int64), label_counts)
    _check_lengths(lengths, label_counts, steps, labels.shape[1])
    device = log_probs.device
    to = facula.tensor(lengths, device=device)
    counts = facula.tensor(label_counts, device=device)

    likelihood = _forward(log_probs, labels.to(device), to, counts, blank)
    possible = likelihood > _IMPOSSIBLE / 2
    cost = -likelihood
    if log_probs.requires_grad:
        # A gradient of exp(log_probs) on top of that of the likelihood, with no value of its own:
        # together they are the gradient of the scores before log_softmax.
        running = facula.arange(steps, device=device).unsqueeze(1) < to
        probs = log_probs.exp()
        cost = cost + facula.where(running.unsqueeze(2), probs - probs.detach(), 0.0).sum((0, 2))
    if zero_infinity:
        loss = facula.where(possible, cost, 0.0)
    else:  # -log(0): infinite with a gradient of NaN, as in PyTorch
        nothing = facula.where(possible, 1.0, cost * 0)
        loss = facula.where(possible, cost, -nothing.log())
    loss = whole(loss, "CtcLoss", log_probs, targets)
    if reduction == "mean":
        return (loss / counts.clamp(min=1).to(loss.dtype)).mean()
    if reduction == "sum":
        return loss.sum()
    return loss if batched else loss.squeeze(0)


def _lengths(values, batch: int, name: str) -> list[int]:
    if isinstance(values, Tensor):
        if values.is_floating_point():
            raise RuntimeError(f"{name} must be integral")
        values = values.reshape(-1).tolist()
    values = [int(v) for v in values]
    if len(values) != batch:
        raise RuntimeError(f"{name} must be of size batch_size")
    return values


def _check_lengths(lengths, counts, steps: int, width: int) -> None:
    for i, (length, count) in enumerate(zip(lengths, counts, strict=True)):
        if length < 0:
            raise RuntimeError(
                f"Expected input_lengths to have value at least 0, but got value {length} "
                f"(while checking arguments for ctc_loss_cpu)"
            )
        if length > steps:
            raise RuntimeError(
                f"Expected input_lengths to have value at most {steps}, but got value {length} "
                f"(while checking arguments for ctc_loss_cpu)"
            )
        if count < 0 or count > width:
            raise RuntimeError(
                f"Expected target_lengths to have value between 0 and {width}, but got value "
                f"{count} at position {i} (while checking arguments for ctc_loss_cpu)"
            )


def _padded(targets: Tensor, counts: list[int]) -> Tensor:
    """Labels as ``(N, S)``, whichever way they were given."""
    if targets.dim() == 2:
        return targets
    width = max(counts, default=0)
    total = sum(counts)
    if targets.shape[0] < total:
        raise RuntimeError(
            f"targets has {targets.shape[0]} labels, but target_lengths add up to {total}"
        )
    if total == 0:
        return targets.new_zeros((len(counts), width))
    index, start = [], 0
    for count in counts:
        index += [min(start + i, total - 1) if i < count else 0 for i in range(width)]
        start += count
    chosen = targets.index_select(0, facula.tensor(index, device=targets.device))
    return chosen.reshape(len(counts), width)


def _log_sum(a: Tensor, b: Tensor) -> Tensor:
    """``log(exp(a) + exp(b))`` of finite numbers."""
    larger = facula.maximum(a, b)
    return larger + ((a - larger).exp() + (b - larger).exp()).log()


def _forward(log_probs: Tensor, labels: Tensor, lengths, counts, blank: int) -> Tensor:
    """The forward variables of the paper, over labels with a blank between any two."""
    steps, batch, _ = log_probs.shape
    width = 2 * labels.shape[1] + 1
    there = present(labels)
    if steps and there is not None:
        states, plan = _planned(there, values(lengths), values(counts), blank)
        emit = log_probs.gather(2, from_array(states).expand(steps, batch, width))
        alpha = variables(emit, from_array(plan))[-1]
    else:
        states, may_skip = _states(labels, counts, blank)
        emit = log_probs.gather(2, states.unsqueeze(0).expand(steps, batch, width))
        alpha = _by_steps(emit, may_skip, lengths)
    last = alpha.gather(1, (2 * counts).unsqueeze(1)).squeeze(1)
    label = alpha.gather(1, (2 * counts - 1).clamp(min=0).unsqueeze(1)).squeeze(1)
    label = facula.where(counts > 0, label, _IMPOSSIBLE)
    return _log_sum(last, label)


def _planned(labels: Any, lengths: Any, counts: Any, blank: int) -> tuple[Any, Any]:
    """What `_states` gives, of arrays: the states, and the plan of `ops/ctc.py`."""
    batch, width = labels.shape
    states = np.full((batch, 2 * width + 1), blank, np.int64)
    # Padding may hold any number; it is replaced by the blank, which is a class.
    states[:, 1::2] = np.where(np.arange(width) < counts[:, None], labels, blank)
    plan = np.zeros((batch, 2 * width + 2), np.int64)
    plan[:, 0] = lengths
    # A label may follow the label before it without a blank, if it is another one.
    plan[:, 4::2] = states[:, 3::2] != states[:, 1:-2:2]
    return states, plan


def _states(labels: Tensor, counts: Tensor, blank: int) -> tuple[Tensor, Tensor]:
    """Labels with a blank between any two, and which of these may follow the last but one."""
    batch, width = labels.shape
    device = labels.device
    blanks = facula.full((batch, width, 1), blank, dtype=facula.int64, device=device)
    between = facula.cat([blanks, labels.unsqueeze(2)], 2).reshape(batch, 2 * width)
    position = facula.arange(2 * width + 1, device=device)
    states = facula.cat([between, blanks.new_full((batch, 1), blank)], 1)
    states = facula.where(position < 2 * counts.unsqueeze(1) + 1, states, blank)
    before = facula.cat([states.new_full((batch, min(2, 2 * width + 1)), -1), states], 1)
    before = before[:, : 2 * width + 1]
    return states, (states != before) & (position % 2 == 1)


def _by_steps(emit: Tensor, may_skip: Tensor, lengths: Tensor) -> Tensor:
    """The last forward variables, by an operation for each step (see `ops/ctc.py`)."""
    steps, batch, states = emit.shape

    def shifted(x: Tensor, by: int) -> Tensor:
        fill = x.new_full((batch, min(by, states)), _IMPOSSIBLE)
        return facula.cat([fill, x[:, : max(states - by, 0)]], 1)

    alpha = facula.cat(
        [emit.new_zeros((batch, 1)), emit.new_full((batch, states - 1), _IMPOSSIBLE)], 1
    )
    for t in range(steps):
        skip = facula.where(may_skip, shifted(alpha, 2), _IMPOSSIBLE)
        new = _log_sum(_log_sum(alpha, shifted(alpha, 1)), skip) + emit[t]
        # Below the stand-in for log(0) the sums would drift towards real infinity.
        alpha = facula.where(lengths.unsqueeze(1) > t, new.clamp(min=_IMPOSSIBLE), alpha)
    return alpha
