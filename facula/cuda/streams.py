"""Streams and events. All work of Facula is queued in one stream, in the order of the program.

A program that asks for several streams gets what it asked for in an order that is stricter than
the one it wanted: each result is right, and nothing runs side by side.
"""

from __future__ import annotations

from typing import Any

from facula.cuda import driver
from facula.trace.recorder import flush


class Stream:
    """The one queue of work, under whatever name the program gave it."""

    def __init__(self, device: Any = None, priority: int = 0, **kwargs: Any) -> None:
        self.priority = priority

    @property
    def device(self) -> Any:
        """The device of the stream."""
        from facula import devices

        return devices.check("cuda")

    @property
    def cuda_stream(self) -> int:
        """The driver's handle."""
        return int(driver.get().stream)

    def synchronize(self) -> None:
        """Wait until all that was recorded is done."""
        flush()
        driver.get().synchronize()

    def query(self) -> bool:
        """Whether all that was recorded is done."""
        flush()
        return bool(driver.get().idle())

    def wait_stream(self, stream: Any) -> None:
        """Nothing: what was recorded before is done before."""

    def wait_event(self, event: Any) -> None:
        """Nothing: what was recorded before is done before."""

    def record_event(self, event: Any = None) -> Any:
        """A mark in the queue."""
        event = Event() if event is None else event
        event.record()
        return event

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


class Event:
    """A mark in the queue, with the time at which it was passed if that was asked for."""

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        if interprocess:
            raise NotImplementedError("torch.cuda.Event(interprocess=True) is not in Facula")
        self.timing = enable_timing
        self.handle = driver.get().event(enable_timing)
        self.recorded = False

    def record(self, stream: Any = None) -> None:
        """Set the mark behind all that was recorded."""
        flush()
        driver.get().record_event(self.handle)
        self.recorded = True

    def query(self) -> bool:
        """Whether the mark has been passed."""
        return not self.recorded or bool(driver.get().event_done(self.handle))

    def synchronize(self) -> None:
        """Wait until the mark has been passed."""
        if self.recorded:
            driver.get().wait_event(self.handle)

    def wait(self, stream: Any = None) -> None:
        """Nothing: what was recorded before is done before."""

    def elapsed_time(self, end_event: Any) -> float:
        """Milliseconds from this mark to another."""
        if not (self.timing and end_event.timing):
            raise ValueError("elapsed_time: both events must be created with enable_timing=True")
        if not (self.recorded and end_event.recorded):
            raise RuntimeError("elapsed_time: both events must be recorded before")
        end_event.synchronize()
        return float(driver.get().elapsed(self.handle, end_event.handle))

    def __del__(self) -> None:
        if driver.started():
            driver.get().discard_event(self.handle)


__all__ = ["Event", "Stream"]
