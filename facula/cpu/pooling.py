"""Pooling and its derivatives: windows over the rows of planes, as vectors along the width.

Every number of spatial dimensions is treated as three, missing ones being of size 1. Lanes that
lie in the padding or past the end of a row are masked, so that there is one code for all borders.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.kernels import Kernel
from facula.cpu.strips import (
    AWAY,
    both,
    choose,
    gather,
    inside,
    masked_load,
    masked_store,
    positions,
    row_lanes,
)
from facula.cpu.text import Function, Index
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node, contiguous_strides

UNITS = 64
WORK = 8192  # elements looked at that a unit should have at least
UNROLLED = 9  # positions in a window that are written out one by one

Visit = Callable[[list[str], Value, Value, Value, Index, Index], list[str]]


def three(values: Any, missing: int) -> list[int]:
    """One number for each of three dimensions."""
    return [missing] * (3 - len(values)) + list(values)


class Plane:
    """An operand (N, C, *S): its address, and steps in elements over three spatial dimensions."""

    def __init__(self, kernel: Kernel, n: Node) -> None:
        p = kernel.places[n]
        self.node = p.base
        self.offset = p.offset
        self.channels = p.shape[1]
        self.batch_step, self.channel_step = p.strides[:2]
        self.sizes = three(p.shape[2:], 1)
        self.steps = three(p.strides[2:], 0)
        kind = kind_of(n)
        assert kind is not None
        self.kind = kind
        self.address = kernel.buffer(p.base)

    def at(self, kernel: Kernel, plane: Index) -> str:
        """The address of a plane, counted over batch and channels."""
        f, size = kernel.f, SIZE[self.kind]
        where = f.add(
            f.mul(f.div(plane, self.channels), self.batch_step * size),
            f.mul(f.rem(plane, self.channels), self.channel_step * size),
        )
        return f.at(self.address, f.add(where, self.offset * size))

    def element(self, f: Function, plane: str, i: Index) -> str:
        """The address of element i of a plane, counted in row-major order."""
        size = SIZE[self.kind]
        want = contiguous_strides(tuple(self.sizes))
        live = [(s, w) for m, s, w in zip(self.sizes, self.steps, want, strict=True) if m != 1]
        step = live[-1][0] if live else 1
        if all([s == w * step for s, w in live]):
            return f.at(plane, f.mul(i, step * size))
        _, height, width = self.sizes
        line = f.div(i, width)
        where = f.mul(f.rem(i, width), self.steps[2] * size)
        where = f.add(where, f.mul(f.rem(line, height), self.steps[1] * size))
        return f.at(plane, f.add(where, f.mul(f.div(line, height), self.steps[0] * size)))


class PoolKernel(Kernel):
    """What kernels over windows share."""

    def begin(self, width: int) -> None:
        """Sizes, lanes and addresses."""
        n = self.cluster.core
        assert n is not None
        kind = kind_of(n)
        assert kind is not None
        self.n = n
        self.planes = n.shape[0] * n.shape[1]
        self.out = three(n.shape[2:], 1)
        float_kind = kind_of(n.inputs[-1]) or "f32"
        self.x = Lanes(self.f, width // 2 if float_kind == "f64" else width)
        self.kind = kind
        self.dims = len(n.shape) - 2

    def part(self, k: int, missing: int) -> list[int]:
        """The k-th group of parameters, one for each of three dimensions."""
        p = self.n.params
        return three(p[k * self.dims : (k + 1) * self.dims], missing)

    def split(self, total: int, work: int) -> int:
        """How many of `total` pieces a unit does, each looking at `work` elements."""
        per = max(1, -(-WORK // max(work, 1)), -(-total // UNITS))
        per = min(per, max(total, 1))
        self.units = max(1, -(-total // per))
        return per

    def rows(self, work: int, body: Callable[[Index, Index, Index, Index], None]) -> None:
        """body(plane, z, y, row) for every row of the result."""
        f = self.f
        depth, height, _ = self.out
        total = self.planes * depth * height
        per = self.split(total, work)
        with f.loop("%lo", "%hi") as unit:
            low = f.mul(unit.index, per)
            high = f.smaller(f.add(low, per), total)
            with f.loop(low, high, some=True) as row:
                plane = f.div(row.index, depth * height)
                rest = f.rem(row.index, depth * height)
                body(plane, f.div(rest, height), f.rem(rest, height), row.index)

    def strips(self, length: int, body: Callable[[Index, Value | None], None]) -> None:
        """body(first, mask) for the vectors of a row; the mask is None where all lanes count."""
        f, x = self.f, self.x
        whole = length // x.width * x.width
        if whole:
            with f.loop(0, whole, x.width, some=True) as j:
                body(j.index, None)
        if whole < length:
            body(whole, inside(x, positions(x, whole, 1), length))

    def put(self, v: Value, pointer: str, mask: Value | None) -> None:
        """Store a vector of a row."""
        if mask is None:
            self.x.store(v, pointer)
        else:
            masked_store(self.x, v, pointer, mask)


def fits(out: list[int], size: list[int], kernel: list[int], settings: Any) -> list[bool]:
    """For each dimension, whether every window lies inside."""
    stride, padding, dilation = settings
    return [
        p == 0 and (o - 1) * t + (k - 1) * d < m
        for o, m, k, t, p, d in zip(out, size, kernel, stride, padding, dilation, strict=True)
    ]


class WindowKernel(PoolKernel):
    """Kernels that look at windows of fixed size."""

    def windows(self, dilated: bool) -> None:
        """Read the parameters."""
        self.kernel = self.part(0, 1)
        self.stride = self.part(1, 1)
        self.padding = self.part(2, 0)
        self.dilation = self.part(3, 1) if dilated else [1, 1, 1]

    def over(
        self,
        source: Plane,
        plane: str,
        at: tuple[Index, Index, Index],
        start: list[tuple[str, str]],
        fill: Value,
        visit: Visit,
    ) -> list[str]:
        """Go through the windows of a vector of results, position by position."""
        f, x = self.f, self.x
        (depth, height, width), settings = self.kernel, (self.stride, self.padding, self.dilation)
        safe = fits(self.out, source.sizes, self.kernel, settings)
        size = SIZE[source.kind]
        z, y, x0 = at

        def place(d: int, out: Index, k: Index) -> Index:
            return f.add(
                f.add(f.mul(out, self.stride[d]), -self.padding[d]), f.mul(k, self.dilation[d])
            )

        def valid(d: int, i: Index) -> str | None:
            return None if safe[d] else f.let(f"icmp ult i64 {i}, {source.sizes[d]}")

        def line(k: Index, values: list[str]) -> list[str]:
            zi, yi = place(0, z, f.div(k, height)), place(1, y, f.rem(k, height))
            ok = both(f, valid(0, zi), valid(1, yi))
            row = f.at(plane, f.mul(zi, source.steps[0] * size))
            row = f.at(row, f.mul(yi, source.steps[1] * size))

            def position(s: Index, values: list[str]) -> list[str]:
                first: Index = place(2, x0, s)
                if ok is not None:
                    first = choose(f, ok, first, AWAY)
                v, where, mask = row_lanes(
                    x, row, first, self.stride[2], source.sizes[2], source.steps[2], fill
                )
                return visit(values, v, where, mask, zi, yi)

            return self.counted(width, start, values, position)

        return self.counted(depth * height, start, [v for _, v in start], line)

    def counted(
        self,
        count: int,
        start: list[tuple[str, str]],
        values: list[str],
        body: Callable[[Index, list[str]], list[str]],
    ) -> list[str]:
        """body(0), body(1), ...: written out where they are few."""
        if count == 1 or count * self.kernel[2] <= UNROLLED:
            for k in range(count):
                values = body(k, values)
            return values
        carried = [(t, v) for (t, _), v in zip(start, values, strict=True)]
        with self.f.loop(0, count, 1, carried, some=True) as loop:
            loop.next = body(loop.index, loop.values)
        return loop.values


class SearchKernel(WindowKernel):
    """Kernels that look for the largest elements of windows."""

    def searched(
        self, source: Plane, base: str, at: tuple[Index, Index, Index], where: bool
    ) -> list[Value]:
        """The largest elements of a vector of windows, and, if asked for, their int32 indices."""
        f, x, kind = self.f, self.x, source.kind
        _, height, length = source.sizes
        least = x.const(-math.inf, kind)
        start = [(x.type(kind), least.name)]
        if where:
            start.append((x.type("i32"), x.const(-1, "i32").name))

        def visit(
            values: list[str], v: Value, at: Value, mask: Value, zi: Index, yi: Index
        ) -> list[str]:
            best = Value(values[0], kind)
            # PyTorch's rule: of equal elements the first, of several NaN the last.
            better = x.op("or", x.compare("gt", v, best), x.nan(v))
            if not where:
                return [x.select(better, v, best).name]
            old = Value(values[1], "i32")
            better = x.op("or", better, x.compare("lt", old, x.const(0, "i32")))
            better = x.op("and", better, mask)
            line = f.mul(f.add(f.mul(zi, height), yi), length)
            index = x.add(at, positions(Lanes(f, x.width), line, 0))
            return [x.select(better, v, best).name, x.select(better, index, old).name]

        found = self.over(source, base, at, start, least, visit)
        return [Value(v, k) for v, k in zip(found, (kind, "i32"), strict=False)]


class MaxKernel(SearchKernel):
    """The largest elements of windows, or where they are."""

    def build(self, width: int) -> None:
        """Write the kernel."""
        self.begin(width)
        self.windows(dilated=True)
        n, f, x = self.n, self.f, self.x
        source = Plane(self, n.inputs[0])
        target = self.buffer(n)
        where = n.op.name == "max_pool_index"

        def row(plane: Index, z: Index, y: Index, line: Index) -> None:
            base = source.at(self, plane)
            out = f.at(target, f.mul(line, self.out[2] * SIZE[self.kind]))

            def strip(first: Index, mask: Value | None) -> None:
                v = self.searched(source, base, (z, y, first), where)[-1]
                if where:
                    wide = f"{x.type('i32')} {v.name} to {x.type('i64')}"
                    v = Value(f.let(f"sext {wide}"), "i64")
                self.put(v, f.at(out, f.mul(first, SIZE[v.kind])), mask)

            self.strips(self.out[2], strip)

        self.rows(self.out[2] * math.prod(self.kernel), row)


def edges(x: Lanes, at: Value, k: int, t: int, p: int, size: int, pad: bool) -> Value:
    """The number of elements of windows `at` of one dimension, as int32."""
    zero = x.const(0, "i32")
    first = x.sub(x.mul(at, x.const(t, "i32")), x.const(p, "i32"))
    end = x.minimum(x.add(first, x.const(k, "i32")), x.const(size + p, "i32"))
    if not pad:
        first = x.maximum(first, zero)
        end = x.minimum(end, x.const(size, "i32"))
    return x.sub(end, first)


class MeanKernel(WindowKernel):
    """Means of windows (avg_pool) and their transpose (avg_pool_spread)."""

    def build(self, width: int) -> None:
        """Write the kernel."""
        self.begin(width)
        self.windows(dilated=False)
        self.pad, self.divisor = bool(self.n.params[-2]), self.n.params[-1]
        self.source = Plane(self, self.n.inputs[0])
        self.target = self.buffer(self.n)
        spread = self.n.op.name == "avg_pool_spread"
        # The windows lie over the larger side; `sizes` are its.
        self.sizes = self.out if spread else self.source.sizes
        if spread:
            work = math.prod([-(-k // t) for k, t in zip(self.kernel, self.stride, strict=True)])
        else:
            work = math.prod(self.kernel)
        self.rows(self.out[2] * work, self._spread_row if spread else self._mean_row)

    def counts(self, z: Index, y: Index, at: Value) -> Value:
        """The divisors of windows (z, y, lanes), as floats."""
        f, x, kind = self.f, self.x, self.kind
        if self.divisor:
            return x.const(self.divisor, kind)
        one = Lanes(f, 1)
        total = edges(x, at, *self._dim(2))
        for d, i in ((0, z), (1, y)):
            if self.kernel[d] != 1 or self.padding[d]:
                scalar = Value(
                    str(i) if isinstance(i, int) else f.let(f"trunc i64 {i} to i32"), "i32"
                )
                total = x.mul(total, x.splat(edges(one, scalar, *self._dim(d))))
        return x.cast(x.maximum(total, x.const(1, "i32")), kind)

    def _dim(self, d: int) -> tuple[int, int, int, int, bool]:
        return self.kernel[d], self.stride[d], self.padding[d], self.sizes[d], self.pad

    def _mean_row(self, plane: Index, z: Index, y: Index, line: Index) -> None:
        f, x, kind = self.f, self.x, self.kind
        base = self.source.at(self, plane)
        out = f.at(self.target, f.mul(line, self.out[2] * SIZE[kind]))
        zero = x.const(0, kind)

        def visit(values: list[str], v: Value, *_: Any) -> list[str]:
            return [x.add(Value(values[0], kind), v).name]

        def strip(first: Index, mask: Value | None) -> None:
            start = [(x.type(kind), zero.name)]
            (total,) = self.over(self.source, base, (z, y, first), start, zero, visit)
            mean = x.div(Value(total, kind), self.counts(z, y, positions(x, first, 1)))
            self.put(mean, f.at(out, f.mul(first, SIZE[kind])), mask)

        self.strips(self.out[2], strip)

    def _spread_row(self, plane: Index, z: Index, y: Index, line: Index) -> None:
        """Every element gathers its part of the windows that it lies in."""
        f, x, kind, source = self.f, self.x, self.kind, self.source
        base = source.at(self, plane)
        out = f.at(self.target, f.mul(line, self.out[2] * SIZE[kind]))
        zero = x.const(0, kind)
        size = SIZE[kind]
        many = [-(-k // t) for k, t in zip(self.kernel, self.stride, strict=True)]

        def window(d: int, i: Index, j: Index) -> tuple[Index, str | None]:
            """The window j before the last one that begins at or before i, if it holds i."""
            if self.kernel[d] == 1 and self.stride[d] == 1 and not self.padding[d]:
                return i, None if source.sizes[d] >= self.out[d] else f.let(
                    f"icmp ult i64 {i}, {source.sizes[d]}"
                )
            at = f.add(i, self.padding[d])
            w = f.sub(f.div(at, self.stride[d]), j)
            far = f.sub(at, f.mul(w, self.stride[d]))
            a = f.let(f"icmp ult i64 {w}, {source.sizes[d]}")
            b = f.let(f"icmp slt i64 {far}, {self.kernel[d]}")
            return w, both(f, a, b)

        def strip(first: Index, mask: Value | None) -> None:
            place = positions(x, f.add(first, self.padding[2]), 1)
            stride = x.const(self.stride[2], "i32")
            last = x.op("udiv", place, stride) if self.stride[2] != 1 else place

            def line(k: Index, values: list[str]) -> list[str]:
                zw, ok_z = window(0, z, f.div(k, many[1]))
                yw, ok_y = window(1, y, f.rem(k, many[1]))
                ok = both(f, ok_z, ok_y)
                row = f.at(base, f.mul(zw, source.steps[0] * size))
                row = f.at(row, f.mul(yw, source.steps[1] * size))

                def one(j: Index, values: list[str]) -> list[str]:
                    w = x.sub(last, positions(x, j, 0))
                    far = x.sub(place, x.mul(w, stride))
                    holds = x.compare("lt", far, x.const(self.kernel[2], "i32"))
                    holds = x.op("and", holds, inside(x, w, source.sizes[2]))
                    if ok is not None:
                        holds = x.op("and", holds, x.splat(Value(ok, "b")))
                    if self.stride[2] == 1 and source.steps[2] == 1:
                        p = f.sub(f.add(first, self.padding[2]), j)
                        v = masked_load(x, f.at(row, f.mul(p, size)), holds, zero)
                    else:
                        v = gather(x, row, w, source.steps[2], holds, zero)
                    part = x.div(v, self.counts(zw, yw, w))
                    return [x.add(Value(values[0], kind), part).name]

                return self.counted(many[2], start, values, one)

            start = [(x.type(kind), zero.name)]
            (total,) = self.counted(many[0] * many[1], start, [zero.name], line)
            self.put(Value(total, kind), f.at(out, f.mul(first, size)), mask)

        self.strips(self.out[2], strip)


class AdaptiveKernel(PoolKernel):
    """Windows that divide the whole: means, their transpose, and where the largest elements are."""

    def build(self, width: int) -> None:
        """Write the kernel."""
        self.begin(width)
        n, f = self.n, self.f
        self.source = source = Plane(self, n.inputs[0])
        self.target = self.buffer(n)
        self.spread = n.op.name == "adaptive_avg_spread"
        self.sizes, self.windows = (
            (self.out, source.sizes) if self.spread else (source.sizes, self.out)
        )
        name = n.op.name
        body = self._index if name == "adaptive_max_index" else self._mean
        if self.spread:
            body = self._spread
        per = self.split(self.planes, math.prod(self.sizes) + math.prod(self.windows))
        count = math.prod(self.windows)
        whole = math.prod(self.out) * SIZE[self.kind]
        with f.loop("%lo", "%hi") as unit:
            low = f.mul(unit.index, per)
            high = f.smaller(f.add(low, per), self.planes)
            with f.loop(low, high, some=True) as plane:
                base = source.at(self, plane.index)
                out = f.at(self.target, f.mul(plane.index, whole))
                if self.spread:
                    clear(self, out, math.prod(self.out))
                with f.loop(0, count, some=True) as window:
                    _, height, length = self.windows
                    x = f.rem(window.index, length)
                    rest = f.div(window.index, length)
                    where = (f.div(rest, height), f.rem(rest, height), x)
                    spans = [self.bounds(d, i) for d, i in enumerate(where)]
                    body(base, out, window.index, where, spans)

    def bounds(self, d: int, i: Index) -> tuple[Index, Index]:
        """Where window i of a dimension begins and ends."""
        f, size, count = self.f, self.sizes[d], self.windows[d]
        first = f.div(f.mul(i, size), count)
        end = f.div(f.add(f.mul(f.add(i, 1), size), count - 1), count)
        return first, end

    def count(self, spans: list[tuple[Index, Index]]) -> Value:
        f, one = self.f, Lanes(self.f, 1)
        total: Index = 1
        for first, end in spans:
            total = f.mul(total, f.sub(end, first))
        if isinstance(total, int):
            return one.const(total, self.kind)
        return one.cast(Value(total, "i64"), self.kind)

    def _mean(self, base: str, out: str, index: Index, where: Any, spans: Any) -> None:
        f, x, kind, source = self.f, self.x, self.kind, self.source
        size = SIZE[kind]
        zero = x.const(0, kind)
        start = [(x.type(kind), zero.name)]
        (z0, z1), (y0, y1), (x0, x1) = spans
        with f.loop(z0, z1, 1, start, some=True) as z:
            plane = f.at(base, f.mul(z.index, source.steps[0] * size))
            inner = [(x.type(kind), z.values[0])]
            with f.loop(y0, y1, 1, inner, some=True) as y:
                row = f.at(plane, f.mul(y.index, source.steps[1] * size))
                lines = [(x.type(kind), y.values[0])]
                with f.loop(x0, x1, x.width, lines, some=True) as j:
                    v, _, _ = row_lanes(x, row, j.index, 1, x1, source.steps[2], zero)
                    j.next = [x.add(Value(j.values[0], kind), v).name]
                y.next = j.values
            z.next = y.values
        one = Lanes(f, 1)
        total = x.folded(Value(z.values[0], kind), Lanes.add)
        mean = one.div(total, self.count(spans))
        one.store(mean, f.at(out, f.mul(index, size)))

    def _spread(self, base: str, out: str, index: Index, where: Any, spans: Any) -> None:
        f, x, kind, source = self.f, self.x, self.kind, self.source
        size, one = SIZE[kind], Lanes(f, 1)
        at: Index = 0
        for i, s in zip(where, source.steps, strict=True):
            at = f.add(at, f.mul(i, s * size))
        part = x.splat(one.div(one.load(f.at(base, at), kind), self.count(spans)))
        zero = x.const(0, kind)
        (z0, z1), (y0, y1), (x0, x1) = spans
        with f.loop(z0, z1, some=True) as z, f.loop(y0, y1, some=True) as y:
            line = f.add(f.mul(z.index, self.out[1]), y.index)
            row = f.at(out, f.mul(line, self.out[2] * size))
            with f.loop(x0, x1, x.width, some=True) as j:
                p = f.at(row, f.mul(j.index, size))
                mask = inside(x, positions(x, j.index, 1), x1)
                old = masked_load(x, p, mask, zero)
                masked_store(x, x.add(old, part), p, mask)

    def _index(self, base: str, out: str, index: Index, where: Any, spans: Any) -> None:
        f, source, one, kind = self.f, self.source, Lanes(self.f, 1), self.source.kind
        size = SIZE[kind]
        (z0, z1), (y0, y1), (x0, x1) = spans
        least_wide = max(1, self.sizes[2] // self.windows[2])
        x = Lanes(f, min(self.x.width, 1 << least_wide.bit_length() - 1))
        first = f.add(f.mul(f.add(f.mul(z0, source.sizes[1]), y0), source.sizes[2]), x0)
        least = x.const(-math.inf, kind)
        begin = x.splat(one.cast(Value(str(first), "i64"), "i32"))
        types = x.type(kind), x.type("i32")

        def carried(names: list[str]) -> list[tuple[str, str]]:
            return list(zip(types, names, strict=True))

        with f.loop(z0, z1, 1, carried([least.name, begin.name]), some=True) as z:
            plane = f.at(base, f.mul(z.index, source.steps[0] * size))
            with f.loop(y0, y1, 1, carried(z.values), some=True) as y:
                row = f.at(plane, f.mul(y.index, source.steps[1] * size))
                line = f.mul(f.add(f.mul(z.index, source.sizes[1]), y.index), source.sizes[2])
                with f.loop(x0, x1, x.width, carried(y.values), some=True) as j:
                    v, at, mask = row_lanes(x, row, j.index, 1, x1, source.steps[2], least)
                    best, old = Value(j.values[0], kind), Value(j.values[1], "i32")
                    better = x.op("or", x.compare("gt", v, best), x.nan(v))
                    better = x.op("and", better, mask)
                    here = x.add(at, positions(x, line, 0))
                    j.next = [x.select(better, v, best).name, x.select(better, here, old).name]
                y.next = j.values
            z.next = y.values
        found = self._first(x, Value(z.values[0], kind), Value(z.values[1], "i32"))
        one.store(one.cast(found, "i64"), f.at(out, f.mul(index, 8)))

    def _first(self, x: Lanes, v: Value, at: Value) -> Value:
        """The place of the largest: of equal ones the first, of several NaN the last."""
        while x.width > 1:
            half = x.width // 2
            y = Lanes(self.f, half)
            (a, b), (i, j) = [[x.part(w, k, half) for k in (0, half)] for w in (v, at)]
            tie = y.op("and", y.compare("eq", b, a), y.compare("lt", j, i))
            whole = y.op("xor", y.nan(a), y.const(1, "b"))
            last = y.op("or", whole, y.compare("gt", j, i))
            better = y.op("or", y.compare("gt", b, a), tie)
            better = y.op("or", better, y.op("and", y.nan(b), last))
            v, at, x = y.select(better, b, a), y.select(better, j, i), y
        return at


def clear(kernel: PoolKernel, out: str, count: int) -> None:
    """Zeros."""
    f, x, kind = kernel.f, kernel.x, kernel.kind
    size = SIZE[kind]
    whole = count // x.width * x.width
    if whole:
        with f.loop(0, whole, x.width, some=True) as j:
            x.store(x.const(0, kind), f.at(out, f.mul(j.index, size)))
    one = Lanes(f, 1)
    for k in range(whole, count):
        one.store(one.const(0, kind), f.at(out, k * size))
