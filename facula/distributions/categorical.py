"""The categorical distribution."""

from __future__ import annotations

from typing import Any

import facula
from facula.distributions import constraints
from facula.distributions.distribution import Distribution
from facula.distributions.odds import one_of
from facula.distributions.utils import lazy_property, logits_to_probs, probs_to_logits
from facula.ops.indexing import GATHER
from facula.ops.movement import watched
from facula.trace.recorder import record
from facula.trace.spans import pure, run

__all__ = ["Categorical"]

FEW = 1024  # weights that are computed though nobody may ask for them


class Categorical(Distribution):
    """One of 0 .. K - 1, with weights `probs` or logarithms of weights `logits` in the last
    dimension; both are normalised."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given = one_of(probs, logits)
        if given.dim() < 1:
            name = "logits" if probs is None else "probs"
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        if probs is not None:
            self.probs = run(_normalised, (probs,))
        else:
            self.logits = run(_normalised_logits, (logits,))
            if logits.numel() <= FEW:
                # Checking the parameters runs what is pending: let that have what a draw needs.
                self._early = logits_to_probs(self.logits)
        self._num_events = given.size()[-1]
        super().__init__(given.size()[:-1], validate_args=validate_args)

    @property
    def _param(self) -> Any:
        return self.__dict__["probs"] if "probs" in self.__dict__ else self.__dict__["logits"]

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(Categorical, _instance)
        batch_shape = facula.Size(batch_shape)
        for name in ("probs", "logits"):
            if name in self.__dict__:
                new.__dict__[name] = self.__dict__[name].expand((*batch_shape, self._num_events))
        new._num_events = self._num_events
        super(Categorical, new).__init__(batch_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self._num_events - 1)

    @lazy_property
    def logits(self) -> Any:
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self) -> Any:
        early = self.__dict__.pop("_early", None)
        return logits_to_probs(self.logits) if early is None else early

    @property
    def param_shape(self) -> Any:
        return self._param.size()

    @property
    def mean(self) -> Any:
        return facula.full(
            self._extended_shape(), facula.nan, dtype=self.probs.dtype, device=self.probs.device
        )

    @property
    def mode(self) -> Any:
        return self.probs.argmax(dim=-1)

    @property
    def variance(self) -> Any:
        return facula.full(
            self._extended_shape(), facula.nan, dtype=self.probs.dtype, device=self.probs.device
        )

    def sample(self, sample_shape: Any = ()) -> Any:
        sample_shape = facula.Size(sample_shape)
        weights = self.probs.detach().reshape(-1, self._num_events)
        drawn = facula.multinomial(weights, sample_shape.numel(), True).T
        return drawn.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
            return run(_picked, (value, self.logits))
        value = value.long().unsqueeze(-1)
        value, log_pmf = facula.broadcast_tensors(value, self.logits)
        return log_pmf.gather(-1, value[..., :1]).squeeze(-1)

    def entropy(self) -> Any:
        return run(_entropy, (self.logits, self.probs))

    def enumerate_support(self, expand: bool = True) -> Any:
        values = facula.arange(self._num_events, dtype=facula.long, device=self._param.device)
        values = values.reshape((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values


@pure
def _normalised(tensors: Any, static: Any, numbers: Any) -> Any:
    (probs,) = tensors
    return probs / probs.sum(-1, keepdim=True)


@pure
def _normalised_logits(tensors: Any, static: Any, numbers: Any) -> Any:
    (logits,) = tensors
    return logits - logits.logsumexp(dim=-1, keepdim=True)


@pure
def _picked(tensors: Any, static: Any, numbers: Any) -> Any:
    """The logarithms of the weights of values that are known to be none but 0 .. K - 1."""
    value, logits = tensors
    value, log_pmf = facula.broadcast_tensors(value.long().unsqueeze(-1), logits)
    at = value[..., :1]
    return record(GATHER, (watched(log_pmf), at), log_pmf.dim() - 1).squeeze(-1)


@pure
def _entropy(tensors: Any, static: Any, numbers: Any) -> Any:
    logits, probs = tensors
    logits = logits.clamp(min=facula.finfo(logits.dtype).min)
    return -(logits * probs).sum(-1)
