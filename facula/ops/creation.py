"""Primitives without operands."""

from __future__ import annotations

from typing import Any

import numpy as np

from facula.dtypes import convert
from facula.ops.registry import Op


def _full(p: Any, s: Any) -> Any:
    shape, dtype, value = p[0], p[1].np, s[0]
    if value == 0 and type(value) is not complex and str(value)[0] != "-":
        return np.zeros(shape, dtype)  # large ones cost nothing until they are touched
    return np.full(shape, convert(np.asarray(value), dtype), dtype)


# params: shape, dtype and, unless it is the CPU, the device. The value is a number, an input of the
# program.
FULL: Op = Op("full", lambda p, st: (p[0], p[1], None, 0), _full)


def full_on(shape: tuple[int, ...], dtype: Any, device: Any) -> tuple[Any, ...]:
    """The parameters of FULL on a device: None, the CPU and meta are the same here."""
    if device is None or device.type != "cuda":
        return shape, dtype
    return shape, dtype, device
