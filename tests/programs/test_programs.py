"""Short programs in the style of the families that people run, started by `facula run` as they are.

Each says `import torch` and nothing of Facula. Their losses and what they print are compared with
PyTorch's, stored by tests/generate/programs.py. `compare.py` does the same for any program.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest
from programs import compare

HERE = Path(__file__).parent
STORED = json.loads((HERE.parent / "data" / "programs.json").read_text())


def options(script: Path, **given) -> argparse.Namespace:
    known = compare.options_of([str(script)])
    return argparse.Namespace(**{**vars(known), "steps": 0, **given})


def test_every_program_has_its_results():
    assert sorted(STORED) == sorted(p.stem for p in (HERE / "scripts").glob("*.py"))


@pytest.mark.parametrize("name", STORED)
def test_the_losses_are_those_of_pytorch(name):
    given = options(HERE / "scripts" / f"{name}.py")
    done = compare.run([sys.executable, "-m", "facula", "run"], given, read=True)
    assert done.status == 0, done.error
    for found, expected in (
        (done.losses, STORED[name]["losses"]),
        (compare.numbers(done.output), STORED[name]["printed"]),
    ):
        assert len(found) == len(expected)
        assert compare.difference(found, expected) < 1e-3
    assert "Warning" not in done.error


def test_the_runner_finds_what_differs(tmp_path, capsys):
    """With Facula in both places, started from different seeds."""
    script = tmp_path / "program.py"
    script.write_text(
        "import torch\n"
        "w = torch.randn(3, requires_grad=True)\n"
        "for _ in range(4):\n"
        "    loss = (w**2).sum()\n"
        "    loss.backward()\n"
        "    print(loss.item())\n"
    )
    ours = [sys.executable, "-m", "facula", "run"]
    a = compare.run(ours, options(script, steps=2), read=True)
    b = compare.run(ours, options(script, seed=1, double=True), read=True)
    assert (len(a.losses), len(b.losses), a.status, b.status) == (3, 4, 0, 0)
    assert len(compare.numbers(a.output)) == 2 and a.seconds > a.imported > 0
    assert compare.difference(a.losses, a.losses) == 0
    assert compare.difference(a.losses, b.losses) > 1e-3
    assert compare.difference([1.0], [float("nan")]) == float("inf")


def test_the_runner_names_what_is_missing(tmp_path, monkeypatch):
    script = tmp_path / "program.py"
    script.write_text("import torch\ntorch.no_such_thing(1)\n")
    ours = [sys.executable, "-m", "facula", "run"]
    real = compare.run
    monkeypatch.setattr(compare, "run", lambda c, o, read, moved=False: real(ours, o, read, moved))
    result = compare.compare(options(script))
    assert not result.same and result.missing == ["torch.no_such_thing"]
    assert "not in Facula: torch.no_such_thing" in result.describe()


def test_growing_rounding_is_told_from_a_fault():
    """By how far PyTorch parts from itself in float64, once its weights are moved a little."""
    assert compare.is_rounding(double=1e-12, own=None, tolerance=1e-3)
    assert compare.is_rounding(double=1e-2, own=3e-3, tolerance=1e-3)
    assert not compare.is_rounding(double=1e-2, own=1e-9, tolerance=1e-3)
    assert not compare.is_rounding(double=None, own=None, tolerance=1e-3)


def test_the_runner_moves_weights_by_rounding_alone(tmp_path):
    """A map that doubles what is small, forty times: moved in the last place, it parts."""
    script = tmp_path / "program.py"
    script.write_text(
        "import torch\n"
        "w = torch.full((1,), 0.3).float().requires_grad_()\n"
        "torch.optim.SGD([w], lr=0.1)\n"
        "for k in (1, 1, 40):\n"
        "    x = w\n"
        "    for i in range(k):\n"
        "        x = 1 - 2 * x * x\n"
        "    x.backward()\n"
    )
    ours = [sys.executable, "-m", "facula", "run"]
    wide = options(script, double=True)
    plain = compare.run(ours, wide, read=True).losses
    moved = compare.run(ours, wide, read=True, moved=True).losses
    assert plain[0] == moved[0]
    assert 0 < compare.difference(plain[1:2], moved[1:2]) < 1e-13
    assert compare.difference(plain[2:], moved[2:]) > 1e-5
