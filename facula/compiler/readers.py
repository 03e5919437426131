"""How Python gets at the values of a compiled program: the readers of its results and of what its
interpreted steps take."""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np

from facula.compiler.grouping import same_element
from facula.compiler.layout import Place, place
from facula.compiler.lower import Lowered
from facula.compiler.memory import Memory
from facula.compiler.order import with_order
from facula.dtypes import convert
from facula.trace.node import INPUT, Node, contiguous_strides, laid

_constants: dict[Any, weakref.ref[Any]] = {}
MAX_CONSTANTS = 4096
WHOLE = object()  # the strides of an array that is all of a buffer, row by row, in another shape


class Readers:
    """How Python gets at values: (where, index, shape, strides, offset) for each. `slots`: of
    those, the ones in the table of addresses. What it gives has no part of `low`, most of which
    lives no longer than it takes to compile."""

    def __init__(self, low: Lowered, memory: Memory, shapes: dict[Node, Any]) -> None:
        self.low, self.memory, self.shapes = low, memory, shapes
        self.slots: set[int] = set()
        self.bases: dict[Node, int] = {}

    def reader(self, p: Place) -> Any:
        """Of the value at a place."""
        b, grouping = p.base, self.low.grouping
        index: Any
        if b.op is INPUT:
            where, index = "input", b.index
        elif b in grouping.constants:
            where, index = "constant", (b.scalar_at, b.dtype.np)
        else:
            where, index = "slot", self.memory.slot[("buffer", b)]
            self.slots.add(index)
        if b in self.shapes:
            plain = True
        else:
            own = place(b, grouping.places)  # an input's array has strides of its own
            plain = p.shape == b.shape and p.key() == own.key()
        strides: Any = None if plain else p.strides
        if where == "slot" and strides is not None and same_element(p):
            if 0 < math.prod(p.shape) == math.prod(b.shape):
                strides = WHOLE
        return where, index, p.shape, strides, p.offset

    def interpreted(self, n: Node) -> Any:
        """Of a step that is interpreted, with all else that it takes."""
        readers = [self.reader(p) for p in self.low.grouping.operands(n)]
        at, end = n.scalar_at, n.scalar_at + len(n.stypes)
        slot = self.memory.slot[("buffer", n)]
        return n.op.name, n.op.body, n.params, at, end, readers, slot, n.shape, n.dtype.np

    def source(self, slot: int, p: Place) -> Any:
        """Of a result: the program's slot, which buffer, whether an array over it can be its own,
        and the reader. A part of a buffer would keep the whole of it alive."""
        b = p.base
        whole = same_element(p) and math.prod(p.shape) == math.prod(b.shape)
        whole = whole or with_order(p)
        base = self.bases.setdefault(b, len(self.bases))
        return slot, base, whole and b in self.low.grouping.home, self.reader(p)


def whole_shapes(low: Lowered) -> dict[Node, Any]:
    """Shape and strides of buffers that all results show whole in one other shape, row by row
    (strides None), or with their dimensions in one other order: an array of those is handed over
    as it is. Interpreted steps read buffers in their own shape."""
    if any([calls is None for _, calls in low.steps]):
        return {}
    seen: dict[Node, set[Any]] = {}
    for p, strides in zip(low.roots, low.strides, strict=True):
        whole = Place(p.base, 0, p.shape, contiguous_strides(p.shape))
        if p.key() == whole.key() and math.prod(p.shape) == math.prod(p.base.shape):
            layout: Any = p.shape, None
        else:
            ordered = p.strides == strides and with_order(p)
            layout = (p.shape, strides) if ordered else None
        seen.setdefault(p.base, set()).add(layout)
    return {
        b: layout
        for b, layouts in seen.items()
        if b in low.grouping.home and len(layouts) == 1
        for layout in layouts
        if layout is not None and layout != (b.shape, None)
    }


def constant(value: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """An array of one value. All tensors that hold it share it: it can't be written to, and a
    tensor whose memory is handed out gets memory of its own first. It is a view, so that no program
    takes it for memory that one tensor alone has and writes a result over it."""
    exact = value if value and value.__class__ is not complex else repr(value)  # the zero's sign
    key = (exact, value.__class__, shape, dtype)
    known = _constants.get(key)
    a = None if known is None else known()
    if a is None:
        a = np.full(shape, convert(np.asarray(value), dtype), dtype)
        a.flags.writeable = False
        a = a.view()
        if len(_constants) >= MAX_CONSTANTS:
            _constants.clear()
        _constants[key] = weakref.ref(a)
    return a


def memory_under(a: Any) -> Any:
    """The memory under an array, from its first element to its last."""
    if a.flags.c_contiguous:
        return a.reshape(-1)
    span = 1 + sum([(n - 1) * (s // a.itemsize) for n, s in zip(a.shape, a.strides, strict=True)])
    return laid(a, (span,), (a.itemsize,))
