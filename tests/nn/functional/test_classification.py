"""Losses over classes, where scores are there already and where they are computed first."""

import numpy as np
import pytest

import facula as torch
from facula.trace.state import TLS


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 6), (1, 2), (0, 3)], ids=str)
def test_nll_loss_call_after_call(shape, reduction, tier, rng):
    """The later calls follow what the first one recorded, with other values."""
    classes = shape[1]
    for _ in range(3):
        a = rng.standard_normal(shape)
        t = rng.integers(0, classes, (shape[0], *shape[2:]))
        each = -np.take_along_axis(a, t[:, None], 1)[:, 0]
        with np.errstate(all="ignore"):
            mean = each.sum() / np.float64(each.size)
        want = {"mean": mean, "sum": each.sum(), "none": each}[reduction]
        for scores in (torch.tensor(a), torch.tensor(a) * 1):
            got = torch.nn.functional.nll_loss(scores, torch.tensor(t), reduction=reduction)
            assert np.allclose(got.tolist(), want, equal_nan=True)
            factors = rng.random(classes)
            with np.errstate(all="ignore"):
                mean = (each * factors[t]).sum() / factors[t].sum()
            own = {"mean": mean, "sum": (each * factors[t]).sum(), "none": each * factors[t]}
            w = torch.tensor(factors)
            got = torch.nn.functional.nll_loss(scores, torch.tensor(t), w, reduction=reduction)
            assert np.allclose(got.tolist(), own[reduction], equal_nan=True)
        x = torch.tensor(a, requires_grad=True)
        torch.nn.functional.nll_loss(x, torch.tensor(t), reduction="sum").backward()
        assert x.grad.sum().item() == -each.size


MADE = [
    lambda y: y + 3,
    lambda y: (y - 1).long(),
    lambda y: y.unsqueeze(1).squeeze(1) * 4,
    lambda y: torch.nn.functional.one_hot(y, 8).argmax(1) + 2,
    lambda y: torch.where(y > 1, y, -y - 1),
]


@pytest.mark.parametrize("make", MADE)
@pytest.mark.parametrize("loss", ["nll_loss", "cross_entropy", "multi_margin_loss"])
def test_targets_that_are_computed_are_checked(make, loss, tier):
    """PyTorch raises at the call; the frame, with the model in it, goes on."""
    f = getattr(torch.nn.functional, loss)
    expected = RuntimeError if loss == "multi_margin_loss" else IndexError
    w = torch.ones(6, 4, requires_grad=True)
    for _ in range(3):
        y = torch.tensor([0, 1, 2, 3, 0])
        scores = torch.ones(5, 6) @ w
        frame = TLS.r.frame
        with pytest.raises(expected, match="out of"):
            f(scores, make(y))
        total = f(scores, make(y) % 4)
        assert TLS.r.frame == frame
        total.backward()
        assert torch.isfinite(w.grad).all()


def test_probabilities_and_variances_that_are_computed_are_checked(tier):
    f = torch.nn.functional
    for _ in range(3):
        p, y, var = torch.tensor([0.5, 0.25]), torch.tensor([0, 2]), torch.tensor([1.0, -1.0])
        with pytest.raises(RuntimeError, match="between 0 and 1"):
            f.binary_cross_entropy(p, y.float())
        with pytest.raises(RuntimeError, match="between 0 and 1"):
            f.binary_cross_entropy(p * 3, p)
        with pytest.raises(ValueError, match="negative"):
            f.gaussian_nll_loss(p, p, var * 2)
