"""Gradients kept from growing too large."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import facula
from facula import Tensor
from facula.trace.spans import pure, run

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]


def _listed(tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters) -> list[Tensor]:
    return [p.grad for p in _listed(parameters) if p.grad is not None]


def get_total_norm(
    tensors: Iterable[Tensor] | Tensor,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all ``tensors`` as if they were one vector.

    Args:
        tensors: one or several.
        norm_type: which norm; ``inf`` for the largest magnitude.
        error_if_nonfinite: whether an infinite or NaN norm is an error.
        foreach: accepted and without effect.
    """
    tensors = _listed(tensors)
    norm_type = float(norm_type)
    if not tensors:
        return facula.tensor(0.0)
    with facula.no_grad():
        try:
            total = run(_total_norm, tuple(tensors), (norm_type,))
        except TypeError:
            for t in tensors:
                t.device  # noqa: B018 (AttributeError for what is no tensor, as in PyTorch)
            raise
    if error_if_nonfinite and not bool(facula.isfinite(total)):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, "
            "so it cannot be clipped. To disable this error and scale the gradients by the "
            "non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return total


@pure
def _total_norm(tensors: Any, static: Any, numbers: Any) -> Tensor:
    norms = [t.norm(static[0]) for t in tensors]
    return norms[0] if len(norms) == 1 else facula.stack(norms).norm(static[0])


def clip_grads_with_norm_(
    parameters: Iterable[Tensor] | Tensor,
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scale gradients, in place, by ``max_norm / total_norm`` where that is less than 1."""
    with facula.no_grad():
        run(_scale, (total_norm, *_gradients(parameters)), (), (float(max_norm), 1e-6, 1.0))


def _scale(tensors: Any, static: Any, numbers: Any) -> None:
    total, *grads = tensors
    most, little, one = numbers  # a number of its own would be one that may change
    factor = (most / (total + little)).clamp(max=one)
    for grad in grads:
        grad.mul_(factor.to(grad.dtype))


def clip_grad_norm_(
    parameters: Iterable[Tensor] | Tensor,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of ``parameters``, in place, so that their norm is at most ``max_norm``.

    The norm is that of all gradients together. Returns what it was before.
    """
    parameters = _listed(parameters)
    total = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(parameters, max_norm, total, foreach)
    return total


def clip_grad_norm(
    parameters: Iterable[Tensor] | Tensor,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Deprecated name of :func:`clip_grad_norm_`."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of "
        "`torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(
    parameters: Iterable[Tensor] | Tensor, clip_value: float, foreach: bool | None = None
) -> None:
    """Limit every element of the gradients, in place, to ``[-clip_value, clip_value]``."""
    clip_value = float(clip_value)
    with facula.no_grad():
        run(_limit, tuple(_gradients(parameters)), (), (-clip_value, clip_value))


def _limit(tensors: Any, static: Any, numbers: Any) -> None:
    for grad in tensors:
        grad.clamp_(min=numbers[0], max=numbers[1])
