"""Choosing how attention is computed: there is one way here, so a choice has no effect.

Source: https://pytorch.org/docs/stable/nn.attention.html
"""

from __future__ import annotations

import contextlib
import enum
import importlib
from collections.abc import Iterator
from typing import Any

from facula.errors import honest

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(enum.IntEnum):
    """PyTorch's ways to compute attention."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextlib.contextmanager
def sdpa_kernel(backends: Any, set_priority: bool = False) -> Iterator[None]:
    """Compute attention in one of these ways inside a `with` block; checked, with no effect."""
    chosen = backends if isinstance(backends, (list, tuple)) else [backends]
    if not chosen or not all([isinstance(b, SDPBackend) for b in chosen]):
        raise AssertionError("sdpa_kernel(): backend must be an SDPBackend or a list of them")
    yield


_missing = honest(__name__)


def __getattr__(name: str) -> Any:
    if name in ("bias", "flex_attention"):
        return importlib.import_module(f"{__name__}.{name}")
    return _missing(name)
