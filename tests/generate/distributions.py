"""What PyTorch's distributions draw after a seed, and their densities, entropies and divergences.

python tests/generate/distributions.py    # with PyTorch; writes tests/data/distributions.json
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

OUT = Path(__file__).resolve().parents[1] / "data" / "distributions.json"

SHORT = {"AFFINE": torch.distributions.AffineTransform(2, -3), "I": torch.eye(2)}
DISTRIBUTIONS = """
Normal(torch.tensor([0.0, 1.5]), torch.tensor([1.0, 0.3]))
Normal(0.5, 2.0)
LogNormal(torch.tensor([0.0, 0.5]), torch.tensor([1.0, 0.3]))
HalfNormal(torch.tensor([0.5, 2.0]))
Uniform(torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 3.0]))
Exponential(torch.tensor([0.5, 2.0]))
Laplace(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.5]))
Cauchy(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.5]))
Gumbel(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.5]))
Bernoulli(torch.tensor([0.1, 0.5, 0.9]))
Bernoulli(logits=torch.tensor([-2.0, 0.3]))
Geometric(torch.tensor([0.2, 0.7]))
Categorical(torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]))
Categorical(logits=torch.tensor([0.1, -2.0, 1.0, 0.4]))
OneHotCategorical(torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]))
OneHotCategoricalStraightThrough(torch.tensor([0.2, 0.3, 0.5]))
Multinomial(7, torch.tensor([0.2, 0.3, 0.5]))
MultivariateNormal(torch.tensor([0.0, 1.0]), torch.tensor([[2.0, 0.5], [0.5, 1.0]]))
MultivariateNormal(torch.zeros(3, 2), scale_tril=torch.tensor([[2.0, 0.0], [0.5, 1.0]]))
MultivariateNormal(torch.zeros(2), precision_matrix=torch.tensor([[2.0, 0.5], [0.5, 1.0]]))
Independent(D.Normal(torch.zeros(3, 2), torch.ones(3, 2)), 1)
TransformedDistribution(D.Normal(torch.zeros(2), 1.0), [D.TanhTransform()])
TransformedDistribution(D.Uniform(torch.zeros(2), 1.0), [D.SigmoidTransform().inv, AFFINE])
"""
PAIRS = """
Normal(torch.tensor([0.0, 1.5]), 1.0) | Normal(1.0, torch.tensor([1.0, 0.3]))
Bernoulli(torch.tensor([0.1, 0.5, 0.0])) | Bernoulli(torch.tensor([0.3, 1.0, 0.4]))
Categorical(torch.tensor([0.2, 0.3, 0.5])) | Categorical(torch.tensor([0.6, 0.4, 0.0]))
Categorical(torch.tensor([0.2, 0.3, 0.5])) | Categorical(logits=torch.tensor([0.6, 0.4, 0.0]))
Exponential(torch.tensor([0.5, 2.0])) | Exponential(torch.tensor([1.0, 1.0]))
Laplace(torch.tensor([0.5, 2.0]), 1.0) | Laplace(torch.tensor([1.0, 1.0]), 2.0)
Uniform(torch.tensor([0.5, 0.0]), 1.0) | Uniform(torch.tensor([0.0, 0.1]), 2.0)
Geometric(torch.tensor([0.5, 0.2])) | Geometric(torch.tensor([0.3, 0.1]))
MultivariateNormal(torch.zeros(2), torch.eye(2)) | MultivariateNormal(torch.ones(2), 2 * I)
Independent(D.Normal(torch.zeros(3), 1.0), 1) | Independent(D.Normal(torch.ones(3), 2.0), 1)
"""


def attempt(f):
    """The value as nested lists, or the name of the error."""
    try:
        value = f()
    except (NotImplementedError, AttributeError, ValueError, RuntimeError) as error:
        return type(error).__name__
    return value.tolist() if isinstance(value, torch.Tensor) else repr(value)


def make(text):
    """The distribution."""
    return eval("D." + text.strip(), {"torch": torch, "D": torch.distributions, **SHORT})


def case(text):
    """Everything about one distribution."""
    torch.manual_seed(3)
    d = make(text)
    shown = repr(d)
    drawn = d.sample((4,))
    out = {
        "what": text,
        "repr": shown,
        "shapes": [list(d.batch_shape), list(d.event_shape), d.has_rsample],
        "sample": drawn.tolist(),
        "rsample": attempt(lambda: d.rsample((2,))),
        "log_prob": attempt(lambda: d.log_prob(drawn)),
        "cdf": attempt(lambda: d.cdf(drawn)),
        "icdf": attempt(lambda: d.icdf(torch.full(tuple(d.batch_shape), 0.3))),
        "entropy": attempt(d.entropy),
        "perplexity": attempt(d.perplexity),
        "support": attempt(lambda: d.enumerate_support()),
        "next": torch.rand(1).item(),
    }
    for name in ("mean", "mode", "variance", "stddev"):
        out[name] = attempt(lambda name=name: getattr(d, name))
    expanded = d.expand((5, *d.batch_shape))
    out["expanded"] = [list(expanded.batch_shape), list(expanded.event_shape)]
    out["expanded_log_prob"] = attempt(lambda: expanded.log_prob(drawn[:1]))
    return out


def main() -> None:
    """Write the file."""
    cases = [case(t) for t in DISTRIBUTIONS.split("\n") if t]
    pairs = []
    for line in PAIRS.split("\n"):
        if line:
            p, q = map(make, line.split("|"))
            pairs.append([line, torch.distributions.kl_divergence(p, q).tolist()])
    OUT.write_text(json.dumps({"cases": cases, "kl": pairs}, indent=0) + "\n")


if __name__ == "__main__":
    main()
