"""The von Mises distribution of angles."""

from __future__ import annotations

import math
from typing import Any

import facula
from facula.distributions import constraints
from facula.distributions.distribution import Distribution
from facula.distributions.utils import broadcast_all, lazy_property

__all__ = ["VonMises"]


class VonMises(Distribution):
    """Angles around `loc`, the closer the higher the `concentration`."""

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, (), validate_args)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        log_bessel = facula.special.i0e(self.concentration).log() + self.concentration
        wave = self.concentration * facula.cos(value - self.loc)
        return wave - math.log(2 * math.pi) - log_bessel

    @lazy_property
    def _proposal_r(self) -> Any:
        kappa = self.concentration.double()
        tau = 1 + (1 + 4 * kappa**2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
        return facula.where(kappa < 1e-5, 1 / kappa + kappa, (1 + rho**2) / (2 * rho))

    def sample(self, sample_shape: Any = ()) -> Any:
        """Angles, by rejection from a wrapped Cauchy distribution: Best and Fisher (1979)."""
        shape = self._extended_shape(sample_shape)
        with facula.no_grad():
            loc, kappa = self.loc.double(), self.concentration.double()
            r = self._proposal_r
            x = facula.zeros(shape, dtype=facula.float64, device=loc.device)
            done = facula.zeros(shape, dtype=facula.bool, device=loc.device)
            while not done.all():
                u = facula.rand((3, *shape), dtype=facula.float64, device=loc.device)
                u1, u2, u3 = u.unbind()
                z = facula.cos(math.pi * u1)
                f = (1 + r * z) / (r + z)
                c = kappa * (r - f)
                accept = (c * (2 - c) - u2 > 0) | ((c / u2).log() + 1 - c >= 0)
                x = facula.where(accept, (u3 - 0.5).sign() * f.acos(), x)
                done = done | accept
            turned = (x + math.pi + loc) % (2 * math.pi) - math.pi
            return turned.to(self.loc.dtype)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        loc = self.loc.expand(batch_shape)
        concentration = self.concentration.expand(batch_shape)
        return type(self)(loc, concentration, validate_args=self.__dict__.get("_validate_args"))

    @property
    def mean(self) -> Any:
        """The direction of the mean."""
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @lazy_property
    def variance(self) -> Any:
        """The circular variance: 1 - I1 / I0."""
        ratio = facula.special.i1e(self.concentration) / facula.special.i0e(self.concentration)
        return 1 - ratio
