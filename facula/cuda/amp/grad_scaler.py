"""The names of `torch.cuda.amp` by the module that PyTorch has them in."""

from __future__ import annotations

from facula.amp.grad_scaler import OptState
from facula.cuda.amp import GradScaler
from facula.errors import honest

__all__ = ["GradScaler", "OptState"]

__getattr__ = honest(__name__)
