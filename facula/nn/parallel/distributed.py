"""`DistributedDataParallel`: a module in each of several processes, of which there is one.

Source: https://pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import facula
from facula.errors import honest, refuse
from facula.nn.modules.module import Module

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module):
    """Average gradients over processes: of one they are what they are.

    Raises ValueError where no process group was started, RuntimeError for a module without a
    parameter that requires a gradient, ValueError for `device_ids` of a module on the CPU.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        init_sync: bool = True,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        facula.distributed.get_world_size()  # says that no process group has been started
        parameters = list(module.parameters())
        if not any([p.requires_grad for p in parameters]):
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameter "
                "that requires a gradient."
            )
        if device_ids and any([p.device.type == "cpu" for p in parameters]):
            raise ValueError(
                "DistributedDataParallel device_ids and output_device arguments only work with "
                "single-device/multiple-device GPU modules or CPU modules, but got device_ids "
                f"{device_ids}, output_device {output_device}, and module parameters "
                f"{ {p.device for p in parameters} }."
            )
        self.module = module
        self.device_ids = list(device_ids) if device_ids else None
        self.output_device = output_device
        self.dim = dim
        self.device = parameters[0].device
        self.broadcast_buffers = broadcast_buffers
        self.process_group = process_group or facula.distributed.group.WORLD
        self.find_unused_parameters = find_unused_parameters
        self.gradient_as_bucket_view = gradient_as_bucket_view
        self.static_graph = static_graph
        self.require_backward_grad_sync = True

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the module makes of them."""
        return self.module(*inputs, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """A block in which gradients are not averaged."""
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    @contextmanager
    def join(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        """A block in which processes may have other numbers of batches."""
        yield

    def register_comm_hook(self, state: Any, hook: Any) -> None:
        """Not there: gradients are not communicated."""
        refuse("DistributedDataParallel.register_comm_hook", "there is one process")


__getattr__ = honest(__name__)
