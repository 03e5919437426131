"""Distributions over real numbers, each drawn from normal or uniform ones."""

from __future__ import annotations

import math
from typing import Any

import facula
from facula import Size
from facula.distributions import constraints
from facula.distributions.distribution import Distribution, ExponentialFamily
from facula.distributions.utils import broadcast_all, euler_constant, shape_of

_HALF_LOG_TAU = math.log(math.sqrt(2 * math.pi))


def standard_normal(shape: Any, dtype: Any) -> Any:
    """Normal numbers, drawn as PyTorch draws them for `rsample`."""
    return facula.normal(facula.zeros(shape, dtype=dtype), facula.ones(shape, dtype=dtype))


class _LocScale(Distribution):
    """Distributions of a location and a scale."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(shape_of(loc, scale), (), validate_args)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return self.stddev.pow(2)


class Normal(_LocScale, ExponentialFamily):
    """The normal distribution."""

    @property
    def stddev(self) -> Any:
        return self.scale

    def sample(self, sample_shape: Any = ()) -> Any:
        """Normal numbers."""
        shape = self._extended_shape(sample_shape)
        with facula.no_grad():
            return facula.normal(self.loc.expand(shape), self.scale.expand(shape))

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Normal numbers with gradients."""
        shape = self._extended_shape(sample_shape)
        return self.loc + standard_normal(shape, self.loc.dtype) * self.scale

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._validate_sample(value)
        var = self.scale**2
        return -((value - self.loc) ** 2) / (2 * var) - self.scale.log() - _HALF_LOG_TAU

    def cdf(self, value: Any) -> Any:
        """The probability of at most this value."""
        self._validate_sample(value)
        return 0.5 * (1 + facula.erf((value - self.loc) * self.scale.reciprocal() / math.sqrt(2)))

    def icdf(self, value: Any) -> Any:
        """The value that is not exceeded with this probability."""
        return self.loc + self.scale * facula.erfinv(2 * value - 1) * math.sqrt(2)

    def entropy(self) -> Any:
        """The entropy, in nats."""
        return 0.5 + 0.5 * math.log(2 * math.pi) + facula.log(self.scale)


class Laplace(_LocScale):
    """The Laplace distribution."""

    @property
    def stddev(self) -> Any:
        return 2**0.5 * self.scale

    @property
    def variance(self) -> Any:
        return 2 * self.scale.pow(2)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Numbers with gradients."""
        shape = self._extended_shape(sample_shape)
        eps = facula.finfo(self.loc.dtype).eps
        u = self.loc.new_empty(shape).uniform_(eps - 1, 1)
        return self.loc - self.scale * u.sign() * facula.log1p(-u.abs())

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._validate_sample(value)
        return -facula.log(2 * self.scale) - facula.abs(value - self.loc) / self.scale

    def cdf(self, value: Any) -> Any:
        """The probability of at most this value."""
        z = value - self.loc
        return 0.5 - 0.5 * z.sign() * facula.expm1(-z.abs() / self.scale)

    def icdf(self, value: Any) -> Any:
        """The value that is not exceeded with this probability."""
        term = value - 0.5
        return self.loc - self.scale * term.sign() * facula.log1p(-2 * term.abs())

    def entropy(self) -> Any:
        """The entropy, in nats."""
        return 1 + facula.log(2 * self.scale)


class Cauchy(_LocScale):
    """The Cauchy distribution, which has no mean."""

    @property
    def mean(self) -> Any:
        return facula.full(self._extended_shape(), math.nan, dtype=self.loc.dtype)

    @property
    def variance(self) -> Any:
        return facula.full(self._extended_shape(), math.inf, dtype=self.loc.dtype)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Numbers with gradients."""
        eps = self.loc.new_empty(self._extended_shape(sample_shape)).cauchy_()
        return self.loc + eps * self.scale

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._validate_sample(value)
        z = (value - self.loc) / self.scale
        return -math.log(math.pi) - self.scale.log() - (z**2).log1p()

    def cdf(self, value: Any) -> Any:
        """The probability of at most this value."""
        return facula.atan((value - self.loc) / self.scale) / math.pi + 0.5

    def icdf(self, value: Any) -> Any:
        """The value that is not exceeded with this probability."""
        return facula.tan(math.pi * (value - 0.5)) * self.scale + self.loc

    def entropy(self) -> Any:
        """The entropy, in nats."""
        return math.log(4 * math.pi) + self.scale.log()


class Gumbel(_LocScale):
    """The Gumbel distribution."""

    @property
    def mean(self) -> Any:
        return self.loc + self.scale * euler_constant

    @property
    def stddev(self) -> Any:
        return math.pi / math.sqrt(6) * self.scale

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Numbers with gradients."""
        info = facula.finfo(self.loc.dtype)
        u = self.loc.new_empty(self._extended_shape(sample_shape)).uniform_(info.tiny, 1 - info.eps)
        return self.loc - self.scale * (-u.log()).log()

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._validate_sample(value)
        y = (self.loc - value) / self.scale
        return (y - y.exp()) - self.scale.log()

    def cdf(self, value: Any) -> Any:
        """The probability of at most this value."""
        return (-((self.loc - value) / self.scale).exp()).exp()

    def icdf(self, value: Any) -> Any:
        """The value that is not exceeded with this probability."""
        return self.loc - self.scale * (-value.log()).log()

    def entropy(self) -> Any:
        """The entropy, in nats."""
        return self.scale.log() + (1 + euler_constant)


class Uniform(Distribution):
    """Equally likely from `low` up to `high`."""

    arg_constraints = {"low": constraints.dependent, "high": constraints.dependent}
    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = broadcast_all(low, high)
        super().__init__(shape_of(low, high), (), validate_args)
        if self._validate_args and not bool(facula.lt(self.low, self.high).all()):
            raise ValueError("Uniform is not defined when low>= high")

    @property
    def support(self) -> Any:
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Any:
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Any:
        return math.nan * self.high

    @property
    def stddev(self) -> Any:
        return (self.high - self.low) / 12**0.5

    @property
    def variance(self) -> Any:
        return (self.high - self.low).pow(2) / 12

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Numbers with gradients."""
        u = facula.rand(self._extended_shape(sample_shape), dtype=self.low.dtype)
        return self.low + u * (self.high - self.low)

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._validate_sample(value)
        inside = self.low.le(value).type_as(self.low) * self.high.gt(value).type_as(self.low)
        return facula.log(inside) - facula.log(self.high - self.low)

    def cdf(self, value: Any) -> Any:
        """The probability of at most this value."""
        return ((value - self.low) / (self.high - self.low)).clamp(min=0, max=1)

    def icdf(self, value: Any) -> Any:
        """The value that is not exceeded with this probability."""
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Any:
        """The entropy, in nats."""
        return facula.log(self.high - self.low)


class Exponential(ExponentialFamily):
    """The time until an event at a rate."""

    arg_constraints = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(shape_of(rate), (), validate_args)

    @property
    def mean(self) -> Any:
        return self.rate.reciprocal()

    @property
    def mode(self) -> Any:
        return facula.zeros_like(self.rate)

    @property
    def stddev(self) -> Any:
        return self.rate.reciprocal()

    @property
    def variance(self) -> Any:
        return self.rate.pow(-2)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Numbers with gradients."""
        return self.rate.new_empty(self._extended_shape(sample_shape)).exponential_() / self.rate

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._validate_sample(value)
        return self.rate.log() - self.rate * value

    def cdf(self, value: Any) -> Any:
        """The probability of at most this value."""
        return 1 - facula.exp(-self.rate * value)

    def icdf(self, value: Any) -> Any:
        """The value that is not exceeded with this probability."""
        return -facula.log1p(-value) / self.rate

    def entropy(self) -> Any:
        """The entropy, in nats."""
        return 1.0 - facula.log(self.rate)


class HalfNormal(Distribution):
    """The size of a normal number."""

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = broadcast_all(scale)
        super().__init__(shape_of(scale), (), validate_args)

    @property
    def mean(self) -> Any:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def mode(self) -> Any:
        return facula.zeros_like(self.scale)

    @property
    def variance(self) -> Any:
        return self.scale.pow(2) * (1 - 2 / math.pi)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Numbers with gradients."""
        shape = self._extended_shape(sample_shape)
        return (standard_normal(shape, self.scale.dtype) * self.scale).abs()

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._validate_sample(value)
        density = Normal(0.0, self.scale, validate_args=False).log_prob(value) + math.log(2)
        return facula.where(value >= 0, density, -math.inf)

    def cdf(self, value: Any) -> Any:
        """The probability of at most this value."""
        self._validate_sample(value)
        return 2 * Normal(0.0, self.scale, validate_args=False).cdf(value) - 1

    def icdf(self, value: Any) -> Any:
        """The value that is not exceeded with this probability."""
        return Normal(0.0, self.scale, validate_args=False).icdf((value + 1) / 2)

    def entropy(self) -> Any:
        """The entropy, in nats."""
        return Normal(0.0, self.scale, validate_args=False).entropy() - math.log(2)


class MultivariateNormal(Distribution):
    """Normal vectors with a covariance, a precision or its Cholesky factor."""

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        named = {k: v for k, v in given.items() if v is not None}
        if len(named) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be "
                "specified."
            )
        ((name, matrix),) = named.items()
        if matrix.dim() < 2:
            raise ValueError(
                f"{name} must be at least two-dimensional, with optional leading batch dimensions"
            )
        batch = facula.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        self.__dict__[name] = matrix.expand(*batch, -1, -1)
        self.loc = loc.expand(*batch, -1)
        super().__init__(batch, self.loc.shape[-1:], validate_args)
        if name == "scale_tril":
            self._unbroadcasted_scale_tril = scale_tril
        elif name == "covariance_matrix":
            self._unbroadcasted_scale_tril = facula.linalg.cholesky(covariance_matrix)
        else:
            flipped = facula.linalg.cholesky(facula.flip(precision_matrix, (-2, -1)))
            upper = facula.flip(flipped, (-2, -1)).transpose(-2, -1)
            eye = facula.eye(upper.shape[-1], dtype=upper.dtype)
            self._unbroadcasted_scale_tril = facula.linalg.solve_triangular(upper, eye, upper=False)

    def _parameter_dims(self, name: str) -> int:
        return 1 if name == "loc" else 2

    def __getattr__(self, name: str) -> Any:
        if name == "scale_tril":
            n = self._event_shape
            return self._unbroadcasted_scale_tril.expand(self._batch_shape + n + n)
        if name == "covariance_matrix":
            lower, n = self._unbroadcasted_scale_tril, self._event_shape
            return (lower @ lower.mT).expand(self._batch_shape + n + n)
        if name == "precision_matrix":
            n = self._event_shape
            inverse = facula.cholesky_inverse(self._unbroadcasted_scale_tril)
            return inverse.expand(self._batch_shape + n + n)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        square = self._unbroadcasted_scale_tril.pow(2).sum(-1)
        return square.expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Vectors with gradients."""
        eps = standard_normal(self._extended_shape(sample_shape), self.loc.dtype)
        return self.loc + (self._unbroadcasted_scale_tril @ eps.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._validate_sample(value)
        lower = self._unbroadcasted_scale_tril
        solved = facula.linalg.solve_triangular(
            lower, (value - self.loc).unsqueeze(-1), upper=False
        )
        half_log_det = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        m = solved.squeeze(-1).pow(2).sum(-1)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + m) - half_log_det

    def entropy(self) -> Any:
        """The entropy, in nats."""
        half_log_det = self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        h = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + half_log_det
        return h.expand(self._batch_shape)


class Independent(Distribution):
    """A distribution whose last batch dimensions belong to one event."""

    arg_constraints: dict[str, Any] = {}

    def __init__(
        self,
        base_distribution: Distribution,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:
        batch = base_distribution.batch_shape
        if reinterpreted_batch_ndims > len(batch):
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), actual "
                f"{reinterpreted_batch_ndims} vs {len(batch)}"
            )
        self.base_dist, self.reinterpreted_batch_ndims = (
            base_distribution,
            reinterpreted_batch_ndims,
        )
        n = len(batch) - reinterpreted_batch_ndims
        super().__init__(batch[:n], batch[n:] + base_distribution.event_shape, validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distribution for a larger batch."""
        extra = self._event_shape[: self.reinterpreted_batch_ndims]
        base = self.base_dist.expand(Size(batch_shape) + extra)
        return Independent(base, self.reinterpreted_batch_ndims, validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return self.reinterpreted_batch_ndims == 0 and self.base_dist.has_enumerate_support

    @property
    def support(self) -> Any:
        n = self.reinterpreted_batch_ndims
        return constraints.independent(self.base_dist.support, n) if n else self.base_dist.support

    @property
    def mean(self) -> Any:
        return self.base_dist.mean

    @property
    def mode(self) -> Any:
        return self.base_dist.mode

    @property
    def variance(self) -> Any:
        return self.base_dist.variance

    def sample(self, sample_shape: Any = ()) -> Any:
        """Samples of the base distribution."""
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Samples of the base distribution, with gradients."""
        return self.base_dist.rsample(sample_shape)

    def _sum(self, value: Any) -> Any:
        n = self.reinterpreted_batch_ndims
        return value if n == 0 else value.sum(list(range(-n, 0)))

    def log_prob(self, value: Any) -> Any:
        """The sum of the base distribution's over the event."""
        return self._sum(self.base_dist.log_prob(value))

    def entropy(self) -> Any:
        """The sum of the base distribution's over the event."""
        return self._sum(self.base_dist.entropy())

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"
