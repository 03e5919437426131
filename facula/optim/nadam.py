"""NAdam: Adam with Nesterov momentum.

    mu_t  =  beta1 * (1 - 0.96^(t * momentum_decay) / 2),   M_t = mu_1 * ... * mu_t
    m     =  beta1 * m + (1 - beta1) * g
    v     =  beta2 * v + (1 - beta2) * g^2
    p    <-  p - lr * (mu_{t+1} * m / (1 - M_{t+1}) + (1 - mu_t) * g / (1 - M_t))
                    / (sqrt(v / (1 - beta2^t)) + eps)

Source: Dozat, "Incorporating Nesterov Momentum into Adam", ICLR 2016 workshop;
https://pytorch.org/docs/stable/generated/torch.optim.NAdam.html
"""

from __future__ import annotations

from typing import Any

import facula
from facula import Tensor
from facula.optim._options import check_at_least_0, check_betas, check_lr, factor, is_on
from facula.optim._updates import approach, average_square
from facula.optim.optimizer import ParamsT, PerParameterOptimizer, host_number


class NAdam(PerParameterOptimizer):
    """NAdam. State: `step`, `mu_product` (M), `exp_avg` (m), `exp_avg_sq` (v).

    Raises ValueError for options out of range. `foreach` and `capturable` change nothing.
    """

    _host_state = ("step", "mu_product")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check_at_least_0(weight_decay=weight_decay, momentum_decay=momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {
            "step": host_number(0),
            "mu_product": host_number(1),
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
        t = self._count(state)
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"]))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * group["momentum_decay"]))
        product = state["mu_product"]
        if isinstance(product, Tensor) and product.requires_grad and group["differentiable"]:
            product *= mu
        else:
            host = self._host(state, "mu_product")
            host *= host.dtype.type(mu)  # both factors rounded to float32, as in PyTorch
            product = host.item()
        m, v = state["exp_avg"], state["exp_avg_sq"]
        approach(m, grad, 1 - beta1)
        average_square(v, grad, beta2, 1 - beta2)
        denom = (v / (1 - beta2**t)).sqrt() + group["eps"]
        along_m = lr * mu_next / (1 - product * mu_next)
        along_g = lr * (1 - mu) / (1 - product)
        p -= (m * along_m + grad * along_g) / denom
