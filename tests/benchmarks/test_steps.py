"""Processes, medians and agreement."""

from __future__ import annotations

import sys

import pytest

from benchmarks import steps
from benchmarks.peers import environment
from benchmarks.steps import disagreements, medians, run_worker, times

RESULT = {
    "shown": "step",
    "runs": [
        {"workload": "mlp", "peer": "torch", "step": 3.0, "best": 2.0, "loss": 1.0},
        {"workload": "mlp", "peer": "facula", "step": 1.0, "best": 0.5, "loss": 1.001},
        {"workload": "mlp", "peer": "facula", "step": 7.0, "best": 0.6, "loss": 1.001},
        {"workload": "mlp", "peer": "facula", "step": 2.0, "best": 0.7, "loss": 1.001},
        {"workload": "mlp", "peer": "jax", "failure": "it broke"},
    ],
}


def test_a_time_is_the_median_of_the_processes():
    assert times(RESULT) == {("mlp", "torch"): 3.0, ("mlp", "facula"): 2.0}
    assert times({**RESULT, "shown": "best"})["mlp", "facula"] == 0.5
    assert medians(RESULT, "best")["mlp", "facula"] == 0.6


@pytest.mark.parametrize(("loss", "agrees"), [(1.001, True), (1.01, False), (float("nan"), False)])
def test_losses_must_agree_with_pytorchs(loss, agrees):
    other = {"workload": "mlp", "peer": "jax", "step": 1.0, "loss": loss}
    found = disagreements({"runs": [other, *RESULT["runs"]]})
    assert (found == []) is agrees
    assert agrees or "mlp: JAX jit computes" in found[0]


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A package `benchmarks` with a module that does what its argument says."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").touch()
    (tmp_path / "benchmarks" / "do.py").write_text(
        "import json, sys; exec(json.loads(sys.argv[1]))"
    )
    monkeypatch.chdir(tmp_path)  # `python -m` looks there first
    return {**environment(1), "PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize(
    ("program", "result"),
    [
        ("print('noise'); print('{\"step\": 2.5}')", {"step": 2.5}),
        ("raise ValueError('bad\\nshape')", {"failure": "shape"}),
        ("sys.exit(3)", {"failure": "exit status 3, no message"}),
        ("import time; time.sleep(60)", {"failure": "not done after 1 s"}),
    ],
)
def test_a_process_gives_its_result_or_says_what_failed(module, program, result):
    limit = 1.0 if "sleep" in program else 60.0
    assert run_worker(sys.executable, "do", program, module, limit) == result


def test_caches_are_removed(tmp_path):
    with steps.kept_caches(tmp_path) as folder:
        folder.mkdir(parents=True)
        (folder / "object").touch()
    assert not folder.exists()
