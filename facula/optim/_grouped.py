"""Optimisers whose update is followed as one step for all parameters of a group.

The update is written once, as a function of tensors, settings and numbers that records operations
and asks for nothing else (`trace/spans.py`). What changes from step to step, the learning rate and
all that is computed from the count of steps, is computed before, in Python numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from operator import is_, itemgetter
from typing import Any

import numpy as np

import facula
from facula import Tensor
from facula.dtypes import COMPLEX
from facula.optim.optimizer import PerParameterOptimizer, host_dtype
from facula.trace.kept import Kept, follow, keep, release
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

    def _make_hooks(self) -> None:
        super()._make_hooks()
        self._last: dict[int, _Last] = {}  # by the ids of groups

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._last.clear()

    def _update_group(self, group: dict[str, Any]) -> None:
        keys = self._state_keys(group)
        last = self._last.get(id(group))
        if last is None or last.keys != keys:
            last = self._last[id(group)] = _Last(keys, self._counted)
        params = [p for p in group["params"] if p._grad is not None]
        if not params:
            return None
        states: Any = list(map(self.state.get, params))
        if last.width and not all(states):
            self._begin(group, params, states)
        try:  # by loops of Python's own
            found = list(chain.from_iterable(map(last.get, states))) if last.width else []
        except (TypeError, KeyError):  # None for a parameter that has no state yet
            return super()._update_group(group)
        if group["differentiable"]:
            return super()._update_group(group)
        if not last.knows(found):
            if not _TENSOR.issuperset(map(type, last.values_of(found))):
                return super()._update_group(group)
            last.meet(found, [self._host(s, "step") for s in states] if self._counted else [])
        tensors = [*params, *[p._grad for p in params]]
        static = (self._apply, len(keys) + 2, group["maximize"], self._settings(group))
        counts = last.counts()
        t = counts[0] + 1.0
        if counts.count(counts[0]) == len(counts):
            numbers = self._numbers(group, t)
            if last.follow(tensors, static, numbers) or self._run(
                group, params, (*tensors, *last.values), static, numbers
            ):
                last.count(t)
            return None
        columns = [params, [p._grad for p in params]]
        columns += [found[i :: last.width] for i in range(1, last.width)]
        for count in dict.fromkeys(counts):
            these = [[x for x, n in zip(c, counts) if n == count] for c in columns]
            t = count + 1.0
            if self._run(group, these[0], chain(*these), static, self._numbers(group, t)):
                for a, n in zip(last.hosts, counts):
                    if n == count:
                        a[()] = t
        return None

    def _begin(self, group: dict[str, Any], params: list[Any], states: list[Any]) -> None:
        """Make the state of the parameters that have none, unless `_update` is to do that."""
        if group["differentiable"] or any([p._grad.is_sparse for p in params]):
            return
        room = None
        for i, p in enumerate(params):
            if not states[i]:
                states[i] = self._initial_state(group, p)
                if states[i]:
                    self.state[p] = states[i]
                    if self._counted:
                        if room is None:
                            room = np.zeros(len(params), host_dtype().np)
                        # Beside each other, so that they are counted in one go (`_Last.row`).
                        states[i]["step"] = facula.from_numpy(room[i : i + 1].reshape(()))

    def _run(
        self, group: dict[str, Any], params: list[Any], tensors: Any, static: Any, numbers: Any
    ) -> bool:
        """Update parameters as one step; False where each was updated, and counted, by itself."""
        try:
            run(_apply_all, tuple(tensors), static, numbers)
        except _OneByOne:
            super()._update_group({**group, "params": params})
            return False
        return True


class _Last:
    """What the last step of a group found in the state, and how it is found.

    get      picks from a parameter's state what is looked at, the count of steps first
    width    how much that is
    found    all of the first parameter, all of the second, ...
    values   those that are tensors to be updated: all of the first kind, all of the second, ...
    hosts    the memory of the counts
    row      the same as one array, where they lie in a row
    kept     the values, while nobody else has looked at them for some steps (trace/kept.py)
    """

    __slots__ = (
        *("counted", "found", "get", "hosts", "kept", "keys", "row", "seen", "values", "wait"),
        "width",
    )

    def __init__(self, keys: tuple[str, ...], counted: bool) -> None:
        self.keys, self.counted = keys, counted
        names = ("step", *keys) if counted else keys
        self.width = len(names)
        self.get: Any = None
        if names:
            one = itemgetter(names[0])
            self.get = itemgetter(*names) if names[1:] else lambda state: (one(state),)
        self.found: list[Any] = []
        self.values: list[Any] = []
        self.hosts: list[Any] = []
        self.row: Any = None
        self.kept: Kept | None = None
        self.seen, self.wait = 0, WAIT

    def values_of(self, found: list[Any]) -> list[Any]:
        """Those of what was found that are updated, kind by kind."""
        kinds = range(int(self.counted), self.width)
        return [x for i in kinds for x in found[i :: self.width]]

    def knows(self, found: list[Any]) -> bool:
        """Whether these are the same objects as last time."""
        return len(found) == len(self.found) and all(map(is_, found, self.found))

    def meet(self, found: list[Any], hosts: list[Any]) -> None:
        """Others have been found."""
        self.found, self.hosts = found, hosts
        self.row = _in_a_row(hosts)
        self.values = self.values_of(found)
        self.kept, self.seen = None, 0

    def counts(self) -> list[float]:
        """The counts of steps, or one where there are none."""
        if self.row is not None:
            return self.row.tolist()  # type: ignore[no-any-return]
        return [a.item() for a in self.hosts] or [0.0]

    def count(self, t: float) -> None:
        """Let this be the count of all."""
        if self.row is not None:
            self.row.fill(t)
            return
        for a in self.hosts:
            a[()] = t

    def follow(self, tensors: list[Any], static: Any, numbers: Any) -> bool:
        """Update what is kept and its parameters, if that is known; else let go of it."""
        k = self.kept
        if k is None:
            self.seen += 1
            if (
                self.seen < self.wait
                or not self.values
                or not _FLOAT.issuperset(map(type, numbers))
            ):
                return False
            k = self.kept = keep(self.values)
        if k is not None:
            if follow(_apply_all, tensors, static, numbers, k):
                return True
            release(k)
        self.kept, self.seen, self.wait = None, 0, min(2 * self.wait, LONGEST)
        return False


# Steps after which state that nobody else looks at is kept, if a step that is known comes then. It
# is twice as many each time that somebody did look.
WAIT, LONGEST = 3, 1000
_TENSOR, _FLOAT = {Tensor}, {float}


def _in_a_row(hosts: list[Any]) -> Any:
    """Numbers that lie one after the other in memory as one array of them; else None."""
    if not hosts:
        return None
    first = hosts[0]
    start, step = first.__array_interface__["data"][0], first.itemsize
    for i, a in enumerate(hosts):
        if a.dtype is not first.dtype or a.__array_interface__["data"][0] != start + i * step:
            return None
    return np.lib.stride_tricks.as_strided(first, (len(hosts),), (step,))


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
