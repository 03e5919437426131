"""RMSprop.

    v  =  alpha * v + (1 - alpha) * g^2
    a  =  sqrt(v) + eps,   or, centered:  a = sqrt(v - w^2) + eps,  w = alpha * w + (1 - alpha) * g
    b  =  momentum * b + g / a                        (b = g / a without momentum)
    p <-  p - lr * b

Source: Hinton, lecture 6e of "Neural Networks for Machine Learning" (2012); centered as in Graves,
https://arxiv.org/abs/1308.0850; https://pytorch.org/docs/stable/generated/torch.optim.RMSprop.html
"""

from __future__ import annotations

from typing import Any

import facula
from facula import Tensor
from facula.optim._options import check_at_least_0, check_lr, factor, is_on
from facula.optim._updates import add_ratio, approach, average_square
from facula.optim.optimizer import ParamsT, PerParameterOptimizer, host_number


class RMSprop(PerParameterOptimizer):
    """RMSprop. State: `step`, `square_avg` (v) and, where used, `momentum_buffer`, `grad_avg` (w).

    Raises ValueError for options out of range. `foreach` and `capturable` change nothing.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_at_least_0(eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        state = {"step": host_number(0), "square_avg": facula.zeros_like(p)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = facula.zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = facula.zeros_like(p)
        return state

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        alpha, momentum = group["alpha"], group["momentum"]
        if is_on(group["weight_decay"]):
            grad = grad + p * group["weight_decay"]
        self._count(state)
        v = state["square_avg"]
        average_square(v, grad, alpha)
        if group["centered"]:
            w = state["grad_avg"]
            approach(w, grad, 1 - alpha)
            root = (v - w * w).sqrt()
        else:
            root = v.sqrt()
        root = root + group["eps"]
        if momentum > 0:
            buffer = state["momentum_buffer"]
            buffer *= momentum
            add_ratio(buffer, grad, root)
            p -= buffer * factor(group["lr"])
        else:
            add_ratio(p, grad, root, -factor(group["lr"]))
