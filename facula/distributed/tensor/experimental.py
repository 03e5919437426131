"""Contexts in which plain tensors meet tensors of a mesh, of which there are none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from facula.errors import honest

__all__ = ["implicit_replication"]


@contextmanager
def implicit_replication() -> Iterator[None]:
    """With no effect: every tensor is plain."""
    yield


__getattr__: Any = honest(__name__)
