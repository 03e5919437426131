"""What tells a launcher of processes of their errors. Facula has none: errors go their usual way.

Source: https://docs.pytorch.org/docs/stable/elastic/errors.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from facula.errors import honest

__all__ = ["record"]


def record(fn: Callable[..., Any], error_handler: Any = None) -> Callable[..., Any]:
    """`fn`, whose errors the launcher is told of if there is one: `fn` as it is."""

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return wrapper


__getattr__ = honest(__name__)
