"""Programs as files: not in Facula; what would export one refuses.

Source: https://pytorch.org/docs/stable/export.html
"""

from __future__ import annotations

from typing import Any

from facula.errors import honest, refusing

__all__ = ["Dim", "dims", "draft_export", "export", "load", "save", "unflatten"]


class Dim:
    """A dimension whose size may change: a name and bounds."""

    AUTO, DYNAMIC, STATIC = "Dim.AUTO", "Dim.DYNAMIC", "Dim.STATIC"

    def __init__(self, name: str, *, min: int | None = None, max: int | None = None) -> None:
        self.min = 0 if min is None else min
        self.max = max
        if max is not None and max <= self.min:
            raise AssertionError(f"Cannot create Dim with inconsistent min={self.min}, max={max}")
        if not name.isidentifier():
            raise AssertionError(f"Dim name must be a valid identifier, got {name}")
        self.__name__ = name

    def __repr__(self) -> str:
        end = "" if self.max is None else f", max={self.max}"
        return f"Dim('{self.__name__}', min={self.min}{end})"


def dims(*names: str, min: int | None = None, max: int | None = None) -> tuple[Dim, ...]:
    """Several dimensions with the same bounds."""
    return tuple([Dim(name, min=min, max=max) for name in names])


def _refusing(name: str) -> Any:
    why = "programs are not exported; save the state_dict"
    return refusing(f"torch.export.{name}", why, "programs are not exported.")


export = _refusing("export")
draft_export = _refusing("draft_export")
load = _refusing("load")
save = _refusing("save")
unflatten = _refusing("unflatten")
__getattr__ = honest(__name__)
