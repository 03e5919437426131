"""All steps of an LSTM's layer as one operation.

Unrolled, a layer is a program of so many operations as its input is long, and each length is
another program: to be recorded, planned and interpreted. As one operation its length is a size.

The result (6, T, N, H) has for each step, sequence and unit the gates i and f, the candidate g and
the gate o, then the states c and h; only the states have gradients. `rows` (T, N, 4 H) are the
inputs times their weight, with both biases; `w` (4 H, H) is the states' weight, `turned` the same
one transposed and dense.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from facula import dtypes
from facula.numpy_threads import matmul
from facula.ops.movement import PERMUTE, SLICE, shaped
from facula.ops.registry import Op
from facula.ops.table import FUNCTIONS
from facula.trace import recorder
from facula.trace.node import Other
from facula.trace.recorder import TLS, record

__all__ = ["MOST", "arrays", "fits", "lstm"]

C, H = 4, 5  # where the states are in the result
NEAR = 16  # entries back, where what another gradient has recorded is found
MOST = 256  # units; the products of more are worth tiles that fit their batch
FEW, SMALL = 4, 64  # fewer sequences of more units are worth threads within a step


def _s(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def _infer(p: Any, st: Any, rows: Any, w: Any, h: Any, c: Any, turned: Any) -> Any:
    steps, batch, wide = rows.shape
    return (6, steps, batch, wide // 4), rows.dtype, None, 0


def _forward(p: Any, s: Any, rows: Any, w: Any, h: Any, c: Any, turned: Any) -> Any:
    steps, batch, wide = rows.shape
    n = wide // 4
    out = np.empty((6, steps, batch, n), rows.dtype)
    for t in range(steps):
        z = matmul(h, turned)
        z += rows[t]
        i, f, g, o, new, h = out[:, t]
        i[:], f[:], o[:] = _s(z[:, :n]), _s(z[:, n : 2 * n]), _s(z[:, 3 * n :])
        np.tanh(z[:, 2 * n : 3 * n], out=g)
        np.multiply(f, c, out=new)
        new += i * g
        np.multiply(o, np.tanh(new), out=h)
        c = new
    return out


def _back_infer(p: Any, st: Any, grad: Any, out: Any, w: Any, c: Any) -> Any:
    _, steps, batch, n = out.shape
    return c.shape if p == ("cell",) else (steps, batch, 4 * n), out.dtype, None, 0


def _backward(p: Any, s: Any, grad: Any, out: Any, w: Any, c: Any) -> Any:
    _, steps, batch, n = out.shape
    rows = np.empty((steps, batch, 4, n), out.dtype)
    by_h = np.zeros((batch, n), out.dtype)
    by_c = np.zeros((batch, n), out.dtype)
    for t in range(steps - 1, -1, -1):
        i, f, g, o, new, _ = out[:, t]
        r = rows[t]
        up, a = grad[H, t] + by_h, np.tanh(new)
        by_c = by_c + grad[C, t] + up * o * (1 - a * a)
        r[:, 0] = by_c * g * (1 - i) * i
        r[:, 1] = by_c * (out[C, t - 1] if t else c) * (1 - f) * f
        r[:, 2] = by_c * i * (1 - g * g)
        r[:, 3] = up * a * (1 - o) * o
        by_h = matmul(r.reshape(batch, 4 * n), w)
        by_c = by_c * f
    return by_c if p == ("cell",) else rows.reshape(steps, batch, 4 * n)


# The gradient of the rows, or (parameters "cell") of the first c, where nothing is to be derived
# from it.
LSTM_BACK: Op = Op("lstm_back", _back_infer, _backward)


def _composed(rows: Any, w: Any, h: Any, c: Any) -> Any:
    """The states (2, T, N, H) by operations that have derivatives of every order."""
    cs, hs = [], []
    for t in range(rows.shape[0]):
        i, f, g, o = (rows[t] + h.matmul(w.t())).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        cs.append(c)
        hs.append(h)
    stack = FUNCTIONS["stack"]
    return stack([stack(cs), stack(hs)])


def _derived(k: int, g: Any, *given: Any) -> Any:
    """The gradient of the k-th operand, with a history of its own."""
    from facula.autograd import grad
    from facula.grad_mode import enable_grad

    with enable_grad():
        parts = [t.clone() if t.requires_grad else t.detach().requires_grad_() for t in given]
        return grad(_composed(*parts), parts[k], g[C:], create_graph=True)[0]


def _rows(g: Any, o: Any, w: Any, c: Any) -> Any:
    """The gradient of the rows, which those of the weight and of h are made of: recorded once."""
    r, operands = TLS.r, (g.node, o.node, w.node, c.node)
    n = r.cur
    for _ in range(NEAR):
        if n is None:
            break
        if n.op is LSTM_BACK and n.inputs == operands and n.params == ():
            t = recorder._new_tensor()
            t.node = n
            r.add(t)
            return t
        n = n.parent
    return record(LSTM_BACK, (g, o, w, c))


def _rows_grad(g: Any, a: Any, b: Any, c: Any, d: Any, o: Any) -> Any:
    return _derived(0, g, a, b, c, d) if TLS.r.grad else _rows(g, o, b, d)


def _steps(t: Any, first: int, count: int, at: tuple[Any, ...] = ()) -> Any:
    """Some steps of (T, N, n) as a matrix of rows; `at`: an index of dimensions before these."""
    batch, n = t.node.shape[-2:]
    part = record(SLICE, (t,), (*at, (first, count, 1), (0, batch, 1), (0, n, 1)))
    return shaped(part, (count * batch, n))


def _weight_grad(g: Any, a: Any, b: Any, c: Any, d: Any, o: Any) -> Any:
    if TLS.r.grad:
        return _derived(1, g, a, b, c, d)
    rows, later = _rows(g, o, b, d), a.node.shape[0] - 1
    out = record(PERMUTE, (_steps(rows, 0, 1),), (1, 0)).matmul(c)
    if later:
        turned = record(PERMUTE, (_steps(rows, 1, later),), (1, 0))
        out = out + turned.matmul(_steps(o, 0, later, (H,)))
    return out


def _h_grad(g: Any, a: Any, b: Any, c: Any, d: Any, o: Any) -> Any:
    if TLS.r.grad:
        return _derived(2, g, a, b, c, d)
    return _steps(_rows(g, o, b, d), 0, 1).matmul(b)


def _c_grad(g: Any, a: Any, b: Any, c: Any, d: Any, o: Any) -> Any:
    if TLS.r.grad:
        return _derived(3, g, a, b, c, d)
    return record(LSTM_BACK, (g, o, b, d), ("cell",))


LSTM: Op = Op("lstm", _infer, _forward, (_rows_grad, _weight_grad, _h_grad, _c_grad, None))


def fits(batch: int, w: Any, *others: Any) -> bool:
    """Whether a layer's states' weight and its other operands are arrays of the host, of one type
    that this operation is for, with few units, and enough sequences for them."""
    units = w.node.shape[-1]
    return units <= MOST and (units <= SMALL or batch >= FEW) and arrays(w, *others)


def arrays(*operands: Any) -> bool:
    """Whether operands, of which any may be None, are arrays of the host with elements, of one type
    that this operation is for."""
    d = operands[0].node.dtype
    return (
        TLS.dual is None
        and (d is dtypes.float32 or d is dtypes.float64)
        and all(
            [
                t is None
                or (
                    t.node.dtype is d
                    and t.node.device is None
                    and t.node.op.__class__ is not Other
                    and 0 not in t.node.shape
                )
                for t in operands
            ]
        )
    )


def lstm(rows: Any, w: Any, h: Any, c: Any) -> tuple[Any, Any]:
    """The states c and h after each step, both (T, N, H)."""
    turned = record(PERMUTE, (w.detach(),), (1, 0)).contiguous()
    out = record(LSTM, (rows, w, h, c, turned))
    whole = [(0, n, 1) for n in out.node.shape[1:]]
    return record(SLICE, (out,), (C, *whole)), record(SLICE, (out,), (H, *whole))
