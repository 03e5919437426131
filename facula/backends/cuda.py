"""CUDA's libraries: whether products may be computed in TF32; other switches are remembered."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from facula import switches
from facula.errors import honest


class _Products:
    """How cuBLAS multiplies. TF32 is one switch with `set_float32_matmul_precision`."""

    def __init__(self) -> None:
        self.allow_fp16_reduced_precision_reduction = True
        self.allow_bf16_reduced_precision_reduction = True
        self.allow_fp16_accumulation = False

    @property
    def allow_tf32(self) -> bool:
        """Whether products of float32 may be computed in TF32."""
        return switches.get_float32_matmul_precision() != "highest"

    @allow_tf32.setter
    def allow_tf32(self, allowed: bool) -> None:
        switches.set_float32_matmul_precision("high" if allowed else "highest")

    @property
    def fp32_precision(self) -> str:
        """'tf32' where products of float32 may be computed in it, else 'none'."""
        return "tf32" if self.allow_tf32 else "none"

    @fp32_precision.setter
    def fp32_precision(self, precision: str) -> None:
        self.allow_tf32 = precision == "tf32"


matmul = _Products()
_sdp = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}


def is_built() -> bool:
    """Whether there is a CUDA device, and the libraries that are needed."""
    from facula import cuda

    return cuda.is_available()


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
