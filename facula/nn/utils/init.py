"""Modules without initial values."""

from __future__ import annotations

from typing import Any

from facula import random
from facula.nn.modules.module import Module

__all__ = ["skip_init"]


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """An instance of ``module_cls`` whose parameters need not be drawn, to be loaded over.

    The generator is left as it was. Values that nothing reads are never computed, so the initial
    values that are replaced cost nothing.
    """
    from ..modules.module import Module

    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    state = random.get_rng_state()
    try:
        return module_cls(*args, **kwargs)
    finally:
        random.set_rng_state(state)
