"""`DistributedDataParallel` under its module's name."""

from __future__ import annotations

from facula.errors import honest
from facula.nn.parallel import DistributedDataParallel

__all__ = ["DistributedDataParallel"]
__getattr__ = honest(__name__)
