"""RAdam: Adam with a rectified variance.

    m  =  beta1 * m + (1 - beta1) * g
    v  =  beta2 * v + (1 - beta2) * g^2
    rho_inf = 2 / (1 - beta2) - 1,    rho = rho_inf - 2 t beta2^t / (1 - beta2^t)
    rho > 5:   p <-  p - lr * m / (1 - beta1^t) * r * sqrt(1 - beta2^t) / (sqrt(v) + eps)
               r  =  sqrt((rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho))
    else:      p <-  p - lr * m / (1 - beta1^t)

The first steps, whose variance says nothing yet, are those without it: with the default betas five.
They are another program than the later ones, chosen by the number of the step.

Source: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond",
https://arxiv.org/abs/1908.03265; https://pytorch.org/docs/stable/generated/torch.optim.RAdam.html
"""

from __future__ import annotations

from typing import Any

import facula
from facula import Tensor
from facula.optim._options import check_at_least_0, check_betas, check_lr, factor, is_on
from facula.optim._updates import add_ratio, approach, average_square
from facula.optim.optimizer import ParamsT, PerParameterOptimizer, host_number


class RAdam(PerParameterOptimizer):
    """RAdam. State: `step`, `exp_avg` (m), `exp_avg_sq` (v).

    Raises ValueError for options out of range. `foreach` and `capturable` change nothing.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {
            "step": host_number(0),
            "exp_avg": facula.zeros_like(p),
            "exp_avg_sq": facula.zeros_like(p),
        }

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        lr, decay = factor(group["lr"]), group["weight_decay"]
        beta1, beta2 = group["betas"]
        if is_on(decay):
            if group["decoupled_weight_decay"]:
                p *= 1 - lr * decay
            else:
                grad = grad + p * decay
        m, v = state["exp_avg"], state["exp_avg_sq"]
        approach(m, grad, 1 - beta1)
        average_square(v, grad, beta2, 1 - beta2)
        t = self._count(state)
        size = lr / (1 - beta1**t)
        c2 = 1 - beta2**t
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * t * beta2**t / c2
        if rho > 5:
            r = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
            add_ratio(p, m, v.sqrt() + group["eps"], -(size * (r * c2) ** 0.5))
        else:
            p -= m * size
