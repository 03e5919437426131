"""How recurrent networks step through time.

A state is a tuple of tensors: ``(h,)``, or ``(h, c)`` for the LSTM. The inputs of all steps are
multiplied with their weights at once; what is left for every step is the product with ``h``.
"""

from __future__ import annotations

from typing import Any

import facula
from facula import Tensor
from facula.ops.composed import whole
from facula.ops.movement import INSTEAD
from facula.trace import spans
from facula.trace.recorder import record

from ..functional.linear import linear


def rnn_tanh_step(projected: Tensor, state: tuple, w_hh, b_hh, w_hr=None) -> tuple:
    """``h' = tanh(x + W h)``."""
    return ((projected + linear(state[0], w_hh, b_hh)).tanh(),)


def rnn_relu_step(projected: Tensor, state: tuple, w_hh, b_hh, w_hr=None) -> tuple:
    """``h' = relu(x + W h)``."""
    return ((projected + linear(state[0], w_hh, b_hh)).relu(),)


def lstm_step(projected: Tensor, state: tuple, w_hh, b_hh, w_hr=None) -> tuple:
    """Gates i, f, o and candidate g: ``c' = f c + i g``, ``h' = o tanh(c')``, projected."""
    h, c = state
    i, f, g, o = (projected + linear(h, w_hh, b_hh)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return (h if w_hr is None else linear(h, w_hr)), c


def gru_step(projected: Tensor, state: tuple, w_hh, b_hh, w_hr=None) -> tuple:
    """Gates r, z and candidate n: ``h' = (1 - z) n + z h``."""
    (h,) = state
    x_r, x_z, x_n = projected.chunk(3, -1)
    h_r, h_z, h_n = linear(h, w_hh, b_hh).chunk(3, -1)
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

    `tensors`: the input, the first states ``(layers * directions, N, out)``, and five weights
    for each layer and direction, None for what it lacks. `static`: the kind of network, the number
    of directions, and the sizes of the steps if packed.
    """
    return spans.run(_layers, tensors, static)


def _layers(tensors: tuple, static: tuple, numbers: Any) -> tuple:
    mode, directions, sizes = static
    step, _ = STEPS[mode]
    # Values: views of a tensor that is there already would be operands unknown to the caller.
    x, *states = [record(INSTEAD, (t, t)) for t in tensors[: 3 if mode == "LSTM" else 2]]
    all_weights = tensors[1 + len(states) :]
    last = []
    for layer in range(0, len(all_weights) // 5, directions):
        outputs = []
        for k in range(layer, layer + directions):
            weights = all_weights[5 * k : 5 * k + 5]
            state = tuple([s[k] for s in states])
            reverse = k > layer
            if sizes is None:
                out, state = run_padded(step, x, state, weights, reverse)
            else:
                out, state = run_packed(step, x, list(sizes), state, weights, reverse)
            outputs.append(out)
            last.append(state)
        x = outputs[0] if directions == 1 else facula.cat(outputs, -1)
    if mode == "LSTM" and directions == 1 and x.node.dtype is facula.float32:
        x = whole(x, "MkldnnRnnLayer")  # which keeps its result; made of steps it does not
    return x, *[facula.stack(parts) for parts in zip(*last, strict=True)]


def run_padded(step, x: Tensor, state: tuple, weights, reverse: bool):
    """All steps of ``x`` ``(T, N, in)``: outputs ``(T, N, out)`` and the last state."""
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    projected = linear(x, w_ih, b_ih).unbind(0)
    outputs = []
    for p in reversed(projected) if reverse else projected:
        state = step(p, state, w_hh, b_hh, w_hr)
        outputs.append(state[0])
    if reverse:
        outputs.reverse()
    return facula.stack(outputs), state


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
