"""Sobol's sequences (`facula/quasirandom.py`) against those stored by tests/generate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import facula
from facula.quasirandom import MAXBIT, SobolEngine

STORED = json.loads((Path(__file__).parent / "data" / "quasirandom.json").read_text())


def test_the_direction_numbers_are_pytorchs():
    whole = SobolEngine(SobolEngine.MAXDIM).sobolstate
    assert (whole * facula.arange(1, MAXBIT + 1)).sum().item() == STORED["total"]
    for d, total in STORED["sums"]:
        assert whole[d].sum().item() == total
    assert facula.equal(SobolEngine(600).sobolstate, whole[:600])


@pytest.mark.parametrize("case", STORED["cases"], ids=lambda c: c["repr"])
def test_the_points_are_pytorchs(case):
    facula.manual_seed(5)
    engine = SobolEngine(case["dimension"], case["scramble"], case["seed"])
    assert repr(engine) == case["repr"]
    drawn = []
    for step in case["steps"]:
        name, *n = step.split()
        found = getattr(engine, name)(*map(int, n))
        if name.startswith("draw"):
            assert found.dtype is facula.float32
            drawn.append(found.double().mul(2**MAXBIT).long().tolist())
    assert drawn == case["drawn"]


def test_dtypes_and_results_given():
    engine = SobolEngine(2)
    out = facula.empty(0, dtype=facula.float64)
    assert engine.draw(3, out=out, dtype=facula.float64) is out
    assert out.tolist() == [[0, 0], [0.5, 0.5], [0.75, 0.25]]


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"\[1, 21201\], got 0"):
        SobolEngine(0)
    engine = SobolEngine(1)
    engine.draw(3)
    with pytest.raises(ValueError, match=r"n=3\+2\*\*1=5"):
        engine.draw_base2(1)
