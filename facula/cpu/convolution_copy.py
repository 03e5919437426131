"""Copying channels of a padded input to the stack, in the form a convolution wants them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula.cpu.strips import AWAY, both, row_lanes
from facula.cpu.strips import choose as pick
from facula.cpu.text import Function, Index
from facula.cpu.vector import SIZE, Lanes


class Source:
    """An input (N, C, D, H, W) in memory: its steps, in elements, and spatial sizes."""

    def __init__(self, address: str, kind: str, steps: list[int], sizes: list[int]) -> None:
        self.address = address
        self.kind = kind
        self.steps = steps
        self.sizes = sizes


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

    `origin` gives the image, and where in its depth a copy begins; `corner` is the row and the
    column where it begins. `copies` say, for each dimension, what is copied from there on;
    `strides` is where to: for channel, the variants in depth, height and width, image and row.
    """
    size = SIZE[source.kind]
    cz, cy, cx = copies
    w = width
    while w > 1 and w // 2 >= cx.length:
        w //= 2
    x = Lanes(f, w)
    zero = x.const(0, source.kind)
    vectors = -(-cx.length // w)
    image_step, channel_step, *steps = [s * size for s in source.steps]

    def valid(d: int, inside: bool, i: Index) -> str | None:
        return None if inside else f.let(f"icmp ult i64 {i}, {source.sizes[d]}")

    with f.loop(0, count, some=True) as c:
        src = f.at(source.address, f.mul(c.index, channel_step))
        dst = f.at(room, f.mul(c.index, strides[0] * size))
        with (
            f.loop(0, cz.count, some=True) as vz,
            f.loop(0, cy.count, some=True) as vy,
            f.loop(0, cx.count, some=True) as vx,
            f.loop(0, many, some=True) as i,
            f.loop(0, cy.length, some=True) as row,
        ):
            image, depth = origin(i.index)
            at_z = f.add(depth, cz.first(f, vz.index, 0))
            at_y = f.add(corner[0], cy.first(f, vy.index, row.index))
            at_x = f.add(corner[1], cx.first(f, vx.index, 0))
            ok = both(f, valid(0, cz.inside, at_z), valid(1, cy.inside, at_y))
            line = f.at(src, f.mul(image, image_step))
            line = f.at(line, f.add(f.mul(at_z, steps[0]), f.mul(at_y, steps[1])))
            to: Index = 0
            for v, s in zip((vz, vy, vx, i, row), strides[1:], strict=True):
                to = f.add(to, f.mul(v.index, s * size))
            out = f.at(dst, to)
            if ok is not None:
                at_x = pick(f, ok, at_x, AWAY)

            def strip(j: Index) -> None:
                first = f.add(at_x, f.mul(j, w * cx.step))
                v, _, _ = row_lanes(x, line, first, cx.step, source.sizes[2], source.steps[4], zero)
                x.store(v, f.at(out, f.mul(j, w * size)))

            if vectors <= 3:
                for j in range(vectors):
                    strip(j)
            else:
                with f.loop(0, vectors, some=True) as strips:
                    strip(strips.index)
