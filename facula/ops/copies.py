"""The forms of views that copy, `permute_copy` and its kin, and padding with a constant."""

from __future__ import annotations

from typing import Any

from facula import dtypes
from facula.ops import movement as mv
from facula.ops.table import FUNCTIONS, METHODS, api
from facula.trace.recorder import record


def _view(name: str) -> Any:
    found = METHODS.get(name) or FUNCTIONS.get(name)
    if found is None:
        raise NotImplementedError(f"{name}_copy is not in Facula, because {name} is not")
    return found


def _copy_of(name: str) -> None:
    def view(*args: Any, **kwargs: Any) -> Any:
        out = _view(name)(*args, **kwargs)
        if isinstance(out, tuple):
            return tuple([record(mv.CONTIGUOUS, (t,), 0) for t in out])
        return record(mv.CONTIGUOUS, (out,), 0)

    view.__name__ = name + "_copy"
    view.__doc__ = f"`{name}` as a copy with its own memory."
    api(view, method=False)


for _name in (
    "as_strided",
    "diagonal",
    "expand",
    "permute",
    "select",
    "split",
    "split_with_sizes",
    "squeeze",
    "t",
    "transpose",
    "unbind",
    "unfold",
    "unsqueeze",
    "view_as_real",
    "view_as_complex",
):
    _copy_of(_name)


@api(method=False)
def alias_copy(input: Any) -> Any:
    """A copy with its own memory."""
    return input.clone()


@api
def narrow_copy(input: Any, dim: int, start: Any, length: int) -> Any:
    """A range of one dimension as a copy."""
    if input.node.shape and dim >= len(input.node.shape):
        raise RuntimeError(
            f"narrow_copy: expected dim < {len(input.node.shape)} for the input, got {dim}"
        )
    return record(mv.CONTIGUOUS, (METHODS["narrow"](input, dim, start, length),), 0)


@api(method=False)
def view_copy(input: Any, size: Any) -> Any:
    """The elements in another shape (or seen as another dtype), as a copy."""
    if isinstance(size, dtypes.dtype):
        return record(mv.CONTIGUOUS, (METHODS["view"](input, size),), 0)
    return record(mv.CONTIGUOUS, (METHODS["reshape"](input, size),), 0)


@api(method=False)
def detach_copy(input: Any) -> Any:
    """A copy with its own memory and no history."""
    return input.detach().clone()


@api(method=False)
def slice_copy(input: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    """A range of a dimension as a copy."""
    at = (slice(None),) * (dim % max(len(input.node.shape), 1))
    return input[(*at, slice(start, end, step))].clone()


@api(method=False)
def constant_pad_nd(input: Any, pad: Any, value: Any = 0) -> Any:
    """The tensor with borders of a constant; negative widths cut off. Widths come in pairs, for
    the last dimension first."""
    shape = input.node.shape
    if len(pad) % 2:
        raise RuntimeError(
            f"constant_pad_nd: length of pad must be even but instead it equals {len(pad)}"
        )
    if len(pad) // 2 > len(shape):
        raise RuntimeError(
            f"constant_pad_nd: length of pad should be no more than twice the number of dimensions "
            f"of the input. Pad length is {len(pad)} while the input has {len(shape)} dimensions."
        )
    widths = [(0, 0)] * len(shape)
    for k in range(len(pad) // 2):
        widths[len(shape) - 1 - k] = (int(pad[2 * k]), int(pad[2 * k + 1]))
    out, inner, cut = [], [], []
    for n, (a, b) in zip(shape, widths, strict=True):
        if n + a + b < 0:
            raise RuntimeError(
                f"constant_pad_nd: The input size {n}, plus negative padding {a} and {b}, resulted "
                "in a negative output size"
            )
        keep = max(n + min(a, 0) + min(b, 0), 0)
        out.append(n + a + b)
        cut.append((max(-a, 0), keep, 1))
        inner.append((max(a, 0), keep, 1))
    base = input.new_full(tuple(out), value)
    part = record(mv.SLICE, (input,), tuple(cut))
    return record(mv.SLICE_SCATTER, (base, part), tuple(inner))
