"""Averages of a model's weights over the steps of training, and the schedule that goes with them.

    equal weights (SWA):    a  <-  a + (p - a) / (n + 1)          after n updates
    exponential (EMA):      a  <-  decay * a + (1 - decay) * p

Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization",
https://arxiv.org/abs/1803.05407; https://pytorch.org/docs/stable/optim.html#weight-averaging-swa-and-ema
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import facula
from facula import Tensor
from facula.nn import Module
from facula.nn.modules.batchnorm import _BatchNorm
from facula.optim.lr_scheduler.base import LRScheduler, one_per_group
from facula.optim.optimizer import Optimizer
from facula.tensor import tensor

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

AvgFn = Callable[[Tensor, Tensor, "Tensor | int"], Tensor]
MultiAvgFn = Callable[[Any, Any, "Tensor | int"], None]


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def _approach(average: Tensor, value: Tensor, weight: Any) -> None:
    """Move the average towards the value, in place; whole numbers are rounded towards zero."""
    if not (average.is_floating_point() or average.is_complex()):
        average.copy_(average + (value - average) * weight)
        return
    average.lerp_(value, weight.to(average.dtype) if isinstance(weight, Tensor) else weight)


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAvgFn:
    """An exponential average of lists of tensors, in place: ``f(averaged, current, n)``.

    Raises ValueError unless ``0 <= decay <= 1``.
    """
    _check_decay(decay)

    def ema_update(averaged: Any, current: Any, _: Any) -> None:
        with facula.no_grad():
            for a, p in zip(averaged, current):
                _approach(a, p, 1 - decay)

    return ema_update


def get_swa_multi_avg_fn() -> MultiAvgFn:
    """An average of lists of tensors with equal weights, in place: ``f(averaged, current, n)``."""

    def swa_update(averaged: Any, current: Any, num_averaged: Any) -> None:
        with facula.no_grad():
            weight = 1 / (num_averaged + 1)
            for a, p in zip(averaged, current):
                _approach(a, p, weight)

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> AvgFn:
    """An exponential average of one tensor: ``f(averaged, current, n)`` returns the new average.

    Raises ValueError unless ``0 <= decay <= 1``.
    """
    _check_decay(decay)

    def ema_update(averaged: Tensor, current: Tensor, _: Any) -> Tensor:
        with facula.no_grad():
            return decay * averaged + (1 - decay) * current

    return ema_update


def get_swa_avg_fn() -> AvgFn:
    """An average of one tensor with equal weights: ``f(averaged, current, n)``."""

    def swa_update(averaged: Tensor, current: Tensor, num_averaged: Any) -> Tensor:
        with facula.no_grad():
            return averaged + (current - averaged) / (num_averaged + 1)

    return swa_update


class AveragedModel(Module):
    """A copy of `model` whose weights are averages over the calls of `update_parameters`.

    `avg_fn(averaged, current, n)` returns the new average of one tensor; `multi_avg_fn` changes a
    list of tensors of one dtype in place; without either, all weights are equal. With `use_buffers`
    buffers are averaged too, otherwise copied. `n_averaged` (int64) counts the updates.

    Raises AssertionError if both functions are given.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: AvgFn | None = None,
        multi_avg_fn: MultiAvgFn | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer(
            "n_averaged", tensor(0, dtype=facula.int64, device=device), persistent=True
        )
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model with the averaged weights."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the present weights of `model` into the average."""

        def tensors(m: Module) -> Iterable[Tensor]:
            return (
                itertools.chain(m.parameters(), m.buffers()) if self.use_buffers else m.parameters()
            )

        # The count is written through NumPy: reading it then never makes pending work run.
        count = self.n_averaged.numpy()
        n = int(count)
        with facula.no_grad():
            pairs = [(a, p.detach()) for a, p in zip(tensors(self.module), tensors(model))]
            if n == 0:
                for a, p in pairs:
                    a.copy_(p)
            else:
                self._average(pairs, n)
            if not self.use_buffers:
                for a, p in zip(self.module.buffers(), model.buffers()):
                    a.copy_(p)
        count[()] = n + 1

    def _average(self, pairs: list[tuple[Tensor, Tensor]], n: int) -> None:
        if self.avg_fn is not None:
            for a, p in pairs:
                a.copy_(self.avg_fn(a.detach(), p, self.n_averaged))
            return
        by_dtype: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
        for a, p in pairs:
            averaged, current = by_dtype.setdefault(a.dtype, ([], []))
            averaged.append(a.detach())
            current.append(p)
        for averaged, current in by_dtype.values():
            if self.multi_avg_fn is not None:
                self.multi_avg_fn(averaged, current, self.n_averaged)
            else:
                for a, p in zip(averaged, current):
                    _approach(a, p, 1 / (n + 1))


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of all BatchNorm layers anew, by one pass over `loader`.

    A batch that is a list or tuple gives its first element to the model. Momenta and the training
    mode are afterwards as before. Does nothing for a model without such layers.
    """
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    if not layers:
        return
    was_training = model.training
    model.train()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the average of all batches
    with facula.no_grad():
        for batch in loader:
            if isinstance(batch, (list, tuple)):
                batch = batch[0]
            model(batch if device is None else batch.to(device))
    for layer, momentum in zip(layers, momenta):
        layer.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """From the present rate to `swa_lr` in `anneal_epochs` steps, and constant from there on.

    `swa_lr`: a number or one for each group. `anneal_strategy`: ``"cos"`` or ``"linear"``. Raises
    ValueError for another strategy, another number of rates, or `anneal_epochs` that is no integer
    >= 0.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        groups = optimizer.param_groups
        for group, rate in zip(groups, one_per_group("swa_lr", swa_lr, groups)):
            group["swa_lr"] = rate
        self._set_anneal_func(anneal_strategy)
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _set_anneal_func(self, strategy: str) -> None:
        if strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {strategy}"
            )
        self._anneal_strategy = strategy

    def _share(self, step: int) -> float:
        """How much of `swa_lr` is in the rate at a step."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t

    def get_lr(self) -> list[Any]:
        """The present rates, freed of the last step's share of `swa_lr` and given this one's."""
        rates = self._rates()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        out = []
        for group, rate in zip(self.optimizer.param_groups, rates):
            end = group["swa_lr"]
            start = end if before == 1 else (rate - before * end) / (1 - before)
            out.append(end * now + start * (1 - now))
        return out

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned, PyTorch's included."""
        super().load_state_dict(state_dict)
        self._set_anneal_func(self._anneal_strategy)


def __getattr__(name: str) -> object:
    from facula.errors import missing_name

    raise missing_name(__name__, name)
