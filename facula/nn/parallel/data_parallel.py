"""One module on several devices: `DataParallel`.

Source: https://pytorch.org/docs/stable/generated/torch.nn.DataParallel.html
"""

from __future__ import annotations

from typing import Any, NoReturn

from facula.errors import NoDeviceError
from facula.nn.modules.module import Module

__all__ = ["DataParallel", "data_parallel"]


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


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Any = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: Any = None,
) -> NoReturn:
    """Call a module on parts of a batch on CUDA devices."""
    raise NoDeviceError("data_parallel(): there are not several CUDA devices")
