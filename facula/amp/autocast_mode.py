"""Running products and convolutions in 16 bits: accepted where it is off, else refused.

On a device that is not there PyTorch switches it off with a warning, and so does Facula. On the CPU
it would change results, and Facula does not do it yet: `autocast('cpu')` raises when it is entered.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from facula import bfloat16, float16, float32, float64  # type: ignore[attr-defined]
from facula.errors import refuse

_DEFAULT = {"cuda": float16, "cpu": bfloat16, "xpu": float16, "mps": float16}
_dtypes = dict(_DEFAULT)


def is_autocast_available(device_type: str) -> bool:
    """Whether products can be run in 16 bits on devices of this kind: not yet."""
    return False


class autocast:
    """Run products and convolutions in `dtype` inside a `with` block or a decorated function."""

    def __init__(
        self,
        device_type: str,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        if device_type not in _DEFAULT:
            raise RuntimeError(f"autocast: unsupported device type '{device_type}'")
        self.device, self.fast_dtype = device_type, dtype or _dtypes[device_type]
        if enabled and device_type != "cpu":
            warnings.warn(
                f"User provided device_type of '{device_type}', but {device_type.upper()} is not "
                "available. Disabling",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled and self.fast_dtype not in (float32, float64)

    def __enter__(self) -> autocast:
        if self._enabled:
            refuse(f"autocast('cpu', dtype={self.fast_dtype})", "mixed precision is not in Facula")
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self:
                return func(*args, **kwargs)

        return call


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str = "cuda", cast_inputs: Any = None
) -> Any:
    """Mark the forward of an `autograd.Function`: nothing to do where autocast is off."""
    return fwd if fwd is not None else lambda f: f


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str = "cuda") -> Any:
    """Mark the backward of an `autograd.Function`: nothing to do where autocast is off."""
    return bwd if bwd is not None else lambda f: f


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether this code runs under autocast: it can't be switched on."""
    return False


def is_autocast_cpu_enabled() -> bool:
    """Whether this code runs under autocast on the CPU: it can't be switched on."""
    return False


def get_autocast_dtype(device_type: str) -> Any:
    """The dtype that autocast would use on devices of this kind."""
    return _dtypes[device_type]


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Set the dtype that autocast would use on devices of this kind."""
    _dtypes[device_type] = dtype


def get_autocast_gpu_dtype() -> Any:
    """The dtype that autocast would use on CUDA devices."""
    return _dtypes["cuda"]


def get_autocast_cpu_dtype() -> Any:
    """The dtype that autocast would use on the CPU."""
    return _dtypes["cpu"]


def is_autocast_cache_enabled() -> bool:
    """Whether casts of weights would be kept: yes."""
    return True


def clear_autocast_cache() -> None:
    """Nothing is kept."""
