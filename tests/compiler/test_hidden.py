"""What a causal mask hides is not computed, and nothing else changes."""

import math

import numpy as np
import pytest

import facula as torch
import facula.nn.functional as F
from facula.compiler import lower
from facula.interpreter import program

INF = math.inf


def scaled(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def attention(mask):
    """Attention written out, the mask made of a matrix of ones."""

    def f(q, k, v):
        scores = (q @ k.transpose(-2, -1)) * 0.3
        shape = scores.shape[-2:]
        return torch.softmax(mask(scores, torch.ones(shape)), -1) @ v

    return f


def filled(value):
    return torch.full((), value)


WAYS = {
    "is_causal": scaled,
    "tril": attention(lambda s, m: torch.where(m.tril(2) == 0, filled(-INF), s)),
    "triu": attention(lambda s, m: torch.where(m.bool().triu(1), filled(-INF), s)),
    "seen": attention(lambda s, m: torch.where(m.bool().tril(), s, filled(-INF))),
}
NOT = {
    "another number": attention(lambda s, m: torch.where(m.tril() == 0, filled(-2.0), s)),
    "hidden from below": attention(lambda s, m: torch.where(m.triu() == 0, filled(-INF), s)),
    "rows that see nothing": attention(lambda s, m: torch.where(m.tril(-1) == 0, filled(-INF), s)),
    "the other way": attention(lambda s, m: torch.where(m.tril() == 1, filled(-INF), s)),
}
SHAPES = [
    ((2, 3), 256, 256, 32),
    ((1, 2), 64, 64, 16),
    ((), 100, 100, 8),
    ((2,), 513, 400, 16),
    ((2,), 70, 130, 16),
    ((1,), 3, 3, 4),
]


def run(f, lead, rows, columns, width, dtype=torch.float32):
    """The result and the gradients."""
    r = np.random.default_rng(rows)
    sizes = [(rows, width), (columns, width), (columns, width), (rows, width)]
    q, k, v, g = [torch.tensor(r.standard_normal((*lead, *s))).to(dtype) for s in sizes]
    for t in (q, k, v):
        t.requires_grad_()
    f(q, k, v).backward(g)
    return [t.float().numpy() for t in (f(q, k, v).detach(), q.grad, k.grad, v.grad)]


@pytest.fixture
def clusters(monkeypatch):
    """The clusters of what is compiled, which from now on is all."""
    seen = []
    init = lower.Lowered.__init__

    def spy(self, *args):
        init(self, *args)
        seen.extend([c for c, _ in self.steps])

    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    monkeypatch.setattr(lower.Lowered, "__init__", spy)
    return seen


def both(f, monkeypatch):
    """What f gives compiled, and interpreted."""
    got = f()
    monkeypatch.setattr(program, "COMPILE_AFTER", 10**9)
    return got, f()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_the_same_values(way, shape, clusters, monkeypatch):
    for a, b in zip(*both(lambda: run(WAYS[way], *shape), monkeypatch), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
    if min(shape[1:3]) >= 64:
        products = [c for c in clusters if c.core is not None and c.core.op.name == "matmul"]
        # Forward twice, as the gradient is asked for apart: scores and values; then four of them.
        assert sum([c.hidden is not None for c in products]) >= 2
        assert sum([c.reach is not None for c in products]) >= 4
        assert any([c.hidden is not None for c in clusters if c.split])


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_other_dtypes(dtype, clusters, monkeypatch):
    d = getattr(torch, dtype)
    got, want = both(lambda: run(scaled, (2,), 130, 130, 16, d), monkeypatch)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-2 if dtype == "bfloat16" else 1e-6, atol=1e-2)
    assert any([c.reach is not None for c in clusters])


@pytest.mark.parametrize("way", NOT)
def test_what_is_not_a_causal_mask(way, clusters, monkeypatch):
    got, want = both(lambda: run(NOT[way], (2,), 100, 100, 16), monkeypatch)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
    if way != "another number":  # does not look at the scores, and has no gradient there
        assert not any([c.hidden or c.reach for c in clusters])


def test_a_mask_from_memory_says_nothing(clusters):
    mask = torch.ones(64, 64).tril()
    mask.numpy()
    run(attention(lambda s, m: s.masked_fill(mask == 0, -INF)), (2,), 64, 64, 16)
    assert not any([c.hidden or c.reach for c in clusters])


def test_scores_that_are_shown_are_all_computed(clusters, monkeypatch):
    q = torch.ones(2, 128, 8)

    def f():
        scores = q @ q.transpose(-2, -1)
        seen = torch.ones(128, 128).bool().tril()
        weights = torch.softmax(torch.where(seen, scores, filled(-INF)), -1)
        return [scores.numpy(), weights.numpy(), (weights * 2).sum(-1).numpy()]

    for a, b in zip(*both(f, monkeypatch), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_another_number_makes_another_program(clusters, monkeypatch):
    x = torch.arange(128.0 * 128).reshape(128, 128) / 1e4

    def f(fill):
        seen = torch.ones(128, 128).bool().tril()
        return torch.softmax(torch.where(seen, x, filled(fill)), -1).numpy()

    fills = (-INF, -2.0, -INF, 0.0)
    got, want = both(lambda: [f(x) for x in fills], monkeypatch)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_numbers_that_are_none(clusters):
    """A row with a NaN, or with an infinity, is NaN; what it may not see does not reach a row."""
    q = np.random.default_rng(0).standard_normal((1, 128, 16)).astype(np.float32)
    for bad in (math.nan, INF):
        a = q.copy()
        a[0, 70, 3] = bad
        t, u = torch.tensor(q), torch.tensor(a)
        rows = scaled(u, t, t).numpy()
        assert np.isnan(rows[0, 70]).all() and np.isfinite(np.delete(rows[0], 70, 0)).all()
        hidden = scaled(t, t, u).numpy()
        assert np.isfinite(hidden[0, :64]).all() and not np.isfinite(hidden[0, 70:, 3]).any()
