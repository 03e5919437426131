"""What an LSTM does element by element at each step, as few operations.

Forward two operations instead of nine, backward five instead of eleven: a network that is unrolled
over hundreds of steps is recorded, followed, planned and interpreted that much sooner. The compiler
takes them apart again (`compiler/apart.py`), so that what the backward pass needs is computed once.

Second derivatives are those of the operations that they stand for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from facula import dtypes
from facula.ops.pointwise import SIGMOID_BACKWARD, TANH_BACKWARD
from facula.ops.registry import Op, pointwise
from facula.trace.node import Other
from facula.trace.recorder import TLS, record

__all__ = ["gated", "lstm_state", "plain"]


def _s(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def _gate_back(p: Any, s: Any, g: Any, a: Any, b: Any) -> Any:
    o = _s(a)
    return g * np.tanh(b) * (1 - o) * o


def _value_back(p: Any, s: Any, g: Any, a: Any, b: Any) -> Any:
    o = np.tanh(b)
    return g * _s(a) * (1 - o * o)


def _forget_back(p: Any, s: Any, g: Any, a: Any, b: Any) -> Any:
    o = _s(a)
    return g * b * (1 - o) * o


# Gradients, recorded where nothing is to be derived from them.
GATE_BACK: Op = pointwise("gate_back", _gate_back)
VALUE_BACK: Op = pointwise("value_back", _value_back)
FORGET_BACK: Op = pointwise("forget_back", _forget_back)
KEEP_BACK: Op = pointwise("keep_back", lambda p, s, g, a: g * _s(a))


def _gate_grad(g: Any, a: Any, b: Any) -> Any:
    if TLS.r.grad:
        return record(SIGMOID_BACKWARD, (g * b.tanh(), a.sigmoid()))
    return record(GATE_BACK, (g, a, b))


def _value_grad(g: Any, a: Any, b: Any) -> Any:
    if TLS.r.grad:
        return record(TANH_BACKWARD, (g * a.sigmoid(), b.tanh()))
    return record(VALUE_BACK, (g, a, b))


def _forget_grad(g: Any, b: Any, d: Any) -> Any:
    if TLS.r.grad:
        return record(SIGMOID_BACKWARD, (g * d, b.sigmoid()))
    return record(FORGET_BACK, (g, b, d))


def _keep_grad(g: Any, b: Any) -> Any:
    return g * b.sigmoid() if TLS.r.grad else record(KEEP_BACK, (g, b))


GATED: Op = pointwise("gated", lambda p, s, a, b: _s(a) * np.tanh(b), _gate_grad, _value_grad)
LSTM_STATE: Op = pointwise(
    "lstm_state",
    lambda p, s, a, b, c, d: _s(b) * d + _s(a) * np.tanh(c),
    lambda g, a, c: _gate_grad(g, a, c),
    _forget_grad,
    lambda g, a, c: _value_grad(g, a, c),
    _keep_grad,
)


def plain(gates: Any, state: Any) -> bool:
    """Whether an LSTM's gates and state are arrays of the host, of one type that these operations
    are for."""
    a, b = gates.node, state.node
    if a.dtype is not b.dtype or (a.dtype is not dtypes.float32 and a.dtype is not dtypes.float64):
        return False
    if a.device is not None:  # which has no kernels for them
        return False
    return a.op.__class__ is not Other and b.op.__class__ is not Other


def lstm_state(i: Any, f: Any, g: Any, c: Any) -> Any:
    """``sigmoid(f) * c + sigmoid(i) * tanh(g)``, all of one shape."""
    return record(LSTM_STATE, (i, f, g, c))


def gated(a: Any, b: Any) -> Any:
    """``sigmoid(a) * tanh(b)``, of one shape."""
    return record(GATED, (a, b))
