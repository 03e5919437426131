"""Special functions. Source: https://pytorch.org/docs/stable/special.html.

They work element by element on real tensors; integers become the default dtype.
"""

from __future__ import annotations

from facula.errors import honest
from facula.ops.special import SPECIAL as _SPECIAL

globals().update(_SPECIAL)
__all__ = sorted(_SPECIAL)  # noqa: PLE0605
for _name, _f in _SPECIAL.items():
    if _f.__qualname__ == "special_" + _name:  # which is here alone: where pickle finds it
        _f.__module__, _f.__qualname__ = __name__, _name


__getattr__ = honest(__name__)
