"""Padding, as copies of the tensor's own border or as a constant."""

from __future__ import annotations

from typing import Any

import facula
from facula import Tensor
from facula.dtypes import check_fits
from facula.ops.composed import whole
from facula.ops.table import mixed
from facula.trace.spans import pure, run

from ._common import dims


@mixed
def pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """Lengthen (or, by a negative amount, shorten) the last dimensions of ``input``.

    Args:
        pad: ``(left, right)`` of the last dimension, then of the one before it, and so on.
        mode: ``"constant"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        value: what a constant padding consists of; 0 by default.
    """
    return run(_pad, (input,), (tuple(pad) if type(pad) is list else pad, mode, value))


@pure
def _pad(tensors: Any, static: Any, numbers: Any) -> Tensor:
    (input,), (pad, mode, value) = tensors, static
    amounts = _checked(pad)
    if mode == "constant":
        if len(amounts) > 2 * input.dim():
            raise RuntimeError(
                "Padding length should be less than or equal to two times the input dimension "
                f"but got padding length {len(amounts)} and input of dimension {input.dim()}"
            )
        value = 0 if value is None else value
        check_fits(value, input.dtype)
        out = constant_pad(input, amounts, value)
        return out.clone() if out is input else out
    if mode not in _BORDERS:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    n = len(amounts) // 2
    if n not in (1, 2, 3) or input.dim() not in (n + 1, n + 2):
        raise NotImplementedError(
            f"Padding size {len(amounts)} is not supported for {input.dim()}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    _check_not_empty(input, n)
    out = input
    for i in range(n):
        out = _pad_dim(out, input, input.dim() - 1 - i, amounts[2 * i], amounts[2 * i + 1], mode)
    if min(amounts) < 0:  # what is left lies by itself, as in PyTorch
        out = out.clone(memory_format=facula.contiguous_format)
    if out is input:  # nothing to pad, yet the result has its own memory
        return input.clone()
    if mode == "circular":
        return out
    return whole(out, f"{_PLURALS[mode]}Pad{n}D", input)


def constant_pad(x: Tensor, amounts: list[int], value: float) -> Tensor:
    """``x`` with ``value`` added at both ends of its last dimensions."""
    cut = False
    for i in range(len(amounts) // 2):
        dim, left, right = x.dim() - 1 - i, amounts[2 * i], amounts[2 * i + 1]
        size = x.shape[dim]
        if size + left + right < 0:
            raise RuntimeError(
                f"narrow(): length must be non-negative. pad: dimension {dim} of size {size} "
                f"cannot be padded by {left} and {right}"
            )
        if left < 0 or right < 0:
            start, stop = max(-left, 0), size + min(right, 0)
            x, cut = x.narrow(dim, min(start, stop), max(stop - start, 0)), True
            left, right = max(left, 0), size + left + right - x.shape[dim] - max(left, 0)
        parts = [x]
        for amount, at in ((left, 0), (right, len(parts))):
            if amount > 0:
                shape = [amount if d == dim else n for d, n in enumerate(x.shape)]
                parts.insert(0 if at == 0 else len(parts), x.new_full(shape, value))
        if len(parts) > 1:
            x, cut = facula.cat(parts, dim), False
    return x.clone() if cut else x


def _checked(pad) -> list[int]:
    if not isinstance(pad, (tuple, list)):
        raise TypeError(
            f"pad(): argument 'pad' (position 2) must be tuple of ints, not {type(pad).__name__}"
        )
    amounts = list(pad)
    for i, amount in enumerate(amounts):
        if isinstance(amount, (float, str)):
            raise TypeError(
                "pad(): argument 'pad' (position 2) must be tuple of ints, but found element of "
                f"type {type(amount).__name__} at pos {i}"
            )
    if len(amounts) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    return [int(amount) for amount in amounts]


def _check_not_empty(x: Tensor, n: int) -> None:
    without_batch = x.shape[1:] if x.dim() == n + 2 else x.shape
    if 0 in without_batch:
        raise RuntimeError(
            f"Expected {n + 1}D or {n + 2}D (batch mode) tensor with possibly 0 batch size and "
            f"other non-zero dimensions for input, but got: {dims(x.shape)}"
        )


def _pad_dim(x: Tensor, original: Tensor, dim: int, left: int, right: int, mode: str) -> Tensor:
    """Add to both ends of ``dim``, then cut what a negative amount takes away."""
    size = x.shape[dim]
    if size + left + right < 1:
        raise RuntimeError(
            f"input ({'WHD'[x.dim() - 1 - dim]}: {size}) is too small. Calculated output "
            f"{'WHD'[x.dim() - 1 - dim]}: {size + left + right}"
        )
    if mode == "reflect" and (left >= size or right >= size):
        raise RuntimeError(
            "Argument #4: Padding size should be less than the corresponding input dimension, but "
            f"got: padding ({left}, {right}) at dimension {dim} of input {dims(original.shape)}"
        )
    if mode == "circular" and (left > size or right > size):
        raise RuntimeError("Padding value causes wrapping around more than once.")
    if mode == "circular" and min(left, right) < 0:  # what is left is what repeats
        start = max(-left, 0)
        rest = size + min(right, 0) - start
        if rest < 1:  # PyTorch's result is whatever was in its memory
            raise RuntimeError(
                f"pad: circular padding ({left}, {right}) leaves nothing to repeat of dimension "
                f"{dim} of input {dims(original.shape)}"
            )
        x = x.narrow(dim, start, rest)
        left, right = max(left, 0), max(right, 0)
    parts = [x]
    border = _BORDERS[mode]
    if left > 0:
        parts.insert(0, border(x, dim, left, False))
    if right > 0:
        parts.append(border(x, dim, right, True))
    if len(parts) > 1:
        x = facula.cat(parts, dim)
    if left < 0:
        x = x.narrow(dim, -left, x.shape[dim] + left)
    if right < 0:
        x = x.narrow(dim, 0, x.shape[dim] + right)
    return x


def _reflected(x: Tensor, dim: int, n: int, at_end: bool) -> Tensor:
    start = x.shape[dim] - 1 - n if at_end else 1
    return x.narrow(dim, start, n).flip(dim)


def _replicated(x: Tensor, dim: int, n: int, at_end: bool) -> Tensor:
    edge = x.narrow(dim, x.shape[dim] - 1 if at_end else 0, 1)
    return edge.expand([n if d == dim else size for d, size in enumerate(x.shape)])


def _wrapped(x: Tensor, dim: int, n: int, at_end: bool) -> Tensor:
    if n > x.shape[dim]:
        x = facula.cat([x] * -(-n // x.shape[dim]), dim)
    return x.narrow(dim, 0 if at_end else x.shape[dim] - n, n)


_PLURALS = {"reflect": "Reflection", "replicate": "Replication"}
_BORDERS = {"reflect": _reflected, "replicate": _replicated, "circular": _wrapped}
