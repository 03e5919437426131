"""Rows that are reduced and read again: divisors of a row, widths that fit no vector."""

import numpy as np
import pytest

import facula as torch
from facula.interpreter import program

DIVISORS = [
    *(1.0, 3.0, -7.0, 0.1, 1e-3, 12345.678, -1e20, 2.0**-123, 2.0**-124, 2.0**125, 2.0**126),
    *(3e38, 1.2e-38, 1e-45, -1e-41, 0.0, -0.0, np.inf, -np.inf, np.nan),
]
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 1.2e-38, 3e38, -3.4e38, 1.0, -1.0]


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)


@pytest.mark.parametrize("columns", [5, 16, 31, 64, 72, 100, 127, 1000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_division_by_a_value_of_the_row(columns, dtype, rng):
    """Wide rows are multiplied by the inverse and corrected, which gives the same quotients."""
    rows = len(DIVISORS)
    a = rng.standard_normal((rows, columns)) * 10.0 ** rng.integers(-30, 30, (rows, columns))
    a = a.astype(dtype)
    few = min(columns, len(SPECIAL))
    for r in range(rows):
        a[r, rng.permutation(columns)[:few]] = SPECIAL[:few]
    s = np.zeros((rows, columns), dtype)
    s[:, columns // 2] = DIVISORS
    got = (torch.tensor(a) / torch.tensor(s).sum(1, keepdim=True)).numpy()
    with np.errstate(all="ignore"):
        want = a / s.sum(1, keepdims=True)
    plain = np.isfinite(want) & (np.abs(want) < np.finfo(dtype).max / 2)
    for what in (np.isnan, np.isinf, np.signbit):
        here = what(want) == what(got)
        assert (here | np.isnan(want) | (~plain & (what is np.isinf))).all()
    ulp = np.spacing(np.abs(want[plain]))
    assert (np.abs(got[plain] - want[plain]) <= ulp).all()
    assert (got[plain] == want[plain]).mean() > 0.99


def test_a_row_divided_by_its_largest_has_a_one(rng):
    x = torch.tensor(rng.uniform(0.1, 1e4, (257, 130)).astype(np.float32))
    y = (x / x.amax(1, keepdim=True)).numpy()
    assert (y.max(1) == 1).all()


@pytest.mark.parametrize("columns", [*range(1, 20), 23, 24, 25, 40, 70, 136, 137])
def test_rows_of_all_widths(columns, rng):
    a = rng.standard_normal((9, columns)).astype(np.float32)
    x = torch.tensor(a, requires_grad=True)
    y = x.softmax(1)
    top, total = x.amax(1), (x * x).sum(1)
    (y * x).sum().backward()
    wide = a.astype(np.float64)
    e = np.exp(wide - wide.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    np.testing.assert_allclose(y.detach().numpy(), p, 1e-5, 1e-7)
    np.testing.assert_array_equal(top.detach().numpy(), a.max(1))
    np.testing.assert_allclose(total.detach().numpy(), (wide * wide).sum(1), 1e-5)
    want = p + p * (wide - (p * wide).sum(1, keepdims=True))
    np.testing.assert_allclose(x.grad.numpy(), want, 1e-4, 1e-6)
