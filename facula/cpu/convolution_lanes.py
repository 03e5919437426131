"""A convolution's gradient by its weights, for groups of few output channels.

Positions are in the lanes: an accumulator for each output channel and tap goes over the rows of a
block, and its lanes are added up at the end.
"""

from __future__ import annotations

from facula.cpu.convolution_gradient import TARGET, GradientKernel, layout
from facula.cpu.convolution_plan import Copies, parts
from facula.cpu.kernels import fused
from facula.cpu.strips import row_lanes
from facula.cpu.text import Function, Index
from facula.cpu.vector import Lanes, Value


class LaneKernel(GradientKernel):
    """Positions in the lanes: a unit has some channels, and all outputs of their groups."""

    def plan(self, width: int) -> None:
        """Choose blocks and units."""
        self.begin(width)
        s, w = self.s, self.lanes
        while w > 1 and w // 2 >= s.axes[2].grid:
            w //= 2
        self.lanes = w
        room = 24 if self.registers == 32 else 10
        self.outs = max(1, min(s.co, room // min(s.taps, room)))
        self.group, _ = parts(s.taps, max(1, room // self.outs))
        self.cut(1024)
        self.blocks[2] = min(self.blocks[2], s.axes[2].grid)
        columns = -(-self.blocks[2] // w) * w
        self.copies = [
            Copies(s.axes[0], 1, shifted=False),
            Copies(s.axes[1], self.blocks[1], shifted=True),
            Copies(s.axes[2], columns, shifted=True),
        ]
        self.strides = layout(self.copies, self.blocks[0], self.lanes)
        total = s.groups * s.ci
        self.divide(min(total, TARGET))
        self.channels, self.sharers = parts(total, max(1, -(-total // TARGET)))

    def build(self, width: int) -> None:
        """Write the kernel."""
        self.plan(width)
        f, s, size, w = self.f, self.s, self.size, self.lanes
        self.x = Lanes(f, w)
        self.addresses()
        self.units = self.sharers * self.split
        self.copied = f.scratch("i8", (self.strides[0] + 2 * w) * size)
        self.groups_of_outs = -(-s.co // self.outs)
        self.groups_of_taps = -(-s.taps // self.group)
        tiles = self.groups_of_outs * self.groups_of_taps
        self.sums = f.scratch("i8", tiles * self.outs * self.group * w * size)
        self.tap_table = self._table()
        self._tile_function()
        total = s.groups * s.ci
        with f.loop("%lo", "%hi") as unit:
            sharer, share = f.rem(unit.index, self.sharers), f.div(unit.index, self.sharers)
            first = f.mul(sharer, self.channels)
            end = f.smaller(f.add(first, self.channels), total)
            with f.loop(first, end) as c:
                self._channel(c.index, share)

    def _table(self) -> str:
        """The places of all taps in a copied channel, in groups; the last is filled up."""
        s = self.s
        places = []
        for kz in range(s.kernel[0]):
            for ky in range(s.kernel[1]):
                for kx in range(s.kernel[2]):
                    places.append(self._place((kz, ky, kx)))
        while len(places) % self.group:
            places.append(places[-1])
        name = "tile_table"
        listed = ", ".join([f"i64 {p * self.size}" for p in places])
        self.functions.append(f"@{name} = internal constant [{len(places)} x i64] [{listed}]\n")
        return f"@{name}"

    def _place(self, k: tuple[int, int, int]) -> int:
        offsets = [a.low + i * a.gap for a, i in zip(self.s.axes, k, strict=True)]
        (vz, _), (vy, ry), (vx, rx) = [
            c.where(e) for c, e in zip(self.copies, offsets, strict=True)
        ]
        _, sz, sy, sx, _, row = self.strides
        return vz * sz + vy * sy + vx * sx + ry * row + rx

    def _channel(self, channel: Index, share: Index) -> None:
        """All weights of one channel."""
        f, s, size, x = self.f, self.s, self.size, self.x
        group = f.div(channel, s.ci)
        source = f.at(self.source, f.mul(channel, s.x_steps[1] * size))
        tile = self.outs * self.group * x.width * size
        tiles = self.groups_of_outs * self.groups_of_taps
        with f.loop(0, tiles * tile, x.width * size, some=True) as j:
            x.store(x.const(0, self.kind), f.at(self.sums, j.index))
        low, high = self.over_blocks(share)
        with f.loop(low, high, some=True) as block:
            self.block(block.index)
            self.copy(source, self.copied, 1, self.copies, self.strides)
            with f.loop(0, tiles, some=True) as t:
                outs = f.mul(f.div(t.index, self.groups_of_taps), self.outs)
                # The last tile ends with the last output; what it has twice is stored once.
                outs = f.smaller(outs, s.co - self.outs)
                taps = f.rem(t.index, self.groups_of_taps)
                o = f.add(f.mul(group, s.co), outs)
                y = f.at(self.other, f.mul(o, s.y_steps[1] * size))
                y = f.at(y, f.mul(self.first[1], s.y_steps[3] * size))
                y = f.at(y, f.mul(self.first[2], s.y_steps[4] * size))
                table = f.at(self.tap_table, f.mul(taps, self.group * 8))
                sums = f.at(self.sums, f.mul(t.index, tile))
                counts = ", ".join([f"i64 {c}" for c in (*self.some, self.first[0])])
                f.do(
                    f"call void @tile0(ptr {table}, ptr {self.copied}, ptr {y}, ptr {sums}, "
                    f"{counts})"
                )
        c = f.rem(channel, s.ci)
        one = Lanes(f, 1)
        with f.loop(0, s.co, some=True) as out, f.loop(0, s.taps, some=True) as k:
            group_o = f.smaller(f.div(out.index, self.outs), self.groups_of_outs - 1)
            start = f.smaller(f.mul(group_o, self.outs), s.co - self.outs)
            which = f.add(f.mul(group_o, self.groups_of_taps), f.div(k.index, self.group))
            at = f.add(f.mul(f.sub(out.index, start), self.group), f.rem(k.index, self.group))
            where = f.add(f.mul(which, tile), f.mul(at, x.width * size))
            v = x.folded(x.load(f.at(self.sums, where), self.kind), Lanes.add)
            row = f.add(f.mul(group, s.co), out.index)
            to = f.add(f.mul(f.add(f.mul(row, s.ci), c), s.taps), k.index)
            if self.split > 1:
                to = f.add(to, f.mul(share, self.weights))
            one.store(v, f.at(self.target, f.mul(to, size)))

    def _tile_function(self) -> None:
        """Sums for a few outputs and taps, over a block."""
        s, size, kind, w = self.s, self.size, self.kind, self.lanes
        params = "ptr %t, ptr %x, ptr %y, ptr %a, i64 %images, i64 %rows, i64 %columns, i64 %first"
        f = Function("tile0", params, self.declarations)
        x = Lanes(f, w)
        count = self.outs * self.group
        bases = [f.at("%x", f.let(f"load i64, ptr {f.at('%t', 8 * i)}")) for i in range(self.group)]
        wide, zero = x.type(kind), x.const(0, kind)
        first = [x.load(f.at("%a", k * w * size), kind).name for k in range(count)]
        depth = s.axes[0].grid
        whole = s.axes[2].grid % w == 0 and self.counts[2] == 1
        with f.loop(0, "%images", 1, [(wide, a) for a in first], some=True) as i:
            at = f.add("%first", i.index)
            y = f.at("%y", f.mul(f.div(at, depth), s.y_steps[0] * size))
            y = f.at(y, f.mul(f.rem(at, depth), s.y_steps[2] * size))
            start = f.mul(i.index, self.strides[4] * size)
            with f.loop(0, "%rows", 1, [(wide, a) for a in i.values], some=True) as r:
                row = f.at(y, f.mul(r.index, s.y_steps[3] * size))
                line = f.add(start, f.mul(r.index, self.strides[5] * size))
                inner = [(wide, a) for a in r.values]
                with f.loop(0, "%columns", w, inner, some=True) as c:
                    right, mask = [], None
                    for o in range(self.outs):
                        p = f.at(row, o * s.y_steps[1] * size)
                        if whole and s.y_steps[4] == 1:
                            right.append(x.load(f.at(p, f.mul(c.index, size)), kind))
                        else:
                            v, _, mask = row_lanes(x, p, c.index, 1, "%columns", s.y_steps[4], zero)
                            right.append(v)
                    at = f.add(line, f.mul(c.index, size))
                    out = list(c.values)
                    for k, b in enumerate(bases):
                        left = x.load(f.at(b, at), kind)
                        if mask is not None:  # an infinity there is in no window of the row
                            left = x.select(mask, left, zero)
                        for o in range(self.outs):
                            spot = o * self.group + k
                            old = Value(out[spot], kind)
                            out[spot] = fused(x, left, right[o], old).name
                    c.next = out
                r.next = c.values
            i.next = r.values
        for k, name in enumerate(i.values):
            x.store(Value(name, kind), f.at("%a", k * w * size))
        self.functions.append(f.text("internal "))
