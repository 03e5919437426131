"""Products of float32 matrices are PyTorch's, bit by bit, interpreted and compiled."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from blas import IN_ORDER

import facula as torch
from facula import summation
from facula.interpreter import program

CASES = json.loads((Path(__file__).parent / "data" / "summation.json").read_text())


@pytest.mark.parametrize(
    "compiled",
    [
        pytest.param(
            False,
            marks=pytest.mark.skipif(not IN_ORDER, reason="NumPy's library has other kernels"),
        ),
        True,
    ],
    ids=["interpreted", "compiled"],
)
@pytest.mark.parametrize("case", range(0, len(CASES), 2))
def test_products_are_the_stored_ones(case, compiled, monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0 if compiled else 1 << 30)
    for m, k, n, turned, digest in CASES[case : case + 2]:
        if not compiled and n < summation.NARROW and m * k * n < summation.LEAST:
            continue
        torch.manual_seed(case // 2)
        a = torch.randn(k, m).t() if turned else torch.randn(m, k)
        b = torch.randn(k, n)
        torch.synchronize()
        found = hashlib.sha256(np.ascontiguousarray((a @ b).numpy()).tobytes()).hexdigest()
        assert found == digest, (m, k, n, turned)


@pytest.mark.parametrize("columns", range(1, 12))
def test_peeled_elements_come_before_four_that_are_aligned(columns):
    for line, many in enumerate(summation.peeled(np.arange(9), columns)):
        assert many == 0 or (line * columns + many) % 4 == 0
        assert many in (0, 1, 2, 3) and (many == 0 or many + 4 <= columns)
