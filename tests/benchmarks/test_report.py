"""Tables from results."""

from __future__ import annotations

import json

import pytest

from benchmarks import report
from benchmarks.report import duration

MACHINE = {
    "processor": "Some processor",
    "processors": 4,
    "threads": 2,
    "system": "Linux",
    "python": "3.12",
    "load": 0.0,
}
STEPS = {
    "section": "steps",
    "quick": False,
    "shown": "step",
    "date": "2000-01-01",
    "machine": MACHINE,
    "peaks": {"gflops": 100.0, "bandwidth": {"1000": 50.0, "100000000": 10.0}},
    "versions": {"facula": "1", "torch": "2", "jax": "3"},
    "missing": {"mlx": "no wheel"},
    "alternations": 2,
    "disagreements": ["cnn: somebody computes something else"],
    "runs": [
        {"workload": "mlp", "peer": p, "alternation": a, "step": s, "best": s, "loss": 1.0,
         "start": s * 100 + 2 - a, "peak": 100.0, "rise": 50.0}
        for p, s in (("facula", 0.004), ("torch", 0.009), ("jax", 0.0075)) for a in (0, 1)
    ] + [
        {"workload": "cnn", "peer": "facula", "alternation": 0, "failure": "it broke"},
        {"workload": "cnn", "peer": "torch", "alternation": 0, "step": 0.012, "best": 0.012,
         "loss": 2.0, "start": None, "peak": 80.0, "rise": 8.0},
        {"workload": "cnn", "peer": "jax", "alternation": 0, "failure": "no such workload",
         "absent": True},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (123.4, "123 s"),
        (1.234, "1.23 s"),
        (0.0123, "12.3 ms"),
        (0.000999, "999 µs"),
        (1.5e-8, "0.01 µs"),
    ],
)
def test_durations_have_three_digits(seconds, text):
    assert duration(seconds) == text


def test_the_main_table():
    lines = report.steps_report(STEPS).splitlines()
    mlp = next(line for line in lines if line.startswith("| MLP 784"))
    # Facula, PyTorch, JAX, the floor at 100 GFLOP/s, the ratio to the fastest in bold as it is met
    cells = ["4.00 ms", "9.00 ms", "7.50 ms", "8.22 ms", "**0.53**", "0.80"]
    assert [c.strip() for c in mlp.strip("|").split("|")][1:] == cells
    cnn = next(line for line in lines if line.startswith("| CNN"))
    assert [c.strip() for c in cnn.strip("|").split("|")][1:4] == ["-", "12.0 ms", "-"]
    notes = [line for line in lines if line.startswith("- ")]
    assert notes == [
        "- MLX could not be set up: no wheel",
        "- cnn, Facula: it broke",
        "- cnn: somebody computes something else",
    ]


def test_starts_and_memory_are_compared_with_pytorch():
    text = report.steps_report(STEPS)
    assert "| 2.40 s / 1.40 s | 2.90 s / 1.90 s | 2.75 s / 1.75 s | **0.83** | **0.74** |" in text
    assert "| 100 (50) | 100 (50) | 100 (50) | 1.00 | 1.00 |" in text


def test_the_slowest_operation_comes_first():
    times = {"exp": {"facula": [1.0], "torch": [1.0]}, "log": {"facula": [3.0], "torch": [2.0]}}
    result = {**STEPS, "section": "operations", "times": times, "failures": ["sin: it broke"]}
    text = report.operations_report(result)
    assert "1 of 2 take more than 1.3 of PyTorch's time." in text
    assert text.index("| log | 3.00 s | 2.00 s | 1.50 |") < text.index("| exp |")
    assert "- sin: it broke" in text


def test_products_are_shown_as_speeds():
    times = {"6": {"facula": [2 * 1.024**3 / 50], "torch": [2 * 1.024**3 / 40]}}
    text = report.products_report({**STEPS, "section": "products", "times": times, "failures": []})
    assert "| 1024 x 1024 x 1024 | 50 | 40 | 50% | **0.80** |" in text


def test_curves_and_starts():
    point = {"curve": "lstm", "n": 8, "record": 0.001, "run": 0.002, "first": 0.1, "lost": 1.0,
             "memory": 10.0}  # fmt: skip
    points = [{**point, "peer": "facula", "operations": 300}]
    points.append({**point, "peer": "torch", "operations": None})
    result = {**STEPS, "section": "curves", "points": points, "failures": []}
    assert "| lstm, 8 steps | 300 | 1.00 ms | 2.00 ms | 10.0 µs |" in report.curves_report(result)
    starts = {"numpy": [{"import": 0.1, "llvmlite": False}]}
    starts["facula"] = [{"import": 0.15, "llvmlite": False, "first": 0.05}]
    text = report.starts_report({**STEPS, "starts": starts, "failures": []})
    assert "| facula | 150 ms | 1.50 | 50.0 ms | no |" in text


def test_results_are_kept_and_fill_the_readme(tmp_path, monkeypatch):
    path = report.write(STEPS, tmp_path / "results")
    assert json.loads(path.read_text()) == STEPS
    assert "## Steps" in (tmp_path / "results" / "README.md").read_text()
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- table: steps -->\nold\n<!-- end of table -->\nafter\n")
    monkeypatch.setattr(report, "ROOT", tmp_path)
    report.fill_readme(tmp_path / "results")
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("<!-- end of table -->\nafter\n")
    assert "| 4.00 ms |" in text and "old" not in text
    readme.write_text("no marks")
    with pytest.raises(SystemExit, match="no table"):
        report.fill_readme(tmp_path / "results")
