"""Adafactor: the second moment of a matrix is kept as a column and a row.

    w   =  t^beta2_decay                                    (1 - beta2 at step t)
    R   =  (1 - w) * R + w * mean over columns of g^2,      C likewise over rows
    v   =  R C / mean of R                                  (g not a matrix: v as in Adam)
    u   =  g / sqrt(v),    u  =  u / max(1, rms(u) / d)
    p  <-  (1 - lr * weight_decay) * p - max(eps2, rms(p)) * min(lr, 1 / sqrt(t)) * u

Source: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost",
https://arxiv.org/abs/1804.04235; https://pytorch.org/docs/stable/generated/torch.optim.Adafactor.html
"""

from __future__ import annotations

from typing import Any

import facula
from facula import Tensor
from facula.optim._options import factor
from facula.optim._updates import approach
from facula.optim.optimizer import ParamsT, PerParameterOptimizer, host_number


class Adafactor(PerParameterOptimizer):
    """Adafactor; tensors of more than two dimensions are stacks of matrices.

    `eps`: the least root of v (None: the dtype's epsilon) and the least scale of a parameter.
    State: `step` and `row_var` (R), `col_var` (C), or `variance` (v). Raises ValueError for options
    out of range, RuntimeError for complex parameters. `foreach` changes nothing.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError(f"Tensor lr must be 1-element, but has shape {tuple(lr.shape)}")
        if not lr >= 0.0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not beta2_decay <= 0.0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not eps[0] >= 0.0:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not eps[1] >= 0.0:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not d >= 1.0:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        if p.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        state = {"step": host_number(0)}
        if p.dim() > 1:
            state["row_var"] = p.new_zeros((*p.shape[:-1], 1))
            state["col_var"] = p.new_zeros((*p.shape[:-2], 1, p.shape[-1]))
        else:
            state["variance"] = facula.zeros_like(p)
        return state

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        lr, (eps1, eps2) = factor(group["lr"]), group["eps"]
        if eps1 is None:
            eps1 = facula.finfo(p.dtype).eps
        t = self._count(state)
        weight = t ** group["beta2_decay"]
        if isinstance(lr, Tensor):
            rate = lr.clamp(max=t**-0.5)
        else:
            rate = min(lr, t**-0.5)
        scale = (p * p).mean().sqrt().clamp(min=eps2) * rate
        if group["weight_decay"] != 0:
            p *= 1 - lr * group["weight_decay"]
        square = grad * grad
        if grad.dim() > 1:
            row, column = state["row_var"], state["col_var"]
            approach(row, square.mean(-1, keepdim=True), weight)
            approach(column, square.mean(-2, keepdim=True), weight)
            variance = row * column / row.mean(-2, keepdim=True).clamp(min=eps1)
        else:
            variance = state["variance"]
            approach(variance, square, weight)
        update = variance.clamp(min=eps1 * eps1).rsqrt() * grad
        excess = ((update * update).mean().sqrt() / group["d"]).clamp(min=1.0)
        p -= update * (scale / excess)
