"""The forward variables of connectionist temporal classification, and their gradient.

Of a sequence with L states (labels with a blank between any two), by Graves et al. 2006:

    alpha[t, s] = emit[t, s] + log(sum of exp(alpha[t - 1, s - k]) for k = 0, 1 and, where a label
                  may follow the label before it, 2)

Behind its end a sequence keeps its last variables. `plan` has a row for each sequence: how many
steps it has, and for each state whether it may follow the last but one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from facula.ops.registry import Op
from facula.ops.table import FUNCTIONS
from facula.trace.recorder import record

# Stands for log(0). An infinity would turn into NaN in the gradient of a sum of exponentials.
IMPOSSIBLE = -1e30


def _up(a: Any, by: int, fill: Any) -> Any:
    """States moved up by some; below them a number."""
    out = np.full_like(a, fill)
    out[:, by:] = a[:, : max(0, a.shape[1] - by)]
    return out


def _down(a: Any, by: int) -> Any:
    return _up(a[:, ::-1], by, 0)[:, ::-1]


def _alpha(p: Any, s: Any, emit: Any, plan: Any) -> Any:
    lengths, skip = plan[:, :1], plan[:, 1:] != 0
    never = emit.dtype.type(IMPOSSIBLE)
    out = np.empty_like(emit, order="C")
    before = np.full(emit.shape[1:], never)
    before[:, :1] = 0
    for t in range(len(emit)):
        parts = [before, _up(before, 1, never), np.where(skip, _up(before, 2, never), never)]
        most = np.maximum(np.maximum(parts[0], parts[1]), parts[2])
        total = np.exp(parts[0] - most) + np.exp(parts[1] - most) + np.exp(parts[2] - most)
        # Below the stand-in for log(0) the sums would drift towards real infinity.
        new = np.maximum(most + np.log(total) + emit[t], never)
        before = out[t] = np.where(lengths > t, new, before)
    return out


def _alpha_back(p: Any, s: Any, g: Any, alpha: Any, emit: Any, plan: Any) -> Any:
    lengths, skip = plan[:, :1], plan[:, 1:] != 0
    out = np.zeros_like(emit, order="C")
    after = np.zeros_like(emit[0]) if len(emit) else None
    for t in range(len(emit) - 1, -1, -1):
        here, running = g[t] + after, lengths > t
        out[t] = np.where(running, here, 0)
        if t:
            summed, before = alpha[t] - emit[t], alpha[t - 1]
            # No part is larger than the sum.
            after = here * np.exp(np.minimum(before - summed, 0))
            for k, some in ((1, here), (2, np.where(skip, here, 0))):
                share = np.exp(np.minimum(before - _down(summed, k), 0))
                after = after + _down(some, k) * share
            after = np.where(running, after, here)
    return out


def _composed(g: Any, alpha: Any, emit: Any, plan: Any) -> Any:
    """The gradient by recorded operations, which have derivatives of their own."""
    lengths, skip = plan[:, :1], plan[:, 1:] != 0
    zero = g.new_zeros(())
    after = g.new_zeros(emit.shape[1:])
    out = []
    for t in range(len(emit) - 1, -1, -1):
        here, running = g[t] + after, lengths > t
        out.append(here.where(running, zero))
        if t:
            summed, before = alpha[t] - emit[t], alpha[t - 1]
            after = here * (before - summed).clamp(max=0).exp()
            for k, some in ((1, here), (2, here.where(skip, zero))):
                pad = g.new_zeros((emit.shape[1], min(k, emit.shape[2])))
                moved = [FUNCTIONS["cat"]([x[:, k:], pad], 1) for x in (summed, some)]
                after = after + moved[1] * (before - moved[0]).clamp(max=0).exp()
            after = after.where(running, here)
    return FUNCTIONS["stack"](out[::-1])


def _second(k: int) -> Any:
    """The derivative of the gradient by its k-th operand."""

    def formula(g: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        from facula.autograd import grad
        from facula.grad_mode import enable_grad

        with enable_grad():
            parts = [
                t.clone() if t.requires_grad else t.detach().requires_grad_() for t in (a, b, c)
            ]
            given = _composed(parts[0], parts[1], parts[2], d)
            return grad(given, parts[k], g, create_graph=True)[0]

    return formula


CTC_ALPHA_BACK: Op = Op(
    "ctc_alpha_back",
    lambda p, st, a, b, c, d: (c.shape, c.dtype, None, 0),
    _alpha_back,
    (_second(0), _second(1), _second(2), None),
)
CTC_ALPHA: Op = Op(
    "ctc_alpha",
    lambda p, st, a, b: (a.shape, a.dtype, None, 0),
    _alpha,
    (lambda g, a, b, o: record(CTC_ALPHA_BACK, (g, o, a, b)), None),
)


def alpha(emit: Any, plan: Any) -> Any:
    """The forward variables of sequences (steps, sequences, states) from the scores of their states
    and their plan (sequences, 1 + states), both of which are arrays of the host."""
    return record(CTC_ALPHA, (emit, plan))
