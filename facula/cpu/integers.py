"""Products of matrices of integers, which wrap around: a few vectors of a row at a time."""

from __future__ import annotations

from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.domain import DomainKernel, load
from facula.cpu.kernels import Kernel, strides_in
from facula.cpu.product import Product
from facula.cpu.text import Index
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node

INTEGERS = ("i64", "i32", "i16", "i8", "u8")


class IntegerKernel(DomainKernel):
    """A product, and the pointwise operations that follow."""

    def prepare(self) -> None:
        """The operands as streams over the result, and their steps along what is summed."""
        n = self.cluster.core
        assert n is not None
        a, b = [self.places[i] for i in n.inputs]
        self.inner = a.shape[-1]
        left, right = strides_in(a, n.shape), strides_in(b, n.shape)
        left[-1] = right[-2] = 0
        self.along = (a.strides[-1], b.strides[-2])
        self.keys = [self.stream(p.base, p.offset, s) for p, s in ((a, left), (b, right))]
        self.work = self.inner

    def lanes(self, width: int) -> int:
        """Several vectors of a row."""
        return 4 * width

    def core(self, x: Lanes, column: Index) -> Value:
        """The loop over what is summed."""
        f, one = self.f, Lanes(self.f, 1)
        streams = [self.streams[key] for key in self.keys]
        kind = streams[0].kind
        size = SIZE[kind]
        starts = [f.at(s.pointer, f.mul(column, s.column * size)) for s in streams]
        first = x.const(0, kind)
        with f.loop(0, self.inner, carried=[(x.type(kind), first.name)], some=True) as k:
            factors = []
            for s, start, step in zip(streams, starts, self.along, strict=True):
                at = f.at(start, f.mul(k.index, step * size))
                if s.column:
                    factors.append(load(x, at, s.column * size, kind))
                else:
                    factors.append(x.splat(one.load(at, kind)))
            k.next = [x.add(Value(k.values[0], kind), x.mul(*factors)).name]
        return Value(k.values[0], kind)


class AnyProduct(Product):
    """The emitter of matrix products of floats and of integers."""

    def accepts(self, n: Node) -> bool:
        """All that has a product but 16-bit floats, which `widen` has in float32."""
        return super().accepts(n) or kind_of(n) in INTEGERS

    def kernels(
        self, args: Any, guards: dict[int, Any], width: int, loose: bool = False
    ) -> list[Kernel]:
        """One kernel."""
        if kind_of(args[0].core) not in INTEGERS:
            return super().kernels(args, guards, width, loose)
        kernel = IntegerKernel(*args, guards=guards)
        kernel.build(width)
        return [kernel]
