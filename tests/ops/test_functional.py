"""Functions of nn.functional at the top level."""

from __future__ import annotations

import facula as torch


def test_they_are_those_of_nn_functional():
    x, y = torch.tensor([[3.0, 4.0]]), torch.tensor([[3.0, 0.0]])
    assert (
        torch.cosine_similarity(x, y).item() == torch.nn.functional.cosine_similarity(x, y).item()
    )
    assert torch.selu(x).tolist() == torch.nn.functional.selu(x).tolist()
    assert torch.pixel_shuffle(torch.ones(1, 4, 2, 2), 2).shape == (1, 1, 4, 4)
