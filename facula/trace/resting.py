"""Python's garbage collector rests while a frame is planned or compiled.

What is made then lives long and has few cycles, but the collector looks at it again and again:
a quarter of the time of a program whose traces are long and new. No code of the user's runs within.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import Any


def resting(f: Callable[..., Any]) -> Callable[..., Any]:
    """f, during which no garbage is collected; afterwards it is as it was before."""

    @functools.wraps(f)
    def call(*args: Any) -> Any:
        on = gc.isenabled()
        try:  # a signal's handler may raise an error at any time
            if on:
                gc.disable()
            return f(*args)
        finally:
            if on:
                gc.enable()

    return call


__all__ = ["resting"]
