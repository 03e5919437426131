"""CUDA on a machine without a device, which is what this release has everywhere.

Questions are answered as PyTorch answers them without a GPU: there is none, nothing is allocated,
seeding does nothing. What needs a device raises RuntimeError.

Source: https://pytorch.org/docs/stable/cuda.html
"""

from __future__ import annotations

import importlib
from collections import OrderedDict
from typing import Any, NoReturn

from facula.errors import NoDeviceError, honest

_SUBMODULES = ("amp", "nvtx", "random")
default_generators: tuple[Any, ...] = ()
has_half = True
has_magma = False


def _no_device(what: str) -> NoReturn:
    raise NoDeviceError(f"torch.cuda.{what}: no CUDA device is available")


def is_available() -> bool:
    """False: this release computes on the CPU only."""
    return False


def device_count() -> int:
    """The number of CUDA devices: none."""
    return 0


def is_initialized() -> bool:
    """Whether CUDA has been initialised: never."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the device computes in bfloat16: there is no device."""
    return False


def is_tf32_supported() -> bool:
    """Whether the device computes in TF32: there is no device."""
    return False


def is_current_stream_capturing() -> bool:
    """Whether a graph is being captured: never."""
    return False


def get_arch_list() -> list[str]:
    """The architectures that kernels were built for: none."""
    return []


def get_gencode_flags() -> str:
    """The flags that kernels were built with: none."""
    return ""


# Seeds: without a device there is nothing to seed.
def manual_seed(seed: int) -> None:
    """Does nothing without a device, as in PyTorch."""


def manual_seed_all(seed: int) -> None:
    """Does nothing without a device, as in PyTorch."""


def seed() -> None:
    """Does nothing without a device, as in PyTorch."""


def seed_all() -> None:
    """Does nothing without a device, as in PyTorch."""


def get_rng_state_all() -> list[Any]:
    """The states of all devices' generators: an empty list."""
    return []


def set_rng_state_all(new_states: Any) -> None:
    """Set the generators of all devices: only an empty list fits."""
    if len(new_states) > 0:
        _no_device("set_rng_state_all()")


# Memory: none of it is used.
def empty_cache() -> None:
    """Does nothing without a device, as in PyTorch."""


def memory_allocated(device: Any = None) -> int:
    """Bytes of device memory that tensors occupy: 0."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that tensors have occupied: 0."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """Bytes that the allocator holds: 0."""
    return 0


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes that the allocator has held: 0."""
    return 0


memory_cached, max_memory_cached = memory_reserved, max_memory_reserved


def memory_stats(device: Any = None) -> OrderedDict[str, Any]:
    """The allocator's counters: empty, there is no allocator."""
    return OrderedDict()


def reset_peak_memory_stats(device: Any = None) -> None:
    """Does nothing without a device: the peaks are 0."""


reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats
reset_accumulated_memory_stats = reset_peak_memory_stats


class device:
    """Switch to a device inside a `with` block; a negative index or None is no switch."""

    def __init__(self, device: Any) -> None:
        self.idx = _index(device)

    def __enter__(self) -> None:
        if self.idx >= 0:
            _no_device(f"device({self.idx})")

    def __exit__(self, *exc: object) -> None:
        return None


class device_of(device):
    """Switch to the device of a tensor: no switch for one on the CPU."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.get_device() if obj.is_cuda else -1)


def set_device(device: Any) -> None:
    """Make a device the current one; a negative index is no device and does nothing."""
    if _index(device) >= 0:
        _no_device(f"set_device({device!r})")


def _index(device: Any) -> int:
    if device is None:
        return -1
    if isinstance(device, int):
        return device
    from facula.devices import device as make

    d = make(device)
    if d.type != "cuda":
        raise ValueError(f"Expected a cuda device, but got: {d}")
    return -1 if d.index is None else d.index


def stream(stream: Any) -> Any:
    """Queue the work of a `with` block on a stream: None is no stream, as in PyTorch."""
    import contextlib

    if stream is not None:
        _no_device("stream()")
    return contextlib.nullcontext()


class Stream:
    """A queue of work on a device: RuntimeError without one."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        _no_device(f"{cls.__name__}()")


class StreamContext(Stream):
    """The context of `stream()`: RuntimeError without a device."""


class Event(Stream):
    """A mark in a stream: RuntimeError without a device."""


class ExternalStream(Stream):
    """A stream that another library made: RuntimeError without a device."""


class CUDAGraph(Stream):
    """A captured graph of work: RuntimeError without a device."""


def _needs_device(name: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> NoReturn:
        _no_device(f"{name}()")

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "RuntimeError: there is no CUDA device."
    return call


_NEED_A_DEVICE = """
    can_device_access_peer clock_rate current_device current_stream default_stream
    get_device_capability get_device_name get_device_properties get_rng_state
    get_sync_debug_mode graph graph_pool_handle init initial_seed ipc_collect
    list_gpu_processes mem_get_info make_graphed_callables memory_snapshot memory_summary
    memory_usage power_draw set_rng_state set_per_process_memory_fraction set_stream
    set_sync_debug_mode synchronize temperature utilization
"""
for _name in _NEED_A_DEVICE.split():
    globals()[_name] = _needs_device(_name)

_missing = honest(__name__)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "OutOfMemoryError":
        from facula import OutOfMemoryError

        return OutOfMemoryError
    if name.endswith("Tensor") and name != "Tensor":
        return _tensor_type(name)
    return _missing(name)


def _tensor_type(name: str) -> Any:
    """`torch.cuda.FloatTensor` and its kin: types of no tensor, which can't be made."""
    from facula import legacy

    if name not in legacy.KINDS:
        return _missing(name)

    def refuse(cls: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f"type torch.cuda.{name} not available: there is no CUDA device")

    made = type(name, (), {"__new__": refuse, "__module__": "torch.cuda"})
    globals()[name] = made
    return made
