"""All steps of an LSTM's layer, and their gradient: see `facula/ops/recurrence.py`.

A unit is a few sequences, which go through all steps without waiting for others; their states lie
on the stack. How many steps and sequences there are, and how far apart they lie, is read from the
descriptor: the kernels of a layer are written once for all lengths and batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.domain import load
from facula.cpu.kernels import Kernel, fused
from facula.cpu.text import Index, NotCompiled
from facula.cpu.vector import SIZE, Lanes, Value
from facula.ops.recurrence import MOST, C, H
from facula.trace.node import Node

Put = Callable[[Lanes, int, Index, Value], None]
Begin = Callable[[Lanes, int, Index], Value]
VECTORS = 4  # of a product beside each other, for each of the sequences
MAX_TEXTS = 200
_texts: dict[Any, str] = {}


class _Layer(Kernel):
    """What both have in common."""

    def build(self, width: int) -> None:
        """Write the kernel; `width` is that of a vector of float32."""
        core = self.cluster.core
        assert core is not None
        n: Node = core
        kind = kind_of(n)
        assert kind is not None
        self.kind, self.size = kind, SIZE[kind]
        self.width = width if kind == "f32" else max(1, width // 2)
        self.together = 4 if width == 16 else 2  # sequences of a unit: what fits the registers
        _, steps, batch, units = (n if n.op.name == "lstm" else n.inputs[1]).shape
        self.n: int = units
        each = self.together if batch >= self.together else 1
        self.units = -(-batch // each)
        places = [self.places[i] for i in n.inputs]
        self.inner = [p.strides[-1] * self.size for p in places]
        self.bases = [self.origin(p.base, p.offset) for p in places]
        self.out = self.buffer(n)
        self.steps, self.batch = self.literal(steps), self.literal(batch)
        self.each = self.literal(each)
        self.apart = [[self.literal(s * self.size) for s in p.strides[:-1]] for p in places]
        # Operands that are one tensor are loaded once.
        key = (n.op.name, n.params, kind, self.n, width, *self.inner, *self.bases, *self.f.lines)
        text = _texts.get(key)
        if text is None:
            self.write()
            if len(_texts) >= MAX_TEXTS:
                _texts.clear()
            text = _texts[key] = self.text()
        self.written = text

    def write(self) -> None:
        """The loop over the units. Sequences at the end of the batch go one after the other."""
        f = self.f
        self.plane = f.mul(f.mul(self.steps, self.batch), self.n * self.size)
        self.line = f.mul(self.batch, self.n * self.size)  # from step to step of a result's plane
        self.reserve()
        with f.loop("%lo", "%hi") as unit:
            first = f.mul(unit.index, self.each)
            last = f.smaller(f.add(first, self.each), self.batch)
            whole = f.let(f"icmp sle i64 {f.add(first, self.together)}, {self.batch}")
            with f.when(whole):
                self.sequences(first, self.together)
            end = f.let(f"select i1 {whole}, i64 {first}, i64 {last}")
            with f.loop(first, end) as one:
                self.sequences(one.index, 1)

    def reserve(self) -> None:
        """Room on the stack."""
        raise NotImplementedError

    def sequences(self, first: Index, count: int) -> None:
        """All steps of some sequences."""
        raise NotImplementedError

    def rows(self, width: int = 1) -> str:
        """Room for so many times the units of each sequence."""
        return self.f.scratch(
            "double" if self.kind == "f64" else "float", self.together * width * self.n
        )

    def pieces(self, width: int = 1, vectors: int = 1) -> Iterator[tuple[Lanes, Index, int]]:
        """So many times the units, some vectors at a time: lanes, where they begin, how many
        vectors. What is done with the whole ones is written once."""
        f, at, w, end = self.f, 0, self.width, width * self.n
        while at < end:
            count = (end - at) // (w * vectors)
            if count > 1:
                with f.loop(at, at + count * w * vectors, w * vectors) as i:
                    yield Lanes(f, w), i.index, vectors
            elif count:
                yield Lanes(f, w), at, vectors
            at += count * w * vectors
            if vectors > 1:
                vectors = max(1, min(vectors - 1, (end - at) // w))
            else:
                w = max(1, w // 4)

    def near(self, pointer: str, *elements: Index) -> str:
        """A pointer so many elements further."""
        f = self.f
        for e in elements:
            pointer = f.at(pointer, f.mul(e, self.size))
        return pointer

    def far(self, k: int, *index: Index) -> str:
        """Where the last dimension of the k-th operand begins at an index of the others."""
        f, pointer = self.f, self.bases[k]
        for i, step in zip(index, self.apart[k], strict=True):
            pointer = f.at(pointer, f.mul(i, step))
        return pointer

    def read(self, x: Lanes, k: int, row: str, at: Index) -> Value:
        """Of a row of the k-th operand what begins at a position."""
        return load(x, self.f.at(row, self.f.mul(at, self.inner[k])), self.inner[k], self.kind)

    def copy(self, k: int, first: Index, count: int, to: str) -> None:
        """The k-th operand's rows of some sequences, onto the stack."""
        for r in range(count):
            row = self.far(k, self.f.add(first, r))
            for x, j, _ in self.pieces():
                x.store(self.read(x, k, row, j), self.near(to, r * self.n, j))

    def multiply(
        self, left: str, deep: int, right: int, wide: int, count: int, put: Put, begin: Begin
    ) -> None:
        """The products of rows on the stack, `deep` times the units each, with a matrix, the
        operand `right`, of `wide` times the units: what `begin` gives for a row, a position in it
        and lanes is added to, and `put` gets the sums."""
        f = self.f
        for x, j, many in self.pieces(wide, VECTORS * self.together // count):
            t = x.type(self.kind)
            places = [(r, f.add(j, v * x.width)) for v in range(many) for r in range(count)]
            first = [(t, begin(x, r, at).name) for r, at in places]
            with f.loop(0, deep * self.n, 1, first, some=True) as k:
                row = f.at(self.bases[right], f.mul(k.index, self.apart[right][0]))
                each = [
                    x.splat(
                        Lanes(f, 1).load(self.near(left, r * deep * self.n, k.index), self.kind)
                    )
                    for r in range(count)
                ]
                for v in range(many):
                    w = x.load(self.near(row, f.add(j, v * x.width)), self.kind)
                    for r in range(count):
                        acc = Value(k.values[v * count + r], self.kind)
                        k.next.append(fused(x, each[r], w, acc).name)
            for (r, at), name in zip(places, k.values, strict=True):
                put(x, r, at, Value(name, self.kind))


class Forward(_Layer):
    """`lstm`: the rows, the weight, the first states h and c, the weight transposed and dense."""

    def reserve(self) -> None:
        self.state, self.last, self.gates = self.rows(), self.rows(), self.rows(4)

    def sequences(self, first: Index, count: int) -> None:
        f, n = self.f, self.n
        self.copy(2, first, count, self.last)
        self.copy(3, first, count, self.state)
        with f.loop(0, self.steps, some=True) as t:
            given = [self.far(0, t.index, f.add(first, r)) for r in range(count)]

            def put(x: Lanes, r: int, at: Index, v: Value) -> None:
                x.store(v, self.near(self.gates, r * 4 * n, at))

            def begin(x: Lanes, r: int, at: Index) -> Value:
                return self.read(x, 0, given[r], at)

            self.multiply(self.last, 1, 4, 4, count, put, begin)
            here = f.at(f.at(self.out, f.mul(t.index, self.line)), f.mul(first, n * self.size))
            with f.times(count) as row:
                own = f.mul(row, n)
                for x, j, _ in self.pieces():
                    gates = self.near(self.gates, f.mul(own, 4), j)
                    z = [x.load(self.near(gates, k * n), self.kind) for k in range(4)]
                    i, u, o = [x.function("sigmoid", z[k]) for k in (0, 1, 3)]
                    g = x.function("tanh", z[2])
                    at = self.near(self.state, own, j)
                    c = fused(x, u, x.load(at, self.kind), x.mul(i, g))
                    h = x.mul(o, x.function("tanh", c))
                    x.store(c, at)
                    x.store(h, self.near(self.last, own, j))
                    to = self.near(here, own, j)
                    for v in (i, u, g, o, c, h):
                        x.store(v, to)
                        to = f.at(to, self.plane)


class Backward(_Layer):
    """`lstm_back`: the gradient, the result, the weight and the first c."""

    def reserve(self) -> None:
        self.by_h, self.by_c, self.first = self.rows(), self.rows(), self.rows()
        self.gates = self.rows(4)

    def sequences(self, first: Index, count: int) -> None:
        f, n, one = self.f, self.n, self.cluster.core
        assert one is not None
        whole = one.params != ("cell",)
        for x, j, _ in self.pieces():
            for r in range(count):
                for rows in (self.by_h, self.by_c):
                    x.store(x.const(0, self.kind), self.near(rows, r * n, j))
        self.copy(3, first, count, self.first)
        with f.loop(0, self.steps, some=True) as back:
            t = f.sub(f.sub(self.steps, 1), back.index)
            later = f.let(f"icmp sgt i64 {t}, 0")
            earlier = self.far(1, C, f.sub(t, 1), first)
            earlier = f.let(f"select i1 {later}, ptr {earlier}, ptr {self.first}")
            with f.times(count) as row:
                before = f.at(earlier, f.mul(row, n * self.size))
                self._gates(t, f.add(first, row), row, before, whole)

            def put(x: Lanes, r: int, at: Index, v: Value) -> None:
                x.store(v, self.near(self.by_h, r * n, at))

            self.multiply(self.gates, 4, 2, 1, count, put, lambda x, r, at: x.const(0, self.kind))
        if not whole:
            with f.times(count) as row:
                own = f.mul(row, n)
                to = self.near(self.out, f.mul(first, n), own)
                for x, j, _ in self.pieces():
                    x.store(x.load(self.near(self.by_c, own, j), self.kind), self.near(to, j))

    def _gates(self, t: Index, sequence: Index, r: Index, earlier: str, whole: bool) -> None:
        """The gradients of a step's gates, of one sequence."""
        f, n = self.f, self.n
        given = [self.far(0, k, t, sequence) for k in (C, H)]
        rows = [self.far(1, k, t, sequence) for k in range(C + 1)]
        to = self.near(self.out, f.mul(f.add(f.mul(t, self.batch), sequence), 4 * n))
        for x, j, _ in self.pieces():
            one = x.const(1, self.kind)

            def past(v: Value, s: Value, x: Lanes = x, one: Value = one) -> Value:
                return x.mul(v, x.mul(s, x.sub(one, s)))

            i, u, g, o, c = [self.read(x, 1, row, j) for row in rows]
            by_h, by_c = [self.near(a, f.mul(r, n), j) for a in (self.by_h, self.by_c)]
            up = x.add(self.read(x, 0, given[1], j), x.load(by_h, self.kind))
            a = x.function("tanh", c)
            through = fused(x, x.mul(up, o), fused(x, x.neg(a), a, one), x.load(by_c, self.kind))
            through = x.add(through, self.read(x, 0, given[0], j))
            before = x.load(self.near(earlier, j), self.kind)
            found = (
                past(x.mul(through, g), i),
                past(x.mul(through, before), u),
                x.mul(x.mul(through, i), fused(x, x.neg(g), g, one)),
                past(x.mul(up, a), o),
            )
            x.store(x.mul(through, u), by_c)
            for k, v in enumerate(found):
                x.store(v, self.near(self.gates, f.mul(r, 4 * n), f.add(j, k * n)))
                if whole:
                    x.store(v, self.near(to, f.add(j, k * n)))


class Recurrence:
    """The emitter of both."""

    joins = False
    relocates = True
    constants = ()

    def __init__(self, kernel: type[_Layer]) -> None:
        self.kernel = kernel

    def accepts(self, n: Node) -> bool:
        """Layers whose states fit on the stack."""
        return kind_of(n) in ("f32", "f64") and n.inputs[1].shape[-1] <= MOST and 0 not in n.shape

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """One kernel. NotCompiled where a weight or a result has gaps between its elements."""
        kernel = self.kernel(*args)
        n = args[0].core
        dense = (4,) if n.op.name == "lstm" else (1, 2)
        if any([args[1][n.inputs[k]].strides[-1] not in (0, 1) for k in dense]):
            raise NotCompiled("a weight whose rows have gaps")
        kernel.build(width)
        return [kernel]
