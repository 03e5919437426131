"""Putting values together: a base, and parts copied to their places in it.

Parts that lie alike are copied by one kernel, whatever their number: its descriptor is a table
that names, for each, its buffer (or number), where it begins there, and its place in the result.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

from facula.compiler.cluster import kind_of
from facula.compiler.layout import Place
from facula.cpu.domain import load, store, walk
from facula.cpu.kernels import CHUNK, UNITS, Kernel, merged, strides_in
from facula.cpu.text import Index
from facula.cpu.vector import SIZE, Lanes
from facula.trace.node import Node, contiguous_strides

Pattern = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], str]


class PartsKernel(Kernel):
    """Copies parts of one pattern."""

    def build(
        self, pattern: Pattern, parts: list[tuple[Any, int, int]], width: int, base: bool = False
    ) -> None:
        """Write the kernel; a part is (what the descriptor names, offset there, offset here).
        `base`: of one part, which is there already where the result is written over it."""
        n = self.cluster.core
        assert n is not None
        f = self.f
        sizes, source_steps, target_steps, how = pattern
        kind = kind_of(n)
        assert kind is not None
        size = SIZE[kind]
        out = self.buffer(n)
        count = self.literal(len(parts))
        table = 8 * len(self.slots)
        for what, there, here in parts:
            self.slots += [what, ("literal", there * size), ("literal", here * size)]
        elements = math.prod(sizes)
        pieces = 1
        if elements >= 2 * CHUNK:
            pieces = min(sizes[0], -(-elements // CHUNK), UNITS)
        rows = -(-sizes[0] // pieces) if sizes else 1
        pieces = -(-sizes[0] // rows) if sizes else 1
        wanted = max(1, min(UNITS, len(parts) * elements // (CHUNK // 2)))
        together = 1 if pieces > 1 else -(-len(parts) // wanted)
        self.units = -(-len(parts) // together) * pieces
        tables = [[s * size for s in source_steps], [s * size for s in target_steps]]
        with f.loop("%lo", "%hi") as unit:
            low = f.mul(f.div(unit.index, pieces), together)
            high = f.smaller(f.add(low, together), count)
            bounds: tuple[Index, Index] | None = None
            if pieces > 1:
                first = f.mul(f.rem(unit.index, pieces), rows)
                bounds = (first, f.smaller(f.add(first, rows), sizes[0]))
            with f.loop(low, high, some=True) as part:
                entry = f.at(f.at("%D", table), f.mul(part.index, 24))
                name = f.let(f"load i64, ptr {entry}")
                target = f.at(out, f.let(f"load i64, ptr {f.at(entry, 16)}"))
                number = None
                if how:
                    one = Lanes(f, 1)
                    source = f.at("%S", f.mul(name, 8))
                    number = one.cast(one.load(source, "f64" if how == "float" else "i64"), kind)
                else:
                    source = f.let(f"load ptr, ptr {f.at('%P', f.mul(name, 8))}")
                    source = f.at(source, f.let(f"load i64, ptr {f.at(entry, 8)}"))
                unless: Any = contextlib.nullcontext()
                if base and not how:
                    unless = f.when(f.let(f"icmp ne ptr {source}, {target}"))

                def put(x: Lanes, p: list[str], steps: list[int], number: Any = number) -> None:
                    v = load(x, p[0], steps[0], kind) if number is None else x.splat(number)
                    store(x, v, p[1], steps[1])

                with unless:
                    walk(f, list(sizes), [source, target], tables, width, put, bounds)


class Parts:
    """The emitter of values put together."""

    joins = False
    relocates = False
    constants = range(1 << 62)

    def accepts(self, n: Node) -> bool:
        """All that is put together: `facula.compiler.assembly` saw to that."""
        return True

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """The base where there is one, then the parts, pattern by pattern."""
        cluster, places, _, constants = args
        n = cluster.core
        regions = n.params[1:]
        out: list[Kernel] = []
        based = len(n.inputs) > len(regions)
        whole = (n.shape, contiguous_strides(n.shape), 0)
        stages = [list(zip(n.inputs[based:], regions, strict=True))]
        if based:
            stages.insert(0, [(n.inputs[0], whole)])
        for at, stage in enumerate(stages):
            groups: dict[Pattern, list[tuple[Any, int, int]]] = {}
            for node, (shape, strides, offset) in stage:
                p = places[node]
                pattern, what = _pattern(p, shape, strides, constants)
                groups.setdefault(pattern, []).append((what, p.offset, offset))
            for pattern, parts in groups.items():
                kernel = PartsKernel(*args)
                kernel.build(pattern, parts, width, based and at == 0)
                out.append(kernel)
        return out


def _pattern(p: Place, shape: Any, strides: Any, constants: set[Node]) -> tuple[Pattern, Any]:
    """How a part lies, here and there; what the descriptor is to name."""
    number = p.base in constants
    steps = [0] * len(shape) if number else strides_in(p, shape)
    sizes, (here, there) = merged(list(shape), [steps, list(strides)])
    how = p.base.stypes[0].__name__ if number else ""
    what = ("number", p.base.scalar_at) if number else ("buffer", p.base)
    return (tuple(sizes), tuple(here), tuple(there), how), what
