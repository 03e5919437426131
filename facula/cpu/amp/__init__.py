"""Mixed precision as it was spelled before `torch.amp`: the same classes for device 'cpu'."""

from __future__ import annotations

from typing import Any

from facula import amp, bfloat16
from facula.errors import honest

__all__ = ["GradScaler", "autocast"]


class autocast(amp.autocast):
    """`torch.amp.autocast('cpu', ...)`."""

    def __init__(
        self, enabled: bool = True, dtype: Any = bfloat16, cache_enabled: bool = True
    ) -> None:
        super().__init__("cpu", dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)


class GradScaler(amp.GradScaler):
    """`torch.amp.GradScaler('cpu', ...)`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("cpu", *args, **kwargs)


__getattr__ = honest(__name__)
