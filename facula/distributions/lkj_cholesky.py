"""The LKJ distribution of correlation matrices, by their Cholesky factors."""

from __future__ import annotations

import math
from typing import Any

import facula
from facula.distributions import constraints
from facula.distributions.beta import Beta
from facula.distributions.distribution import Distribution
from facula.distributions.utils import broadcast_all

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Lower factors L of correlation matrices with density det(L L^T)^(concentration - 1).

    Lewandowski, Kurowicka and Joe, "Generating random correlation matrices based on vines and
    extended onion method" (2009): the onion method of section 3.2.
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ValueError(
                f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        marginal = self.concentration + 0.5 * (dim - 2)
        offset = facula.arange(
            dim - 1, dtype=self.concentration.dtype, device=self.concentration.device
        )
        offset = facula.cat([offset.new_zeros((1,)), offset])
        self._beta = Beta(offset + 0.5, marginal.unsqueeze(-1) - 0.5 * offset)
        super().__init__(self.concentration.size(), (dim, dim), validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(LKJCholesky, _instance)
        batch_shape = facula.Size(batch_shape)
        new.dim = self.dim
        new._beta = self._beta.expand((*batch_shape, self.dim))
        return self._expanded(LKJCholesky, new, batch_shape, ("concentration",), self.event_shape)

    def sample(self, sample_shape: Any = ()) -> Any:
        y = self._beta.sample(sample_shape).unsqueeze(-1)
        normal = facula.randn(
            self._extended_shape(sample_shape), dtype=y.dtype, device=y.device
        ).tril(-1)
        sphere = normal / normal.norm(dim=-1, keepdim=True)
        sphere[..., 0, :].fill_(0.0)  # the first row is empty
        rows = facula.sqrt(y) * sphere
        left = facula.clamp(1 - (rows**2).sum(-1), min=facula.finfo(rows.dtype).tiny).sqrt()
        return rows + facula.diag_embed(left)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = facula.arange(2, self.dim + 1, device=self.concentration.device)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - order
        unnormalised = (order * diagonal.log()).sum(-1)
        n = self.dim - 1
        alpha = self.concentration + 0.5 * n
        normaliser = (
            0.5 * n * math.log(math.pi) + facula.mvlgamma(alpha - 0.5, n) - facula.lgamma(alpha) * n
        )
        return unnormalised - normaliser
