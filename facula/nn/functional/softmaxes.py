"""Softmax and its kin."""

from __future__ import annotations

import warnings
from typing import Any

import facula
from facula import Tensor


def implicit_dim(name: str, ndim: int, stacklevel: int) -> int:
    """The dimension of a softmax that is given none, with a warning."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include "
        "dim=X as an argument.",
        stacklevel=stacklevel + 1,
    )
    return 0 if ndim in (0, 1, 3) else 1


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """``exp(input)`` divided by its sum along ``dim``."""
    if dim is None:
        dim = implicit_dim("softmax", input.dim(), _stacklevel)
    return input.softmax(dim) if dtype is None else input.softmax(dim, dtype=dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """:func:`softmax` of ``-input``."""
    if dim is None:
        dim = implicit_dim("softmin", input.dim(), _stacklevel)
    return (-input).softmax(dim) if dtype is None else (-input).softmax(dim, dtype=dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The logarithm of :func:`softmax`, computed without loss of precision."""
    if dim is None:
        dim = implicit_dim("log_softmax", input.dim(), _stacklevel)
    return input.log_softmax(dim) if dtype is None else input.log_softmax(dim, dtype=dtype)


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample from the Gumbel-softmax distribution (https://arxiv.org/abs/1611.01144).

    With ``hard`` the result is one-hot, and its gradient that of the soft sample.
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=3)
    noise = facula.empty_like(
        logits, requires_grad=False, memory_format=facula.legacy_contiguous_format
    )
    noise = -noise.exponential_().log()
    soft = ((logits + noise) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.argmax(dim, keepdim=True)
    one_hot = facula.zeros_like(soft, requires_grad=False).scatter(dim, index, 1.0)
    return one_hot - soft.detach() + soft
