"""Pooling's ways back: values along indices, and the gradient of a maximum; the emitter."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.following import Following, rest, separable
from facula.cpu.kernels import Kernel
from facula.cpu.pooling import (
    AdaptiveKernel,
    MaxKernel,
    MeanKernel,
    Plane,
    PoolKernel,
    SearchKernel,
    clear,
)
from facula.cpu.strips import both
from facula.cpu.text import Index
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node


class CarryKernel(PoolKernel):
    """Values along indices: taken from planes (pool_take), or added up in them (pool_put)."""

    def build(self, width: int) -> None:
        """Write the kernel."""
        self.begin(width)
        n, f, kind = self.n, self.f, self.kind
        size, one = SIZE[kind], Lanes(f, 1)
        index, values = Plane(self, n.inputs[0]), Plane(self, n.inputs[1])
        target = self.buffer(n)
        count, whole = math.prod(index.sizes), math.prod(self.out)
        takes = n.op.name == "pool_take"
        per = self.split(self.planes, count + (0 if takes else whole))
        with f.loop("%lo", "%hi") as unit:
            low = f.mul(unit.index, per)
            high = f.smaller(f.add(low, per), self.planes)
            with f.loop(low, high, some=True) as plane:
                where, source = index.at(self, plane.index), values.at(self, plane.index)
                out = f.at(target, f.mul(plane.index, whole * size))
                if not takes:
                    clear(self, out, whole)
                with f.loop(0, count, some=True) as j:
                    at = one.load(index.element(f, where, j.index), "i64").name
                    if takes:
                        v = one.load(values.element(f, source, at), kind)
                        one.store(v, f.at(out, f.mul(j.index, size)))
                    else:
                        v = one.load(values.element(f, source, j.index), kind)
                        p = f.at(out, f.mul(at, size))
                        one.store(one.add(one.load(p, kind), v), p)


class PutKernel(SearchKernel):
    """The gradient of a maximum, put where the maximum was found.

    Where windows lie side by side, each element takes what is its own, in vectors, and what follows
    is computed from them. Else each plane is cleared, and window after window adds to it.
    """

    def divides(self) -> bool:
        """Whether the windows lie side by side and inside, in rows of one or of pairs."""
        n = self.cluster.core
        assert n is not None
        self.n, self.dims = n, len(n.shape) - 2
        sizes = [1] * (3 - self.dims) + list(n.shape[2:])
        kernel, stride, padding, dilation, out = [self.part(k, int(k != 2)) for k in range(5)]
        return (
            kernel == stride
            and not any(padding)
            and all([d == 1 or k == 1 for d, k in zip(dilation, kernel, strict=True)])
            and all([o * k <= m for o, k, m in zip(out, kernel, sizes, strict=True)])
            and kernel[2] in (1, 2)
            and math.prod(kernel) <= 16
        )

    def write(self, width: int, follows: bool) -> None:
        """Write the kernel."""
        self.begin(width)
        self.windows(dilated=True)
        self.sizes, self.out = self.out, self.part(4, 1)
        self.source, self.values = Plane(self, self.n.inputs[0]), Plane(self, self.n.inputs[1])
        if not follows:
            self.stored = {self.n}
            nodes, self.cluster.nodes = self.cluster.nodes, [self.n]
        self.following = Following(self, inside=True)
        if not follows:
            self.cluster.nodes = nodes
        if self.divides():
            self._side_by_side()
        else:
            self._added()

    def _side_by_side(self) -> None:
        f = self.f
        depth, height, _ = [-(-m // k) for m, k in zip(self.sizes, self.kernel, strict=True)]
        total = self.planes * depth * height
        per = self.split(total, math.prod(self.kernel) * self.sizes[2])
        with f.loop("%lo", "%hi") as unit:
            low = f.mul(unit.index, per)
            with f.loop(low, f.smaller(f.add(low, per), total), some=True) as row:
                plane = f.div(row.index, depth * height)
                rest = f.rem(row.index, depth * height)
                self._row(plane, f.div(rest, height), f.rem(rest, height))

    def _row(self, plane: Index, z: Index, y: Index) -> None:
        """One row of windows, and the rows of elements that they cover."""
        f, source, values = self.f, self.source, self.values
        kd, kh, kx = self.kernel
        size = SIZE[self.kind]
        base, grad = source.at(self, plane), values.at(self, plane)
        exists: str | None = None  # beyond the last window there are elements of no window
        for i, d in ((z, 0), (y, 1)):
            if -(-self.sizes[d] // self.kernel[d]) > self.out[d]:
                exists = both(f, exists, f.let(f"icmp slt i64 {i}, {self.out[d]}"))
        grad = f.at(grad, f.mul(self._held(z, self.out[0]), values.steps[0] * size))
        grad = f.at(grad, f.mul(self._held(y, self.out[1]), values.steps[1] * size))
        rows, places, there = [], [], []
        for a in range(kd):
            for b in range(kh):
                zi, yi = f.add(f.mul(z, kd), a), f.add(f.mul(y, kh), b)
                ok: str | None = None
                for i, d in ((zi, 0), (yi, 1)):
                    if self.sizes[d] % self.kernel[d]:
                        ok = both(f, ok, f.let(f"icmp slt i64 {i}, {self.sizes[d]}"))
                there.append(ok)
                zi, yi = self._held(zi, self.sizes[0]), self._held(yi, self.sizes[1])
                line = f.add(f.mul(zi, source.steps[0]), f.mul(yi, source.steps[1]))
                rows.append(f.at(base, f.mul(line, size)))
                places.append(f.mul(f.add(f.mul(zi, self.sizes[1]), yi), self.sizes[2]))
        where = (plane, rows, places, there)
        w = self.x.width
        while w > self.out[2]:
            w //= 2
        with f.times(self.out[2] // w) as j:
            self._windows_of(Lanes(f, w), f.mul(j, w), grad, exists, where)
        if self.out[2] % w:  # the last vector ends with the row: some windows come twice
            self._windows_of(Lanes(f, w), self.out[2] - w, grad, exists, where)
        for k in range(self.out[2] * kx, self.sizes[2]):
            zero = Lanes(f, 1).const(0, self.kind)
            for r in range(len(rows)):
                self._give(Lanes(f, 1), zero, where, r, k)

    def _held(self, i: Index, count: int) -> Index:
        return self.f.smaller(i, count - 1)

    def _windows_of(
        self, x: Lanes, first: Index, grad: str, exists: str | None, where: Any
    ) -> None:
        """A vector of windows: each element gets the gradient if it is the window's largest."""
        f, kind, size, kx = self.f, self.kind, SIZE[self.kind], self.kernel[2]
        _, rows, _, _ = where
        step = self.source.steps[2]
        zero = x.const(0, kind)

        def vector(p: str, s: int) -> Value:
            return x.load(p, kind) if s == 1 or x.width == 1 else x.load_strided(p, s * size, kind)

        g = vector(f.at(grad, f.mul(first, self.values.steps[2] * size)), self.values.steps[2])
        if exists is not None:
            g = x.select(x.splat(Value(exists, "b")), g, zero)
        elements = []
        for row in rows:
            p = f.at(row, f.mul(first, kx * step * size))
            if kx == 1:
                elements.append(vector(p, step))
            else:
                low = vector(p, step)
                high = vector(f.at(p, x.width * step * size), step)
                elements += [picked(x, low, high, k, 2) for k in (0, 1)]
        best, better = elements[0], []
        for v in elements[1:]:
            b = x.op("or", x.compare("gt", v, best), x.nan(v))
            best = x.select(b, v, best)
            better.append(b)
        got = [zero] * len(elements)
        left = g  # what no later element has taken
        for k in range(len(elements) - 1, 0, -1):
            got[k] = x.select(better[k - 1], left, zero)
            left = x.select(better[k - 1], zero, left)
        got[0] = left
        for r in range(len(rows)):
            column = f.mul(first, kx)
            if kx == 1:
                self._give(x, got[r], where, r, column)
                continue
            a, b = got[2 * r], got[2 * r + 1]
            halves = [joined(x, a, b, half) for half in (0, 1)]
            self._give(x, halves[0], where, r, column)
            self._give(x, halves[1], where, r, f.add(column, x.width))

    def _give(self, x: Lanes, v: Value, where: Any, row: int, column: Index) -> None:
        """Store what follows from a vector of one row."""
        f = self.f
        plane, _, places, there = where
        channels = self.n.shape[1]
        image, channel = f.div(plane, channels), f.rem(plane, channels)

        def emit() -> None:
            self.following.emit(f, x, [v], image, channel, f.add(places[row], column))

        if there[row] is None:
            emit()
        else:
            with f.when(there[row]):
                emit()

    def _added(self) -> None:
        """Plane by plane, one window after the other."""
        f, x, kind = self.f, self.x, self.kind
        size, one = SIZE[kind], Lanes(f, 1)
        target = self.following.addresses[-1]
        whole = math.prod(self.sizes)
        count = math.prod(self.out)
        per = self.split(self.planes, whole + count * (2 + math.prod(self.kernel)))
        spots = f.scratch("i32", x.width)
        with f.loop("%lo", "%hi") as unit:
            low = f.mul(unit.index, per)
            high = f.smaller(f.add(low, per), self.planes)
            with f.loop(low, high, some=True) as plane:
                base = self.source.at(self, plane.index)
                grad = self.values.at(self, plane.index)
                out = f.at(target, f.mul(plane.index, whole * size))
                clear(self, out, whole)
                depth, height, length = self.out
                with (
                    f.loop(0, depth, some=True) as z,
                    f.loop(0, height, some=True) as y,
                    f.loop(0, length, x.width, some=True) as j,
                ):
                    at = (z.index, y.index, j.index)
                    found = self.searched(self.source, base, at, where=True)[1]
                    x.store(found, spots)
                    some = f.smaller(x.width, f.sub(length, j.index))
                    line = f.mul(f.add(f.mul(z.index, height), y.index), length)
                    line = f.add(line, j.index)
                    with f.loop(0, some, some=True) as k:
                        i = one.load(f.at(spots, f.mul(k.index, 4)), "i32")
                        i = one.cast(i, "i64")
                        p = f.at(out, f.mul(i.name, size))
                        g = one.load(self.values.element(f, grad, f.add(line, k.index)), kind)
                        one.store(one.add(one.load(p, kind), g), p)


def picked(x: Lanes, a: Value, b: Value, first: int, step: int) -> Value:
    """Lanes first, first + step, ... of two vectors one after the other."""
    if x.width == 1:
        return b if first else a
    return x.shuffle(a, b, [first + step * k for k in range(x.width)])


def joined(x: Lanes, a: Value, b: Value, half: int) -> Value:
    """The first or second half of a0, b0, a1, b1, ..."""
    w = x.width
    if w == 1:
        return b if half else a
    return x.shuffle(a, b, [(half * w + k) // 2 + (w if k % 2 else 0) for k in range(w)])


class Pooling:
    """The emitter of one kind of pooling."""

    relocates = False
    constants: Container[int] = ()

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        # Only the gradient of a maximum has what follows it in registers.
        self.joins = kernel is PutKernel

    def accepts(self, n: Node) -> bool:
        """float32 and float64, planes that 32-bit positions can count."""
        float_kind = kind_of(n.inputs[-1])
        planes = [i.shape for i in n.inputs] + [n.shape]
        return float_kind in ("f32", "f64") and all([math.prod(s[2:]) < 1 << 29 for s in planes])

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """One kernel, and one for what follows if that can't be done in registers."""
        if self.kernel is not PutKernel:
            kernel = self.kernel(*args)
            kernel.build(width)
            return [kernel]
        put = PutKernel(*args)
        put.guards = guards
        follows = put.divides() and separable(args[0], args[1], args[3])
        put.write(width, follows)
        out: list[Kernel] = [put]
        if not follows and len(args[0].nodes) > 1:
            out += rest(args, guards, width)
        return out


POOLING = {
    "max_pool": MaxKernel,
    "max_pool_index": MaxKernel,
    "avg_pool": MeanKernel,
    "avg_pool_spread": MeanKernel,
    "adaptive_avg_pool": AdaptiveKernel,
    "adaptive_avg_spread": AdaptiveKernel,
    "adaptive_max_index": AdaptiveKernel,
    "pool_take": CarryKernel,
    "pool_put": CarryKernel,
    "max_pool_put": PutKernel,
}
