"""Hooks of tensors and of nodes: entered in tables that are made for the first one."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from facula.utils import hooks
from facula.utils.hooks import RemovableHandle


def add_hook(owner: Any, attribute: str, hook: Any) -> RemovableHandle:
    """Register `hook` in the owner's table of that name."""
    table = getattr(owner, attribute)
    if table is None:
        table = OrderedDict()
        setattr(owner, attribute, table)
    return hooks.add_hook(table, hook)
