"""Distributions, against what PyTorch draws and computes; see tests/generate/distributions.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import facula
from facula import distributions as D

STORED = json.loads((Path(__file__).parents[1] / "data" / "distributions.json").read_text())

SHORT = {"AFFINE": D.AffineTransform(2, -3), "I": facula.eye(2)}


def make(text):
    return eval("D." + text.strip(), {"torch": facula, "D": D, **SHORT})


def attempt(f):
    try:
        value = f()
    except (NotImplementedError, AttributeError, ValueError, RuntimeError) as error:
        return type(error).__name__
    return value.tolist() if isinstance(value, facula.Tensor) else repr(value)


def same(found, expected, what):
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected, what
    else:
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6, err_msg=what)


@pytest.mark.parametrize("case", STORED["cases"], ids=lambda c: c["what"][:40])
def test_samples_and_densities_are_those_of_pytorch(case):
    facula.manual_seed(3)
    d = make(case["what"])
    if not isinstance(d, D.HalfNormal):  # PyTorch does not show its scale
        assert repr(d) == case["repr"]
    drawn = d.sample((4,))
    same(drawn.tolist(), case["sample"], "sample")
    same(attempt(lambda: d.rsample((2,))), case["rsample"], "rsample")
    found = {
        "log_prob": attempt(lambda: d.log_prob(drawn)),
        "cdf": attempt(lambda: d.cdf(drawn)),
        "icdf": attempt(lambda: d.icdf(facula.full(tuple(d.batch_shape), 0.3))),
        "entropy": attempt(d.entropy),
        "perplexity": attempt(d.perplexity),
        "support": attempt(lambda: d.enumerate_support()),
        "next": facula.rand(1).item(),
    }
    for name in ("mean", "mode", "variance", "stddev"):
        found[name] = attempt(lambda name=name: getattr(d, name))
    expanded = d.expand((5, *d.batch_shape))
    found["expanded_log_prob"] = attempt(lambda: expanded.log_prob(drawn[:1]))
    for name, value in found.items():
        same(value, case[name], name)
    assert [list(d.batch_shape), list(d.event_shape), d.has_rsample] == case["shapes"]
    assert [list(expanded.batch_shape), list(expanded.event_shape)] == case["expanded"]


@pytest.mark.parametrize(("pair", "expected"), STORED["kl"], ids=lambda p: str(p)[:40])
def test_divergences_are_those_of_pytorch(pair, expected):
    p, q = map(make, pair.split("|"))
    same(D.kl_divergence(p, q).tolist(), expected, pair)


def test_gradients_pass_through_samples_and_densities():
    loc = facula.tensor([0.5, -0.5], requires_grad=True)
    scale = facula.tensor(2.0, requires_grad=True)
    D.Normal(loc, scale).rsample().sum().backward()
    assert loc.grad.tolist() == [1, 1]
    logits = facula.tensor([0.1, 0.2, 0.3], requires_grad=True)
    D.Categorical(logits=logits).log_prob(facula.tensor(1)).backward()
    expected = -facula.softmax(logits.detach(), 0)
    expected[1] += 1
    np.testing.assert_allclose(logits.grad.numpy(), expected.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: D.Normal(0.0, -1.0), "parameter scale"),
        (lambda: D.Normal(facula.tensor([facula.nan]), 1.0), "parameter loc"),
        (lambda: D.Bernoulli(1.5), "parameter probs"),
        (lambda: D.Bernoulli(0.5, 0.5), "Either `probs` or `logits`"),
        (lambda: D.Categorical(facula.tensor(0.5)), "at least one-dimensional"),
        (lambda: D.Uniform(1.0, 0.0), "parameter low"),
        (lambda: D.Categorical(facula.ones(3)).log_prob(facula.tensor(3)), "support"),
        (lambda: D.Normal(0.0, 1.0).log_prob(1.0), "must be a Tensor"),
        (lambda: D.Normal(facula.zeros(2), 1.0).log_prob(facula.zeros(3)), "broadcastable"),
        (lambda: D.MultivariateNormal(facula.zeros(2)), "Exactly one"),
        (lambda: D.Independent(D.Normal(0.0, 1.0), 1), "reinterpreted_batch_ndims"),
    ],
)
def test_bad_arguments_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
    with pytest.raises(NotImplementedError, match="Poisson and q type Uniform"):
        D.kl_divergence(D.Poisson(1.0), D.Uniform(0.0, 1.0))


def test_a_divergence_can_be_registered():
    class Mine(D.Normal):
        pass

    @D.register_kl(Mine, Mine)
    def mine(p, q):
        return "mine"

    assert D.kl_divergence(Mine(0.0, 1.0), Mine(0.0, 1.0)) == "mine"
    assert D.kl_divergence(Mine(0.0, 1.0), D.Normal(0.0, 1.0)).item() == 0


def test_modules_of_the_names_that_programs_import_from():
    from facula.distributions.categorical import Categorical
    from facula.distributions.kl import kl_divergence
    from facula.distributions.normal import Normal

    assert Categorical is D.Categorical and Normal is D.Normal
    assert kl_divergence is D.kl_divergence


def test_the_module_lists_all_there_are():
    """Libraries look through its dictionary."""
    found = vars(facula.distributions)
    assert set(facula.distributions.__all__) <= set(found)
    assert issubclass(found["Wishart"], found["Distribution"])


def test_shares_of_numbers_too_small_are_equal():
    facula.manual_seed(1)
    small = facula.tensor([1e-6, 1e-6])
    drawn = D.Dirichlet(facula.stack([small, facula.tensor([1e-6, 2.0])])).sample()
    tiny = facula.finfo(facula.float32).tiny
    assert drawn.tolist() == [[0.5, 0.5], [tiny, 1 - 2**-24]]
    assert D.Beta(small, small).sample().tolist() == [0.5, 0.5]
