"""Invertible functions of samples, and the distributions that they make.

Source: https://pytorch.org/docs/stable/distributions.html#module-torch.distributions.transforms
"""

from __future__ import annotations

import math
from typing import Any

import facula
from facula import Size
from facula.distributions import constraints
from facula.distributions.continuous import Normal
from facula.distributions.distribution import Distribution
from facula.errors import honest
from facula.nn import functional as F


class Transform:
    """A function with an inverse and the logarithm of the size of its derivative."""

    domain: Any = constraints.real
    codomain: Any = constraints.real
    bijective = True

    def __init__(self, cache_size: int = 0) -> None:
        self._cache_size = cache_size
        self._cached: tuple[Any, Any] | None = None

    def __call__(self, x: Any) -> Any:
        if self._cache_size and self._cached is not None and self._cached[0] is x:
            return self._cached[1]
        y = self._call(x)
        if self._cache_size:
            self._cached = x, y
        return y

    def inv_of(self, y: Any) -> Any:
        """The value that the function takes to `y`."""
        if self._cache_size and self._cached is not None and self._cached[1] is y:
            return self._cached[0]
        return self._inverse(y)

    @property
    def inv(self) -> Transform:
        return _Inverse(self)

    @property
    def sign(self) -> Any:
        return 1

    def _call(self, x: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}._call")

    def _inverse(self, y: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}._inverse")

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of the size of the derivative at `x`."""
        raise NotImplementedError(f"{type(self).__name__}.log_abs_det_jacobian")

    def __repr__(self) -> str:
        return type(self).__name__ + "()"


class _Inverse(Transform):
    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self._transform = transform
        self.domain, self.codomain = transform.codomain, transform.domain

    @property
    def inv(self) -> Transform:
        return self._transform

    def _call(self, x: Any) -> Any:
        return self._transform.inv_of(x)

    def _inverse(self, y: Any) -> Any:
        return self._transform(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Minus that of the function at `y`."""
        return -self._transform.log_abs_det_jacobian(y, x)


class ComposeTransform(Transform):
    """Several, one after the other."""

    def __init__(self, parts: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = list(parts)

    def _call(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y: Any) -> Any:
        for part in reversed(self.parts):
            y = part.inv_of(y)
        return y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The sum of the parts'."""
        total: Any = facula.zeros_like(x)
        for part in self.parts:
            after = part(x)
            total = total + part.log_abs_det_jacobian(x, after)
            x = after
        return total


class ExpTransform(Transform):
    """exp(x)."""

    codomain = constraints.positive

    def _call(self, x: Any) -> Any:
        return x.exp()

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """x."""
        return x


class SigmoidTransform(Transform):
    """1 / (1 + exp(-x))."""

    codomain = constraints.unit_interval

    def _call(self, x: Any) -> Any:
        info = facula.finfo(x.dtype)
        return facula.clamp(facula.sigmoid(x), min=info.tiny, max=1.0 - info.eps)

    def _inverse(self, y: Any) -> Any:
        info = facula.finfo(y.dtype)
        y = y.clamp(min=info.tiny, max=1.0 - info.eps)
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """-softplus(-x) - softplus(x)."""
        return -F.softplus(-x) - F.softplus(x)


class TanhTransform(Transform):
    """tanh(x)."""

    codomain = constraints.interval(-1.0, 1.0)

    def _call(self, x: Any) -> Any:
        return x.tanh()

    def _inverse(self, y: Any) -> Any:
        return facula.atanh(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """log(1 - tanh(x)**2), without its cancellation."""
        return 2.0 * (math.log(2.0) - x - F.softplus(-2.0 * x))


class AffineTransform(Transform):
    """loc + scale * x."""

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self.event_dim = loc, scale, event_dim

    @property
    def sign(self) -> Any:
        if isinstance(self.scale, (int, float)):
            return 1 if self.scale > 0 else -1 if self.scale < 0 else 0
        return self.scale.sign()

    def _call(self, x: Any) -> Any:
        return self.loc + self.scale * x

    def _inverse(self, y: Any) -> Any:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """log |scale|."""
        if isinstance(self.scale, (int, float)):
            result = facula.full_like(x, math.log(abs(self.scale)))
        else:
            result = facula.abs(self.scale).log()
        if self.event_dim:
            result = result.expand(x.shape).flatten(-self.event_dim).sum(-1)
        return result.expand(x.shape[: x.dim() - self.event_dim])


class TransformedDistribution(Distribution):
    """The distribution of a function of samples of another."""

    arg_constraints: dict[str, Any] = {}

    def __init__(self, base_distribution: Any, transforms: Any, validate_args: Any = None) -> None:
        single = isinstance(transforms, Transform)
        self.transforms = [transforms] if single else list(transforms)
        self.base_dist = base_distribution
        super().__init__(
            base_distribution.batch_shape, base_distribution.event_shape, validate_args
        )

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    @property
    def support(self) -> Any:
        codomain = self.transforms[-1].codomain if self.transforms else self.base_dist.support
        n = len(self._event_shape)
        return constraints.independent(codomain, n) if n else codomain

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distribution for a larger batch."""
        base = self.base_dist.expand(Size(batch_shape))
        return TransformedDistribution(base, self.transforms, validate_args=False)

    def sample(self, sample_shape: Any = ()) -> Any:
        """The function of samples."""
        with facula.no_grad():
            x = self.base_dist.sample(sample_shape)
            for transform in self.transforms:
                x = transform(x)
            return x

    def rsample(self, sample_shape: Any = ()) -> Any:
        """The function of samples, with gradients."""
        x = self.base_dist.rsample(sample_shape)
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value: Any) -> Any:
        """The base distribution's density, by the function's derivative."""
        self._validate_sample(value)
        n = len(self._event_shape)
        total: Any = 0.0
        y = value
        for transform in reversed(self.transforms):
            x = transform.inv_of(y)
            change = transform.log_abs_det_jacobian(x, y)
            total = total - (change if n == 0 else change.sum(list(range(-n, 0))))
            y = x
        return total + self.base_dist.log_prob(y)

    def _upside_down(self, probability: Any) -> Any:
        """1 - p where the functions turn the order of values round."""
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        if isinstance(sign, int) and sign == 1:
            return probability
        return sign * (probability - 0.5) + 0.5

    def cdf(self, value: Any) -> Any:
        """The probability of at most this value."""
        for transform in reversed(self.transforms):
            value = transform.inv_of(value)
        return self._upside_down(self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Any:
        """The value that is not exceeded with this probability."""
        value = self.base_dist.icdf(self._upside_down(value))
        for transform in self.transforms:
            value = transform(value)
        return value


class LogNormal(TransformedDistribution):
    """The exponential of a normal number."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}

    def __init__(self, loc: Any, scale: Any, validate_args: Any = None) -> None:
        super().__init__(Normal(loc, scale, validate_args), ExpTransform(), validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distribution for a larger batch."""
        base = self.base_dist.expand(Size(batch_shape))
        return LogNormal(base.loc, base.scale, validate_args=False)

    @property
    def loc(self) -> Any:
        return self.base_dist.loc

    @property
    def scale(self) -> Any:
        return self.base_dist.scale

    @property
    def mean(self) -> Any:
        return (self.loc + self.scale.pow(2) / 2).exp()

    @property
    def mode(self) -> Any:
        return (self.loc - self.scale.square()).exp()

    @property
    def variance(self) -> Any:
        square = self.scale.pow(2)
        return square.expm1() * (2 * self.loc + square).exp()

    def entropy(self) -> Any:
        """The entropy, in nats."""
        return self.base_dist.entropy() + self.loc


identity_transform = ComposeTransform([])
__getattr__ = honest(__name__)
