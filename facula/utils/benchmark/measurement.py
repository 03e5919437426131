"""What was measured, and its statistics."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

UNITS = (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0))
NOISY = 0.1  # the part of the median that the interquartile range of a good measurement has


def select_unit(t: float) -> tuple[str, float]:
    """The unit in which a time reads best, and how many seconds it is."""
    for name, scale in reversed(UNITS):
        if t >= scale:
            return name, scale
    return UNITS[0]


def trim_sigfig(x: float, n: int) -> float:
    """A number rounded to n significant figures."""
    if x == 0 or not math.isfinite(x):
        return x
    return float(round(x, n - 1 - math.floor(math.log10(abs(x)))))


@dataclass(frozen=True)
class TaskSpec:
    """What is measured, and what tables call it."""

    stmt: str
    setup: str
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self) -> str:
        """The label, or the statement."""
        if self.label is not None:
            return self.label + (f": {self.sub_label}" if self.sub_label else "")
        return self.stmt

    def summarize(self) -> str:
        """The title, the description and the setup, a line each."""
        lines = [self.title]
        if self.description and self.description != self.label:
            lines.append(self.description)
        if self.setup and self.setup != "pass":
            lines.append(f"setup: {self.setup}")
        return "\n".join(lines)


@dataclass
class Measurement:
    """The times of some repetitions, each of `number_per_run` runs."""

    number_per_run: int
    raw_times: list[float]
    task_spec: TaskSpec
    metadata: dict[Any, Any] | None = field(default=None)

    @cached_property
    def times(self) -> list[float]:
        """The seconds of one run, by repetition."""
        return [t / self.number_per_run for t in self.raw_times]

    @property
    def mean(self) -> float:
        """Their mean."""
        return float(np.mean(self.times))

    @property
    def median(self) -> float:
        """Their median."""
        return float(np.median(self.times))

    @property
    def iqr(self) -> float:
        """Their interquartile range."""
        low, high = np.quantile(self.times, (0.25, 0.75))
        return float(high - low)

    @property
    def has_warnings(self) -> bool:
        """Whether the times differ much."""
        return len(self.times) >= 4 and not self.meets_confidence()

    def meets_confidence(self, threshold: float = NOISY) -> bool:
        """Whether the interquartile range is a small part of the median."""
        return self.iqr / self.median < threshold

    @property
    def title(self) -> str:
        return self.task_spec.title

    @property
    def env(self) -> str:
        return self.task_spec.env or "Unspecified env"

    @property
    def as_row_name(self) -> str:
        return self.task_spec.sub_label or self.task_spec.stmt or "[Unknown]"

    @property
    def num_threads(self) -> int:
        return self.task_spec.num_threads

    def __repr__(self) -> str:
        unit, scale = select_unit(self.median)
        n = len(self.raw_times)
        lines = [object.__repr__(self), self.task_spec.summarize()]
        if n == 1:
            lines.append(f"  {self.median / scale:.2f} {unit}")
        else:
            lines.append(f"  Median: {self.median / scale:.2f} {unit}")
            lines.append(f"  IQR:    {self.iqr / scale:.2f} {unit}")
        runs = f"{self.number_per_run} runs" if n == 1 else f"{self.number_per_run} runs each"
        threads = "thread" if self.num_threads == 1 else "threads"
        kind = "measurement" if n == 1 else "measurements"
        lines.append(f"  {n} {kind}, {runs}, {self.num_threads} {threads}")
        return "\n".join(lines)

    __str__ = __repr__

    @staticmethod
    def merge(measurements: Iterable[Measurement]) -> list[Measurement]:
        """One measurement for each task; times are taken together, by run."""
        groups: dict[TaskSpec, list[float]] = {}
        for m in measurements:
            groups.setdefault(m.task_spec, []).extend(m.times)
        return [Measurement(1, times, spec) for spec, times in groups.items()]
