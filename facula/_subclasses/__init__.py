"""Where libraries look for PyTorch's fake tensors: Facula has none."""

from __future__ import annotations

from facula.errors import honest

__all__: list[str] = []
__getattr__ = honest(__name__)
