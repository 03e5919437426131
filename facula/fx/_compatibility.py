"""Which parts of `fx` stay as they are: a mark that libraries put on their own functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from facula.errors import honest

F = TypeVar("F", bound=Callable[..., Any])


def compatibility(is_backward_compatible: bool) -> Callable[[F], F]:
    """A decorator that changes nothing."""
    return lambda function: function


__getattr__ = honest(__name__)
