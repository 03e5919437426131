"""Handles of registered hooks.

Source: https://pytorch.org/docs/stable/generated/torch.utils.hooks.RemovableHandle.html
"""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from typing import Any

from facula.errors import honest


class RemovableHandle:
    """Removes a hook from its table, when asked or at the end of a `with` block.

    The table is held weakly: a handle keeps neither the owner of the hook nor the hook alive.
    `extra_dict` names further tables with an entry of the same id.
    """

    _ids = itertools.count()

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        extra = () if extra_dict is None else extra_dict
        tables = (hooks_dict, *(extra if isinstance(extra, (list, tuple)) else (extra,)))
        self._tables = [weakref.ref(table) for table in tables]
        self.id = next(RemovableHandle._ids)

    @property
    def hooks_dict_ref(self) -> Any:
        """The weak reference to the table of hooks."""
        return self._tables[0]

    def remove(self) -> None:
        """Take the hook away; harmless when it is gone already."""
        for ref in self._tables:
            table = ref()
            if table is not None:
                table.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()

    def __getstate__(self) -> tuple[list[Any], int]:
        return [ref() for ref in self._tables], self.id

    def __setstate__(self, state: tuple[list[Any], int]) -> None:
        tables, self.id = state
        self._tables = [weakref.ref(OrderedDict() if t is None else t) for t in tables]


def add_hook(
    table: OrderedDict[int, Any], hook: Any, prepend: bool = False, extra: tuple[Any, ...] = ()
) -> RemovableHandle:
    """Enter `hook` in `table`, at its beginning if asked; returns the handle, which removes what
    further tables have under its id, too."""
    handle = RemovableHandle(table, extra_dict=extra)
    table[handle.id] = hook
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle


__getattr__ = honest(__name__)
