"""Sequences of different lengths in one tensor: padded, or packed step by step."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable
from typing import Any

import numpy as np

import facula
from facula import Tensor
from facula.errors import honest
from facula.nn.functional._common import require_bools
from facula.ops.indexing import distinct_rows
from facula.ops.promotion import need
from facula.ops.table import explained

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]

PackedSequence_ = namedtuple(
    "PackedSequence", ["data", "batch_sizes", "sorted_indices", "unsorted_indices"]
)


class PackedSequence(PackedSequence_):
    """The elements of several sequences, all first ones first, then all second ones, and so on.

    Attributes:
        data: the elements, ``(sum of lengths, ...)``.
        batch_sizes: how many sequences reach each step (int64, on the CPU).
        sorted_indices: how the sequences were reordered by decreasing length, or None.
        unsorted_indices: the way back.
    """

    __slots__ = ()

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        if batch_sizes is None:  # called with the pair of the first two
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be "
                "created manually. They should be instantiated by functions like "
                "pack_sequence and pack_padded_sequences in nn.utils.rnn. "
                "https://pytorch.org/docs/stable/nn.html#torch.nn.utils.rnn.pack_sequence"
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _with(self, convert, index_too: bool):
        data = convert(self.data)
        if data is self.data:
            return self

        def index(t):
            return t if t is None or not index_too else t.to(data.device)

        return type(self)(
            data, self.batch_sizes, index(self.sorted_indices), index(self.unsorted_indices)
        )

    def to(self, *args, **kwargs):
        """Move or cast the data, as ``Tensor.to``."""
        return self._with(lambda t: t.to(*args, **kwargs), True)

    def cuda(self, *args, **kwargs):
        """Move to a GPU."""
        return self._with(lambda t: t.cuda(*args, **kwargs), True)

    def cpu(self, *args, **kwargs):
        """Move to the CPU."""
        return self._with(lambda t: t.cpu(), True)

    def pin_memory(self):
        """Copy to page-locked memory."""
        return self._with(lambda t: t.pin_memory(), True)

    def double(self):
        """Cast to float64."""
        return self.to(dtype=facula.float64)

    def float(self):
        """Cast to float32."""
        return self.to(dtype=facula.float32)

    def half(self):
        """Cast to float16."""
        return self.to(dtype=facula.float16)

    def long(self):
        """Cast to int64."""
        return self.to(dtype=facula.int64)

    def int(self):
        """Cast to int32."""
        return self.to(dtype=facula.int32)

    def short(self):
        """Cast to int16."""
        return self.to(dtype=facula.int16)

    def char(self):
        """Cast to int8."""
        return self.to(dtype=facula.int8)

    def byte(self):
        """Cast to uint8."""
        return self.to(dtype=facula.uint8)

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a GPU."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether the data is in page-locked memory."""
        return self.data.is_pinned()


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes ``permutation``."""
    if permutation is None:
        return None
    places = facula.arange(permutation.numel(), device=permutation.device)
    return facula.empty_like(permutation).scatter_(0, permutation, places)


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack padded sequences.

    Args:
        input: ``(T, N, ...)``, or with ``batch_first`` ``(N, T, ...)``.
        lengths: the length of each sequence.
        enforce_sorted: whether the lengths must decrease; otherwise they are sorted.
    """
    need("pack_padded_sequence", input=input)
    require_bools("pack_padded_sequence", batch_first=batch_first)
    if isinstance(lengths, Tensor):
        if lengths.dim() != 1 or lengths.device.type != "cpu" or lengths.is_floating_point():
            raise RuntimeError(
                "'lengths' argument should be a 1D CPU int64 tensor, but got "
                f"{lengths.dim()}D {lengths.device} {lengths.dtype} tensor"
            )
        lengths = lengths.tolist()
    else:
        lengths = list(lengths)
        if any(isinstance(n, (list, tuple)) for n in lengths):
            raise RuntimeError(
                "'lengths' argument should be a 1D CPU int64 tensor, but got 2D cpu Long tensor"
            )
        lengths = [int(n) for n in lengths]
    sorted_indices = unsorted_indices = None
    steps, batch = (1, 0) if batch_first else (0, 1)  # which dimensions these are
    order = list(range(len(lengths)))
    if not enforce_sorted:
        order.sort(key=lambda i: -lengths[i])
        lengths = [lengths[i] for i in order]
        sorted_indices = facula.tensor(order, dtype=facula.int64, device=input.device)
        back = np.argsort(np.array(order, np.int64))
        unsorted_indices = facula.tensor(back, device=input.device)
        if len(order) != input.shape[batch]:  # some are left out, or it raises
            input = input.index_select(batch, sorted_indices)
            order.sort()
    if input.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    if len(lengths) != input.shape[batch]:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(lengths)} "
            f"(batch_size={input.shape[batch]})"
        )
    if lengths[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if lengths != sorted(lengths, reverse=True):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
            "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    if lengths[0] > input.shape[steps]:
        raise RuntimeError(
            f"pack_padded_sequence: a sequence has length {lengths[0]}, but the input has only "
            f"{input.shape[steps]} steps"
        )
    sizes, t, i = _packed(lengths)
    places = np.array(order)[i]
    where = places * input.shape[1] + t if batch_first else t * input.shape[1] + places
    rows = input.reshape([-1, *input.shape[2:]])
    data = distinct_rows(rows, facula.tensor(where[None], device=input.device))
    return PackedSequence(data, facula.tensor(sizes), sorted_indices, unsorted_indices)


def _packed(lengths: Any) -> tuple[Any, Any, Any]:
    """Of sequences of decreasing lengths: how many reach each step, and for each element of what
    they are packed to its step, and whose it is."""
    reached = np.array(lengths) > np.arange(lengths[0])[:, None]
    return reached.sum(1), *np.nonzero(reached)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The padded sequences, and their lengths.

    Args:
        batch_first: whether the result is ``(N, T, ...)`` instead of ``(T, N, ...)``.
        padding_value: what stands after the end of the shorter ones.
        total_length: ``T``, if it is to be more than the longest sequence has.
    """
    require_bools("pad_packed_sequence", batch_first=batch_first)
    data, sizes = sequence.data, np.array(sequence.batch_sizes.tolist())
    steps, batch = len(sizes), int(sizes[0])
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in "
                f"input, but got total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    rest = list(data.shape[1:])
    # The place of every element in the padded tensor, seen as (steps * batch, ...).
    reached = np.arange(batch) < sizes[:, None]
    t, i = np.nonzero(reached)
    lengths = reached.sum(0)
    back = sequence.unsorted_indices
    turned = batch_first
    if back is not None:
        order = np.array(back.tolist())
        lengths = lengths[order]
        if sorted(order) == list(range(batch)):
            i = np.argsort(order)[i]
            turned, back = False, None
    first = batch_first and not turned
    where = i * steps + t if first else t * batch + i
    padded = data.new_full([steps * batch, *rest], padding_value)
    padded = padded.index_copy(0, facula.tensor(where, device=data.device), data)
    padded = padded.reshape([batch, steps, *rest] if first else [steps, batch, *rest])
    if turned:
        padded = padded.transpose(0, 1)
    if back is not None:
        padded = padded.index_select(0 if batch_first else 1, back)
    return padded, facula.tensor(lengths)


@explained
def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences of different lengths in one tensor ``(T, N, ...)``, padded to the longest."""
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    sequences = list(sequences)
    need("pad_sequence", **{f"sequences[{i}]": s for i, s in enumerate(sequences)})
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    longest = max(s.shape[0] for s in sequences)
    padded = []
    for s in sequences:
        missing = longest - s.shape[0]
        if missing:
            fill = s.new_full([missing, *s.shape[1:]], padding_value)
            s = facula.cat([fill, s] if padding_side == "left" else [s, fill])
        padded.append(s)
    return facula.stack(padded, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """The sequences of a padded tensor, each at its own length."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    counts = lengths.tolist() if isinstance(lengths, Tensor) else lengths
    return [seq[:n] for seq, n in zip(padded_sequences.unbind(0), counts, strict=True)]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences."""
    lengths = [s.size(0) for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a :class:`PackedSequence`."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


__getattr__ = honest(__name__)
