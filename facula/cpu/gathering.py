"""Reading elements or rows that indices name: as they are, or reduced.

What is indexed and how is a pattern of `indexing.py`.
"""

from __future__ import annotations

from typing import Any

from facula.compiler.cluster import kind_of, wide
from facula.cpu.blocking import ZEN, core
from facula.cpu.domain import DomainKernel, load
from facula.cpu.folds import Fold
from facula.cpu.indexing import in_range, pattern
from facula.cpu.jit import has_avx512
from facula.cpu.kernels import Kernel
from facula.cpu.text import Index
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node, contiguous_strides

NARROWEST = 8  # elements of a row that is summed up, at least: lanes go along it


class GatherKernel(DomainKernel):
    """Elements or rows that indices name, and the pointwise operations that follow."""

    def prepare(self) -> None:
        """The array, and one stream for each index."""
        n = self.cluster.core
        assert n is not None
        a, index = self.places[n.inputs[0]], self.places[n.inputs[1]]
        _, dims, self.picks = pattern(n, index, a.shape, a.strides)
        self.data = self.stream(a.base, a.offset, [0 if d is None else a.strides[d] for d in dims])
        self.indices = [self.stream(p.base, p.offset, p.steps) for p in self.picks]
        self.flag = "" if in_range(index, self.picks) else self.status()

    def lanes(self, width: int) -> int:
        """Several vectors of a row that has one index."""
        return width if any([p.steps[-1:] != [0] for p in self.picks]) else 4 * width

    def begin_row(self) -> None:
        """Indices that are the same for the whole row are used once."""
        one = Lanes(self.f, 1)
        s = self.streams[self.data]
        size = SIZE[s.kind]
        at = s.pointer
        self.along: list[tuple[Any, Any]] = []
        for p, key in zip(self.picks, self.indices, strict=True):
            v = self.streams[key].value
            if v is None:
                self.along.append((p, key))
            else:
                i = self._checked(one, v, p.limit)
                at = self.f.at(at, self.f.mul(i.name, p.step * size))
        self.start = at
        self.whole = None
        if s.value is not None and not self.along:
            self.whole = one.load(at, s.kind)

    def _checked(self, x: Lanes, i: Value, limit: int) -> Value:
        """Indices in range as they are, others as 0, which the status word tells of."""
        f = self.f
        i = x.cast(i, "i64")
        if not self.flag:
            return i
        bad = x.op("icmp uge", i, x.const(limit, "i64"), "b")
        with f.when(x.some(bad)):
            f.do(f"store i64 1, ptr {self.flag}, align 8")
        return x.select(bad, x.const(0, "i64"), i)

    def core(self, x: Lanes, column: Index) -> Value:
        """Lanes next to each other where the row has its index; else one by one."""
        f = self.f
        s = self.streams[self.data]
        size = SIZE[s.kind]
        if self.whole is not None:
            return x.splat(self.whole)
        at = f.at(self.start, f.mul(column, s.column * size))
        if not self.along:
            return load(x, at, s.column * size, s.kind)
        indices = [self._checked(x, self.read(key, x, column), p.limit) for p, key in self.along]
        if x.width > 1 and s.kind in ("f32", "i32") and self._together():
            return self._gathered(x, at, indices)
        one = Lanes(f, 1)
        parts = []
        for k in range(x.width):
            q = f.at(at, k * s.column * size)
            for (p, _), i in zip(self.along, indices, strict=True):
                q = f.at(q, f.mul(x.lane(i, k).name, p.step * size))
            parts.append(one.load(q, s.kind))
        return x.join(parts)

    def _together(self) -> bool:
        """Whether the processor is quicker with elements of many places in one instruction."""
        far = sum([(p.limit - 1) * abs(p.step) for p, _ in self.along])
        far += self.columns * abs(self.streams[self.data].column)
        return far < 1 << 31 and has_avx512() and core() is not ZEN

    def _gathered(self, x: Lanes, at: str, indices: list[Value]) -> Value:
        """Elements that lie so many steps after an address, all at once."""
        f, s, w = self.f, self.streams[self.data], x.width
        where = x.mul(x.count("i32"), x.const(s.column, "i32"))
        for (p, _), i in zip(self.along, indices, strict=True):
            where = x.add(where, x.mul(x.cast(i, "i32"), x.const(p.step, "i32")))
        t = Lanes(f, 1).type(s.kind)
        places = f.let(f"getelementptr {t}, ptr {at}, <{w} x i32> {where.name}")
        name = f"llvm.masked.gather.v{w}{s.kind}.v{w}p0"
        f.declare(f"<{w} x {t}>", name, f"<{w} x ptr>", "i32", f"<{w} x i1>", f"<{w} x {t}>")
        listed = f"<{w} x ptr> {places}, i32 {SIZE[s.kind]}, <{w} x i1> {x.const(1, 'b').name}"
        return Value(f.let(f"call <{w} x {t}> @{name}({listed}, <{w} x {t}> poison)"), s.kind)


class BagKernel(DomainKernel):
    """Rows that indices name, reduced, and the pointwise operations that follow."""

    def prepare(self) -> None:
        """The table, the indices of each row of the result, and the factors."""
        n = self.cluster.core
        assert n is not None
        table, index, *more = [self.places[i] for i in n.inputs]
        rank = len(n.shape)
        self.step, column = table.strides
        self.data = self.stream(table.base, table.offset, [0] * (rank - 1) + [column])
        self.bounds: Any = None
        if n.op.name == "bag":
            self.name, self.many = n.params
            per = self.many
        else:  # each bag has a size of its own, and their rows begin where bounds say
            bounds, *more = more
            self.name, per = "sum", 0
            self.many = max(1, index.shape[1] // n.shape[0])
            self.bounds = self.stream(bounds.base, bounds.offset, [bounds.strides[0], 0])
            self.bound_step = bounds.strides[0]
        self.index_step = index.strides[-1]
        self.index = self._bags(index.base, index.offset, per * self.index_step)
        # A factor for each index; those of a `bag` lie without gaps (see compiler/bags.py).
        self.factors = []
        for p in more:
            step = 1 if self.bounds is None else p.strides[0]
            self.factors.append((self._bags(p.base, p.offset, per * step), step))
        self.work = self.many

    def _bags(self, base: Node, offset: int, step: int) -> Any:
        """What has so many elements for each row of the result, as a stream over it."""
        assert self.cluster.core is not None
        lead = contiguous_strides(self.cluster.core.shape[:-1])
        return self.stream(base, offset, [s * step for s in lead] + [0])

    def lanes(self, width: int) -> int:
        """Several vectors of a row at once."""
        return 4 * width

    def begin_row(self) -> None:
        """Where the bag begins and ends."""
        self.begin: Index = 0
        self.end: Index = self.many
        if self.bounds is not None:
            s, one, f = self.streams[self.bounds], Lanes(self.f, 1), self.f
            size = SIZE[s.kind]
            self.begin = one.load(s.pointer, s.kind).name
            self.end = one.load(f.at(s.pointer, self.bound_step * size), s.kind).name

    def core(self, x: Lanes, column: Index) -> Value:
        """A loop over the bag."""
        f, one = self.f, Lanes(self.f, 1)
        s, i = self.streams[self.data], self.streams[self.index]
        size = SIZE[s.kind]
        start = f.at(s.pointer, f.mul(column, s.column * size))
        fold = Fold(f, self.name, wide(s.kind), self.many)
        carried = [(x.type(v.kind), v.name) for v in fold.first(x)]
        with f.loop(self.begin, self.end, 1, carried) as loop:
            at = f.at(i.pointer, f.mul(loop.index, self.index_step * SIZE[i.kind]))
            row = one.cast(one.load(at, i.kind), "i64")
            at = f.at(start, f.mul(row.name, self.step * size))
            v = x.widened(load(x, at, s.column * size, s.kind))
            for key, step in self.factors:
                t = self.streams[key]
                at = f.at(t.pointer, f.mul(loop.index, step * SIZE[t.kind]))
                v = x.mul(v, x.splat(one.widened(one.load(at, t.kind))))
            state = [Value(loop.values[0], v.kind)]
            loop.next = [fold.add(x, state, [v])[0].name]
        return Value(loop.values[0], fold.kind)


class Gather:
    """The emitter of operations that read where indices say."""

    joins = True
    relocates = False
    constants = ()

    def accepts(self, n: Node) -> bool:
        """Any dtype that kernels know, in one dimension at least."""
        return kind_of(n) is not None and len(n.inputs[0].shape) > 0

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """One kernel."""
        kernel = GatherKernel(*args, guards=guards)
        kernel.build(width)
        return [kernel]


class Bags:
    """The emitter of sums and extremes of picked rows."""

    joins = True
    relocates = False
    constants = ()

    def accepts(self, n: Node) -> bool:
        """What `compiler/bags.py` has found; recorded ones of rows along which lanes can go."""
        if n.op.name == "bag":
            return True
        return kind_of(n.inputs[0]) is not None and n.shape[-1] >= NARROWEST

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """One kernel."""
        kernel = BagKernel(*args, guards=guards)
        kernel.build(width)
        return [kernel]
