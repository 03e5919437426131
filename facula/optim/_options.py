"""Checks of the options that the algorithms share.

The messages begin as PyTorch's do, since programs match on them.
"""

from __future__ import annotations

from typing import Any

from facula import Tensor


def check_lr(lr: Any, foreach: bool | None = None, capturable: bool = True) -> None:
    """The learning rate is a number >= 0, or a tensor with one element.

    An algorithm that takes a tensor only under some switches passes these switches.
    """
    if isinstance(lr, Tensor):
        if foreach and not capturable:
            raise ValueError(
                "lr as a Tensor is not supported for capturable=False and foreach=True"
            )
        if lr.numel() != 1:
            raise ValueError(f"Tensor lr must be 1-element, but has shape {tuple(lr.shape)}")
    if not lr >= 0.0:
        raise ValueError(f"Invalid learning rate: {lr}")


def check_at_least_0(**options: Any) -> None:
    """Each option is a number >= 0; `eps` is called epsilon."""
    for name, value in options.items():
        if not value >= 0.0:
            raise ValueError(f"Invalid {'epsilon' if name == 'eps' else name} value: {value}")


def check_betas(betas: Any) -> None:
    """Both decay rates lie in [0, 1)."""
    for i, beta in enumerate(betas[:2]):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}")


def check_switches(foreach: bool | None, fused: bool | None, differentiable: bool) -> None:
    """`foreach` and `fused` name ways to run the same update; some exclude each other."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def is_on(value: Any) -> bool:
    """Whether an optional factor takes part; the value of a tensor is not looked at."""
    return value != 0 if value.__class__ is float else isinstance(value, Tensor) or value != 0


def factor(value: Any) -> Any:
    """A number as a float, a tensor of one element without dimensions."""
    if value.__class__ is float:
        return value
    if isinstance(value, Tensor):
        return value.reshape(()) if value.dim() else value
    return float(value)
