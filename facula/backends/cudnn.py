"""cuDNN: what convolves on a CUDA device where it is installed (`facula/cuda/dnn.py`).

`enabled` and `allow_tf32` decide how: without cuDNN, kernels of Facula's own convolve; without
TF32, float32 is computed in float32. The other switches are remembered and change nothing: an
algorithm always gives the same bits each time, and is never chosen by trying it out.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from facula.backends._switches import switched
from facula.errors import honest

enabled = True
benchmark = False
benchmark_limit = 10
deterministic = False
allow_tf32 = True
fp32_precision = "none"


def is_available() -> bool:
    """Whether there is a CUDA device, and the library."""
    from facula import cuda

    if not cuda.is_available():
        return False
    from facula.cuda import dnn

    return dnn.is_available()


def version() -> int | None:
    """The library's version, such as 92801; None where there is none."""
    if not is_available():
        return None
    from facula.cuda import dnn

    return dnn.version()


def is_acceptable(tensor: Any) -> bool:
    """Whether cuDNN would convolve this tensor."""
    return bool(enabled and tensor.is_cuda and tensor.is_floating_point() and is_available())


def flags(
    enabled: bool = False,
    benchmark: bool = False,
    benchmark_limit: int = 10,
    deterministic: bool = False,
    allow_tf32: bool = True,
    fp32_precision: str = "none",
) -> AbstractContextManager[None]:
    """Set the switches inside a `with` block."""
    return switched(
        __name__,
        enabled=enabled,
        benchmark=benchmark,
        benchmark_limit=benchmark_limit,
        deterministic=deterministic,
        allow_tf32=allow_tf32,
        fp32_precision=fp32_precision,
    )


def set_flags(
    _enabled: bool | None = None,
    _benchmark: bool | None = None,
    _benchmark_limit: int | None = None,
    _deterministic: bool | None = None,
    _allow_tf32: bool | None = None,
    _fp32_precision: str = "none",
) -> tuple[Any, ...]:
    """Set the switches; returns what they were."""
    before = (enabled, benchmark, benchmark_limit, deterministic, allow_tf32, fp32_precision)
    names = ("enabled", "benchmark", "benchmark_limit", "deterministic", "allow_tf32")
    values = (_enabled, _benchmark, _benchmark_limit, _deterministic, _allow_tf32)
    globals().update({n: v for n, v in zip(names, values) if v is not None})
    globals()["fp32_precision"] = _fp32_precision
    return before


__getattr__ = honest(__name__)
