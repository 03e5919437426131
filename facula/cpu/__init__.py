"""Native code for the processor; and the public names of `torch.cpu`.

Source: https://pytorch.org/docs/stable/cpu.html
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

from facula.errors import honest


def is_available() -> bool:
    """True: the processor is there."""
    return True


def is_initialized() -> bool:
    """True: there is nothing to initialise."""
    return True


def device_count() -> int:
    """The number of devices of the kind 'cpu': one."""
    return 1


def current_device() -> str:
    """The name of the device: 'cpu'."""
    return "cpu"


def set_device(device: Any) -> None:
    """Accepted, with no effect: there is one device."""


def synchronize(device: Any = None) -> None:
    """Compute what this thread has recorded."""
    from facula.trace.recorder import flush

    flush()


class Stream:
    """A queue of work: on the processor a stand-in that does nothing, as in PyTorch."""

    def __init__(self, priority: int = -1) -> None:
        self.priority = priority

    def wait_stream(self, stream: Any) -> None:
        """Nothing to wait for: work runs in the order of the program."""

    def record_event(self) -> None:
        """Nothing to record."""

    def wait_event(self, event: Any) -> None:
        """Nothing to wait for."""


class Event:
    """A mark in a stream: does nothing, as in PyTorch."""

    def query(self) -> bool:
        """True: what comes before in the program has run."""
        return True

    def record(self, stream: Any = None) -> None:
        """Nothing to record."""

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def wait(self, stream: Any = None) -> None:
        """Nothing to wait for."""


def current_stream(device: Any = None) -> Stream:
    """The stream of this thread."""
    return Stream()


def stream(stream: Any) -> Any:
    """Queue the work of a `with` block on a stream: no effect."""
    return contextlib.nullcontext()


_missing = honest(__name__)


def __getattr__(name: str) -> Any:
    if name == "amp":
        return importlib.import_module(f"{__name__}.amp")
    return _missing(name)
