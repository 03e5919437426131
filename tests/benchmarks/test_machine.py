"""Floors, and the peaks that they come from."""

from __future__ import annotations

import pytest

from benchmarks.machine import describe, floor, measure_peaks

PEAKS = {"gflops": 100.0, "bandwidth": {"1000": 50.0, "1000000": 10.0}}


@pytest.mark.parametrize(
    ("flops", "traffic", "seconds"),
    [
        (1e9, 0.0, 0.01),  # arithmetic
        (0.0, 1e3, 2e-8),  # traffic that fits the smaller size
        (0.0, 1e4, 1e-6),  # at the speed of the larger size
        (0.0, 1e9, 0.1),  # larger than what was measured: at the largest's
        (1e9, 1e9, 0.1),  # the longer of the two
    ],
)
def test_the_floor_is_the_longer_of_arithmetic_and_traffic(flops, traffic, seconds):
    assert floor(flops, traffic, PEAKS) == pytest.approx(seconds)


def test_peaks_are_those_of_a_computer():
    peaks = measure_peaks(1, tries=1)
    assert 0.1 < peaks["gflops"] < 10_000
    assert all(0.01 < speed < 10_000 for speed in peaks["bandwidth"].values())


def test_the_machine_has_a_name():
    assert describe(3)["processor"] and describe(3)["threads"] == 3
