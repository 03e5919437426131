"""Copies that exchange dimensions: what lies next to each other in the operand is far apart in the
result. Squares of a vector's width are read along the one and written along the other, so that each
cache line is touched once on either side."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.kernels import CHUNK, UNITS, Kernel, merged
from facula.cpu.packing import transposed
from facula.cpu.strips import inside, masked_load, masked_store, positions
from facula.cpu.text import Index
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node, contiguous_strides

LEAST = 8  # elements of both dimensions
# What moves in which kind: nothing is computed, so short elements are integers.
KINDS = {
    **{kind: kind for kind in ("f32", "f64", "i32", "i64")},
    **dict.fromkeys(("bf16", "f16", "i16"), "i16"),
    **dict.fromkeys(("b", "u8", "i8"), "i8"),
}
LANES = 16  # at most: more vectors of a square do not fit the registers


def exchanged(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether a copy of such a place into contiguous order is better done by squares."""
    sizes, (steps,) = merged(list(shape), [list(strides)])
    if len(sizes) < 2 or sizes[-1] < LEAST or abs(steps[-1]) < LEAST:
        return False
    return any([s == 1 and m >= LEAST for m, s in zip(sizes, steps, strict=True)])


class TurningKernel(Kernel):
    """Goes over pieces of the dimension that is contiguous in the operand, a vector each."""

    def build(self, width: int) -> None:
        """Write the kernel; `width` is that of a vector of float32."""
        f, n = self.f, self.cluster.core
        assert n is not None
        p = self.places[n.inputs[0]]
        kind = KINDS[kind_of(n) or ""]
        size = SIZE[kind]
        w = min(LANES, width * 4 // size)
        x = Lanes(f, w)
        sizes, (steps, own) = merged(
            list(p.shape), [list(p.strides), list(contiguous_strides(p.shape))]
        )
        a = next(d for d, s in enumerate(steps) if s == 1 and sizes[d] >= LEAST)
        high, wide, far, row = sizes[a], sizes[-1], steps[-1], own[a]
        others = [d for d in range(len(sizes) - 1) if d != a]
        pieces = -(-high // w)
        items = pieces * math.prod([sizes[d] for d in others])
        per = max(1, -(-CHUNK // (w * wide)), -(-items // UNITS))
        self.units = -(-items // per)
        source = f.at(self.buffer(p.base), p.offset * size)
        target = self.buffer(n)

        def square(src: str, dst: str, column: Index, count: int, first: Index) -> None:
            """Up to w rows of the result from a column on, `count` of its columns."""
            zero = x.const(0, kind)
            rows = inside(x, positions(x, first, 1), high) if high % w else None
            values: list[Value] = []
            for j in range(w):
                if j >= count:
                    values.append(values[0])
                    continue
                at = f.at(src, f.mul(f.add(column, j), far * size))
                values.append(x.load(at, kind) if rows is None else masked_load(x, at, rows, zero))
            cut = inside(x, positions(x, 0, 1), count) if count < w else None
            for i, v in enumerate(transposed(x, values)):
                to = f.at(dst, f.add(f.mul(column, size), i * row * size))

                def put(v: Any = v, to: str = to) -> None:
                    if cut is None:
                        x.store(v, to)
                    else:
                        masked_store(x, v, to, cut)

                if rows is None or i == 0:
                    put()
                else:
                    with f.when(f.let(f"icmp slt i64 {f.add(first, i)}, {high}")):
                        put()

        with f.loop("%lo", "%hi") as unit:
            low = f.mul(unit.index, per)
            with f.loop(low, f.smaller(f.add(low, per), items)) as item:
                first = f.mul(f.rem(item.index, pieces), w)
                rest = f.div(item.index, pieces)
                src = f.at(source, f.mul(first, size))
                dst = f.at(target, f.mul(first, row * size))
                for d in reversed(others):
                    part, rest = f.rem(rest, sizes[d]), f.div(rest, sizes[d])
                    src = f.at(src, f.mul(part, steps[d] * size))
                    dst = f.at(dst, f.mul(part, own[d] * size))
                whole = wide // w * w
                if whole:
                    with f.loop(0, whole, w, some=True) as column:
                        square(src, dst, column.index, w, first)
                if whole < wide:
                    square(src, dst, whole, wide - whole, first)


class Turning:
    """The emitter of copies, where `exchanged` says so."""

    joins = False
    relocates = False
    constants: Container[int] = ()

    def accepts(self, n: Node) -> bool:
        """None: the grouping asks for it, since it is a matter of the operand's place."""
        return False

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """One kernel."""
        kernel = TurningKernel(*args)
        kernel.build(width)
        return [kernel]
