"""Primitives without operands."""

from __future__ import annotations

import numpy as np

from facula.ops.registry import Op

# params: shape and dtype; the value is a number, an input of the program.
FULL: Op = Op(
    "full",
    lambda p, st: (p[0], p[1], None, 0),
    lambda p, s: np.full(p[0], np.asarray(s[0]).astype(p[1].np), p[1].np),
)
