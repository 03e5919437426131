"""Collectives that gradients go through: as in `facula.distributed`, no group can be started."""

from __future__ import annotations

from facula import distributed
from facula.errors import honest

__all__ = [
    "all_gather",
    "all_reduce",
    "all_to_all",
    "all_to_all_single",
    "broadcast",
    "gather",
    "reduce",
    "reduce_scatter",
    "scatter",
]
for _name in __all__:
    globals()[_name] = distributed._needs_group(f"nn.{_name}")
__getattr__ = honest(__name__)
