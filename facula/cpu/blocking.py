"""How a matrix product is cut into units, tiles and panels.

A *tile* is the part of the result that is held in registers: a few rows times a few vectors. A
*panel* is a stripe of columns as wide as a tile. A *unit* is what one thread does at a time: some
rows of tiles of some panels of one product, or all of several small products. Everything here
follows from shapes and the width of the vectors, never from the number of threads, so the bits do
not depend on it.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

from facula.cpu.kernels import merged, strides_in
from facula.trace.node import Node, contiguous_strides

BLOCK = 192  # products that are summed before the sum is added to the total
WIDE = 264  # rows and columns that a unit may have in any case
NEAR = 1 << 20  # bytes of the left operand that a unit may go over again and again
LEAST = 1500  # cycles that are worth a unit of their own
THREADS = ((2, 4.0), (3, 1.0), (4, 2.0), (8, 1.0), (16, 1.0))  # to balance for, with weights


class Shape:
    """The sizes and steps of one product, in elements.

    Dimensions of the batch that the right operand does not have become rows; a product with one
    column is turned over, so that there are vectors along its rows.
    """

    def __init__(self, n: Node, places: Any, steps: list[list[int]]) -> None:
        """`steps`: of what is read and written along with the product, over its shape."""
        a, b = places[n.inputs[0]], places[n.inputs[1]]
        batch = list(n.shape[:-2])
        self.m, self.n = n.shape[-2:]
        self.k = a.shape[-1]
        sa = strides_in(a, (*batch, self.m, self.k))
        sb = strides_in(b, (*batch, self.k, self.n))
        tables = [*steps, list(contiguous_strides(n.shape))]
        batch, joined = merged(batch, [sa[:-2], sb[:-2], *[t[:-2] for t in tables]])
        rows = [sa[-2], *[t[-2] for t in tables]]
        columns = [t[-1] for t in tables]
        a_batch, b_batch, others = joined[0], joined[1], joined[2:]
        while batch and not b_batch[-1]:
            last = [t[-1] for t in (a_batch, *others)]
            if self.m != 1 and any([s != r * self.m for s, r in zip(last, rows, strict=True)]):
                break
            if self.m == 1:
                rows = last
            self.m *= batch.pop()
            for t in joined:
                t.pop()
        self.a_row, self.a_k = rows[0], sa[-1]
        self.b_k, self.b_column = sb[-2:]
        self.turned = self.n == 1 and self.m > 1
        self.left, self.right = 0, 1  # which operand is which
        if self.turned:
            self.m, self.n = 1, self.m
            self.a_row, self.a_k, self.b_k, self.b_column = 0, self.b_k, self.a_k, self.a_row
            a, b, a_batch, b_batch, self.left, self.right = b, a, b_batch, a_batch, 1, 0
            rows, columns = [0, *columns], rows[1:]
        self.a_offset, self.b_offset = a.offset, b.offset
        self.batch, self.a_batch, self.b_batch = batch, a_batch, b_batch
        self.count = prod(batch)
        # For each table: steps along the batch, from row to row, from column to column.
        self.steps = list(zip(others, rows[1:], columns, strict=True))


class Plan(NamedTuple):
    """What `plan` decides."""

    rows: int  # of a tile, at most
    vectors: int  # of a tile, at most
    tiles: int  # rows of tiles
    small: int  # rows of a tile; the first `big` tiles have one more
    big: int
    panels: int  # whole panels
    edge: int  # columns of one panel more, which is not whole
    row_tiles: int  # rows of tiles in a unit
    unit_panels: int  # panels in a unit
    row_blocks: int
    column_blocks: int
    together: int  # products of the batch in a unit
    pack_a: bool  # whether a unit copies its rows of the left operand, tile by tile
    pack_b: bool  # whether it copies each panel
    depth: int  # how much of k a unit does before it begins again with the first panel
    units: int


def registers(width: int) -> int:
    """Accumulators that a tile may have."""
    return 24 if width == 16 else 12


@lru_cache(maxsize=4096)
def plan(
    count: int,
    m: int,
    n: int,
    k: int,
    a_row: int,
    a_k: int,
    b_k: int,
    b_column: int,
    size: int,
    lanes: int,
    most: int,
) -> Plan:
    """The cheapest way by a rough count of cycles.

    `size`: bytes of an element; `lanes`: of a vector; `most`: accumulators of a tile.
    """
    best: tuple[float, Plan] | None = None
    vectors = -(-n // lanes)
    seen = set()
    for v in (1, 2, 3, 4, 6, 8, 12):
        rows = min(m, max(1, most // v))
        wide = min(v, vectors)
        if wide < v and wide in (1, 2, 3, 4, 6, 8):
            continue  # the same as another
        if rows * wide > most or (rows, wide) in seen or (v > 4 and rows < m):
            continue
        seen.add((rows, wide))
        for found in _cut(count, m, n, k, a_row, a_k, b_k, b_column, size, lanes, rows, wide):
            if best is None or found[0] < best[0]:
                best = found
    assert best is not None
    return best[1]


def _parts(count: int, most: int) -> list[int]:
    """Ways to cut a row of things: how many come in one part."""
    return sorted({-(-count // i) for i in range(1, count + 1) if -(-count // i) <= most})


def _cut(
    count: int,
    m: int,
    n: int,
    k: int,
    a_row: int,
    a_k: int,
    b_k: int,
    b_column: int,
    size: int,
    lanes: int,
    rows: int,
    v: int,
) -> list[tuple[float, Plan]]:
    tiles = -(-m // rows)
    small, big = divmod(m, tiles)
    panel = v * lanes
    whole, edge = divmod(n, panel)
    edge_vectors = -(-edge // lanes)
    high = m / tiles
    sums = -(-k // BLOCK)

    def tile(wide: int) -> float:
        loads = (high + wide) * 0.55
        return k * max(high * wide / 2, loads, 4.0) + 40 + 2 * high * wide * sums

    vectors = whole * v + edge_vectors
    panels = whole + (edge > 0)
    # The time of a row of tiles, and of packing, for one panel on average.
    one = (whole * tile(v) + (tile(edge_vectors) if edge else 0)) / panels
    copy = k * vectors / panels * (2.0 if b_column == 1 else 6.0 if b_k == 1 else 2.0 * lanes)
    found = []
    most = max(WIDE, min(2048, NEAR // (k * size)))
    # Rows of the right operand that are far apart are slow to read in place, again and again.
    far = b_k * size
    slow = 0.3 if far < 1024 else 1.5 if far % 1024 else 3.0
    # So is a left operand that is transposed.
    left_slow = 1.5 if m > 1 and a_row == 1 and a_k * size >= 256 else 0.0
    for row_tiles in _parts(tiles, max(1, int(most / high))):
        for unit_panels in _parts(panels, max(1, most // panel)):
            in_place = row_tiles * k * vectors / panels * slow
            pack_b = n > 1 and (b_column != 1 or copy < in_place)
            unit = row_tiles * unit_panels * one + 80
            unit += unit_panels * (copy if pack_b else in_place)
            again, once = row_tiles * unit_panels * k * left_slow, row_tiles * k * 5.0
            pack_a = once < again
            unit += min(once, again)
            row_blocks = -(-tiles // row_tiles)
            column_blocks = -(-panels // unit_panels)
            cut = row_blocks * column_blocks
            together = 1
            if cut == 1:
                together = min(count, max(1, int(LEAST / unit)))
            depth = BLOCK if k > BLOCK and (pack_a or pack_b) else k
            units = -(-count // together) * cut
            score = 0.0
            if cut > 1 and unit < LEAST:
                unit += LEAST - unit
            for threads, weight in THREADS:
                score += weight * -(-units // threads) * threads * unit * together
            found.append(
                (
                    score,
                    Plan(
                        rows,
                        v,
                        tiles,
                        small,
                        big,
                        whole,
                        edge,
                        row_tiles,
                        unit_panels,
                        row_blocks,
                        column_blocks,
                        together,
                        pack_a,
                        pack_b,
                        depth,
                        units,
                    ),
                )
            )
    return found
