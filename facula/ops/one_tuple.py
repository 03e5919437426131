"""Functions of operations whose methods take numbers one by one: `x.permute(1, 0)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def of_one_tuple(f: Callable[..., Any], inner: Callable[..., Any]) -> Callable[..., Any]:
    """The function of an operation whose method takes numbers one by one: it takes them as one."""
    name = inner.__name__
    single = f.__code__.co_argcount > 1  # `dim, *more`: it may be one number

    def call(*args: Any, **kwargs: Any) -> Any:
        if len(args) > 2:
            raise TypeError(f"{name}() takes 2 positional arguments but {len(args)} were given")
        if len(args) == 2 and not single and not isinstance(args[1], (tuple, list)):
            raise TypeError(
                f"{name}(): the sizes or dimensions must be tuple of ints, not "
                f"{type(args[1]).__name__}"
            )
        return inner(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__doc__, call.__wrapped__ = f.__doc__, f  # type: ignore[attr-defined]
    inner.known_as = call  # type: ignore[attr-defined]
    return call
