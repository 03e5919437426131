"""Frames of other threads: ending one, so that this thread can use what is pending in it.

What a thread has recorded is its own, and no step of the hot path takes a lock. So who needs a
value that another thread has pending (a model made in one thread and trained in the next, a loss
whose backward pass is another's) has to find that thread outside the engine, keep it outside, and
end the frame in its place:

- A thread gets its recorder by `TLS.r`. It is taken from the thread's own attributes meanwhile, and
  whoever asks for it waits (`Gate`).
- Then the thread's stack is looked at. It is outside the engine where the user's code is on top
  (its own, or a hook that the engine called: hooks may end frames), or where it waits here itself.
- Otherwise it may be in the middle of a step: it gets its recorder back, and is looked at again
  later. A busy thread might never be met outside, so it is asked to wait at the end of its frame
  (`pause`).

A thread that has ended, or that a fork has left behind, is outside for ever.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

import numpy as np

from facula.trace.node import INPUT

PATIENCE = 60.0  # seconds after which a thread that does not leave the engine is an error
PAUSE = 1e-4  # seconds between two looks at it
_GATE = threading.Lock()  # held while some thread's recorder is taken away
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
# Where the library waits for others, between steps of the engine.
_OUTSIDE = tuple(
    [_HERE + p for p in (os.path.join("utils", "data"), "multiprocessing", "distributed", "run.py")]
)
_STANDARD, _NUMPY = os.path.dirname(os.__file__), os.path.dirname(np.__file__)
_flush: Any = None  # recorder.flush, which sets it


class Gate:
    """What `TLS.r` is where a thread's recorder has been taken away, or is not made yet."""

    def __get__(self, local: Any, kind: Any = None) -> Any:
        with _GATE:
            return local.__dict__["r"]


def end(r: Any, wait: bool = True) -> bool:
    """End the frame of another thread's recorder; whether that was done.

    `wait`: for the thread to leave the engine. RuntimeError where it does not for a minute.
    """
    return _stopped(r, lambda: _end(r), wait)


def take(t: Any) -> None:
    """Take a tensor, which a frame of another thread reads or has written, out of that frame, with
    all others that it only reads: who writes to one is about to write to more."""
    node = t.node
    r = node.rec

    def act() -> None:
        if t.node is not node:
            return
        if node.op is not INPUT:
            _end(r)
            return
        for x, _, _ in r.inputs:  # that frame has their arrays, which are not written over
            n = x.node
            if n.op is INPUT and n.rec is r:
                x.node = n.leaf
        if t.node is node:  # it was handed on
            t.node = node.leaf

    _stopped(r, act, True)


def _stopped(r: Any, act: Any, wait: bool) -> bool:
    """Call `act` while the thread of a recorder is kept outside the engine."""
    if r.thread is threading.current_thread():  # a recorder that it had before
        act()
        return True
    since = time.monotonic()
    local, asked = r.local, False
    try:
        while True:
            with _GATE:
                if not r.thread.is_alive():
                    act()
                    return True
                own = local["r"]
                try:
                    del local["r"]
                    if not _inside(r.thread.ident):
                        act()
                        return True
                finally:
                    local["r"] = own
                if not wait:
                    return False
                if not asked:
                    r.asked += 1
                    asked = True
            if time.monotonic() - since > PATIENCE:
                raise RuntimeError(
                    "a tensor that is pending in another thread can't be used here, since that "
                    f"thread has not left facula's code for {PATIENCE:.0f} seconds; call "
                    "facula.synchronize() in that thread first"
                )
            time.sleep(PAUSE)
    finally:
        if asked:
            with _GATE:
                r.asked -= 1


def pause(r: Any) -> None:
    """After a frame has ended: wait for those who have asked for that, where it was this thread's
    and not one that was ended for it."""
    if r.thread is not threading.current_thread():
        return
    until = time.monotonic() + 1
    while r.asked > 0 and time.monotonic() < until:
        time.sleep(PAUSE)


def _end(r: Any) -> None:
    from facula.trace.state import TLS

    mine = TLS.__dict__
    own = mine["r"]
    mine["r"] = r
    try:
        _flush(r)
    finally:
        mine["r"] = own


def _inside(ident: int) -> bool:
    """Whether a thread is within the engine, where its frame can't be ended."""
    frame = sys._current_frames().get(ident)
    inside: bool | None = None
    ends = 0
    while frame is not None:
        code = frame.f_code
        if code is _flush.__code__:
            ends += 1
        elif code is pause.__code__:
            ends -= 1  # the frame has ended
        if inside is None and not _neutral(code.co_filename):
            own = code.co_filename.startswith(_HERE) and code not in _WAITING
            inside = own and not code.co_filename.startswith(_OUTSIDE)
        frame = frame.f_back
    return bool(inside) or ends > 0


_WAITING = (_stopped.__code__, pause.__code__)


def _neutral(name: str) -> bool:
    """Whether a file's code may be called by the engine and by the user: who called it counts."""
    if name.startswith(_NUMPY) or name[:1] == "<":
        return True
    return name.startswith(_STANDARD) and "-packages" not in name


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_GATE.acquire, after_in_parent=_GATE.release, after_in_child=_GATE.release
    )

__all__ = ["Gate", "end", "take"]
