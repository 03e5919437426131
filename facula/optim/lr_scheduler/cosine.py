"""Cosine annealing.

    lr_t  =  eta_min + (lr_0 - eta_min) * (1 + cos(pi * t / T)) / 2

Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
https://arxiv.org/abs/1608.03983; the pages of the classes under
https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
"""

from __future__ import annotations

import math
from typing import Any

from facula.optim.lr_scheduler.base import LRScheduler
from facula.optim.optimizer import Optimizer


def _between(low: float, high: Any, turn: float) -> Any:
    """From `high` at ``turn = 0`` to `low` at 1 and back at 2, along a cosine."""
    return low + (high - low) * (1 + math.cos(math.pi * turn)) / 2


class CosineAnnealingLR(LRScheduler):
    """From the initial rate to `eta_min` in `T_max` steps, back in as many, and so on."""

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The present rates' distances to `eta_min` times the ratio of this step's and the last.

        Just after a minimum there is no such ratio; the rates rise by their first difference.
        """
        rates = self._rates()
        if self._is_initial:
            return rates
        if self._step_count == 1 and self.last_epoch > 0:  # called right after construction
            return self._get_closed_form_lr()
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [rate + (base - self.eta_min) * rise for rate, base in zip(rates, self.base_lrs)]
        ratio = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / (
            1 + math.cos(math.pi * (self.last_epoch - 1) / self.T_max)
        )
        return [ratio * (rate - self.eta_min) + self.eta_min for rate in rates]

    def _get_closed_form_lr(self) -> list[Any]:
        turn = self.last_epoch / self.T_max
        return [_between(self.eta_min, base, turn) for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """From the initial rate to `eta_min` in `T_0` steps, then again in `T_0 * T_mult`, and so on.

    Raises ValueError unless `T_0` and `T_mult` are positive integers and `eta_min` is a number.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if T_0 <= 0 or not isinstance(T_0, int):
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if T_mult < 1 or not isinstance(T_mult, int):
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, (int, float)):
            raise ValueError(
                f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}"
            )
        self.T_0 = T_0
        self.T_i = T_0  # the length of the present period
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch  # steps since its beginning
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates on the present period's cosine."""
        self._rates()
        turn = self.T_cur / self.T_i
        return [_between(self.eta_min, base, turn) for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:  # type: ignore[override]
        """Go on to the next step, or to step `epoch`, which may be a fraction.

        Raises ValueError for a negative `epoch`.
        """
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        else:
            self._find_period(epoch)
        self.last_epoch = math.floor(epoch)
        self._update_lr(self.last_epoch)

    def _find_period(self, epoch: float) -> None:
        if epoch < 0:
            raise ValueError(f"Expected non-negative epoch, but got {epoch}")
        if epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:  # period n begins at T_0 * (T_mult^n - 1) / (T_mult - 1)
            n = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**n - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * self.T_mult**n
