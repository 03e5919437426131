"""Kernels that are written once for all sizes: of one key there is one text."""

import numpy as np
import pytest
from cpu.both import both

import facula as torch
import facula.nn.functional as F
from facula.compiler import lower, sizes
from facula.cpu import any_size, map_layout
from facula.interpreter import program
from facula.trace.recorder import TLS, Recorder


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Each program is compiled when it is met, for sizes that change all the time."""
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    monkeypatch.setattr(program, "FEW", 0)
    monkeypatch.setattr(lower, "_written", {})
    monkeypatch.setattr(sizes, "_known", {})
    monkeypatch.setattr(any_size, "_texts", {})
    monkeypatch.setattr(map_layout, "_lengths", {})
    monkeypatch.setattr(TLS, "r", Recorder())


def pointwise(m, n):
    """One row, whole and broadcast rows, columns that lie apart."""
    x, y, b = torch.randn(m, n), torch.randn(n, m).t(), torch.randn(n)
    torch.synchronize()
    return [x * 2 + x.exp(), x * b - 1, (x + y).tanh(), x.clamp(min=0) ** 3, x > b, x * m]


def rows(m, n):
    """Sums of rows, of columns, of rows whose values are kept, in dimensions that do not join."""
    x = torch.randn(3, m, n).transpose(0, 1)
    w = torch.randn(m, 1)
    torch.synchronize()
    return [x.sum(-1), x[:, 0].exp().sum(0), F.softmax(x, -1), F.layer_norm(x, (n,)), (x[:, 1] * w)]


def mixed(m, n):
    """Other types."""
    x = torch.randn(m, n, dtype=torch.float64)
    i = torch.randint(0, 9, (m, n))
    torch.synchronize()
    return [x.sum(-1), x.float() * 3, i * 2 + 1, i.float().sum(0), (i > 3) & (x > 0), x.half() * 2]


SIZES = [(m, n) for m in (1, 2, 17, 40, 300) for n in (1, 3, 16, 50, 64, 70, 200)]


@pytest.mark.parametrize("build", [pointwise, rows, mixed])
def test_of_one_key_there_is_one_text(build, monkeypatch):
    met = {}
    again = 0

    def remember(k, key, slots):
        nonlocal again
        text = k.text()
        again += key in met
        assert met.setdefault(key, text) == text

    monkeypatch.setattr(any_size, "known", lambda k: (any_size._key(k), False))
    monkeypatch.setattr(any_size, "remember", remember)
    for m, n in SIZES:
        wanted = build(m, n)
        torch.synchronize()
        del wanted
    assert again > len(met)


@pytest.mark.parametrize("build", [pointwise, rows, mixed])
def test_what_they_compute(build):
    for m, n in SIZES:
        both(lambda m=m, n=n: build(m, n), tolerance=2e-4)


@pytest.mark.parametrize("build", [pointwise, rows, mixed])
def test_no_bit_depends_on_it(build, monkeypatch):
    def all_of_them():
        monkeypatch.setattr(TLS, "r", Recorder())
        monkeypatch.setattr(lower, "_written", {})
        out = []
        for m, n in SIZES:
            torch.manual_seed(m)
            out += [x.numpy().copy() for x in build(m, n)]
        return out

    got = all_of_them()
    monkeypatch.setattr(program, "FEW", 2)  # kernels for these sizes
    for a, b in zip(got, all_of_them(), strict=True):
        np.testing.assert_array_equal(a, b)
