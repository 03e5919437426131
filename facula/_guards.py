"""What libraries ask about PyTorch's tracing with tensors that have no data: it never runs."""

from __future__ import annotations

from typing import Any

from facula.errors import honest


def active_fake_mode() -> Any:
    """The mode in which tensors are made without data: None."""
    return None


__getattr__ = honest(__name__)
