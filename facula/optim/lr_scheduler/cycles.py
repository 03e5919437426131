"""Rates and momenta that rise and fall: CyclicLR, OneCycleLR.

Source: Smith, "Cyclical Learning Rates for Training Neural Networks",
https://arxiv.org/abs/1506.01186; Smith and Topin, "Super-Convergence: Very Fast Training of Neural
Networks Using Large Learning Rates", https://arxiv.org/abs/1708.07120; the pages of the classes
under https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from facula.optim.lr_scheduler.base import (
    LRScheduler,
    need_optimizer,
    object_state,
    one_per_group,
    set_rate,
)
from facula.optim.optimizer import Optimizer


class _WithMomentum(LRScheduler):
    """A schedule that moves the momentum against the rate."""

    cycle_momentum: bool
    use_beta1: bool

    def _need_momentum(self, optimizer: Optimizer) -> None:
        """Find out where the momentum is; raises ValueError if nowhere."""
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option enabled, "
                f"but {type(optimizer).__name__} has neither"
            )
        self.use_beta1 = "betas" in optimizer.defaults

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class CyclicLR(_WithMomentum):
    """From `base_lr` to `max_lr` in `step_size_up` steps, back in `step_size_down`, and so on.

    The height of each cycle is scaled: not at all (``mode="triangular"``), by a half each
    (``"triangular2"``), by ``gamma ** step`` (``"exp_range"``), or by ``scale_fn(x)``, with x the
    number of the cycle from 1 or, for ``scale_mode="iterations"``, the step. The momentum (beta1
    where there is one) goes the other way, from `max_momentum` to `base_momentum`.

    Rates and momenta are numbers or lists with one for each group. Raises ValueError for another
    number, an unknown mode, or an optimiser without momentum when `cycle_momentum` is on.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        need_optimizer(optimizer)
        groups = optimizer.param_groups
        self.optimizer = optimizer
        base_lrs = one_per_group("base_lr", base_lr, groups)
        if last_epoch == -1:
            for group, rate in zip(groups, base_lrs):
                set_rate(group, rate)
        self.max_lrs = one_per_group("max_lr", max_lr, groups)
        up = float(step_size_up)
        down = up if step_size_down is None else float(step_size_down)
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(f"mode is invalid and scale_fn is None: {mode!r}")
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        if scale_fn is None:
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode = scale_mode
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._need_momentum(optimizer)
            self.base_momentums = one_per_group("base_momentum", base_momentum, groups)
            self.max_momentums = one_per_group("max_momentum", max_momentum, groups)
            if last_epoch == -1:
                for group, high, low in zip(groups, self.max_momentums, self.base_momentums):
                    self._set_momentum(group, high)
                    group["max_momentum"] = high
                    group["base_momentum"] = low
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height of a cycle, by its number or by the step."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular":
            return 1.0
        if self.mode == "triangular2":
            return 1 / (2.0 ** (x - 1))
        return self.gamma**x

    def get_lr(self) -> list[Any]:
        """The rates at step `last_epoch`; sets the momenta."""
        self._rates()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        position = 1.0 + self.last_epoch / self.total_size - cycle
        if position <= self.step_ratio:
            height = position / self.step_ratio
        else:
            height = (position - 1) / (self.step_ratio - 1)
        height_scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, low, high in zip(
                self.optimizer.param_groups, self.base_momentums, self.max_momentums
            ):
                self._set_momentum(group, high - (high - low) * height * height_scale)
        return [
            base + (high - base) * height * height_scale
            for base, high in zip(self.base_lrs, self.max_lrs)
        ]

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimiser; of `scale_fn` the attributes, if it is an object."""
        state = {k: v for k, v in super().state_dict().items() if k != "_scale_fn_custom"}
        state["_scale_fn_custom"] = object_state(self._scale_fn_custom)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; a function stays that of this schedule."""
        state = dict(state_dict)
        attributes = state.pop("_scale_fn_custom")
        self.__dict__.update(state)
        if attributes is not None:
            self._scale_fn_custom.__dict__.update(attributes)  # type: ignore[union-attr]


class OneCycleLR(_WithMomentum):
    """One rise from ``max_lr / div_factor`` to `max_lr`, and one fall to far below.

    The rise takes the share `pct_start` of all steps; the last rate is the first one divided by
    `final_div_factor`. With `three_phase` the fall is as long as the rise and the rest goes from
    the first rate to the last. `anneal_strategy`: ``"cos"`` or ``"linear"``. The momentum (beta1
    where there is one) goes the other way, between `base_momentum` and `max_momentum`.

    The number of steps is `total_steps` or ``epochs * steps_per_epoch``. Raises ValueError for
    options out of range and, in `step`, after the last one.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        need_optimizer(optimizer)
        groups = optimizer.param_groups
        self.optimizer = optimizer
        if total_steps is not None:
            _need_positive("total_steps", total_steps)
            self.total_steps = total_steps
        elif epochs is not None and steps_per_epoch is not None:
            _need_positive("epochs", epochs)
            _need_positive("steps_per_epoch", steps_per_epoch)
            self.total_steps = epochs * steps_per_epoch
        else:
            raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        self._anneal_func_type = anneal_strategy
        max_lrs = one_per_group("max_lr", max_lr, groups)
        if last_epoch == -1:
            for group, high in zip(groups, max_lrs):
                group["initial_lr"] = high / div_factor
                group["max_lr"] = high
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._need_momentum(optimizer)
            highs = one_per_group("max_momentum", max_momentum, groups)
            lows = one_per_group("base_momentum", base_momentum, groups)
            if last_epoch == -1:
                for group, high, low in zip(groups, highs, lows):
                    self._set_momentum(group, high)
                    group["max_momentum"] = high
                    group["base_momentum"] = low
        super().__init__(optimizer, last_epoch)

    def _anneal(self, start: float, end: float, share: float) -> float:
        """The value at a share of the way from `start` to `end`."""
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)
        return (end - start) * share + start

    def get_lr(self) -> list[Any]:
        """The rates at step `last_epoch`; sets the momenta. ValueError after the last step."""
        self._rates()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"Tried to step {step} times. The specified number of total steps is "
                f"{self.total_steps}"
            )
        start = 0.0
        phase = self._schedule_phases[-1]
        for phase in self._schedule_phases:
            if step <= phase["end_step"]:
                break
            if phase is not self._schedule_phases[-1]:
                start = phase["end_step"]
        share = (step - start) / (phase["end_step"] - start)
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._anneal(group[phase["start_lr"]], group[phase["end_lr"]], share))
            if self.cycle_momentum:
                low, high = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, self._anneal(low, high, share))
        return rates


def _need_positive(name: str, value: Any) -> None:
    if not isinstance(value, int) or value <= 0:
        raise ValueError(f"Expected positive integer {name}, but got {value}")


def _phases(steps: int, rise: float, three_phase: bool) -> list[dict[str, Any]]:
    """The ends of the phases and what changes in them, under PyTorch's names."""
    top = float(rise * steps) - 1
    if three_phase:
        legs = [
            (top, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
            (2 * rise * steps - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
            (steps - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
        ]
    else:
        legs = [
            (top, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
            (steps - 1, "max_lr", "min_lr", "base_momentum", "max_momentum"),
        ]
    names = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")
    return [dict(zip(names, leg)) for leg in legs]
