"""Running products and convolutions in 16 bits: `autocast`.

On the CPU and on CUDA bfloat16 and float16 are possible. Where a device is not there, what is set
for it is remembered and has no effect, as in PyTorch.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from facula.amp import policy
from facula.devices import device, present
from facula.dtypes import bfloat16, float16
from facula.trace.recorder import TLS

_DEFAULT = {"cuda": float16, "cpu": bfloat16, "xpu": float16, "mps": float16}
_LOW = (bfloat16, float16)
_dtypes = dict(_DEFAULT)
_settings = {"cache": True, "nesting": 0}


def _known(device_type: Any) -> str:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    kind = device(device_type).type
    if kind not in _DEFAULT:
        raise RuntimeError(f"User specified an unsupported autocast device_type '{device_type}'")
    return kind


def is_autocast_available(device_type: str) -> bool:
    """Whether there is an autocast for devices of this kind."""
    return device(device_type).type in _DEFAULT


def _possible(dtype: Any) -> bool:
    from facula import cuda

    return dtype is not bfloat16 or cuda.is_bf16_supported()


class autocast:
    """Run products and convolutions in `dtype` inside a `with` block or a decorated function.

    Source: https://pytorch.org/docs/stable/amp.html#torch.autocast
    """

    def __init__(
        self,
        device_type: str,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        self.device = _known(device_type)
        self.fast_dtype = dtype or _dtypes[self.device]
        self._cache_enabled = _settings["cache"] if cache_enabled is None else cache_enabled
        if enabled and self.device == "cuda" and not present("cuda"):
            warnings.warn(
                "CUDA is not available or torch_xla is imported. Disabling autocast.", stacklevel=2
            )
            enabled = False
        elif enabled and self.device == "cuda" and not _possible(self.fast_dtype):
            raise RuntimeError(
                "Current CUDA Device does not support bfloat16. Please switch dtype to float16."
            )
        elif enabled and self.fast_dtype not in _LOW:
            name = self.device.upper()
            warnings.warn(
                f"In {name} autocast, but the target dtype is not supported. Disabling autocast.\n"
                f"{name} Autocast only supports dtypes of torch.bfloat16, torch.float16 currently.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        self._before: list[Any] = []

    def __enter__(self) -> autocast:
        kind = self.device
        self._before.append((is_autocast_enabled(kind), _dtypes[kind], dict(_settings)))
        try:
            set_autocast_dtype(kind, self.fast_dtype)
            set_autocast_enabled(kind, self._enabled)
            _settings["cache"] = self._cache_enabled
            autocast_increment_nesting()
        except BaseException:  # a signal's handler raised an error: the block is not entered
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        before = self._before[-1]
        try:
            self._restore(*before)
        except BaseException:  # here too: half of it is not enough
            self._restore(*before)
            raise
        finally:
            self._before.pop()

    def _restore(self, enabled: bool, dtype: Any, settings: dict[str, Any]) -> None:
        set_autocast_dtype(self.device, dtype)
        set_autocast_enabled(self.device, enabled)
        _settings.update(settings)

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        if not callable(func):
            raise TypeError(
                f"autocast()(func) requires a callable, but got {type(func).__name__}. "
                "Did you mean to use autocast as a context manager?"
            )

        @functools.wraps(func)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self:
                return func(*args, **kwargs)

        return call


def _cast(value: Any, device_type: str, dtype: Any) -> Any:
    """Floating-point tensors of a kind of device as another dtype, in any container."""
    if isinstance(value, Mapping):
        return {
            _cast(k, device_type, dtype): _cast(v, device_type, dtype) for k, v in value.items()
        }
    return policy.cast(value, dtype, device_type)


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: Any = None
) -> Any:
    """Mark the forward of an `autograd.Function`, for `custom_bwd` to run the backward alike.

    With `cast_inputs`, where autocast is on, inputs become that dtype and autocast is off inside.
    """
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def call(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        on = is_autocast_enabled(device_type)
        ctx._dtype = get_autocast_dtype(device_type)
        ctx._fwd_used_autocast = on and cast_inputs is None
        if cast_inputs is None or not on:
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(
                ctx,
                *_cast(args, device_type, cast_inputs),
                **_cast(kwargs, device_type, cast_inputs),
            )

    return call


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Any:
    """Mark the backward of an `autograd.Function`: it runs under autocast if the forward did."""
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def call(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, enabled=ctx._fwd_used_autocast, dtype=ctx._dtype):
            return bwd(ctx, *args, **kwargs)

    return call


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether this code runs under autocast for devices of this kind."""
    on = TLS.r.autocast
    return on is not None and device_type in on


def set_autocast_enabled(device_type: Any, enabled: bool | None = None) -> None:
    """Switch autocast for devices of a kind on or off; with one argument, for CUDA."""
    kind, on = ("cuda", device_type) if enabled is None else (_known(device_type), enabled)
    policy.switch(kind, _dtypes[kind] if on else None)


def is_autocast_cpu_enabled() -> bool:
    """Whether this code runs under autocast on the CPU."""
    return is_autocast_enabled("cpu")


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """Switch autocast on the CPU on or off."""
    set_autocast_enabled("cpu", enabled)


def get_autocast_dtype(device_type: str) -> Any:
    """The dtype that autocast uses on devices of this kind."""
    return _dtypes[_known(device_type)]


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Set the dtype that autocast uses on devices of this kind."""
    kind = _known(device_type)
    _dtypes[kind] = dtype
    if is_autocast_enabled(kind):
        policy.switch(kind, dtype)


def get_autocast_gpu_dtype() -> Any:
    """The dtype that autocast would use on CUDA devices."""
    return _dtypes["cuda"]


def set_autocast_gpu_dtype(dtype: Any) -> None:
    """Set the dtype that autocast would use on CUDA devices."""
    set_autocast_dtype("cuda", dtype)


def get_autocast_cpu_dtype() -> Any:
    """The dtype that autocast uses on the CPU."""
    return _dtypes["cpu"]


def set_autocast_cpu_dtype(dtype: Any) -> None:
    """Set the dtype that autocast uses on the CPU."""
    set_autocast_dtype("cpu", dtype)


def is_autocast_cache_enabled() -> bool:
    """What `set_autocast_cache_enabled` was told: a cast of a weight is one value in any case."""
    return bool(_settings["cache"])


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Keep casts of weights; remembered."""
    _settings["cache"] = bool(enabled)


def autocast_increment_nesting() -> int:
    """Enter one more level; returns the number of levels."""
    _settings["nesting"] += 1
    return _settings["nesting"]


def autocast_decrement_nesting() -> int:
    """Leave one level; returns the number of levels."""
    _settings["nesting"] -= 1
    return _settings["nesting"]


def clear_autocast_cache() -> None:
    """Nothing is kept."""
