"""Divergences of every pair that has one, against PyTorch."""

from __future__ import annotations

import pytest
from nn.stored import agrees, raised

import facula


def families(torch):
    """Two members of each family; the first of each pair is p."""
    D = torch.distributions

    def t(*values):
        return torch.tensor(values, dtype=torch.float64)

    m = t(2.0, 0.4, 0.4, 1.5).reshape(2, 2)
    f = t(1.0, 0.3).reshape(2, 1)
    return {
        "Bernoulli": (D.Bernoulli(t(0.2, 0.0)), D.Bernoulli(t(1.0, 0.3))),
        "Beta": (D.Beta(t(0.5, 2.0), t(1.5, 3.0)), D.Beta(t(2.5, 1.0), t(0.5, 1.0))),
        "Binomial": (D.Binomial(t(5.0, 7.0), t(0.2, 0.7)), D.Binomial(5, t(0.5, 0.6))),
        "Categorical": (D.Categorical(t(0.0, 0.8)), D.Categorical(t(0.5, 0.5))),
        "Cauchy": (D.Cauchy(t(0.0, 1.0), t(1.0, 2.0)), D.Cauchy(t(1.0, 1.0), t(1.0, 0.5))),
        "ContinuousBernoulli": (
            D.ContinuousBernoulli(t(0.2, 0.5)),
            D.ContinuousBernoulli(t(0.7, 0.4)),
        ),
        "Dirichlet": (D.Dirichlet(t(0.5, 2.0)), D.Dirichlet(t(1.5, 1.0))),
        "Exponential": (D.Exponential(t(0.5, 2.0)), D.Exponential(t(1.5, 1.0))),
        "Gamma": (D.Gamma(t(0.5, 2.0), t(1.0, 3.0)), D.Gamma(t(1.5, 1.0), t(2.0, 0.5))),
        "Geometric": (D.Geometric(t(0.2, 0.7)), D.Geometric(t(0.5, 0.6))),
        "Gumbel": (D.Gumbel(t(0.0, 1.0), t(1.0, 2.0)), D.Gumbel(t(1.0, 1.0), t(1.0, 0.5))),
        "HalfNormal": (D.HalfNormal(t(0.5, 2.0)), D.HalfNormal(t(1.5, 1.0))),
        "Independent": (
            D.Independent(D.Normal(t(0.0, 1.0), 1.0), 1),
            D.Independent(D.Normal(t(0.5, 1.0), 2.0), 1),
        ),
        "Laplace": (D.Laplace(t(0.0, 1.0), t(1.0, 2.0)), D.Laplace(t(1.0, 1.0), t(1.0, 0.5))),
        "LogNormal": (D.LogNormal(t(0.0, 1.0), 1.0), D.LogNormal(t(0.5, 1.0), 2.0)),
        "LowRank": (
            D.LowRankMultivariateNormal(t(0.0, 1.0), f, t(1.0, 0.5)),
            D.LowRankMultivariateNormal(t(0.5, 1.0), f / 2, t(0.7, 0.5)),
        ),
        "MultivariateNormal": (
            D.MultivariateNormal(t(0.0, 1.0), m),
            D.MultivariateNormal(t(0.5, 1.0), m / 2),
        ),
        "Normal": (D.Normal(t(0.0, 1.0), t(1.0, 2.0)), D.Normal(t(1.0, 1.0), t(1.0, 0.5))),
        "OneHot": (D.OneHotCategorical(t(0.2, 0.8)), D.OneHotCategorical(t(0.5, 0.5))),
        "Pareto": (D.Pareto(t(2.0, 1.0), t(2.5, 0.5)), D.Pareto(t(1.0, 2.0), t(1.0, 3.0))),
        "Poisson": (D.Poisson(t(0.5, 2.0)), D.Poisson(t(1.5, 1.0))),
        "Uniform": (D.Uniform(t(0.1, 0.2), t(0.7, 0.9)), D.Uniform(t(0.0, 0.3), t(1.0, 2.0))),
        "Wishart": (D.Wishart(t(3.5)[0], m), D.Wishart(t(3.0)[0], m / 2)),
    }


@agrees(rtol=2e-6, atol=1e-7)
def test_all_pairs(torch):
    made, out = families(torch), {}
    for a, (p, _) in made.items():
        for b, (_, q) in made.items():
            try:
                out[f"{a} {b}"] = torch.distributions.kl_divergence(p, q)
            except (NotImplementedError, ValueError):
                out[f"{a} {b}"] = None
    return out


@agrees
def test_gradients(torch):
    D = torch.distributions
    loc, scale = torch.tensor(0.5, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    q = D.Normal(loc, scale)
    out = []
    for p in (D.Normal(0.0, 1.0), D.Gamma(2.0, 1.0), D.Uniform(-1.0, 1.0), D.Laplace(0.0, 1.0)):
        out.append(torch.autograd.grad(D.kl_divergence(p, q), [loc, scale]))
    return out


def test_registering():
    D = facula.distributions

    class Mine(D.Normal):
        pass

    assert D.kl_divergence(Mine(0.0, 1.0), D.Normal(0.0, 1.0)).item() == 0
    D.register_kl(Mine, D.Normal)(lambda p, q: facula.tensor(42.0))
    assert D.kl_divergence(Mine(0.0, 1.0), D.Normal(0.0, 1.0)).item() == 42
    assert D.kl_divergence(D.Normal(0.0, 1.0), Mine(0.0, 1.0)).item() == 0
    with pytest.raises(TypeError, match="Distribution subclass"):
        D.register_kl(3, D.Normal)
    assert raised(D.kl_divergence, D.Poisson(1.0), D.Normal(0.0, 1.0)) == "NotImplementedError"
