"""Timing statements (`facula/utils/benchmark`): by a clock of the test's own."""

from __future__ import annotations

import pytest

import facula
from facula.utils import benchmark
from facula.utils.benchmark import Compare, Measurement, TaskSpec, Timer


class Clock:
    """Goes on by what the statements say."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


def measured(times, number=1, **names):
    return Measurement(number, times, TaskSpec("f(x)", "pass", **names))


def test_runs_are_counted():
    clock = Clock()
    t = Timer("wait(0.5)", timer=clock, globals={"wait": clock.wait}, label="waiting")
    m = t.timeit(10)
    assert (m.number_per_run, m.raw_times, m.median) == (10, [5.0], 0.5)
    assert clock.now == 6  # two runs more, to warm up
    assert "waiting\n  500.00 ms\n  1 measurement, 10 runs, 1 thread" in repr(m)


def test_blocks_fill_the_time():
    clock = Clock()
    seen = []
    t = Timer("wait(1e-4)", timer=clock, globals={"wait": clock.wait})
    m = t.blocked_autorange(lambda n, s: seen.append(n), min_run_time=1.0)
    assert m.number_per_run == 10 and sum(m.raw_times) == pytest.approx(1, abs=2e-3)
    assert len(seen) == len(m.raw_times) and m.mean == pytest.approx(1e-4)
    steady = t.adaptive_autorange()
    assert steady.meets_confidence() and len(steady.times) >= 4


def test_the_clock_waits_for_what_is_recorded():
    made = []
    names = {"make": lambda: made.append(facula.ones(4).exp() + 1)}
    m = Timer("make()", globals=names, num_threads=1).timeit(3)
    assert len(made) == 5 and m.median > 0
    assert all(t._data is not None for t in made)


def test_statistics():
    m = measured([1.0, 2.0, 3.0, 10.0, 4.0], number=2)
    assert m.times == [0.5, 1, 1.5, 5, 2]
    assert (m.median, m.mean, m.iqr) == (1.5, 2, 1) and m.has_warnings
    (both,) = Measurement.merge([m, measured([4.0])])
    assert both.times == [0.5, 1, 1.5, 5, 2, 4] and both.number_per_run == 1
    assert benchmark.select_unit(2e-5) == ("us", 1e-6) and benchmark.trim_sigfig(1234.5, 2) == 1200


def test_a_table():
    table = Compare(
        [
            measured([1e-3], label="norm", sub_label="small", description="one"),
            measured([2e-3], label="norm", sub_label="small", description="other"),
            measured([0.12345], label="norm", sub_label="large", description="one", num_threads=2),
        ]
    )
    rows = [[c.strip() for c in line.split("|")] for line in str(table).splitlines()]
    assert rows[1] == ["", "one", "other"] and rows[0][0].strip("[-]") == "norm"
    assert ["small", "1.0", "2.0"] in rows and ["large", "123.5", ""] in rows
    assert "Times are in milliseconds (ms)." in str(table)
    table.trim_significant_figures()
    assert "123 " in str(table)


def test_what_is_not_there_is_named():
    with pytest.raises(AttributeError, match=r"torch\.utils\.benchmark\.Fuzzer is not in Facula"):
        benchmark.Fuzzer
    with pytest.raises(NotImplementedError, match="collect_callgrind"):
        Timer().collect_callgrind()
    with pytest.raises(NotImplementedError, match="Python only"):
        Timer(language="c++")
    with pytest.raises(ValueError, match="Measurement, got <class 'int'>"):
        Compare([1])
