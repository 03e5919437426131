"""Random variables: samples, densities, entropies, divergences.

Source: https://pytorch.org/docs/stable/distributions.html
"""

from __future__ import annotations

import importlib
import sys

from facula.distributions import constraints
from facula.distributions.continuous import (
    Cauchy,
    Exponential,
    Gumbel,
    HalfNormal,
    Independent,
    Laplace,
    MultivariateNormal,
    Normal,
    Uniform,
)
from facula.distributions.discrete import (
    Bernoulli,
    Categorical,
    Geometric,
    Multinomial,
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
    Poisson,
)
from facula.distributions.distribution import Distribution, ExponentialFamily
from facula.distributions.kl import kl_divergence, register_kl
from facula.distributions.transforms import (
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    LogNormal,
    SigmoidTransform,
    TanhTransform,
    Transform,
    TransformedDistribution,
    identity_transform,
)
from facula.errors import honest

# PyTorch has a module for each distribution, and programs import from them: further names of ours.
_FILES = {
    "continuous": "cauchy exponential gumbel half_normal independent laplace multivariate_normal "
    "normal uniform",
    "discrete": "bernoulli categorical geometric multinomial one_hot_categorical poisson",
    "transforms": "log_normal transformed_distribution",
    "distribution": "exp_family",
}
for _home, _names in _FILES.items():
    _module = importlib.import_module(f"{__name__}.{_home}")
    for _name in _names.split():
        sys.modules[f"{__name__}.{_name}"] = globals()[_name] = _module
__getattr__ = honest(__name__)
