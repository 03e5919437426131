"""Complex numbers."""

from __future__ import annotations

import math

import pytest
from ops.numeric import check_gradients

import facula as torch


def test_parts_and_pairs_are_views():
    z = torch.tensor([1 + 2j, 3 + 4j])
    z.real.mul_(10)
    z.imag[1] = 0
    assert z.tolist() == [10 + 2j, 30 + 0j]
    pairs = torch.view_as_real(z)
    pairs[0, 1] = 5
    assert z[0].item() == 10 + 5j and pairs.stride() == (2, 1)
    assert torch.view_as_complex(pairs)[0].item() == 10 + 5j


def test_complex_keeps_infinities_apart():
    z = torch.complex(torch.tensor([math.inf]), torch.tensor([1.0])).item()
    assert (z.real, z.imag) == (math.inf, 1)


def test_polar_and_angle():
    assert torch.polar(torch.tensor(2.0), torch.tensor(math.pi / 2)).item() == pytest.approx(
        2j, abs=1e-6
    )
    assert torch.angle(torch.tensor([-1.0, 0.0, 1.0])).tolist() == pytest.approx([math.pi, 0, 0])
    check_gradients(lambda a, b: torch.polar(a, b), [1.5, 0.5], [0.3, 2.0])
    check_gradients(lambda a, b: torch.complex(a, b).angle(), [1.5, -0.5], [0.3, 2.0])


def test_types_that_do_not_fit():
    with pytest.raises(RuntimeError, match="complex"):
        torch.complex(torch.ones(1), torch.ones(1, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="size 2"):
        torch.view_as_complex(torch.ones(3))
    with pytest.raises(RuntimeError, match="non-complex"):
        torch.ones(1).imag


def test_the_pair_of_a_single_number():
    # Not from the memory behind a NumPy scalar, which the interpreter may give a body.
    for z in [torch.tensor(1 + 2j) * 2, torch.tensor(1 + 4j).add_(1), torch.tensor([2 + 4j]).sum()]:
        assert torch.view_as_real(z).tolist() == [2, 4]
