"""PyTorch's first profiler, under its old name: see `torch.profiler`."""

from __future__ import annotations

from typing import Any

from facula import profiler
from facula.errors import honest, refuse
from facula.profiler import Averages as EventList
from facula.profiler import record_function

__all__ = ["EventList", "emit_itt", "emit_nvtx", "profile", "record_function"]


class profile(profiler.profile):
    """Follow what runs inside the block, where `enabled`; the other arguments are PyTorch's."""

    def __init__(self, enabled: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.enabled = enabled

    def __enter__(self) -> Any:
        return super().__enter__() if self.enabled else None

    def __exit__(self, *exc: object) -> None:
        if self.enabled:
            super().__exit__(*exc)

    @property
    def function_events(self) -> list[Any]:
        """The events."""
        return self.events()

    @property
    def self_cpu_time_total(self) -> float:
        """The time of all kernels and steps in microseconds."""
        return self.key_averages().self_cpu_time_total

    def total_average(self) -> Any:
        """One row for all kernels and steps."""
        return self.key_averages().total_average()

    def table(self, *args: Any, **kwargs: Any) -> str:
        """The events added up by kernel, as a table."""
        return self.key_averages().table(*args, **kwargs)

    def __str__(self) -> str:
        return self.table()


class emit_nvtx:
    """Marks for NVIDIA's profilers, which libraries name in annotations: can't be made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse(f"torch.autograd.profiler.{type(self).__name__}", "torch.profiler has the kernels")


class emit_itt(emit_nvtx):
    """Marks for VTune: can't be made."""


__getattr__ = honest(__name__)
