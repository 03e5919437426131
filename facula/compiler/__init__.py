"""From a recorded program to kernels; and the public names of `torch.compiler`.

Facula compiles every program that repeats, so there is nothing to switch on: `compile` gives the
module or function that it is given, and the marks that steer PyTorch's compiler have no effect.

Source: https://pytorch.org/docs/stable/torch.compiler_api.html
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from facula.errors import honest


def is_compiling() -> bool:
    """Whether this code is being traced by a compiler: never, Python always runs."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """The function itself, as a decorator with or without arguments."""
    return fn if fn is not None else _same


def _same(fn: Any) -> Any:
    return fn


allow_in_graph = assume_constant_result = nested_compile_region = wrap_numpy = _same


def substitute_in_graph(original_fn: Any, **kwargs: Any) -> Callable[[Any], Any]:
    """A decorator that leaves its function as it is."""
    return _same


def reset() -> None:
    """Accepted, with no effect."""


cudagraph_mark_step_begin = reset


class set_stance(contextlib.ContextDecorator):
    """Accepted, with no effect, also as a context manager and as a decorator."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass


def list_backends(*args: Any, **kwargs: Any) -> list[str]:
    """The compilers to choose from: Facula's own, which needs no choice."""
    return []


def compile(model: Any = None, **kwargs: Any) -> Any:
    """What `torch.compile` does: see there."""
    from facula.optimized import compile as run

    return run(model, **kwargs)


__getattr__ = honest(__name__)
