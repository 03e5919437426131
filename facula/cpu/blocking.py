"""How a matrix product is cut into units, tiles and panels.

A *tile* is the part of the result that is held in registers: a few rows times a few vectors. A
*panel* is a stripe of columns as wide as a tile. A *unit* is what one thread does at a time: some
rows of tiles of some panels of one product, or all of several small products. Everything here
follows from shapes and the width of the vectors, never from the number of threads, so the bits do
not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import gcd, inf, prod
from typing import Any, NamedTuple

from facula.cpu.kernels import merged, strides_in
from facula.summation import BLOCK
from facula.trace.node import Node, contiguous_strides

NEAR = 1 << 20  # bytes that stay in a core's own cache while a unit goes over them
WHOLE = 800 << 10  # bytes of a unit's panels that are copied together
MANY = 8  # tiles, at least, that go over panels which are copied together
PANEL = 40 << 10  # bytes of a panel that stay in its first cache
ROWS = 64  # of a product, from which on its right operand is read often enough to stay near
FEW = 16 << 10  # bytes of lines that one tile leaves in the first cache for the next panel's
LINE = 64  # bytes that the caches move at a time
SAME = 4096  # bytes between lines that share their place in the first cache
SECOND = 128 << 10  # the same in the second cache
WAYS = 8  # lines that may share a place
AHEAD = 512  # how many bytes early a copied left operand is fetched
SOON = 8  # how many of k early other operands are fetched
SOONER = 4  # the same where all lines that are fetched share their place in the first cache
LEAST = 1500  # cycles that are worth a unit of their own


class Core(NamedTuple):
    """What differs between processors in what memory costs units of many rows."""

    pages: int  # of 4 KB, that it finds without looking them up
    row: float  # cycles, at most, of a line of a left operand's long row
    step: int  # bytes between short rows of a left operand that it still reads well in place
    again: float  # cycles of such a row, where few enough of them were read by another panel before
    crowded: float  # of a line of a right operand that is in the second cache and not in the first
    early: float  # share of what a line costs that is left where it is fetched early
    long: int  # rows, at most, of panels that are copied together where a row is in one piece


USUAL = Core(64, 6.0, 1024, 0.8, 0.4, 0.5, 1 << 30)
# Its second cache keeps up with what tiles read.
ZEN = Core(3072, 2.0, 1 << 20, 0.3, 0.15, 0.4, 512)
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


class Size(NamedTuple):
    """What `plan` needs to know of a product; steps are in elements."""

    products: int  # of the batch
    m: int
    n: int
    k: int
    a_row: int
    a_k: int
    b_k: int
    b_column: int
    item: int  # bytes of an element
    lanes: int  # elements of a vector
    most: int  # accumulators that a tile may have


class Plan(NamedTuple):
    """What `plan` decides."""

    dot: bool  # whether a tile's vectors go along k, else along the columns
    rows: int  # of a tile, at most
    columns: int  # of a panel
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
    whole: bool  # whether it copies all its panels before each tile goes over all of them
    depth: int  # how much of k a unit does before it begins again with the first panel
    units: int


def registers(width: int) -> int:
    """Accumulators that a tile may have."""
    return 24 if width == 16 else 12


@lru_cache(maxsize=4096)
def plan(z: Size) -> Plan:
    """The cheapest way by a rough count of cycles."""
    best: tuple[float, Plan] | None = None
    for dot, rows, columns in _forms(z):
        for found in cuts(z, dot, rows, columns):
            if best is None or found[0] < best[0]:
                best = found
    assert best is not None
    return best[1]


def _forms(z: Size) -> Iterator[tuple[bool, int, int]]:
    """Tiles that may do: whether their vectors go along k, rows and columns."""
    vectors = -(-z.n // z.lanes)
    seen = set()
    for v in (1, 2, 3, 4, 6, 8, 12):
        rows = min(z.m, max(1, z.most // v))
        wide = min(v, vectors)
        if rows * wide > z.most or (rows, wide) in seen or (v > 4 and rows < z.m):
            continue
        seen.add((rows, wide))
        yield False, rows, wide * z.lanes
    if z.a_k == 1 and z.b_k == 1 and z.k >= 2 * z.lanes:
        for columns in (1, 2, 4, 8, 16):
            if columns <= z.lanes and columns < 2 * z.n:
                yield True, min(z.m, z.most // min(columns, z.n)), columns


def _parts(count: int) -> list[int]:
    """Ways to cut a row of things into parts, more and more of them: how many come in one."""
    cuts = [i << j for j in range(12) for i in (2, 3)]
    return sorted({count, 1} | {-(-count // i) for i in cuts if i < count})


def _crowded(rows: float, step: int, lines: int, same: int = SAME, ways: int = WAYS) -> bool:
    """Whether rows that are `step` bytes apart, of so many lines each, push each other out of the
    first cache, because few places are left to them."""
    places = min(same // LINE, same // gcd(step, same) * lines)
    return rows * lines > places * ways


@lru_cache(1)
def core() -> Core:
    """The processor that kernels are written for."""
    from facula.cpu.jit import CPU

    return ZEN if CPU.startswith("znver") else USUAL


def _looked_up(rows: int, depth: int, step: int, pages: int) -> float:
    """Cycles for finding the pages of rows that are `step` bytes apart, so many of them at once."""
    apart = min(1.0, step / 4096)
    return 2.0 * rows * apart if depth * apart > pages else 0.0


class _Costs:
    """Cycles that memory costs the tiles of one form. `first`: of a line read for the first time.

    All is for the whole of k, done `depth` at a time: of a left operand's rows for one tile, of a
    panel's columns.
    """

    def __init__(self, z: Size, dot: bool, high: float, columns: float, depth: int) -> None:
        """`high`: rows of a tile, `columns`: of a panel, both on average."""
        bytes_of_all = z.products * (z.m * z.k + z.k * z.n + z.m * z.n) * z.item
        self.first = first = 2.0 if bytes_of_all < NEAR else 6.0
        known = core() if z.m >= ROWS else USUAL
        lines = high * z.k * z.item / LINE
        self.left_bytes = high * depth * z.item
        self.left_copied = 0.2 * lines
        self.left_start = 0.0  # for all tiles together
        if z.a_k == 1 or high == 1:  # each row is in one piece
            self.left, self.left_again = min(first, known.row) * lines, 0.5 * lines
            self.left_copy = (first + 6.0) * lines
            if _crowded(high, z.a_row * z.item, 1) and not dot:
                self.left += 0.5 * high * z.k
                self.left_again += 0.5 * high * z.k
        elif z.a_row == 1:
            touched = z.k * (high * z.item / LINE + 0.5)
            step = z.a_k * z.item
            # Of what lies near, the next tile's elements are fetched early.
            self.left = (0.4 * first if step <= known.step else first + 1.0) * touched
            again = known.again if depth * LINE <= FEW else 0.8
            self.left_again = 0.3 if step < 256 else again if step <= known.step else 2.0
            self.left_again = self.left_again * touched + _looked_up(z.k, depth, step, known.pages)
            self.left_copy = first * lines + 2.5 * z.k
            self.left_start = 8.0 * z.k
        else:
            self.left, self.left_again = first * high * z.k, 1.0 * high * z.k
            self.left_copy = (first + 1.0) * high * z.k
        self.left_stream = min(self.left, 2.0 * lines)  # of rows that are read once, in order
        lines = z.k * columns * z.item / LINE
        fits = depth * columns * z.item <= PANEL
        self.right_copied = (0.05 if fits else 0.15) * lines
        if dot:
            self.left_copy = self.right_copy = inf
            self.right = first * lines
            self.right_again = (0.1 if fits else 1.0) * lines
            return
        row = max(1, int(columns * z.item / LINE))  # lines
        self.right_near = 0.15 * lines
        self.right = known.early * first * (1 + 1 / row) * lines
        stays = fits and not _crowded(depth, z.b_k * z.item, row)
        far = _crowded(depth, z.b_k * z.item, row, SECOND, WAYS - 1)
        self.right_again = (0.15 if stays else 0.4 if far else known.crowded) * lines
        self.right_again += _looked_up(z.k, depth, z.b_k * z.item, known.pages)
        if z.b_column == 1:
            self.right_copy = (first + 1.5) * lines
            self.right_stream = (0.4 * first + 1.5) * lines
        else:
            self.right_copy = (first + 6.0) * lines if z.b_k == 1 else first * z.k * columns
            self.right_stream = self.right_copy


def _depths(z: Size, high: float, columns: int, parts: bool) -> list[int]:
    """How much of k a unit of so many rows may do at a time: as much as can be copied and stay
    near. Copying rows that lie side by side, it writes to all its tiles at once, and does that
    sooner where the tiles are short."""
    if not parts:
        return [z.k]
    fits = min(NEAR / high, NEAR / 4 / columns) / z.item
    passes = -(-z.k // max(BLOCK, int(fits)))
    deep = min(z.k, -(-z.k // (passes * BLOCK)) * BLOCK)
    return [deep, BLOCK] if z.a_row == 1 and deep > BLOCK else [deep]


def _whole(z: Size, depth: int, columns: int, row_tiles: int, unit_panels: int) -> bool:
    """Whether a unit may copy all its panels before each of its tiles goes over all of them.

    They are read row by row then, which the processor fetches early by itself. Panels that are read
    one after the other, their rows far apart, are waited for: a sixth of the time of a product of
    1024 x 1024 x 1024."""
    if z.b_column == 1 and z.k > core().long:
        return False
    near = unit_panels * columns * depth * z.item <= WHOLE
    return near and z.a_k == 1 and 1 in (z.b_k, z.b_column) and row_tiles >= MANY


def cuts(z: Size, dot: bool, rows: int, columns: int) -> Iterator[tuple[float, Plan]]:
    """Ways to cut a product into units of tiles of such a form, with their costs."""
    tiles = -(-z.m // rows)
    small, big = divmod(z.m, tiles)
    whole, edge = divmod(z.n, columns)
    high = z.m / tiles
    panels = whole + (edge > 0)

    def tile(columns: int) -> float:
        if dot:
            once = max(high * columns / 2, (high + columns) * 0.55, 4.0)
            return z.k / z.lanes * once + 60 + 3 * high * columns
        wide = -(-columns // z.lanes)
        loads = high + 2 * wide  # vectors of memory that is not aligned are in two lines
        once = max(high * wide / 2, (high + wide) * 0.55, 4.0) + 0.1 * loads
        return z.k * once + 40 + 2 * high * wide * -(-z.k // BLOCK)

    # The time of a tile, for a panel on average.
    one = (whole * tile(columns) + (tile(edge) if edge else 0)) / panels
    must = z.b_column != 1 and z.n > 1 and not dot
    parts = z.k > BLOCK and not dot
    known: dict[int, _Costs] = {}
    ways = [
        (r, c, d)
        for r in _parts(tiles)
        for c in _parts(panels)
        for d in sorted({*_depths(z, r * high, columns, parts), z.k})
    ]
    for row_tiles, unit_panels, depth in ways:
        many = row_tiles * unit_panels
        passes = -(-z.k // depth)
        near = row_tiles * high * min(z.k, BLOCK) * z.item
        if passes > 1:
            near = max(near, many * high * columns * z.item)
        at_first = not dot and _whole(z, depth, columns, row_tiles, unit_panels)
        at_first = at_first and (passes == 1 or many * high * columns * z.item <= NEAR)
        crowded = near > NEAR and (row_tiles > 1 or unit_panels > 1)
        if crowded and not at_first:
            continue
        at_once = depth if z.a_row == 1 else z.k  # rows read in place gain nothing from less
        if at_once not in known:
            known[at_once] = _Costs(z, dot, high, z.n / panels, at_once)
        costs = known[at_once]
        again = costs.left_again
        if row_tiles * costs.left_bytes > NEAR:
            again += costs.first * high * z.k * z.item / LINE
        left = row_tiles * (costs.left + (unit_panels - 1) * again)
        copied = row_tiles * (costs.left_copy + unit_panels * costs.left_copied)
        copied += costs.left_start
        pack_a = copied < left
        right = unit_panels * (costs.right + (row_tiles - 1) * costs.right_again)
        packed = unit_panels * (costs.right_copy + row_tiles * costs.right_copied)
        pack_b = must or (packed < right and z.n > 1)
        memory = (copied if pack_a else left) + (packed if pack_b else right)
        if at_first:
            left = row_tiles * (costs.left_stream + (unit_panels - 1) * costs.left_again)
            copied = row_tiles * (costs.left_copy + unit_panels * costs.left_copied)
            other = min(left, copied)
            other += unit_panels * (costs.right_stream + row_tiles * costs.right_near)
            at_first = crowded or other < memory
            if at_first:
                memory, pack_a, pack_b = other, copied < left, True
        unit = many * (one + (passes - 1) * high * columns / z.lanes * 2) + 80 + memory
        row_blocks = -(-tiles // row_tiles)
        column_blocks = -(-panels // unit_panels)
        cut = row_blocks * column_blocks
        together = 1
        if cut == 1:
            together = min(z.products, max(1, int(LEAST / unit)))
        units = -(-z.products // together) * cut
        if cut > 1 and unit < LEAST:
            unit = LEAST
        score = 0.0
        for threads, weight in THREADS:
            score += weight * -(-units // threads) * unit * together
        yield (
            score,
            Plan(
                dot,
                rows,
                columns,
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
                at_first,
                depth if pack_a or pack_b or z.a_row == 1 else z.k,
                units,
            ),
        )
