"""Python's garbage collector rests while a frame is planned or compiled, and while the library
records many operations at once.

What is made then lives long and has few cycles, but the collector looks at it again and again:
a quarter of the time of a program whose traces are long and new. No code of the user's runs within.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import Any

from facula.trace.lines import user_line


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


def begin_work(r: Any) -> None:
    """Begin a stretch in which the library alone records, for one line of the user's.

    Whoever does, within a `try`, restores `r.place` and `r.rests` at its end, and enables the
    collector if `r.rests` was true.
    """
    if r.place is None:
        r.place = user_line(3)
    r.rests = gc.isenabled()
    if r.rests:
        gc.disable()


def rouse(r: Any) -> None:
    """Before code of the user's is called: garbage is collected again, and lines are looked up."""
    r.place = None
    if r.rests:
        gc.enable()
        r.rests = False


__all__ = ["begin_work", "resting", "rouse"]
