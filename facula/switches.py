"""Settings of the whole process: precision, determinism, the default device.

What is set is remembered and answered. Every operation here gives the same bits in each run and,
where CUDA is not allowed less, computes in the precision of its dtype, so most settings change
nothing.
"""

from __future__ import annotations

from typing import Any

from facula import devices, dtypes, meta, warned
from facula.ops import table
from facula.trace.recorder import TLS

_settings: dict[str, Any] = {
    "matmul_precision": "highest",
    "deterministic": 0,  # 0: no, 1: warn, 2: error
    "interop_threads": 1,
    "placing": None,  # the mode in which new tensors are made on another device
}
_PRECISIONS = ("highest", "high", "medium")
_MODES = {"default": 0, "warn": 1, "error": 2}


def set_float32_matmul_precision(precision: str) -> None:
    """Allow products of float32 in TF32 on CUDA ('high', 'medium'); on the CPU they never are."""
    if precision not in _PRECISIONS:
        raise RuntimeError(
            f"set_float32_matmul_precision(): {precision!r} is not one of {_PRECISIONS}"
        )
    _settings["matmul_precision"] = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was told."""
    return _settings["matmul_precision"]


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for the same bits in each run; remembered: it is always so."""
    if not isinstance(mode, bool):
        raise TypeError(
            "use_deterministic_algorithms(): argument 'mode' must be bool, not "
            f"{type(mode).__name__}"
        )
    _settings["deterministic"] = (1 if warn_only else 2) if mode else 0


def are_deterministic_algorithms_enabled() -> bool:
    """Whether `use_deterministic_algorithms` was switched on."""
    return _settings["deterministic"] > 0


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether it was switched on with `warn_only`."""
    return _settings["deterministic"] == 1


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """The same setting by number or name: 0 'default', 1 'warn', 2 'error'."""
    mode = _MODES.get(debug_mode) if isinstance(debug_mode, str) else debug_mode
    if mode not in (0, 1, 2):
        raise RuntimeError(f"set_deterministic_debug_mode(): invalid value {debug_mode!r}")
    _settings["deterministic"] = mode


def get_deterministic_debug_mode() -> int:
    """0, 1 or 2: see `set_deterministic_debug_mode`."""
    return _settings["deterministic"]


def set_warn_always(b: bool) -> None:
    """Whether warnings that are given once are given each time."""
    warned.always = bool(b)


def is_warn_always_enabled() -> bool:
    """What `set_warn_always` was told."""
    return warned.always


def set_num_interop_threads(n: int) -> None:
    """The number of threads between operations; remembered: a program runs on one pool."""
    if not isinstance(n, int) or n <= 0:
        raise RuntimeError("set_num_interop_threads expects a positive integer")
    _settings["interop_threads"] = n


def get_num_interop_threads() -> int:
    """What `set_num_interop_threads` was told; 1 by default."""
    return _settings["interop_threads"]


def set_flush_denormal(mode: bool) -> bool:
    """Treat denormal numbers as zero: not supported, so the answer is False, as in PyTorch."""
    return False


def get_default_device() -> devices.device:
    """The device of this thread's new tensors."""
    return meta.default_device()


def set_default_device(device: Any) -> None:
    """Set the device of this thread's new tensors: 'cpu' (also None) or 'meta'."""
    where = devices.check(device)
    before = _settings["placing"]
    if before is not None:
        table.leave_mode(before)
    _settings["placing"] = None if where is devices.CPU else meta.placing(where)
    if where is not devices.CPU:
        table.enter_mode(_settings["placing"])


def get_device_module(device: Any = None) -> Any:
    """The module of a kind of device: `torch.cpu`, `torch.cuda`."""
    import importlib

    if not (device is None or isinstance(device, (str, devices.device))):
        raise RuntimeError(f"Invalid value of device '{device}', expect torch.device, str, or None")
    kind = "cpu" if device is None else devices.device(device).type
    return importlib.import_module("facula." + kind)


def set_default_tensor_type(t: Any) -> None:
    """Set the default dtype by the name of a tensor type: `'torch.DoubleTensor'`."""
    name = t if isinstance(t, str) else f"torch.{t.__name__}"
    kinds = {
        "torch.FloatTensor": dtypes.float32,
        "torch.DoubleTensor": dtypes.float64,
        "torch.HalfTensor": dtypes.float16,
        "torch.BFloat16Tensor": dtypes.bfloat16,
    }
    if name.startswith("torch.cuda."):
        raise TypeError(f"set_default_tensor_type(): {name}: no CUDA device is available")
    if name not in kinds:
        raise TypeError(
            f"set_default_tensor_type(): only floating-point types are supported as the default "
            f"type, got {name!r}"
        )
    dtypes.set_default_dtype(kinds[name])


def typename(obj: Any, /) -> str:
    """The name of a type, with its module: `'torch.FloatTensor'` for a tensor."""
    from facula.tensor import Tensor

    if isinstance(obj, Tensor):
        return str(obj.type())
    cls = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(cls, "__module__", "") or ""
    return cls.__qualname__ if module in ("", "builtins") else f"{module}.{cls.__qualname__}"


def is_anomaly_enabled() -> bool:
    """Whether a backward pass that makes NaN is an error (`autograd.set_detect_anomaly`)."""
    return TLS.r.anomaly


def is_anomaly_check_nan_enabled() -> bool:
    """Whether NaN is looked for where anomalies are: always."""
    return True


def set_anomaly_enabled(enabled: bool, check_nan: bool = True) -> None:
    """Make a backward pass that makes NaN an error."""
    TLS.r.anomaly = bool(enabled and check_nan)


def is_storage(obj: Any, /) -> bool:
    """Whether it is a storage, typed or not."""
    from facula.memory import TypedStorage, UntypedStorage

    return isinstance(obj, (TypedStorage, UntypedStorage))


def is_distributed(input: Any) -> bool:
    """False: no tensor is spread over processes."""
    return False


def is_inference(input: Any) -> bool:
    """Whether a tensor was made in inference mode."""
    return bool(input.is_inference())
