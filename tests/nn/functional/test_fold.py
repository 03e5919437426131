"""Channels traded for resolution: nothing is shared with the input."""

import pytest

import facula as torch


@pytest.mark.parametrize(
    ("name", "by", "shape"),
    [
        ("pixel_shuffle", 1, (1, 4, 2, 2)),
        ("pixel_shuffle", 2, (1, 4, 1, 1)),
        ("pixel_unshuffle", 1, (1, 4, 2, 2)),
        ("pixel_unshuffle", 2, (1, 1, 2, 2)),
        ("channel_shuffle", 1, (1, 4, 2, 2)),
        ("channel_shuffle", 4, (1, 4, 2, 2)),
    ],
)
def test_results_are_no_views(name, by, shape, tier):
    x = torch.arange(float(torch.Size(shape).numel())).reshape(shape)
    before = x.tolist()
    y = getattr(torch.nn.functional, name)(x, by)
    assert y.is_contiguous()
    assert y.flatten().tolist() == x.flatten().tolist()
    y.zero_()
    assert x.tolist() == before
