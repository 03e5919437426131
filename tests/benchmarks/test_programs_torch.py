"""The programs compute under Facula what they compute under PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.peers import environment
from benchmarks.workloads import WORKLOADS

STORED = json.loads((Path(__file__).parents[1] / "data" / "benchmarks.json").read_text())
# The others take too long for a test; the benchmark itself compares every loss.
SHORT = ("two_layer", "two_layer_nn", "mlp_tiny", "gelu", "layer_norm", "mlp_tiny_inference")

PROGRAM = """
import json, sys
from benchmarks.worker import CHECK, become
become("facula")
from benchmarks import programs_torch as programs
programs.configure("facula", 1)
names = json.loads(sys.argv[1])
losses = {n: programs.value(programs.BUILDERS[n]()(CHECK)) for n in names}
print(json.dumps([losses, list(programs.BUILDERS)]))
"""


def test_losses_are_pytorchs():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(SHORT)],
        capture_output=True,
        text=True,
        env=environment(1),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    losses, builders = json.loads(done.stdout)
    assert losses == {name: pytest.approx(STORED[name], rel=1e-4) for name in SHORT}
    assert set(builders) == set(WORKLOADS)
