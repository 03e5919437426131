"""What follows a product of few columns gets the product's bits (see tests/test_summation.py)."""

import numpy as np
import pytest

import facula as torch
from facula.cpu.peeled import PeeledWriter
from facula.interpreter import program


@pytest.mark.parametrize(("m", "k", "n"), [(64, 100, 10), (33, 21, 7), (5, 9, 5), (40, 300, 11)])
def test_what_follows_gets_the_same_bits(m, k, n, monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    written = []
    others = PeeledWriter._others

    def spy(self, f, x, rows):
        written.append(rows)
        return others(self, f, x, rows)

    monkeypatch.setattr(PeeledWriter, "_others", spy)
    torch.manual_seed(0)
    a, b, row = torch.randn(m, k), torch.randn(k, n), torch.randn(n)
    torch.synchronize()
    product = (a @ b).numpy()
    together = ((a @ b + row) * 2).numpy()
    np.testing.assert_array_equal(together, (product + row.numpy()) * np.float32(2))
    assert written
