"""Primitives without operands."""

from __future__ import annotations

from typing import Any

import numpy as np

from facula.dtypes import convert
from facula.ops.registry import Op

# params: shape, dtype and, unless it is the CPU, the device. The value is a number, an input of the
# program.
FULL: Op = Op(
    "full",
    lambda p, st: (p[0], p[1], None, 0),
    lambda p, s: np.full(p[0], convert(np.asarray(s[0]), p[1].np), p[1].np),
)


def full_on(shape: tuple[int, ...], dtype: Any, device: Any) -> tuple[Any, ...]:
    """The parameters of FULL on a device: None, the CPU and meta are the same here."""
    if device is None or device.type != "cuda":
        return shape, dtype
    return shape, dtype, device
