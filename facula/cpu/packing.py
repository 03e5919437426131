"""Copies of the operands of a matrix product in the order in which tiles read them."""

from __future__ import annotations

from functools import cache

from facula.cpu.blocking import LINE, SOON, Shape
from facula.cpu.kernels import Kernel
from facula.cpu.text import Function, Index
from facula.cpu.tiles import Edge, lanes_of
from facula.cpu.vector import SIZE, Lanes, Value


def copy_panel(kernel: Kernel, s: Shape, kind: str, width: int, columns: int, panel: int) -> str:
    """Write a function (source, target, k) that copies a panel of the right operand."""
    name = f"tile{len(kernel.functions)}"
    f = Function(name, "ptr %source, ptr %target, i64 %k", kernel.declarations)
    size = SIZE[kind]
    if s.b_column == 1:
        with f.loop(0, "%k", some=True) as k:
            a = f.at("%source", f.mul(k.index, s.b_k * size))
            b = f.at("%target", f.mul(k.index, panel * size))
            for byte in range(0, columns * size, LINE):
                f.fetch(f.at(a, SOON * s.b_k * size + byte))
            for j, x in enumerate(lanes_of(f, columns, width)):
                v = x.load(f.at(a, j * width * size), kind)
                Lanes(f, x.width).store(v, f.at(b, j * width * size))
    elif s.b_k == 1:
        for j, first in enumerate(range(0, columns, width)):
            a = f.at("%source", first * s.b_column * size)
            turn_rows(
                f,
                kind,
                width,
                min(width, columns - first),
                s.b_column * size,
                panel * size,
                a,
                f.at("%target", j * width * size),
                s.k % width,
            )
    else:
        one = Lanes(f, 1)
        with f.loop(0, "%k", some=True) as k:
            a = f.at("%source", f.mul(k.index, s.b_k * size))
            b = f.at("%target", f.mul(k.index, panel * size))
            for c in range(columns):
                v = one.load(f.at(a, c * s.b_column * size), kind)
                one.store(v, f.at(b, c * size))
    kernel.functions.append(f.text("internal "))
    return name


def turn_rows(
    f: Function, kind: str, width: int, rows: int, step: int, out: int, a: str, b: str, rest: int
) -> None:
    """Transpose `rows` rows of k elements, `step` bytes apart, to k vectors `out` bytes apart.

    The last of k, `rest` elements, are less than a vector. What of a vector is no row becomes zero
    where there is room for whole vectors, and else stays as it is.
    """
    size = SIZE[kind]
    plain = Lanes(f, width)
    target = plain if out % (width * size) == 0 or rows == width else Edge(f, width, rows)

    def square(at: Index, x: Lanes, count: int) -> None:
        p, q = f.at(a, f.mul(at, size)), f.at(b, f.mul(at, out))
        values = [
            x.load(f.at(p, r * step), kind) if r < rows else plain.const(0, kind)
            for r in range(width)
        ]
        for r, v in enumerate(transposed(plain, values)[:count]):
            target.store(v, f.at(q, r * out))

    middle = f.let(f"and i64 %k, {-width}")
    with f.loop(0, middle, width) as k:
        if rows == width:  # a whole square: the function that is there once
            p, q = f.at(a, f.mul(k.index, size)), f.at(b, f.mul(k.index, out))
            turn(plain, kind, p, step, q, out)
        else:
            square(k.index, plain, width)
    if rest:
        with f.when(f.let(f"icmp ne i64 {middle}, %k")):
            square(middle, Edge(f, width, rest), rest)


def copy_tile(kernel: Kernel, s: Shape, kind: str, width: int, rows: int, across: int) -> str:
    """Write a function (source, target, k) that copies a tile's rows of the left operand, those of
    one k next to each other."""
    name = f"tile{len(kernel.functions)}"
    f = Function(name, "ptr %source, ptr %target, i64 %k", kernel.declarations)
    size = SIZE[kind]
    if s.a_k == 1:
        for first in range(0, rows, width):
            a = f.at("%source", first * s.a_row * size)
            b = f.at("%target", first * size)
            count = min(width, rows - first)
            turn_rows(f, kind, width, count, s.a_row * size, across * size, a, b, s.k % width)
    else:
        with f.loop(0, "%k", some=True) as k:
            a = f.at("%source", f.mul(k.index, s.a_k * size))
            b = f.at("%target", f.mul(k.index, across * size))
            for j, x in enumerate(lanes_of(f, rows, width)):
                v = x.load_strided(f.at(a, j * width * s.a_row * size), s.a_row * size, kind)
                x.store(v, f.at(b, j * width * size))
    kernel.functions.append(f.text("internal "))
    return name


def copy_rows(
    kernel: Kernel, s: Shape, kind: str, width: int, rows: int, across: int, room: int
) -> str:
    """Write a function (source, target, k, tiles) that copies the rows of many tiles, where those
    of one k are next to each other. In the copy they are `across` elements apart, and each tile
    has `room` elements."""
    name = f"tile{len(kernel.functions)}"
    f = Function(name, "ptr %source, ptr %target, i64 %k, i64 %tiles", kernel.declarations)
    size = SIZE[kind]
    with f.loop(0, "%k", some=True) as k:
        a = f.at("%source", f.mul(k.index, s.a_k * size))
        b = f.at("%target", f.mul(k.index, across * size))
        with f.loop(0, "%tiles", carried=[("ptr", a), ("ptr", b)]) as tile:
            a, b = tile.values
            f.fetch(f.at(a, SOON * s.a_k * size))
            for j, x in enumerate(lanes_of(f, rows, width)):
                v = x.load(f.at(a, j * width * size), kind)
                x.store(v, f.at(b, j * width * size))
            tile.next = [f.at(a, rows * size), f.at(b, room * size)]
    kernel.functions.append(f.text("internal "))
    return name


def copy_panels(
    kernel: Kernel, s: Shape, kind: str, width: int, columns: int, across: int, room: int
) -> str:
    """Write a function (source, target, k, panels) that copies many panels of the right operand, a
    row of all of them at a time. Each has `room` elements in the copy."""
    name = f"tile{len(kernel.functions)}"
    f = Function(name, "ptr %source, ptr %target, i64 %k, i64 %panels", kernel.declarations)
    size = SIZE[kind]
    with f.loop(0, "%k", some=True) as k:
        a = f.at("%source", f.mul(k.index, s.b_k * size))
        b = f.at("%target", f.mul(k.index, columns * size))
        with f.loop(0, "%panels", carried=[("ptr", a), ("ptr", b)]) as panel:
            a, b = panel.values
            for j, x in enumerate(lanes_of(f, columns, width)):
                x.store(x.load(f.at(a, j * width * size), kind), f.at(b, j * width * size))
            panel.next = [f.at(a, columns * size), f.at(b, room * size)]
    kernel.functions.append(f.text("internal "))
    return name


@cache
def _turning(kind: str, width: int) -> Function:
    name, params = f"shared_turn_{kind}_{width}", "ptr %from, i64 %step, ptr %to, i64 %pitch"
    f = Function(name, params, set())
    x = Lanes(f, width)
    p, q = "%from", "%to"
    rows = []
    for _ in range(width):
        rows.append(x.load(p, kind))
        p = f.at(p, "%step")
    for v in transposed(x, rows):
        x.store(v, q)
        q = f.at(q, "%pitch")
    return f


def turn(x: Lanes, kind: str, source: str, step: Index, target: str, pitch: Index) -> None:
    """Transpose a square of vectors in memory; its rows lie so many bytes apart.

    A function that all kernels share: the shuffles are most of what a compiler has to do for a
    copy, and take so long that a call makes no difference."""
    f = _turning(kind, x.width)
    x.f.share(f)
    x.f.do(f"call void @{f.name}(ptr {source}, i64 {step}, ptr {target}, i64 {pitch})")


def transposed(x: Lanes, rows: list[Value]) -> list[Value]:
    """A square of vectors, transposed by exchanging halves, quarters and so on."""
    w = x.width
    d = w // 2
    out = list(rows)
    while d:
        low = [i if not i // d % 2 else w + i - d for i in range(w)]
        high = [i + d if not i // d % 2 else w + i for i in range(w)]
        done = list(out)
        for i in range(w):
            if i // d % 2 == 0:
                for k, lanes in ((i, low), (i + d, high)):
                    done[k] = x.shuffle(out[i], out[i + d], lanes)
        out = done
        d //= 2
    return out
