"""Optimisers whose update is followed as one step for all parameters of a group.

The update is written once, as a function of tensors, settings and numbers that records operations
and asks for nothing else (`trace/spans.py`). What changes from step to step, the learning rate and
all that is computed from the count of steps, is computed before, in Python numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula import Tensor
from facula.dtypes import COMPLEX
from facula.optim.optimizer import PerParameterOptimizer
from facula.trace.node import Other
from facula.trace.spans import run


class GroupedOptimizer(PerParameterOptimizer):
    """An optimiser that gives its update in parts, the five methods below.

    Parameters for which something is out of the ordinary (no state yet, sparse or complex ones,
    a graph to be built) are updated one by one, by the same `_apply`.
    """

    _counted = True  # whether the state has a count of steps

    def _state_keys(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The tensors of a parameter's state, in the order in which `_apply` takes them."""
        return ()

    def _settings(self, group: dict[str, Any]) -> tuple[Any, ...]:
        """What decides which operations an update consists of; hashable."""
        return ()

    def _numbers(self, group: dict[str, Any], t: float) -> tuple[Any, ...]:
        """The numbers (or tensors of one element) of the step t, counted from 1."""
        raise NotImplementedError

    @staticmethod
    def _apply(settings: Any, numbers: Any, p: Any, grad: Any, *state: Any) -> None:
        """Update a parameter and its state in place."""
        raise NotImplementedError

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        t = self._count(state) if self._counted else 0.0
        values = [state[k] for k in self._state_keys(group)]
        self._apply(self._settings(group), self._numbers(group, t), p, grad, *values)

    def _update_group(self, group: dict[str, Any]) -> None:
        keys = self._state_keys(group)
        all_state = self.state
        ready = []
        for p in group["params"]:
            grad = p._grad
            if grad is None:
                continue
            state = all_state.get(p, _EMPTY)
            if (
                (keys and not state)
                or p.node.dtype.category == COMPLEX
                or grad.node.op.__class__ is Other
                or group["differentiable"]
            ):
                return super()._update_group(group)
            tensors = [p, grad]
            for k in keys:
                value = state[k]
                if value.__class__ is not Tensor:
                    return super()._update_group(group)
                tensors.append(value)
            ready.append((state, tensors))
        by_count: dict[float, list[Any]] = {}
        for state, tensors in ready:
            t = self._count(state) if self._counted else 0.0
            by_count.setdefault(t, []).extend(tensors)
        static = (self._apply, len(keys) + 2, group["maximize"], self._settings(group))
        for t, all_tensors in by_count.items():
            run(_apply_all, tuple(all_tensors), static, self._numbers(group, t))
        return None


_EMPTY: dict[str, Any] = {}


def _apply_all(
    tensors: tuple[Any, ...], static: tuple[Callable[..., None], int, bool, Any], numbers: Any
) -> None:
    """Update the parameters whose tensors (parameter, gradient, state) follow one another."""
    apply, width, maximize, settings = static
    for i in range(0, len(tensors), width):
        p, grad, *state = tensors[i : i + width]
        apply(settings, numbers, p, -grad if maximize else grad, *state)
