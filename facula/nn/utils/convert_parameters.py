"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

import facula
from facula import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor] | Tensor) -> Tensor:
    """All elements of ``parameters`` in one vector."""
    return facula.cat([p.view(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor] | Tensor) -> None:
    """Give ``parameters`` the values of consecutive parts of ``vec``."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    start = 0
    for p in parameters:
        p.data = vec[start : start + p.numel()].view(p.shape).data
        start += p.numel()
