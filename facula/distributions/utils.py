"""Parameters as tensors of one shape; probabilities and logits."""

from __future__ import annotations

from typing import Any

import facula
from facula import Tensor
from facula.errors import honest

euler_constant = 0.57721566490153286060


def broadcast_all(*values: Any) -> tuple[Any, ...]:
    """Tensors of one shape from tensors and numbers."""
    for v in values:
        if not isinstance(v, (Tensor, int, float)):
            raise ValueError("Input arguments must all be instances of Number or torch.Tensor")
    first = next((v for v in values if isinstance(v, Tensor)), None)
    dtype = facula.get_default_dtype() if first is None else first.dtype
    made = [v if isinstance(v, Tensor) else facula.full((), v, dtype=dtype) for v in values]
    return tuple(facula.broadcast_tensors(*made))


def shape_of(*values: Any) -> Any:
    """The batch shape of parameters: empty for plain numbers."""
    if all([isinstance(v, (int, float)) for v in values]):
        return ()
    return broadcast_all(*values)[0].shape


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """Probabilities of logits."""
    return facula.sigmoid(logits) if is_binary else facula.softmax(logits, dim=-1)


def clamp_probs(probs: Any) -> Any:
    """Probabilities away from 0 and 1 by the smallest step."""
    eps = facula.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """Logits of probabilities."""
    p = clamp_probs(probs)
    return facula.log(p) - facula.log1p(-p) if is_binary else facula.log(p)


class lazy_property:
    """An attribute that is computed when it is first read."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped, self.__doc__ = wrapped, wrapped.__doc__

    def __get__(self, instance: Any, obj_type: Any = None) -> Any:
        if instance is None:
            return self
        with facula.enable_grad():
            value = self.wrapped(instance)
        instance.__dict__[self.wrapped.__name__] = value
        return value


def either(name: str, one: str, other: str, a: Any, b: Any) -> None:
    """ValueError unless exactly one of two parameters is given."""
    if (a is None) == (b is None):
        raise ValueError(f"Either `{one}` or `{other}` must be specified, but not both. ({name})")


__getattr__ = honest(__name__)
