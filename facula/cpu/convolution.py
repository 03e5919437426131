"""Convolutions and their transposes: tiles in registers over channels and taps.

A unit computes some output channels of some rows of some images (`convolution_plan` says how it is
cut). It lists the vectors of its block once, *slots*: where each finds its input and where its
result goes. Then, for a part of the channels at a time, it copies the padded input to the stack if
that can't be read in place, and runs all tiles over it.
"""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.convolution_channels import ChannelKernel, ChannelPlan, PlannedKernel
from facula.cpu.convolution_channels import candidates as by_channels
from facula.cpu.convolution_copy import Source, copy_channels
from facula.cpu.convolution_plan import SLOWLY, Plan, Problem, choose, convolution, transposed
from facula.cpu.following import rest, separable
from facula.cpu.kernels import Kernel, fused
from facula.cpu.strips import both, inside, masked_store, positions
from facula.cpu.text import Function, Index, NotCompiled
from facula.cpu.vector import SIZE, Lanes, Value
from facula.trace.node import Node

SLOT = 24  # bytes: where the input lies, the image, the position
WRITTEN = 160  # products without a loop over taps; among more, LLVM moves loads until it spills
REGISTERS = {16: 32, 8: 16, 4: 16}


class ConvolutionKernel(PlannedKernel):
    """A convolution with positions in the lanes."""

    plan: Plan

    def build(self, width: int) -> None:
        """Write the kernel; `width` is that of a vector of float32."""
        source, weights = self.begin()
        f, plan, p, x, size = self.f, self.plan, self.p, self.x, self.size
        self.tiles: dict[Any, str] = {}
        self.slots_at = f.scratch("i64", plan.padded * SLOT // 8)
        if not plan.direct:
            self.room_at = f.scratch("i8", self._copied_bytes())
        self.kept_row = plan.padded * x.width * size
        self.kept_phase = self.kept_row * plan.own
        if plan.keeps:
            self.kept_at = f.scratch("i8", self.kept_phase * len(p.phases))
        self.units = plan.units
        with f.loop("%lo", "%hi") as unit:
            self._unit(unit.index, source, weights)

    def _copied_bytes(self) -> int:
        return (self.plan.strides[0] * self.plan.part + 2 * self.x.width) * self.size

    def _unit(self, unit: Index, source: str, weights: str) -> None:
        f, p, plan, size = self.f, self.p, self.plan, self.size
        z, y, x = p.axes
        rest = unit
        group = f.rem(rest, p.groups)
        rest = f.div(rest, p.groups)
        owner = f.rem(rest, plan.owners)
        rest = f.div(rest, plan.owners)
        across = f.rem(rest, plan.counts[2])
        rest = f.div(rest, plan.counts[2])
        down = f.rem(rest, plan.counts[1])
        block = f.div(rest, plan.counts[1])
        # The last block ends where the whole ends; it may compute again what others did.
        self.first_image = self._start(block, plan.blocks[0], p.images * z.grid)
        self.first_row = self._start(down, plan.blocks[1], y.grid)
        self.first_column = self._start(across, plan.blocks[2], x.grid)
        self.first_channel = f.mul(owner, plan.own)
        self.mine = f.smaller(plan.own, f.sub(p.co, self.first_channel))
        self.group = group
        source = f.at(source, f.mul(group, p.ci * p.x_steps[1] * size))
        weights = f.at(weights, f.mul(group, p.w_steps[0] * size))
        weights = f.at(weights, f.mul(self.first_channel, p.w_steps[1] * size))
        self._list_slots()
        if plan.keeps:
            self._clear()
        if plan.parts == 1:
            self._part(0, p.ci, "true", source, weights)
        else:
            with f.loop(0, plan.parts, some=True) as part:
                first = f.mul(part.index, plan.part)
                count = f.smaller(plan.part, f.sub(p.ci, first))
                last = f.let(f"icmp eq i64 {part.index}, {plan.parts - 1}")
                self._part(first, count, last, source, weights)
        if not plan.plain:
            self._finish()

    def _start(self, block: Index, each: int, whole: int) -> Index:
        return self.f.smaller(self.f.mul(block, each), whole - each)

    # Slots.
    def _image(self, i: Index) -> tuple[Index, Index]:
        """Image and depth of the i-th image of the unit."""
        f = self.f
        at = f.add(self.first_image, i)
        depth = self.p.axes[0].grid
        return f.div(at, depth), f.rem(at, depth)

    def _list_slots(self) -> None:
        f, p, plan, size, w = self.f, self.p, self.plan, self.size, self.x.width
        many, rows, columns = plan.blocks
        z, y, x = p.axes

        def enter(slot: Index, where: Index, image: Index, at: Index) -> None:
            s = f.at(self.slots_at, f.mul(slot, SLOT))
            for k, v in enumerate((where, image, at)):
                f.do(f"store i64 {v}, ptr {f.at(s, 8 * k)}")

        if plan.form == "full":
            with f.loop(0, plan.padded, some=True) as j:
                enter(j.index, f.mul(f.smaller(j.index, plan.slots - 1), w * size), 0, 0)
            return
        each = plan.slots // many
        with f.loop(0, plan.padded, some=True) as j:
            slot = f.smaller(j.index, plan.slots - 1)
            i, v = f.div(slot, each), f.rem(slot, each)
            image, depth = self._image(i)
            row: Index = 0
            if plan.form == "row":
                across = -(-columns // w)
                row = f.div(v, across)
                at = f.mul(f.rem(v, across), w)
                if plan.plain:
                    at = f.smaller(at, columns - w)
            else:
                at = f.mul(v, w)
                if plan.plain:
                    at = f.smaller(at, rows * columns - w)
            if plan.direct:
                where = f.add(
                    f.mul(image, p.x_steps[0] * size),
                    f.mul(depth, p.x_steps[2] * z.step * size),
                )
                line = f.add(self.first_row, row)
                where = f.add(where, f.mul(line, p.x_steps[3] * y.step * size))
                where = f.add(where, f.mul(f.add(self.first_column, at), size))
            else:
                where = f.mul(i, plan.strides[4] * size)
                where = f.add(where, f.mul(row, plan.strides[5] * size))
                where = f.add(where, f.mul(at, size))
            line = f.add(f.mul(depth, y.grid), f.add(self.first_row, row))
            at = f.add(f.add(f.mul(line, x.grid), self.first_column), at)
            enter(j.index, where, image, at)

    # One part of the channels.
    def _part(self, first: Index, count: Index, last: str, source: str, weights: str) -> None:
        f, p, plan, size = self.f, self.p, self.plan, self.size
        source = f.at(source, f.mul(first, p.x_steps[1] * size))
        weights = f.at(weights, f.mul(first, p.w_steps[2] * size))
        if not plan.direct:
            self._copy(source, count)
            source = self.room_at
        for k, phase in enumerate(p.phases):
            if p.count(phase):
                self._tiles(k, phase, count, last, source, weights)

    def _tiles(
        self, k: int, phase: Any, count: Index, last: str, source: str, weights: str
    ) -> None:
        """All tiles of the unit: those of one output channel after the other, or of one slot."""
        f, p, plan = self.f, self.p, self.plan
        m, size = plan.rows, self.size
        w_bytes = min(plan.own, p.co) * plan.part * p.count(phase) * size
        slots = plan.padded // plan.vectors
        whole = f.div(self.mine, m)
        left = p.co % m  # only the last unit of a group has a tile that is not whole

        def call(rows: int, tile: Index, slot: Index) -> None:
            name = self._tile(rows, phase)
            o = f.mul(tile, m)
            s = f.mul(slot, plan.vectors)
            arguments = [
                f"ptr {f.at(weights, f.mul(o, p.w_steps[1] * size))}",
                f"ptr {source}",
                f"ptr {f.at(self.slots_at, f.mul(s, SLOT))}",
                f"i64 {count}",
            ]
            if plan.keeps:
                q = f.add(f.mul(o, self.kept_row), f.mul(s, self.x.width * size))
                arguments.append(f"ptr {f.at(self.kept_at, f.add(q, k * self.kept_phase))}")
            if plan.keeps and plan.plain:
                arguments.append(f"i1 {last}")
            if plan.plain:
                channel = f.add(f.add(f.mul(self.group, p.co), self.first_channel), o)
                arguments += [f"i64 {channel}", *self.following.arguments()]
            f.do(f"call void @{name}({', '.join(arguments)})")

        def slot_by_slot(rows: int, tile: Index) -> None:
            with f.loop(0, slots, some=True) as s:
                call(rows, tile, s.index)

        def remainder() -> str:
            if isinstance(self.mine, int):
                return "true"
            return f.let(f"icmp ne i64 {f.rem(self.mine, m)}, 0")

        if w_bytes > SLOWLY:
            with f.loop(0, whole) as tile:
                slot_by_slot(m, tile.index)
            if left:
                with f.when(remainder()):
                    slot_by_slot(left, whole)
            return
        with f.loop(0, slots, some=True) as s:
            with f.loop(0, whole) as tile:
                call(m, tile.index, s.index)
            if left:
                with f.when(remainder()):
                    call(left, whole, s.index)

    # Copies.
    def _copy(self, source: str, count: Index) -> None:
        """Copy `count` channels, in the plan's form, with zeros outside."""
        f, p, plan = self.f, self.p, self.plan
        z, y, x = p.axes

        def origin(i: Index) -> tuple[Index, Index]:
            image, depth = self._image(i)
            return image, f.mul(depth, z.step)

        copy_channels(
            f,
            self.x.width,
            Source(source, self.kind, p.x_steps, [a.size for a in p.axes]),
            self.room_at,
            count,
            plan.copies,
            plan.strides,
            plan.blocks[0],
            origin,
            (f.mul(self.first_row, y.step), f.mul(self.first_column, x.step)),
        )

    # Kept results.
    def _clear(self) -> None:
        """Zeros where tiles add to what they find, and where no tap reaches."""
        f, x, p = self.f, self.x, self.p
        for k, phase in enumerate(p.phases):
            if self.plan.parts == 1 and p.count(phase):
                continue
            base = f.at(self.kept_at, k * self.kept_phase)
            with f.loop(0, self.kept_phase, x.width * self.size, some=True) as j:
                x.store(x.const(0, self.kind), f.at(base, j.index))

    def _finish(self) -> None:
        """Store the kept results where they belong."""
        f, p, plan, size = self.f, self.p, self.plan, self.size
        many, rows, columns = plan.blocks
        z, y, x = p.axes
        target = self.following.addresses[-1]
        depth_phases, row_phases, column_phases = [len(a.phases) for a in p.axes]
        with f.loop(0, self.mine, some=True) as o, f.loop(0, many, some=True) as i:
            image, depth = self._image(i.index)
            channel = f.add(f.add(f.mul(self.group, p.co), self.first_channel), o.index)
            plane = f.add(f.mul(image, p.co * p.groups), channel)
            kept = f.at(self.kept_at, f.mul(o.index, self.kept_row))
            for pz in range(depth_phases):
                out_z = f.add(f.mul(depth, depth_phases), pz)
                for py in range(row_phases):
                    phase = (pz * row_phases + py) * column_phases
                    base = f.at(kept, phase * self.kept_phase)
                    with f.loop(0, rows, some=True) as row:
                        out_y = f.add(f.mul(f.add(self.first_row, row.index), row_phases), py)
                        line = f.add(f.mul(f.add(f.mul(plane, z.out), out_z), y.out), out_y)
                        out = f.at(target, f.mul(line, x.out * size))
                        if plan.form == "row":
                            per = plan.slots // many * self.x.width
                            at = f.add(f.mul(i.index, per), f.mul(row.index, plan.row_lanes))
                        elif plan.form == "flat":
                            per = plan.slots // many * self.x.width
                            at = f.add(f.mul(i.index, per), f.mul(row.index, columns))
                        else:
                            at = f.add(f.mul(i.index, rows), row.index)
                            at = f.mul(at, columns)
                        ok = None
                        if y.out % row_phases:
                            ok = f.let(f"icmp ult i64 {out_y}, {y.out}")
                        if z.out % depth_phases:
                            fine = f.let(f"icmp ult i64 {out_z}, {z.out}")
                            ok = both(f, ok, fine)
                        line_of = (out, f.at(base, f.mul(at, size)), columns, column_phases)
                        if ok is None:
                            self._finish_row(*line_of)
                        else:
                            with f.when(ok):
                                self._finish_row(*line_of)

    def _finish_row(self, out: str, kept: str, columns: int, phases: int) -> None:
        """Store one row of results: the phases of each column after each other."""
        f, size = self.f, self.size
        w = self.x.width
        while w > 1 and w // 2 >= columns * phases:
            w //= 2
        x = Lanes(f, w)
        whole = self.p.axes[2].out
        first = f.mul(self.first_column, phases)

        def strip(j: Index) -> None:
            at = f.add(first, j)
            mask = inside(x, positions(x, at, 1), whole)
            if phases == 1:
                v = x.load(f.at(kept, f.mul(j, size)), self.kind)
            elif phases == 2 and w > 1:
                half = f.div(j, 2)
                low = x.load(f.at(kept, f.mul(half, size)), self.kind)
                high = x.load(f.at(kept, f.add(f.mul(half, size), self.kept_phase)), self.kind)
                v = x.shuffle(low, high, [k // 2 + (w if k % 2 else 0) for k in range(w)])
            else:
                parts = []
                one = Lanes(f, 1)
                for k in range(w):
                    place = f.add(j, k)
                    where = f.mul(f.rem(place, phases), self.kept_phase)
                    where = f.add(where, f.mul(f.div(place, phases), size))
                    parts.append(one.load(f.at(kept, where), self.kind))
                v = x.join(parts)
            # Past the block's columns is what another unit stores, or nothing.
            end = columns * phases
            if end % w:
                mask = x.op("and", mask, inside(x, positions(x, j, 1), end), "b")
            masked_store(x, v, f.at(out, f.mul(at, size)), mask)

        with f.loop(0, columns * phases, w, some=True) as j:
            strip(j.index)

    # Tiles.
    def _tile(self, rows: int, phase: Any) -> str:
        key = (rows, phase)
        if key not in self.tiles:
            name = f"tile{len(self.tiles)}"
            self.tiles[key] = name
            self._tile_function(name, rows, phase)
        return self.tiles[key]

    def _tile_function(self, name: str, rows: int, phase: Any) -> None:
        p, plan, size, kind = self.p, self.plan, self.size, self.kind
        params = ["ptr %w", "ptr %b", "ptr %s", "i64 %n"]
        if plan.keeps:
            params.append("ptr %q")
        if plan.keeps and plan.plain:
            params.append("i1 %last")
        if plan.plain:
            params += ["i64 %c", *self.following.params()]
        f = Function(name, ", ".join(params), self.declarations)
        x, one = Lanes(f, plan.lanes), Lanes(f, 1)
        vectors = plan.vectors
        wide = x.type(kind)
        bases = []
        for v in range(vectors):
            where = f.let(f"load i64, ptr {f.at('%s', v * SLOT)}")
            bases.append(f.at("%b", where))
        taps = p.taps(phase)
        steps_w, step_c = p.w_steps, (plan.strides[0] if not plan.direct else p.x_steps[1])
        lines = [
            (plan.offset((ez, ey, p.axes[2].low)), kz * steps_w[3] + ky * steps_w[4])
            for kz, ez in taps[0]
            for ky, ey in taps[1]
        ]
        corner = plan.offset((p.axes[0].low, p.axes[1].low, p.axes[2].low))
        low = tuple([a.low for a in p.axes])
        across = [(plan.offset((low[0], low[1], e)) - corner, k * steps_w[5]) for k, e in taps[2]]
        kept = (
            [
                [f.at("%q", i * self.kept_row + v * x.width * size) for v in range(vectors)]
                for i in range(rows)
            ]
            if plan.keeps
            else []
        )
        if plan.parts > 1:
            first = [x.load(kept[i][v], kind).name for i in range(rows) for v in range(vectors)]
        else:
            first = [x.const(0, kind).name] * (rows * vectors)

        def step(acc: list[str], w: str, b: list[str], at: int, weight: int) -> list[str]:
            right = [x.load(f.at(q, at * size), kind) for q in b]
            out = list(acc)
            for i in range(rows):
                left = x.splat(one.load(f.at(w, (weight + i * steps_w[1]) * size), kind))
                for v in range(vectors):
                    k = i * vectors + v
                    out[k] = fused(x, left, right[v], Value(acc[k], kind)).name
            return out

        carried = [(wide, a) for a in first] + [("ptr", "%w")] + [("ptr", b) for b in bases]
        count = len(lines) * len(across)
        with f.loop(0, "%n", 1, carried, some=True) as c:
            acc, w, b = c.values[: -1 - vectors], c.values[-1 - vectors], c.values[-vectors:]
            if count == 1 or count * rows * vectors <= WRITTEN:
                for at, weight in lines:
                    for shift, k in across:
                        acc = step(acc, w, b, at + shift, weight + k)
            else:
                groups = [(at, weight, across) for at, weight in lines]
                if len(across) * rows * vectors > WRITTEN:
                    groups = [
                        (at + shift, weight + k, [(0, 0)])
                        for at, weight in lines
                        for shift, k in across
                    ]
                acc = self._over_groups(f, groups, acc, w, b, step, wide)
            c.next = [
                *acc,
                f.at(w, steps_w[2] * size),
                *[f.at(q, step_c * size) for q in b],
            ]
        acc = c.values[: rows * vectors]

        def keep() -> None:
            for i in range(rows):
                for v in range(vectors):
                    x.store(Value(acc[i * vectors + v], kind), kept[i][v])

        def follow() -> None:
            for v in range(vectors):
                image = f.let(f"load i64, ptr {f.at('%s', v * SLOT + 8)}")
                at = f.let(f"load i64, ptr {f.at('%s', v * SLOT + 16)}")
                column = [Value(acc[i * vectors + v], kind) for i in range(rows)]
                self.following.emit(f, x, column, image, "%c", at)

        if not plan.plain:
            keep()
        elif not plan.keeps:
            follow()
        else:
            with f.when("%last"):
                follow()
            with f.when(f.let("xor i1 %last, true")):
                keep()
        self.functions.append(f.text("internal "))

    def _over_groups(
        self, f: Function, groups: Any, acc: list[str], w: str, b: list[str], step: Any, wide: str
    ) -> list[str]:
        """A loop over groups of taps that look alike, whose places are in a table."""
        size = self.size
        across = groups[0][2]
        table = f"{f.name}_table"
        numbers = ", ".join([f"i64 {at * size}, i64 {weight * size}" for at, weight, _ in groups])
        self.functions.append(
            f"@{table} = internal constant [{2 * len(groups)} x i64] [{numbers}]\n"
        )
        with f.loop(0, len(groups), 1, [(wide, a) for a in acc], some=True) as g:
            entry = f.at(f"@{table}", f.mul(g.index, 16))
            at = f.let(f"load i64, ptr {entry}")
            weight = f.let(f"load i64, ptr {f.at(entry, 8)}")
            w2, b2 = f.at(w, weight), [f.at(q, at) for q in b]
            inner = g.values
            for shift, k in across:
                inner = step(inner, w2, b2, shift, k)
            g.next = inner
        return g.values


class Convolution:
    """The emitter of `conv` and `conv_input`."""

    joins = True
    relocates = False
    constants: Container[int] = ()

    def accepts(self, n: Node) -> bool:
        """float32 and float64."""
        return kind_of(n) in ("f32", "f64") and all(
            [math.prod(i.shape) < 1 << 31 for i in n.inputs]
        )

    def problem(self, n: Node, places: Any) -> Problem:
        """What is computed."""
        make = convolution if n.op.name == "conv" else transposed
        return make(n, places[n.inputs[0]], places[n.inputs[1]])

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """The convolution, with what follows where it can be done in registers."""
        cluster, places, _, constants = args
        kind = kind_of(cluster.core)
        assert kind is not None
        lanes = width if kind == "f32" else width // 2
        problem = self.problem(cluster.core, places)
        settings = (problem, lanes, SIZE[kind], REGISTERS[width])
        plan, other = (
            choose(*settings),
            min(by_channels(*settings), key=ChannelPlan.cost, default=None),
        )
        kernel: ConvolutionKernel | ChannelKernel
        follows = separable(cluster, places, constants)
        if other is not None and (plan is None or other.cost() < plan.cost()):
            kernel = ChannelKernel(*args, guards=guards, plan=other, follows=follows)
        elif plan is not None:
            follows = plan.plain and follows
            kernel = ConvolutionKernel(*args, guards=guards, plan=plan, follows=follows)
        else:
            raise NotCompiled("a convolution that no plan fits")
        kernel.build(width)
        out: list[Kernel] = [kernel]
        if not follows and len(cluster.nodes) > 1:
            out += rest(args, guards, width)
        return out
