"""Warnings that name the user's line, however deep in this package they arise."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

_HERE = os.path.dirname(__file__) + os.sep
_told: set[str] = set()
always = False  # set by `set_warn_always`


def warn(text: str, kind: type[Warning] = UserWarning) -> None:
    """A warning at the innermost line outside this package."""
    level = 1
    at: Any = sys._getframe()
    while at is not None and at.f_code.co_filename.startswith(_HERE):
        level, at = level + 1, at.f_back
    warnings.warn(text, kind, stacklevel=level)


def warn_once(text: str, kind: type[Warning] = UserWarning) -> None:
    """`warn`, the first time that the text is given, or each time after `set_warn_always`."""
    if text not in _told or always:
        _told.add(text)
        warn(text, kind)
