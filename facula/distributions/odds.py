"""Parameters that are given as a probability or as its logarithm: `probs` or `logits`."""

from __future__ import annotations

from typing import Any

from facula.distributions.utils import lazy_property, logits_to_probs, probs_to_logits


def one_of(probs: Any, logits: Any) -> Any:
    """The one of the two that is given; ValueError for both and for none."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")
    return logits if probs is None else probs


class Odds:
    """A distribution that has a probability, or its log odds, and computes the other if asked."""

    @property
    def _param(self) -> Any:
        return self.__dict__["probs"] if "probs" in self.__dict__ else self.__dict__["logits"]

    @lazy_property
    def logits(self) -> Any:
        """The logarithm of p / (1 - p)."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Any:
        """The probability."""
        return logits_to_probs(self.logits, is_binary=True)
