"""Optimisers that share their work between processes: names to ask `isinstance` about.

Source: https://docs.pytorch.org/docs/stable/distributed.optim.html
"""

from __future__ import annotations

from typing import Any

from facula.errors import honest, refuse
from facula.optim import Optimizer

__all__ = ["DistributedOptimizer", "PostLocalSGDOptimizer", "ZeroRedundancyOptimizer"]


class _Shared:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = f"torch.distributed.optim.{type(self).__name__}"
        refuse(name, "distributed training is not in Facula")


class DistributedOptimizer(_Shared):
    """Optimises parameters that are in other processes: can't be made."""


class PostLocalSGDOptimizer(_Shared, Optimizer):
    """Averages the models of processes now and then: can't be made."""


class ZeroRedundancyOptimizer(_Shared, Optimizer):
    """Keeps each part of its state in one process: can't be made."""


__getattr__ = honest(__name__)
