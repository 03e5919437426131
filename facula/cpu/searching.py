"""Where values belong in sorted sequences.

Of few boundaries those below a value are counted, a comparison of whole vectors for each. In more,
each lane halves its range: how often is known from how many there are, and nothing branches.
"""

from __future__ import annotations

from typing import Any

from facula.compiler.builder import NARROW
from facula.compiler.cluster import kind_of
from facula.cpu.domain import DomainKernel
from facula.cpu.kernels import Kernel
from facula.cpu.text import Index, NotCompiled
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node

FEW = 24  # boundaries that are counted, at most
LIMIT = 1 << 31  # elements that a sequence reaches over: indices of lanes are i32


class SearchKernel(DomainKernel):
    """`searchsorted`, and the pointwise operations that follow. NaN is the largest, as in NumPy."""

    def prepare(self) -> None:
        """The sequences, one for each row or one for all, and the values."""
        n = self.cluster.core
        assert n is not None
        sequence, values = [self.places[i] for i in n.inputs]
        rank = len(n.shape)
        self.many, self.step = sequence.shape[-1], sequence.strides[-1]
        if self.many * abs(self.step) >= LIMIT:
            raise NotCompiled("a sequence that reaches far")
        before = sequence.strides[:-1] if len(sequence.shape) > 1 else (0,) * max(0, rank - 1)
        rows = [*before, 0] if rank else []
        self.single = any(before) and n.shape[-1] < 4
        self.sequence = self.stream(sequence.base, sequence.offset, rows)
        self.values = self.stream(values.base, values.offset, list(values.strides))
        self.right = n.params[0] == "right"
        self.work = max(1, self.many.bit_length())

    def lanes(self, width: int) -> int:
        """Values of one row of sequences at a time."""
        return 1 if self.single else width

    def core(self, x: Lanes, column: Index) -> Value:
        """The positions of lanes from a column on."""
        f, n = self.f, self.cluster.core
        assert n is not None
        s = self.streams[self.sequence]
        start = f.at(s.pointer, f.mul(column, s.column * SIZE[s.kind])) if s.column else s.pointer
        v = x.widened(self.read(self.values, x, column))
        kind = "i32"
        zero, one = x.const(0, kind), x.const(1, kind)
        missing = x.nan(v) if x.floating(v) else None

        def below(b: Value) -> Value:
            less = x.compare("le" if self.right else "lt", b, v)
            if missing is None:
                return less
            late = missing if self.right else x.op("and", missing, x.op("fcmp ord", b, b, "b"))
            return x.op("or", less, late)

        size = SIZE[s.kind] * self.step
        if self.many <= FEW:
            single, found = Lanes(f, 1), zero
            for k in range(self.many):
                b = x.splat(single.widened(single.load(f.at(start, k * size), s.kind)))
                found = x.add(found, x.select(below(b), one, zero))
        else:
            found, left = zero, self.many
            while left > 1:
                half = left // 2
                middle = x.add(found, x.const(half, kind))
                b = self._picked(x, start, s.kind, x.sub(middle, one))
                found = x.select(below(b), middle, found)
                left -= half
            more = below(self._picked(x, start, s.kind, found))
            found = x.add(found, x.select(more, one, zero))
        own = kind_of(n)
        assert own is not None
        return x.cast(found, own)

    def _picked(self, x: Lanes, start: str, kind: str, at: Value) -> Value:
        """Of the sequence an element for each lane."""
        f, one = self.f, Lanes(self.f, 1)
        if x.width == 1 or kind in NARROW:
            parts = []
            for k in range(x.width):
                place = one.cast(x.lane(at, k), "i64").name
                parts.append(one.load(f.at(start, f.mul(place, self.step * SIZE[kind])), kind))
            return x.widened(x.join(parts))
        t, w = one.type(kind), x.width
        i = at if self.step == 1 else x.mul(at, x.const(self.step, "i32"))
        where = f.let(f"getelementptr {t}, ptr {start}, <{w} x i32> {i.name}")
        name = f"llvm.masked.gather.v{w}{kind.replace('u', 'i')}.v{w}p0"
        f.declare(f"<{w} x {t}>", name, f"<{w} x ptr>", "i32", f"<{w} x i1>", f"<{w} x {t}>")
        every = x.const(1, "b").name
        listed = f"<{w} x ptr> {where}, i32 {SIZE[kind]}, <{w} x i1> {every}"
        return Value(f.let(f"call <{w} x {t}> @{name}({listed}, <{w} x {t}> poison)"), kind)


class Search:
    """The emitter of `searchsorted`."""

    joins = True
    relocates = False
    constants = ()

    def accepts(self, n: Node) -> bool:
        """Any dtype but bool."""
        return kind_of(n.inputs[0]) not in (None, "b") and len(n.shape) > 0

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """One kernel."""
        kernel = SearchKernel(*args, guards=guards)
        kernel.build(width)
        return [kernel]
