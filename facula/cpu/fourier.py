"""Discrete Fourier transforms of many lines: one line a lane.

Stockham's form of the fast transform: a stage of radix r takes elements that lie n / r apart and
puts what it makes of them side by side, so that the order is right at the end. Every element is a
vector, on the stack, of which each lane belongs to another line. Roots of one are made by each unit
in float64. Real lines of an even length are transformed as complex ones of half of it.
"""

from __future__ import annotations

import math
from typing import Any

from facula.cpu.domain import walk
from facula.cpu.kernels import CHUNK, UNITS, Kernel, fused, merged
from facula.cpu.text import Index, NotCompiled
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node, contiguous_strides

KINDS = {"float32": "f32", "float64": "f64", "complex64": "f32", "complex128": "f64"}
ROOM = 1 << 18  # bytes on the stack that two copies of the lines have, at most
NEAR = 1 << 16  # and if they can be made so few by fewer lanes
NARROWEST = 4  # lanes
LINES = 8  # that are worth it, at least
LARGEST = 13  # prime factor of a length
Pair = tuple[Value, Value]


def radices(n: int) -> list[int] | None:
    """The radices of the stages for a length; None where a prime factor is too large."""
    out = []
    for r in (4, 2, 3, 5, 7, 11, LARGEST):
        while n % r == 0:
            out.append(r)
            n //= r
    return out if n == 1 else None


class FourierKernel(Kernel):
    """Transforms along one dimension. `first`: from the operand; otherwise in place."""

    def build(self, width: int, d: int, first: bool) -> None:
        """Write the kernel; `width` is that of a vector of float32."""
        n = self.cluster.core
        assert n is not None
        f = self.f
        given = n.inputs[0]
        self.kind = KINDS[n.dtype._name]
        self.size = size = SIZE[self.kind]
        self.step = 2 * size
        real = first and not given.dtype.is_complex
        self.real, self.back = real, n.op.name == "fft_c2r"
        _, forward, mode = n.params[0], n.params[-2], n.params[-1]
        self.sign = -1.0 if forward and not self.back else 1.0
        self.conjugate = forward and self.back  # of the operand
        long = n.shape[d] if self.back else given.shape[d]
        self.long = long
        self.half = (real or self.back) and long % 2 == 0
        self.n = long // 2 if self.half else long
        self.scale = (1.0, 1 / math.sqrt(long), 1 / long)[mode]
        stages = radices(self.n)
        if stages is None:
            raise NotCompiled("a prime factor that is too large")
        self.stages = stages
        while 4 * width * self.n * size > NEAR and width > NARROWEST:
            width //= 2
        p = self.places[given]
        own = contiguous_strides(n.shape)
        strides = [s * (size if real else 2 * size) for s in p.strides]
        target = self.buffer(n)
        source = f.at(self.buffer(p.base), p.offset * (size if real else 2 * size))
        out = [s * (size if self.back else 2 * size) for s in own]
        if not first:
            source, strides = target, out
        tables = [list(strides), list(out)]
        self.along = [t.pop(d) for t in tables]
        shape = list(n.shape)
        shape.pop(d)
        sizes, tables = merged(shape, tables)
        if not sizes:
            sizes, tables = [1], [[0], [0]]
        few = width  # as many as leave no lines over, if there are: what is left is written anew
        while few > NARROWEST and sizes[-1] % few:
            few //= 2
        even = sizes[-1] % few == 0
        width = few if even else width
        lines = math.prod(sizes)
        pieces = min(sizes[0], UNITS, max(1, 4 * lines * long // CHUNK))
        rows = -(-sizes[0] // pieces)
        if len(sizes) == 1:
            rows = min(sizes[0], -(-rows // width) * width)
        self.units = -(-sizes[0] // rows)
        t = "double" if self.kind == "f64" else "float"
        self.rooms = [f.scratch(t, 2 * width * self.n) for _ in range(2)]
        self.roots = f.scratch(t, 2 * (long + width))
        with f.loop("%lo", "%hi") as unit:
            self._roots(width)
            bounds: tuple[Index, Index] | None = None
            if self.units > 1:
                low = f.mul(unit.index, rows)
                bounds = (low, f.smaller(f.add(low, rows), sizes[0]))
            if even and len(sizes) == 1:
                steps = [t[0] for t in tables]
                with f.loop(*(bounds or (0, sizes[0])), width) as i:
                    at = [f.at(q, f.mul(i.index, s)) for q, s in zip((source, target), steps)]
                    self._lines(Lanes(f, width), at, steps)
            else:
                walk(f, sizes, [source, target], tables, width, self._lines, bounds)

    def _roots(self, width: int) -> None:
        """The powers of the first root of one, cosines and then sines."""
        f = self.f
        x = Lanes(f, min(width, NARROWEST))
        with f.loop(0, self.long, x.width) as i:
            k = x.add(x.splat(Value(i.index, "i64")), x.count("i64"))
            angle = x.mul(x.cast(k, "f64"), x.const(self.sign * 2 * math.pi / self.long, "f64"))
            for place, name in ((0, "cos"), (self.long + width, "sin")):
                v = x.cast(x.function(name, angle), self.kind)
                x.store(v, f.at(self.roots, f.mul(f.add(i.index, place), self.size)))
        self.sines = (self.long + width) * self.size

    def _root(self, x: Lanes, k: Index) -> Pair:
        """A power of the first root in every lane."""
        f, one = self.f, Lanes(self.f, 1)
        at = f.at(self.roots, f.mul(k, self.size))
        parts = [one.load(at, self.kind), one.load(f.at(at, self.sines), self.kind)]
        return x.splat(parts[0]), x.splat(parts[1])

    def _times(self, x: Lanes, a: Pair, b: Pair) -> Pair:
        real = fused(x, x.neg(a[1]), b[1], x.mul(a[0], b[0]))
        return real, fused(x, a[0], b[1], x.mul(a[1], b[0]))

    def _at(self, x: Lanes, room: str, k: Index) -> str:
        return self.f.at(room, self.f.mul(k, 2 * x.width * self.size))

    def _get(self, x: Lanes, room: str, k: Index) -> Pair:
        at = self._at(x, room, k)
        return x.load(at, self.kind), x.load(self.f.at(at, x.width * self.size), self.kind)

    def _put(self, x: Lanes, v: Pair, room: str, k: Index) -> None:
        at = self._at(x, room, k)
        x.store(v[0], at)
        x.store(v[1], self.f.at(at, x.width * self.size))

    def _apart(self, x: Lanes, at: str, step: int) -> Value:
        """Lanes that lie a step apart."""
        if x.width > 1 and step == self.size:
            return x.load(at, self.kind)
        return x.load_strided(at, step, self.kind) if x.width > 1 else x.load(at, self.kind)

    def _spread(self, x: Lanes, v: Value, at: str, step: int) -> None:
        if x.width == 1 or step == self.size:
            x.store(v, at)
        else:
            x.store_strided(v, at, step)

    def _lines(self, x: Lanes, p: list[str], steps: list[int]) -> None:
        """As many lines as there are lanes."""
        f, size = self.f, self.size
        here, there = self.rooms
        source, target = p
        come, go = self.along

        def given(k: Index) -> Pair:
            at = f.at(source, f.mul(k, come))
            a = self._apart(x, at, steps[0])
            if self.real:
                return a, x.const(0, self.kind)
            b = self._apart(x, f.at(at, size), steps[0])
            return a, x.neg(b) if self.conjugate else b

        if self.back:
            self._unmixed(x, given, here)
        else:
            with f.loop(0, self.n) as i:
                if self.half:
                    at = f.at(source, f.mul(i.index, 2 * come))
                    pair = [self._apart(x, f.at(at, k * come), steps[0]) for k in range(2)]
                    self._put(x, (pair[0], pair[1]), here, i.index)
                else:
                    self._put(x, given(i.index), here, i.index)
        left, apart = self.n, 1
        for r in self.stages:
            self._stage(x, r, left // r, apart, here, there)
            here, there = there, here
            left, apart = left // r, apart * r
        scale = x.const(self.scale, self.kind)

        def give(k: Index, v: Value, part: int) -> None:
            v = v if self.scale == 1 else x.mul(v, scale)
            self._spread(x, v, f.at(target, f.add(f.mul(k, go), part * size)), steps[1])

        if self.back:
            with f.loop(0, self.n) as i:
                v = self._get(x, here, i.index)
                if self.half:
                    give(f.mul(i.index, 2), v[0], 0)
                    give(f.add(f.mul(i.index, 2), 1), v[1], 0)
                else:
                    give(i.index, v[0], 0)
        elif self.real:
            with f.loop(0, self.long // 2 + 1) as i:
                v = self._mixed(x, here, i.index) if self.half else self._get(x, here, i.index)
                give(i.index, v[0], 0)
                give(i.index, v[1], 1)
        else:
            with f.loop(0, self.n) as i:
                v = self._get(x, here, i.index)
                give(i.index, v[0], 0)
                give(i.index, v[1], 1)

    def _mixed(self, x: Lanes, room: str, k: Index) -> Pair:
        """A frequency of a real line, of which the even elements were taken for real parts and the
        odd ones for imaginary parts."""
        f, half = self.f, x.const(0.5, self.kind)
        a = self._get(x, room, f.rem(k, self.n))
        b = self._get(x, room, f.rem(f.sub(self.n, k), self.n))
        even = x.mul(half, x.add(a[0], b[0])), x.mul(half, x.sub(a[1], b[1]))
        odd = x.mul(half, x.add(a[1], b[1])), x.mul(half, x.sub(b[0], a[0]))
        turned = self._times(x, odd, self._root(x, k))
        return x.add(even[0], turned[0]), x.add(even[1], turned[1])

    def _unmixed(self, x: Lanes, given: Any, room: str) -> None:
        """The frequencies of a real line as those of a complex one of half the length, or all."""
        f, n = self.f, self.n
        zero = x.const(0, self.kind)
        if not self.half:
            self._put(x, (given(0)[0], zero), room, 0)
            if n > 1:
                with f.loop(1, n // 2 + 1) as i:
                    a, b = given(i.index)
                    self._put(x, (a, b), room, i.index)
                    self._put(x, (a, x.neg(b)), room, f.sub(n, i.index))
            return
        first, last = given(0)[0], given(n)[0]
        self._put(x, (x.add(first, last), x.sub(first, last)), room, 0)
        if n == 1:
            return
        with f.loop(1, n) as i:
            a, b = given(i.index), given(f.sub(n, i.index))
            even = x.add(a[0], b[0]), x.sub(a[1], b[1])
            odd = x.sub(a[0], b[0]), x.add(a[1], b[1])
            odd = self._times(x, odd, self._root(x, i.index))
            self._put(x, (x.sub(even[0], odd[1]), x.add(even[1], odd[0])), room, i.index)

    def _stage(self, x: Lanes, r: int, m: int, s: int, here: str, there: str) -> None:
        """A stage of radix r: m groups, of which s lie side by side."""
        f = self.f
        unit = s * (self.long // self.n)  # of the roots
        with f.times(m) as p:
            roots = [self._root(x, f.mul(p, j * unit)) if m > 1 else None for j in range(1, r)]
            with f.times(s) as q:
                start = f.add(q, f.mul(p, s))
                a = [self._get(x, here, f.add(start, s * m * k)) for k in range(r)]
                start = f.add(q, f.mul(p, s * r))
                for j, v in enumerate(self._small(x, a)):
                    root = roots[j - 1] if j else None
                    v = v if root is None else self._times(x, v, root)
                    self._put(x, v, there, f.add(start, s * j))

    def _small(self, x: Lanes, a: list[Pair]) -> list[Pair]:
        """The transform of a few numbers."""

        def plus(v: Pair, w: Pair) -> Pair:
            return x.add(v[0], w[0]), x.add(v[1], w[1])

        def minus(v: Pair, w: Pair) -> Pair:
            return x.sub(v[0], w[0]), x.sub(v[1], w[1])

        r = len(a)
        if r == 2:
            return [plus(*a), minus(*a)]
        if r == 4:
            s, d = plus(a[0], a[2]), minus(a[0], a[2])
            t, e = plus(a[1], a[3]), minus(a[1], a[3])
            e = (e[1], x.neg(e[0])) if self.sign < 0 else (x.neg(e[1]), e[0])
            return [plus(s, t), plus(d, e), minus(s, t), minus(d, e)]
        # Of an odd number: what two elements on both sides of the first have in common, and apart.
        sums = [plus(a[k], a[r - k]) for k in range(1, r // 2 + 1)]
        gaps = [minus(a[k], a[r - k]) for k in range(1, r // 2 + 1)]
        total = a[0]
        for v in sums:
            total = plus(total, v)
        out = [total] + [total] * (r - 1)
        for j in range(1, r // 2 + 1):
            even, odd = a[0], (x.const(0, self.kind), x.const(0, self.kind))
            for k, (v, w) in enumerate(zip(sums, gaps, strict=True), 1):
                angle = 2 * math.pi * (j * k % r) / r
                c, z = x.const(math.cos(angle), self.kind), x.const(math.sin(angle), self.kind)
                even = fused(x, v[0], c, even[0]), fused(x, v[1], c, even[1])
                odd = fused(x, w[0], z, odd[0]), fused(x, w[1], z, odd[1])
            turned = x.neg(odd[1]), odd[0]
            up, down = plus(even, turned), minus(even, turned)
            out[j], out[r - j] = (up, down) if self.sign > 0 else (down, up)
        return out


class Fourier:
    """The emitter of transforms."""

    joins = False
    relocates = False
    constants = ()

    def accepts(self, n: Node) -> bool:
        """Of lengths of small factors, along dimensions of which there are enough lines."""
        given = n.inputs[0]
        kinds = n.dtype._name, given.dtype._name
        if kinds[0] not in KINDS or kinds[1] not in KINDS:
            return False
        for d in _dims(n):
            long = (n if n.op.name == "fft_c2r" else given).shape[d]
            real = n.op.name != "fft_c2c"
            length = long // 2 if real and long % 2 == 0 else long
            bytes_ = 4 * NARROWEST * length * SIZE[KINDS[kinds[0]]]
            lines = math.prod(n.shape) // n.shape[d]
            if length < 2 or bytes_ > ROOM or lines < LINES or radices(length) is None:
                return False
        return len(_dims(n)) > 0

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """One kernel for each dimension."""
        out: list[Kernel] = []
        n = args[0].core
        for d in _dims(n):
            kernel = FourierKernel(*args)
            kernel.build(width if KINDS[n.dtype._name] == "f32" else width // 2, d, not out)
            out.append(kernel)
        return out


def _dims(n: Node) -> tuple[int, ...]:
    d = n.params[0]
    return tuple(d) if type(d) is tuple else (d,)
