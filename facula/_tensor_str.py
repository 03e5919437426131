"""Printing by its private names in PyTorch, which libraries use; see printing.py."""

from __future__ import annotations

from typing import Any

from facula import printing
from facula.errors import honest, refuse

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


def _elements(t: Any) -> Any:
    """What is printed, as NumPy's: floats that it has not got, widened."""
    own = t.detach()
    wide = own.dtype.itemsize < 4 and own.is_floating_point()
    return (own.float() if wide else own).cpu().numpy()


class _Formatter:
    """The one width and notation that the elements of a real tensor are printed in."""

    def __init__(self, tensor: Any) -> None:
        self._format = printing._Formatter(_elements(tensor).reshape(-1))
        self.floating_dtype = tensor.dtype.is_floating_point
        self.int_mode, self.sci_mode = self._format.int_mode, self._format.sci
        self.max_width = self._format.width

    def width(self) -> int:
        """How many characters an element takes."""
        return self.max_width

    def format(self, value: Any) -> str:
        """An element (a number) as it is printed."""
        return self._format(value)


def _tensor_str(self: Any, indent: int) -> str:
    """A tensor's elements in brackets, lines after the first indented."""
    if self.numel() == 0:
        return "[]"
    return printing.data_str(_elements(self), indent)


def _str(self: Any, *, tensor_contents: str | None = None) -> str:
    """What `repr` says of a tensor, whatever a program has put in place of its `__repr__`."""
    if tensor_contents is not None:
        refuse("torch._tensor_str._str", "tensor_contents is not taken")
    return printing.text_of(self)


__getattr__ = honest(__name__)
