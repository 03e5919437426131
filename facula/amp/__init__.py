"""Mixed precision.

Source: https://pytorch.org/docs/stable/amp.html
"""

from __future__ import annotations

from facula.amp.autocast_mode import (
    autocast,
    custom_bwd,
    custom_fwd,
    is_autocast_available,
)
from facula.amp.grad_scaler import GradScaler
from facula.errors import honest

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]
__getattr__ = honest(__name__)
