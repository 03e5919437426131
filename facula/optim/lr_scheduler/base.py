"""LRScheduler, the base of all schedules.

A schedule computes the rates of a step from those of the step before where it can, so that several
schedules, and the program, can act on the same rates. Attributes have PyTorch's names: they are
what `state_dict` consists of.

A rate that is a number stays a number, and meets tensors as an input of the recorded program; a
rate that is a tensor keeps its identity and is written to, and its value is never read.

Source: https://pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LRScheduler.html
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from facula import Tensor
from facula.optim.optimizer import Optimizer

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where "
    "possible: call `scheduler.step()` once an epoch. With an epoch, the rates are computed from "
    "the initial ones where the schedule has a formula for that."
)
_ORDER = "See https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"


def need_optimizer(optimizer: Any) -> None:
    """Raise TypeError unless `optimizer` is an Optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def own_value(value: Any) -> Any:
    """A number as it is; a tensor as a copy, which later writes to it don't change."""
    return value.detach().clone() if isinstance(value, Tensor) else value


def set_rate(group: dict[str, Any], value: Any, key: str = "lr") -> None:
    """Give a parameter group the rate `value`, in place where the group holds a tensor."""
    current = group[key]
    if value is current:
        return
    if not isinstance(current, Tensor):
        group[key] = value
    elif isinstance(value, Tensor):
        current.copy_(value)
    else:
        current.fill_(value)


def rates_of(optimizer: Optimizer, key: str = "lr") -> list[Any]:
    """The rates of all groups as they are now."""
    return [own_value(group[key]) for group in optimizer.param_groups]


def one_per_group(name: str, value: Any, groups: list[dict[str, Any]]) -> list[Any]:
    """An option given once, or as a list with a value for each group.

    Raises ValueError if the list has another length.
    """
    if not isinstance(value, (list, tuple)):
        return [value] * len(groups)
    if len(value) != len(groups):
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. {name} has "
            f"{len(value)} values, param_groups has {len(groups)}."
        )
    return list(value)


def object_state(function: Any) -> dict[str, Any] | None:
    """The attributes of a callable object; None for functions, which have no state to save."""
    if callable(function) and not hasattr(function, "__code__") and hasattr(function, "__dict__"):
        return dict(function.__dict__)
    return None


class LRScheduler:
    """What every schedule has: the count of steps, the initial rates, saving and loading.

    `last_epoch`: how many steps were made already, less one; with a value other than -1 the
    groups of the optimiser must have `initial_lr` (KeyError otherwise), as they have after its
    `load_state_dict`. A subclass gives `get_lr`, the rates at step `last_epoch`, and, where there
    is a formula for any step, `_get_closed_form_lr`.

    Raises TypeError if `optimizer` is none.
    """

    _get_lr_called_within_step = False
    _is_initial = False
    _get_closed_form_lr: Callable[[], list[Any]]

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        need_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", own_value(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming "
                    f"scheduler with last_epoch={last_epoch}: load the optimizer's state before "
                    "the scheduler is made, or begin with last_epoch=-1"
                )
        self.base_lrs = rates_of(optimizer, "initial_lr")
        self.last_epoch: Any = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        """The step that sets the first rates; called again by schedules made of schedules."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimiser."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned, PyTorch's included. The optimiser's rates are part
        of its own state and are not changed."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[Any]:
        """The rates that the last step set, one a group."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """The rates at step `last_epoch`, computed from the present ones; called by `step`."""
        raise NotImplementedError(f"{type(self).__name__} has no get_lr(); use get_last_lr()")

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next step; with `epoch` (deprecated), to that one.

        Warns when the first call comes before the optimiser's first step.
        """
        if self._step_count == 1:
            self._check_order()
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _check_order(self) -> None:
        if not getattr(self.optimizer.step, "hooked", False):
            warnings.warn(
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler "
                "initialization, so its calls can't be seen. Call it before "
                f"`lr_scheduler.step()`. {_ORDER}",
                UserWarning,
                stacklevel=3,
            )
        elif not self.optimizer._opt_called:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the first "
                "learning rate of the schedule is skipped. Call them in the opposite order. "
                f"{_ORDER}",
                UserWarning,
                stacklevel=3,
            )

    def _update_lr(self, epoch: int | None = None) -> None:
        """Set the rates of the next step, or of step `epoch`."""
        self._get_lr_called_within_step = True
        try:
            if epoch is None:
                self.last_epoch += 1
                values = self.get_lr()
            else:
                self.last_epoch = epoch
                closed_form = getattr(self, "_get_closed_form_lr", None)
                values = self.get_lr() if closed_form is None else closed_form()
        finally:
            self._get_lr_called_within_step = False
        for group, value in zip(self.optimizer.param_groups, values):
            set_rate(group, value)
        self._last_lr = rates_of(self.optimizer)

    # ---- for subclasses

    def _rates(self, stacklevel: int = 3) -> list[Any]:
        """The present rates, from which `get_lr` computes; warns if `step` did not ask for them."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use "
                "`get_last_lr()`: `get_lr()` computes the rates of a step anew.",
                UserWarning,
                stacklevel=stacklevel,
            )
        return [group["lr"] for group in self.optimizer.param_groups]

    def _scaled(self, factor: float) -> list[Any]:
        """The present rates times `factor`."""
        return [rate * factor for rate in self._rates(4)]


class _LRScheduler(LRScheduler):
    """The name of `LRScheduler` in programs written for PyTorch 1."""
