"""Losses over classes, where scores are there already and where they are computed first."""

import numpy as np
import pytest

import facula as torch


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
