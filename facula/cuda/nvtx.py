"""Marks for NVIDIA's profiler: RuntimeError, there is none without CUDA."""

from __future__ import annotations

from typing import Any, NoReturn

from facula.errors import NoDeviceError, honest


def _no_nvtx(*args: Any, **kwargs: Any) -> NoReturn:
    raise NoDeviceError("torch.cuda.nvtx: no CUDA device is available")


mark = range_push = range_pop = range_start = range_end = range = _no_nvtx
__getattr__ = honest(__name__)
