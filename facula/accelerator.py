"""The machine's accelerator, whatever its kind: there is none in this release.

Source: https://pytorch.org/docs/stable/accelerator.html
"""

from __future__ import annotations

from typing import Any, NoReturn

from facula.errors import NoDeviceError, honest


def is_available() -> bool:
    """Whether there is an accelerator: no."""
    return False


def device_count() -> int:
    """The number of accelerators: none."""
    return 0


def current_accelerator(check_available: bool = False) -> None:
    """The device of the accelerator: None, there is none."""


def _needs_device(name: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> NoReturn:
        raise NoDeviceError(f"torch.accelerator.{name}(): no accelerator is available")

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "RuntimeError: there is no accelerator."
    return call


class device_index:
    """Make an accelerator the current one inside a `with` block; None changes nothing."""

    def __init__(self, device: int | None) -> None:
        self.idx = device

    def __enter__(self) -> None:
        if self.idx is not None:
            raise NoDeviceError("torch.accelerator.device_index(): no accelerator is available")

    def __exit__(self, *exc: object) -> None:
        return None


_NAMES = """
    current_device_idx current_device_index current_stream empty_cache
    empty_host_cache get_device_capability get_memory_info max_memory_allocated
    max_memory_reserved memory_allocated memory_reserved memory_stats
    reset_accumulated_memory_stats reset_peak_memory_stats set_device_idx set_device_index
    set_stream synchronize
"""
for _name in _NAMES.split():
    globals()[_name] = _needs_device(_name)
__getattr__ = honest(__name__)
