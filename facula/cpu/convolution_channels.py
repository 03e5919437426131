"""Convolutions with output channels in the lanes: padding costs nothing.

A tile is some neighbouring positions of a row, in some images, times some vectors of channels. It
adds up in registers over the channels of the input and over the taps that are inside for its row;
for each tap only the positions take part that it finds inside. Inputs are read where they lie, one
element for all lanes; weights are copied so that those of one tap lie side by side. A unit keeps
its sums as (position, channel) and turns them at the end, so what follows finds positions in the
lanes, as after any other convolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.blocking import ZEN, core
from facula.cpu.convolution_plan import UNITS, WORK, Problem, parts
from facula.cpu.following import Following
from facula.cpu.kernels import Kernel, fused
from facula.cpu.packing import turn, turn_rows
from facula.cpu.text import Function, Index
from facula.cpu.vector import SIZE, Lanes, Value

KEPT = 256 * 1024  # bytes of sums that a unit keeps on the stack
WEIGHTS = 96 * 1024  # bytes of copied weights, likewise
PRODUCTS = 160  # of a tile's innermost block; among more, LLVM moves loads until it spills
FAR = 4  # bytes a cycle of weights that no near cache holds, which are read from many rows at once
ACROSS = 8  # taps of a row, at most


@dataclass(frozen=True)
class Tile:
    """Positions `first` to `first + width` of a row: for each tap those that it finds inside."""

    first: int
    width: int
    inside: tuple[tuple[int, int], ...]  # for each tap, from the first position of the tile on


@dataclass(frozen=True)
class ChannelPlan:
    """One way to compute a problem."""

    problem: Problem
    lanes: int
    item: int
    vectors: int  # of channels, of a tile and of a unit
    images: int  # of a tile
    tiles: tuple[Tile, ...]
    part: int  # channels that are added up at a time
    many: int  # images of a unit
    rows: int
    counts: tuple[int, int]  # units along the images and the rows

    @property
    def own(self) -> int:
        """Output channels of a unit."""
        return self.vectors * self.lanes

    @property
    def owners(self) -> int:
        """Units that share the output channels of a group."""
        return -(-self.problem.co // self.own)

    @property
    def units(self) -> int:
        return self.problem.groups * self.owners * math.prod(self.counts)

    @property
    def positions(self) -> int:
        """Positions of a unit in one image."""
        return self.rows * self.problem.axes[2].grid

    @property
    def taps(self) -> int:
        return self.problem.count((0, 0, 0))

    @property
    def kept(self) -> int:
        """Bytes of sums that a unit keeps."""
        return self.many * self.positions * self.own * self.item

    @property
    def copied(self) -> int:
        """Bytes of weights that a unit copies at a time."""
        return self.part * self.taps * self.own * self.item

    def cost(self) -> float:
        """Cycles of one core, roughly, in the terms of `convolution_plan.Plan.cost`."""
        p, v = self.problem, self.vectors
        y = p.axes[1]
        slow = 0.5 if core() is ZEN else 1.0  # an element for all lanes takes half a vector's time
        rows = sum([high - low for low, high in valid_rows(y)]) / y.grid
        groups, left = divmod(self.many, self.images)

        def step(images: int) -> float:
            total = 0.0
            for tile in self.tiles:
                for low, high in tile.inside:
                    n = images * max(0, high - low)
                    total += max(n * v / 2, (slow * n + 1.5 * v) / 2, 4.0) + 0.02 * (n + v)
            return total

        each = groups * step(self.images) + (step(left) if left else 0.0)
        calls = (groups + (left > 0)) * len(self.tiles) * self.rows * -(-p.ci // self.part)
        compute = each * rows * self.rows * p.ci + calls * 50
        kept = self.many * self.positions * v
        compute += kept * (-(-p.ci // self.part)) * 2
        compute += kept * 8  # turned
        compute += p.ci * self.taps * v * 7  # weights copied
        # They come once for each block of positions: out of memory, sixteen rows at a time.
        weights = p.ci * self.taps * self.own * self.item
        compute += weights / (FAR if weights * self.owners * p.groups > 1 << 20 else 40)
        return compute * self.units * (1 + 1 / self.units)


def valid_rows(axis: Any) -> list[tuple[int, int]]:
    """For each grid position the taps that are inside, of those ordered by offset."""
    offsets = sorted([e for _, e in axis.phases[0]])
    out = []
    for q in range(axis.grid):
        good = [k for k, e in enumerate(offsets) if 0 <= q * axis.step + e < axis.size]
        out.append((good[0], good[-1] + 1) if good else (0, 0))
    return out


def _tile(axis: Any, first: int, width: int) -> Tile:
    inside = []
    for _, e in axis.phases[0]:
        good = [j for j in range(width) if 0 <= (first + j) * axis.step + e < axis.size]
        inside.append((good[0], good[-1] + 1) if good else (0, 0))
    return Tile(first, width, tuple(inside))


def suits(p: Problem, lanes: int) -> bool:
    """Whether these kernels can compute a problem."""
    z, y, x = p.axes
    flat = z.grid == z.size == 1 and [e for t in z.phases for _, e in t] == [0]
    kw = len(x.phases[0])
    side_by_side = p.w_steps[5] == 1 and (p.w_steps[4] == kw or len(y.phases[0]) == 1)
    return (
        flat
        and len(p.phases) == 1
        and (side_by_side if kw * len(y.phases[0]) > 1 else p.w_steps[2] == 1)
        and p.co * 2 > lanes
        and y.grid * x.grid >= lanes
        and kw <= ACROSS
    )


@lru_cache(512)
def _cuts(grid: int, width: int) -> tuple[tuple[int, int], ...]:
    """A row in nearly equal pieces of at most `width`: where each begins, and its width."""
    each, more = divmod(grid, -(-grid // width))
    edges = [0]
    while edges[-1] < grid:
        edges.append(edges[-1] + each + (len(edges) <= more))
    return tuple([(a, b - a) for a, b in pairwise(edges)])


def candidates(p: Problem, lanes: int, item: int, registers: int) -> list[ChannelPlan]:
    """Plans that are possible."""
    if not suits(p, lanes):
        return []
    _, y, x = p.axes
    taps, kw = p.count((0, 0, 0)), len(x.phases[0])
    total = taps * p.ci * p.co * p.groups * p.images * y.grid * x.grid
    target = max(1, min(UNITS, total // WORK))
    blocks = -(-p.co // lanes)
    out = []
    for v in range(1, 7):
        if blocks % v:
            continue
        most = min((registers - v - 1) // v, PRODUCTS // (kw * v))
        if most < 1:
            continue
        width = min(x.grid, most)
        cuts = _cuts(x.grid, width)
        tiles = tuple([_tile(x, a, n) for a, n in cuts])
        images = max(1, min(most // max([n for _, n in cuts]), p.images))
        part, _ = parts(p.ci, max(1, WEIGHTS // (taps * v * lanes * item)))
        shared = max(1, target // (blocks // v * p.groups))
        # Images, and where there are too few of them, rows.
        most_kept = KEPT // (v * lanes * item * x.grid)
        many, count = parts(
            p.images, max(1, min(p.images // min(shared, p.images), most_kept // y.grid))
        )
        rows, down = y.grid, 1
        if shared > count or many * y.grid > most_kept:
            rows, down = parts(y.grid, min(most_kept, -(-y.grid * count // max(count, shared))))
        if rows * x.grid < lanes:
            rows = -(-lanes // x.grid)
            down = -(-y.grid // rows)
        plan = ChannelPlan(
            p, lanes, item, v, min(images, many), tiles, part, many, rows, (count, down)
        )
        if plan.kept <= KEPT and plan.copied <= 2 * WEIGHTS:
            out.append(plan)
    return out


class PlannedKernel(Kernel):
    """One convolution, and what follows it where the plan is plain."""

    def __init__(self, *args: Any, guards: dict[int, Any], plan: Any, follows: bool) -> None:
        super().__init__(*args)
        self.guards = guards
        self.plan = plan
        self.follows = follows

    def begin(self, **how: bool) -> tuple[str, str]:
        """Where the input and the weights begin. `how`: see `Following`."""
        n, f, plan = self.cluster.core, self.f, self.plan
        assert n is not None
        kind = kind_of(n)
        assert kind is not None
        self.n, self.kind, self.size = n, kind, SIZE[kind]
        p = self.p = plan.problem
        self.x = Lanes(f, plan.lanes)
        source = f.at(self.buffer(self.places[n.inputs[0]].base), p.x_offset * self.size)
        weights = f.at(self.buffer(self.places[n.inputs[1]].base), p.w_offset * self.size)
        if not self.follows:  # only the raw result, wherever else it goes
            self.stored = {n}
            nodes, self.cluster.nodes = self.cluster.nodes, [n]
        self.following = Following(self, **how)
        if not self.follows:
            self.cluster.nodes = nodes
        return source, weights


class ChannelKernel(PlannedKernel):
    """One convolution, and what follows it."""

    plan: ChannelPlan

    def build(self, width: int) -> None:
        """Write the kernel."""
        source, weights = self.begin(inside=True)
        f, plan, size = self.f, self.plan, self.size
        self.names: dict[Any, str] = {}
        self.line = plan.own * size  # of kept sums: a position
        self.kept = f.scratch("i8", plan.kept)
        self.turned = f.scratch("i8", plan.copied)
        self.square = f.scratch("i8", plan.lanes * plan.lanes * size)
        self.rows_table = self._table()
        self.units = plan.units
        with f.loop("%lo", "%hi") as unit:
            self._unit(unit.index, source, weights)

    def _table(self) -> str:
        """For each row, the first tap that is inside and the end of those."""
        rows = valid_rows(self.p.axes[1])
        self.always = all([a < b for a, b in rows])
        numbers = ", ".join([f"i64 {a}, i64 {b}" for a, b in rows])
        self.functions.append(
            f"@tile_rows = internal constant [{2 * len(rows)} x i64] [{numbers}]\n"
        )
        return "@tile_rows"

    def _unit(self, unit: Index, source: str, weights: str) -> None:
        f, p, plan, size = self.f, self.p, self.plan, self.size
        _, y, _ = p.axes
        group, rest = f.rem(unit, p.groups), f.div(unit, p.groups)
        owner, rest = f.rem(rest, plan.owners), f.div(rest, plan.owners)
        down, block = f.rem(rest, plan.counts[1]), f.div(rest, plan.counts[1])
        # The last block ends where the whole ends; it may compute again what others did.
        image = f.smaller(f.mul(block, plan.many), p.images - plan.many)
        row = f.smaller(f.mul(down, plan.rows), y.grid - plan.rows)
        channel = f.mul(owner, plan.own)
        source = f.at(source, f.mul(group, p.ci * p.x_steps[1] * size))
        source = f.at(source, f.mul(image, p.x_steps[0] * size))
        weights = f.at(weights, f.mul(group, p.w_steps[0] * size))
        weights = f.at(weights, f.mul(channel, p.w_steps[1] * size))
        count = -(-p.ci // plan.part)
        left = p.ci - (count - 1) * plan.part
        whole = count - (left != plan.part)
        if count > 1:
            with f.loop(0, plan.kept, self.x.width * size, some=True) as j:
                self.x.store(self.x.const(0, self.kind), f.at(self.kept, j.index))
        with f.loop(0, whole, some=True) as part:
            first = f.mul(part.index, plan.part)
            self._part(first, plan.part, source, weights, owner, row)
        if whole < count:
            self._part(whole * plan.part, left, source, weights, owner, row)
        self._finish(group, channel, image, row)

    def _part(
        self, first: Index, count: int, source: str, weights: str, owner: Index, row: Index
    ) -> None:
        """Add up over some channels."""
        f, p, plan, size = self.f, self.p, self.plan, self.size
        _, y, x = p.axes
        self._copy(f.at(weights, f.mul(first, p.w_steps[2] * size)), count, owner)
        source = f.at(source, f.mul(first, p.x_steps[1] * size))
        groups, left = divmod(plan.many, plan.images)
        image = p.x_steps[0] * size

        def images(i: Index, n: int) -> None:
            at = f.at(source, f.mul(i, image))
            kept = f.at(self.kept, f.mul(i, plan.positions * self.line))
            with f.loop(0, plan.rows, some=True) as r:
                q = f.add(row, r.index)
                entry = f.at(self.rows_table, f.mul(q, 16))
                low = f.let(f"load i64, ptr {entry}")
                high = f.let(f"load i64, ptr {f.at(entry, 8)}")
                line = f.at(at, f.mul(q, y.step * p.x_steps[3] * size))
                sums = f.at(kept, f.mul(r.index, x.grid * self.line))
                k = 0
                while k < len(plan.tiles):
                    tile, alike = plan.tiles[k], 1
                    while k + alike < len(plan.tiles) and self._alike(k + alike, k):
                        alike += 1
                    with f.times(alike) as t:
                        column = f.add(tile.first, f.mul(t, tile.width))
                        name = self._function(n, tile)
                        base = f.at(line, f.mul(column, x.step * p.x_steps[4] * size))
                        to = f.at(sums, f.mul(column, self.line))
                        arguments = [f"ptr {base}"] * len(x.phases[0])
                        arguments += [f"ptr {self.turned}", f"ptr {to}", f"i64 {count}"]
                        arguments += [f"i64 {low}", f"i64 {high}"]
                        f.do(f"call void @{name}({', '.join(arguments)})")
                    k += alike

        if groups:
            with f.times(groups) as g:
                images(f.mul(g, plan.images), plan.images)
        if left:
            images(groups * plan.images, left)

    def _alike(self, k: int, first: int) -> bool:
        a, b = self.plan.tiles[k], self.plan.tiles[first]
        return (a.width, a.inside) == (b.width, b.inside)

    def _copy(self, weights: str, count: int, owner: Index) -> None:
        """The weights of a part as (channel, tap, output channel)."""
        f, p, plan, size = self.f, self.p, self.plan, self.size
        last = p.co - (plan.owners - 1) * plan.own
        together = p.w_steps[2] == plan.taps

        def copy(own: int) -> None:
            if together:
                name = self._copying(own, count * plan.taps)
                f.do(
                    f"call void @{name}(ptr {weights}, ptr {self.turned}, i64 {count * plan.taps})"
                )
                return
            name = self._copying(own, plan.taps)
            with f.loop(0, count, some=True) as c:
                a = f.at(weights, f.mul(c.index, p.w_steps[2] * size))
                b = f.at(self.turned, f.mul(c.index, plan.taps * self.line))
                f.do(f"call void @{name}(ptr {a}, ptr {b}, i64 {plan.taps})")

        if last == plan.own:
            copy(plan.own)
        elif plan.owners == 1:
            copy(last)
        else:
            is_last = f.let(f"icmp eq i64 {owner}, {plan.owners - 1}")
            with f.when(is_last):
                copy(last)
            with f.when(f.let(f"xor i1 {is_last}, true")):
                copy(plan.own)

    def _copying(self, own: int, length: int) -> str:
        """A function (source, target, k) that copies the weights of `own` channels."""
        p, plan, size = self.p, self.plan, self.size
        rest = length % plan.lanes
        key = ("copy", own, rest)
        if key in self.names:
            return self.names[key]
        name = self.names[key] = f"tile{len(self.functions)}"
        f = Function(name, "ptr %source, ptr %target, i64 %k", self.declarations)
        for v in range(plan.vectors):
            rows = min(plan.lanes, own - v * plan.lanes)
            a = f.at("%source", v * plan.lanes * p.w_steps[1] * size)
            b = f.at("%target", v * plan.lanes * size)
            step = p.w_steps[1] * size
            turn_rows(f, self.kind, plan.lanes, rows, step, self.line, a, b, rest)
        self.functions.append(f.text("internal "))
        return name

    def _function(self, images: int, tile: Tile) -> str:
        """A tile: (input for each tap of a row, weights, sums, channels, rows of taps: from, to).

        The input is the same address each time: LLVM would keep what it knows to be loaded again
        for the next tap in registers, which there are not.
        """
        key = (images, tile.width, tile.inside)
        if key in self.names:
            return self.names[key]
        name = self.names[key] = f"tile{len(self.functions)}"
        p, plan, size, kind = self.p, self.plan, self.size, self.kind
        _, y, x = p.axes
        bases = [f"%x{k}" for k in range(len(x.phases[0]))]
        params = [f"ptr {b}" for b in bases]
        params += ["ptr %w", "ptr %q", "i64 %n", "i64 %low", "i64 %high"]
        f = Function(name, ", ".join(params), self.declarations)
        lanes, one = Lanes(f, plan.lanes), Lanes(f, 1)
        wide = lanes.type(kind)
        spots = [
            i * plan.positions * self.line + j * self.line + v * plan.lanes * size
            for i in range(images)
            for j in range(tile.width)
            for v in range(plan.vectors)
        ]
        if plan.part < p.ci:
            acc = [lanes.load(f.at("%q", s), kind).name for s in spots]
        else:
            acc = [lanes.const(0, kind).name] * len(spots)
        # Rows of taps by offset: their weights lie in this order or in the other one.
        order = sorted(y.phases[0], key=lambda t: t[1])
        kw = len(x.phases[0])
        turned = len(order) > 1 and order[0][0] > order[-1][0]
        tap_row = kw * self.line
        down = y.gap * p.x_steps[3] * size
        low_x = f.add(f.mul("%low", down), order[0][1] * p.x_steps[3] * size)
        low_w = f.mul("%low", -tap_row if turned else tap_row)
        low_w = f.add(low_w, order[0][0] * tap_row)
        carried = [(wide, a) for a in acc] + [("i64", f"{low_x}"), ("ptr", f.at("%w", low_w))]
        with f.loop(0, "%n", 1, carried, some=True) as c:
            at, w = c.values[-2:]
            with f.loop(
                "%low",
                "%high",
                1,
                [(wide, a) for a in c.values[:-2]] + [("i64", at), ("ptr", w)],
                some=self.always,
            ) as k:
                inner, far, there = k.values[:-2], k.values[-2], k.values[-1]
                for m, (kx, e) in enumerate(x.phases[0]):
                    first, end = tile.inside[m]
                    if first == end:
                        continue
                    b = f.at(bases[m], far)
                    right = [
                        lanes.load(f.at(there, kx * self.line + v * plan.lanes * size), kind)
                        for v in range(plan.vectors)
                    ]
                    for i in range(images):
                        for j in range(first, end):
                            where = (e + j * x.step) * p.x_steps[4] + i * p.x_steps[0]
                            left = lanes.splat(one.load(f.at(b, where * size), kind))
                            for v in range(plan.vectors):
                                s = (i * tile.width + j) * plan.vectors + v
                                old = Value(inner[s], kind)
                                inner[s] = fused(lanes, left, right[v], old).name
                step = -tap_row if turned else tap_row
                k.next = [*inner, f"{f.add(far, down)}", f.at(there, step)]
            c.next = [
                *k.values[:-2],
                f"{f.add(at, p.x_steps[1] * size)}",
                f.at(w, plan.taps * self.line),
            ]
        for spot, name_of in zip(spots, c.values[:-2], strict=True):
            lanes.store(Value(name_of, kind), f.at("%q", spot))
        self.functions.append(f.text("internal "))
        return name

    def _finish(self, group: Index, channel: Index, image: Index, row: Index) -> None:
        """Turn the kept sums, and compute and store what follows."""
        f, p, plan, size, x = self.f, self.p, self.plan, self.size, self.x
        w, columns = plan.lanes, p.axes[2].grid
        with f.times(plan.many) as i, f.loop(0, plan.positions, w, some=True) as s:
            at = f.smaller(s.index, plan.positions - w)
            kept = f.at(self.kept, f.mul(f.add(f.mul(i, plan.positions), at), self.line))
            place = f.add(f.mul(row, columns), at)
            with f.times(plan.vectors) as v:
                first = f.add(channel, f.mul(v, w))
                count = w if p.co % w == 0 else f.smaller(w, f.sub(p.co, first))
                turn(x, self.kind, f.at(kept, f.mul(v, w * size)), self.line, self.square, w * size)
                base = f.add(f.mul(group, p.co), first)
                with f.loop(0, count, some=True) as c:
                    value = x.load(f.at(self.square, f.mul(c.index, w * size)), self.kind)
                    spot = f.add(base, c.index)
                    self.following.emit(f, x, [value], f.add(image, i), spot, place)


__all__ = ["ChannelKernel", "ChannelPlan", "candidates", "suits", "valid_rows"]
