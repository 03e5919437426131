"""What the trie keeps is hidden from Python's garbage collector, which would go through it again
and again: a program of long traces has hundreds of thousands of entries, and none is garbage as
long as the trie is there.

The main thread's trie is there until the process ends, or is dropped as a whole
(`Recorder.forget`); then the collector gets all of it back, since entries know each other in
circles. Tries of other threads are left alone: nobody says when those end. To the user's code
nothing changes but that `gc.get_objects()` does not list entries, and that `gc.collect()` has less
to do.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterable
from typing import Any

from facula.trace.node import END, Node

# Of an object's address: a pointer is handed over quicker than an object.
untrack = ctypes.pythonapi.PyObject_GC_UnTrack
untrack.argtypes = [ctypes.c_void_p]
untrack.restype = None
_track = ctypes.pythonapi.PyObject_GC_Track
_track.argtypes = [ctypes.py_object]
_track.restype = None


def hide(entry: Node) -> None:
    """Hide a new entry that lasts, and what it has of its own."""
    untrack(id(entry))
    if entry.inputs:
        untrack(id(entry.inputs))
        if entry.names is not entry.inputs:
            untrack(id(entry.names))


def give_back(roots: Iterable[Node]) -> None:
    """Let the collector see a trie that was hidden from it."""
    stack = list(roots)
    kept: Any
    while stack:
        n = stack.pop()
        if n.alts is not None:
            stack += n.alts.values()
        elif n.succ is not END:
            stack.append(n.succ)
        for kept in (n, *n.inputs, n.inputs, n.names):
            if kept and not gc.is_tracked(kept):
                _track(kept)


__all__ = ["give_back", "hide", "untrack"]
