"""What is known of a device."""

from __future__ import annotations

from typing import Any

from facula.cuda.driver import ATTRIBUTES


class Properties:
    """Name, memory and numbers of a device (`torch.cuda.get_device_properties`)."""

    def __init__(self, device: Any) -> None:
        self.name: str = device.name()
        self.total_memory: int = device.total_memory()
        for name in ATTRIBUTES:
            setattr(self, name, device.attribute(name))
        self.L2_cache_size = self.l2_cache_size  # type: ignore[attr-defined]
        self.is_integrated = self.is_multi_gpu_board = 0

    def __repr__(self) -> str:
        return (
            f"_CudaDeviceProperties(name='{self.name}', major={self.major}, "  # type: ignore[attr-defined]
            f"minor={self.minor}, "  # type: ignore[attr-defined]
            f"total_memory={self.total_memory >> 20}MB, "
            f"multi_processor_count={self.multi_processor_count})"  # type: ignore[attr-defined]
        )


__all__ = ["Properties"]
