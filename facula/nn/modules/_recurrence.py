"""How recurrent networks step through time.

A state is a tuple of tensors: ``(h,)``, or ``(h, c)`` for the LSTM. The inputs of all steps are
multiplied with their weights at once; what is left for every step is the product with ``h``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import facula
from facula import Tensor
from facula.ops.composed import whole
from facula.ops.gates import gated, lstm_state, plain
from facula.ops.indexing import distinct_rows, spread_rows
from facula.ops.movement import INSTEAD, PERMUTE
from facula.ops.recurrence import arrays, fits, layer
from facula.trace import spans
from facula.trace.recorder import TLS, record

from ..functional.linear import linear


class Turned(NamedTuple):
    """A weight ``(in, out)`` that all steps share: turned once, and so is its gradient."""

    weight: Tensor


def times(h: Tensor, w_hh: Any, b_hh: Tensor | None) -> Tensor:
    """The state times its weight, with its bias."""
    if type(w_hh) is not Turned:
        return linear(h, w_hh, b_hh)
    product = h.matmul(w_hh.weight)
    return product if b_hh is None else product + b_hh


def rnn_tanh_step(projected: Tensor, state: tuple, w_hh, b_hh, w_hr=None) -> tuple:
    """``h' = tanh(x + W h)``."""
    return ((projected + times(state[0], w_hh, b_hh)).tanh(),)


def rnn_relu_step(projected: Tensor, state: tuple, w_hh, b_hh, w_hr=None) -> tuple:
    """``h' = relu(x + W h)``."""
    return ((projected + times(state[0], w_hh, b_hh)).relu(),)


def lstm_step(projected: Tensor, state: tuple, w_hh, b_hh, w_hr=None) -> tuple:
    """Gates i, f, o and candidate g: ``c' = f c + i g``, ``h' = o tanh(c')``, projected."""
    h, c = state
    gates = projected + times(h, w_hh, b_hh)
    i, f, g, o = gates.chunk(4, -1)
    if plain(gates, c):
        c = lstm_state(i, f, g, c)
        h = gated(o, c)
    else:
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
    return (h if w_hr is None else linear(h, w_hr)), c


def gru_step(projected: Tensor, state: tuple, w_hh, b_hh, w_hr=None) -> tuple:
    """Gates r, z and candidate n: ``h' = (1 - z) n + z h``."""
    (h,) = state
    x_r, x_z, x_n = projected.chunk(3, -1)
    h_r, h_z, h_n = times(h, w_hh, b_hh).chunk(3, -1)
    r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
    n = (x_n + r * h_n).tanh()
    return ((h - n) * z + n,)


STEPS = {
    "RNN_TANH": (rnn_tanh_step, 1),
    "RNN_RELU": (rnn_relu_step, 1),
    "LSTM": (lstm_step, 4),
    "GRU": (gru_step, 3),
}


def run(tensors: tuple, static: tuple) -> tuple:
    """The outputs of the last layer and the last states of all, as one step of the trace.

    `tensors`: the input, the first states ``(layers * directions, N, out)``, five weights
    for each layer and direction, None for what it lacks, and the tables of `places` if there are
    any. `static`: the kind of network, the number of directions, and the sizes of the steps if
    packed, or how many they are if there are tables.
    """
    return spans.run(_layers, tensors, static)


def places(tensors: tuple, mode: str, directions: int, sizes: list[int]) -> tuple:
    """Where the elements of packed sequences lie in padded ones ``(T, N)``, each of which ends
    with the padding: tables of one row, of all elements, of the last of each sequence, and of all
    where each sequence is turned. Nothing where a layer takes its steps one by one.

    They are operands: lengths that never come again are no part of the program.
    """
    if TLS.r.autocast is not None or not arrays(*tensors):
        return ()
    many, batch = np.array(sizes), sizes[0]
    if many.sum() != tensors[0].shape[0] or (many[1:] > many[:-1]).any():
        return ()  # which raises
    reached = np.arange(batch) < many[:, None]
    lengths = reached.sum(0)
    t, i = np.nonzero(reached)
    tables = [t * batch + i, (lengths - 1) * batch + np.arange(batch)]
    if directions == 2:
        tables.append((lengths[i] - 1 - t) * batch + i)
    return tuple([facula.from_numpy(table[None]) for table in tables])


@spans.pure
def _layers(tensors: tuple, static: tuple, numbers: Any) -> tuple:
    mode, directions, sizes = static
    # Values: views of a tensor that is there already would be operands unknown to the caller.
    x, *states = [record(INSTEAD, (t, t)) for t in tensors[: 3 if mode == "LSTM" else 2]]
    tables: tuple = ()
    all_weights = tensors[1 + len(states) :]
    if type(sizes) is int:
        tables = all_weights[-1 - directions :]
        all_weights = all_weights[: -1 - directions]
    last = []
    for first in range(0, len(all_weights) // 5, directions):
        outputs = []
        for k in range(first, first + directions):
            weights = all_weights[5 * k : 5 * k + 5]
            state = tuple([s[k] for s in states])
            reverse = k > first
            if tables:
                where = tables[2 if reverse else 0], tables[1]
                out, state = _packed_at_once(mode, x, sizes, state, weights, *where)
            elif sizes is None:
                out, state = run_padded(mode, x, state, weights, reverse)
            else:
                out, state = run_packed(STEPS[mode][0], x, list(sizes), state, weights, reverse)
            outputs.append(out)
            last.append(state)
        x = outputs[0] if directions == 1 else facula.cat(outputs, -1)
    if directions == 1:
        name = "Stack" if sizes is None else "Cat"
        if mode == "LSTM" and sizes is None and x.node.dtype is facula.float32:
            name = "MkldnnRnnLayer"  # which keeps its result; made of steps it does not
        x = whole(x, name)
    return x, *[whole(facula.stack(parts), "Stack") for parts in zip(*last, strict=True)]


def run_padded(mode: str, x: Tensor, state: tuple, weights, reverse: bool):
    """All steps of ``x`` ``(T, N, in)``: outputs ``(T, N, out)`` and the last state."""
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    steps, batch = x.shape[:2]
    rows = linear(x, w_ih, b_ih)
    if w_hr is None and TLS.r.autocast is None and fits(batch, w_hh, b_hh, rows, *state):
        rows, other = _operands(mode, rows, w_hh, b_hh, state)
        states = layer(mode, rows.flip(0) if reverse else rows, w_hh, state[0], other)[::-1]
        return (states[0].flip(0) if reverse else states[0]), tuple([s[-1] for s in states])
    step, _ = STEPS[mode]
    rows = rows.flatten(0, 1)
    if TLS.r.autocast is None:  # which casts what a linear layer is given, and nothing else here
        if b_hh is not None and mode != "GRU":  # whose reset gate is between the two
            rows, b_hh = rows + b_hh, None
        w_hh = Turned(record(PERMUTE, (w_hh,), (1, 0)))
    outputs = []
    # Rows of matrices, taken apart and put together: a step's part needs no other shape.
    projected = rows.split(batch) if batch else [rows] * steps
    for p in reversed(projected) if reverse else projected:
        state = step(p, state, w_hh, b_hh, w_hr)
        outputs.append(state[0])
    if reverse:
        outputs.reverse()
    return facula.cat(outputs).unflatten(0, (steps, batch)), state


def _operands(mode: str, rows: Tensor, w_hh: Tensor, b_hh: Tensor | None, state: tuple) -> tuple:
    """The rows, and the fourth operand of `layer`: an LSTM's c, whose biases are added up in the
    rows, else the bias of the states' product."""
    if mode == "LSTM":
        return rows if b_hh is None else rows + b_hh, state[1]
    return rows, w_hh.new_zeros(w_hh.node.shape[0]) if b_hh is None else b_hh


def _packed_at_once(
    mode: str, x: Tensor, steps: int, state: tuple, weights, all_: Tensor, ends: Tensor
):
    """The same of packed sequences, by tables of `places`: outputs and the last state."""
    w_ih, w_hh, b_ih, b_hh, _ = weights
    rows, other = _operands(mode, linear(x, w_ih, b_ih), w_hh, b_hh, state)
    batch = ends.node.shape[1]
    # After its end a sequence goes on, with nothing that is read. Where states may grow, to zeros.
    fill = -np.inf if mode == "RNN_RELU" else 0.0
    rows = spread_rows(rows, all_, steps * batch, fill).unflatten(0, (steps, batch))
    states = [t.flatten(0, 1) for t in layer(mode, rows, w_hh, state[0], other)[::-1]]
    return distinct_rows(states[0], all_), tuple([distinct_rows(s, ends) for s in states])


def run_packed(step, x: Tensor, sizes: list[int], state: tuple, weights, reverse: bool):
    """All steps of packed sequences ``x`` ``(sum of lengths, in)``.

    Sequences are in order of decreasing length: forwards they leave one by one at the end of
    the batch, backwards they join there.
    """
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    projected = linear(x, w_ih, b_ih).split(sizes)
    outputs: list[Tensor] = []
    if reverse:
        first, state = state, tuple(s[: sizes[-1]] for s in state)
        for size, p in zip(reversed(sizes), reversed(projected), strict=True):
            present = state[0].shape[0]
            if size > present:
                state = tuple(
                    facula.cat([s, f[present:size]]) for s, f in zip(state, first, strict=True)
                )
            state = step(p, state, w_hh, b_hh, w_hr)
            outputs.append(state[0])
        outputs.reverse()
        return facula.cat(outputs), state
    finished = []
    for size, p in zip(sizes, projected, strict=True):
        if size < state[0].shape[0]:
            finished.append(tuple(s[size:] for s in state))
            state = tuple(s[:size] for s in state)
        state = step(p, state, w_hh, b_hh, w_hr)
        outputs.append(state[0])
    finished.append(state)
    last = tuple(facula.cat(parts) for parts in zip(*reversed(finished), strict=True))
    return facula.cat(outputs), last
