"""Rprop: steps whose size depends on the gradient's sign alone.

    eta  =  eta+, eta-, 1   where the gradient kept its sign, changed it, or one of both is zero
    s    =  clip(s * eta, step_min, step_max)
    p   <-  p - sign(g) * s,  with g = 0 where the sign changed

Source: Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning", 1993;
https://pytorch.org/docs/stable/generated/torch.optim.Rprop.html
"""

from __future__ import annotations

from typing import Any

import facula
from facula import Tensor
from facula.optim._options import check_lr
from facula.optim.optimizer import ParamsT, PerParameterOptimizer, host_number


class Rprop(PerParameterOptimizer):
    """Resilient backpropagation, for full batches. State: `step`, `prev` (g), `step_size` (s).

    `etas` are eta- and eta+, `step_sizes` the least and the greatest s, `lr` the first. Raises
    ValueError for options out of range. `foreach` and `capturable` change nothing.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        sizes = facula.ones_like(p)
        if p.is_complex():  # both parts have a size
            sizes = facula.full_like(p, complex(1, 1))
        return {
            "step": host_number(0),
            "prev": facula.zeros_like(p),
            "step_size": sizes * group["lr"],
        }

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        less, more = group["etas"]
        self._count(state)
        previous, size = state["prev"], state["step_size"]
        agreement = grad * previous
        kept, changed = agreement > 0, agreement < 0
        size.copy_(
            facula.where(kept, size * more, facula.where(changed, size * less, size)).clamp(
                *group["step_sizes"]
            )
        )
        grad = facula.where(changed, facula.zeros_like(grad), grad)
        p -= grad.sign() * size
        previous.copy_(grad)
