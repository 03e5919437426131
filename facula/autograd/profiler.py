"""PyTorch's first profiler, under its old name: see `torch.profiler`."""

from __future__ import annotations

from typing import Any

from facula.errors import honest, refuse
from facula.profiler import Averages as EventList
from facula.profiler import profile, record_function

__all__ = ["EventList", "emit_itt", "emit_nvtx", "profile", "record_function"]


class emit_nvtx:
    """Marks for NVIDIA's profilers, which libraries name in annotations: can't be made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse(f"torch.autograd.profiler.{type(self).__name__}", "torch.profiler has the kernels")


class emit_itt(emit_nvtx):
    """Marks for VTune: can't be made."""


__getattr__ = honest(__name__)
