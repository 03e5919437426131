"""Norms and distances, also at zero."""

from __future__ import annotations

import math

import numpy as np
import pytest
from nn.stored import agrees, raised
from ops.numeric import check_gradients

import facula as torch


@pytest.mark.parametrize("p", [0, 0.5, 1, 2, 3, math.inf, -math.inf, -1])
def test_vector_norms_against_numpy(rng, p):
    a = rng.normal(size=5)
    got = torch.linalg.vector_norm(torch.tensor(a), p).item()
    assert got == pytest.approx(np.linalg.norm(a, p))
    if p:
        check_gradients(lambda x: torch.linalg.vector_norm(x, p), a, second=p in (2, 3))


@pytest.mark.parametrize("p", [1, 1.5, 2, 3, math.inf])
def test_the_derivative_at_zero_is_finite(p):
    x = torch.zeros(3, requires_grad=True)
    x.norm(p).backward()
    assert x.grad.abs().max().item() <= 1


def test_distances():
    a, b = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[3.0, 4.0]])
    assert torch.cdist(a, b).tolist() == [[5], [0]]
    assert torch.cdist(a, b, 1.0).tolist() == [[7], [0]]
    assert torch.dist(a[0], b[0], 2).item() == 5
    assert torch.renorm(a, 2, 0, 1.0)[1].norm().item() == pytest.approx(1)
    with pytest.raises(RuntimeError, match="same number of columns"):
        torch.cdist(a, torch.ones(1, 3))


@agrees
def test_norms_over_dimensions_of_nothing(torch):
    out = []
    for shape in ((0, 3), (3, 0), (0,), (2, 0, 3)):
        for order in (0, 1, 2, -1, float("inf"), -float("inf")):
            for dim in (None, 0, -1):
                for f in (torch.norm, torch.linalg.vector_norm):
                    try:
                        out.append(list(f(torch.ones(shape), order, dim).shape))
                    except Exception as error:
                        out.append(type(error).__name__)
    shapes = ((2, 3, 4), (3,), (3, 4))
    return [*out, [raised(torch.norm, torch.ones(shape), "nuc") for shape in shapes]]
