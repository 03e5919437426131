"""Python's `multiprocessing`, with `spawn`, and with tensors that travel between processes.

A tensor that is sent is copied, unless `share_memory_()` has moved it to memory that processes
share.

Source: https://pytorch.org/docs/stable/multiprocessing.html
"""

from __future__ import annotations

import multiprocessing
from multiprocessing import *  # noqa: F403
from typing import Any

from facula.errors import honest
from facula.multiprocessing.spawn import (
    ProcessContext,
    ProcessException,
    ProcessExitedException,
    ProcessRaisedException,
    spawn,
    start_processes,
)

__all__ = [  # noqa: PLE0604
    *multiprocessing.__all__,  # type: ignore[attr-defined]
    "ProcessContext",
    "ProcessException",
    "ProcessExitedException",
    "ProcessRaisedException",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]
_strategy = "file_descriptor"


def get_all_sharing_strategies() -> set[str]:
    """The names that `set_sharing_strategy` takes."""
    return {"file_descriptor", "file_system"}


def get_sharing_strategy() -> str:
    """The name that was set; memory is shared in one way here, whatever it says."""
    return _strategy


def set_sharing_strategy(new_strategy: str) -> None:
    """Remember a name; memory is shared in one way here, whatever it says."""
    global _strategy
    if new_strategy not in get_all_sharing_strategies():
        raise AssertionError(
            f"set_sharing_strategy(): {new_strategy!r} is not one of "
            f"{sorted(get_all_sharing_strategies())}"
        )
    _strategy = new_strategy


def __getattr__(name: str) -> Any:
    if hasattr(multiprocessing, name):
        return getattr(multiprocessing, name)
    return _missing(name)


_missing = honest(__name__)
