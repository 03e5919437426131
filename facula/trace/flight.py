"""A program that the workers run while Python goes on recording.

A step that ends because the next one begins (a parameter with a pending update is used again) is
not waited for: nobody has asked for its values. It is in *flight* until something wants to read or
to write memory that it works on, until the next program is to run, or until the process forks or
ends. There is one flight at a time, whatever the thread.
"""

from __future__ import annotations

import threading
from typing import Any

CURRENT: Any = None  # the flight that is under way
LOCK = threading.RLock()  # a signal handler may come to the same place


class Flight:
    """One program under way; `cpu/runtime.py` begins them.

    owner    the recorder of the thread that began it
    arrays   the arrays that it works on
    written  those that it writes; each is the owner of its memory
    holds    whatever else has to stay
    """

    __slots__ = ("_used", "arrays", "holds", "owner", "written")

    def __init__(
        self, owner: Any, arrays: tuple[Any, ...], written: list[Any], holds: Any = None
    ) -> None:
        self.owner, self.arrays, self.written, self.holds = owner, arrays, written, holds
        self._used: set[int] | None = None

    def finish(self) -> None:
        """Do what is left of it, and return when all is done."""
        raise NotImplementedError

    def done(self) -> bool:
        """Whether all is done."""
        raise NotImplementedError

    def land(self) -> None:
        """Wait until it is done."""
        global CURRENT
        with LOCK:
            if CURRENT is self:
                self.finish()
                if CURRENT is self:  # nobody came between by way of a signal
                    CURRENT = None
                    self.arrays, self.written, self.holds = (), [], None

    def before(self, r: Any) -> None:
        """Wait where what this recorder is about to compute depends on it."""
        if r is self.owner or self.done():
            self.land()
            return
        for _, data, _ in r.inputs:
            self.settle(data)

    def settle(self, a: Any, reading: bool = False) -> None:
        """Wait if it works on this array's memory; if it writes to it, for who only reads."""
        base = a
        while getattr(base, "base", None) is not None:
            base = base.base
        if reading:
            if id(base) in map(id, self.written):
                self.land()
            return
        if self._used is None:
            used = set()
            for x in self.arrays:
                while x is not None:
                    used.add(id(x))
                    x = getattr(x, "base", None)
            self._used = used
        if id(base) in self._used:
            self.land()


def land() -> None:
    """Wait for the flight, if there is one."""
    f = CURRENT
    if f is not None:
        f.land()


__all__ = ["CURRENT", "LOCK", "Flight", "land"]
