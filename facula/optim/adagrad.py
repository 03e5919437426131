"""Adagrad.

    s  =  s + g^2
    p <-  p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

Source: Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic
Optimization", JMLR 12 (2011); https://pytorch.org/docs/stable/generated/torch.optim.Adagrad.html
"""

from __future__ import annotations

from typing import Any

import facula
from facula import Tensor
from facula.optim._options import check_at_least_0, check_lr, check_switches, factor, is_on
from facula.optim._updates import add_ratio
from facula.optim.optimizer import ParamsT, PerParameterOptimizer, host_number


class Adagrad(PerParameterOptimizer):
    """Adagrad. State, there from the beginning: `step`, `sum` (s).

    Raises ValueError for options out of range. `foreach` and `fused` change nothing.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_at_least_0(
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        check_switches(foreach, fused, differentiable)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p] = self._initial_state(group, p)

    _takes_sparse = True

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        start = group["initial_accumulator_value"]
        if p.is_complex():
            start = complex(start, start)
        total = facula.full_like(p, start, requires_grad=False)
        return {"step": host_number(0), "sum": total}

    def share_memory(self) -> None:
        """Other processes can't see this one's tensors: raises NotImplementedError."""
        raise NotImplementedError("Adagrad.share_memory() is not supported")

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        if grad.is_sparse:
            self._update_rows(group, p, grad.coalesce(), state)
            return
        if is_on(group["weight_decay"]):
            grad = grad + p * group["weight_decay"]
        total = state["sum"]
        total += grad * grad
        rate = factor(group["lr"]) / (1 + (self._count(state) - 1) * group["lr_decay"])
        add_ratio(p, grad, total.sqrt() + group["eps"], -rate)

    def _update_rows(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        """Only what a sparse gradient has."""
        if is_on(group["weight_decay"]):
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        total = state["sum"]
        total.add_(grad * grad)
        rate = factor(group["lr"]) / (1 + (self._count(state) - 1) * group["lr_decay"])
        deviation = total.sparse_mask(grad)._values().sqrt() + group["eps"]
        p.add_(grad._with(grad._values() / deviation * -rate))
