"""`torch.Stream` and `torch.Event`: queues of work and marks in them, on any kind of device."""

from __future__ import annotations

from typing import Any

from facula import devices


class _OfAnyDevice(type):
    """A class whose instances are those of the class of its name of each kind of device."""

    def __call__(cls, device: Any = None, **kwargs: Any) -> Any:
        place = None if device is None else devices.device(device)
        if place is None or place.type == "cuda":
            from facula import cuda

            made = getattr(cuda, cls.__name__)
            return made(**kwargs) if cls is Event or place is None else made(place, **kwargs)
        from facula import cpu

        return getattr(cpu, cls.__name__)()

    def __instancecheck__(cls, instance: Any) -> bool:
        from facula import cpu
        from facula.cuda import streams

        name = cls.__name__
        return isinstance(instance, (getattr(cpu, name), getattr(streams, name)))


class Stream(metaclass=_OfAnyDevice):
    """A queue of work of a device: RuntimeError where there is none and no device is given."""


class Event(metaclass=_OfAnyDevice):
    """A mark in a queue of work."""
