"""The functions of autograd that split and join over CUDA devices: there are no such devices.

Copies of "synchronized batch normalisation" import them, and call them where devices are.
"""

from __future__ import annotations

from typing import Any, NoReturn

from facula.autograd import Function
from facula.errors import NoDeviceError

__all__ = ["Broadcast", "Gather", "ReduceAddCoalesced", "Scatter"]


class _BetweenDevices(Function):
    """A function whose operands are on several CUDA devices."""

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> NoReturn:
        """NoDeviceError: there is at most one device."""
        raise NoDeviceError(
            f"torch.nn.parallel._functions.{cls.__name__}: there are not several CUDA devices"
        )


class Broadcast(_BetweenDevices):
    """Tensors copied to several devices; their gradients are summed."""


class ReduceAddCoalesced(_BetweenDevices):
    """Sums of the tensors of several devices."""


class Gather(_BetweenDevices):
    """Tensors of several devices joined."""


class Scatter(_BetweenDevices):
    """A tensor split over several devices."""
