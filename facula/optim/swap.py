"""Running an optimiser on other parameters for a while.

Source: https://pytorch.org/docs/stable/optim.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from facula import Tensor
from facula.optim.optimizer import Optimizer


@contextmanager
def swap_in_optimizer_params_and_state(
    optimizer: Optimizer,
    swapin_parameters: dict[str, Tensor],
    swapin_optim_state: dict[str, Any],
) -> Iterator[None]:
    """In a `with` block, let `optimizer` have other parameters, other state and other options.

    `swapin_parameters`: tensors in the order of the optimiser's own, by any names.
    `swapin_optim_state`: as `optimizer.state_dict()` returns it; updates in place of its tensors
    remain in it, nothing else does. At the end of the block everything is as it was.

    Raises RuntimeError if the optimiser has no state yet, for fewer parameters than it has, and for
    another number of groups or of parameters in them.
    """
    name = "swap_in_optimizer_params_and_state"
    if not optimizer.state:
        raise RuntimeError(f"{name} requires initialized optimizer state: call step() first")
    state = swapin_optim_state.get("state")
    if not isinstance(state, dict):
        raise RuntimeError(
            f"{name} requires swapin_optim_state['state'] to be a dict mapping packed parameter "
            f"ids to per-param state dicts, got {type(state).__name__}"
        )
    groups = swapin_optim_state.get("param_groups", ())
    if len(groups) != len(optimizer.param_groups):
        raise RuntimeError(
            f"{name}: swapin_optim_state has a different number of parameter groups than the live "
            f"optimizer: {len(groups)}, expected {len(optimizer.param_groups)}"
        )
    params = iter(swapin_parameters.values())
    new_groups: list[dict[str, Any]] = []
    new_state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
    for i, (own, group) in enumerate(zip(optimizer.param_groups, groups)):
        numbers = group["params"]
        mine = [p for _, p in zip(numbers, params)]
        if len(mine) != len(own["params"]):
            raise RuntimeError(
                f"{name} requires the explicit parameter state to match optimizer.param_groups "
                f"ordering: {len(mine)} parameters for group {i}, expected {len(own['params'])}"
            )
        new_groups.append({**group, "params": mine})
        for number, p in zip(numbers, mine):
            if number in state:
                new_state[p] = dict(state[number])
    saved = optimizer.param_groups, optimizer.state
    optimizer.param_groups, optimizer.state = new_groups, new_state
    try:
        yield
    finally:
        optimizer.param_groups, optimizer.state = saved
