"""Collectives that gradients go through: they say that no group was started, or are not there."""

from __future__ import annotations

from typing import Any

from facula import distributed
from facula.errors import honest, refuse

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


def _refused(name: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> None:
        refuse(f"torch.distributed.nn.{name}", "of one process its values are what they are")

    call.__name__ = name
    return distributed._needs_group(f"nn.{name}", call)


for _name in __all__:
    globals()[_name] = _refused(_name)
__getattr__ = honest(__name__)
