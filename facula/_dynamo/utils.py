"""What PyTorch's tracer of Python code can do here: nothing, it never runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from facula.errors import honest


def is_compile_supported(device_type: str) -> bool:
    """Whether `torch.compile` makes faster code of a function: it leaves functions as they are."""
    return False


@contextlib.contextmanager
def disable_cache_limit() -> Iterator[None]:
    """Accepted, with no effect: there is no such cache."""
    yield


__getattr__ = honest(__name__)
