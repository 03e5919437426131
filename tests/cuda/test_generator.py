"""Random numbers of the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import facula as torch
from facula.philox import philox_uniform


def test_uniform_numbers_are_philox_s(device: Any) -> None:
    torch.cuda.manual_seed(5)
    got = torch.rand(3, 7, device="cuda").cpu().numpy().reshape(-1)
    np.testing.assert_array_equal(got, philox_uniform(5, 0, 21))
    again = torch.rand(10, device="cuda").cpu().numpy()
    np.testing.assert_array_equal(again, philox_uniform(5, 1, 10))


def test_seeds_and_states(device: Any) -> None:
    torch.manual_seed(3)
    a = torch.randn(9, device="cuda").cpu()
    state = torch.cuda.get_rng_state()
    b = torch.randn(9, device="cuda").cpu()
    assert not torch.equal(a, b)
    torch.cuda.set_rng_state(state)
    assert torch.equal(torch.randn(9, device="cuda").cpu(), b)
    torch.manual_seed(3)
    assert torch.equal(torch.randn(9, device="cuda").cpu(), a)


def test_distributions(device: Any) -> None:
    torch.manual_seed(1)
    n = 20_000
    z = torch.randn(n, device="cuda").cpu()
    assert abs(z.mean().item()) < 0.03 and abs(z.std().item() - 1) < 0.03
    u = torch.empty(n, device="cuda").uniform_(2, 4).cpu()
    assert u.min().item() >= 2 and u.max().item() < 4 and abs(u.mean().item() - 3) < 0.03
    k = torch.randint(3, 9, (n,), device="cuda").cpu()
    assert sorted(set(k.tolist())) == [3, 4, 5, 6, 7, 8]
    d = torch.nn.functional.dropout(torch.ones(n, device="cuda"), 0.25).cpu()
    assert abs((d == 0).float().mean().item() - 0.25) < 0.02
    assert set(d.tolist()) <= {0.0, torch.tensor(1 / 0.75).item()}


def test_other_distributions_have_their_medians(device: Any) -> None:
    def median(name: str, *given: Any) -> float:
        made = getattr(torch.empty(2000).to("cuda"), name)(*given)
        return float(made.cpu().median())

    torch.manual_seed(0)
    assert abs(median("cauchy_", 2.0, 0.5) - 2.0) < 0.1
    assert abs(median("log_normal_", 0.5, 1.0) - 1.65) < 0.2
    assert median("geometric_", 0.4) == 2.0
    assert abs(median("random_") / 2**23 - 1) < 0.1
    with pytest.raises(RuntimeError, match=r"p to be in \(0, 1\)"):
        torch.empty(2).to("cuda").geometric_(1.5)


def test_distributions_draw_where_their_parameters_are(device: Any) -> None:
    x = torch.tensor([0.3, 0.6]).to("cuda")
    d = torch.distributions
    for made in (d.Normal(x, x), d.Uniform(x, x + 1), d.Laplace(x, x), d.Gamma(x, x)):
        assert made.rsample((3,)).device.type == "cuda"
