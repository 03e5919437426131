"""What programs import of `torch.nn.functional` without its being meant for them.

Copies of PyTorch's attention and losses do.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import facula as torch
from facula import Tensor
from facula.nn import _reduction as _Reduction
from facula.nn.functional.attention import _check_heads as _mha_shape_check
from facula.nn.functional.attention import _project as _projected
from facula.nn.functional.attention import canonical_mask as _canonical_mask
from facula.nn.functional.attention import none_or_dtype as _none_or_dtype
from facula.nn.functional.linear import linear
from facula.nn.functional.norm import _require_several
from facula.nn.functional.softmaxes import implicit_dim
from facula.overrides import (
    handle_torch_function,
    has_torch_function,
    has_torch_function_unary,
    has_torch_function_variadic,
)

__all__ = [
    "Tensor",
    "_Reduction",
    "_canonical_mask",
    "_get_softmax_dim",
    "_in_projection",
    "_in_projection_packed",
    "_mha_shape_check",
    "_none_or_dtype",
    "_verify_batch_size",
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
    "math",
    "torch",
    "warnings",
]


def _get_softmax_dim(name: str, ndim: int, stacklevel: int) -> int:
    """The dimension of a softmax that is given none."""
    return implicit_dim(name, ndim, stacklevel)


def _verify_batch_size(size: Any) -> None:
    """Refuse a batch of one value per channel."""
    _require_several(torch.empty(size, device="meta"))


def _in_projection_packed(
    q: Tensor, k: Tensor, v: Tensor, w: Tensor, b: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value times the three weights, which are one tensor."""
    first, second, third = _projected(q, k, v, w, b)
    return first, second, third


def _in_projection(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    w_q: Tensor,
    w_k: Tensor,
    w_v: Tensor,
    b_q: Tensor | None = None,
    b_k: Tensor | None = None,
    b_v: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value times their weights."""
    width = q.shape[-1]
    for name, x, w, b in (("query", q, w_q, b_q), ("key", k, w_k, b_k), ("value", v, w_v, b_v)):
        if tuple(w.shape) != (width, x.shape[-1]):
            raise AssertionError(
                f"expecting {name} weights shape of {(width, x.shape[-1])}, but got {w.shape}"
            )
        if b is not None and tuple(b.shape) != (width,):
            raise AssertionError(f"expecting {name} bias shape of {(width,)}, but got {b.shape}")
    return linear(q, w_q, b_q), linear(k, w_k, b_k), linear(v, w_v, b_v)
