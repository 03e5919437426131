"""Copying channels of a padded input to the stack, in the form a convolution wants them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula.cpu.strips import Reader, choose
from facula.cpu.text import Function, Index
from facula.cpu.vector import SIZE, Lanes

FEW = 4  # vectors of a row that are written out


class Source:
    """An input (N, C, D, H, W) in memory: its steps, in elements, and spatial sizes."""

    def __init__(self, address: str, kind: str, steps: list[int], sizes: list[int]) -> None:
        self.address = address
        self.kind = kind
        self.steps = steps
        self.sizes = sizes


def up(f: Function, a: Index, n: int) -> Index:
    """a / n, rounded up, for an `a` that may be negative: then anything up to 0."""
    if isinstance(a, int):
        return -(-a // n)
    return a if n == 1 else f.let(f"sdiv i64 {f.add(a, n - 1)}, {n}")


def empty(first: Index, end: Index) -> bool:
    """Whether a range is known to be empty."""
    return isinstance(first, int) and isinstance(end, int) and first >= end


def within(f: Function, a: Index, most: int) -> Index:
    """The nearest of 0 .. most."""
    a = f.smaller(a, most)
    if isinstance(a, int):
        return max(a, 0)
    f.declare("i64", "llvm.smax.i64", "i64", "i64")
    return f.let(f"call i64 @llvm.smax.i64(i64 {a}, i64 0)")


def copy_channels(
    f: Function,
    width: int,
    source: Source,
    room: str,
    count: Index,
    copies: list[Any],
    strides: list[int],
    many: Index,
    origin: Callable[[Index], tuple[Index, Index]],
    corner: tuple[Index, Index],
) -> None:
    """Copy `count` channels of `many` images, with zeros outside.

    A row is written in whole vectors, so what is past its end is written twice; a channel must
    have room for a vector at its end. `origin` gives the image, and where in its depth a copy
    begins; `corner` is the row and the column where it begins. `copies` say, for each dimension,
    what is copied from there on; `strides` is where to: for channel, the variants in depth, height
    and width, image and row.
    """
    size = SIZE[source.kind]
    cz, cy, cx = copies
    w = width
    while w > 1 and w // 2 >= cx.length:
        w //= 2
    x = Lanes(f, w)
    zero = x.const(0, source.kind)
    vectors = -(-cx.length // w)
    row_of = (source.sizes[2], source.steps[4])
    image_step, channel_step, *steps = [s * size for s in source.steps]

    def limits(copy: Any, start: Index) -> tuple[Index, Index]:
        """The rows from `start` on that are inside: the others hold zeros."""
        if copy.inside:
            return 0, copy.length
        low = within(f, up(f, f.sub(0, start), copy.step), copy.length)
        high = within(f, up(f, f.sub(source.sizes[1], start), copy.step), copy.length)
        return low, high

    outside = not (cy.inside and cz.inside)
    with (
        f.times(cz.count) as vz,
        f.times(cy.count) as vy,
        f.times(cx.count) as vx,
    ):
        at_x = f.add(corner[1], cx.first(f, vx, 0))
        readers = []
        if vectors <= FEW:
            readers = [
                Reader(x, f.add(at_x, j * w * cx.step), cx.step, *row_of, zero)
                for j in range(vectors)
            ]
        with f.times(many) as i:
            image, depth = origin(i)
            at_z = f.add(depth, cz.first(f, vz, 0))
            at_y = f.add(corner[0], cy.first(f, vy, 0))
            plane = f.at(source.address, f.mul(image, image_step))
            plane = f.at(plane, f.add(f.mul(at_z, steps[0]), f.mul(at_y, steps[1])))
            to: Index = 0
            for v, s in zip((vz, vy, vx, i), strides[1:5], strict=True):
                to = f.add(to, f.mul(v, s * size))
            start = f.at(room, to)
            low, high = limits(cy, at_y)
            if not cz.inside:
                there = f.let(f"icmp ult i64 {at_z}, {source.sizes[0]}")
                low, high = choose(f, there, low, 0), choose(f, there, high, 0)
            with f.loop(0, count, some=True) as c:
                src = f.at(plane, f.mul(c.index, channel_step))
                out = f.at(start, f.mul(c.index, strides[0] * size))

                def fill(first: Index, end: Index) -> None:
                    if empty(first, end):
                        return
                    with f.loop(first, end) as row, f.loop(0, vectors, some=True) as j:
                        p = f.at(out, f.mul(row.index, strides[5] * size))
                        x.store(zero, f.at(p, f.mul(j.index, w * size)))

                def read(first: Index, end: Index) -> None:
                    if empty(first, end):
                        return
                    with f.loop(first, end, some=not outside) as row:
                        line = f.at(src, f.mul(row.index, cy.step * steps[1]))
                        p = f.at(out, f.mul(row.index, strides[5] * size))
                        for k, reader in enumerate(readers):
                            x.store(reader.load(line), f.at(p, k * w * size))
                        if not readers:
                            with f.loop(0, vectors, some=True) as j:
                                spot = f.add(at_x, f.mul(j.index, w * cx.step))
                                v = Reader(x, spot, cx.step, *row_of, zero).load(line)
                                x.store(v, f.at(p, f.mul(j.index, w * size)))

                if outside:
                    fill(0, low)
                read(low, high)
                if outside:
                    fill(high, cy.length)
