"""The module in which PyTorch has the older of its two classes: libraries import it from here."""

from facula.distributed.fsdp import FullyShardedDataParallel
from facula.errors import honest

__all__ = ["FullyShardedDataParallel"]

__getattr__ = honest(__name__)
