"""Handles of registered hooks."""

from __future__ import annotations

import itertools
from typing import Any

_ids = itertools.count()


class RemovableHandle:
    """Removes its hook when asked, or at the end of a `with` block."""

    __slots__ = ("id", "table")

    def __init__(self, table: dict[int, Any]) -> None:
        self.table: dict[int, Any] | None = table
        self.id = next(_ids)

    def remove(self) -> None:
        """Take the hook away; harmless when it is gone."""
        if self.table is not None:
            self.table.pop(self.id, None)
            self.table = None

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def add_hook(owner: Any, attribute: str, hook: Any) -> RemovableHandle:
    """Register `hook` in the owner's table of that name."""
    table = getattr(owner, attribute)
    if table is None:
        table = {}
        setattr(owner, attribute, table)
    handle = RemovableHandle(table)
    table[handle.id] = hook
    return handle
