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

from facula import Tensor
from facula.optim._grouped import GroupedOptimizer
from facula.optim._options import check_at_least_0, check_lr, factor, is_on
from facula.optim._updates import add_ratio, approach, average_square, like
from facula.optim.optimizer import ParamsT, host_number


class RMSprop(GroupedOptimizer):
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
        state = {"step": host_number(0), "square_avg": like(p)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = like(p)
        if group["centered"]:
            state["grad_avg"] = like(p)
        return state

    def _state_keys(self, group: dict[str, Any]) -> tuple[str, ...]:
        buffer = ("momentum_buffer",) if group["momentum"] > 0 else ()
        return ("square_avg", *buffer, *(("grad_avg",) if group["centered"] else ()))

    def _settings(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return is_on(group["weight_decay"]), group["momentum"] > 0, group["centered"]

    def _numbers(self, group: dict[str, Any], t: float) -> tuple[Any, ...]:
        alpha, rate = factor(group["alpha"]), factor(group["lr"])
        decay, momentum, eps = [factor(group[k]) for k in ("weight_decay", "momentum", "eps")]
        return decay, alpha, 1 - alpha, eps, momentum, rate, -rate

    @staticmethod
    def _apply(settings: Any, numbers: Any, p: Any, grad: Any, v: Any, *more: Any) -> None:
        decays, has_buffer, centered = settings
        decay, alpha, weight, eps, momentum, rate, minus_rate = numbers
        if decays:
            grad = grad + p * decay
        average_square(v, grad, alpha, weight)
        if centered:
            w = more[-1]
            approach(w, grad, weight)
            root = (v - w * w).sqrt()
        else:
            root = v.sqrt()
        root = root + eps
        if has_buffer:
            buffer = more[0]
            buffer *= momentum
            add_ratio(buffer, grad, root)
            p -= buffer * rate
        else:
            add_ratio(p, grad, root, minus_rate)
