"""Memory exchanged with other libraries by DLPack.

Source: https://docs.pytorch.org/docs/stable/dlpack.html
"""

from __future__ import annotations

import enum
from typing import Any

import facula
from facula.errors import honest

__all__ = ["DLDeviceType", "from_dlpack", "to_dlpack"]


class DLDeviceType(enum.IntEnum):
    """The kinds of memory that DLPack numbers."""

    kDLCPU = 1
    kDLCUDA = 2
    kDLCUDAHost = 3
    kDLOpenCL = 4
    kDLVulkan = 7
    kDLMetal = 8
    kDLVPI = 9
    kDLROCM = 10
    kDLROCMHost = 11
    kDLExtDev = 12
    kDLCUDAManaged = 13
    kDLOneAPI = 14
    kDLWebGPU = 15
    kDLHexagon = 16
    kDLMAIA = 17


def to_dlpack(tensor: facula.Tensor) -> Any:
    """A capsule over the tensor's memory, which `from_dlpack` takes once."""
    return tensor.detach().__dlpack__()


from_dlpack = facula.from_dlpack
__getattr__ = honest(__name__)
