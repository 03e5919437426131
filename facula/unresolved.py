"""Views whose elements are not what is in memory: the conjugate and the negative bit.

`x.conj()` and `x.conj().imag` are views of x. What they show is computed of what they look at:
such a view's array is a copy, which is right until the memory is written (`storage.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from facula.trace import flight
from facula.trace.settling import relayout


def bits(chain: Any) -> tuple[bool, bool]:
    """Whether a chain of views shows the conjugate, and whether the negative, of what is there."""
    conj = neg = False
    for op, _ in chain:
        name = op.name
        if name == "conj":
            conj = not conj
        elif name == "neg_view":
            neg = not neg
        elif name in ("real_view", "imag_view", "view_as_real"):
            neg ^= conj and name == "imag_view"
            conj = False
    return conj, neg


def bits_of(t: Any) -> tuple[bool, bool]:
    """The bits of a tensor."""
    s = t._storage
    return bits(t._chain) if s is not None and s.computed else (False, False)


def check(name: str, t: Any) -> None:
    """RuntimeError for a function that hands out the memory of what shows something else."""
    s = t._storage
    if s is None or not s.computed:
        return
    for bit, (what, resolve) in zip(bits_of(t), _NAMES, strict=True):
        if bit:
            raise RuntimeError(
                f"Can't call {name}() on Tensor that has {what} bit set. Use "
                f"tensor.{resolve}().{name}() instead."
            )


_NAMES = ("conjugate", "resolve_conj"), ("negative", "resolve_neg")


def look_again(t: Any) -> None:
    """Before a realised tensor of a storage is read: if what it shows is computed, of memory that
    NumPy code holds or has held since, compute it of what is there now."""
    s = t._storage
    if s.lent and any(bits(t._chain)):
        t._data = shown(s._data, t._chain, t.node.strides)


def place(data: Any, chain: Any) -> Any:
    """The part of an array, of whatever device, that a chain of views looks at."""
    for op, params in chain:
        if not op.computes:
            data = (
                op.body(params, (), data) if data.__class__ is np.ndarray else data.look(op, params)
            )
    return data


def shown(data: Any, chain: Any, strides: tuple[int, ...] | None) -> Any:
    """What a chain of views shows of an array: a look at it, or a copy with these strides."""
    data = place(data, chain)
    conj, neg = bits(chain)
    if not (conj or neg):
        return data
    flight.land()

    def compute(a: Any) -> Any:
        a = np.conj(a) if conj else a
        a = np.asarray(np.negative(a) if neg else a)
        return np.asarray(a, order="C") if strides is None else relayout(a, strides)

    return compute(data) if data.__class__ is np.ndarray else data.computed(compute)
