"""Where the time of compiled programs goes: one event for each kernel that runs while a `Timeline`
is listening.

While one listens, the kernels of a program are launched one by one, each with all threads, which
adds about a microsecond to each. Bytes are those of the distinct buffers that a kernel reads and
writes; operations are the multiplications and additions of products and convolutions, and one for
each element of every other entry.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from time import perf_counter
from typing import Any, NamedTuple

from facula.compiler.cluster import Cluster
from facula.trace.node import Node

FLOPS, SPEED, LAUNCH = 1e11, 3e10, 3e-7  # operations and bytes a second; seconds


class Kernel(NamedTuple):
    """What one kernel call does."""

    name: str
    shape: tuple[int, ...]
    units: int
    bytes: int
    operations: int


class Interval(NamedTuple):
    """From when to when, in microseconds."""

    start: float
    end: float

    def elapsed_us(self) -> float:
        """How long that is."""
        return self.end - self.start


class Event(NamedTuple):
    """A kernel, an interpreted step or a marked region; times in seconds."""

    kernel: Kernel
    category: str
    begin: float
    seconds: float

    @property
    def name(self) -> str:
        """The name of what ran."""
        return self.kernel.name

    @property
    def key(self) -> str:
        """The same."""
        return self.kernel.name

    @property
    def cpu_time_total(self) -> float:
        """Its time in microseconds."""
        return self.seconds * 1e6

    @property
    def time_range(self) -> Interval:
        """When it ran, in microseconds."""
        begin = self.begin * 1e6
        return Interval(begin, begin + self.seconds * 1e6)


def operations(n: Node) -> int:
    """Arithmetic operations of one entry."""
    size = math.prod(n.shape)
    name = n.op.name
    if name == "matmul":
        return 2 * size * n.inputs[0].shape[-1]
    if name == "conv":
        return 2 * size * math.prod(n.inputs[1].shape[1:])
    if name in ("conv_input", "conv_weight"):
        y = n.inputs[0] if name == "conv_input" else n.inputs[1]
        w = n.inputs[1] if name == "conv_input" else n
        return 2 * math.prod(y.shape) * math.prod(w.shape[1:])
    return max([size, *[math.prod(i.shape) for i in n.inputs]])


def seconds(name: str, shape: tuple[int, ...], units: int, size: int, total: int) -> float:
    """Very roughly, how long one thread takes for what a kernel does (the fields of a `Kernel`)."""
    return total / FLOPS + size / SPEED + LAUNCH


def describe(c: Cluster, calls: list[Any]) -> list[tuple[Any, ...]]:
    """What each of the kernel calls of a cluster does: the fields of a `Kernel`, as a plain tuple
    that Python's garbage collector need not look at. The last one stands for the arithmetic."""
    names = "+".join([n.op.name for n in c.nodes])
    total = sum([operations(n) for n in c.nodes])
    out = []
    for k, call in enumerate(calls):
        buffers = dict.fromkeys([(w, n) for w, n in call.descriptor if n.__class__ is Node])
        size = 0
        for what, n in buffers:
            whole = math.prod(n.shape) * n.dtype.itemsize
            size += whole if what == "buffer" else call.room[(what, n)]
        last = k == len(calls) - 1
        out.append((names, c.shape, call.units, size, total if last else 0))
    return out


class Timeline:
    """Listens to compiled programs while it is entered, in all threads."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._before: Any = None

    def __enter__(self) -> Timeline:
        from facula.cpu import runtime

        self._before, runtime.LISTENER = runtime.LISTENER, self
        return self

    def __exit__(self, *exc: object) -> None:
        from facula.cpu import runtime

        runtime.LISTENER = self._before

    def run(self, call: Any) -> None:
        """Run a table of kernel calls one by one."""
        for k, does in enumerate(call.kernels):
            single = call.single(k)
            begin = perf_counter()
            single.launch()
            self.events.append(Event(Kernel(*does), "kernel", begin, perf_counter() - begin))

    @contextmanager
    def region(self, name: str, category: str, shape: tuple[int, ...] = ()) -> Any:
        """An event for what is done inside."""
        begin = perf_counter()
        try:
            yield
        finally:
            event = Event(Kernel(name, shape, 1, 0, 0), category, begin, perf_counter() - begin)
            self.events.append(event)

    def chrome(self) -> dict[str, Any]:
        """The events in the form that `chrome://tracing` and Perfetto read."""
        return {
            "displayTimeUnit": "ms",
            "traceEvents": [
                {
                    "name": e.kernel.name,
                    "cat": e.category,
                    "ph": "X",
                    "ts": e.begin * 1e6,
                    "dur": e.seconds * 1e6,
                    "pid": 0,
                    "tid": 0,
                    "args": {
                        "shape": list(e.kernel.shape),
                        "units": e.kernel.units,
                        "bytes": e.kernel.bytes,
                        "operations": e.kernel.operations,
                    },
                }
                for e in self.events
            ],
        }


class Row(NamedTuple):
    """All events of one name and shape."""

    kernel: Kernel
    category: str
    calls: int
    seconds: float

    @property
    def key(self) -> str:
        """The name of what ran."""
        return self.kernel.name

    @property
    def count(self) -> int:  # type: ignore[override]
        """How often it ran."""
        return self.calls

    @property
    def cpu_time_total(self) -> float:
        """The time of all calls in microseconds."""
        return self.seconds * 1e6

    @property
    def self_cpu_time_total(self) -> float:
        """The part of it that is no other event's: nothing of a marked region's."""
        return 0.0 if self.category == "region" else self.seconds * 1e6

    @property
    def cpu_time(self) -> float:
        """The time of a call in microseconds."""
        return self.seconds * 1e6 / self.calls if self.calls else 0.0


def rows(events: list[Event]) -> list[Row]:
    """Events of one kind added up, the longest first."""
    table: dict[Any, Row] = {}
    for e in events:
        key = (e.category, e.kernel)
        old = table.get(key)
        count, seconds = (old.calls, old.seconds) if old else (0, 0.0)
        table[key] = Row(e.kernel, e.category, count + 1, seconds + e.seconds)
    return sorted(table.values(), key=lambda r: -r.seconds)


def text(table: list[Row], limit: int = 100, width: int = 60) -> str:
    """A table: time, share, calls, rates, shape and what is fused."""
    total = sum([r.seconds for r in table if r.category != "region"]) or 1.0
    lines = [
        f"{'time':>10} {'share':>6} {'calls':>6} {'each':>10} {'Gop/s':>7} {'GB/s':>6}  "
        f"{'shape':<20} operations"
    ]
    for r in table[:limit]:
        k = r.kernel
        share = "" if r.category == "region" else f"{r.seconds / total:6.1%}"
        each = r.seconds / r.calls
        fast = f"{k.operations / each / 1e9:7.1f}" if k.operations else " " * 7
        wide = f"{k.bytes / each / 1e9:6.1f}" if k.bytes else " " * 6
        name = k.name if len(k.name) <= width else k.name[: width - 3] + "..."
        lines.append(
            f"{r.seconds * 1e6:8.0f}us {share:>6} {r.calls:6d} {each * 1e6:8.1f}us {fast} {wide}  "
            f"{'x'.join(map(str, k.shape)):<20} {name}"
        )
    if len(table) > limit:
        lines.append(f"... and {len(table) - limit} more")
    lines.append(f"{total * 1e6:8.0f}us in all")
    return "\n".join(lines)


__all__ = ["Event", "Kernel", "Row", "Timeline", "describe", "operations", "rows", "text"]
