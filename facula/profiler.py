"""Where time goes: regions can be marked, and Facula has no table of PyTorch's operations to show.

Use `facula explain` to see what is run.

Source: https://pytorch.org/docs/stable/profiler.html
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable
from typing import Any, NoReturn

from facula.errors import honest, refuse

__all__ = [
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]


class ProfilerActivity(enum.Enum):
    """Kinds of work that PyTorch's profiler follows."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3


class ProfilerAction(enum.Enum):
    """What PyTorch's profiler does in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities() -> set[ProfilerActivity]:
    """Kinds of work that can be followed: none."""
    return set()


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, **kwargs: Any
) -> Callable[[int], ProfilerAction]:
    """What to do in which step: nothing is followed."""
    return lambda step: ProfilerAction.NONE


def tensorboard_trace_handler(*args: Any, **kwargs: Any) -> NoReturn:
    """NotImplementedError: there is no trace of PyTorch's form."""
    refuse("torch.profiler.tensorboard_trace_handler", "traces are not written")


class record_function(contextlib.ContextDecorator):
    """Mark a region: accepted, with no effect."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name

    def __enter__(self) -> record_function:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


class profile:
    """Follow what runs: NotImplementedError when it is entered, there is nothing to show."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.enabled = kwargs.get("enabled", args[0] if args else True)

    def __enter__(self) -> profile:
        if self.enabled is not False:
            refuse("torch.profiler.profile", "use `facula explain`, or a profiler of Python")
        return self

    def __exit__(self, *exc: object) -> None:
        return None


__getattr__ = honest(__name__)
