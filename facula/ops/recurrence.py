"""All steps of a recurrent network's layer as one operation.

Unrolled, a layer is a program of so many operations as its input is long, and each length is
another program: to be recorded, planned and interpreted. As one operation its length is a size.

A kind of network is a `Cell`. Its operation takes `rows` (T, N, gates H), the inputs times their
weight, with their bias; `w` (gates H, H), the states' weight; `h` (N, H), the first state; a fourth
operand, which is an LSTM's first c (N, H), else the bias (gates H) of the states' product; and
`turned`, the weight transposed and dense. The result (planes, T, N, H) has for each step, sequence
and unit what the gradient needs, and the states as its last planes; only these have gradients.

The gradient (T + 1, N, wide H) has those of the rows and of the products of the states, and after
the last step those of the first states side by side; what lies beside these means nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from facula import dtypes
from facula.numpy_threads import matmul
from facula.ops.movement import PERMUTE, SLICE, shaped
from facula.ops.registry import Op
from facula.ops.table import FUNCTIONS
from facula.trace import recorder
from facula.trace.node import Other
from facula.trace.recorder import TLS, record

__all__ = ["CELLS", "MOST", "OPS", "arrays", "fits", "layer"]

NEAR = 32  # entries back, where what another gradient has recorded is found
MOST = 256  # units; the products of more are worth tiles that fit their batch
FEW, SMALL = 4, 64  # fewer sequences of more units are worth threads within a step


class Cell(NamedTuple):
    """What a kind of network does in a step.

    `step(z, row, out, h, more)` fills `out` (planes, N, H) from the product z of h and the weight,
    a step's rows, the state h and the fourth operand.
    `back(up, out, before, to)` fills `to` (N, wide, H) from the gradients `up` of the states, a
    step's result and the first of the states before it. It leaves in `up` what of them reaches
    the states before, but for the product of the gates with the weight, and gives those gates.
    `composed` is a step by operations that have derivatives of every order.
    """

    gates: int
    planes: int
    states: int  # the last planes; h is the very last
    wide: int  # of the gradient
    rows: int  # where in the gradient those of the rows begin; those of the product do at 0,
    turn: int  # but so many of its gates come first that are the last
    step: Any
    back: Any
    composed: Any


def _s(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def _lstm(z: Any, row: Any, out: Any, h: Any, c: Any) -> None:
    n = h.shape[-1]
    i, f, g, o, new, last = out
    z += row
    i[:], f[:], o[:] = _s(z[:, :n]), _s(z[:, n : 2 * n]), _s(z[:, 3 * n :])
    np.tanh(z[:, 2 * n : 3 * n], out=g)
    np.multiply(f, c, out=new)
    new += i * g
    np.multiply(o, np.tanh(new), out=last)


def _lstm_back(up: list[Any], out: Any, c: Any, to: Any) -> Any:
    i, f, g, o, new, _ = out
    by_c, by_h = up
    a = np.tanh(new)
    by_c = by_c + by_h * o * (1 - a * a)
    to[:, 0] = by_c * g * (1 - i) * i
    to[:, 1] = by_c * c * (1 - f) * f
    to[:, 2] = by_c * i * (1 - g * g)
    to[:, 3] = by_h * a * (1 - o) * o
    up[:] = by_c * f, 0
    return to


def _lstm_composed(row: Any, w: Any, h: Any, c: Any) -> tuple[Any, ...]:
    i, f, g, o = (row + h.matmul(w.t())).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return c, o.sigmoid() * c.tanh()


def _gru(z: Any, row: Any, out: Any, h: Any, bias: Any) -> None:
    n = h.shape[-1]
    r, u, new, q, last = out
    z += bias
    gates = _s(z[:, : 2 * n] + row[:, : 2 * n])
    r[:], u[:], q[:] = gates[:, :n], gates[:, n:], z[:, 2 * n :]
    np.tanh(row[:, 2 * n :] + r * q, out=new)
    np.multiply(h - new, u, out=last)
    last += new


def _gru_back(up: list[Any], out: Any, h: Any, to: Any) -> Any:
    r, u, new, q, _ = out
    (by_h,) = up
    by_n = by_h * (1 - u) * (1 - new * new)
    to[:, 0], to[:, 3] = by_n * r, by_n
    to[:, 1] = by_n * q * (1 - r) * r
    to[:, 2] = by_h * (h - new) * (1 - u) * u
    up[0] = by_h * u
    return to[:, [1, 2, 0]]


def _gru_composed(row: Any, w: Any, h: Any, bias: Any) -> tuple[Any, ...]:
    (x_r, x_u, x_n), (h_r, h_u, h_n) = row.chunk(3, -1), (h.matmul(w.t()) + bias).chunk(3, -1)
    u, new = (x_u + h_u).sigmoid(), (x_n + (x_r + h_r).sigmoid() * h_n).tanh()
    return ((h - new) * u + new,)


def _tanh(z: Any, row: Any, out: Any, h: Any, bias: Any) -> None:
    np.tanh(z + bias + row, out=out[0])


def _tanh_back(up: list[Any], out: Any, h: Any, to: Any) -> Any:
    to[:, 0] = up[0] * (1 - out[0] * out[0])
    up[0] = 0
    return to


def _relu(z: Any, row: Any, out: Any, h: Any, bias: Any) -> None:
    np.maximum(z + bias + row, 0, out=out[0])


def _relu_back(up: list[Any], out: Any, h: Any, to: Any) -> Any:
    to[:, 0] = np.where(out[0] <= 0, 0, up[0])
    up[0] = 0
    return to


def _composed(name: str) -> Any:
    def step(row: Any, w: Any, h: Any, bias: Any) -> tuple[Any, ...]:
        return (getattr(row + h.matmul(w.t()) + bias, name)(),)

    return step


CELLS = {
    "LSTM": Cell(4, 6, 2, 4, 0, 0, _lstm, _lstm_back, _lstm_composed),
    # Gradients of the candidate's product, of the gates r and z, and of the candidate: the first
    # three are those of the product, the last three those of the rows.
    "GRU": Cell(3, 5, 1, 4, 1, 1, _gru, _gru_back, _gru_composed),
    "RNN_TANH": Cell(1, 1, 1, 1, 0, 0, _tanh, _tanh_back, _composed("tanh")),
    "RNN_RELU": Cell(1, 1, 1, 1, 0, 0, _relu, _relu_back, _composed("relu")),
}
OPS: dict[str, tuple[Op, Op]] = {}  # of each kind the operation and its gradient


def _declare(mode: str, cell: Cell) -> None:
    wide, first = cell.wide, cell.planes - cell.states

    def infer(p: Any, st: Any, rows: Any, w: Any, h: Any, more: Any, turned: Any) -> Any:
        return (cell.planes, *rows.shape[:2], h.shape[-1]), rows.dtype, None, 0

    def forward(p: Any, s: Any, rows: Any, w: Any, h: Any, more: Any, turned: Any) -> Any:
        out = np.empty((cell.planes, *rows.shape[:2], h.shape[-1]), rows.dtype)
        for t, row in enumerate(rows):
            cell.step(matmul(h, turned), row, out[:, t], h, more)
            h = out[-1, t]
            if cell.states == 2:
                more = out[first, t]
        return out

    def back_infer(p: Any, st: Any, grad: Any, out: Any, w: Any, before: Any) -> Any:
        _, steps, batch, n = out.shape
        return (steps + 1, batch, wide * n), out.dtype, None, 0

    def backward(p: Any, s: Any, grad: Any, out: Any, w: Any, before: Any) -> Any:
        _, steps, batch, n = out.shape
        found = np.zeros((steps + 1, batch, wide, n), out.dtype)
        up: list[Any] = [0] * cell.states
        for t in range(steps - 1, -1, -1):
            up = [u + g for u, g in zip(up, grad[:, t], strict=True)]
            gates = cell.back(up, out[:, t], out[first, t - 1] if t else before, found[t])
            up[-1] = up[-1] + matmul(gates.reshape(batch, cell.gates * n), w)
        found[steps, :, : cell.states] = np.stack(up, 1)
        return found.reshape(steps + 1, batch, wide * n)

    back = Op(mode.lower() + "_back", back_infer, backward)

    def derived(k: int, g: Any, rows: Any, *given: Any) -> Any:
        """The gradient of the k-th operand, with a history of its own."""
        from facula.autograd import grad
        from facula.grad_mode import enable_grad

        with enable_grad():
            parts = [
                t.clone() if t.requires_grad else t.detach().requires_grad_()
                for t in (rows, *given)
            ]
            rows, w, h, more = parts
            states = []
            for row in rows:
                states.append(cell.composed(row, w, h, more))
                h = states[-1][-1]
                if cell.states == 2:
                    more = states[-1][0]
            stack = FUNCTIONS["stack"]
            whole = stack([stack(parts) for parts in zip(*states, strict=True)])
            return grad(whole, parts[k], g[first:], create_graph=True)[0]

    def found(g: Any, *given: Any) -> Any:
        """The gradient that all others are made of: recorded once."""
        r, operands = TLS.r, tuple([t.node for t in given])
        n = r.cur
        for _ in range(NEAR):
            if n is None:
                break
            if n.op is back and n.inputs[1:] == operands and n.inputs[0].inputs == (g.node,):
                t = recorder._new_tensor()
                t.node = n
                r.add(t)
                return t
            n = n.parent
        # Of what has gradients; the rest would be zeros in memory.
        return record(back, (_part(g, (first, cell.states)), *given))

    def formula(k: int, make: Any) -> Any:
        """What `make` makes of the gradient of all; needed twice differentiable, by composition."""

        def grad(g: Any, a: Any, b: Any, c: Any, d: Any, o: Any) -> Any:
            if TLS.r.grad:
                return derived(k, g, a, b, c, d)
            return make(found(g, o, b, d if cell.states == 2 else c), c, o)

        return grad

    def of_rows(r: Any, h: Any, o: Any) -> Any:
        n = h.node.shape[-1]
        return _part(r, (0, r.node.shape[0] - 1), None, (cell.rows * n, (wide - cell.rows) * n))

    def turned(t: Any, n: int) -> Any:
        """With the gates that come first where they belong, at the end."""
        if not cell.turn:
            return t
        k = cell.turn * n
        return FUNCTIONS["cat"]([_part(t, (k, t.node.shape[0] - k)), _part(t, (0, k))])

    def of_weight(r: Any, h: Any, o: Any) -> Any:
        (batch, n), later = h.node.shape, r.node.shape[0] - 2

        def product(at: int, count: int, by: Any) -> Any:
            part = _part(r, (at, count), None, (0, cell.gates * n))
            part = shaped(part, (count * batch, cell.gates * n))
            return record(PERMUTE, (part,), (1, 0)).matmul(by)

        out = product(0, 1, h)
        if later:
            states = _part(o, (cell.planes - 1, 1), (0, later))
            out = out + product(1, later, shaped(states, (later * batch, n)))
        return turned(out, n)

    def of_bias(r: Any, h: Any, o: Any) -> Any:
        n = h.node.shape[-1]
        part = _part(r, (0, r.node.shape[0] - 1), None, (0, cell.gates * n))
        return turned(part.sum((0, 1)), n)

    def of_state(k: int) -> Any:
        def make(r: Any, h: Any, o: Any) -> Any:
            n = h.node.shape[-1]
            return shaped(_part(r, (r.node.shape[0] - 1, 1), None, (k * n, n)), h.node.shape)

        return make

    makes = of_rows, of_weight, of_state(cell.states - 1), of_state(0)
    if cell.states == 1:
        makes = *makes[:3], of_bias
    grads = [formula(k, make) for k, make in enumerate(makes)]
    OPS[mode] = Op(mode.lower(), infer, forward, (*grads, None)), back


def _part(t: Any, *ranges: tuple[int, int] | None) -> Any:
    """Of each dimension so many from the first on; all of it for None and what is not named."""
    shape = t.node.shape
    whole = [
        (0, n, 1) if r is None else (*r, 1)
        for n, r in zip(shape, ranges + (None,) * (len(shape) - len(ranges)), strict=True)
    ]
    return record(SLICE, (t,), tuple(whole))


for _mode, _cell in CELLS.items():
    _declare(_mode, _cell)


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


def layer(mode: str, rows: Any, w: Any, h: Any, more: Any) -> tuple[Any, ...]:
    """The states after each step, each (T, N, H): an LSTM's c and h, or h alone.

    `more` is an LSTM's first c, else the bias of the product of the states and their weight."""
    turned = record(PERMUTE, (w.detach(),), (1, 0)).contiguous()
    out = record(OPS[mode][0], (rows, w, h, more, turned))
    cell, whole = CELLS[mode], [(0, n, 1) for n in out.node.shape[1:]]
    return tuple(
        [record(SLICE, (out,), (k, *whole)) for k in range(cell.planes - cell.states, cell.planes)]
    )
