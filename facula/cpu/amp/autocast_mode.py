"""The names of `torch.cpu.amp` by the module that PyTorch has them in."""

from __future__ import annotations

from facula.cpu.amp import autocast
from facula.errors import honest

__all__ = ["autocast"]

__getattr__ = honest(__name__)
