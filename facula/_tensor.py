"""The tensor, by the private module that PyTorch has it in and libraries name."""

from __future__ import annotations

from facula.errors import honest
from facula.tensor import Tensor

__all__ = ["Tensor"]

__getattr__ = honest(__name__)
