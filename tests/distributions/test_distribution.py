"""Every distribution against PyTorch: samples by seed, moments, densities, gradients, errors."""

from __future__ import annotations

import pytest
from nn.stored import agrees, message, raised

import facula


def cases(torch):
    """A distribution of every kind, with the tensors that it depends on."""
    D = torch.distributions

    def t(*values):
        return torch.tensor(values, dtype=torch.float64, requires_grad=True)

    a, b, c = t(0.4, 1.5, 3.0), t(0.7, 2.0, 1.2), t(-0.5, 0.3, 2.0)
    p, n = t(0.2, 0.5, 0.9), torch.tensor([3.0, 5.0, 5.0], dtype=torch.float64)
    w = t(0.1, 0.6, 0.3)
    m = torch.tensor([[2.0, 0.4, 0.1], [0.4, 1.5, -0.3], [0.1, -0.3, 1.0]], dtype=torch.float64)
    m = m.requires_grad_()
    f = torch.tensor([[1.0, 0.2], [0.3, -0.5], [0.1, 0.4]], dtype=torch.float64)
    mixed = D.MixtureSameFamily(D.Categorical(w), D.Normal(c, a))
    made = {
        "Bernoulli": (D.Bernoulli(p), p),
        "Bernoulli logits": (D.Bernoulli(logits=c), c),
        "Beta": (D.Beta(a, b), a, b),
        "Binomial": (D.Binomial(5, p), p),
        "Categorical": (D.Categorical(w), w),
        "Categorical logits": (D.Categorical(logits=c), c),
        "Cauchy": (D.Cauchy(c, a), c, a),
        "Chi2": (D.Chi2(a), a),
        "ContinuousBernoulli": (D.ContinuousBernoulli(p), p),
        "Dirichlet": (D.Dirichlet(a), a),
        "Exponential": (D.Exponential(a), a),
        "FisherSnedecor": (D.FisherSnedecor(a * 4, b * 4), a, b),
        "Gamma": (D.Gamma(a, b), a, b),
        "GeneralizedPareto": (D.GeneralizedPareto(c.float(), a.float(), c.float() / 8), c, a),
        "Geometric": (D.Geometric(p), p),
        "Gumbel": (D.Gumbel(c, a), c, a),
        "HalfCauchy": (D.HalfCauchy(a), a),
        "HalfNormal": (D.HalfNormal(a), a),
        "Independent": (D.Independent(D.Normal(c, a), 1), c, a),
        "InverseGamma": (D.InverseGamma(a, b), a, b),
        "Kumaraswamy": (D.Kumaraswamy(a, b), a, b),
        "LKJCholesky": (D.LKJCholesky(3, a), a),
        "Laplace": (D.Laplace(c, a), c, a),
        "LogNormal": (D.LogNormal(c, a / 4), c, a),
        "LogisticNormal": (D.LogisticNormal(c, a), c, a),
        "LowRankMultivariateNormal": (D.LowRankMultivariateNormal(c, f, a), c, a),
        "MixtureSameFamily": (mixed, w, c, a),
        "Multinomial": (D.Multinomial(4, w), w),
        "MultivariateNormal": (D.MultivariateNormal(c, m), c, m),
        "MultivariateNormal precision": (D.MultivariateNormal(c, precision_matrix=m), c, m),
        "NegativeBinomial": (D.NegativeBinomial(n, p), p),
        "Normal": (D.Normal(c, a), c, a),
        "OneHotCategorical": (D.OneHotCategorical(w), w),
        "OneHotCategoricalStraightThrough": (D.OneHotCategoricalStraightThrough(w), w),
        "Pareto": (D.Pareto(a, b), a, b),
        "Poisson": (D.Poisson(a * 4), a),
        "RelaxedBernoulli": (D.RelaxedBernoulli(a[0], p), a, p),
        "RelaxedOneHotCategorical": (D.RelaxedOneHotCategorical(a[1], w), a, w),
        "StudentT": (D.StudentT(a + 1.5, c, b), a, c, b),
        "Transformed": (
            D.TransformedDistribution(
                D.Normal(c, a), [D.AffineTransform(1.0, -2.0), D.SigmoidTransform()]
            ),
            c,
            a,
        ),
        "Uniform": (D.Uniform(c, c + a), c, a),
        "VonMises": (D.VonMises(c, a), c, a),
        "Weibull": (D.Weibull(a, b), a, b),
        "Wishart": (D.Wishart(torch.tensor(4.5, dtype=torch.float64), m), m),
    }
    return made


def attempt(function):
    """A result, or the type of the error in its place."""
    try:
        return function()
    except Exception as error:
        return type(error).__name__


def gradients(torch, value, params):
    if not hasattr(value, "requires_grad") or not value.requires_grad:
        return None
    weights = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).reshape(value.shape)
    found = torch.autograd.grad((value * weights).sum(), params, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(found, params, strict=True)]


@agrees(rtol=2e-5, atol=2e-6)
def test_shapes_moments_and_texts(torch):
    out = {}
    for name, (d, *params) in cases(torch).items():
        out[name] = {
            "shapes": [list(d.batch_shape), list(d.event_shape), d.has_rsample],
            "text": repr(d),
            "support": attempt(lambda d=d: [d.support.is_discrete, d.support.event_dim]),
        }
        for what in ("mean", "mode", "variance", "stddev"):
            if what == "mode" and name == "Kumaraswamy":
                continue  # PyTorch's formula is another one, and NaN
            out[name][what] = attempt(lambda d=d, what=what: getattr(d, what))
        entropy = attempt(d.entropy)
        out[name]["entropy"] = [entropy, gradients(torch, entropy, params)]
        out[name]["values"] = attempt(d.enumerate_support)
        larger = (2, *d.batch_shape)
        out[name]["expanded"] = attempt(
            lambda d=d, larger=larger: [
                list(d.expand(larger).sample().shape),
                d.expand(larger).mean,
            ]
        )
    return out


@agrees(rtol=2e-5, atol=2e-6)
def test_samples_and_their_densities(torch):
    out = {}
    for name, (d, *params) in cases(torch).items():
        torch.manual_seed(7)
        x = d.sample((2,))
        if name == "Wishart":  # PyTorch draws again what is not singular
            out[name] = [d.support.check(x)]
            continue
        out[name] = [x, x.requires_grad]
        log_prob = attempt(lambda d=d, x=x: d.log_prob(x))
        out[name].append([log_prob, gradients(torch, log_prob, params)])
        cdf = attempt(lambda d=d, x=x: d.cdf(x))
        out[name].append(cdf)
        out[name].append(attempt(lambda d=d, cdf=cdf: d.icdf(cdf)))
    return out


# PyTorch's derivatives of Dirichlet draws by their concentrations are approximations.
@agrees(rtol=2e-2, atol=1e-4)
def test_gradients_of_samples(torch):
    out = {}
    for name, (d, *params) in cases(torch).items():
        if name == "Wishart":  # PyTorch's gradient fails by a write in place
            continue
        torch.manual_seed(11)
        x = attempt(lambda d=d: d.rsample((2,)))
        out[name] = [x if isinstance(x, str) else None, gradients(torch, x, params)]
    return out


@agrees
def test_numbers_as_parameters(torch):
    D = torch.distributions
    torch.manual_seed(5)
    made = [D.Normal(0, 1), D.Uniform(-1, 2), D.Bernoulli(0.3), D.Gamma(2, 3.0), D.Poisson(4),
            D.Beta(2.0, 3.0), D.Exponential(2.0), D.Geometric(0.4), D.Gumbel(0.0, 1.0),
            D.Laplace(0.0, 1.0), D.Normal(torch.tensor([1.0, 2.0]), 1)]  # fmt: skip
    return [[repr(d), list(d.batch_shape), d.sample((3,))] for d in made]


@agrees
def test_what_is_refused(torch):
    D = torch.distributions
    one, bad = torch.ones(2), torch.tensor([1.0, -1.0])
    half = torch.tensor([0.5, 1.5])
    calls = [
        lambda: D.Normal(one, bad),
        lambda: D.Normal("a", 1),
        lambda: D.Bernoulli(half),
        lambda: D.Bernoulli(),
        lambda: D.Bernoulli(0.5, 0.5),
        lambda: D.Categorical(bad),
        lambda: D.Categorical(torch.tensor(1.0)),
        lambda: D.Uniform(one, one),
        lambda: D.Normal(0.0, 1.0).log_prob(torch.tensor(float("nan"))),
        lambda: D.Normal(0.0, 1.0).log_prob(1.0),
        lambda: D.Normal(torch.zeros(3), one[:1]).log_prob(torch.zeros(2)),
        lambda: D.Dirichlet(one).log_prob(half),
        lambda: D.Independent(D.Normal(0.0, 1.0), 1),
        lambda: D.MultivariateNormal(one),
        lambda: D.MultivariateNormal(one, -torch.eye(2)),
        lambda: D.Binomial(torch.tensor([2.0, 3.0]), torch.tensor(0.5)).entropy(),
        lambda: D.Cauchy(0.0, 1.0).enumerate_support(),
        lambda: D.Bernoulli(0.5).rsample(),
        lambda: D.Distribution().mean,
        lambda: D.kl_divergence(D.Cauchy(0.0, 1.0), D.Normal(0.0, 1.0)),
        lambda: D.LKJCholesky(1),
        lambda: D.Geometric(torch.tensor([0.0])),
        lambda: D.Multinomial(torch.tensor(3), one),
    ]
    return [raised(call) for call in calls]


@agrees
def test_the_text_of_an_error_names_the_parameter(torch):
    text = message(torch.distributions.Normal, torch.ones(1), -torch.ones(1))[1]
    return text.split(" of distribution ")[0]


def test_checks_can_be_switched_off():
    D = facula.distributions
    assert D.Normal(0.0, -1.0, validate_args=False).scale.item() == -1
    before = D.Distribution._validate_args
    try:
        D.Distribution.set_default_validate_args(False)
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(before)
    with pytest.raises(ValueError, match="scale"):
        D.Normal(0.0, -1.0)
