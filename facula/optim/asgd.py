"""Averaged stochastic gradient descent.

    p  <-  (1 - lambd * eta) * p - eta * g
    a  <-  a + mu * (p - a)
    eta =  lr / (1 + lambd * lr * t)^alpha,    mu = 1 / max(1, t - t0)      (for the next step)

Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; the
schedule of eta as in Bottou's stochastic gradient programs;
https://pytorch.org/docs/stable/generated/torch.optim.ASGD.html
"""

from __future__ import annotations

from typing import Any

import facula
from facula import Tensor
from facula.optim._options import check_at_least_0, check_lr, factor, is_on
from facula.optim.optimizer import ParamsT, PerParameterOptimizer, host_number


class ASGD(PerParameterOptimizer):
    """SGD that also keeps the average of the parameters.

    State: `step`, `eta`, `mu` and the average `ax`. Raises ValueError for options out of range.
    `foreach` and `capturable` change nothing.
    """

    _host_state = ("step", "eta", "mu")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_at_least_0(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        lr = group["lr"]
        return {
            "step": host_number(0),
            "eta": _host_tensor(lr) if isinstance(lr, Tensor) else host_number(lr),
            "mu": host_number(1),
            "ax": facula.zeros_like(p),
        }

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        lr, lambd = factor(group["lr"]), group["lambd"]
        if is_on(group["weight_decay"]):
            grad = grad + p * group["weight_decay"]
        # With a tensor for the learning rate, eta is a tensor too, and no value is read. What is
        # kept of it has the precision of numbers on the host, what is computed from it float64's.
        on_host = not isinstance(lr, Tensor)
        eta = self._host(state, "eta").item() if on_host else state["eta"].double()
        mu = self._host(state, "mu")
        p *= 1 - eta * lambd
        p -= grad * eta
        average = state["ax"]
        average += (p - average) * mu.item()
        t = self._count(state)
        lr = lr if on_host else lr.double()
        eta = lr / (1 + lr * lambd * t) ** group["alpha"]
        if on_host:
            self._host(state, "eta")[()] = eta
        else:
            state["eta"] = _host_tensor(eta)
        mu[()] = 1 / max(1, t - group["t0"])


def _host_tensor(value: Tensor) -> Tensor:
    """A copy with the dtype of numbers on the host, without dimensions."""
    return factor(value).detach().to(host_number(0).dtype, copy=True)
