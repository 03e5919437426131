"""All steps of a recurrent layer, and their gradient: see `facula/ops/recurrence.py`.

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
from facula.ops.recurrence import CELLS, MOST, OPS
from facula.trace.node import Node

Put = Callable[[Lanes, int, Index, Value], None]
Begin = Callable[[Lanes, int, Index], Value]
VECTORS = 4  # of a product beside each other, for each of the sequences
MAX_TEXTS = 200
_texts: dict[Any, str] = {}


class _Layer(Kernel):
    """What all have in common."""

    mode: str
    forward: bool

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
        self.cell = CELLS[self.mode]
        _, steps, batch, units = (n if self.forward else n.inputs[1]).shape
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


class _Forward(_Layer):
    """The rows, the weight, the first h, the fourth operand, the weight transposed and dense."""

    forward = True

    def reserve(self) -> None:
        self.last, self.gates = self.rows(), self.rows(self.cell.gates)

    def begin(self, x: Lanes, given: str, at: Index) -> Value:
        """What the product of the state is added to: the bias."""
        return self.read(x, 3, self.far(3), at)

    def step(self, x: Lanes, z: list[Value], rows: str, own: Index, j: Index) -> tuple[Value, ...]:
        """The result's values for the units from j on, from their products and the row given: its
        h begins `own` elements behind the first."""
        raise NotImplementedError

    def sequences(self, first: Index, count: int) -> None:
        f, n, gates = self.f, self.n, self.cell.gates
        self.copy(2, first, count, self.last)
        with f.loop(0, self.steps, some=True) as t:
            given = [self.far(0, t.index, f.add(first, r)) for r in range(count)]

            def put(x: Lanes, r: int, at: Index, v: Value) -> None:
                x.store(v, self.near(self.gates, r * gates * n, at))

            def begin(x: Lanes, r: int, at: Index) -> Value:
                return self.begin(x, given[r], at)

            self.multiply(self.last, 1, 4, gates, count, put, begin)
            here = f.at(f.at(self.out, f.mul(t.index, self.line)), f.mul(first, n * self.size))
            with f.times(count) as row:
                own = f.mul(row, n)
                rows = self.far(0, t.index, f.add(first, row))
                for x, j, _ in self.pieces():
                    at = self.near(self.gates, f.mul(own, gates), j)
                    z = [x.load(self.near(at, k * n), self.kind) for k in range(gates)]
                    h = self.near(self.last, own, j)
                    values = self.step(x, z, rows, own, j)
                    x.store(values[-1], h)
                    to = self.near(here, own, j)
                    for v in values:
                        x.store(v, to)
                        to = f.at(to, self.plane)


class LSTMForward(_Forward):
    """`lstm`; the fourth operand is the first c."""

    mode = "LSTM"

    def reserve(self) -> None:
        super().reserve()
        self.state = self.rows()

    def sequences(self, first: Index, count: int) -> None:
        self.copy(3, first, count, self.state)
        super().sequences(first, count)

    def begin(self, x: Lanes, given: str, at: Index) -> Value:
        return self.read(x, 0, given, at)

    def step(self, x: Lanes, z: list[Value], rows: str, own: Index, j: Index) -> tuple[Value, ...]:
        i, u, o = [x.function("sigmoid", z[k]) for k in (0, 1, 3)]
        g = x.function("tanh", z[2])
        at = self.near(self.state, own, j)
        c = fused(x, u, x.load(at, self.kind), x.mul(i, g))
        x.store(c, at)
        return i, u, g, o, c, x.mul(o, x.function("tanh", c))


class GRUForward(_Forward):
    """`gru`; the fourth operand is the bias."""

    mode = "GRU"

    def step(self, x: Lanes, z: list[Value], rows: str, own: Index, j: Index) -> tuple[Value, ...]:
        given = [self.read(x, 0, rows, self.f.add(j, k * self.n)) for k in range(3)]
        r, u = [x.function("sigmoid", x.add(given[k], z[k])) for k in (0, 1)]
        g = x.function("tanh", fused(x, r, z[2], given[2]))
        h = x.load(self.near(self.last, own, j), self.kind)
        return r, u, g, z[2], fused(x, x.sub(h, g), u, g)


class TanhForward(_Forward):
    """`rnn_tanh`; the fourth operand is the bias."""

    mode = "RNN_TANH"

    def step(self, x: Lanes, z: list[Value], rows: str, own: Index, j: Index) -> tuple[Value, ...]:
        return (x.function("tanh", x.add(z[0], self.read(x, 0, rows, j))),)


class ReluForward(_Forward):
    """`rnn_relu`; the fourth operand is the bias."""

    mode = "RNN_RELU"

    def step(self, x: Lanes, z: list[Value], rows: str, own: Index, j: Index) -> tuple[Value, ...]:
        a, zero = x.add(z[0], self.read(x, 0, rows, j)), x.const(0, self.kind)
        return (x.select(x.compare("lt", a, zero), zero, a),)


class _Backward(_Layer):
    """The gradient of the states, the result, the weight, and the first of the first states."""

    forward = False

    def reserve(self) -> None:
        self.by = [self.rows() for _ in range(self.cell.states)]  # gradients of the states
        self.first = self.rows()
        self.gates = self.rows(self.cell.gates)

    def step(
        self, x: Lanes, up: list[Value], out: list[Value], before: Value
    ) -> tuple[list[Value], list[Value], list[Value]]:
        """From the gradients of the states, a step's result and the state before: the gradients of
        what the product is made of, those that become the result, and those of the states before
        but for the product."""
        raise NotImplementedError

    def sequences(self, first: Index, count: int) -> None:
        f, n, cell = self.f, self.n, self.cell
        for x, j, _ in self.pieces():
            for r in range(count):
                for rows in self.by:
                    x.store(x.const(0, self.kind), self.near(rows, r * n, j))
        self.copy(3, first, count, self.first)
        with f.loop(0, self.steps, some=True) as back:
            t = f.sub(f.sub(self.steps, 1), back.index)
            later = f.let(f"icmp sgt i64 {t}, 0")
            earlier = self.far(1, cell.planes - cell.states, f.sub(t, 1), first)
            earlier = f.let(f"select i1 {later}, ptr {earlier}, ptr {self.first}")
            with f.times(count) as row:
                before = f.at(earlier, f.mul(row, n * self.size))
                self._gates(t, f.add(first, row), row, before)
            by_h = self.by[-1]

            def put(x: Lanes, r: int, at: Index, v: Value) -> None:
                x.store(v, self.near(by_h, r * n, at))

            def begin(x: Lanes, r: int, at: Index) -> Value:
                return x.load(self.near(by_h, r * n, at), self.kind)

            self.multiply(self.gates, cell.gates, 2, 1, count, put, begin)
        with f.times(count) as row:
            to = self.row(self.steps, f.add(first, row))
            for x, j, _ in self.pieces():
                for k, rows in enumerate(self.by):
                    v = x.load(self.near(rows, f.mul(row, n), j), self.kind)
                    x.store(v, self.near(to, f.add(j, k * n)))

    def row(self, t: Index, sequence: Index) -> str:
        """Where a step's result begins."""
        f = self.f
        return self.near(
            self.out, f.mul(f.add(f.mul(t, self.batch), sequence), self.cell.wide * self.n)
        )

    def _gates(self, t: Index, sequence: Index, r: Index, earlier: str) -> None:
        """The gradients of a step's gates, of one sequence."""
        f, n, cell = self.f, self.n, self.cell
        given = [self.far(0, k, t, sequence) for k in range(cell.states)]
        rows = [self.far(1, k, t, sequence) for k in range(cell.planes)]
        to = self.row(t, sequence)
        for x, j, _ in self.pieces():
            by = [self.near(a, f.mul(r, n), j) for a in self.by]
            up = [
                x.add(self.read(x, 0, g, j), x.load(a, self.kind))
                for g, a in zip(given, by, strict=True)
            ]
            out = [self.read(x, 1, row, j) for row in rows]
            gates, found, left = self.step(x, up, out, x.load(self.near(earlier, j), self.kind))
            for v, at in zip(left, by, strict=True):
                x.store(v, at)
            for k, v in enumerate(gates):
                x.store(v, self.near(self.gates, f.mul(r, cell.gates * n), f.add(j, k * n)))
            for k, v in enumerate(found):
                x.store(v, self.near(to, f.add(j, k * n)))

    def past(self, x: Lanes, v: Value, s: Value) -> Value:
        """The gradient before a sigmoid whose result is s."""
        return x.mul(v, x.mul(s, x.sub(x.const(1, self.kind), s)))

    def below(self, x: Lanes, v: Value, a: Value) -> Value:
        """The gradient before a hyperbolic tangent whose result is a."""
        return x.mul(v, fused(x, x.neg(a), a, x.const(1, self.kind)))


class LSTMBackward(_Backward):
    """`lstm_back`."""

    mode = "LSTM"

    def step(
        self, x: Lanes, up: list[Value], out: list[Value], before: Value
    ) -> tuple[list[Value], list[Value], list[Value]]:
        i, u, g, o, c, _ = out
        by_c, by_h = up
        a = x.function("tanh", c)
        by_c = x.add(by_c, self.below(x, x.mul(by_h, o), a))
        found = [
            self.past(x, x.mul(by_c, g), i),
            self.past(x, x.mul(by_c, before), u),
            self.below(x, x.mul(by_c, i), g),
            self.past(x, x.mul(by_h, a), o),
        ]
        return found, found, [x.mul(by_c, u), x.const(0, self.kind)]


class GRUBackward(_Backward):
    """`gru_back`."""

    mode = "GRU"

    def step(
        self, x: Lanes, up: list[Value], out: list[Value], before: Value
    ) -> tuple[list[Value], list[Value], list[Value]]:
        r, u, g, q, _ = out
        (by_h,) = up
        by_g = self.below(x, x.mul(by_h, x.sub(x.const(1, self.kind), u)), g)
        by_q = x.mul(by_g, r)
        by_r = self.past(x, x.mul(by_g, q), r)
        by_u = self.past(x, x.mul(by_h, x.sub(before, g)), u)
        return [by_r, by_u, by_q], [by_q, by_r, by_u, by_g], [x.mul(by_h, u)]


class TanhBackward(_Backward):
    """`rnn_tanh_back`."""

    mode = "RNN_TANH"

    def step(
        self, x: Lanes, up: list[Value], out: list[Value], before: Value
    ) -> tuple[list[Value], list[Value], list[Value]]:
        found = [self.below(x, up[0], out[0])]
        return found, found, [x.const(0, self.kind)]


class ReluBackward(_Backward):
    """`rnn_relu_back`."""

    mode = "RNN_RELU"

    def step(
        self, x: Lanes, up: list[Value], out: list[Value], before: Value
    ) -> tuple[list[Value], list[Value], list[Value]]:
        zero = x.const(0, self.kind)
        found = [x.select(x.compare("le", out[0], zero), zero, up[0])]
        return found, found, [zero]


class Recurrence:
    """The emitter of all."""

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
        dense = (4,) if self.kernel.forward else (1, 2)
        if any([args[1][n.inputs[k]].strides[-1] not in (0, 1) for k in dense]):
            raise NotCompiled("a weight whose rows have gaps")
        kernel.build(width)
        return [kernel]


KERNELS: tuple[type[_Layer], ...] = (
    *(LSTMForward, LSTMBackward, GRUForward, GRUBackward),
    *(TanhForward, TanhBackward, ReluForward, ReluBackward),
)
RECURRENCES = {OPS[k.mode][0 if k.forward else 1].name: Recurrence(k) for k in KERNELS}
