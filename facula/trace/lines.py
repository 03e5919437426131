"""At which line the user's program is."""

from __future__ import annotations

import sys
from typing import Any

from facula.trace.node import ROOT, Node

_HERE = __file__.rsplit("trace", 1)[0]
_ours: dict[str, bool] = {}  # file name -> whether it belongs to this package


def user_line(skip: int) -> tuple[Any, int] | None:
    """Code and position of the innermost frame outside this package.

    The first `skip` frames, of which this function's is one, are known to belong to it.
    """
    f: Any = sys._getframe(skip)
    while f is not None:
        code = f.f_code
        ours = _ours.get(code.co_filename)  # a code object's own hash is slow
        if ours is None:
            ours = _ours[code.co_filename] = code.co_filename.startswith(_HERE)
        if not ours:
            return code, f.f_lasti
        f = f.f_back
    return None


def comes_back(r: Any) -> bool:
    """Whether the program is at the line where it began this frame, and has been at others."""
    last: Node = r.cur
    while last.where is None and last.op is not ROOT:
        last = last.parent
    if last.op is ROOT:
        return False
    if r.head is None:
        n = last
        while n.op is not ROOT:
            r.head = n.line or r.head
            n = n.parent
    f: Any = sys._getframe(1)
    while f is not None and _ours.get(f.f_code.co_filename, True):
        f = f.f_back
    here = None if f is None else (f.f_code.co_filename, f.f_lineno)
    return bool(here == r.head != last.line)
