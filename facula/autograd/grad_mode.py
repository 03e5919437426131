"""The switches of recording, where programs look for them."""

from __future__ import annotations

from facula.errors import honest
from facula.grad_mode import (
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
    set_multithreading_enabled,
)

__all__ = [
    "enable_grad",
    "inference_mode",
    "no_grad",
    "set_grad_enabled",
    "set_multithreading_enabled",
]
__getattr__ = honest(__name__)
