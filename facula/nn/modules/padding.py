"""Padding layers, for one, two and three spatial dimensions."""

from __future__ import annotations

from facula import Tensor

from .. import functional as F
from ..functional._common import ntuple
from .module import Module

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _PadNd(Module):
    """``padding`` is one number for every side, or (left, right, top, bottom, front, back)."""

    n: int  # spatial dimensions
    mode: str

    def __init__(self, padding) -> None:
        super().__init__()
        self.padding = ntuple(padding, 2 * self.n)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPadNd(_PadNd):
    """Pads with ``value``."""

    def __init__(self, padding, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    n = 1


class ConstantPad2d(_ConstantPadNd):
    n = 2


class ConstantPad3d(_ConstantPadNd):
    n = 3


class ZeroPad1d(ConstantPad1d):
    """Pads with zeros."""

    def __init__(self, padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Pads with zeros."""

    def __init__(self, padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Pads with zeros."""

    def __init__(self, padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ReflectionPadNd(_PadNd):
    """Pads with the mirror image of the border, which itself is not repeated."""

    mode = "reflect"


class ReflectionPad1d(_ReflectionPadNd):
    n = 1


class ReflectionPad2d(_ReflectionPadNd):
    n = 2


class ReflectionPad3d(_ReflectionPadNd):
    n = 3


class _ReplicationPadNd(_PadNd):
    """Pads with copies of the border."""

    mode = "replicate"


class ReplicationPad1d(_ReplicationPadNd):
    n = 1


class ReplicationPad2d(_ReplicationPadNd):
    n = 2


class ReplicationPad3d(_ReplicationPadNd):
    n = 3


class _CircularPadNd(_PadNd):
    """Pads with the opposite side."""

    mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        return F.pad(input, self.padding, self.mode)

    def _check_input_dim(self, input: Tensor) -> None:
        allowed = (self.n + 1, self.n + 2)
        if input.dim() not in allowed:
            raise ValueError(
                f"expected {allowed[0]}D or {allowed[1]}D input (got {input.dim()}D input)"
            )


class CircularPad1d(_CircularPadNd):
    n = 1


class CircularPad2d(_CircularPadNd):
    n = 2


class CircularPad3d(_CircularPadNd):
    n = 3
