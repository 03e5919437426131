"""What no operation can compute, told when an entry is made and not when its value is needed.

An entry is made once for all repetitions, so that this costs a loop nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from facula.dtypes import dtype
from facula.trace.node import Node

MOST_DIMENSIONS = 64  # of NumPy's arrays
_NO_NUMBERS = (str, bytes, type(None), list, tuple, dict, set, dtype, type)


def check_entry(e: Node, scalars: tuple[Any, ...], inputs: Any) -> None:
    """TypeError, RuntimeError or NotImplementedError for what would fail later."""
    for s in scalars:
        if isinstance(s, _NO_NUMBERS):
            raise TypeError(f"{e.op.name}: expected a number, got {type(s).__name__} {s!r}")
        if isinstance(s, complex) and e.op.name in ("full", "fill") and not e.dtype.is_complex:
            raise RuntimeError(f"value {s} cannot be converted to type {e.dtype} without overflow")
    if e.dtype.__class__ is not dtype and e.dtype is not None and not isinstance(e.dtype, dtype):
        raise TypeError(f"{e.op.name}: dtype must be torch.dtype, not {type(e.dtype).__name__}")
    if e.shape is not None and len(e.shape) > MOST_DIMENSIONS:
        raise RuntimeError(
            f"{e.op.name}: only tensors with up to {MOST_DIMENSIONS} dims are supported, got "
            f"{len(e.shape)}"
        )
    # They are of one dtype, but for a condition that comes first.
    if e.op.pointwise and inputs and inputs[-1].dtype.is_complex:
        _compute_one(e, scalars, inputs)


def _compute_one(e: Node, scalars: tuple[Any, ...], inputs: Any) -> None:
    """NotImplementedError where NumPy has no such function of complex numbers."""
    one = [np.ones((1,) * len(n.shape), n.dtype.np) for n in inputs]
    try:
        with np.errstate(all="ignore"):
            e.op.body(e.params, scalars, *one)
    except TypeError:
        kinds = [str(n.dtype) for n in inputs]
        raise NotImplementedError(
            f'"{e.op.name}_cpu" not implemented for {", ".join(kinds)}'
        ) from None
