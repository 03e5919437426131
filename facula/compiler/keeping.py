"""Which compiled programs are kept: those that ran last, within bounds.

A program that goes is compiled again when it is met again. Whoever runs one has it, and it has its
kernels, so that native code is given back only when no thread can be in it.
"""

from __future__ import annotations

import weakref
from typing import Any

from facula.trace.flight import COMPILING

MAX_PROGRAMS = 2_000
MAX_CODE = 128 << 20  # bytes
clock = 0  # how many programs were compiled so far
_kept: weakref.WeakSet[Any] = weakref.WeakSet()


def keep(c: Any) -> None:
    """Add a compiled program to the forms of its program; let go of others where it is too much."""
    global clock
    with COMPILING:
        clock += 1
        c.used = clock
        c.program.compiled = [*c.program.compiled, c]
        _kept.add(c)
        while len(_kept) > 1 and _crowded():
            for old in sorted(_kept, key=_used)[: (len(_kept) + 7) // 8]:
                old.program.compiled = [x for x in old.program.compiled if x is not old]
                _kept.discard(old)
            del old  # the last one's code counts otherwise


def _crowded() -> bool:
    """Whether there is more than there may be."""
    from facula.cpu.jit import held

    return len(_kept) > MAX_PROGRAMS or held() > MAX_CODE


def _used(c: Any) -> int:
    used: int = c.used
    return used
