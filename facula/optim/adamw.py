"""AdamW: Adam with decoupled weight decay.

    p <-  (1 - lr * weight_decay) * p,  then Adam's step from the gradient alone

Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization",
https://arxiv.org/abs/1711.05101; https://pytorch.org/docs/stable/generated/torch.optim.AdamW.html
"""

from __future__ import annotations

from typing import Any

from facula import Tensor
from facula.optim.adam import Adam
from facula.optim.optimizer import ParamsT


class AdamW(Adam):
    """Adam whose weight decay does not pass through the moments. State and errors as Adam's."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:  # checkpoints of before the option, and Adam's
            group["decoupled_weight_decay"] = True
