"""Where time goes: an event for each kernel of a compiled program, each interpreted step and each
marked region, as a table or as a timeline for Chrome and Perfetto.

A kernel is not one of PyTorch's operations but all that was fused into it; its name lists them.
Programs that are not compiled yet have no events.

Source: https://pytorch.org/docs/stable/profiler.html
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from facula.errors import honest
from facula.trace.recorder import flush as synchronize

__all__ = [
    "ProfilerAction",
    "ProfilerActivity",
    "kineto_available",
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


def kineto_available() -> bool:
    """Whether PyTorch's tracer of kernels is there: the events are Facula's own."""
    return False


def supported_activities() -> set[ProfilerActivity]:
    """Kinds of work that can be followed."""
    return {ProfilerActivity.CPU}


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, **kwargs: Any
) -> Callable[[int], ProfilerAction]:
    """What to do in which step: after `skip_first` steps, cycles of `wait` steps without, `warmup`
    steps thrown away and `active` steps kept, `repeat` times (0: for ever)."""
    cycle = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        step -= skip_first
        if step < 0 or (repeat and step >= repeat * cycle):
            return ProfilerAction.NONE
        at = step % cycle
        if at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        last = at == cycle - 1
        return ProfilerAction.RECORD_AND_SAVE if last else ProfilerAction.RECORD

    return action


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Any:
    """A handler that writes each timeline into a folder, as `worker.time.pt.trace.json`."""

    def handler(p: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        name = f"{worker}.{time.time_ns() // 1_000_000}.pt.trace.json" + (".gz" if use_gzip else "")
        p.export_chrome_trace(os.path.join(dir_name, name))

    return handler


class record_function(contextlib.ContextDecorator):
    """Mark a region. What is recorded in it may run later: the region is the recording's time,
    unless something in it reads a value."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self._open: list[Any] = []

    def __enter__(self) -> record_function:
        from facula.cpu import runtime

        listener = runtime.LISTENER
        region = None if listener is None else listener.region(self.name, "region")
        if region is not None:
            region.__enter__()
        self._open.append(region)
        return self

    def __exit__(self, *exc: object) -> None:
        region = self._open.pop()
        if region is not None:
            region.__exit__(None, None, None)


class Averages:
    """The events of a profile, added up by kernel; iterates over `facula.compiler.timing.Row`."""

    def __init__(self, table: list[Any]) -> None:
        self._rows = table

    def __iter__(self) -> Any:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, at: Any) -> Any:
        return self._rows[at]

    def __str__(self) -> str:
        return self.table()

    @property
    def self_cpu_time_total(self) -> float:
        """The time of all kernels and steps in microseconds."""
        return sum([r.self_cpu_time_total for r in self._rows])

    def total_average(self) -> Any:
        """One row for all kernels and steps."""
        from facula.compiler.timing import Kernel, Row

        some = [r for r in self._rows if r.category != "region"]
        kernels = [r.kernel for r in some]
        all_bytes, work = sum([k.bytes for k in kernels]), sum([k.operations for k in kernels])
        total = Kernel("Total", (), 0, all_bytes, work)
        return Row(total, "", sum([r.calls for r in some]), sum([r.seconds for r in some]))

    def table(self, sort_by: str | None = None, row_limit: int = 100, **kwargs: Any) -> str:
        """A table, longest first; `sort_by` may ask for the number of calls (`"count"`)."""
        from facula.compiler import timing

        table = sorted(self._rows, key=lambda r: -r.calls) if sort_by == "count" else self._rows
        return timing.text(table, row_limit if row_limit >= 0 else len(table))


class profile:
    """Follow what runs inside the block. Arguments as PyTorch's; of `activities` only the CPU's.

    Use `step()` at the end of each step together with `schedule`; `on_trace_ready(self)` is called
    after each recorded cycle, or at the end.
    """

    def __init__(
        self,
        *,
        activities: Any = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.schedule = schedule
        self.on_trace_ready = on_trace_ready
        self.step_num = 0
        self._events: list[Any] = []
        self._timeline: Any = None

    def _begin(self) -> None:
        from facula.compiler.timing import Timeline

        synchronize()
        self._timeline = Timeline()
        self._timeline.__enter__()

    def _end(self, keep: bool = True) -> None:
        if self._timeline is None:
            return
        synchronize()
        self._timeline.__exit__()
        if keep:
            self._events.extend(self._timeline.events)
        self._timeline = None

    def start(self) -> None:
        """Begin to follow."""
        self._action = self.schedule(0) if self.schedule else ProfilerAction.RECORD
        if self._action is not ProfilerAction.NONE:
            self._begin()

    def stop(self) -> None:
        """Compute what is pending and cease to follow."""
        going = self._timeline is not None
        self._end(self._action is not ProfilerAction.WARMUP)
        if going and self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def step(self) -> None:
        """Say that a step has ended."""
        self.step_num += 1
        if self.schedule is None:
            return
        before, now = self._action, self.schedule(self.step_num)
        self._action = now
        if before is ProfilerAction.RECORD_AND_SAVE:
            self._end()
            if self.on_trace_ready is not None:
                self.on_trace_ready(self)
            self._events = []
        elif before is not now:
            self._end(before is ProfilerAction.RECORD)
        if now is not ProfilerAction.NONE and self._timeline is None:
            self._begin()

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def events(self) -> list[Any]:
        """The events, in the order in which they ended."""
        return list(self._events)

    def key_averages(self, *args: Any, **kwargs: Any) -> Averages:
        """The events added up by kernel."""
        from facula.compiler import timing

        return Averages(timing.rows(self._events))

    def export_chrome_trace(self, path: str) -> None:
        """Write the timeline as JSON, for chrome://tracing or Perfetto."""
        from facula.compiler.timing import Timeline

        line = Timeline()
        line.events = self._events
        temporary = f"{path}.{os.getpid()}.tmp"
        with open(temporary, "w", encoding="utf-8") as f:
            json.dump(line.chrome(), f)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)


__getattr__ = honest(__name__)
