"""Tensors without values, by their names in PyTorch: none can be made; see the `meta` device."""

from __future__ import annotations

from facula._subclasses import fake_tensor
from facula._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from facula.errors import honest

__all__ = ["FakeTensor", "FakeTensorMode", "fake_tensor"]
__getattr__ = honest(__name__)
