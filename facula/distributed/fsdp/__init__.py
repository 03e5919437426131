"""Modules whose parameters are shared out over devices: none can be made; libraries ask for them.

Source: https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html
"""

from __future__ import annotations

from typing import Any, NoReturn

from facula.distributed.device_mesh import WHY
from facula.errors import honest, refuse

__all__ = ["FSDPModule", "FullyShardedDataParallel", "fully_shard"]


class FSDPModule:
    """A module that `fully_shard` has changed: no module is one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("torch.distributed.fsdp.FSDPModule", WHY)


class FullyShardedDataParallel:
    """A module around one whose parameters are shared out: no module is one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("torch.distributed.fsdp.FullyShardedDataParallel", WHY)


def fully_shard(*args: Any, **kwargs: Any) -> NoReturn:
    """NotImplementedError."""
    refuse("torch.distributed.fsdp.fully_shard", WHY)


__getattr__ = honest(__name__)
