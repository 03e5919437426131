"""Meshes of devices: none can be made."""

from __future__ import annotations

from typing import Any, NoReturn

from facula.errors import honest, refuse

__all__ = ["DeviceMesh", "init_device_mesh"]
WHY = "distributed training is not in Facula"


class DeviceMesh:
    """Devices in rows and columns, which libraries name in annotations: can't be made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("torch.distributed.device_mesh.DeviceMesh", WHY)


def init_device_mesh(*args: Any, **kwargs: Any) -> NoReturn:
    """NotImplementedError."""
    refuse("torch.distributed.device_mesh.init_device_mesh", WHY)


__getattr__ = honest(__name__)
