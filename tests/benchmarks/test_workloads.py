"""What the workloads must compute at least."""

from __future__ import annotations

import pytest

from benchmarks.workloads import WORKLOADS

PEAK = 233e9  # operations a second of the machine that the stated floors were reckoned for


@pytest.mark.parametrize(
    ("name", "floor"),
    [
        ("two_layer", 112e-6),
        ("two_layer_nn", 112e-6),
        ("mlp", 3.5e-3),
        ("mlp_tiny", 4.7e-6),
        ("cnn", 4.8e-3),
        ("resnet18", 229e-3),
        ("gpt_small", 22.5e-3),
        ("gpt_large", 298e-3),
        ("lstm", 28.5e-3),
    ],
)
def test_arithmetic_gives_the_stated_floors(name, floor):
    assert WORKLOADS[name].flops / PEAK == pytest.approx(floor, rel=0.02)


def test_every_workload_moves_something():
    assert all(w.traffic > 0 and 0 < w.at_most < 1 for w in WORKLOADS.values())
    assert WORKLOADS["softmax"].traffic == 5 * 4 * 512 * 1000
    assert WORKLOADS["mlp_tiny_inference"].traffic == 4 * (32 * 64 + 64 * 64 + 64 * 4)
