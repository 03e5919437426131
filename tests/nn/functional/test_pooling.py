"""Pooling beside the conformance data: integers, arguments that do not fit, sizes of samples."""

from __future__ import annotations

from nn.stored import agrees, raised


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
