"""One module on several devices.

Source: https://pytorch.org/docs/stable/generated/torch.nn.DataParallel.html
"""

from __future__ import annotations

from typing import Any

import facula
from facula.errors import honest, refuse
from facula.nn.modules.module import Module
from facula.nn.parallel.data_parallel import DataParallel, data_parallel
from facula.nn.parallel.parallel_apply import parallel_apply
from facula.nn.parallel.replicate import replicate
from facula.nn.parallel.scatter_gather import gather, scatter

__all__ = [
    "DataParallel",
    "DistributedDataParallel",
    "data_parallel",
    "gather",
    "parallel_apply",
    "replicate",
    "scatter",
]


class DistributedDataParallel(Module):
    """Average gradients over processes: ValueError, no process group can be started."""

    def __init__(self, module: Module, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        facula.distributed.get_world_size()  # says that no process group has been started
        refuse("DistributedDataParallel", "distributed training is not in Facula")


__getattr__ = honest(__name__)
