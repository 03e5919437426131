"""Adding up the partial results that the units of a kernel leave."""

from __future__ import annotations

from facula.compiler.cluster import ALL, kind_of
from facula.cpu.kernels import Kernel
from facula.cpu.maps import MapKernel
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node


class CombineKernel(Kernel):
    """Adds the partial results of a reduction, column by column, in the order of the units."""

    def combine(self, n: Node, of: MapKernel, width: int) -> None:
        """Write the kernel for the reduction n, whose partial results `of` leaves."""
        f = self.f
        kind = kind_of(n)
        assert kind is not None
        size = SIZE[kind]
        step = of.partial_step(n)
        columns = 1 if self.cluster.level[n] == ALL else of.columns
        self.room = of.room
        source, target = self.buffer(n, "partial"), self.buffer(n)
        middle = columns // width * width
        for low, high, w in ((0, middle, width), (middle, columns, 1)):
            if low >= high:
                continue
            x = Lanes(f, w)
            with f.loop(low, high, w, some=True) as j:
                at = f.at(source, f.mul(j.index, size))
                total = x.load(at, kind)
                if of.units > 1:
                    first = [(x.type(kind), total.name)]
                    with f.loop(1, of.units, 1, first, some=True) as i:
                        v = x.load(f.at(at, f.mul(i.index, step * size)), kind)
                        i.next = [x.add(Value(i.values[0], kind), v).name]
                    total = Value(i.values[0], kind)
                x.store(total, f.at(target, f.mul(j.index, size)))
