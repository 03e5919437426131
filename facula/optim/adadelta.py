"""Adadelta.

    v  =  rho * v + (1 - rho) * g^2
    d  =  sqrt(u + eps) / sqrt(v + eps) * g
    u  =  rho * u + (1 - rho) * d^2
    p <-  p - lr * d

Source: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", https://arxiv.org/abs/1212.5701;
https://pytorch.org/docs/stable/generated/torch.optim.Adadelta.html
"""

from __future__ import annotations

from typing import Any

import facula
from facula import Tensor
from facula.optim._options import check_at_least_0, check_lr, factor, is_on
from facula.optim._updates import average_square
from facula.optim.optimizer import ParamsT, PerParameterOptimizer, host_number


class Adadelta(PerParameterOptimizer):
    """Adadelta. State: `step`, `square_avg` (v), `acc_delta` (u).

    Raises ValueError for options out of range. `foreach` and `capturable` change nothing.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_at_least_0(eps=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {
            "step": host_number(0),
            "square_avg": facula.zeros_like(p),
            "acc_delta": facula.zeros_like(p),
        }

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        rho, eps = group["rho"], group["eps"]
        if is_on(group["weight_decay"]):
            grad = grad + p * group["weight_decay"]
        self._count(state)
        v, u = state["square_avg"], state["acc_delta"]
        average_square(v, grad, rho, 1 - rho)
        delta = (u + eps).sqrt() / (v + eps).sqrt() * grad
        average_square(u, delta, rho, 1 - rho)
        p -= delta * factor(group["lr"])
