"""Recurrent networks: RNN, LSTM, GRU, and their single steps."""

from __future__ import annotations

import math
import warnings
from typing import Any

import facula
from facula import Tensor
from facula.ops import table
from facula.ops.movement import apart
from facula.trace import spans
from facula.trace.recorder import TLS

from .. import functional as F
from .. import init
from ..parameter import Parameter
from ..utils.rnn import PackedSequence
from ._recurrence import STEPS, gru_step, lstm_step, places, run
from .module import Module

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]


def apply_permutation(tensor: Tensor, permutation: Tensor, dim: int = 1) -> Tensor:
    """``tensor`` with the entries of ``dim`` in another order."""
    return tensor.index_select(dim, permutation)


class RNNBase(Module):
    """What :class:`RNN`, :class:`LSTM` and :class:`GRU` have in common.

    Args:
        mode: ``RNN_TANH``, ``RNN_RELU``, ``LSTM`` or ``GRU``.
        input_size: width of the input.
        hidden_size: width of the state.
        num_layers: how many layers, each on the outputs of the one below.
        bias: whether to use biases.
        batch_first: whether inputs are ``(N, T, in)`` instead of ``(T, N, in)``.
        dropout: probability of dropout between layers.
        bidirectional: whether every layer also runs backwards.
        proj_size: width the LSTM's ``h`` is projected to; 0 for none.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        _check_settings(
            mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size
        )
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size

        gate_size = STEPS[mode][1] * hidden_size
        directions = 2 if bidirectional else 1
        out_size = proj_size or hidden_size
        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            for direction in range(directions):
                suffix = f"_l{layer}" + ("_reverse" if direction else "")
                in_size = input_size if layer == 0 else out_size * directions
                sizes = {"weight_ih": (gate_size, in_size), "weight_hh": (gate_size, out_size)}
                if bias:
                    sizes |= {"bias_ih": (gate_size,), "bias_hh": (gate_size,)}
                if proj_size:
                    sizes["weight_hr"] = (proj_size, hidden_size)
                for name, size in sizes.items():
                    param = Parameter(facula.empty(size, device=device, dtype=dtype))
                    setattr(self, name + suffix, param)
                self._all_weights.append([name + suffix for name in sizes])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values, uniform within ``1 / sqrt(hidden_size)``."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing to do: weights need not lie side by side."""

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Parameter]:
        return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size != 0:
            text += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if self.batch_first is not False:
            text += f", batch_first={self.batch_first}"
        if self.dropout != 0:
            text += f", dropout={self.dropout}"
        if self.bidirectional is not False:
            text += f", bidirectional={self.bidirectional}"
        return text

    # ---- checks

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Raise where the input does not fit the weights."""
        weight = getattr(self, self._all_weights[0][0])
        if input.dtype != weight.dtype and TLS.r.autocast is None:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight.dtype}). "
                f"Convert input: input.to({weight.dtype}), or convert model: "
                f"model.to({input.dtype})"
            )
        expected = 3 if batch_sizes is None else 2
        if input.dim() != expected:
            raise RuntimeError(f"input must have {expected} dimensions, got {input.dim()}")
        if self.input_size != input.size(-1):
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got "
                f"{input.size(-1)}"
            )

    def get_expected_hidden_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """The shape that ``h`` must have."""
        if batch_sizes is not None:
            batch = int(batch_sizes[0])
        else:
            batch = input.size(0) if self.batch_first else input.size(1)
        layers = self.num_layers * (2 if self.bidirectional else 1)
        return layers, batch, self.proj_size or self.hidden_size

    def get_expected_cell_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """The shape that ``c`` must have."""
        layers, batch, _ = self.get_expected_hidden_size(input, batch_sizes)
        return layers, batch, self.hidden_size

    def check_hidden_size(
        self,
        hx: Tensor,
        expected_hidden_size: tuple[int, int, int],
        msg: str = "Expected hidden size {}, got {}",
    ) -> None:
        """Raise where a state does not have the expected shape."""
        if tuple(hx.size()) != tuple(expected_hidden_size):
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.size())))

    # ---- the computation

    def _check_dims(self, input: Tensor) -> None:
        if input.dim() not in (2, 3):
            raise ValueError(
                f"{self._get_name()}: Expected input to be 2D or 3D, got {input.dim()}D instead"
            )

    def _check_states(self, hx: tuple, input: Tensor, batch_sizes: Tensor | None) -> None:
        self.check_hidden_size(hx[0], self.get_expected_hidden_size(input, batch_sizes))

    def _unbatched_states(self, hx: tuple, batched: bool) -> tuple:
        """The states with a batch dimension, checked to have one exactly if the input has."""
        n = 3 if batched else 2
        if any(s.dim() != n for s in hx):
            kind = "batched 3-D" if batched else "unbatched 2-D"
            if len(hx) == 2:
                found = ", ".join(f"{s.dim()}-D" for s in hx)
                raise RuntimeError(
                    f"For {kind} input, hx and cx should also be {n}-D but got ({found}) tensors"
                )
            raise RuntimeError(
                f"For {kind} input, hx should also be {n}-D but got {hx[0].dim()}-D tensor"
            )
        return hx if batched else tuple(s.unsqueeze(1) for s in hx)

    def forward(self, input, hx=None):
        """All outputs of the last layer, and the last state of every layer.

        Args:
            input: ``(T, N, in)``, with ``batch_first`` ``(N, T, in)``, ``(T, in)``, or packed.
            hx: the first states ``(layers * directions, N, out)``; zeros when left out.
        """
        packed = isinstance(input, PackedSequence)
        batch_sizes = sorted_indices = unsorted_indices = None
        batched = True
        data = input
        if packed:
            data, batch_sizes, sorted_indices, unsorted_indices = input
        else:
            self._check_dims(data)
            batched = data.dim() == 3
            if not batched:
                data = data.unsqueeze(0 if self.batch_first else 1)
        if hx is None:
            shapes = [self.get_expected_hidden_size(data, batch_sizes)]
            if self.mode == "LSTM":
                shapes.append(self.get_expected_cell_size(data, batch_sizes))
            states = tuple(
                facula.zeros(shape, dtype=data.dtype, device=data.device) for shape in shapes
            )
        else:
            states = tuple(hx) if self.mode == "LSTM" else (hx,)
            if not packed:
                states = self._unbatched_states(states, batched)
            if sorted_indices is not None:
                states = tuple(apply_permutation(s, sorted_indices) for s in states)
        self.check_input(data, batch_sizes)
        self._check_states(states, data, batch_sizes)
        steps = data.size(1 if self.batch_first else 0)
        if steps == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")

        sizes = None if batch_sizes is None else batch_sizes.tolist()
        if sizes is None and self.batch_first:
            data = data.transpose(0, 1)
        weights = [self._weights(k) for k in range(len(self._all_weights))]
        run = self._run
        if TLS.r.autocast is not None:  # one operation to autocast, if its lists say so

            def whole(*args):
                return self._run(*args)

            whole.__name__ = self.mode.partition("_")[0].lower()
            run = table.mixed(whole)
        output, states = run(data, sizes, states, weights)
        if packed:
            output = PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices)
        else:
            if self.batch_first:
                output = output.transpose(0, 1)
            if not batched:
                output = output.squeeze(0 if self.batch_first else 1)
                states = tuple(s.squeeze(1) for s in states)
        if unsorted_indices is not None:
            states = tuple(apply_permutation(s, unsorted_indices) for s in states)
        return output, (states if self.mode == "LSTM" else states[0])

    def _run(self, x: Tensor, sizes: list[int] | None, states: tuple, weights: list):
        directions = 2 if self.bidirectional else 1
        tables: tuple = ()
        if sizes is not None and not self.proj_size:
            operands = (x, *states, *[w for ws in weights for w in ws])
            tables = places(operands, self.mode, directions, sizes)
        static = (self.mode, directions, sizes and (len(sizes) if tables else tuple(sizes)))
        # Dropout between the layers draws numbers, so that each layer is a call of its own.
        apart = self.dropout and self.training and self.num_layers > 1
        step = directions if apart else len(weights)
        last = []
        for k in range(0, len(weights), step):
            if k:
                x = F.dropout(x, self.dropout, True)
            given = [w for ws in weights[k : k + step] for w in ws]
            firsts = [s[k : k + step] for s in states] if apart else states
            x, *state = run((x, *firsts, *given, *tables), static)
            last.append(state)
        if not apart:
            return x, tuple(last[0])
        return x, tuple([facula.cat(parts) for parts in zip(*last, strict=True)])

    def _weights(self, k: int) -> tuple:
        """w_ih, w_hh, b_ih, b_hh, w_hr of one layer and direction; None for what it lacks."""
        names = self._all_weights[k]
        found = [getattr(self, name) for name in names]
        w_hr = found.pop() if self.proj_size else None
        w_ih, w_hh, *biases = found
        b_ih, b_hh = biases if biases else (None, None)
        return w_ih, w_hh, b_ih, b_hh, w_hr


def _check_settings(
    mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size
) -> None:
    for name, value, kind in (
        ("bias", bias, bool),
        ("batch_first", batch_first, bool),
    ):
        if not isinstance(value, kind):
            raise TypeError(
                f"{name} should be of type {kind.__name__}, got: {type(value).__name__}"
            )
    dropout = float(dropout) if not isinstance(dropout, bool) else dropout
    if isinstance(dropout, bool) or not 0 <= dropout <= 1:
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an "
            "element being zeroed"
        )
    if dropout > 0 and num_layers == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout "
            f"expects num_layers greater than 1, but got dropout={dropout} and "
            f"num_layers={num_layers}",
            stacklevel=4,
        )
    for name, value in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not isinstance(value, int):
            raise TypeError(f"{name} should be of type int, got: {type(value).__name__}")
    for name, value in (
        ("input_size", input_size),
        ("hidden_size", hidden_size),
        ("num_layers", num_layers),
    ):
        if value <= 0:
            raise ValueError(f"{name} must be greater than zero")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size")
    if mode not in STEPS:
        raise ValueError("Unrecognized RNN mode: " + mode)


def _refuse_projection(args: tuple, kwargs: dict) -> None:
    if "proj_size" in kwargs or len(args) > 7:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


class RNN(RNNBase):
    """Elman network: ``h' = tanh(W_ih x + b_ih + W_hh h + b_hh)``, or with relu.

    ``RNN(input_size, hidden_size, num_layers=1, nonlinearity="tanh", bias=True,
    batch_first=False, dropout=0.0, bidirectional=False)``
    """

    def __init__(self, *args, **kwargs) -> None:
        _refuse_projection(args[:3] + args[4:], kwargs)
        if len(args) > 3:
            self_nonlinearity = args[3]
            args = args[:3] + args[4:]
        else:
            self_nonlinearity = kwargs.pop("nonlinearity", "tanh")
        modes = {"tanh": "RNN_TANH", "relu": "RNN_RELU"}
        if self_nonlinearity not in modes:
            raise ValueError(
                f"Unknown nonlinearity '{self_nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(modes[self_nonlinearity], *args, **kwargs)
        self.nonlinearity = self_nonlinearity

    def _check_dims(self, input: Tensor) -> None:
        if input.dim() not in (2, 3):
            raise ValueError(
                f"RNN: Expected input to be 2D or 3D, got {input.dim()}D tensor instead"
            )


class LSTM(RNNBase):
    """Long short-term memory (https://doi.org/10.1162/neco.1997.9.8.1735).

    ``LSTM(input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0,
    bidirectional=False, proj_size=0)``. Its state is the pair ``(h, c)``.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def _check_states(self, hx: tuple, input: Tensor, batch_sizes: Tensor | None) -> None:
        self.check_hidden_size(
            hx[0],
            self.get_expected_hidden_size(input, batch_sizes),
            "Expected hidden[0] size {}, got {}",
        )
        self.check_hidden_size(
            hx[1],
            self.get_expected_cell_size(input, batch_sizes),
            "Expected hidden[1] size {}, got {}",
        )


class GRU(RNNBase):
    """Gated recurrent unit (https://arxiv.org/abs/1406.1078).

    ``GRU(input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0,
    bidirectional=False)``
    """

    def __init__(self, *args, **kwargs) -> None:
        _refuse_projection(args, kwargs)
        super().__init__("GRU", *args, **kwargs)


class RNNCellBase(Module):
    """Weights of a single step, and its checks."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        new = {"device": device, "dtype": dtype}
        self.weight_ih = Parameter(facula.empty((rows, input_size), **new))
        self.weight_hh = Parameter(facula.empty((rows, hidden_size), **new))
        if bias:
            self.bias_ih = Parameter(facula.empty(rows, **new))
            self.bias_hh = Parameter(facula.empty(rows, **new))
        else:
            self.register_parameter("bias_ih", None)
            self.register_parameter("bias_hh", None)
        self.reset_parameters()

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text

    def reset_parameters(self) -> None:
        """Draw new initial values, uniform within ``1 / sqrt(hidden_size)``."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _one_step(self, step, input: Tensor, states: tuple | None, count: int) -> tuple:
        name, first = self._get_name(), states is None
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        static = (step, name, count, first, self.input_size, self.hidden_size)
        tensors = (input, *weights, *(() if first else states))
        if TLS.r.autocast is not None:  # one operation to autocast, if its lists say so

            def cell(*tensors):
                return _cell(tensors, static, ())

            return table.mixed(cell)(*tensors)
        return spans.run(_cell, tensors, static)


@spans.pure
def _cell(tensors: tuple, static: tuple, numbers: Any) -> tuple:
    input, weight_ih, weight_hh, bias_ih, bias_hh, *states = tensors
    step, name, count, first, input_size, hidden_size = static
    if input.dim() not in (1, 2):
        raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.dim()}D instead")
    if not first:
        for i, s in enumerate(states):
            label = f"hx[{i}]" if count == 2 else "hidden"
            if s.dim() not in (1, 2):
                raise ValueError(f"{name}: Expected {label} to be 1D or 2D, got {s.dim()}D instead")
    batched = input.dim() == 2
    x = input if batched else input.unsqueeze(0)
    if first:
        zeros = facula.zeros((x.size(0), hidden_size), dtype=x.dtype, device=x.device)
        states = (zeros,) * count
    else:
        states = tuple(s if s.dim() == 2 else s.unsqueeze(0) for s in states)
    if x.size(1) != input_size:
        raise RuntimeError(
            f"input has inconsistent input_size: got {x.size(1)} expected {input_size}"
        )
    for i, s in enumerate(states):
        if s.size(0) != x.size(0):
            raise RuntimeError(
                f"Input batch size {x.size(0)} doesn't match hidden{i} batch size {s.size(0)}"
            )
        if s.size(1) != hidden_size:
            raise RuntimeError(
                f"hidden{i} has inconsistent hidden_size: got {s.size(1)}, expected {hidden_size}"
            )
    projected = F.linear(x, weight_ih, bias_ih)
    out = step(projected, states, weight_hh, bias_hh)
    if count == 2:  # the state may be written to: PyTorch saves its tanh
        out = out[0], apart(out[1])
    return out if batched else tuple(s.squeeze(0) for s in out)


class RNNCell(RNNCellBase):
    """One step of :class:`RNN`: ``(N, in)`` and ``h`` ``(N, hidden)`` to the next ``h``."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        step, _ = STEPS["RNN_" + self.nonlinearity.upper()]
        return self._one_step(step, input, None if hx is None else (hx,), 1)[0]


class LSTMCell(RNNCellBase):
    """One step of :class:`LSTM`: ``(N, in)`` and ``(h, c)`` to the next ``(h, c)``."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None):
        if isinstance(hx, Tensor):
            raise TypeError("LSTMCell: argument 'hx' must be tuple of Tensors, not Tensor")
        return self._one_step(lstm_step, input, None if hx is None else tuple(hx), 2)


class GRUCell(RNNCellBase):
    """One step of :class:`GRU`: ``(N, in)`` and ``h`` ``(N, hidden)`` to the next ``h``."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._one_step(gru_step, input, None if hx is None else (hx,), 1)[0]
