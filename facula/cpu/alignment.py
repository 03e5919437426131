"""The forward variables of alignments, and their gradient: see `facula/ops/ctc.py`.

A unit is a sequence. What a step reads of its neighbours lies in rows on the stack, with two states
more than there are, so that no state is a case of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.domain import load
from facula.cpu.kernels import STACK, Kernel
from facula.cpu.text import Index
from facula.cpu.vector import SIZE, Lanes, Value
from facula.ops.ctc import IMPOSSIBLE
from facula.trace.node import Node

BEYOND = 2  # states more that a row has


class _Steps(Kernel):
    """What both have in common: (steps, sequences, states), and a plan."""

    def build(self, width: int) -> None:
        """Write the kernel; `width` is that of a vector of float32."""
        n = self.cluster.core
        assert n is not None
        f = self.f
        kind = kind_of(n)
        assert kind is not None
        self.kind, self.size, self.width = kind, SIZE[kind], width
        self.steps, self.units, self.states = n.shape
        given = [self.places[i] for i in n.inputs]
        self.rows = [(f.at(self.buffer(p.base), p.offset * self.size), p) for p in given[:-1]]
        plan = given[-1]
        start = f.at(self.buffer(plan.base), plan.offset * 8)
        out = self.buffer(n)
        with f.loop("%lo", "%hi") as unit:
            row = f.at(start, f.mul(unit.index, plan.strides[0] * 8))
            count = Lanes(f, 1).load(row, "i64").name
            self.count = f.smaller(f.larger(count, 0), self.steps)
            self.skips, self.skip_step = f.at(row, plan.strides[1] * 8), plan.strides[1] * 8
            self.out = f.at(out, f.mul(unit.index, self.states * self.size))
            self.begins = [
                f.at(q, f.mul(unit.index, p.strides[1] * self.size)) for q, p in self.rows
            ]
            self.sequence()

    def sequence(self) -> None:
        """All steps of one sequence."""
        raise NotImplementedError

    def row(self) -> str:
        """Room for the states and what is beyond them."""
        return self.f.scratch("double" if self.kind == "f64" else "float", self.states + BEYOND)

    def each(self, body: Callable[[Lanes, Index], None]) -> None:
        """Go through the states, several at a time."""
        f, at, w = self.f, 0, self.width
        while at < self.states:
            count = (self.states - at) // w
            if count:
                with f.loop(at, at + count * w, w) as i:
                    body(Lanes(f, w), i.index)
            at += count * w
            w = max(1, w // 4)

    def read(self, x: Lanes, k: int, t: Index, s: Index) -> Value:
        """Of the k-th operand the states from s on at a step."""
        f, p = self.f, self.rows[k][1]
        step = p.strides[2] * self.size
        at = f.at(self.begins[k], f.mul(t, p.strides[0] * self.size))
        return load(x, f.at(at, f.mul(s, step)), step, self.kind)

    def result(self, t: Index, s: Index) -> str:
        """Where the states from s on are in the result."""
        f = self.f
        at = f.at(self.out, f.mul(t, self.units * self.states * self.size))
        return f.at(at, f.mul(s, self.size))

    def near(self, x: Lanes, row: str, s: Index, by: int = 0) -> Value:
        """Of a row on the stack the states from s on, or from some further."""
        return x.load(self.f.at(row, self.f.mul(self.f.add(s, by), self.size)), self.kind)

    def put(self, x: Lanes, v: Value, row: str, s: Index, by: int = 0) -> None:
        x.store(v, self.f.at(row, self.f.mul(self.f.add(s, by), self.size)))

    def may_skip(self, x: Lanes, s: Index) -> Value:
        """Which states may follow the last but one."""
        at = self.f.at(self.skips, self.f.mul(s, self.skip_step))
        return x.compare("ne", load(x, at, self.skip_step, "i64"), x.const(0, "i64"))


class Forward(_Steps):
    """`ctc_alpha`."""

    def sequence(self) -> None:
        f, one = self.f, Lanes(self.f, 1)
        first, second = self.row(), self.row()
        for row in (first, second):
            for s in range(BEYOND):
                self.put(one, one.const(IMPOSSIBLE, self.kind), row, s)

        def begin(x: Lanes, s: Index) -> None:
            self.put(x, x.const(IMPOSSIBLE, self.kind), first, s, BEYOND)

        self.each(begin)
        self.put(one, one.const(0, self.kind), first, 0, BEYOND)
        with f.loop(0, self.count, carried=[("ptr", first), ("ptr", second)]) as t:
            before, after = t.values

            def step(x: Lanes, s: Index) -> None:
                never = x.const(IMPOSSIBLE, self.kind)
                a, b, c = [self.near(x, before, s, BEYOND - k) for k in range(3)]
                c = x.select(self.may_skip(x, s), c, never)
                most = x.maximum(x.maximum(a, b), c)
                parts = [x.function("exp", x.sub(v, most)) for v in (a, b, c)]
                total = x.function("log", x.add(x.add(parts[0], parts[1]), parts[2]))
                v = x.add(x.add(most, total), self.read(x, 0, t.index, s))
                v = x.maximum(v, never)
                self.put(x, v, after, s, BEYOND)
                x.store(v, self.result(t.index, s))

            self.each(step)
            t.next = [after, before]
        last = t.values[0]
        with f.loop(self.count, self.steps) as t:
            self.each(lambda x, s: x.store(self.near(x, last, s, BEYOND), self.result(t.index, s)))


class Backward(_Steps):
    """`ctc_alpha_back`: operands are what is given back, the variables and the scores."""

    def sequence(self) -> None:
        f, one = self.f, Lanes(self.f, 1)
        after, here, skipped, summed = [self.row() for _ in range(4)]
        zero = one.const(0, self.kind)
        for row in (here, skipped, summed):
            for s in range(BEYOND):
                self.put(one, zero, row, self.states, s)
        self.each(lambda x, s: self.put(x, x.const(0, self.kind), after, s))
        with f.loop(self.count, self.steps) as back:

            def behind(x: Lanes, s: Index) -> None:
                v = x.add(self.near(x, after, s), self.read(x, 0, back.index, s))
                self.put(x, v, after, s)
                x.store(x.const(0, self.kind), self.result(back.index, s))

            self.each(behind)
        with f.loop(0, self.count) as i:
            t = f.sub(f.sub(self.count, 1), i.index)

            def gather(x: Lanes, s: Index) -> None:
                v = x.add(self.near(x, after, s), self.read(x, 0, t, s))
                x.store(v, self.result(t, s))
                self.put(x, v, here, s)
                self.put(x, x.select(self.may_skip(x, s), v, x.const(0, self.kind)), skipped, s)
                self.put(x, x.sub(self.read(x, 1, t, s), self.read(x, 2, t, s)), summed, s)

            self.each(gather)
            with f.when(f.let(f"icmp sgt i64 {t}, 0")):
                earlier = f.sub(t, 1)

                def spread(x: Lanes, s: Index) -> None:
                    before, total = self.read(x, 1, earlier, s), None
                    for k, row in enumerate((here, here, skipped)):
                        gap = x.sub(before, self.near(x, summed, s, k))
                        share = x.function("exp", x.minimum(gap, x.const(0, self.kind)))
                        part = x.mul(self.near(x, row, s, k), share)
                        total = part if total is None else x.add(total, part)
                    assert total is not None
                    self.put(x, total, after, s)

                self.each(spread)


class Alignment:
    """The emitter of both."""

    joins = False
    relocates = False
    constants = ()

    def __init__(self, kernel: type[_Steps]) -> None:
        self.kernel = kernel

    def accepts(self, n: Node) -> bool:
        """Rows of states that fit on the stack."""
        return kind_of(n) in ("f32", "f64") and n.shape[-1] <= STACK // 4

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """One kernel."""
        kernel = self.kernel(*args)
        kernel.build(width)
        return [kernel]
