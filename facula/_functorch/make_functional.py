"""A module as a function of its state: `functorch`'s way, before `torch.func.functional_call`.

Source: https://docs.pytorch.org/docs/stable/func.migrating.html
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import facula
from facula.errors import honest
from facula.func import functional_call
from facula.nn import Module

Tensors = tuple[Any, ...]


class _WithState(Module):
    """A module that is called with its state."""

    def __init__(self, stateless_model: Module) -> None:
        super().__init__()
        self.stateless_model = stateless_model
        self.param_names = tuple([n for n, _ in stateless_model.named_parameters()])
        self.buffer_names = tuple([n for n, _ in stateless_model.named_buffers()])

    def _call(self, params: Iterable[Any], buffers: Iterable[Any], args: Any, kwargs: Any) -> Any:
        state = dict(zip(self.param_names, params, strict=True))
        state.update(zip(self.buffer_names, buffers, strict=True))
        return functional_call(self.stateless_model, state, args, kwargs)


class FunctionalModuleWithBuffers(_WithState):
    """What `make_functional_with_buffers` gives: called with parameters and buffers first."""

    def forward(  # type: ignore[override]
        self, params: Iterable[Any], buffers: Iterable[Any], *args: Any, **kwargs: Any
    ) -> Any:
        """What the module makes of its arguments with this state."""
        return self._call(params, buffers, args, kwargs)


class FunctionalModule(_WithState):
    """What `make_functional` gives: called with the parameters first."""

    def forward(  # type: ignore[override]
        self, params: Iterable[Any], *args: Any, **kwargs: Any
    ) -> Any:
        """What the module makes of its arguments with these parameters."""
        return self._call(params, (), args, kwargs)


def make_functional_with_buffers(
    model: Module, disable_autograd_tracking: bool = False
) -> tuple[FunctionalModuleWithBuffers, Tensors, Tensors]:
    """A copy of a module as a function of its state, its parameters and its buffers."""
    f = FunctionalModuleWithBuffers(copy.deepcopy(model))
    return f, _parameters(f, disable_autograd_tracking), tuple(f.stateless_model.buffers())


def make_functional(
    model: Module, disable_autograd_tracking: bool = False
) -> tuple[FunctionalModule, Tensors]:
    """A copy of a module without buffers as a function of its parameters, and these."""
    if any([True for _ in model.buffers()]):
        raise RuntimeError(
            f"make_functional(model): {type(model).__name__} has buffers. Please use "
            "make_functional_with_buffers(model) instead."
        )
    f = FunctionalModule(copy.deepcopy(model))
    return f, _parameters(f, disable_autograd_tracking)


def _parameters(f: _WithState, untracked: bool) -> Tensors:
    params = tuple(f.stateless_model.parameters())
    return tuple([p.detach() for p in params]) if untracked else params


def combine_state_for_ensemble(
    models: Sequence[Module],
) -> tuple[FunctionalModuleWithBuffers, Tensors, Tensors]:
    """One of several equal modules as a function, and the states of all, stacked for `vmap`."""
    if not models:
        raise RuntimeError("combine_state_for_ensemble: Expected at least one model, got 0.")
    if len({(type(m), m.training) for m in models}) > 1:
        raise RuntimeError(
            "combine_state_for_ensemble: Expected all models to be of the same class and mode, "
            f"got {sorted({type(m).__name__ for m in models})}"
        )
    made = [make_functional_with_buffers(m) for m in models]
    params, buffers = [
        tuple([facula.stack(same) for same in zip(*[m[i] for m in made], strict=True)])
        for i in (1, 2)
    ]
    return made[0][0], params, buffers


__getattr__ = honest(__name__)
