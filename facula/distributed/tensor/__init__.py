"""Tensors spread over a mesh of devices: none can be made; libraries ask whether one is there.

Source: https://docs.pytorch.org/docs/stable/distributed.tensor.html
"""

from __future__ import annotations

from typing import Any, NoReturn

from facula.distributed.device_mesh import WHY, DeviceMesh, init_device_mesh
from facula.errors import honest, refuse

__all__ = [
    "DTensor",
    "DeviceMesh",
    "Partial",
    "Placement",
    "Replicate",
    "Shard",
    "distribute_module",
    "distribute_tensor",
    "init_device_mesh",
]


class DTensor:
    """A tensor of which each device has a part: no tensor is one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("torch.distributed.tensor.DTensor", WHY)

    @staticmethod
    def from_local(*args: Any, **kwargs: Any) -> NoReturn:
        """NotImplementedError."""
        refuse("torch.distributed.tensor.DTensor.from_local", WHY)


class Placement:
    """How a tensor lies on one dimension of a mesh."""

    def is_shard(self, dim: int | None = None) -> bool:
        """Whether each device has a part of it (along this dimension)."""
        return False

    def is_replicate(self) -> bool:
        """Whether each device has all of it."""
        return False

    def is_partial(self) -> bool:
        """Whether each device has an addend of it."""
        return False

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))


class Shard(Placement):
    """Each device has a part of it, cut along a dimension."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def is_shard(self, dim: int | None = None) -> bool:
        return dim is None or dim == self.dim

    def __repr__(self) -> str:
        return f"Shard(dim={self.dim})"


class Replicate(Placement):
    """Each device has all of it."""

    def is_replicate(self) -> bool:
        return True

    def __repr__(self) -> str:
        return "Replicate()"


class Partial(Placement):
    """Each device has an addend of it."""

    def __init__(self, reduce_op: str = "sum") -> None:
        self.reduce_op = reduce_op

    def is_partial(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"Partial({self.reduce_op})"


def distribute_tensor(*args: Any, **kwargs: Any) -> NoReturn:
    """NotImplementedError."""
    refuse("torch.distributed.tensor.distribute_tensor", WHY)


def distribute_module(*args: Any, **kwargs: Any) -> NoReturn:
    """NotImplementedError."""
    refuse("torch.distributed.tensor.distribute_module", WHY)


__getattr__ = honest(__name__)
