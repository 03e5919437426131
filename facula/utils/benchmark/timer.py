"""Timing a statement."""

from __future__ import annotations

import contextlib
import textwrap
import time
import timeit
from collections.abc import Callable, Iterator
from typing import Any

import facula
from facula.errors import refuse
from facula.utils.benchmark.measurement import Measurement, TaskSpec


def timer() -> float:
    """The clock, once everything that was recorded has been computed."""
    facula.synchronize()
    return time.perf_counter()


class Timer:
    """Times a statement, as `timeit` does, on a number of threads that is one unless given."""

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: Any = "python",
    ) -> None:
        if str(language).lower() not in ("python", "py", "language.python", "0"):
            refuse(f"Timer(language={language!r})", "statements are Python only")
        if global_setup:
            raise ValueError("Timer: global_setup is for C++, got one for Python")
        stmt, setup = [textwrap.dedent(s).strip() for s in (stmt, setup)]
        names = {**(globals or {})}
        names.setdefault("torch", facula)
        self._timer = timeit.Timer(stmt, setup, timer, names)
        self._task_spec = TaskSpec(stmt, setup, "", label, sub_label, description, env, num_threads)

    def timeit(self, number: int = 1_000_000) -> Measurement:
        """The time of `number` runs, after a hundredth as many that are not counted."""
        with self._threads():
            self._timer.timeit(max(number // 100, 2))
            return self._measured(number, [self._timer.timeit(number)])

    def blocked_autorange(
        self, callback: Callable[[int, float], Any] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """Blocks of so many runs that the clock costs little, until a time is over."""
        with self._threads():
            number = self._block(min_run_time)
            times: list[float] = []
            while not times or sum(times) < min_run_time:
                times.append(self._timer.timeit(number))
                if callback is not None:
                    callback(number, times[-1])
        return self._measured(number, times)

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:
        """Blocks until their times agree within a threshold, or a time is over."""
        with self._threads():
            number = self._block(min_run_time)
            times: list[float] = []
            while True:
                times.append(self._timer.timeit(number))
                if callback is not None:
                    callback(number, times[-1])
                found = self._measured(number, times)
                spent = sum(times)
                agree = len(times) > 3 and found.meets_confidence(threshold)
                if spent > max_run_time or (spent > min_run_time and agree):
                    return found

    def collect_callgrind(self, *args: Any, **kwargs: Any) -> Any:
        """NotImplementedError: instructions are not counted."""
        refuse("Timer.collect_callgrind", "instructions are not counted")

    def _block(self, min_run_time: float) -> int:
        """How many runs take a thousandth of the time that is given, as the clock sees it."""
        number = 1
        while True:
            taken = self._timer.timeit(number)
            if taken >= min_run_time / 1000 and taken >= 1e-5:
                return number
            number *= 10

    def _measured(self, number: int, times: list[float]) -> Measurement:
        return Measurement(number, list(times), self._task_spec)

    @contextlib.contextmanager
    def _threads(self) -> Iterator[None]:
        before = facula.get_num_threads()
        facula.set_num_threads(self._task_spec.num_threads)
        try:
            yield
        finally:
            facula.set_num_threads(before)
