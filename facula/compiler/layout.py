"""Where the elements of a recorded value lie: views are folded into strides, never copied."""

from __future__ import annotations

from typing import Any

from facula.interpreter.program import source
from facula.ops.movement import view_strides
from facula.trace.node import INPUT, Node, contiguous_strides

VIEWS = frozenset(
    ("permute", "reshape", "expand", "slice", "diagonal", "flip", "unfold", "as_strided")
)


class Place:
    """A value as a strided look at another: `base`, an offset and strides, in elements."""

    __slots__ = ("base", "offset", "shape", "steps", "strides")

    def __init__(
        self, base: Node, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> None:
        self.base = base
        self.offset = offset
        self.shape = shape
        self.strides = strides
        self.steps: tuple[int, tuple[int, ...]] | None = None  # `key`, once it was asked for

    def key(self) -> tuple[int, tuple[int, ...]]:
        """Offset and strides, dimensions of size 1 counting as standing still."""
        found = self.steps
        if found is None:
            steps = self.strides
            if 1 in self.shape:
                steps = tuple([s if n != 1 else 0 for n, s in zip(self.shape, steps, strict=True)])
            found = self.steps = self.offset, steps
        return found


def _slice(p: Any, shape: Any, strides: Any, offset: int) -> Any:
    out_shape, out_strides = [], []
    for i, s in zip(p, strides, strict=True):
        if type(i) is int:
            offset += i * s
        else:
            offset += i[0] * s
            out_shape.append(i[1])
            out_strides.append(s * i[2])
    return tuple(out_shape), tuple(out_strides), offset


def _diagonal(p: Any, shape: Any, strides: Any, offset: int) -> Any:
    k, i, j = p
    n = max(0, min(shape[i], shape[j] - k) if k >= 0 else min(shape[i] + k, shape[j]))
    rest = [d for d in range(len(shape)) if d not in (i, j)]
    if n:
        offset += k * strides[j] if k >= 0 else -k * strides[i]
    return (
        (*[shape[d] for d in rest], n),
        (*[strides[d] for d in rest], strides[i] + strides[j]),
        offset,
    )


def place(n: Node, cache: dict[Node, Place]) -> Place:
    """Where the value lies. Its base is an input or what a kernel computes, contiguously."""
    found = cache.get(n)
    if found is not None:
        return found
    at = source(n)
    if at is not n:
        out = place(at, cache)
        if out.shape != n.shape:
            out = Place(out.base, out.offset, n.shape, out.strides)
    elif n.op is INPUT:
        out = Place(n, 0, n.shape, n.strides or contiguous_strides(n.shape))
    else:
        out = _viewed(n, cache) or Place(n, 0, n.shape, contiguous_strides(n.shape))
    cache[n] = out
    return out


def _viewed(n: Node, cache: dict[Node, Place]) -> Place | None:
    name = n.op.name
    if name not in VIEWS or (not n.a.shape and name == "unfold"):
        return None
    a = place(n.a, cache)
    p = n.params
    if name == "flip":
        steps = [-s if d in p else s for d, s in enumerate(a.strides)]
        ends = sum([(m - 1) * a.strides[d] for d, m in enumerate(a.shape) if d in p and m])
        return Place(a.base, a.offset + ends, n.shape, tuple(steps))
    if name == "unfold":
        d, _, step = p
        steps = [s * step if k == d else s for k, s in enumerate(a.strides)]
        return Place(a.base, a.offset, n.shape, (*steps, a.strides[d]))
    if name == "as_strided":
        if a.strides != contiguous_strides(a.shape):
            return None
        return Place(a.base, a.offset + p[2], *p[:2])
    if name == "permute":
        return Place(a.base, a.offset, n.shape, tuple([a.strides[d] for d in p]))
    if name == "expand":
        extra = len(p) - len(a.shape)
        steps = [0 if m == 1 else s for m, s in zip(a.shape, a.strides, strict=True)]
        return Place(a.base, a.offset, n.shape, (*[0] * extra, *steps))
    if name == "reshape":
        other = view_strides(a.shape, a.strides, n.shape)
        return None if other is None else Place(a.base, a.offset, n.shape, other)
    fold = _slice if name == "slice" else _diagonal
    shape, strides, offset = fold(p, a.shape, a.strides, a.offset)
    return Place(a.base, offset, shape, strides)
