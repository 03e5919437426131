"""Mixed precision as it was spelled before `torch.amp`: the same classes for device 'cuda'.

Source: https://pytorch.org/docs/stable/amp.html
"""

from __future__ import annotations

from typing import Any

from facula import amp
from facula.amp import custom_bwd, custom_fwd
from facula.errors import honest

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd"]


class autocast(amp.autocast):
    """`torch.amp.autocast('cuda', ...)`: without a device it is switched off, with a warning."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)


class GradScaler(amp.GradScaler):
    """`torch.amp.GradScaler('cuda', ...)`: without a device it is switched off, with a warning."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("cuda", *args, **kwargs)


__getattr__ = honest(__name__)
