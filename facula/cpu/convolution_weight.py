"""The gradient of a convolution by its weights: sums over images and positions.

Output channels are in the lanes: blocks of the second operand are transposed to (position,
channel), and a tile is a few weights of the first channels times a few vectors of output channels,
in registers over the positions of a block. Where there is padding and a unit has enough channels,
the weights of a tile belong to one tap of some channels, and only the positions are gone over that
this tap finds inside; else to the next taps and channels, whichever they are.
"""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.blocking import ZEN, core
from facula.cpu.convolution_gradient import TARGET, WORK, GradientKernel, PartsKernel, layout
from facula.cpu.convolution_lanes import LaneKernel
from facula.cpu.convolution_plan import Copies, parts
from facula.cpu.following import rest
from facula.cpu.kernels import Kernel, fused
from facula.cpu.packing import turn
from facula.cpu.strips import Reader, inside, masked_store, positions
from facula.cpu.text import Function, Index
from facula.cpu.vector import Lanes, Value
from facula.trace.node import Node

POSITIONS = 256  # of a block
ROOM = 192 * 1024  # bytes of copied input
SUMS = 160 * 1024  # bytes of a unit's sums
WEIGHTS = 1200  # weights of an output channel that a unit has at most
ROWS = 8  # weights of a tile


class SumKernel(GradientKernel):
    """Output channels in the lanes."""

    def plan(self, width: int) -> None:
        """Choose lanes, blocks and units."""
        self.begin(width)
        s = self.s
        while self.lanes > 4 and self.lanes // 2 >= s.co:
            self.lanes //= 2
        w = self.lanes
        most = 3 if self.registers == 32 else 1
        more = (
            0.1 if core() is ZEN else 0.25
        )  # what reading one for all lanes costs beside a vector
        self.vectors = min(range(1, most + 1), key=lambda v: (-(-s.co // (v * w)) * (v + more), -v))
        self.rows = ROWS if self.registers == 32 else 6
        self.own = self.vectors * w
        self.owners = -(-s.co // self.own)
        self.cut(POSITIONS)
        self.direct = all([a.inside() for a in s.axes])
        self.copies = [
            Copies(s.axes[0], 1, shifted=False),
            Copies(s.axes[1], self.blocks[1], shifted=True, dense=True),
            Copies(s.axes[2], self.blocks[2], shifted=True, dense=True),
        ]
        self.strides = layout(self.copies, self.blocks[0], self.lanes)
        channels = min(s.ci, max(1, WEIGHTS // s.taps))
        channels = min(channels, max(1, SUMS // (self.own * self.size * s.taps)))
        if not self.direct:
            channels = min(channels, max(1, ROOM // (self.strides[0] * self.size)))
        while True:
            self.channels, self.sharers = parts(s.ci, channels)
            self.divide(self.owners * self.sharers * s.groups)
            units = self.owners * self.sharers * s.groups * self.split
            enough = units >= min(TARGET, s.work // WORK)
            if enough or channels == 1 or channels * s.taps < 128:
                break
            channels = (channels + 1) // 2
        self.by_tap = not self.direct and s.taps > 1 and self.channels >= self.rows
        if self.by_tap:
            self.channels = -(-self.channels // self.rows) * self.rows
            self.sharers = -(-s.ci // self.channels)
        left = self.channels * s.taps % self.rows  # a tile of all taps of a channel has none
        self.whole = not self.by_tap and left > 0 and s.taps > self.rows // 2
        self.whole = self.whole and (s.taps + 1) * self.vectors < self.registers
        if self.whole:
            self.rows = s.taps

    def build(self, width: int) -> None:
        """Write the kernel."""
        self.plan(width)
        f, s, size, w = self.f, self.s, self.size, self.lanes
        self.x = Lanes(f, w)
        self.addresses()
        self.units = self.owners * self.sharers * s.groups * self.split
        rows = self.channels * s.taps
        self.tall = -(-rows // w) * w  # sums are kept for whole squares
        self.tall = -(-self.tall // self.rows) * self.rows
        self.sums = f.scratch("i8", self.tall * self.own * size)
        self.table = f.scratch("i64", self.tall)
        block = math.prod(self.blocks)
        self.square = f.scratch("i8", w * w * size)
        self.turned = f.scratch("i8", (block + w) * self.own * size)
        if not self.direct:
            self.copied = f.scratch("i8", (self.strides[0] * self.channels + 2 * w) * size)
        self.ranges = self._ranges() if self.by_tap else ""
        self._tile_function()
        with f.loop("%lo", "%hi") as unit:
            rest: Index = unit.index
            owner, rest = f.rem(rest, self.owners), f.div(rest, self.owners)
            sharer, rest = f.rem(rest, self.sharers), f.div(rest, self.sharers)
            group, share = f.rem(rest, s.groups), f.div(rest, s.groups)
            self._unit(owner, sharer, group, share)

    def _unit(self, owner: Index, sharer: Index, group: Index, share: Index) -> None:
        f, s, size, x = self.f, self.s, self.size, self.x
        first_c = f.mul(sharer, self.channels)
        count_c = (
            self.channels
            if s.ci % self.channels == 0
            else f.smaller(self.channels, f.sub(s.ci, first_c))
        )
        first_o = f.mul(owner, self.own)
        count = f.mul(count_c, s.taps)
        source = f.at(self.source, f.mul(f.add(f.mul(group, s.ci), first_c), s.x_steps[1] * size))
        self._list(count_c)
        with f.loop(0, self.tall * self.own * size, x.width * size, some=True) as j:
            x.store(x.const(0, self.kind), f.at(self.sums, j.index))
        low, high = self.over_blocks(share)
        tiles = f.div(f.add(count, self.rows - 1), self.rows)
        if self.by_tap:
            tiles = f.mul(f.div(f.add(count_c, self.rows - 1), self.rows), s.taps)
        with f.loop(low, high, some=True) as block:
            self.block(block.index)
            base = source
            if not self.direct:
                self.copy(source, self.copied, count_c, self.copies, self.strides)
                base = self.copied
            self._turn(group, first_o)
            with f.loop(0, tiles, some=True) as t:
                rows = f.at(self.table, f.mul(t.index, self.rows * 8))
                start = self._start(base)
                where, limits = self._tile(t.index)
                sums = f.at(self.sums, f.mul(where, self.own * size))
                counts = ", ".join([f"i64 {c}" for c in (self.some[0], *limits)])
                extra = f", i64 {self.first[0]}" if self.direct else ""
                f.do(
                    f"call void @tile0(ptr {rows}, ptr {start}, ptr {self.turned}, "
                    f"ptr {sums}, {counts}{extra})"
                )
        at: Index = f.mul(f.add(f.mul(group, s.co), first_o), s.ci * s.taps)
        at = f.add(at, f.mul(first_c, s.taps))
        if self.split > 1:
            at = f.add(at, f.mul(share, self.weights))
        self._finish(f.at(self.target, f.mul(at, size)), first_o, count)

    def _start(self, base: str) -> str:
        """The first operand's block: images are counted from its beginning."""
        f, s, size = self.f, self.s, self.size
        if not self.direct:
            return base
        at = f.mul(self.first[1], s.axes[1].step * s.x_steps[3] * size)
        at = f.add(at, f.mul(self.first[2], s.axes[2].step * s.x_steps[4] * size))
        return f.at(base, at)

    def _ranges(self) -> str:
        """A table of the positions that each tap finds inside: rows from and to, columns so."""
        numbers = []
        for k in range(self.s.taps):
            for d, i in ((1, k // self.s.kernel[2] % self.s.kernel[1]), (2, k % self.s.kernel[2])):
                axis = self.s.axes[d]
                e = axis.low + i * axis.gap
                low = max(0, -(e // axis.step))
                numbers += [low, max(low, min(axis.grid, (axis.size - 1 - e) // axis.step + 1))]
        listed = ", ".join([f"i64 {n}" for n in numbers])
        self.functions.append(
            f"@tile_ranges = internal constant [{len(numbers)} x i64] [{listed}]\n"
        )
        return "@tile_ranges"

    def _tile(self, t: Index) -> tuple[Index, list[Index]]:
        """The first of a tile's sums, and its rows and columns of the block."""
        f, s = self.f, self.s
        if not self.by_tap:
            return f.mul(t, self.rows), self.some[1:]
        group, k = f.div(t, s.taps), f.rem(t, s.taps)
        entry = f.at(self.ranges, f.mul(k, 32))
        limits: list[Index] = []
        for d in (1, 2):
            low, high = [
                f.let(f"load i64, ptr {f.at(entry, 16 * (d - 1) + 8 * end)}") for end in (0, 1)
            ]
            limits.append(f.larger(f.sub(low, self.first[d]), 0))
            limits.append(f.smaller(f.sub(high, self.first[d]), self.some[d]))
        return f.add(f.mul(group, self.rows * s.taps), k), limits

    def _list(self, count_c: Index) -> None:
        """Where each weight of the unit finds the input of its first position, tile by tile."""
        f, s, size = self.f, self.s, self.size
        last = f.sub(f.mul(count_c, 1 if self.by_tap else s.taps), 1)
        with f.loop(0, self.tall, some=True) as j:
            if self.by_tap:
                tile, i = f.div(j.index, self.rows), f.rem(j.index, self.rows)
                c, k = f.add(f.mul(f.div(tile, s.taps), self.rows), i), f.rem(tile, s.taps)
                c = f.smaller(c, last)
            else:
                i = f.smaller(j.index, last)
                c, k = f.div(i, s.taps), f.rem(i, s.taps)
            at = f.add(
                f.mul(c, (s.x_steps[1] if self.direct else self.strides[0]) * size), self._tap(k)
            )
            f.do(f"store i64 {at}, ptr {f.at(self.table, f.mul(j.index, 8))}")

    def _tap(self, k: Index) -> Index:
        """Where tap k finds the input of its first position, in bytes from its channel."""
        f, s, size = self.f, self.s, self.size
        _, kh, kw = s.kernel
        at: Index = 0
        for d, i in enumerate((f.div(k, kh * kw), f.rem(f.div(k, kw), kh), f.rem(k, kw))):
            axis, copy = s.axes[d], self.copies[d]
            if self.direct:
                at = f.add(at, f.mul(i, axis.gap * s.x_steps[2 + d] * size))
                at = f.add(at, axis.low * s.x_steps[2 + d] * size)
            else:
                unit = (self.strides[1], self.strides[5] * axis.gap, axis.gap)[d]
                assert copy.count == 1 or d == 0
                at = f.add(at, f.mul(i, unit * size))
        return at

    def _turn(self, group: Index, first_o: Index) -> None:
        """The second operand's block as (position, channel)."""
        f, s, size, x, w = self.f, self.s, self.size, self.x, self.lanes
        _, rows, columns = self.blocks
        y = s.axes[1]
        steps = s.y_steps
        merges = self.counts[2] == 1 and (steps[3] == columns * steps[4] or y.grid == 1)
        zero = x.const(0, self.kind)
        spots = f.scratch("i64", self.own)
        with f.loop(0, self.own, some=True) as k:
            o = f.add(first_o, k.index)
            if s.co % self.own:
                o = f.smaller(o, s.co - 1)
            o = f.add(f.mul(group, s.co), o)
            f.do(f"store i64 {f.mul(o, steps[1] * size)}, ptr {f.at(spots, f.mul(k.index, 8))}")

        def line(src: str, dst: str, length: Index) -> None:
            with f.loop(0, length, w, some=True) as p:
                reader = Reader(x, p.index, 1, length, steps[4], zero)
                with f.loop(0, self.vectors, some=True) as v:
                    with f.loop(0, w, some=True) as k:
                        where = f.at(spots, f.mul(f.add(f.mul(v.index, w), k.index), 8))
                        value = reader.load(f.at(src, f.let(f"load i64, ptr {where}")))
                        x.store(value, f.at(self.square, f.mul(k.index, w * size)))
                    out = f.at(dst, f.mul(p.index, self.own * size))
                    out = f.at(out, f.mul(v.index, w * size))
                    turn(x, self.kind, self.square, w * size, out, self.own * size)

        with f.loop(0, self.some[0], some=True) as i:
            image, depth = self.image(i.index)
            src = f.at(self.other, f.mul(image, steps[0] * size))
            src = f.at(src, f.mul(depth, steps[2] * size))
            src = f.at(src, f.mul(self.first[1], steps[3] * size))
            src = f.at(src, f.mul(self.first[2], steps[4] * size))
            dst = f.at(self.turned, f.mul(i.index, rows * columns * self.own * size))
            if merges:
                line(src, dst, f.mul(self.some[1], columns))
            else:
                with f.loop(0, self.some[1], some=True) as r:
                    line(
                        f.at(src, f.mul(r.index, steps[3] * size)),
                        f.at(dst, f.mul(r.index, columns * self.own * size)),
                        self.some[2],
                    )

    def _tile_function(self) -> None:
        """Sums of a few weights and all channels of the unit, over a block."""
        s, size, kind, w = self.s, self.size, self.kind, self.lanes
        params = "ptr %t, ptr %x, ptr %y, ptr %a, i64 %images"
        params += (
            ", i64 %top, i64 %rows, i64 %left, i64 %columns"
            if self.by_tap
            else ", i64 %rows, i64 %columns"
        )
        if self.direct:
            params += ", i64 %first"
        f = Function("tile0", params, self.declarations)
        x, one = Lanes(f, w), Lanes(f, 1)
        _, rows, columns = self.blocks
        if self.whole:
            base = f.at("%x", f.let("load i64, ptr %t"))
            first_tap = self._tap(0)
            bases = [f.at(base, f.sub(self._tap(k), first_tap)) for k in range(s.taps)]
        else:
            bases = [
                f.at("%x", f.let(f"load i64, ptr {f.at('%t', 8 * i)}")) for i in range(self.rows)
            ]
        apart = s.taps if self.by_tap else 1  # sums are in the order of the weights
        spots = [
            f.at("%a", (i * apart * self.vectors + v) * w * size)
            for i in range(self.rows)
            for v in range(self.vectors)
        ]
        wide = x.type(kind)
        first = [x.load(p, kind).name for p in spots]
        if self.direct:
            row_step = s.axes[1].step * s.x_steps[3] * size
            step = s.axes[2].step * s.x_steps[4] * size
        else:
            row_step = s.axes[1].step * self.strides[5] * size
            step = s.axes[2].step * size
        exact = s.axes[2].grid % columns == 0
        limit: Index = columns if exact else "%columns"
        row_limit: Index = rows if s.axes[1].grid % rows == 0 else "%rows"
        top: Index = 0
        left_most: Index = 0
        if self.by_tap:
            exact, limit, row_limit, top, left_most = False, "%columns", "%rows", "%top", "%left"
        # The next position's elements are mostly those of other taps: LLVM would keep them.
        unroll = next(u for u in (4, 2, 1) if columns % u == 0) if exact and not self.whole else 1
        position = self.own * size
        with f.loop(0, "%images", 1, [(wide, a) for a in first], some=True) as i:
            if self.direct:
                at = f.add("%first", i.index)
                depth = s.axes[0].grid
                start = f.mul(f.div(at, depth), s.x_steps[0] * size)
                start = f.add(start, f.mul(f.rem(at, depth), s.axes[0].step * s.x_steps[2] * size))
            else:
                start = f.mul(i.index, self.strides[4] * size)
            y = f.at("%y", f.mul(i.index, rows * columns * position))
            some = not self.by_tap
            with f.loop(top, row_limit, 1, [(wide, a) for a in i.values], some=some) as r:
                index = f.add(start, f.mul(r.index, row_step))
                q = f.at(y, f.mul(r.index, columns * position))
                index = f.add(index, f.mul(left_most, step))
                q = f.at(q, f.mul(left_most, position))
                carried = [(wide, a) for a in r.values]
                carried += [("i64", str(index)), ("ptr", q)]
                with f.loop(left_most, limit, unroll, carried, some=some) as c:
                    acc, far, p = c.values[:-2], c.values[-2], c.values[-1]
                    rows_at = [f.at(b, far) for b in bases]
                    for u in range(unroll):
                        right = [
                            x.load(f.at(p, u * position + v * w * size), kind)
                            for v in range(self.vectors)
                        ]
                        out = []
                        for k, b in enumerate(rows_at):
                            left = x.splat(one.load(f.at(b, u * step), kind))
                            for v in range(self.vectors):
                                old = Value(acc[k * self.vectors + v], kind)
                                out.append(fused(x, left, right[v], old).name)
                        acc = out
                    ahead = f.let(f"add nsw i64 {far}, {unroll * step}")
                    c.next = [*acc, ahead, f.at(p, unroll * position)]
                r.next = c.values[:-2]
            i.next = r.values
        for p, name in zip(spots, i.values, strict=True):
            x.store(Value(name, kind), p)
        self.functions.append(f.text("internal "))

    def _finish(self, out: str, first_o: Index, count: Index) -> None:
        """Store the sums as (output channel, weight)."""
        f, s, size, x, w = self.f, self.s, self.size, self.x, self.lanes
        line = s.ci * s.taps * size
        with f.loop(0, count, w, some=True) as r, f.loop(0, self.vectors, some=True) as v:
            at = f.add(f.mul(r.index, self.own * size), f.mul(v.index, w * size))
            pitch, row = self.own * size, w * size
            turn(x, self.kind, f.at(self.sums, at), pitch, self.square, row)
            mask = inside(x, positions(x, r.index, 1), count)
            o = f.add(first_o, f.mul(v.index, w))
            to = f.at(out, f.add(f.mul(r.index, size), f.mul(v.index, w * line)))
            whole = s.co % self.own == 0
            channels = w if whole else f.smaller(w, f.sub(s.co, o))
            with f.loop(0, channels) as k:
                value = x.load(f.at(self.square, f.mul(k.index, row)), self.kind)
                masked_store(x, value, f.at(to, f.mul(k.index, line)), mask)


class ConvolutionWeight:
    """The emitter of `conv_weight`. What follows has a kernel of its own, in the same cluster: it
    finds the gradient in a near cache, and the gradient's memory is free afterwards."""

    joins = True
    relocates = False
    constants: Container[int] = ()

    def accepts(self, n: Node) -> bool:
        """float32 and float64."""
        small = all([math.prod(i.shape) < 1 << 31 for i in n.inputs])
        return kind_of(n) in ("f32", "f64") and small

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """The sums, and the sum of their parts."""
        core = args[0].core
        few = core.shape[0] // core.params[3 * (len(core.shape) - 2)] < 4
        kernel: LaneKernel | SumKernel = (LaneKernel if few else SumKernel)(*args)
        kernel.build(width)
        kernels: list[Kernel] = [kernel]
        if kernel.split > 1:
            total = PartsKernel(*args)
            total.combine(kernel, width)
            kernels.append(total)
        if len(args[0].nodes) > 1:
            kernels += rest(args, guards, width)
        return kernels
