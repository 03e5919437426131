"""Reductions of any dtype over any dimensions, where a map's kernel has no use for them.

Lanes go along the result where its elements lie next to each other in the operand, and along the
reduced dimensions otherwise. A large reduction to few elements is cut into slices, one unit each,
whose results a second kernel reduces; how it is cut depends on shapes alone.
"""

from __future__ import annotations

import math
from typing import Any

from facula.compiler.cluster import kind_of, wide
from facula.cpu.domain import DomainKernel, load, walk
from facula.cpu.kernels import CHUNK, Kernel, merged
from facula.cpu.text import Function, Index, NotCompiled
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node, contiguous_strides

SLICES = 32
FLOATS = ("f32", "f64")


class Fold:
    """How one kind of reduction accumulates. An accumulator is a list of values."""

    def __init__(self, f: Function, name: str, kind: str, size: int) -> None:
        self.f = f
        self.name = name
        self.kind = kind
        self.kinds = [kind]
        if name in ("argmax", "argmin"):
            self.kinds = [kind, "i32" if size < 1 << 31 else "i64"]

    def first(self, x: Lanes) -> list[Value]:
        """What an accumulator begins with."""
        kind, floating = self.kind, self.kind in FLOATS
        start: float
        if self.name in ("sum", "any"):
            start = 0
        elif self.name in ("prod", "all"):
            start = 1
        else:
            low = self.name in ("amax", "argmax")
            if floating:
                start = float("-inf") if low else float("inf")
            elif kind == "b":
                start = 0 if low else 1
            else:
                bits = 8 * SIZE[kind]
                signed = kind != "u8"
                least = -(1 << bits - 1) if signed else 0
                start = least if low else (1 << bits - signed) - 1
        out = [x.const(start, kind)]
        if len(self.kinds) > 1:
            out.append(x.const(0, self.kinds[1]))
        return out

    def add(self, x: Lanes, a: list[Value], b: list[Value]) -> list[Value]:
        """Two accumulators as one; of equal extremes the first in order counts."""
        if self.name in ("sum", "any"):
            return [x.add(a[0], b[0])]
        if self.name in ("prod", "all"):
            return [x.mul(a[0], b[0])]
        if self.name == "amax":
            return [x.maximum(b[0], a[0])]
        if self.name == "amin":
            return [x.minimum(b[0], a[0])]
        how = "gt" if self.name == "argmax" else "lt"
        better = x.compare(how, b[0], a[0])
        earlier = x.compare("lt", b[1], a[1])
        tie = x.op("and", x.compare("eq", b[0], a[0]), earlier)
        better = x.op("or", better, tie)
        if self.kind in FLOATS:
            before = x.op("xor", x.nan(a[0]), x.const(1, "b"))
            missing = x.op("and", x.nan(b[0]), x.op("or", before, earlier))
            better = x.op("or", better, missing)
        return [x.select(better, q, p) for p, q in zip(a, b, strict=True)]

    def across(self, x: Lanes, a: list[Value]) -> list[Value]:
        """The lanes of an accumulator as one, by halves."""
        width = x.width
        while width > 1:
            half = width // 2
            y = Lanes(self.f, half)
            a = self.add(y, *[[x.part(v, k, half) for v in a] for k in (0, half)])
            x, width = y, half
        return a


class Folding:
    """What is reduced: the operand's kind, the reduced dimensions and their steps in bytes."""

    def __init__(
        self,
        f: Function,
        n: Node,
        kind: str,
        sizes: list[int],
        steps: list[int],
        positions: int | None = None,
    ) -> None:
        """`positions` are those that the elements come from, where they are not one each."""
        pairs = sorted(zip(sizes, steps, strict=True), key=lambda p: -abs(p[1]))
        sizes, (steps,) = merged([m for m, _ in pairs], [[s for _, s in pairs]])
        self.f = f
        self.kind = kind
        self.sizes = sizes or [1]
        self.steps = steps or [0]
        self.fold = Fold(f, n.op.name, wide(kind), positions or math.prod(self.sizes))
        self.longest = self.sizes.index(max(self.sizes))

    def value(
        self, x: Lanes, pointer: str, step: int, width: int, bounds: tuple[Index, Index] | None
    ) -> list[Value]:
        """Reduce for the lanes of x, whose operands begin `step` bytes apart; `bounds` limit the
        longest dimension. Where x has one lane, `width` lanes go along the innermost dimension."""
        f, fold = self.f, self.fold
        y = x
        if x.width == 1 and self.sizes[-1] >= 4 and self.steps[-1] == SIZE[self.kind]:
            while width > self.sizes[-1]:
                width //= 2
            y = Lanes(f, width)
        along = y.width if y is not x else 1
        copies = 4 if along > 1 and self.sizes[-1] >= 8 * along else 1
        state = [fold.first(y) for _ in range(copies)]
        if along > 1:
            state.append(fold.first(x))

        def one(z: Lanes, p: str, index: Index) -> list[Value]:
            v = z.widened(load(z, p, step if z is x else self.steps[-1], self.kind))
            if len(fold.kinds) == 1:
                return [v]
            kind = fold.kinds[1]
            i = Lanes(f, 1).cast(Value(str(index), "i64"), kind)
            i = z.splat(i)
            if z is not x:
                i = z.add(i, z.count(kind))
            return [v, i]

        def loop(
            state: list[list[Value]], low: Index, high: Index, step: int, by: Any
        ) -> list[list[Value]]:
            """A loop that carries the accumulators."""
            if isinstance(low, int) and isinstance(high, int) and low >= high:
                return state
            kinds = [(y if k < copies else x).type(v.kind) for k, a in enumerate(state) for v in a]
            flat = [v for a in state for v in a]

            def shaped(names: list[str]) -> list[list[Value]]:
                it = iter(names)
                return [[Value(next(it), v.kind) for v in a] for a in state]

            carried = list(zip(kinds, [v.name for v in flat], strict=True))
            with f.loop(low, high, step, carried) as i:
                new = by(shaped(i.values), i.index)
                i.next = [v.name for a in new for v in a]
            return shaped(i.values)

        def inner(state: list[list[Value]], p: str, low: Index, high: Index) -> list[list[Value]]:
            s = self.steps[-1]

            def vectors(count: int) -> Any:
                def by(state: list[list[Value]], i: Index) -> list[list[Value]]:
                    out = list(state)
                    for k in range(count):
                        j = f.add(i, k * along)
                        out[k] = fold.add(y, out[k], one(y, f.at(p, f.mul(j, s)), j))
                    return out

                return by

            def last(state: list[list[Value]], i: Index) -> list[list[Value]]:
                return [*state[:-1], fold.add(x, state[-1], one(x, f.at(p, f.mul(i, s)), i))]

            at = low
            for count in (copies, 1) if copies > 1 else (1,):
                by = along * count
                if isinstance(at, int) and isinstance(high, int):
                    to: Index = at + (high - at) // by * by
                else:
                    to = f.add(at, f.mul(f.div(f.sub(high, at), by), by))
                state = loop(state, at, to, by, vectors(count))
                at = to
            return loop(state, at, high, 1, last) if along > 1 else state

        def nest(state: list[list[Value]], d: int, p: str) -> list[list[Value]]:
            low, high = (0, self.sizes[d]) if bounds is None or d != self.longest else bounds
            if d == len(self.sizes) - 1:
                return inner(state, p, low, high)

            def by(state: list[list[Value]], i: Index) -> list[list[Value]]:
                return nest(state, d + 1, f.at(p, f.mul(i, self.steps[d])))

            return loop(state, low, high, 1, by)

        state = nest(state, 0, pointer)
        rest = state.pop() if along > 1 else None
        while len(state) > 1:
            pairs = zip(state[::2], state[1::2], strict=True)
            state = [fold.add(y, a, b) for a, b in pairs]
        if rest is None:
            return state[0]
        return fold.add(x, fold.across(y, state[0]), rest)


def _split(n: Node, places: Any) -> tuple[Any, list[int], list[int]]:
    """The operand, and its steps along the result's dimensions and along the others."""
    p = places[n.inputs[0]]
    dims, keep = n.params[0], n.params[1]
    kept = [0 if d in dims else s for d, s in enumerate(p.strides) if keep or d not in dims]
    return p, kept, [p.strides[d] for d in dims]


def _along_result(kept: list[int], shape: tuple[int, ...], steps: list[int], sizes: Any) -> bool:
    """Whether lanes go along the result."""
    inner = [abs(s) for s, m in zip(steps, sizes, strict=True) if m > 1]
    outer = [(abs(s), m) for s, m in zip(kept, shape, strict=True) if m > 1]
    if not outer:
        return False
    if not inner:
        return True
    step, size = outer[-1]
    return step != 0 and size >= 4 and step < min(inner)


class FoldKernel(DomainKernel):
    """A reduction and the pointwise operations that follow, one result after the other."""

    def __init__(self, *args: Any, guards: dict[int, Any], slices: int) -> None:
        super().__init__(*args, guards=guards)
        self.slices = slices

    def prepare(self) -> None:
        """The operand, or what the slices left."""
        n = self.cluster.core
        assert n is not None
        p, kept, steps = _split(n, self.places)
        sizes = [n.inputs[0].shape[d] for d in n.params[0]]
        kind = kind_of(n.inputs[0])
        assert kind is not None
        self.kind = wide(kind) if self.slices > 1 else kind
        size = SIZE[self.kind]
        across = _along_result(kept, n.shape, steps, sizes)
        if self.slices > 1:
            own = contiguous_strides(n.shape)
            step = math.prod(n.shape) * size
            whole = math.prod(sizes)
            self.folding = Folding(self.f, n, self.kind, [self.slices], [step], whole)
            self.key = self.stream_of(("partial", n), self.kind, 0, list(own))
            self.second: Any = None
            if len(self.folding.fold.kinds) > 1:
                index = self.folding.fold.kinds[1]
                self.second = self.stream_of(("indices", n), index, 0, list(own))
            across = True
        else:
            self.folding = Folding(self.f, n, kind, sizes, [s * size for s in steps])
            self.key = self.stream(p.base, p.offset, kept)
        self.across = across
        self.work = math.prod(self.folding.sizes)

    def lanes(self, width: int) -> int:
        """Several vectors of results at once, or one result."""
        return 4 * width if self.across else 1

    def core(self, x: Lanes, column: Index) -> Value:
        """The loops over the reduced dimensions."""
        n = self.cluster.core
        assert n is not None
        s = self.streams[self.key]
        size = SIZE[s.kind]
        at = self.f.at(s.pointer, self.f.mul(column, s.column * size))
        if self.slices > 1 and self.second is not None:
            return self._pairs(x, column, at)
        out = self.folding.value(x, at, s.column * size, self.width, None)
        kind = kind_of(n)
        assert kind is not None
        return x.cast(out[-1], kind)

    def _pairs(self, x: Lanes, column: Index, at: str) -> Value:
        """Values and indices that the slices left."""
        f, fold = self.f, self.folding.fold
        t = self.streams[self.second]
        where = f.at(t.pointer, f.mul(column, t.column * SIZE[t.kind]))
        step = self.folding.steps[0]
        best: list[Value] | None = None
        for k in range(self.slices):
            v = load(x, f.at(at, k * step), SIZE[self.kind], self.kind)
            other = k * step // SIZE[self.kind] * SIZE[t.kind]
            pair = [v, load(x, f.at(where, other), SIZE[t.kind], t.kind)]
            best = pair if best is None else fold.add(x, best, pair)
        assert best is not None
        return x.cast(best[1], "i64")


class SliceKernel(Kernel):
    """Reduces slices of the longest reduced dimension, for a `FoldKernel` to finish."""

    def build(self, width: int, slices: int) -> None:
        """Write the kernel."""
        n = self.cluster.core
        assert n is not None
        f = self.f
        p, kept, steps = _split(n, self.places)
        kind = kind_of(n.inputs[0])
        assert kind is not None
        size = SIZE[kind]
        sizes = [n.inputs[0].shape[d] for d in n.params[0]]
        folding = Folding(f, n, kind, sizes, [s * size for s in steps])
        fold = folding.fold
        count = math.prod(n.shape)
        source = f.at(self.buffer(p.base), p.offset * size)
        outs = []
        for what, k in zip(("partial", "indices"), fold.kinds, strict=False):
            self.room[(what, n)] = slices * count * SIZE[k]
            outs.append((self.buffer(n, what), SIZE[k]))
        across = _along_result(kept, n.shape, steps, sizes)
        own = contiguous_strides(n.shape)
        tables = [[s * size for s in kept]] + [[s * b for s in own] for _, b in outs]
        shape, tables = merged(list(n.shape), tables)
        longest = folding.sizes[folding.longest]
        per = -(-longest // slices)
        self.units = slices
        with f.loop("%lo", "%hi") as unit:
            low = f.smaller(f.mul(unit.index, per), longest)
            high = f.smaller(f.add(low, per), longest)
            to = [f.at(q, f.mul(unit.index, count * b)) for q, b in outs]

            def reduce(x: Lanes, q: list[str], steps: list[int]) -> None:
                out = folding.value(x, q[0], steps[0], width, (low, high))
                for v, target in zip(out, q[1:], strict=True):
                    x.store(v, target)

            walk(f, shape, [source, *to], tables, 4 * width if across else 1, reduce)


class Folds:
    """The emitter of reductions."""

    joins = True
    relocates = False
    constants = ()

    def accepts(self, n: Node) -> bool:
        """Whatever kernels know; one dimension at a time for positions."""
        kind, own = kind_of(n.inputs[0]), kind_of(n)
        if kind is None or own is None:
            return False
        if n.op.name in ("any", "all"):
            return kind == "b"
        return n.op.name in ("argmax", "argmin") or (kind == own and kind != "b")

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """A large reduction to few elements in slices first; then the results."""
        cluster = args[0]
        n = cluster.core
        if len(n.params[0]) != 1 and n.op.name in ("argmax", "argmin"):
            raise NotCompiled("a position in several dimensions")
        count = math.prod(n.shape)
        sizes = [n.inputs[0].shape[d] for d in n.params[0]]
        reduced = math.prod(sizes)
        slices = 1
        if count * reduced >= 4 * CHUNK and count <= 1024 and reduced >= 256:
            longest = max(sizes)
            _, kept, steps = _split(n, args[1])
            # Lanes along the reduced dimensions are added up at the end of each slice: no more
            # slices then than the results leave threads idle.
            many = SLICES if _along_result(kept, n.shape, steps, sizes) else -(-SLICES // count)
            slices = max(1, min(many, count * reduced // CHUNK, longest // 8))
            slices = -(-longest // -(-longest // slices))
        out: list[Kernel] = []
        if slices > 1:
            first = SliceKernel(*args)
            first.build(width, slices)
            out.append(first)
        kernel = FoldKernel(*args, guards=guards, slices=slices)
        if out:
            kernel.room = first.room
        kernel.build(width)
        return [*out, kernel]
