"""How a kernel over a domain goes over it: rows, pieces, units of work, passes over a row."""

from __future__ import annotations

import math
from typing import Any

from facula.compiler.cluster import ALL, COLUMN, FULL, REDUCTIONS, ROW, kind_of
from facula.compiler.expressions import CHEAP
from facula.compiler.layout import Place
from facula.cpu.kernels import Access, Kernel, merged, strides_in, units_for
from facula.cpu.text import Index, NotCompiled
from facula.trace.node import Node, contiguous_strides

LENGTHS = 2  # of rows: so many have kernels of their own
_lengths: dict[tuple[Any, ...], set[int]] = {}  # those that were met, by operations


class MapLayout(Kernel):
    """What `MapKernel` knows of its domain before it writes any code.

    The text of a loose one does not follow from how long a row is, once there are many lengths.
    """

    def __init__(self, *args: Any, guards: dict[int, Any], loose: bool = False) -> None:
        super().__init__(*args, guards=guards)
        self.loose = loose
        self.partials: list[Node] = [
            n for n in self.cluster.nodes if self.cluster.level[n] in (COLUMN, ALL)
        ]

    def _lay_out(self, width: int) -> None:
        """Decide how the domain is gone over, in vectors of so many floats."""
        # Bytes come as many in a vector as there are, if nothing is wider.
        kinds = [kind_of(x) for n in self.cluster.nodes for x in (n, *n.inputs)]
        self.width = 4 * width if all([k in ("b", "u8", "i8") for k in kinds]) else width
        self._layout()
        self._levels()

    def _layout(self) -> None:
        c = self.cluster
        shape = c.shape
        self.accesses: dict[Any, Access] = {}
        self.operand: dict[tuple[Node, int], Any] = {}
        full: list[Any] = []
        row_only: list[Any] = []
        for n in c.nodes:
            domain: Any = shape
            if c.level[n] == ROW and n.op.name not in ("sum", "amax", "amin"):
                domain = None
            for k, i in enumerate(n.inputs):
                p = self.places[i]
                if p.base in c.level or p.base in self.constants:
                    continue
                kind = kind_of(p.base)
                if kind is None:
                    raise NotCompiled(f"{p.base.dtype}")
                if domain is None:
                    rows = c.row_shape()
                    steps = self._row_steps(p, rows)
                    key = (p.base, p.offset, "row", tuple(steps))
                    row_only.append((key, kind, steps))
                else:
                    steps = strides_in(p, shape)
                    key = (p.base, p.offset, "full", tuple(steps))
                    full.append((key, kind, steps))
                self.operand[(n, k)] = key
        split = c.split
        rank = len(shape)
        contiguous = list(contiguous_strides(shape))
        has_rows = any([c.level[n] == ROW for n in c.nodes])
        if split is not None and (has_rows or any([c.level[n] == COLUMN for n in c.nodes])):
            across = [d for d in range(rank) if d not in split]
            tables = [*[s for _, _, s in full], contiguous]
            r_sizes, r_tables = merged(
                [shape[d] for d in split],
                [[s[d] for d in split] for s in tables] + [list(s) for _, _, s in row_only],
            )
            c_sizes, c_tables = merged(
                [shape[d] for d in across], [[s[d] for d in across] for s in tables]
            )
            if len(c_sizes) > 1 and any([c.level[n] == COLUMN for n in c.nodes]):
                raise NotCompiled("columns that do not merge")
            self.out_rows: list[Index] = [*r_tables.pop(len(full))]
            self.flat = False
        else:
            c_sizes, c_tables = merged(list(shape), [*[s for _, _, s in full], contiguous])
            r_sizes, r_tables = c_sizes[:-1], [t[:-1] for t in c_tables]
            c_sizes, c_tables = c_sizes[-1:], [t[-1:] for t in c_tables]
            self.out_rows = [*r_tables[-1]]
            self.flat = not r_sizes
        if not c_sizes:
            c_sizes, c_tables = [1], [[0] for _ in c_tables]
        # A row may lie in several pieces.
        self.pieces, self.piece = c_sizes[:-1], c_sizes[-1]
        self.columns = math.prod(c_sizes)
        self.out_pieces = c_tables[len(full)][:-1]
        self.row_sizes: list[Index] = [*r_sizes]
        self.rows = math.prod(r_sizes)
        for k, (key, kind, _) in enumerate(full):
            steps = c_tables[k]
            self.accesses[key] = Access(key[0], kind, key[1], [*r_tables[k]], steps[:-1], steps[-1])
        for k, (key, kind, _) in enumerate(row_only):
            table: list[Index] = [*r_tables[len(full) + k]]
            self.accesses[key] = Access(key[0], kind, key[1], table, [0] * len(self.pieces), 0)
        total = self.columns if self.flat else self.rows
        share = max(1, -(-total // units_for(self.rows * self.columns * self._work())))
        if self.flat:
            share = -(-share // 64) * 64
        self.units = -(-total // share)
        self.end: Index = total
        self.share: Index = share
        self.any_length = self._lengths_vary()
        self._masked()

    def _lengths_vary(self) -> bool:
        """Whether rows of more than a few lengths have been met by the same operations."""
        c = self.cluster
        if not self.loose or self.flat or self.pieces or self.columns == 1:
            return False
        met = _lengths.setdefault(tuple([(n.op, c.level[n]) for n in c.nodes]), set())
        if len(met) <= LENGTHS:
            met.add(self.columns)
        return len(met) > LENGTHS

    def _masked(self) -> None:
        """Whether rows end early because a mask hides the rest: of columns that are gone over
        `stride` at a time, up to `covered`."""
        c, w = self.cluster, self.width
        self.stride = 4 * w if self.columns >= 8 * w else w  # as `_piece` does where it adds up
        self.covered = self.columns // self.stride * self.stride
        apart = self.flat or self.pieces or self.any_length or not self.covered
        self.hidden: Any = None if apart else c.hidden

    def _work(self) -> int:
        """Of an element, in those of the cheapest kernels; each reduction of rows goes over them
        again. Partial results of columns are as many
        as units: those are no more for that."""
        c = self.cluster
        if any([c.level[n] == COLUMN for n in c.nodes]):
            return 1
        dear = [n for n in c.nodes if c.level[n] == FULL and n.op.name not in CHEAP]
        again = [n for n in c.nodes if c.level[n] == ROW and n.op.name in REDUCTIONS]
        return 1 + len(dear) + len(again)

    def _row_steps(self, p: Place, rows: tuple[int, ...]) -> list[int]:
        """Steps of a row-level operand along the rows' dimensions, whatever ones it carries."""
        have = [(m, s) for m, s in zip(p.shape, p.strides, strict=True) if m != 1]
        out = []
        k = len(have)
        for m in reversed(rows):
            if m != 1 and k and have[k - 1][0] == m:
                k -= 1
                out.append(have[k][1])
            else:
                out.append(0)
        if k:
            raise NotCompiled("a row operand of another shape")
        return out[::-1]

    def _levels(self) -> None:
        """The pass over a row in which each value is known."""
        c = self.cluster
        self.stage: dict[Node, int] = {}
        for n in c.nodes:
            at = 0
            for i in n.inputs:
                b = self.places[i].base
                if b in self.stage:
                    at = max(at, self.stage[b])
            if c.level[n] == ROW and n.op.name in ("sum", "amax", "amin"):
                at += 1
            self.stage[n] = at
        self.stages = 1 + max(self.stage.values())
