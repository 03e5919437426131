"""The names of `torch.cuda.amp` by the module that PyTorch has them in."""

from __future__ import annotations

from facula.cuda.amp import autocast, custom_bwd, custom_fwd
from facula.errors import honest

__all__ = ["autocast", "custom_bwd", "custom_fwd"]

__getattr__ = honest(__name__)
