"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math
from typing import Any

import facula
from facula.distributions import constraints
from facula.distributions.exp_family import ExponentialFamily
from facula.distributions.odds import Odds, one_of
from facula.distributions.utils import (
    broadcast_all,
    clamp_probs,
    is_number,
    lazy_property,
    logits_to_probs,
)
from facula.nn.functional import binary_cross_entropy_with_logits

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(Odds, ExponentialFamily):
    """Values of the unit interval with density proportional to p^x (1 - p)^(1 - x).

    Within `lims` of p = 1/2 the formulas lose all digits, and Taylor's series take their place.
    Loaiza-Ganem and Cunningham (2019), https://arxiv.org/abs/1907.06845
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    _mean_carrier_measure = 0
    has_rsample = True

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        scalar = is_number(one_of(probs, logits))
        if probs is not None:
            (given,) = broadcast_all(probs)
            if validate_args is not None and not constraints.unit_interval.check(given).all():
                raise ValueError("The parameter probs has invalid values")
            self.probs = clamp_probs(given)
        else:
            (given,) = broadcast_all(logits)
            self.logits = given
        self._lims = lims
        super().__init__(() if scalar else given.size(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(ContinuousBernoulli, _instance)
        new._lims = self._lims
        return self._expanded(ContinuousBernoulli, new, batch_shape, ("probs", "logits"))

    def _stable(self) -> Any:
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut_probs(self) -> Any:
        return facula.where(self._stable(), self.probs, self._lims[0])

    def _cont_bern_log_norm(self) -> Any:
        p = self._cut_probs()
        below, above = facula.where(p <= 0.5, p, 0.0), facula.where(p >= 0.5, p, 1.0)
        log_norm = (facula.log1p(-p) - p.log()).abs().log() - facula.where(
            p <= 0.5, facula.log1p(-2.0 * below), facula.log(2.0 * above - 1.0)
        )
        x = (self.probs - 0.5).pow(2)
        taylor = math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x
        return facula.where(self._stable(), log_norm, taylor)

    @property
    def mean(self) -> Any:
        p = self._cut_probs()
        mean = p / (2.0 * p - 1.0) + 1.0 / (facula.log1p(-p) - p.log())
        x = self.probs - 0.5
        taylor = 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.pow(2)) * x
        return facula.where(self._stable(), mean, taylor)

    @property
    def stddev(self) -> Any:
        return self.variance.sqrt()

    @property
    def variance(self) -> Any:
        p = self._cut_probs()
        spread = p * (p - 1.0) / (1.0 - 2.0 * p).pow(2)
        spread = spread + 1.0 / (facula.log1p(-p) - p.log()).pow(2)
        x = (self.probs - 0.5).pow(2)
        taylor = 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x
        return facula.where(self._stable(), spread, taylor)

    @lazy_property
    def probs(self) -> Any:
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    @property
    def param_shape(self) -> Any:
        return self._param.size()

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(
            facula.rand(
                self._extended_shape(sample_shape), dtype=self.probs.dtype, device=self.probs.device
            )
        )

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        cross = binary_cross_entropy_with_logits(logits, value, reduction="none")
        return self._cont_bern_log_norm() - cross

    def cdf(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        p = self._cut_probs()
        inner = (p.pow(value) * (1.0 - p).pow(1.0 - value) + p - 1.0) / (2.0 * p - 1.0)
        inner = facula.where(self._stable(), inner, value)
        return facula.where(value <= 0.0, 0.0, facula.where(value >= 1.0, 1.0, inner))

    def icdf(self, value: Any) -> Any:
        p = self._cut_probs()
        inner = (facula.log1p(-p + value * (2.0 * p - 1.0)) - facula.log1p(-p)) / (
            p.log() - facula.log1p(-p)
        )
        return facula.where(self._stable(), inner, value)

    def entropy(self) -> Any:
        log_rest, log_odds = facula.log1p(-self.probs), facula.log(self.probs)
        return self.mean * (log_rest - log_odds) - self._cont_bern_log_norm() - log_rest

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.logits,)

    def _log_normalizer(self, x: Any) -> Any:  # type: ignore[override]
        outside = (x <= self._lims[0] - 0.5) | (x > self._lims[1] - 0.5)
        cut = facula.where(outside, x, (self._lims[0] - 0.5) * facula.ones_like(x))
        log_norm = facula.log((cut.exp() - 1.0).abs()) - facula.log(cut.abs())
        taylor = 0.5 * x + x.pow(2) / 24.0 - x.pow(4) / 2880.0
        return facula.where(outside, log_norm, taylor)
