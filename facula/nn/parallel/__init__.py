"""One module on several devices.

Source: https://pytorch.org/docs/stable/generated/torch.nn.DataParallel.html
"""

from __future__ import annotations

from typing import Any

import facula
from facula.errors import honest, refuse
from facula.nn.modules.module import Module
from facula.nn.parallel.scatter_gather import gather, scatter

__all__ = ["DataParallel", "DistributedDataParallel", "gather", "scatter"]


class DataParallel(Module):
    """Split batches over CUDA devices: without one it calls its module, as in PyTorch.

    Args:
        module: the module, which becomes `self.module`.
        device_ids, output_device, dim: which devices, and the dimension to split.
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.module, self.device_ids, self.dim = module, [], dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Call the module."""
        return self.module(*inputs, **kwargs)


class DistributedDataParallel(Module):
    """Average gradients over processes: ValueError, no process group can be started."""

    def __init__(self, module: Module, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        facula.distributed.get_world_size()  # says that no process group has been started
        refuse("DistributedDataParallel", "distributed training is not in Facula")


__getattr__ = honest(__name__)
