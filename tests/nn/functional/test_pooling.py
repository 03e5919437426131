"""Pooling beside the conformance data: integers, arguments that do not fit, sizes of samples."""

from __future__ import annotations

import pytest
from nn.stored import agrees, raised

import facula as torch
from facula.nn import functional as F


@agrees
def test_means_of_integers_round_towards_zero(torch):
    F = torch.nn.functional
    x = torch.tensor([[[-3, 2, 5, 7], [1, -4, -6, 0]]])
    out = torch.empty(1, 1, 2, dtype=torch.int64)
    return [
        F.avg_pool1d(x[0], 2),
        F.avg_pool1d(x[0], 3, 1, 1),
        F.avg_pool1d(x[0], 2, padding=1, count_include_pad=False),
        F.avg_pool2d(x, 2, divisor_override=-3),
        F.avg_pool2d(x, 2, out=out) is out,
        out,
    ]


@agrees
def test_what_does_not_fit(torch):
    F = torch.nn.functional
    flat, ones = torch.ones(2, 2), torch.ones(2, 3, 4, 4)
    return [
        raised(F.adaptive_avg_pool2d, flat, (1, 1)),
        raised(F.adaptive_max_pool2d, flat, (1, 1)),
        raised(F.adaptive_avg_pool3d, flat, (1, 1, 1)),
        raised(F.adaptive_max_pool2d, torch.ones(2, 0, 4, 4), 2),
        raised(F.avg_pool2d, torch.ones(1, 2, 2, dtype=torch.int32), 2),
        raised(F.fractional_max_pool2d, ones, 2, 2, _random_samples=torch.ones(1, 3, 2)),
        raised(F.fractional_max_pool2d, ones, 2, 2, _random_samples=torch.ones(2, 4, 2)),
    ]


@agrees
def test_empty_channels_and_more_samples_than_needed(torch):
    F = torch.nn.functional
    x = torch.arange(72.0).reshape(2, 6, 6)
    samples = torch.full((3, 2, 2), 0.3)
    return [
        F.adaptive_avg_pool2d(torch.ones(0, 2, 2), 2),
        F.adaptive_max_pool1d(torch.ones(0, 2), 2),
        F.fractional_max_pool2d(x, 2, output_size=3, _random_samples=samples),
    ]


@agrees
def test_resizing_by_area_is_adaptive_pooling(torch):
    x = torch.arange(84.0).reshape(1, 2, 6, 7).requires_grad_()
    y = torch.nn.functional.interpolate(x, scale_factor=0.6, mode="area")
    return [y, *torch.autograd.grad(y.square().sum(), x)]


def test_pools_of_empty_batches_and_results():
    for n in (1, 2, 3):
        x = torch.randn(0, 4, *[10] * n, requires_grad=True)
        pool = getattr(torch.nn, f"MaxPool{n}d")(2, 2, return_indices=True)
        made = getattr(torch.nn, f"MaxUnpool{n}d")(2, 2)(*pool(x))
        made.sum().backward()
        assert made.shape == x.shape == x.grad.shape
    assert F.fractional_max_pool2d(torch.ones(2, 9, 9), 2, output_size=(0, 1)).shape == (2, 0, 1)
    made = F.fractional_max_pool3d(torch.ones(1, 2, 9, 9, 9), 2, (0, 1, 1), return_indices=True)
    assert [t.shape for t in made] == [(1, 2, 0, 1, 1)] * 2 and made[1].dtype is torch.int64


ERRORS_OF_POOLS = [
    (lambda: F.max_unpool2d(torch.ones(1, 0, 4, 4), torch.ones(1, 0, 4, 4).long(), 2), "non-zero"),
    (lambda: F.fractional_max_pool2d(torch.ones(2, 9, 9), (2,), 3), "must either be a single Int"),
    (lambda: F.fractional_max_pool3d(torch.ones(2, 9, 9, 9), (2,), 3), "must either be a single"),
]


def test_ratios_are_one_or_one_for_each_dimension():
    with pytest.raises(ValueError, match="requires output_ratio"):
        F.fractional_max_pool2d(torch.ones(2, 9, 9), 2, output_ratio=(0.5, 0.5, 0.5))


@pytest.mark.parametrize("ask, text", ERRORS_OF_POOLS)
def test_errors_of_pools(ask, text):
    with pytest.raises(RuntimeError, match=text):
        ask()
