"""What the kernels for a convolution's gradient by its weights share.

Every division of the work follows from shapes alone. Where there are few weights, the positions
are divided too; then a `PartsKernel` adds the parts up.
"""

from __future__ import annotations

import math
from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.convolution import REGISTERS
from facula.cpu.convolution_copy import Source, copy_channels
from facula.cpu.convolution_plan import Axis, Copies, parts, settings, three
from facula.cpu.kernels import Kernel
from facula.cpu.strips import inside, masked_load, masked_store, positions
from facula.cpu.text import Index
from facula.cpu.vector import SIZE, Lanes
from facula.trace.node import Node

TARGET = 16  # units that are wanted
WORK = 400_000  # multiplications that a unit should have at least
DIVIDED = 1 << 20  # bytes of all parts of the sums, where positions are divided


class Sums:
    """Sizes and steps of one gradient."""

    def __init__(self, n: Node, places: Any) -> None:
        a, b = places[n.inputs[0]], places[n.inputs[1]]
        stride, padding, dilation, self.groups = settings(n)
        self.kernel = three(n.shape[2:], 1)
        out, size = three(b.shape[2:], 1), three(a.shape[2:], 1)
        self.axes = [
            Axis(o, s, m, o, [[(k, k * d - p) for k in range(e)]])
            for o, s, m, e, d, p in zip(
                out, stride, size, self.kernel, dilation, padding, strict=True
            )
        ]
        self.images, self.ci = a.shape[0], n.shape[1]
        self.co = n.shape[0] // self.groups
        self.taps = math.prod(self.kernel)
        self.x_steps = [*a.strides[:2], *three(a.strides[2:], 0)]
        self.y_steps = [*b.strides[:2], *three(b.strides[2:], 0)]
        self.x_offset, self.y_offset = a.offset, b.offset
        self.out = out
        self.work = self.images * math.prod(out) * math.prod(n.shape)


class GradientKernel(Kernel):
    """What both kernels share: blocks of positions, and where the sums go."""

    def begin(self, width: int) -> None:
        """Sizes."""
        n = self.cluster.core
        assert n is not None
        kind = kind_of(n)
        assert kind is not None
        self.n, self.kind, self.size = n, kind, SIZE[kind]
        self.s = Sums(n, self.places)
        self.lanes = width if kind == "f32" else width // 2
        self.registers = REGISTERS[width]
        self.weights = math.prod(n.shape)

    def addresses(self) -> None:
        """Operands, and the result or its parts."""
        f, n, s, size = self.f, self.n, self.s, self.size
        self.source = f.at(self.buffer(self.places[n.inputs[0]].base), s.x_offset * size)
        self.other = f.at(self.buffer(self.places[n.inputs[1]].base), s.y_offset * size)
        if self.split > 1:
            self.room[("divided", n)] = self.split * self.weights * size
            self.target = self.buffer(n, "divided")
        else:
            self.target = self.buffer(n)

    def cut(self, positions: int) -> None:
        """Blocks of about so many positions: images, rows and columns, and how many of each."""
        z, y, x = self.s.axes
        images = self.s.images * z.grid
        columns, across = parts(x.grid, max(positions, 16))
        rows, down = parts(y.grid, max(1, positions // columns))
        many = max(1, positions // (rows * columns)) if across == down == 1 else 1
        many, groups = parts(images, many)
        self.blocks, self.counts = [many, rows, columns], [groups, down, across]

    def divide(self, base: int) -> None:
        """How many units share the positions, for so many units that do not."""
        blocks = math.prod(self.counts)
        target = max(1, min(TARGET, self.s.work // WORK))
        most = max(1, DIVIDED // (self.weights * self.size))
        self.split = max(1, min(blocks, -(-target // base), most))

    def block(self, index: Index) -> None:
        """Where block `index` begins, and how many images, rows and columns it has."""
        f = self.f
        z, y, x = self.s.axes
        whole = [self.s.images * z.grid, y.grid, x.grid]
        across = f.rem(index, self.counts[2])
        rest = f.div(index, self.counts[2])
        which = [f.div(rest, self.counts[1]), f.rem(rest, self.counts[1]), across]
        self.first, self.some = [], []
        for i, each, count, total in zip(which, self.blocks, self.counts, whole, strict=True):
            start = f.mul(i, each) if count > 1 else 0
            self.first.append(start)
            exact = total % each == 0
            self.some.append(each if exact else f.smaller(each, f.sub(total, start)))

    def image(self, i: Index) -> tuple[Index, Index]:
        """Image and depth of the i-th image of the block."""
        f = self.f
        at, depth = f.add(self.first[0], i), self.s.axes[0].grid
        return f.div(at, depth), f.rem(at, depth)

    def copy(self, source: str, room: str, count: Index, copies: Any, strides: list[int]) -> None:
        """Copy channels of the first operand for a block."""
        f, s = self.f, self.s
        z, y, x = s.axes

        def origin(i: Index) -> tuple[Index, Index]:
            image, depth = self.image(i)
            return image, f.mul(depth, z.step)

        corner = (f.mul(self.first[1], y.step), f.mul(self.first[2], x.step))
        where = Source(source, self.kind, s.x_steps, [a.size for a in s.axes])
        copy_channels(
            f, self.lanes, where, room, count, copies, strides, self.some[0], origin, corner
        )

    def over_blocks(self, share: Index) -> tuple[Index, Index]:
        """The blocks of one share of the positions."""
        f, total = self.f, math.prod(self.counts)
        if self.split == 1:
            return 0, total
        low = f.div(f.mul(share, total), self.split)
        return low, f.div(f.mul(f.add(share, 1), total), self.split)


def layout(copies: list[Copies], many: int, lanes: int) -> list[int]:
    """Steps through copied channels: channel, variants, image and row."""
    cz, cy, cx = copies
    row = cx.length
    image = row * cy.length
    sx = image * many
    sy = sx * cx.count
    sz = sy * cy.count
    return [sz * cz.count + lanes, sz, sy, sx, image, row]


class PartsKernel(Kernel):
    """Adds up the parts of sums whose positions were divided."""

    def combine(self, of: GradientKernel, width: int) -> None:
        """Write the kernel."""
        f, n, size, kind = self.f, of.n, of.size, of.kind
        self.room = of.room
        source, target = self.buffer(n, "divided"), self.buffer(n)
        total = of.weights
        each = max(4096, -(-total // 64 // 64) * 64)
        self.units = -(-total // each)
        with f.loop("%lo", "%hi") as unit:
            low = f.mul(unit.index, each)
            high = f.smaller(f.add(low, each), total)
            w = width if kind == "f32" else width // 2
            x = Lanes(f, w)
            zero = x.const(0, kind)
            with f.loop(low, high, w, some=True) as j:
                mask = inside(x, positions(x, j.index, 1), total)
                at = f.at(source, f.mul(j.index, size))
                v = masked_load(x, at, mask, zero)
                for k in range(1, of.split):
                    part = masked_load(x, f.at(at, k * total * size), mask, zero)
                    v = x.add(v, part)
                masked_store(x, v, f.at(target, f.mul(j.index, size)), mask)
