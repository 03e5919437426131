"""Statistics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from nn.stored import agrees, raised
from ops.numeric import check_gradients

import facula as torch

MODES = ["linear", "lower", "higher", "midpoint", "nearest"]


@pytest.mark.parametrize("mode", MODES)
def test_quantiles_against_numpy(rng, mode):
    a = rng.normal(size=(3, 7))
    q = [0.0, 0.3, 0.5, 1.0]
    got = torch.quantile(
        torch.tensor(a), torch.tensor(q, dtype=torch.float64), 1, interpolation=mode
    )
    np.testing.assert_allclose(got.numpy(), np.quantile(a, q, 1, method=mode))
    a[0, 2] = math.nan
    got = torch.nanquantile(torch.tensor(a), 0.4, 1, True, interpolation=mode)
    np.testing.assert_allclose(got.numpy(), np.nanquantile(a, 0.4, 1, keepdims=True, method=mode))
    assert math.isnan(torch.quantile(torch.tensor(a), 0.4, 1)[0].item())


def test_quantile_out_of_range():
    with pytest.raises(RuntimeError, match=r"\[0, 1\]"):
        torch.ones(3).quantile(1.5)


def test_histograms_count_the_right_edge():
    x = torch.tensor([0.0, 1.0, 1.5, 2.0, 3.0])
    assert torch.histc(x, 2, 0, 2).tolist() == [1, 3]
    for wrong in ((x / 0,), (x * float("nan"),), (x, 4, 0, float("inf"))):
        with pytest.raises(RuntimeError, match="is not finite"):
            torch.histc(*wrong)
    assert torch.histc(x * float("nan"), 2, 0, 1).tolist() == [0, 0]
    hist, edges = torch.histogram(x, torch.tensor([0.0, 1.0, 2.0]), weight=torch.ones(5) * 2)
    assert (hist.tolist(), edges.tolist()) == ([2, 6], [0, 1, 2])
    points = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    hist, edges = torch.histogramdd(points, [2, 1])
    assert hist.tolist() == [[1], [1]] and len(edges) == 2


@pytest.mark.parametrize("edges", [np.linspace(-1, 2, 8), [-1.0, -0.5, -0.5, 1.0, 2.0]])
def test_histograms_of_many_against_numpy(edges, rng):
    edges = np.asarray(edges, np.float32)
    a = np.concatenate([rng.normal(size=500).astype(np.float32), edges])
    a = np.concatenate([a, np.nextafter(edges, -9), np.nextafter(edges, 9)])
    w = rng.integers(1, 9, a.size).astype(np.float32)
    hist, _ = torch.histogram(torch.tensor(a), torch.tensor(edges), weight=torch.tensor(w))
    np.testing.assert_allclose(hist.numpy(), np.histogram(a, edges, weights=w)[0], rtol=1e-6)


def test_bincount():
    x = torch.tensor([0, 2, 2])
    assert x.bincount(minlength=4).tolist() == [1, 0, 2, 0]
    assert x.bincount(torch.tensor([0.5, 1.0, 2.0])).tolist() == [0.5, 0, 3]
    with pytest.raises(RuntimeError, match="non-negative"):
        torch.tensor([-1]).bincount()


def test_covariance_against_numpy(rng):
    a = rng.normal(size=(3, 6))
    f, w = rng.integers(1, 4, 6), rng.uniform(0.5, 1, 6)
    got = torch.tensor(a).cov(fweights=torch.tensor(f), aweights=torch.tensor(w))
    np.testing.assert_allclose(got.numpy(), np.cov(a, fweights=f, aweights=w))
    np.testing.assert_allclose(torch.tensor(a).corrcoef().numpy(), np.corrcoef(a))


def test_nan_is_left_out():
    x = torch.tensor([1.0, math.nan, 3.0])
    assert (x.nansum().item(), x.nanmean().item()) == (4, 2)
    assert torch.var_mean(torch.tensor([1.0, 3.0]))[0].item() == 2
    assert torch.tensor([[0, 1], [2, 3]]).count_nonzero(0).tolist() == [1, 2]
    low, high = torch.aminmax(torch.tensor([3, 1, 2]))
    assert (low.item(), high.item()) == (1, 3)


def test_derivatives():
    check_gradients(lambda x: x.quantile(0.4), [3.0, 1.0, 2.0, 5.0])
    check_gradients(lambda x: torch.std_mean(x), [3.0, 1.0, 2.5])


def test_hashes_of_nothing():
    assert torch.hash_tensor(torch.empty(2, 0), dim=0).tolist() == []
    with pytest.raises(IndexError, match="Expected reduction dim 1"):
        torch.hash_tensor(torch.empty(2, 0), dim=1)
    with pytest.raises(RuntimeError, match="to be specified"):
        torch.hash_tensor(torch.empty(2, 0))


@pytest.mark.parametrize("name", ["std", "var", "std_mean", "var_mean"])
def test_the_second_argument_may_say_whether_it_is_unbiased(name):
    x = torch.tensor([1.0, 2.0, 4.0])
    wanted = getattr(torch, name)(x, dim=0, unbiased=False)
    torch.testing.assert_close(getattr(torch, name)(x, False), wanted)
    with pytest.raises(RuntimeError, match="floating point"):
        getattr(torch, name)(x.long(), True)


@agrees
def test_what_no_histogram_is_of(torch):
    inf, nan = float("inf"), float("nan")
    x, wide = torch.tensor([1.0, 2.0, 2.0]), torch.tensor([1.0, 2.0], dtype=torch.float64)
    h = torch.histogram
    calls = (
        lambda: h(x, 0), lambda: h(x, -1), lambda: h(x.int(), 2), lambda: h(x, wide),
        lambda: h(x, 2, weight=x.double()), lambda: h(x, 2, weight=x[:2]), lambda: h(x, x[:1]),
        lambda: h(x, x[:0]), lambda: h(x, x[None]), lambda: h(x, 2, range=(1.0, 0.0)),
        lambda: h(x, 2, range=(nan, 1.0)), lambda: h(x, 2, range=(0.0, inf)),
        lambda: h(x * inf, 2), lambda: h(x * nan, 2), lambda: torch.histogramdd(x, [2]),
        lambda: torch.histogramdd(x[:, None], [0]), lambda: torch.histogramdd(x[:, None], [x[:1]]),
        lambda: torch.histogramdd(x[:, None], [2], weight=x.double()),
    )  # fmt: skip
    good = (h(x, 2), h(x, 2, weight=x), h(x, x[:2] + 0.5), h(x[:0], 3), h(x[0], 3))
    return [raised(call) for call in calls], [list(g) for g in good]
