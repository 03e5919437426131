"""The classes and functions that a user has allowed in checkpoints.

Source: https://docs.pytorch.org/docs/stable/notes/serialization.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_safe: list[Any] = []


def add_safe_globals(safe_globals: Sequence[Any]) -> None:
    """Let `load` call these classes and functions when a checkpoint names them.

    An element is a class or function, or a pair of it and the full name that it has in files. Only
    allow what is harmless with any arguments at all: a file may call it with its own.
    """
    for item in safe_globals:
        _full_name(item)
    for item in safe_globals:
        if item not in _safe:
            _safe.append(item)


def get_safe_globals() -> list[Any]:
    """What has been allowed."""
    return list(_safe)


def clear_safe_globals() -> None:
    """Allow nothing any more but what is allowed always."""
    _safe.clear()


class safe_globals:
    """A context manager: inside, these are allowed as well (see `add_safe_globals`)."""

    def __init__(self, safe_globals: Sequence[Any]) -> None:
        self.added = safe_globals

    def __enter__(self) -> None:
        self.before = get_safe_globals()
        add_safe_globals(self.added)

    def __exit__(self, *exc: object) -> None:
        _safe[:] = self.before


def _full_name(item: Any) -> tuple[Any, str]:
    if isinstance(item, tuple):
        if len(item) != 2 or not isinstance(item[1], str):
            raise ValueError(
                f"add_safe_globals: expected a pair of an object and its full name, got {item!r}"
            )
        return item
    if not callable(item) or not hasattr(item, "__qualname__"):
        raise TypeError(
            f"add_safe_globals: expected classes or functions, got a {type(item).__name__}"
        )
    return item, f"{item.__module__}.{item.__qualname__}"


def table() -> dict[str, Any]:
    """What is allowed, by its name in files: for Facula's own, that is PyTorch's name."""
    names = {}
    for item in _safe:
        value, name = _full_name(item)
        names[name] = value
        if name.startswith("facula."):
            names["torch." + name.removeprefix("facula.")] = value
    return names
