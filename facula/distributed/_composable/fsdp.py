"""`torch.distributed.fsdp`, under its first name."""

from facula.distributed.fsdp import FSDPModule, fully_shard
from facula.errors import honest

__all__ = ["FSDPModule", "fully_shard"]

__getattr__ = honest(__name__)
