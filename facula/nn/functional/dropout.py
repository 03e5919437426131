"""Dropout: elements or whole channels set to zero at random.

All randomness comes from ``facula.dropout``, whose numbers do not depend on device or tier.
"""

from __future__ import annotations

import warnings

import facula
from facula import Tensor
from facula.ops.promotion import need
from facula.ops.table import explained

from ._common import in_place, require_bools

# Of SELU's fixed point: the value that alpha dropout sets dropped elements to.
_ALPHA_PRIME = -1.7580993408473766


def _check_p(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, zero each element with probability ``p`` and scale the rest by ``1/(1-p)``."""
    _check_p(p)
    if inplace:
        return in_place(facula.dropout, input, p, training) if training and p > 0 else input
    return facula.dropout(input, p, training)


def _feature_mask(x: Tensor, p: float) -> Tensor:
    """One random factor, 0 or 1/(1-p), for every channel of every sample."""
    if x.dim() < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    shape = list(x.shape[:2]) + [1] * (x.dim() - 2)
    return facula.dropout(facula.ones(shape, dtype=x.dtype, device=x.device), p, True)


def _feature_dropout(x: Tensor, p: float) -> Tensor:
    return x * _feature_mask(x, p)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels of ``(N, C, L)`` or ``(C, L)``."""
    _check_p(p)
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. Note that "
            "dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, "
            "a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    return _dropout_channels(input, p, training, inplace, batched=input.dim() == 3)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels of ``(N, C, H, W)``."""
    _check_p(p)
    if input.dim() not in (3, 4):
        warnings.warn(
            f"dropout2d: Received a {input.dim()}-D input to dropout2d, which is deprecated and "
            "will result in an error in a future release. To retain the behavior and silence this "
            "warning, please use dropout instead. Note that dropout2d exists to provide "
            "channel-wise dropout on inputs with 2 spatial dimensions, a channel dimension, and "
            "an optional batch dimension (i.e. 3D or 4D inputs).",
            stacklevel=3,
        )
    elif input.dim() == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D "
            "dropout behavior is desired - input is interpreted as shape (N, C, L), where C is "
            "the channel dim. This behavior will change in a future release to interpret the "
            "input as one without a batch dimension, i.e. shape (C, H, W). To maintain the 1D "
            "channel-wise dropout behavior, please switch to using dropout1d instead.",
            stacklevel=3,
        )
    return _dropout_channels(input, p, training, inplace, batched=True)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels of ``(N, C, D, H, W)`` or ``(C, D, H, W)``."""
    _check_p(p)
    if input.dim() not in (4, 5):
        warnings.warn(
            f"dropout3d: Received a {input.dim()}-D input to dropout3d, which is deprecated and "
            "will result in an error in a future release. To retain the behavior and silence this "
            "warning, please use dropout instead. Note that dropout3d exists to provide "
            "channel-wise dropout on inputs with 3 spatial dimensions, a channel dimension, and "
            "an optional batch dimension (i.e. 4D or 5D inputs).",
            stacklevel=3,
        )
    return _dropout_channels(input, p, training, inplace, batched=input.dim() == 5)


def _dropout_channels(x: Tensor, p: float, training: bool, inplace: bool, batched: bool) -> Tensor:
    if training is not True:
        require_bools("feature_dropout", training=training)
        return x
    if p == 0:
        return x
    if batched:
        return in_place(_feature_dropout, x, p) if inplace else _feature_dropout(x, p)
    out = _feature_dropout(x.unsqueeze(0), p).squeeze(0)
    return x.copy_(out) if inplace else out


def _alpha_dropout(x: Tensor, p: float, whole_channels: bool) -> Tensor:
    """Keep mean and variance: dropped elements become alpha', then all are scaled and moved."""
    if p == 1:
        return x * 0
    ones = facula.ones_like(x, requires_grad=False)
    kept = _feature_mask(x, p) if whole_channels else facula.dropout(ones, p, True)
    kept = (kept != 0).to(x.dtype)
    scale = ((_ALPHA_PRIME**2 * p + 1) * (1 - p)) ** -0.5
    shift = ((1 - kept) * _ALPHA_PRIME - _ALPHA_PRIME * p) * scale
    return x * (kept * scale) + shift


@explained
def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout for self-normalising networks (https://arxiv.org/abs/1706.02515)."""
    _check_p(p)
    need("alpha_dropout", input=input)
    if not training or p == 0:
        return input
    if inplace:
        return in_place(_alpha_dropout, input, p, False)
    return _alpha_dropout(input, p, False)


@explained
def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """:func:`alpha_dropout` of whole channels."""
    _check_p(p)
    need("feature_alpha_dropout", input=input)
    if not training or p == 0:
        return input
    if inplace:
        return in_place(_alpha_dropout, input, p, True)
    return _alpha_dropout(input, p, True)
