"""Events that a program logs, and statistics that are logged as events.

Source: https://pytorch.org/docs/stable/monitor.html
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from facula.errors import honest

__all__ = [
    "STAT_EVENT",
    "Aggregation",
    "Event",
    "EventHandlerHandle",
    "Stat",
    "TensorboardEventHandler",
    "data_value_t",
    "log_event",
    "register_event_handler",
    "unregister_event_handler",
]
STAT_EVENT = "torch.monitor.Stat"
data_value_t = str | float | int | bool
_handlers: list[EventHandlerHandle] = []


class Aggregation(enum.Enum):
    """What a `Stat` makes of the values of a window."""

    VALUE = 0  # the last
    MEAN = 2
    COUNT = 3
    SUM = 4
    MAX = 5
    MIN = 6


class Event:
    """What is logged: a name, a time, and values by their names."""

    def __init__(self, name: str, timestamp: datetime, data: dict[str, data_value_t]) -> None:
        self.name, self.timestamp, self.data = name, timestamp, data


class EventHandlerHandle:
    """What `register_event_handler` gives, to take the handler away again."""

    def __init__(self, handler: Callable[[Event], None]) -> None:
        self._handler = handler


def register_event_handler(callback: Callable[[Event], None]) -> EventHandlerHandle:
    """Call this with each event from now on."""
    handle = EventHandlerHandle(callback)
    _handlers.append(handle)
    return handle


def unregister_event_handler(handler: EventHandlerHandle) -> None:
    """Call it no longer."""
    if handler in _handlers:
        _handlers.remove(handler)


def log_event(event: Event) -> None:
    """Hand an event to all handlers; without one nothing happens."""
    for handle in list(_handlers):
        handle._handler(event)


class Stat:
    """Values that are added up over windows of time, and logged at the end of each.

    Args:
        name: that of the statistic; the event's values are `name.mean` and so on.
        aggregations: what is made of the values.
        window_size: how long a window lasts. What is left is logged when the object goes.
        max_samples: how many values a window takes; further ones are left out.
    """

    def __init__(
        self,
        name: str,
        aggregations: Sequence[Aggregation],
        window_size: timedelta,
        max_samples: int = 2**63 - 1,
    ) -> None:
        self._name, self._aggregations = name, tuple(aggregations)
        self._window, self._most = window_size, max_samples
        self._lock = threading.Lock()
        self._values: list[float] = []
        self._before: list[float] = []  # those of the last window that has ended
        self._full = False
        self._end = self._next_end()

    def _next_end(self) -> datetime:
        """The end of the present window: they begin at multiples of their size."""
        since = datetime.now() - datetime.min
        return datetime.min + (since // self._window + 1) * self._window

    @property
    def name(self) -> str:
        return self._name

    @property
    def count(self) -> int:
        """How many values have been added since a window was logged."""
        with self._lock:
            return len(self._values)

    def add(self, v: float) -> None:
        """Add a value to the window that this moment is in; the one before is logged."""
        with self._lock:
            if datetime.now() >= self._end:
                self._log()
                self._full, self._end = False, self._next_end()
            if self._full:
                return
            self._values.append(float(v))
            if len(self._values) >= self._most:
                self._log()
                self._full = True

    def get(self) -> dict[Aggregation, float]:
        """What was made of the values of the last window that has ended."""
        with self._lock:
            return self._made()

    def _made(self) -> dict[Aggregation, float]:
        vs = self._before
        made = {
            Aggregation.VALUE: lambda: vs[-1],
            Aggregation.MEAN: lambda: sum(vs) / len(vs),
            Aggregation.COUNT: lambda: float(len(vs)),
            Aggregation.SUM: lambda: sum(vs),
            Aggregation.MAX: lambda: max(vs),
            Aggregation.MIN: lambda: min(vs),
        }
        return {a: made[a]() if vs else 0.0 for a in self._aggregations}

    def _log(self) -> None:
        self._before, self._values = self._values, []
        if self._before:
            data: Any = {f"{self._name}.{a.name.lower()}": x for a, x in self._made().items()}
            log_event(Event(STAT_EVENT, datetime.now(), data))

    def __del__(self) -> None:
        if hasattr(self, "_end"):
            self._log()


class TensorboardEventHandler:
    """A handler that writes the statistics to a `SummaryWriter`."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def __call__(self, event: Event) -> None:
        if event.name == STAT_EVENT:
            for k, v in event.data.items():
                self._writer.add_scalar(k, v, walltime=event.timestamp.timestamp())


__getattr__ = honest(__name__)
