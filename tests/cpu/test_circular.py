"""Circular functions, compiled: where half turns are taken off. The table of errors is in
`test_elementary.py`."""

import numpy as np
import pytest

import facula as torch
from facula.cpu.circular import NEAR32
from facula.interpreter import program


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
@pytest.mark.parametrize("last", [NEAR32, 2.0**20])
def test_errors_beside_the_zeros_and_poles(name, last):
    """Little is left there of what half turns are taken off."""
    k = np.linspace(1, last / (np.pi / 2), 5216).round()
    x = (k * (np.pi / 2)).astype(np.float32)
    x = np.concatenate([x, np.nextafter(x, np.float32(0)), np.nextafter(x, np.float32(1e9))])
    got = getattr(torch, name)(torch.from_numpy(x)).numpy()
    want = getattr(np, name)(x.astype(np.float64))
    unit = np.spacing(np.abs(want.astype(np.float32))).astype(np.float64)
    assert (np.abs(got - want) / unit).max() <= 1.6
