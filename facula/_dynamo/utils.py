"""What PyTorch's tracer of Python code can do here: nothing, it never runs."""

from __future__ import annotations

from facula.errors import honest


def is_compile_supported(device_type: str) -> bool:
    """Whether `torch.compile` makes faster code of a function: it leaves functions as they are."""
    return False


__getattr__ = honest(__name__)
