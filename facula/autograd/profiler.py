"""PyTorch's first profiler, under its old name: see `torch.profiler`."""

from __future__ import annotations

from facula.errors import honest
from facula.profiler import Averages as EventList
from facula.profiler import profile, record_function

__all__ = ["EventList", "profile", "record_function"]
__getattr__ = honest(__name__)
