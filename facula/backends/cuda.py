"""CUDA's libraries: not used, and the switches that programs set are remembered."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace

from facula.errors import honest

matmul = SimpleNamespace(
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
    allow_fp16_accumulation=False,
    fp32_precision="none",
)
_sdp = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}


def is_built() -> bool:
    """Whether CUDA can be used: no."""
    return False


def flash_sdp_enabled() -> bool:
    """Whether attention may use the flash kernel."""
    return _sdp["flash"]


def enable_flash_sdp(enabled: bool) -> None:
    """Let attention use the flash kernel; remembered, and of no effect on the CPU."""
    _sdp["flash"] = enabled


def mem_efficient_sdp_enabled() -> bool:
    """Whether attention may use the memory-efficient kernel."""
    return _sdp["mem_efficient"]


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Let attention use the memory-efficient kernel; remembered, and of no effect on the CPU."""
    _sdp["mem_efficient"] = enabled


def math_sdp_enabled() -> bool:
    """Whether attention may use matrix products and a softmax."""
    return _sdp["math"]


def enable_math_sdp(enabled: bool) -> None:
    """Let attention use matrix products and a softmax; remembered: there is no other way here."""
    _sdp["math"] = enabled


def cudnn_sdp_enabled() -> bool:
    """Whether attention may use cuDNN."""
    return _sdp["cudnn"]


def enable_cudnn_sdp(enabled: bool) -> None:
    """Let attention use cuDNN; remembered, and of no effect on the CPU."""
    _sdp["cudnn"] = enabled


@contextlib.contextmanager
def sdp_kernel(
    enable_flash: bool = True,
    enable_math: bool = True,
    enable_mem_efficient: bool = True,
    enable_cudnn: bool = True,
) -> Iterator[None]:
    """Choose attention's kernels inside a `with` block."""
    before = dict(_sdp)
    _sdp.update(
        flash=enable_flash, math=enable_math, mem_efficient=enable_mem_efficient, cudnn=enable_cudnn
    )
    try:
        yield
    finally:
        _sdp.update(before)


__getattr__ = honest(__name__)
