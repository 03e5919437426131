"""Reductions of segments."""

from __future__ import annotations

import pytest

import facula as torch


@pytest.mark.parametrize(
    ("reduce", "out", "gradient"),
    [
        ("sum", [1, 5, 0, 14], [1, 1, 1, 1, 1, 1]),
        ("max", [1, 3, -float("inf"), 5], [1, 0, 1, 0, 0.5, 0.5]),
        ("amax", [1, 3, -float("inf"), 5], [1, 0, 1, 0, 0.5, 0.5]),
        ("min", [1, 2, float("inf"), 4], [1, 1, 0, 1, 0, 0]),
        ("amin", [1, 2, float("inf"), 4], [1, 1, 0, 1, 0, 0]),
        ("prod", [1, 6, 1, 100], [1, 3, 2, 25, 20, 20]),
    ],
)
def test_segments_by_lengths_and_offsets(reduce, out, gradient):
    """The values are PyTorch's."""
    for given in (
        {"lengths": torch.tensor([1, 2, 0, 3])},
        {"offsets": torch.tensor([0, 1, 3, 3, 6])},
    ):
        x = torch.tensor([1.0, 2, 3, 4, 5, 5], requires_grad=True)
        y = torch._segment_reduce(x, reduce, **given)
        y.sum().backward()
        assert y.tolist() == out and x.grad.tolist() == gradient
