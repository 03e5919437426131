"""Stochastic gradient descent, with momentum.

    g   =  grad + weight_decay * p
    b   =  momentum * b + (1 - dampening) * g         (b = g at the first step)
    d   =  g + momentum * b  if nesterov  else  b     (d = g without momentum)
    p  <-  p - lr * d

Source: https://pytorch.org/docs/stable/generated/torch.optim.SGD.html; Nesterov momentum as in
Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.
"""

from __future__ import annotations

from typing import Any

from facula import Tensor
from facula.optim._grouped import GroupedOptimizer
from facula.optim._options import check_at_least_0, check_lr, check_switches, factor, is_on
from facula.optim._updates import like
from facula.optim.optimizer import ParamsT


class SGD(GroupedOptimizer):
    """Stochastic gradient descent, optionally with (Nesterov) momentum.

    State: `momentum_buffer`, if there is momentum. Raises ValueError for options out of range.
    `foreach` and `fused` change nothing.
    """

    _real_views = False  # every operation is linear

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_at_least_0(momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        check_switches(foreach, fused, differentiable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    _takes_sparse = True

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        if group["momentum"] == 0:
            return {}
        if group["dampening"] != 0 or group["differentiable"] or p._grad.is_sparse:
            return {"momentum_buffer": None}  # `_update` makes it
        # The first step is like the others then: b = momentum * -0 + g is g, its sign too.
        return {"momentum_buffer": like(p, -0.0)}

    _counted = False

    def _state_keys(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] != 0 else ()

    def _settings(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return is_on(group["weight_decay"]), group["nesterov"], group["dampening"] != 0

    def _numbers(self, group: dict[str, Any], t: float) -> tuple[Any, ...]:
        decay, rate = factor(group["weight_decay"]), factor(group["lr"])
        return decay, factor(group["momentum"]), factor(1 - group["dampening"]), rate

    @staticmethod
    def _apply(settings: Any, numbers: Any, p: Any, grad: Any, buffer: Any = None) -> None:
        decays, nesterov, dampens = settings
        decay, momentum, share, rate = numbers
        if decays:
            grad = grad + p * decay
        if buffer is not None:
            buffer *= momentum
            buffer += grad * share if dampens else grad
            grad = grad + buffer * momentum if nesterov else buffer
        p -= grad * rate

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        if group["momentum"] != 0 and state.get("momentum_buffer") is None:
            # The first step: the buffer begins as the gradient, decay included, and d is the
            # gradient with or without Nesterov's look ahead of it.
            decays, nesterov, _ = self._settings(group)
            decay, momentum, _, rate = self._numbers(group, 0.0)
            if decays:
                grad = grad + p * decay
            buffer = state["momentum_buffer"] = grad.detach().clone()
            p -= (grad + buffer * momentum if nesterov else buffer) * rate
            return
        super()._update(group, p, grad, state)
