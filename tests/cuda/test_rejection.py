"""Draws by rejection on the device, their derivatives, and generators of a device."""

from __future__ import annotations

import math
from typing import Any

import pytest

import facula as torch
from facula.ops.draws import BETA_SLOPE, GAMMA_SLOPE
from facula.trace.recorder import record

MANY = 4000
# What is drawn, and mean and variance of it.
DRAWS: dict[str, tuple[Any, float, float]] = {
    "gamma": (lambda x: torch._standard_gamma(x * 3.5), 3.5, 3.5),
    "gamma_small": (lambda x: torch._standard_gamma(x * 0.3), 0.3, 0.3),
    "poisson": (lambda x: torch.poisson(x * 2.5), 2.5, 2.5),
    "poisson_large": (lambda x: torch.poisson(x * 60), 60, 60),
    "binomial": (lambda x: torch.binomial(x * 9, x * 0.7), 6.3, 1.89),
    "binomial_large": (lambda x: torch.binomial(x * 500, x * 0.4), 200, 120),
    "beta": (lambda x: torch.distributions.Beta(x * 2, x * 3).sample(), 0.4, 0.04),
    "dirichlet": (lambda x: torch._sample_dirichlet(x.reshape(-1, 2) * 2), 0.5, 0.05),
    "normal": (lambda x: torch.normal(x * 3, x * 2), 3, 4),
    "complex": (lambda x: torch.randn(MANY, dtype=torch.complex64, device="cuda").real, 0, 0.5),
}


@pytest.mark.parametrize("name", DRAWS)
def test_mean_and_variance(device: Any, name: str) -> None:
    f, mean, variance = DRAWS[name]
    torch.manual_seed(3)
    x = f(torch.ones(MANY).to("cuda")).cpu().double()
    assert abs(float(x.mean()) - mean) < 5 * math.sqrt(variance / MANY)
    assert abs(float(x.var()) / variance - 1) < 0.25
    torch.manual_seed(3)
    again = f(torch.ones(MANY).to("cuda")).cpu().double()
    assert torch.equal(again, x)


def test_derivatives_of_draws_are_those_of_the_cpu(device: Any) -> None:
    a = torch.tensor([0.2, 1.0, 3.0, 50.0], dtype=torch.float64)[:, None]
    x = torch.tensor([0.0, 1e-12, 0.1, 0.9, 3.0, 60.0], dtype=torch.float64)
    got = record(GAMMA_SLOPE, (a.to("cuda"), x.to("cuda"))).cpu()
    torch.testing.assert_close(got, record(GAMMA_SLOPE, (a, x)), rtol=1e-5, atol=1e-8)
    x = torch.tensor([0.0, 1e-5, 0.1, 0.6, 0.99, 1.0], dtype=torch.float64)
    three = [x, a, a * 1.5 + 1]
    got = record(BETA_SLOPE, tuple([t.to("cuda") for t in three])).cpu()
    torch.testing.assert_close(got, record(BETA_SLOPE, tuple(three)), rtol=1e-5, atol=1e-8)
    b = torch.full((3,), 2.0).to("cuda").requires_grad_()
    torch.distributions.Dirichlet(b).rsample()[0].backward()
    assert b.grad.isfinite().all() and b.grad.is_cuda


def test_a_generator_of_the_device(device: Any) -> None:
    g = torch.Generator("cuda").manual_seed(5)
    assert isinstance(g, torch.Generator) and g.device == torch.device("cuda", 0)
    first = torch.rand(7, device="cuda", generator=g).cpu()
    state = g.get_state()
    second = torch.randint(0, 99, (7,), device="cuda", generator=g).cpu()
    g.set_state(state)
    assert torch.equal(torch.randint(0, 99, (7,), device="cuda", generator=g).cpu(), second)
    other = g.clone_state()
    for h in (g, other):
        h.manual_seed(5)
        assert torch.equal(torch.empty(7, device="cuda").uniform_(generator=h).cpu(), first)
    order = torch.randperm(50, device="cuda", generator=g)
    assert order.sort().values.tolist() == list(range(50)) and order.is_cuda
    with pytest.raises(RuntimeError, match="Expected a 'cuda' device type for generator"):
        torch.rand(3, device="cuda", generator=torch.Generator())
    with pytest.raises(RuntimeError, match="Expected a 'cpu' device type for generator"):
        torch.rand(3, generator=g)


def test_jacobians(device: Any) -> None:
    x = torch.tensor([0.1, 0.2, 0.3]).to("cuda")
    for f in (torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(f(torch.sin)(x), x.cos().diag())
    got = torch.func.hessian(lambda x: (x**3).sum())(x)
    torch.testing.assert_close(got, (6 * x).diag())


def test_distributions_without_numbers_of_the_cpu(device: Any) -> None:
    D, x = torch.distributions, torch.full((2, 3), 1.5).to("cuda")
    e = torch.eye(3).to("cuda")
    for d in (
        D.StudentT(x),
        D.VonMises(x, x),
        D.Wishart(torch.tensor(5.0).to("cuda"), e),
        D.LKJCholesky(3, torch.tensor(1.0).to("cuda")),
        D.FisherSnedecor(x, x),
        D.NegativeBinomial(x, x / 2),
        D.InverseGamma(x, x),
        D.MultivariateNormal(x[0], e),
    ):
        assert d.sample().is_cuda
