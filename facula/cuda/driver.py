"""The CUDA driver: the few of its functions that Facula uses, with their errors as exceptions.

One context (the primary one, which other libraries in the process share), one stream. `get()` gives
the driver; a test can put another object in its place (`use`).
"""

from __future__ import annotations

import ctypes
import os
import threading
from ctypes import byref, c_char_p, c_float, c_int, c_size_t, c_uint, c_void_p
from typing import Any, NoReturn

from facula.cuda import libraries
from facula.errors import NoDeviceError

_OUT_OF_MEMORY = 2
_NOT_READY = 600

# Attributes of devices, by the driver's numbers.
ATTRIBUTES = {
    "max_threads_per_block": 1,
    "shared_memory_per_block": 8,
    "warp_size": 10,
    "clock_rate": 13,
    "multi_processor_count": 16,
    "memory_clock_rate": 36,
    "l2_cache_size": 38,
    "max_threads_per_multi_processor": 39,
    "major": 75,
    "minor": 76,
    "regs_per_multiprocessor": 82,
}

_P = c_void_p
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (_P,),
    "cuDeviceGetCount": (_P,),
    "cuDeviceGet": (_P, c_int),
    "cuDeviceGetName": (_P, c_int, c_int),
    "cuDeviceGetAttribute": (_P, c_int, c_int),
    "cuDeviceTotalMem_v2": (_P, c_int),
    "cuDevicePrimaryCtxRetain": (_P, c_int),
    "cuCtxSetCurrent": (_P,),
    "cuCtxSynchronize": (),
    "cuMemGetInfo_v2": (_P, _P),
    "cuMemAlloc_v2": (_P, c_size_t),
    "cuMemFree_v2": (_P,),
    "cuMemcpyHtoDAsync_v2": (_P, _P, c_size_t, _P),
    "cuMemcpyDtoHAsync_v2": (_P, _P, c_size_t, _P),
    "cuMemcpyDtoDAsync_v2": (_P, _P, c_size_t, _P),
    "cuMemsetD8Async": (_P, ctypes.c_ubyte, c_size_t, _P),
    "cuModuleLoadData": (_P, c_char_p),
    "cuModuleGetFunction": (_P, _P, c_char_p),
    "cuLaunchKernel": (_P, *[c_uint] * 7, _P, _P, _P),
    "cuStreamCreate": (_P, c_uint),
    "cuStreamSynchronize": (_P,),
    "cuStreamQuery": (_P,),
    "cuStreamBeginCapture_v2": (_P, c_int),
    "cuStreamEndCapture": (_P, _P),
    "cuGraphInstantiateWithFlags": (_P, _P, ctypes.c_ulonglong),
    "cuGraphLaunch": (_P, _P),
    "cuGraphDestroy": (_P,),
    "cuGraphExecDestroy": (_P,),
    "cuEventCreate": (_P, c_uint),
    "cuEventRecord": (_P, _P),
    "cuEventQuery": (_P,),
    "cuEventSynchronize": (_P,),
    "cuEventElapsedTime": (_P, _P, _P),
    "cuEventDestroy_v2": (_P,),
    "cuGetErrorName": (c_int, _P),
    "cuGetErrorString": (c_int, _P),
}


class Driver:
    """The driver of the first device: memory, kernels, graphs and events in one stream."""

    def __init__(self, index: int = 0) -> None:
        self.index = index
        lib = _library()
        self.calls = {name: _function(lib, name, types) for name, types in _SIGNATURES.items()}
        self._call("cuInit", 0)
        self.device = self._int("cuDeviceGet", index)
        self.context = self._pointer("cuDevicePrimaryCtxRetain", self.device)
        self.attached = threading.local()
        self.attach()
        self.stream = self._pointer("cuStreamCreate", 1)  # without the legacy stream's waiting
        self._launch = self.calls["cuLaunchKernel"]
        self._replay = self.calls["cuGraphLaunch"]

    # Errors.
    def _call(self, name: str, *args: Any) -> None:
        code = self.calls[name](*args)
        if code:
            self.fail(name, code)

    def fail(self, name: str, code: int) -> NoReturn:
        """Raise for an error of the driver."""
        said = []
        for ask in ("cuGetErrorName", "cuGetErrorString"):
            text = c_char_p()
            self.calls[ask](code, byref(text))
            said.append((text.value or b"unknown").decode())
        if code == _OUT_OF_MEMORY:
            from facula import OutOfMemoryError

            raise OutOfMemoryError(f"CUDA out of memory ({name}: {said[1]})")
        raise RuntimeError(f"CUDA error: {said[1]} ({name}: {said[0]})")

    def _int(self, name: str, *args: Any) -> int:
        out = c_int()
        self._call(name, byref(out), *args)
        return out.value

    def _pointer(self, name: str, *args: Any) -> int:
        out = c_void_p()
        self._call(name, byref(out), *args)
        return out.value or 0

    def attach(self) -> None:
        """Let this thread work with the device."""
        if not getattr(self.attached, "done", False):
            self._call("cuCtxSetCurrent", self.context)
            self.attached.done = True

    # The device.
    def version(self) -> int:
        """The major version of CUDA that the driver is good for."""
        return self._int("cuDriverGetVersion") // 1000

    def name(self) -> str:
        """What the device is called."""
        text = ctypes.create_string_buffer(256)
        self._call("cuDeviceGetName", text, 256, self.device)
        return text.value.decode()

    def attribute(self, name: str) -> int:
        """A property of the device (see `ATTRIBUTES`)."""
        return self._int("cuDeviceGetAttribute", ATTRIBUTES[name], self.device)

    def total_memory(self) -> int:
        """The bytes of memory that the device has."""
        out = c_size_t()
        self._call("cuDeviceTotalMem_v2", byref(out), self.device)
        return out.value

    def memory_info(self) -> tuple[int, int]:
        """Free and total bytes."""
        free, total = c_size_t(), c_size_t()
        self._call("cuMemGetInfo_v2", byref(free), byref(total))
        return free.value, total.value

    # Memory.
    def allocate(self, nbytes: int) -> int:
        """The address of new memory."""
        self.attach()
        return self._pointer("cuMemAlloc_v2", nbytes)

    def release(self, address: int) -> None:
        """Give memory back to the driver."""
        self._call("cuMemFree_v2", address)

    def upload(self, address: int, host: int, nbytes: int) -> None:
        """Copy from the host. The host's memory may be used again when this returns."""
        self._call("cuMemcpyHtoDAsync_v2", address, host, nbytes, self.stream)
        if nbytes > 1 << 16:  # the driver keeps a copy of less
            self.synchronize()

    def download(self, host: int, address: int, nbytes: int) -> None:
        """Copy to the host, when all that was queued before is done."""
        self._call("cuMemcpyDtoHAsync_v2", host, address, nbytes, self.stream)
        self.synchronize()

    def copy(self, to: int, address: int, nbytes: int) -> None:
        """Copy on the device."""
        self._call("cuMemcpyDtoDAsync_v2", to, address, nbytes, self.stream)

    def clear(self, address: int, nbytes: int) -> None:
        """Fill with zero bytes."""
        self._call("cuMemsetD8Async", address, 0, nbytes, self.stream)

    # Kernels.
    def load(self, cubin: bytes, names: list[str]) -> dict[str, int]:
        """The kernels of a module."""
        self.attach()
        module = self._pointer("cuModuleLoadData", cubin)
        return {n: self._pointer("cuModuleGetFunction", module, n.encode()) for n in names}

    def launch(self, kernel: int, grid: tuple[int, int], block: tuple[int, int], args: Any) -> None:
        """Queue a kernel; `args` is an array of pointers to its arguments."""
        code = self._launch(kernel, *grid, 1, *block, 1, 0, self.stream, args, None)
        if code:
            self.fail("cuLaunchKernel", code)

    # The queue.
    def synchronize(self) -> None:
        """Wait until all that was queued is done."""
        self._call("cuStreamSynchronize", self.stream)

    def idle(self) -> bool:
        """Whether all that was queued is done."""
        code = self.calls["cuStreamQuery"](self.stream)
        if code not in (0, _NOT_READY):
            self.fail("cuStreamQuery", code)
        return bool(code == 0)

    def capture(self, work: Any) -> int:
        """What `work()` queues, as a graph that can be replayed; none of it is run now."""
        self._call("cuStreamBeginCapture_v2", self.stream, 1)  # of this thread alone
        graph = c_void_p()
        try:
            work()
        finally:
            self._call("cuStreamEndCapture", self.stream, byref(graph))
        made = self._pointer("cuGraphInstantiateWithFlags", graph, 0)
        self._call("cuGraphDestroy", graph)
        return made

    def replay(self, graph: int) -> None:
        """Queue a captured graph."""
        code = self._replay(graph, self.stream)
        if code:
            self.fail("cuGraphLaunch", code)

    def discard(self, graph: int) -> None:
        """Give a captured graph back."""
        self._call("cuGraphExecDestroy", graph)

    # Events.
    def event(self, timing: bool) -> int:
        """A new event."""
        return self._pointer("cuEventCreate", 0 if timing else 2)

    def record_event(self, event: int) -> None:
        """Mark where the queue is now."""
        self._call("cuEventRecord", event, self.stream)

    def event_done(self, event: int) -> bool:
        """Whether the queue has passed the mark."""
        code = self.calls["cuEventQuery"](event)
        if code not in (0, _NOT_READY):
            self.fail("cuEventQuery", code)
        return bool(code == 0)

    def wait_event(self, event: int) -> None:
        """Wait until the queue has passed the mark."""
        self._call("cuEventSynchronize", event)

    def elapsed(self, first: int, second: int) -> float:
        """Milliseconds between two marks."""
        out = c_float()
        self._call("cuEventElapsedTime", byref(out), first, second)
        return out.value

    def discard_event(self, event: int) -> None:
        """Give an event back."""
        self._call("cuEventDestroy_v2", event)


def _function(lib: Any, name: str, types: tuple[Any, ...]) -> Any:
    f = getattr(lib, name)
    f.argtypes, f.restype = types, c_int
    return f


_lock = threading.Lock()
_state: dict[str, Any] = {}


def _library() -> Any:
    if "library" not in _state:
        _state["library"] = libraries.open_driver()
    return _state["library"]


def device_count() -> int:
    """The number of devices; 0 without a driver. Asks the driver once."""
    if "driver" in _state:
        return max(1, _state.get("count", 1))
    if "count" not in _state:
        _state["count"] = _counted()
    return int(_state["count"])


def _counted() -> int:
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return 0
    lib = _library()
    if lib is None:
        return 0
    for name in ("cuInit", "cuDeviceGetCount"):
        _function(lib, name, _SIGNATURES[name])
    out = c_int()
    if lib.cuInit(0) or lib.cuDeviceGetCount(byref(out)):
        return 0
    return out.value


def get() -> Any:
    """The driver, started when it is first needed. NoDeviceError where there is no device."""
    found = _state.get("driver")
    if found is None:
        with _lock:
            if "driver" not in _state:
                if device_count() == 0:
                    raise NoDeviceError("no CUDA device is available")
                _state["driver"] = Driver()
            found = _state["driver"]
    found.attach()
    return found


def started() -> bool:
    """Whether the driver has been started."""
    return "driver" in _state


def use(driver: Any) -> Any:
    """Put another driver in place (None: start as if none had been asked for); the one before."""
    before = _state.pop("driver", None)
    if driver is not None:
        _state["driver"] = driver
    return before


__all__ = ["ATTRIBUTES", "Driver", "device_count", "get", "started", "use"]
