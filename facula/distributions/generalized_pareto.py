"""The generalised Pareto distribution."""

from __future__ import annotations

import math
from typing import Any

import facula
from facula.distributions import constraints
from facula.distributions.distribution import Distribution
from facula.distributions.utils import broadcast_all, is_number

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """Excesses over `loc`: exponential tails for `concentration` 0, heavier ones above."""

    arg_constraints = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True

    def __init__(
        self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        scalar = all([is_number(v) for v in (loc, scale, concentration)])
        super().__init__(() if scalar else self.loc.size(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        names = ("loc", "scale", "concentration")
        return self._expanded(GeneralizedPareto, _instance, batch_shape, names)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(
            facula.rand(
                self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device
            )
        )

    def _parts(self) -> tuple[Any, Any]:
        """Where the concentration is zero, and the concentration with 1 in its place."""
        zero = facula.isclose(self.concentration, facula.zeros_like(self.concentration))
        return zero, facula.where(zero, 1.0, self.concentration)

    def _z(self, x: Any) -> Any:
        return (x - self.loc) / self.scale

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        z = self._z(value)
        zero, k = self._parts()
        power = 1 / k + facula.ones_like(z)
        tail = facula.where(power == 0, power, power * facula.log1p(k * z))
        return -self.scale.log() - facula.where(zero, z, tail)

    def log_survival_function(self, value: Any) -> Any:
        """The logarithm of 1 - cdf."""
        if self._validate_args:
            self._validate_sample(value)
        z = self._z(value)
        zero, k = self._parts()
        return facula.where(zero, -z, -facula.log1p(k * z) / k)

    def log_cdf(self, value: Any) -> Any:
        """The logarithm of the cdf."""
        return facula.log1p(-facula.exp(self.log_survival_function(value)))

    def cdf(self, value: Any) -> Any:
        return facula.exp(self.log_cdf(value))

    def icdf(self, value: Any) -> Any:
        zero, k = self._parts()
        log = facula.log1p(-value)
        curved = self.loc + self.scale / k * facula.expm1(-k * log)
        return facula.where(zero, self.loc - self.scale * log, curved)

    @property
    def mean(self) -> Any:
        valid = self.concentration < 1
        k = facula.where(valid, self.concentration, 0.5)
        return facula.where(valid, self.loc + self.scale / (1 - k), math.nan)

    @property
    def variance(self) -> Any:
        valid = self.concentration < 0.5
        k = facula.where(valid, self.concentration, 0.25)
        return facula.where(valid, self.scale**2 / ((1 - k) ** 2 * (1 - 2 * k)), math.nan)

    def entropy(self) -> Any:
        entropy = facula.log(self.scale) + self.concentration + 1
        return facula.broadcast_to(entropy, self._batch_shape)

    @property
    def mode(self) -> Any:
        return self.loc

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        upper = self.loc - self.scale / self.concentration
        upper = facula.where(self.concentration < 0, upper, math.inf)
        return constraints.interval(self.loc, upper)
