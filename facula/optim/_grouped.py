"""Optimisers whose update is followed as one step for all parameters of a group.

The update is written once, as a function of tensors, settings and numbers that records operations
and asks for nothing else (`trace/spans.py`). What changes from step to step, the learning rate and
all that is computed from the count of steps, is computed before, in Python numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from operator import itemgetter
from typing import Any

from numpy import ndarray

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
        params = [p for p in group["params"] if p._grad is not None]
        states: Any = list(map(self.state.get, params))
        try:  # columns, by loops of Python's own
            values = [list(map(itemgetter(k), states)) for k in keys]
            steps = list(map(_step, states)) if self._counted else []
        except (TypeError, KeyError):  # None for a parameter that has no state yet
            return super()._update_group(group)
        if group["differentiable"] or not _TENSOR.issuperset(map(type, chain(*values))):
            return super()._update_group(group)
        columns = [params, [p._grad for p in params], *values]
        static = (self._apply, len(columns), group["maximize"], self._settings(group))
        hosts: list[Any] = list(map(self._hosts.get, steps))
        if not _ARRAY.issuperset(map(type, hosts)):
            hosts = [self._host(s, "step") for s in states]
        counts = [a.item() for a in hosts] or [0.0] * len(params)
        for count in dict.fromkeys(counts):
            these = columns
            if counts.count(count) < len(counts):
                these = [[x for x, n in zip(c, counts) if n == count] for c in columns]
            t = count + 1.0
            try:
                run(_apply_all, tuple(chain(*these)), static, self._numbers(group, t))
            except _OneByOne:
                super()._update_group({**group, "params": these[0]})
                continue
            for a, n in zip(hosts, counts):
                if n == count:
                    a[()] = t
        return None


_TENSOR, _ARRAY = {Tensor}, {ndarray}
_step = itemgetter("step")


class _OneByOne(Exception):
    """Some parameters have to be updated by themselves."""


def _apply_all(
    tensors: tuple[Any, ...], static: tuple[Callable[..., None], int, bool, Any], numbers: Any
) -> None:
    """Update parameters; `tensors`: all parameters, all gradients, then all of each state."""
    apply, width, maximize, settings = static
    n = len(tensors) // width
    for p, grad in zip(tensors[:n], tensors[n : 2 * n]):
        if p.node.dtype.category == COMPLEX or grad.node.op.__class__ is Other:
            raise _OneByOne
    for p, grad, *state in zip(*[tensors[i : i + n] for i in range(0, len(tensors), n)]):
        apply(settings, numbers, p, -grad if maximize else grad, *state)
