"""Running sums, products and extremes along a dimension."""

from __future__ import annotations

import math
from typing import Any

from facula.compiler.cluster import kind_of, wide
from facula.cpu.domain import load, store, walk
from facula.cpu.folds import Fold
from facula.cpu.kernels import CHUNK, UNITS, Kernel, merged
from facula.cpu.text import Index
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node, contiguous_strides

_FOLDS = {"cumsum": "sum", "cumprod": "prod", "cummax_index": "amax", "cummin_index": "amin"}


TOGETHER = 4  # lines that lie apart and are gone along together


class ScanKernel(Kernel):
    """Goes along the dimension, with as many lines at a time as lie next to each other."""

    def build(self, width: int) -> None:
        """Write the kernel; `width` is that of a vector of float32."""
        n = self.cluster.core
        assert n is not None
        f = self.f
        p = self.places[n.inputs[0]]
        kind, own = kind_of(n.inputs[0]), kind_of(n)
        assert kind is not None and own is not None
        size, out_size = SIZE[kind], SIZE[own]
        d = n.params[0]
        shape, strides = list(n.shape), contiguous_strides(n.shape)
        count = shape.pop(d)
        tables = [[s * size for s in p.strides], [s * out_size for s in strides]]
        step, out_step = [t.pop(d) for t in tables]
        sizes, tables = merged(shape, tables)
        lines = math.prod(sizes)
        pieces = min(sizes[0], UNITS, max(1, lines * count // CHUNK)) if sizes else 1
        rows = -(-sizes[0] // pieces) if sizes else 1
        if len(sizes) == 1:
            rows = min(sizes[0], -(-rows // width) * width)
        self.units = -(-sizes[0] // rows) if sizes else 1
        source = f.at(self.buffer(p.base), p.offset * size)
        target = self.buffer(n)
        fold = Fold(f, _FOLDS[n.op.name], wide(kind), count)

        def along(x: Lanes, q: list[str], steps: list[int]) -> None:
            if steps != [size, out_size] and x.width > TOGETHER:
                # Lines that lie apart, a few at a time: more push each other out of the cache.
                for k in range(0, x.width, TOGETHER):
                    these = [f.at(a, k * s) for a, s in zip(q, steps, strict=True)]
                    along(Lanes(f, TOGETHER), these, steps)
                return
            state = fold.first(x)
            positions = n.op.name in ("cummax_index", "cummin_index")
            if positions:
                state.append(x.const(0, own))
            carried = [(x.type(v.kind), v.name) for v in state]
            with f.loop(0, count, 1, carried, some=True) as i:
                acc = [Value(a, v.kind) for a, v in zip(i.values, state, strict=True)]
                v = x.widened(load(x, f.at(q[0], f.mul(i.index, step)), steps[0], kind))
                best = fold.add(x, acc[:1], [v])[0]
                out = [best]
                if positions:
                    how = "ge" if n.op.name == "cummax_index" else "le"
                    hit = x.compare(how, v, acc[0])
                    if x.floating(v):
                        hit = x.op("or", hit, x.nan(v))
                    out.append(x.select(hit, x.splat(Value(i.index, own)), acc[1]))
                store(x, x.cast(out[-1], own), f.at(q[1], f.mul(i.index, out_step)), steps[1])
                i.next = [v.name for v in out]

        with f.loop("%lo", "%hi") as unit:
            bounds: tuple[Index, Index] | None = None
            if self.units > 1:
                low = f.mul(unit.index, rows)
                bounds = (low, f.smaller(f.add(low, rows), sizes[0]))
            walk(f, sizes, [source, target], tables, width, along, bounds)


class Scans:
    """The emitter of scans."""

    joins = False
    relocates = False
    constants = ()

    def accepts(self, n: Node) -> bool:
        """All dtypes but bool."""
        return kind_of(n) is not None and kind_of(n.inputs[0]) not in (None, "b")

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """One kernel."""
        kernel = ScanKernel(*args)
        kernel.build(width)
        return [kernel]
