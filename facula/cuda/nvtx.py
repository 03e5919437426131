"""Marks for NVIDIA's profiler: RuntimeError, there is none without CUDA."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NoReturn

from facula.errors import NoDeviceError, honest


def _no_nvtx(*args: Any, **kwargs: Any) -> NoReturn:
    raise NoDeviceError("torch.cuda.nvtx: no CUDA device is available")


mark = range_push = range_pop = range_start = range_end = _no_nvtx


@contextlib.contextmanager
def range(msg: str, *args: Any, **kwargs: Any) -> Iterator[None]:
    """A context or decorator, so that functions can be marked where they are not called."""
    range_push(msg.format(*args, **kwargs))
    yield


__getattr__ = honest(__name__)
