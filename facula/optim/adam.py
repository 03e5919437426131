"""Adam.

    m  =  beta1 * m + (1 - beta1) * g
    v  =  beta2 * v + (1 - beta2) * g^2
    p <-  p - lr * (m / c1) / (sqrt(v / c2) + eps),    c1 = 1 - beta1^t,  c2 = 1 - beta2^t

with g = grad + weight_decay * p, or g = grad and p first multiplied by 1 - lr * weight_decay if the
decay is decoupled; ``amsgrad`` takes the largest v so far in the place of v. The corrections c1 and
c2 are numbers: they are drawn together into one factor of the step and one of eps.

Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", https://arxiv.org/abs/1412.6980;
Loshchilov and Hutter, https://arxiv.org/abs/1711.05101 (decoupled decay); Reddi et al., "On the
Convergence of Adam and Beyond", ICLR 2018 (AMSGrad);
https://pytorch.org/docs/stable/generated/torch.optim.Adam.html
"""

from __future__ import annotations

from typing import Any

import facula
from facula import Tensor
from facula.optim._grouped import GroupedOptimizer
from facula.optim._options import (
    check_at_least_0,
    check_betas,
    check_lr,
    check_switches,
    factor,
    is_on,
)
from facula.optim._updates import add_ratio, approach, average_square, like
from facula.optim.optimizer import ParamsT, host_number

_FLOAT = {float}


class Adam(GroupedOptimizer):
    """Adam; with `decoupled_weight_decay` it is AdamW.

    State: `step`, `exp_avg` (m), `exp_avg_sq` (v) and, with `amsgrad`, `max_exp_avg_sq`.
    `lr` and both `betas` may be tensors of one element. Raises ValueError for options out of
    range. `foreach`, `fused` and `capturable` change nothing.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_lr(lr, foreach, capturable)
        check_at_least_0(eps=eps)
        tensors = [isinstance(beta, Tensor) for beta in betas[:2]]
        if tensors[0] != tensors[1] or (not tensors[0] and int in map(type, betas)):
            raise ValueError("betas must be either both floats or both Tensors")
        for i, beta in enumerate(betas[:2]):
            if isinstance(beta, Tensor):
                if foreach and not capturable:
                    raise ValueError(
                        f"betas[{i}] as a Tensor is not supported for capturable=False and "
                        "foreach=True"
                    )
                if beta.numel() != 1:
                    raise ValueError(f"Tensor betas[{i}] must be 1-element")
        check_betas(betas)
        check_at_least_0(weight_decay=weight_decay)
        check_switches(foreach, fused, differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        state = {
            "step": host_number(0),
            "exp_avg": like(p),
            "exp_avg_sq": like(p),
        }
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = like(p)
        return state

    def _state_keys(self, group: dict[str, Any]) -> tuple[str, ...]:
        most = ("max_exp_avg_sq",) if group["amsgrad"] else ()
        return ("exp_avg", "exp_avg_sq", *most)

    def _settings(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return is_on(group["weight_decay"]), group["decoupled_weight_decay"]

    def _numbers(self, group: dict[str, Any], t: float) -> tuple[Any, ...]:
        lr, eps, decay = group["lr"], group["eps"], group["weight_decay"]
        beta1, beta2 = group["betas"]
        if not _FLOAT.issuperset(map(type, (lr, eps, decay, beta1, beta2))):
            lr, eps, decay, beta1, beta2 = map(factor, (lr, eps, decay, beta1, beta2))
        root = (1 - beta2**t) ** 0.5
        shrink = 1 - lr * decay if group["decoupled_weight_decay"] else decay
        step = -(lr * root / (1 - beta1**t))
        return shrink, 1 - beta1, beta2, 1 - beta2, eps * root, step

    @staticmethod
    def _apply(
        settings: Any, numbers: Any, p: Any, grad: Any, m: Any, v: Any, most: Any = None
    ) -> None:
        decays, decoupled = settings
        shrink, rate1, keep2, rate2, eps, step = numbers
        if decays:
            if decoupled:
                p *= shrink
            else:
                grad = grad + p * shrink
        approach(m, grad, rate1)
        average_square(v, grad, keep2, rate2)
        if most is not None:
            before = most.clone() if facula.is_grad_enabled() else most  # maximum saves it
            v = most.copy_(facula.maximum(before, v))
        add_ratio(p, m, v.sqrt() + eps, step)
