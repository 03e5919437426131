"""Under autocast every operation gives the dtypes that PyTorch's lists give it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import facula
from facula.amp import policy
from facula.ops import table

sys.path.insert(0, str(Path(__file__).resolve().parent))
import autocast_cases as cases

STORED = json.loads((Path(__file__).resolve().parents[1] / "data" / "amp.json").read_text())
CHECK = cases.checker()
FRAMEWORK = CHECK.FW("facula")
# Refused for 16-bit floats with or without autocast; PyTorch takes them under autocast alone.
NOT_HERE = {("linalg.det", True)}


@pytest.mark.parametrize("op", STORED["operations"])
def test_dtypes(op: str) -> None:
    archive = CHECK.Archive(cases.CONFORMANCE / "dev" / f"{op}.zip")
    case = cases.first_case(CHECK, archive)
    for low, expected in enumerate(STORED["operations"][op]):
        if expected and (op, bool(low)) not in NOT_HERE:
            got = cases.run(CHECK, FRAMEWORK, archive, case, bool(low))
            assert got == expected, "bfloat16 arguments" if low else "float32 arguments"


MODULES = [
    ("LSTM", (4, 6), "bfloat16 bfloat16 bfloat16"),
    ("GRU", (4, 6), "float32 float32"),
    ("RNN", (4, 6), "bfloat16 bfloat16"),
    ("LSTMCell", (4, 6), "float32 float32"),
    ("GRUCell", (4, 6), "float32"),
    ("RNNCell", (4, 6), "bfloat16"),
    ("TransformerEncoderLayer", (4, 2, 8), "float32"),
    ("LayerNorm", (4,), "float32"),
]


@pytest.mark.parametrize(("name", "args", "expected"), MODULES)
def test_modules(name: str, args: tuple[int, ...], expected: str) -> None:
    x = facula.randn(3, 4) if name.endswith("Cell") else facula.randn(5, 3, 4)
    module = getattr(facula.nn, name)(*args)
    with facula.autocast("cpu"):
        assert cases.dtypes(module(x)) == expected


def test_numbers_that_are_not_touched() -> None:
    whole, double = facula.ones(2, 2, dtype=facula.int64), facula.ones(2, 2, dtype=facula.float64)
    with facula.autocast("cpu"):
        assert (whole @ whole).dtype is facula.int64
        assert (double @ double).dtype is facula.float64
        assert facula.mm(facula.ones(2, 2), facula.ones(2, 2), out=facula.empty(2, 2)).dtype is (
            facula.float32
        )
        assert facula.zeros(2, 2).addmm_(facula.ones(2, 2), facula.ones(2, 2)).sum().item() == 8


def test_what_is_left_as_it_is_stands_in_no_list():
    for lists in policy.LISTS.values():
        for names in lists:
            assert table.AS_THEY_ARE.isdisjoint(names)
    assert {*table.FUNCTIONS, *table.METHODS, table.SPAN} >= table.AS_THEY_ARE


def test_a_stretch_is_known_by_autocast() -> None:
    """What a network recorded under autocast is not what it does without."""
    facula.manual_seed(0)
    layers = facula.nn.Linear(4, 4), facula.nn.ReLU(), facula.nn.LSTM(4, 3, batch_first=True)
    model = facula.nn.Sequential(*layers)
    x = facula.randn(2, 5, 4)
    want = {}
    for n in range(8):
        low = (None, facula.bfloat16, facula.float16, facula.bfloat16)[n % 4]
        with facula.autocast("cpu", dtype=low, enabled=low is not None):
            out, (h, _) = model(x)
            mean = (out * 2 + 1).mean()
        mean.backward()
        got = out.dtype, h.dtype, mean.dtype, mean.item()
        assert got[0] is (low or facula.float32)
        assert want.setdefault(low, got) == got
