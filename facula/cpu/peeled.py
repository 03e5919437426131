"""Products of few columns: those elements of each row that `facula/summation.py` calls peeled."""

from __future__ import annotations

from facula.cpu.text import Function, Index
from facula.cpu.tiles import TileWriter
from facula.cpu.vector import Lanes, Value
from facula.summation import ALIGNED

TURN = 8  # of k, that one turn of the other loop does, in two halves
AT_ONCE = 8  # rows whose other sums are made at a time


class PeeledWriter(TileWriter):
    """Tiles of all columns of a row: between 5 and 11, in one piece in the right operand."""

    lined = True

    def _span(
        self, f: Function, rows: int, lanes: list[Lanes], offsets: list[int], count: Index
    ) -> list[Value]:
        """Sums over all of k, the first elements of some rows in the other order."""
        sums = super()._span(f, rows, lanes, offsets, count)
        columns = self.epilogue.core.shape[-1]
        x = lanes[0]
        for first in range(0, rows, AT_ONCE):
            some = range(first, min(rows, first + AT_ONCE))
            for i, other in zip(some, self._others(f, x, some), strict=True):
                # How many elements come before the first that is aligned, in a result whose rows
                # lie one after the other; none is apart where no four are left.
                begin = f.mul(f.add("%line", i), columns)
                before = f.let(f"and i64 {f.sub(0, begin)}, {ALIGNED - 1}")
                fits = f.let(f"icmp sle i64 {before}, {columns - ALIGNED}")
                before = f.let(f"select i1 {fits}, i64 {before}, i64 0")
                at = i * len(lanes)
                sums[at] = x.select(x.first(before), other, sums[at])
        return sums

    def _others(self, f: Function, x: Lanes, rows: range) -> list[Value]:
        """Sums of some rows in the first vector: of each eight of k the first four are added to the
        total one by one, and the sum of the last four at once."""
        kind, one = self.kind, Lanes(f, 1)
        load = Lanes(f, x.width) if self.packed else x
        main = self.k // TURN * TURN

        def products(at: Index) -> list[Value]:
            right = load.load(f.at("%b", f.mul(at, self.b_k)), kind)
            out = []
            for i in rows:
                p = f.at("%a", f.add(i * self.a_row, f.mul(at, self.a_k)))
                out.append(x.mul(x.splat(one.load(p, kind)), right))
            return out

        def added(a: list[Value], b: list[Value]) -> list[Value]:
            return [x.add(p, q) for p, q in zip(a, b, strict=True)]

        totals = [x.const(0, kind) for _ in rows]
        if main:
            carried = [(x.type(kind), v.name) for v in totals]
            with f.loop(0, main, TURN, carried, some=True) as loop:
                totals = [Value(v, kind) for v in loop.values]
                for u in range(TURN // 2):
                    totals = added(totals, products(f.add(loop.index, u)))
                half = products(f.add(loop.index, TURN // 2))
                for u in range(TURN // 2 + 1, TURN):
                    half = added(half, products(f.add(loop.index, u)))
                loop.next = [v.name for v in added(totals, half)]
            totals = [Value(v, kind) for v in loop.values]
        for at in range(main, self.k):
            totals = added(totals, products(at))
        return totals
