"""CUDA: the names of `torch.cuda`. What computes there is in the other files of this folder.

Without a GPU questions are answered as PyTorch answers them: there is none, nothing is allocated,
seeding does nothing. What needs a device raises RuntimeError. Nothing of CUDA is loaded before it
is asked for.

Source: https://pytorch.org/docs/stable/cuda.html
"""

from __future__ import annotations

import importlib
import os
from collections import OrderedDict
from typing import Any, NoReturn

from facula.errors import NoDeviceError, honest

_SUBMODULES = ("amp", "memory", "nvtx", "random")
default_generators: tuple[Any, ...] = ()
has_half = True
has_magma = False


def _no_device(what: str) -> NoReturn:
    raise NoDeviceError(f"torch.cuda.{what}: no CUDA device is available")


def _device(what: str, index: Any = None) -> Any:
    """The driver of the device that a question is about; RuntimeError where there is none."""
    from facula import devices
    from facula.cuda import driver

    if not is_available():
        _no_device(what)
    if index is not None:
        devices.check(devices.device(index) if isinstance(index, int) else index)
    return driver.get()


def is_available() -> bool:
    """Whether there is a CUDA device, and the libraries that compile for it and multiply on it."""
    from facula.cuda import driver, libraries

    if driver.started():
        return True
    return driver.device_count() > 0 and all(map(libraries.has_library, ("nvrtc", "cublas")))


def device_count() -> int:
    """The number of CUDA devices. Facula computes on the first."""
    if not is_available():
        return 0
    from facula.cuda import driver

    return driver.device_count()


def is_initialized() -> bool:
    """Whether CUDA has been initialised."""
    from facula.cuda import driver

    return driver.started()


def init() -> None:
    """Initialise CUDA, which happens by itself when a device is first used."""
    _device("init()")


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the device computes in bfloat16."""
    return is_available() and (including_emulation or get_device_capability()[0] >= 8)


def is_tf32_supported() -> bool:
    """Whether the device computes in TF32, if it is allowed to."""
    return is_available() and get_device_capability()[0] >= 8


def is_current_stream_capturing() -> bool:
    """False: graphs are captured by the programs themselves, between operations."""
    return False


def get_arch_list() -> list[str]:
    """The architectures that kernels were built for: none, they are compiled for what is there."""
    return []


def get_gencode_flags() -> str:
    """The flags that kernels were built with: none."""
    return ""


# The device.
def current_device() -> int:
    """The index of the device in use."""
    return int(_device("current_device()").index)


def get_device_name(device: Any = None) -> str:
    """What the device is called."""
    return str(_device("get_device_name()", device).name())


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The device's compute capability."""
    d = _device("get_device_capability()", device)
    return d.attribute("major"), d.attribute("minor")


def get_device_properties(device: Any = None) -> Any:
    """Name, memory and numbers of the device, as attributes."""
    from facula.cuda.properties import Properties

    return Properties(_device("get_device_properties()", device))


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total bytes of the device's memory."""
    free, total = _device("mem_get_info()", device).memory_info()
    return free, total


def synchronize(device: Any = None) -> None:
    """Compute what is pending and wait until the device has done it."""
    d = _device("synchronize()", device)
    from facula.cuda import status
    from facula.trace.recorder import flush

    flush()
    d.synchronize()
    status.check()


# Seeds.
def manual_seed(seed: int) -> None:
    """Seed the device's generator; without a device this does nothing, as in PyTorch."""
    if is_available():
        from facula.cuda.generator import DEFAULT

        DEFAULT.manual_seed(int(seed))


manual_seed_all = manual_seed


def seed() -> None:
    """Seed the device's generator from the operating system."""
    manual_seed(int.from_bytes(os.urandom(8), "little") % 2**53)


seed_all = seed


def initial_seed() -> int:
    """The seed of the device's generator."""
    _device("initial_seed()")
    from facula.cuda.generator import DEFAULT

    return DEFAULT.initial_seed()


def get_rng_state(device: Any = "cuda") -> Any:
    """The state of the device's generator: 16 bytes, which are not PyTorch's."""
    _device("get_rng_state()", device)
    from facula.cuda.generator import DEFAULT

    return DEFAULT.get_state()


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Let the device's generator go on from a state."""
    _device("set_rng_state()", device)
    from facula.cuda.generator import DEFAULT

    DEFAULT.set_state(new_state)


def get_rng_state_all() -> list[Any]:
    """The states of all devices' generators."""
    return [get_rng_state()] if is_available() else []


def set_rng_state_all(new_states: Any) -> None:
    """Set the generators of all devices."""
    if len(new_states) > 0:
        set_rng_state(new_states[0])


# Memory.
def _pool() -> Any:
    """The pool of the device's memory; None while CUDA has not been used."""
    if not is_initialized():
        return None
    from facula.cuda.arrays import POOL

    return POOL


def empty_cache() -> None:
    """Give memory that no tensor lies in back to the driver."""
    pool = _pool()
    if pool is not None:
        pool.trim()


def memory_allocated(device: Any = None) -> int:
    """Bytes of device memory that tensors and programs occupy."""
    pool = _pool()
    return 0 if pool is None else pool.used


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that tensors and programs have occupied."""
    pool = _pool()
    return 0 if pool is None else pool.most_used


def memory_reserved(device: Any = None) -> int:
    """Bytes that the pool holds."""
    pool = _pool()
    return 0 if pool is None else pool.held


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes that the pool has held."""
    pool = _pool()
    return 0 if pool is None else pool.most_held


memory_cached, max_memory_cached = memory_reserved, max_memory_reserved


def memory_stats(device: Any = None) -> OrderedDict[str, Any]:
    """The pool's counters; empty while there is no pool."""
    pool = _pool()
    if pool is None:
        return OrderedDict()
    return OrderedDict(
        {
            "allocated_bytes.all.current": pool.used,
            "allocated_bytes.all.peak": pool.most_used,
            "reserved_bytes.all.current": pool.held,
            "reserved_bytes.all.peak": pool.most_held,
        }
    )


def reset_peak_memory_stats(device: Any = None) -> None:
    """Let the peaks begin at what is used now."""
    pool = _pool()
    if pool is not None:
        pool.most_used, pool.most_held = pool.used, pool.held


reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats
reset_accumulated_memory_stats = reset_peak_memory_stats


class device:
    """Switch to a device inside a `with` block; a negative index or None is no switch."""

    def __init__(self, device: Any) -> None:
        self.idx = _index(device)

    def __enter__(self) -> None:
        if self.idx >= 0:
            _device(f"device({self.idx})", self.idx)

    def __exit__(self, *exc: object) -> None:
        return None


class device_of(device):
    """Switch to the device of a tensor: no switch for one on the CPU."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.get_device() if obj.is_cuda else -1)


def set_device(device: Any) -> None:
    """Make a device the current one; a negative index is no device and does nothing."""
    if _index(device) >= 0:
        _device(f"set_device({device!r})", _index(device))


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


def _streams() -> Any:
    from facula.cuda import streams

    return streams


def current_stream(device: Any = None) -> Any:
    """The stream that work is queued in: there is one."""
    _device("current_stream()", device)
    return _streams().Stream()


default_stream = current_stream


def set_stream(stream: Any) -> None:
    """Nothing: all work is queued in one stream, in the order in which it was recorded."""
    _device("set_stream()")


def stream(stream: Any) -> Any:
    """The context of a stream: its work is queued in the one stream; None is no stream."""
    import contextlib

    if stream is not None:
        _device("stream()")
    return contextlib.nullcontext()


StreamContext = stream


class _Made:
    """A class of `streams.py`, whose instances need a device."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        _device(f"{cls.__name__}()")
        return getattr(_streams(), cls.__name__)(*args, **kwargs)


class Stream(_Made):
    """A queue of work on a device: RuntimeError without one."""


class Event(_Made):
    """A mark in a stream: RuntimeError without a device."""


class ExternalStream:
    """A stream that another library made: not in Facula, which queues its work in one stream."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        _device("ExternalStream()")
        raise NotImplementedError("torch.cuda.ExternalStream is not in Facula")


class CUDAGraph(ExternalStream):
    """A captured graph of work: not in Facula, which captures what repeats by itself."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        _device("CUDAGraph()")
        raise NotImplementedError(
            "torch.cuda.CUDAGraph is not in Facula: steps that repeat are captured by themselves"
        )


def _needs_device(name: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> NoReturn:
        _device(f"{name}()")
        raise NotImplementedError(f"torch.cuda.{name} is not in Facula")

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "Not in Facula; without a CUDA device, RuntimeError."
    return call


_NEED_A_DEVICE = """
    can_device_access_peer clock_rate get_sync_debug_mode graph graph_pool_handle ipc_collect
    list_gpu_processes make_graphed_callables memory_snapshot memory_summary memory_usage
    power_draw set_per_process_memory_fraction set_sync_debug_mode temperature utilization
"""
for _name in _NEED_A_DEVICE.split():
    globals()[_name] = _needs_device(_name)

_missing = honest(__name__)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "_initialized":  # which programs read where `is_initialized` would do
        return is_initialized()
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
