"""A program that the workers run while Python goes on recording.

A step that ends because the next one begins (a parameter with a pending update is used again) is
not waited for: nobody has asked for its values. It is in *flight* until something wants to read or
to write memory that it works on, until the next program is to run, or until the process forks or
ends. There is one flight at a time, whatever the thread.

A fork waits for two things, since a child has only the thread that forked: for the flight, and for
whoever compiles (`COMPILING`), whose locks, in LLVM too, nobody would open in the child.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from facula.trace.node import OWNED

FEW = 32  # arrays that are looked through as quickly as native code is asked a question
CURRENT: Any = None  # the flight that is under way
LOCK = threading.RLock()  # a signal handler may come to the same place
COMPILING = threading.RLock()  # whoever compiles, or asks what was compiled, has it


class Interrupted(BaseException):
    """An error from a signal's handler (`KeyboardInterrupt`, mostly) that came when a program had
    run: its values are to be handed over before the error is raised."""

    def __init__(self, values: list[Any], error: BaseException) -> None:
        self.values, self.error = values, error


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
        while type(getattr(base, "base", None)) not in OWNED:
            base = base.base
        if reading:  # one that writes many arrays is asked first whether it is done: mostly it is
            few = len(self.written) <= FEW
            if (few or not self.done()) and id(base) in map(id, self.written):
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


def _before_fork() -> None:
    COMPILING.acquire()
    LOCK.acquire()
    land()  # a child is not to see half of what a program writes


def _after_fork() -> None:
    LOCK.release()
    COMPILING.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )

__all__ = ["COMPILING", "CURRENT", "LOCK", "Flight", "Interrupted", "land"]
