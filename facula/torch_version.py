"""The type of `__version__`: a string that compares as a version."""

from __future__ import annotations

import re
from typing import Any

from facula.errors import honest

__all__ = ["TorchVersion"]

_PARTS = re.compile(r"\s*v?(\d+(?:\.\d+)*)(?:[.\-_]?(a|b|rc|dev|post)[.\-_]?(\d*))?")
_RANK = {"dev": -4, "a": -3, "b": -2, "rc": -1, None: 0, "post": 1}


class TorchVersion(str):
    """A version: `__version__ >= "1.7"`, `__version__ < (2, 0)`, and every string operation.

    The local part, after `+`, does not take part in comparisons, so `"2.13.0+x" == "2.13.0"`.
    A value that is no version is compared as text.
    """

    def _order(self, other: Any) -> tuple[Any, Any] | None:
        theirs = _key(other)
        ours = _key(self)
        return None if theirs is None or ours is None else (ours, theirs)

    def __eq__(self, other: object) -> bool:
        keys = self._order(other)
        return str.__eq__(self, other) is True if keys is None else keys[0] == keys[1]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: Any) -> bool:
        keys = self._order(other)
        return str.__lt__(self, other) if keys is None else keys[0] < keys[1]

    def __le__(self, other: Any) -> bool:
        return self < other or self == other

    def __gt__(self, other: Any) -> bool:
        return not self <= other

    def __ge__(self, other: Any) -> bool:
        return not self < other

    __hash__ = str.__hash__


def _key(version: Any) -> tuple[Any, ...] | None:
    """What a version compares by; None where it is no version."""
    if isinstance(version, (tuple, list)):
        version = ".".join([str(part) for part in version])
    match = _PARTS.match(str(version))
    if match is None:
        return None
    release = [int(n) for n in match[1].split(".")]
    while release and release[-1] == 0:
        release.pop()
    return tuple(release), _RANK[match[2]], int(match[3] or 0)


__getattr__ = honest(__name__)
