"""Saving and loading tensors, in PyTorch's file format. See README.md in this folder.

Source: https://docs.pytorch.org/docs/stable/notes/serialization.html
"""

from __future__ import annotations

from facula.errors import honest
from facula.serialization.loading import load
from facula.serialization.registry import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    safe_globals,
)
from facula.serialization.saving import save

__all__ = [
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "load",
    "safe_globals",
    "save",
]


__getattr__ = honest(__name__)
