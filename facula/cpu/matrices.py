"""Equations and factorisations of matrices: elimination with the largest pivot, Cholesky's factor,
reflections.

Small matrices of a batch are done side by side, each in a lane of its own. Of others one is done at
a time, with vectors along its rows. Either way a matrix is copied first; what is solved for stands
beside it in the same rows, so that exchanges of rows and subtractions go over both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from facula.compiler.cluster import kind_of
from facula.compiler.layout import Place
from facula.cpu.kernels import CHUNK, UNITS, Kernel, fused, merged, strides_in
from facula.cpu.strips import positions
from facula.cpu.text import Index
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node

# Rows of the largest matrices that are done so, by operation: NumPy's library multiplies blocks of
# larger ones, by all threads. What it has no function for is done here whatever its size.
LARGEST = {
    "cholesky": 160,
    "det": 256,
    "inverse": 160,
    "lu_factor": 1 << 20,
    "qr": 640,
    "slogdet": 256,
    "solve": 256,
}
PACKED = ("cholesky", "lu_factor", "qr", "slogdet")  # whose results lie one after the other
LARGEST_TRIANGLE = 4096  # which is solved with in the order of its rows
LEAST = 4  # matrices that are done side by side
SMALL = 1024  # elements of those, at most, with what is solved for
NEAR = 1 << 16  # bytes of a matrix that is copied to the stack, at most
CLASH = 512  # bytes
ACROSS = 4  # sums that are made together, for one waits for the other


class MatrixKernel(Kernel):
    """One operation on all matrices of a batch."""

    def build(self, width: int) -> None:
        """Write the kernel; `width` is that of a vector of float32."""
        n = self.cluster.core
        assert n is not None
        f, name = self.f, n.op.name
        kind = kind_of(n)
        assert kind is not None
        self.name, self.params, self.kind, self.size = name, n.params, kind, SIZE[kind]
        self.whole = "i32" if kind == "f32" else "i64"  # of numbers of rows
        self.rows, self.columns = n.inputs[0].shape[-2:]
        batch = n.shape[:-1] if name in PACKED else n.shape if name == "det" else n.shape[:-2]
        self.count = count = math.prod(batch)
        self.right = n.shape[-1] if name in ("solve", "inverse") else 0
        if name == "qr":  # the columns of Q
            whole = n.params == "complete"
            self.right = self.rows if whole else min(self.rows, self.columns)
        w = width if kind == "f32" else width // 2
        self.many = count >= LEAST and self.rows * (self.columns + self.right) <= SMALL
        if self.many:
            while w > count:
                w //= 2
            self.x = self.v = Lanes(f, w)
            self.step, self.unit, self.start = 1, w * self.size, self.columns
            self.end = self.columns + self.right
        else:
            while w > 1 and w // 2 >= max(self.columns, self.right):
                w //= 2
            self.x, self.v = Lanes(f, 1), Lanes(f, w)
            self.step, self.unit = w, self.size
            self.start = -(-self.columns // w) * w
            self.end = self.start + -(-self.right // w) * w
        self.ld = self.end
        if not self.many and self.ld * self.size % CLASH == 0:
            self.ld += w  # else elements of a column push each other out of the first cache
        groups = -(-count // w) if self.many else count
        work = self.rows * self.rows * self.end * (w if self.many else 1)
        per = max(-(-groups // UNITS), min(groups, CHUNK // work), 1)
        self.units = -(-groups // per)
        room = self.rows * self.ld * self.unit
        element = "float" if kind == "f32" else "double"
        shared = ""
        if room <= NEAR:
            self.base = f.scratch(element, room // self.size)
        else:
            self.room[("partial", n)] = groups * room
            shared = self.buffer(n, "partial")
        self.line = f.scratch(element, self.end) if not self.many else ""
        short = min(self.rows, self.columns) if name == "qr" else 1
        self.taus = f.scratch(element, short * self.unit // self.size)
        self.sources = [self._operand(i, batch) for i in n.inputs]
        self.target = self.buffer(n)
        self.group: list[Index] = []  # the matrices that are done together
        self.each = n.shape[-1] if name in PACKED else math.prod(n.shape) // count
        with f.loop("%lo", "%hi") as unit:
            low = f.mul(unit.index, per)
            with f.loop(low, f.smaller(f.add(low, per), groups)) as group:
                if shared:
                    self.base = f.at(shared, f.mul(group.index, room))
                self._group(group.index)

    def _operand(self, i: Node, batch: tuple[int, ...]) -> tuple[str, Any, int, int]:
        """Where an operand begins; the sizes and steps of its batch; those of rows and columns."""
        p: Place = self.places[i]
        steps = strides_in(p, (*batch, *i.shape[-2:]))
        sizes, (over,) = merged(list(batch), [steps[:-2]])
        origin = self.f.at(self.buffer(p.base), p.offset * self.size)
        return origin, (sizes, over), steps[-2], steps[-1]

    def _group(self, group: Index) -> None:
        f = self.f
        if self.many:
            w = self.x.width
            first = f.smaller(f.mul(group, w), self.count - w)
            self.group = [f.add(first, k) for k in range(w)]
        else:
            self.group = [group]
        self.targets = [f.at(self.target, f.mul(k, self.each * self.size)) for k in self.group]
        if self.name == "cholesky":
            self._fill(0, self.columns, 0, self.rows, turned=True)
            self._cholesky()
            return
        self._fill(0, self.columns, 0, self.rows)
        if self.name == "solve":
            self._fill(self.start, self.right, 1, self.rows)
        elif self.right:
            self._identity()
        if self.name == "qr":
            self._reflect()
            return
        if self.name == "solve" and self.params:
            self._substitute(*self.params)
            self._show(self.start, self.right)
            return
        sign, info = self._eliminate()
        if self.name in ("solve", "inverse"):
            self._substitute("upper")
            self._show(self.start, self.right)
        elif self.name == "lu_factor":
            self._show(0, self.columns)
            self._give(info, self.each - 1)
        else:
            self._determinant(sign)

    # Elements.
    def _from(self, j: Index) -> Index:
        """The first column of the vector in which column j is."""
        return j if self.many else self.f.let(f"and i64 {j}, {-self.step}")

    def _at(self, i: Index, j: Index) -> str:
        f = self.f
        return f.at(self.base, f.mul(f.add(f.mul(i, self.ld), j), self.unit))

    def _get(self, i: Index, j: Index) -> Value:
        return self.x.load(self._at(i, j), self.kind)

    def _put(self, v: Value, i: Index, j: Index) -> None:
        self.x.store(v, self._at(i, j))

    def _row(self, i: Index, j: Index) -> Value:
        """Elements of a row, from a column on."""
        return self.v.load(self._at(i, j), self.kind)

    def _splat(self, v: Value) -> Value:
        return v if self.many else self.v.splat(v)

    def _number(self, i: Index, kind: str) -> Value:
        """An index in each lane."""
        return self.x.splat(Lanes(self.f, 1).cast(Value(str(i), "i64"), kind))

    def _give(self, v: Value, at: Index) -> None:
        """Store a value at a place of each matrix's results."""
        one = Lanes(self.f, 1)
        for k, to in enumerate(self.targets):
            one.store(self.x.lane(v, k), self.f.at(to, self.f.mul(at, self.size)))

    # What is copied.
    def _fill(self, to: int, count: int, operand: int, rows: int, turned: bool = False) -> None:
        """Copy `count` columns of an operand to the column `to`, and zeros into what is left."""
        f, one, size = self.f, Lanes(self.f, 1), self.size
        origin, (sizes, over), down, along = self.sources[operand]
        if turned:
            down, along = along, down
        begins = []
        for k in self.group:
            rest, at = k, origin
            for m, s in zip(reversed(sizes), reversed(over), strict=True):
                at = f.at(at, f.mul(f.rem(rest, m), s * size))
                rest = f.div(rest, m)
            begins.append(at)
        whole = count // self.step * self.step if not self.many and along == 1 else 0
        zero = self.x.const(0, self.kind)
        with f.loop(0, rows, some=True) as i:
            here = [f.at(p, f.mul(i.index, down * size)) for p in begins]
            if whole:
                with f.loop(0, whole, self.step, some=True) as c:
                    v = self.v.load(f.at(here[0], f.mul(c.index, size)), self.kind)
                    self.v.store(v, self._at(i.index, f.add(c.index, to)))
            if whole < count:
                with f.loop(whole, count, some=True) as c:
                    at_c = f.mul(c.index, along * size)
                    v = self.x.join([one.load(f.at(p, at_c), self.kind) for p in here])
                    self._put(v, i.index, f.add(c.index, to))
            end = -(-count // self.step) * self.step
            if count < end:
                with f.loop(count, end, some=True) as c:
                    self._put(zero, i.index, f.add(c.index, to))

    def _identity(self) -> None:
        f, x = self.f, self.x
        none = x.const(0, self.kind)
        with f.loop(0, self.rows, some=True) as i, f.loop(self.start, self.end, some=True) as c:
            self._put(none, i.index, c.index)
        with f.loop(0, min(self.rows, self.right), some=True) as i:
            self._put(x.const(1, self.kind), i.index, f.add(i.index, self.start))

    def _show(self, first: int, count: int) -> None:
        """Give columns of the matrix as the first of the results."""
        f = self.f
        whole = 0 if self.many else count // self.step * self.step
        with f.loop(0, self.rows, some=True) as i:
            at = f.mul(i.index, count)
            if whole:
                with f.loop(0, whole, self.step, some=True) as c:
                    v = self._row(i.index, f.add(c.index, first))
                    to = f.at(self.targets[0], f.mul(f.add(at, c.index), self.size))
                    self.v.store(v, to)
            if whole < count:
                with f.loop(whole, count, some=True) as c:
                    self._give(self._get(i.index, f.add(c.index, first)), f.add(at, c.index))

    # Elimination.
    def _eliminate(self) -> tuple[Value, Value]:
        """The factors in the place of the matrix, rows exchanged: the lower one below the diagonal.
        Returns the sign of the permutation and the first pivot that is zero, counted from 1."""
        f, x, kind = self.f, self.x, self.kind
        carried = [(x.type(kind), x.const(k, kind).name) for k in (1, 0)]
        with f.loop(0, min(self.rows, self.columns), 1, carried, some=True) as step:
            j = step.index
            sign, info = (Value(v, kind) for v in step.values)
            if self.name != "lu_factor" or self.params:
                at = self._pivot(j)
                self._exchange(j, at)
                moved = x.compare("ne", at, self._number(j, self.whole))
                sign = x.select(moved, x.neg(sign), sign)
            else:
                at = self._number(j, self.whole)
            if self.name == "lu_factor":
                number = x.cast(x.add(at, x.const(1, self.whole)), kind)
                self._give(number, f.add(j, self.rows * self.columns))
            d = self._get(j, j)
            zero = x.compare("eq", d, x.const(0, kind))
            first = x.op("and", zero, x.compare("eq", info, x.const(0, kind)))
            info = x.select(first, self._number(f.add(j, 1), kind), info)
            # What is solved for is not finite where a pivot is zero: the caller looks for that.
            by = d if self.right else x.select(zero, x.const(1, kind), d)
            low = self._below(j)
            with f.loop(f.add(j, 1), self.rows) as i:
                factor = x.div(self._get(i.index, j), by)
                self._subtract(i.index, factor, j, low)
                self._put(factor, i.index, j)
            step.next = [sign.name, info.name]
        return Value(step.values[0], kind), Value(step.values[1], kind)

    def _pivot(self, j: Index) -> Value:
        """The row of the largest element of a column from row j on, the first of equal ones."""
        f, x = self.f, self.x
        best, at = x.intrinsic("fabs", self._get(j, j)), self._number(j, self.whole)
        carried = [(x.type(self.kind), best.name), (x.type(self.whole), at.name)]
        with f.loop(f.add(j, 1), self.rows, 1, carried) as i:
            v = x.intrinsic("fabs", self._get(i.index, j))
            best, at = Value(i.values[0], self.kind), Value(i.values[1], self.whole)
            better = x.compare("gt", v, best)
            own = self._number(i.index, self.whole)
            i.next = [x.select(better, v, best).name, x.select(better, own, at).name]
        return Value(i.values[1], self.whole)

    def _exchange(self, j: Index, at: Value) -> None:
        """Exchange row j with another one, which may be another in each lane."""
        f, x = self.f, self.x
        if not self.many:
            other = Lanes(f, 1).cast(at, "i64").name
            with f.loop(0, self.end, self.step, some=True) as c:
                a, b = self._row(j, c.index), self._row(other, c.index)
                self.v.store(b, self._at(j, c.index))
                self.v.store(a, self._at(other, c.index))
            return
        with f.loop(f.add(j, 1), self.rows) as i:
            hit = x.compare("eq", at, self._number(i.index, self.whole))
            with f.when(x.some(hit)), f.loop(0, self.end, some=True) as c:
                a, b = self._get(j, c.index), self._get(i.index, c.index)
                self._put(x.select(hit, b, a), j, c.index)
                self._put(x.select(hit, a, b), i.index, c.index)

    def _below(self, j: Index) -> Index:
        """The column from which on row j is subtracted. Of a single matrix it is the first of a
        vector: row j is copied with zeros in the columns up to j."""
        f, v = self.f, self.v
        if self.many:
            return f.add(j, 1)
        low = self._from(j)
        after = v.compare("gt", positions(v, low, 1), positions(v, j, 0))
        masked = v.select(after, self._row(j, low), v.const(0, self.kind))
        v.store(masked, f.at(self.line, f.mul(low, self.size)))
        with f.loop(f.add(low, self.step), self.end, self.step) as c:
            v.store(self._row(j, c.index), f.at(self.line, f.mul(c.index, self.size)))
        return low

    def _subtract(self, i: Index, factor: Value, j: Index, low: Index) -> None:
        """Subtract a multiple of row j from row i."""
        f, v = self.f, self.v
        minus = self._splat(self.x.neg(factor))
        with f.loop(low, self.end, self.step) as c:
            if self.many:
                other = self._row(j, c.index)
            else:
                other = v.load(f.at(self.line, f.mul(c.index, self.size)), self.kind)
            new = fused(v, minus, other, self._row(i, c.index))
            v.store(new, self._at(i, c.index))

    def _substitute(self, triangle: str) -> None:
        """Solve with a triangle: the upper one from the last row on, the lower from the first."""
        f, v, n = self.f, self.v, self.columns
        with f.loop(0, n, some=True) as turn:
            upper = triangle == "upper"
            i = f.sub(n - 1, turn.index) if upper else turn.index
            d = self._splat(self._get(i, i))
            with f.loop(self.start, self.end, self.step, some=True) as c:
                low, high = (f.add(i, 1), n) if upper else (0, i)
                total = self._less(i, c.index, low, high)
                v.store(v.div(total, d), self._at(i, c.index))

    def _less(self, i: Index, c: Index, low: Index, high: Index) -> Value:
        """Elements of row i from column c on, less the rows between by their factors."""

        def term(k: Index, total: str) -> str:
            minus = self._splat(self.x.neg(self._get(i, k)))
            return fused(self.v, minus, self._row(k, c), Value(total, self.kind)).name

        return self._summed(self._row(i, c), low, high, term)

    def _summed(
        self, first: Value, low: Index, high: Index, term: Callable[[Index, str], str]
    ) -> Value:
        """`first` with a term for each index between, several sums at a time."""
        f, v, t = self.f, self.v, self.v.type(self.kind)
        zero = v.const(0, self.kind).name
        middle = f.add(low, f.let(f"and i64 {f.sub(high, low)}, {-ACROSS}"))
        carried = [(t, first.name), *[(t, zero)] * (ACROSS - 1)]
        with f.loop(low, middle, ACROSS, carried) as k:
            k.next = [term(f.add(k.index, m), total) for m, total in enumerate(k.values)]
        sums = [Value(x, self.kind) for x in k.values]
        while len(sums) > 1:
            sums = [v.add(a, b) for a, b in zip(sums[::2], sums[1::2], strict=True)]
        with f.loop(middle, high, 1, [(t, sums[0].name)]) as k:
            k.next = [term(k.index, k.values[0])]
        return Value(k.values[0], self.kind)

    def _determinant(self, sign: Value) -> None:
        """The product of the diagonal; or its sign and the logarithm of its size."""
        f, x, kind = self.f, self.x, self.kind
        if self.name == "det":
            with f.loop(0, self.rows, 1, [(x.type(kind), sign.name)], some=True) as j:
                j.next = [x.mul(Value(j.values[0], kind), self._get(j.index, j.index)).name]
            self._give(Value(j.values[0], kind), 0)
            return
        carried = [(x.type(kind), sign.name), (x.type(kind), x.const(0, kind).name)]
        with f.loop(0, self.rows, 1, carried, some=True) as j:
            d, (before, log) = self._get(j.index, j.index), j.values
            negative = x.compare("lt", d, x.const(0, kind))
            turned = x.select(negative, x.neg(Value(before, kind)), Value(before, kind))
            gone = x.compare("eq", d, x.const(0, kind))
            turned = x.select(gone, x.const(0, kind), turned)
            size = x.function("log", x.intrinsic("fabs", d))
            j.next = [turned.name, x.add(Value(log, kind), size).name]
        self._give(Value(j.values[0], kind), 0)
        self._give(Value(j.values[1], kind), 1)

    # Reflections.
    def _reflect(self) -> None:
        """Householder's: of each column what is below the diagonal is made zero, by a reflection
        that is then done, in the other order, to the columns of one. The signs are LAPACK's."""
        f, x, kind, m, n = self.f, self.x, self.kind, self.rows, self.columns
        count = min(m, n)
        with f.loop(0, count, some=True) as step:
            j, none, one = step.index, x.const(0, kind), x.const(1, kind)
            alpha, low = self._get(j, j), f.add(step.index, 1)
            below, own = self._squares(j, low), x.cast(alpha, "f64")
            flat = x.compare("eq", below, x.const(0, "f64"))
            size = x.cast(x.intrinsic("sqrt", fused(x, own, own, below)), kind)
            sign = x.compare("lt", alpha, none)
            beta = x.select(flat, alpha, x.select(sign, size, x.neg(size)))
            safe = x.select(flat, one, beta)
            tau = x.select(flat, none, x.div(x.sub(beta, alpha), safe))
            by = x.div(one, x.select(flat, one, x.sub(alpha, beta)))
            x.store(tau, f.at(self.taus, f.mul(j, self.unit)))
            with f.loop(low, m) as i:
                self._put(x.mul(self._get(i.index, j), by), i.index, j)
            self._put(beta, j, j)
            self._mirror(j, tau, low, f.add(j, 1), self.columns)
        with f.loop(0, count, some=True) as turn:
            last = f.sub(count - 1, turn.index)
            tau = x.load(f.at(self.taus, f.mul(last, self.unit)), kind)
            self._mirror(last, tau, f.add(last, 1), self.start, self.end)
        self._show(self.start, self.right)
        first, height = m * self.right, m if self.right == m else count
        with f.loop(0, height, some=True) as i, f.loop(0, n, some=True) as c:
            inside = f.let(f"icmp sle i64 {i.index}, {c.index}")
            here = x.splat(Value(inside, "b"))
            v = x.select(here, self._get(i.index, c.index), x.const(0, kind))
            self._give(v, f.add(f.mul(i.index, n), f.add(c.index, first)))

    def _squares(self, j: Index, low: Index) -> Value:
        """The sum of the squares of a column below the diagonal, in float64."""
        f, x, t = self.f, self.x, self.x.type("f64")
        with f.loop(low, self.rows, 1, [(t, x.const(0, "f64").name)]) as i:
            v = x.cast(self._get(i.index, j), "f64")
            i.next = [fused(x, v, v, Value(i.values[0], "f64")).name]
        return Value(i.values[0], "f64")

    def _mirror(self, j: Index, tau: Value, low: Index, first: Index, end: int) -> None:
        """Reflect columns by what lies in column j below its diagonal, and one on it."""
        f, v, kind = self.f, self.v, self.kind
        minus = self._splat(self.x.neg(tau))
        inside = not isinstance(first, int)  # of the matrix itself: after column j
        begin = first if not inside or self.many else self._from(first)
        with f.loop(begin, end, self.step) as c:
            total = self._plus(j, c.index, low)
            if inside and not self.many:
                after = v.compare("gt", positions(v, c.index, 1), positions(v, j, 0))
                total = v.select(after, total, v.const(0, kind))
            total = v.mul(minus, total)
            v.store(v.add(self._row(j, c.index), total), self._at(j, c.index))
            with f.loop(low, self.rows) as i:
                by = self._splat(self._get(i.index, j))
                new = fused(v, by, total, self._row(i.index, c.index))
                v.store(new, self._at(i.index, c.index))

    def _plus(self, j: Index, c: Index, low: Index) -> Value:
        """Row j from column c on, with the rows below it by the elements of column j."""

        def term(i: Index, total: str) -> str:
            by = self._splat(self._get(i, j))
            return fused(self.v, by, self._row(i, c), Value(total, self.kind)).name

        return self._summed(self._row(j, c), low, self.rows, term)

    # Cholesky.
    def _cholesky(self) -> None:
        """The lower factor, whose columns are the rows here; what is on the other side is not
        read. From the first column on whose minor is not positive, all is zero."""
        f, x, v, kind, n = self.f, self.x, self.v, self.kind, self.rows
        none = x.const(0, kind)
        with f.loop(0, n, 1, [(x.type(kind), none.name)], some=True) as step:
            j, info = step.index, Value(step.values[0], kind)
            d = self._get(j, j)
            bad = x.op("xor", x.compare("gt", d, none), x.const(1, "b"))
            first = x.op("and", bad, x.compare("eq", info, none))
            info = x.select(first, self._number(f.add(j, 1), kind), info)
            root = x.intrinsic("sqrt", x.select(bad, x.const(1, kind), d))
            by = self._splat(root)
            with f.loop(self._from(j), self.end, self.step) as c:
                v.store(v.div(self._row(j, c.index), by), self._at(j, c.index))
            with f.loop(f.add(j, 1), n) as i:
                minus = self._splat(x.neg(self._get(j, i.index)))
                with f.loop(self._from(i.index), self.end, self.step) as c:
                    old = self._row(i.index, c.index)
                    new = fused(v, minus, self._row(j, c.index), old)
                    v.store(new, self._at(i.index, c.index))
            step.next = [info.name]
        info = Value(step.values[0], kind)
        fine = x.compare("eq", info, none)
        with f.loop(0, n, some=True) as i, f.loop(0, n, some=True) as c:
            inside = x.compare("lt", self._number(c.index, kind), x.sub(info, x.const(1, kind)))
            here = x.op("or", fine, inside)
            below = f.let(f"icmp sle i64 {c.index}, {i.index}")
            here = x.op("and", here, x.splat(Value(below, "b")))
            value = x.select(here, self._get(c.index, i.index), none)
            self._give(value, f.add(f.mul(i.index, n), c.index))
        self._give(info, n * n)


class Matrices:
    """The emitter of what is done to matrices."""

    joins = False
    relocates = False
    constants = ()

    def accepts(self, n: Node) -> bool:
        """Real matrices up to a size."""
        kinds = {kind_of(i) for i in n.inputs} | {kind_of(n)}
        if kinds not in ({"f32"}, {"f64"}) or 0 in n.shape:
            return False
        largest = LARGEST_TRIANGLE if n.op.name == "solve" and n.params else LARGEST[n.op.name]
        return max(n.inputs[0].shape[-2:]) <= largest

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """One kernel."""
        kernel = MatrixKernel(*args)
        kernel.build(width)
        return [kernel]
