"""Printing by its private names in PyTorch, which libraries use; see printing.py."""

from __future__ import annotations

from typing import Any

from facula import printing
from facula.errors import honest

__all__ = ["PRINT_OPTS"]


class _Options:
    """How tensors are printed, as attributes that can be read and set."""

    def __getattr__(self, name: str) -> Any:
        try:
            return printing._options[name]
        except KeyError:
            raise AttributeError(f"PRINT_OPTS has no attribute {name!r}", name=name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        getattr(self, name)
        printing._options[name] = value


PRINT_OPTS = _Options()


def _tensor_str(self: Any, indent: int) -> str:
    """A tensor's elements in brackets, lines after the first indented."""
    if self.numel() == 0:
        return "[]"
    own = self.detach()
    return printing.data_str(
        (own.float() if own.dtype.itemsize < 4 and own.is_floating_point() else own).numpy(), indent
    )


__getattr__ = honest(__name__)
