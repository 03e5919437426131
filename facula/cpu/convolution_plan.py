"""How a convolution is cut into units, blocks and tiles: sizes only, no code.

A convolution and the transpose of one (`facula.ops.conv`) are both written as

    out[n, g co + o, q * out_step + phase] = sum of w[g, o, c, k] * x[n, g ci + c, q * step + e]

over channels c and over the taps (k, e) of the phase, for grid positions q. A convolution has one
phase; the transpose of one with stride s has s in each dimension, each with its share of the taps.

Vectors run along the grid; a tile is a few output channels times a few vectors, held in registers
over channels and taps, weights being broadcast. Where the input can't be read in place, a unit
first copies what it needs of a few channels into a buffer on the stack, in one of three forms:

- row: padded rows; a vector lies in one row, and taps are shifts of its address.
- flat: a copy for each horizontal tap, as wide as the grid, so that a vector may go on from one
  row to the next; vertical taps are shifts by whole rows.
- full: a copy for each tap, so that a vector may go on from one image to the next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from typing import Any

from facula.compiler.layout import Place
from facula.cpu.text import Function, Index
from facula.trace.node import Node, contiguous_strides

ROOM = 192 * 1024  # bytes of copied input that a unit works on at a time: on the stack
KEPT = 320 * 1024  # bytes of unfinished results, likewise
TERMS = 640  # products that a tile adds up before the next part of the channels
WORK = 400_000  # multiplications that a unit should have at least
UNITS = 32  # units that are wanted
SLOTS = 36  # vectors that a unit should have

SLOWLY = 512 * 1024  # bytes of weights that are gone through once for each tile of slots, at most

Taps = list[tuple[int, int]]


class Axis:
    """One dimension: the grid, and for each phase its taps (kernel position, input offset)."""

    def __init__(self, grid: int, step: int, size: int, out: int, phases: list[Taps]) -> None:
        self.grid = grid
        self.step = step
        self.size = size
        self.out = out
        self.phases = phases
        offsets = sorted({e for taps in phases for _, e in taps})
        self.low, self.high = offsets[0], offsets[-1]
        self.gap = math.gcd(*[e - self.low for e in offsets]) or 1

    def inside(self) -> bool:
        """Whether no tap is ever in the padding."""
        return self.low >= 0 and (self.grid - 1) * self.step + self.high < self.size


class Copies:
    """How a block of an axis is copied: `count` variants, each `length` long.

    Element i of variant v is what lies `low + v gap + i step` after the block's first input.
    Shifted, a variant holds the inputs of all taps that are a multiple of the step apart; else
    there is one for each tap. `dense` copies every input between the first and the last.
    """

    def __init__(self, axis: Axis, block: int, shifted: bool, dense: bool = False) -> None:
        span = axis.high - axis.low
        self.low = axis.low
        self.inside = axis.inside()
        self.shifted = shifted
        self.step = 1 if dense else axis.step
        if dense:
            block = (block - 1) * axis.step + 1
        if shifted:
            self.count, self.gap = min(self.step, span + 1), 1
            self.length = block + span // self.step
        else:
            self.count, self.gap = span // axis.gap + 1, axis.gap
            self.length = block

    def where(self, e: int) -> tuple[int, int]:
        """The variant that holds an offset, and the shift in it."""
        far = e - self.low
        if self.shifted:
            return far % self.step, far // self.step
        return far // self.gap, 0

    def first(self, f: Function, variant: Index, element: Index) -> Index:
        """Where an element of a variant lies, from the block's first input."""
        return f.add(f.add(f.mul(variant, self.gap), self.low), f.mul(element, self.step))


def three(values: Any, missing: int) -> list[int]:
    """One number for each of three dimensions."""
    return [missing] * (3 - len(values)) + list(values)


@dataclass
class Problem:
    """The sizes and steps (in elements) of a convolution or of a transposed one."""

    images: int
    groups: int
    ci: int
    co: int
    axes: list[Axis]
    x_steps: list[int]  # image, channel, z, y, x
    w_steps: list[int]  # group, output channel, channel, z, y, x
    x_offset: int
    w_offset: int

    @property
    def phases(self) -> list[tuple[int, int, int]]:
        """All combinations of the axes' phases."""
        counts = [range(len(a.phases)) for a in self.axes]
        return list(product(*counts))  # type: ignore[arg-type]

    def taps(self, phase: tuple[int, int, int]) -> list[Taps]:
        """The taps of a phase, by axis."""
        return [a.phases[p] for a, p in zip(self.axes, phase, strict=True)]

    def count(self, phase: tuple[int, int, int]) -> int:
        """How many taps a phase has."""
        return math.prod([len(t) for t in self.taps(phase)])


def settings(n: Node) -> tuple[list[int], list[int], list[int], int]:
    """Stride, padding, dilation and groups of a recorded convolution."""
    d = len(n.shape) - 2
    p = n.params
    return three(p[:d], 1), three(p[d : 2 * d], 0), three(p[2 * d : 3 * d], 1), p[3 * d]


def _steps(p: Place) -> list[int]:
    return [*p.strides[:2], *three(p.strides[2:], 0)]


def convolution(n: Node, x: Place, w: Place) -> Problem:
    """The problem of an entry `conv`."""
    stride, padding, dilation, groups = settings(n)
    kernel, out = three(w.shape[2:], 1), three(n.shape[2:], 1)
    size = three(x.shape[2:], 1)
    axes = [
        Axis(o, s, m, o, [[(k, k * d - p) for k in range(e)]])
        for o, s, m, e, d, p in zip(out, stride, size, kernel, dilation, padding, strict=True)
    ]
    co, ci = w.shape[0] // groups, w.shape[1]
    ws = _steps(w)
    return Problem(
        x.shape[0], groups, ci, co, axes, _steps(x), [co * ws[0], *ws], x.offset, w.offset
    )


def transposed(n: Node, y: Place, w: Place) -> Problem:
    """The problem of an entry `conv_input`."""
    stride, padding, dilation, groups = settings(n)
    kernel, out = three(w.shape[2:], 1), three(n.shape[2:], 1)
    size = three(y.shape[2:], 1)
    axes = []
    for o, s, m, e, d, p in zip(out, stride, size, kernel, dilation, padding, strict=True):
        phases = [
            [(k, (a + p - k * d) // s) for k in range(e) if (a + p - k * d) % s == 0]
            for a in range(s)
        ]
        axes.append(Axis(-(-o // s), 1, m, o, phases))
    co, ci = w.shape[1], w.shape[0] // groups
    ws = _steps(w)
    steps = [ci * ws[0], ws[1], ws[0], *ws[2:]]
    return Problem(y.shape[0], groups, ci, co, axes, _steps(y), steps, y.offset, w.offset)


def parts(n: int, most: int) -> tuple[int, int]:
    """n in nearly equal parts of at most `most`: their size and number."""
    count = -(-n // max(1, most))
    each = -(-n // count)
    return each, -(-n // each)


@dataclass
class Plan:
    """One way to compute a problem."""

    problem: Problem
    lanes: int
    item: int
    form: str  # row, flat or full
    direct: bool  # the input is read in place
    plain: bool  # vectors of the result are stored where they belong, straight from registers
    blocks: list[int]  # images, rows and columns of a unit
    counts: list[int]  # how many units there are of each
    copies: list[Copies] = field(default_factory=list)
    strides: list[int] = field(default_factory=list)  # of a copied channel: c z y x image row
    slots: int = 0  # vectors of a unit
    rows: int = 0  # output channels of a tile
    vectors: int = 0  # vectors of a tile
    part: int = 0  # channels that are added up at a time
    own: int = 0  # output channels of a unit
    owners: int = 1  # units that share the output channels of a group

    @property
    def padded(self) -> int:
        """Vectors of a unit, filled up to whole tiles."""
        return -(-self.slots // self.vectors) * self.vectors

    @property
    def parts(self) -> int:
        """How many times a tile is taken up."""
        return -(-self.problem.ci // self.part)

    @property
    def keeps(self) -> bool:
        """Whether a unit keeps results of its tiles, unfinished or out of order."""
        return self.parts > 1 or not self.plain

    @property
    def units(self) -> int:
        return self.problem.groups * math.prod(self.counts) * self.owners

    @property
    def row_lanes(self) -> int:
        """Elements of a row of kept results in the form of rows."""
        return -(-self.blocks[2] // self.lanes) * self.lanes

    def offset(self, e: tuple[int, int, int]) -> int:
        """Where an input offset lies in a copied channel (or in place), in elements."""
        if self.direct:
            return sum([i * s for i, s in zip(e, self.problem.x_steps[2:], strict=True)])
        _, sz, sy, sx, _, row = self.strides
        (vz, _), (vy, ry), (vx, rx) = [c.where(i) for c, i in zip(self.copies, e, strict=True)]
        return vz * sz + vy * sy + vx * sx + ry * row + rx

    def copied(self) -> int:
        """Vectors that copying one channel for one unit stores."""
        if self.direct:
            return 0
        cz, cy, cx = self.copies
        lines = cz.count * cy.count * cx.count * self.blocks[0] * cy.length
        return lines * -(-cx.length // self.lanes)

    def cost(self) -> float:
        """Cycles of one core, roughly, as if its share of the units were even."""
        p = self.problem
        taps = sum([p.count(ph) for ph in p.phases])
        blocks = math.prod(self.counts) * p.groups
        per_tap = tiles_cost(p.co, self.rows, self.vectors) / self.vectors
        compute = blocks * self.padded * per_tap * taps * p.ci
        # Calls of tiles, and what they keep for the next part.
        calls = blocks * (self.padded // self.vectors) * -(-p.co // self.rows)
        calls *= self.parts * len(p.phases)
        compute += calls * (40 + (2 if self.parts > 1 else 1) * self.rows * self.vectors)
        # Copies: each vector, and each run of rows.
        each = {1: 6, 2: 10}.get(p.axes[2].step if p.x_steps[4] == 1 else 0, 60)
        copying = self.copied() * each + self.runs() * 30
        copying *= blocks * self.owners * p.ci
        if not self.plain:
            compute += blocks * self.padded * p.co * len(p.phases) * 6
        # Memory: weights for each block, from the nearest cache that holds them all.
        weights = p.ci * p.co * taps * self.item
        traffic = blocks * weights / (8 if weights * p.groups > 1 << 20 else 40)
        chunk = min(self.own, p.co) * self.part * taps * self.item
        if chunk > 32 * 1024:  # what is gone through again and again, beside the computing
            again = self.padded // self.vectors if chunk <= SLOWLY else 0
            traffic += 0.25 * blocks * weights * again / 40
        if self.direct and self.part * self.vectors * self.lanes * self.item > 24 * 1024:
            traffic += 0.3 * compute
        if p.w_steps[2] * self.item >= 4096 and self.part > 24:
            traffic += 0.15 * compute  # the weights of a tile are pages apart, and meet in a set
        return (compute + copying + traffic) * (1 + 1 / self.units)

    def runs(self) -> int:
        """Runs of rows that are copied for one channel and one unit."""
        if self.direct:
            return 0
        return math.prod([c.count for c in self.copies]) * self.blocks[0]


def tile_cost(m: int, v: int) -> float:
    """Cycles of one step of a tile: products, loads or latency."""
    loads = m + 1.5 * v
    return max(m * v / 2, loads / 2, 4.0) + 0.02 * loads


def tiles_cost(co: int, m: int, v: int) -> float:
    """Cycles of one step of the tiles that cover all output channels."""
    whole, rest = divmod(co, m)
    return whole * tile_cost(m, v) + (tile_cost(rest, v) if rest else 0.0)


@lru_cache(4096)
def tile_shape(co: int, slots: int, registers: int) -> tuple[int, int]:
    """Rows and vectors of a tile."""
    best, chosen = math.inf, (1, 1)
    for v in range(1, min(6, slots) + 1):
        for m in range(1, min(co, 16) + 1):
            if m * v + v + 1 > registers:
                break
            cost = tiles_cost(co, m, v) * -(-slots // v) * (1.04 if co % m else 1)
            if cost < best * 0.999:
                best, chosen = cost, (m, v)
    return chosen


def _forms(p: Problem, lanes: int) -> list[tuple[str, bool, bool]]:
    """Forms that are possible: (form, direct, plain)."""
    _, y, x = p.axes
    single = len(p.phases) == 1
    out: list[tuple[str, bool, bool]] = []
    in_place = single and p.x_steps[4] == 1 and x.step == 1 and all([a.inside() for a in p.axes])
    if in_place and x.grid >= lanes:
        out.append(("row", True, True))
    one = y.high == y.low and x.high == x.low
    merges = y.step == 1 and x.grid == x.size and (p.x_steps[3] == x.size or y.grid == 1)
    if in_place and one and merges and y.grid * x.grid >= lanes:
        out.append(("flat", True, True))
    if x.grid >= lanes or (not single and 2 * x.grid >= lanes):
        out.append(("row", False, single))
    if y.grid * x.grid >= lanes or not single:
        out.append(("flat", False, single))
    out.append(("full", False, False))
    return out


def _blocks(p: Problem, form: str, lanes: int, wanted: int) -> tuple[list[int], list[int]]:
    """Images, rows and columns of a unit, and how many units there are of each."""
    z, y, x = p.axes
    images = p.images * z.grid
    if form == "row":
        columns, across = parts(x.grid, max(wanted, 8) * lanes)
        if columns < lanes:
            columns, across = x.grid, 1
        each = -(-columns // lanes)
        rows, down = parts(y.grid, max(1, wanted // each))
        many = max(1, wanted // (rows * each)) if across == down == 1 else 1
    elif form == "flat":
        columns, across = x.grid, 1
        least = -(-lanes // x.grid)
        rows, down = parts(y.grid, max(least, wanted * lanes // x.grid))
        if rows * columns < lanes:
            rows, down = y.grid, 1
        many = max(1, wanted // -(-rows * columns // lanes)) if down == 1 else 1
    else:
        columns, across, rows, down = x.grid, 1, y.grid, 1
        many = max(1, wanted * lanes // (rows * columns))
    many, groups = parts(images, many)
    return [many, rows, columns], [groups, down, across]


def _slots(plan: Plan) -> int:
    """Vectors of a unit."""
    many, rows, columns = plan.blocks
    if plan.form == "row":
        return many * rows * -(-columns // plan.lanes)
    if plan.form == "flat":
        return many * -(-rows * columns // plan.lanes)
    return -(-many * rows * columns // plan.lanes)


def _layout(plan: Plan) -> None:
    """The copies of one channel, and the steps through them in elements."""
    many, rows, columns = plan.blocks
    z, y, x = plan.problem.axes
    cz = Copies(z, 1, shifted=False)
    cy = Copies(y, rows, shifted=plan.form != "full")
    if plan.form == "row":
        columns = -(-columns // plan.lanes) * plan.lanes if not plan.plain else columns
    cx = Copies(x, columns, shifted=plan.form == "row")
    plan.copies = [cz, cy, cx]
    row = cx.length
    image = row * cy.length
    sx = image * many
    sy = sx * cx.count
    sz = sy * cy.count
    plan.strides = [sz * cz.count + plan.lanes, sz, sy, sx, image, row]


def candidates(p: Problem, lanes: int, item: int, registers: int) -> list[Plan]:
    """Plans that are possible."""
    total = sum([p.count(ph) for ph in p.phases]) * p.ci * p.co * p.groups
    total *= p.images * math.prod([a.grid for a in p.axes])
    target = max(1, min(UNITS, total // WORK))
    out: list[Plan] = []
    for form, direct, plain in _forms(p, lanes):
        seen: list[Any] = []
        for wanted in (SLOTS, SLOTS // 2, SLOTS // 3, SLOTS // 6, 4, 1):
            blocks, counts = _blocks(p, form, lanes, wanted)
            if blocks in seen:
                continue
            seen.append(blocks)
            plan = Plan(p, lanes, item, form, direct, plain, blocks, counts)
            plan.slots = _slots(plan)
            if not direct:
                _layout(plan)
            plan.rows, plan.vectors = tile_shape(p.co, plan.slots, registers)
            out += _shared(plan, target)
    return out


def _shared(plan: Plan, target: int) -> list[Plan]:
    """A plan with the channels divided into parts and the results among units in some ways."""
    p, out = plan.problem, []
    terms = max([p.count(ph) for ph in p.phases])
    base = math.prod(plan.counts) * p.groups
    tiles = -(-p.co // plan.rows)
    most = p.ci
    if not plan.direct:
        most = min(most, ROOM // (plan.strides[0] * plan.item))
    row = plan.padded * plan.lanes * plan.item * len(p.phases) * plan.rows
    for wanted in (TERMS, TERMS // 3):
        part, _ = parts(p.ci, min(most, max(1, wanted // terms)))
        if p.ci <= most and p.ci * terms <= wanted * 3 // 2:
            part = p.ci
        if part < 1:
            continue
        for units in sorted({target, max(1, target // 2), max(1, target // 4)}):
            each = -(-tiles // max(1, min(tiles, units // base)))
            if plan.plain and part == p.ci:
                pass
            elif row > KEPT:
                continue
            else:
                each = min(each, KEPT // row)
            owners = -(-tiles // each)
            new = replace(plan, part=part, own=each * plan.rows, owners=owners)
            if new not in out:
                out.append(new)
    return out


def choose(p: Problem, lanes: int, item: int, registers: int) -> Plan | None:
    """The plan that should be fastest; None where no plan fits."""
    plans = candidates(p, lanes, item, registers)
    return min(plans, key=Plan.cost) if plans else None


def flat_steps(shape: tuple[int, ...], steps: tuple[int, ...]) -> int | None:
    """The step of dimensions that are gone through as one, or None."""
    want = contiguous_strides(shape)
    live = [(s, w) for m, s, w in zip(shape, steps, want, strict=True) if m != 1]
    if not live:
        return 0
    step = live[-1][0]
    return step if all([s == w * step for s, w in live]) else None
