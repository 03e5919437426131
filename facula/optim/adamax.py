"""Adamax: Adam with the infinity norm in the place of the second moment.

    m  =  beta1 * m + (1 - beta1) * g
    u  =  max(beta2 * u, |g| + eps)
    p <-  p - lr / (1 - beta1^t) * m / u

Source: Kingma and Ba, section 7.1 of https://arxiv.org/abs/1412.6980;
https://pytorch.org/docs/stable/generated/torch.optim.Adamax.html
"""

from __future__ import annotations

from typing import Any

import facula
from facula import Tensor
from facula.optim._options import check_at_least_0, check_betas, check_lr, factor, is_on
from facula.optim._updates import add_ratio, approach
from facula.optim.optimizer import ParamsT, PerParameterOptimizer, host_number


class Adamax(PerParameterOptimizer):
    """Adamax. State: `step`, `exp_avg` (m), `exp_inf` (u).

    Raises ValueError for options out of range. `foreach` and `capturable` change nothing.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_at_least_0(eps=eps)
        check_betas(betas)
        check_at_least_0(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {
            "step": host_number(0),
            "exp_avg": facula.zeros_like(p),
            "exp_inf": facula.zeros_like(p),
        }

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        beta1, beta2 = group["betas"]
        if is_on(group["weight_decay"]):
            grad = grad + p * group["weight_decay"]
        m, u = state["exp_avg"], state["exp_inf"]
        approach(m, grad, 1 - beta1)
        u.copy_(facula.maximum(u * beta2, grad.abs() + group["eps"]))
        add_ratio(p, m, u, -(factor(group["lr"]) / (1 - beta1 ** self._count(state))))
