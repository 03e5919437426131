"""Kullback-Leibler divergences.

Between members of one family by closed forms. Between families KL(p || q) is minus the entropy of
p minus the mean under p of log q, and log q needs only a few means of p: of x, x^2, log x,
log(1 - x) and exp(-x / s). `_MEANS` has these for each p, `_CROSS` says for each q what the mean of
its log density is. Where p has values that q has not, the divergence is infinite.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import facula
from facula.distributions.bernoulli import Bernoulli
from facula.distributions.beta import Beta
from facula.distributions.binomial import Binomial
from facula.distributions.categorical import Categorical
from facula.distributions.cauchy import Cauchy
from facula.distributions.continuous_bernoulli import ContinuousBernoulli
from facula.distributions.dirichlet import Dirichlet
from facula.distributions.exp_family import ExponentialFamily
from facula.distributions.exponential import Exponential
from facula.distributions.gamma import Gamma
from facula.distributions.geometric import Geometric
from facula.distributions.gumbel import Gumbel
from facula.distributions.half_normal import HalfNormal
from facula.distributions.independent import Independent
from facula.distributions.laplace import Laplace
from facula.distributions.lowrank_multivariate_normal import (
    LowRankMultivariateNormal,
    _log_det,
    _mahalanobis,
)
from facula.distributions.multivariate_normal import MultivariateNormal, _batch_mahalanobis
from facula.distributions.normal import Normal
from facula.distributions.one_hot_categorical import OneHotCategorical
from facula.distributions.pareto import Pareto
from facula.distributions.poisson import Poisson
from facula.distributions.transformed_distribution import TransformedDistribution
from facula.distributions.uniform import Uniform
from facula.distributions.utils import euler_constant, sum_rightmost

__all__ = ["kl_divergence", "register_kl"]

_KL_REGISTRY: dict[tuple[type, type], Callable[..., Any]] = {}
_KL_MEMOIZE: dict[tuple[type, type], Any] = {}


def register_kl(type_p: Any, type_q: Any) -> Any:
    """Decorate a function of two distributions that gives their divergence."""
    for name, t in (("type_p", type_p), ("type_q", type_q)):
        if not isinstance(t, type):  # any class is taken, as PyTorch does: pyro has a base class
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {t}")

    def decorator(fun: Any) -> Any:
        _KL_REGISTRY[type_p, type_q] = fun
        _KL_MEMOIZE.clear()
        return fun

    return decorator


def _dispatch_kl(type_p: type, type_q: type) -> Any:
    """The function registered for the nearest classes: by p first, and by q first."""
    found = [(p, q) for p, q in _KL_REGISTRY if issubclass(type_p, p) and issubclass(type_q, q)]
    if not found:
        return None
    distance_p, distance_q = type_p.__mro__.index, type_q.__mro__.index
    left = min(found, key=lambda pq: (distance_p(pq[0]), distance_q(pq[1])))
    right = min(found, key=lambda pq: (distance_q(pq[1]), distance_p(pq[0])))
    if _KL_REGISTRY[left] is not _KL_REGISTRY[right]:
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please "
            f"register_kl({left[0].__name__}, {right[1].__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return _KL_REGISTRY[left]


def kl_divergence(p: Any, q: Any) -> Any:
    """The divergence of q from p: the mean under p of log(p / q).

    NotImplementedError for a pair of families that has none registered.
    """
    key = type(p), type(q)
    if key not in _KL_MEMOIZE:
        _KL_MEMOIZE[key] = _dispatch_kl(*key)
    fun = _KL_MEMOIZE[key]
    if fun is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {key[0].__name__} and q type "
            f"{key[1].__name__}"
        )
    return fun(p, q)


def _infinite_where(condition: Any, result: Any) -> Any:
    return facula.where(condition, math.inf, result)


# ---- within a family


@register_kl(Bernoulli, Bernoulli)
def _kl_bernoulli(p: Any, q: Any) -> Any:
    soft = facula.nn.functional.softplus
    t1 = p.probs * (soft(-q.logits) - soft(-p.logits))
    t2 = (1 - p.probs) * (soft(q.logits) - soft(p.logits))
    t1 = _infinite_where((q.probs == 0) & (p.probs != 0), t1)
    t2 = _infinite_where((q.probs == 1) & (p.probs != 1), t2)
    zero = facula.zeros_like(t1)
    return facula.where(p.probs == 0, zero, t1) + facula.where(p.probs == 1, zero, t2)


@register_kl(Binomial, Binomial)
def _kl_binomial(p: Any, q: Any) -> Any:
    if (p.total_count < q.total_count).any():
        raise NotImplementedError(
            "KL between Binomials where q.total_count > p.total_count is not implemented"
        )
    kl = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p())
    return _infinite_where(p.total_count > q.total_count, kl)


@register_kl(Categorical, Categorical)
def _kl_categorical(p: Any, q: Any) -> Any:
    t = p.probs * (p.logits - q.logits)
    t = _infinite_where((q.probs == 0).expand_as(t), t)
    return t.masked_fill((p.probs == 0).expand_as(t), 0).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _kl_one_hot(p: Any, q: Any) -> Any:
    return _kl_categorical(p._categorical, q._categorical)


@register_kl(Beta, Beta)
def _kl_beta(p: Any, q: Any) -> Any:
    total_p = p.concentration1 + p.concentration0
    total_q = q.concentration1 + q.concentration0
    return (
        q.concentration1.lgamma() + q.concentration0.lgamma() + total_p.lgamma()
        - (p.concentration1.lgamma() + p.concentration0.lgamma() + total_q.lgamma())
        + (p.concentration1 - q.concentration1) * p.concentration1.digamma()
        + (p.concentration0 - q.concentration0) * p.concentration0.digamma()
        + (total_q - total_p) * total_p.digamma()
    )  # fmt: skip


@register_kl(Dirichlet, Dirichlet)
def _kl_dirichlet(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    inner = (a - b) * (a.digamma() - total.digamma().unsqueeze(-1))
    return total.lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1) + inner.sum(-1)


@register_kl(Cauchy, Cauchy)
def _kl_cauchy(p: Any, q: Any) -> Any:
    top = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return top.log() - (4 * p.scale * q.scale).log()


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _kl_continuous_bernoulli(p: Any, q: Any) -> Any:
    t1 = p.mean * (p.logits - q.logits)
    t2 = p._cont_bern_log_norm() + facula.log1p(-p.probs)
    return t1 + t2 - q._cont_bern_log_norm() - facula.log1p(-q.probs)


@register_kl(Exponential, Exponential)
def _kl_exponential(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


@register_kl(Gamma, Gamma)
def _kl_gamma(p: Any, q: Any) -> Any:
    return (
        q.concentration * (p.rate / q.rate).log()
        + q.concentration.lgamma() - p.concentration.lgamma()
        + (p.concentration - q.concentration) * p.concentration.digamma()
        + (q.rate - p.rate) * (p.concentration / p.rate)
    )  # fmt: skip


@register_kl(Geometric, Geometric)
def _kl_geometric(p: Any, q: Any) -> Any:
    return -p.entropy() - facula.log1p(-q.probs) / p.probs - q.logits


@register_kl(Gumbel, Gumbel)
def _kl_gumbel(p: Any, q: Any) -> Any:
    ratio, at_q, at_p = p.scale / q.scale, q.loc / q.scale, p.loc / q.scale
    t1 = -ratio.log() - at_q + at_p
    t2 = ratio * euler_constant
    t3 = facula.exp(at_q + (1 + ratio).lgamma() - at_p)
    return t1 + t2 + t3 - (1 + euler_constant)


@register_kl(Normal, Normal)
def _kl_normal(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(HalfNormal, HalfNormal)
def _kl_half_normal(p: Any, q: Any) -> Any:
    return _kl_normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _kl_laplace(p: Any, q: Any) -> Any:
    ratio, distance = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + distance / q.scale + ratio * facula.exp(-distance / p.scale) - 1


@register_kl(Pareto, Pareto)
def _kl_pareto(p: Any, q: Any) -> Any:
    ratio = q.alpha / p.alpha
    result = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return _infinite_where(p.scale < q.scale, result)


@register_kl(Poisson, Poisson)
def _kl_poisson(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _kl_uniform(p: Any, q: Any) -> Any:
    result = ((q.high - q.low) / (p.high - p.low)).log()
    return _infinite_where((q.low > p.low) | (q.high < p.high), result)


@register_kl(ExponentialFamily, ExponentialFamily)
def _kl_exponential_family(p: Any, q: Any) -> Any:
    """The Bregman divergence of the log normaliser."""
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot be computed "
            "using Bregman divergences"
        )
    ours = [x.detach().requires_grad_() for x in p._natural_params]
    with facula.enable_grad():
        normaliser = p._log_normalizer(*ours)
    gradients = facula.autograd.grad(normaliser.sum(), ours, create_graph=True)
    theirs = q._natural_params
    result = q._log_normalizer(*theirs) - normaliser
    for a, b, g in zip(ours, theirs, gradients, strict=True):
        result = result - sum_rightmost((b - a) * g, len(q.event_shape))
    return result


@register_kl(Independent, Independent)
def _kl_independent(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("KL of Independent distributions with other event dimensions")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _kl_transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError("KL of distributions that are transformed in other ways")
    return kl_divergence(p.base_dist, q.base_dist)


# ---- multivariate normal


def _sum_of_squares(matrix: Any) -> Any:
    return matrix.square().sum((-2, -1))


def _same_events(p: Any, q: Any) -> int:
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two (Low Rank) Multivariate Normals with different event shapes "
            f"cannot be computed: {p.event_shape} and {q.event_shape}"
        )
    return p.event_shape[0]


def _log_det_of(p: Any) -> Any:
    if isinstance(p, LowRankMultivariateNormal):
        return _log_det(p._unbroadcasted_cov_diag, p._capacitance_tril)
    return 2 * p._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def _factors(p: Any) -> list[Any]:
    """Matrices whose products with their transposes add up to the covariance."""
    if isinstance(p, LowRankMultivariateNormal):
        root = facula.diag_embed(p._unbroadcasted_cov_diag.sqrt())
        return [p._unbroadcasted_cov_factor, root]
    return [p._unbroadcasted_scale_tril]


def _kl_multivariate(p: Any, q: Any) -> Any:
    n = _same_events(p, q)
    offset = q.loc - p.loc
    if isinstance(q, LowRankMultivariateNormal):
        diag = q._unbroadcasted_cov_diag
        scaled = q._unbroadcasted_cov_factor.mT / diag.unsqueeze(-2)
        a = facula.linalg.solve_triangular(q._capacitance_tril, scaled, upper=False)
        root = diag.rsqrt().unsqueeze(-1)
        trace = sum([_sum_of_squares(f * root) - _sum_of_squares(a @ f) for f in _factors(p)])
        distance = _mahalanobis(q._unbroadcasted_cov_factor, diag, offset, q._capacitance_tril)
    else:
        tril = q._unbroadcasted_scale_tril
        solve = facula.linalg.solve_triangular
        trace = sum([_sum_of_squares(solve(tril, f, upper=False)) for f in _factors(p)])
        distance = _batch_mahalanobis(tril, offset)
    return 0.5 * (_log_det_of(q) - _log_det_of(p) + trace + distance - n)


for _a in (MultivariateNormal, LowRankMultivariateNormal):
    for _b in (MultivariateNormal, LowRankMultivariateNormal):
        register_kl(_a, _b)(_kl_multivariate)


# ---- between families


def _mean_x_log(p: Any) -> Any:
    """The mean of log x, x uniform."""

    def f(x: Any) -> Any:
        return facula.special.xlogy(x, x)

    width = p.high - p.low
    return (f(p.high) - f(p.low)) / width - 1


def _mean_log_complement(p: Any) -> Any:
    def f(x: Any) -> Any:
        return facula.special.xlogy(x, x)

    width = p.high - p.low
    return (f(1 - p.low) - f(1 - p.high)) / width - 1


# The mean of log x and, for x in the unit interval, of log(1 - x).
_MEAN_LOG: dict[type, Callable[[Any], Any]] = {
    Beta: lambda p: p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma(),
    Exponential: lambda p: -p.rate.log() - euler_constant,
    Gamma: lambda p: p.concentration.digamma() - p.rate.log(),
    Pareto: lambda p: p.scale.log() + p.alpha.reciprocal(),
    Uniform: _mean_x_log,
}
# The mean of exp(-x / s).
_MEAN_EXP: dict[type, Callable[[Any, Any], Any]] = {
    Exponential: lambda p, s: p.rate * s / (p.rate * s + 1),
    Gamma: lambda p, s: (1 + (p.rate * s).reciprocal()).pow(-p.concentration),
    Normal: lambda p, s: facula.exp(-p.loc / s + 0.5 * (p.scale / s).pow(2)),
    Uniform: lambda p, s: s / (p.high - p.low) * (facula.exp(-p.low / s) - facula.exp(-p.high / s)),
}


def _to_exponential(kind: type, p: Any, q: Any) -> Any:
    return q.rate.log() - q.rate * p.mean


def _to_gamma(kind: type, p: Any, q: Any) -> Any:
    k = q.concentration
    return k * q.rate.log() - k.lgamma() + (k - 1) * _MEAN_LOG[kind](p) - q.rate * p.mean


def _to_beta(kind: type, p: Any, q: Any) -> Any:
    a, b = q.concentration1, q.concentration0
    normaliser = a.lgamma() + b.lgamma() - (a + b).lgamma()
    return (a - 1) * _MEAN_LOG[kind](p) + (b - 1) * _mean_log_complement(p) - normaliser


def _to_normal(kind: type, p: Any, q: Any) -> Any:
    # As variance and offset: the second moment alone would lose digits.
    spread = p.variance + (p.mean - q.loc).pow(2)
    return -0.5 * (spread / q.scale.pow(2)) - q.scale.log() - 0.5 * math.log(2 * math.pi)


def _to_gumbel(kind: type, p: Any, q: Any) -> Any:
    at = (p.mean - q.loc) / q.scale
    return -at - facula.exp(q.loc / q.scale) * _MEAN_EXP[kind](p, q.scale) - q.scale.log()


def _to_continuous_bernoulli(kind: type, p: Any, q: Any) -> Any:
    return p.mean * q.logits + facula.log1p(-q.probs) + q._cont_bern_log_norm()


def _to_uniform(kind: type, p: Any, q: Any) -> Any:
    return -(q.high - q.low).log()


def _to_pareto(kind: type, p: Any, q: Any) -> Any:
    return q.alpha.log() + q.alpha * q.scale.log() - (q.alpha + 1) * _MEAN_LOG[kind](p)


_CROSS: dict[type, Callable[..., Any]] = {
    Exponential: _to_exponential,
    Gamma: _to_gamma,
    Beta: _to_beta,
    Normal: _to_normal,
    Gumbel: _to_gumbel,
    ContinuousBernoulli: _to_continuous_bernoulli,
    Uniform: _to_uniform,
    Pareto: _to_pareto,
}


def _never(p: Any, q: Any) -> Any:
    return None


def _through(kind_p: type, kind_q: type, outside: Callable[[Any, Any], Any] = _never) -> None:
    """Register minus entropy minus cross term; infinite where `outside` says."""

    def fun(p: Any, q: Any) -> Any:
        result = -p.entropy() - _CROSS[kind_q](kind_p, p, q)
        bad = outside(p, q)
        return result if bad is None else _infinite_where(bad, result)

    register_kl(kind_p, kind_q)(fun)


def _infinite(kind_p: type, *kinds_q: type) -> None:
    """Register families where p always has values that q has not."""
    for kind_q in kinds_q:
        register_kl(kind_p, kind_q)(lambda p, q: facula.full_like(p.mean, math.inf))


_PAIRS: dict[type, tuple[type, ...]] = {
    Beta: (ContinuousBernoulli, Exponential, Gamma, Normal),
    ContinuousBernoulli: (Exponential, Normal),
    Exponential: (Gamma, Gumbel, Normal),
    Gamma: (Exponential, Gumbel, Normal),
    Gumbel: (Normal,),
    Laplace: (Normal,),
    Normal: (Gumbel,),
    Uniform: (Gumbel, Normal),
}
for _p, _qs in _PAIRS.items():
    for _q in _qs:
        _through(_p, _q)
_through(Beta, Uniform, lambda p, q: (q.low > 0) | (q.high < 1))
_through(ContinuousBernoulli, Uniform, lambda p, q: (q.low >= 0) | (q.high <= 1))
_through(Pareto, Exponential, lambda p, q: p.alpha <= 1)
_through(Pareto, Gamma, lambda p, q: p.alpha <= 1)
_through(Pareto, Normal, lambda p, q: p.alpha <= 2)
_through(Uniform, Beta, lambda p, q: (p.high > 1) | (p.low < 0))
_through(Uniform, ContinuousBernoulli, lambda p, q: (p.high >= 1) | (p.low <= 0))
_through(Uniform, Exponential, lambda p, q: p.low < 0)
_through(Uniform, Gamma, lambda p, q: p.low < 0)
_through(Uniform, Pareto, lambda p, q: p.low < q.scale)

_infinite(Beta, Pareto)
_infinite(ContinuousBernoulli, Pareto)
_infinite(Exponential, Beta, ContinuousBernoulli, Pareto, Uniform)
_infinite(Gamma, Beta, ContinuousBernoulli, Pareto, Uniform)
_infinite(Gumbel, Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)
_infinite(Laplace, Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)
_infinite(Normal, Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)
_infinite(Pareto, Beta, ContinuousBernoulli, Uniform)
_infinite(Poisson, Bernoulli, Binomial)


@register_kl(Bernoulli, Poisson)
def _kl_bernoulli_poisson(p: Any, q: Any) -> Any:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Normal, Laplace)
def _kl_normal_laplace(p: Any, q: Any) -> Any:
    offset = p.loc - q.loc
    z = offset / p.scale
    # The mean of |x - q.loc|.
    near = math.sqrt(2 / math.pi) * p.scale * facula.exp(-0.5 * z.pow(2))
    distance = near + offset * facula.erf(math.sqrt(0.5) * z)
    return -p.entropy() + (2 * q.scale).log() + distance / q.scale
