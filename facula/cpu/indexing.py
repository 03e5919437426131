"""Operations whose indices are data: gathering elements or rows, and scattering them.

Both are one pattern. Over a *domain* (the result of a gather, the source of a scatter) the array
that is indexed has ordinary steps along some dimensions and none along those that indices pick
from; each *pick* adds an index times a step. Bounds were checked where the call was made; what a
program computed itself is checked here, and the status word tells of an index out of range.

A scatter is split by ranges of its result: a unit makes its range of the base, then goes through
all indices in order and writes those that are its own. So duplicates come in order, and no two
threads write to one place. Where each element has an index of its own, and there is a long enough
dimension along which nothing is picked, the ranges are of that one: a unit then looks at its own
indices alone.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

from facula.compiler.cluster import kind_of, wide
from facula.compiler.layout import Place
from facula.cpu.domain import Body, load, store, walk
from facula.cpu.folds import Fold
from facula.cpu.kernels import CHUNK, Kernel, merged, strides_in
from facula.cpu.text import Function, Index, NotCompiled
from facula.cpu.vector import NARROW, SIZE, Lanes, Value
from facula.trace.node import INPUT, Node, contiguous_strides

RANGES = 16  # ranges of a result at most, where each index moves a row
FEW = 4  # where each index moves an element, of results so many times larger than the indices:
LARGE = 16  # whether an index is of the range is what no processor foresees
COLUMNS = 64  # elements of a range along a dimension that nothing is picked from, at least


class Pick:
    """One index over the domain: where it lies, and what it adds, in elements."""

    __slots__ = ("base", "dim", "kind", "limit", "offset", "step", "steps")

    def __init__(
        self, index: Place, offset: int, steps: list[int], step: int, dim: int, limit: int
    ) -> None:
        self.base = index.base
        kind = kind_of(index.base)
        if kind not in ("i64", "i32"):
            raise NotCompiled(f"an index of {index.base.dtype}")
        self.kind = kind
        self.offset = offset
        self.steps = steps
        self.step = step
        self.dim = dim
        self.limit = limit


def pattern(n: Node, index: Place, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """The domain, for each of its dimensions that of the array (None: picked), and the picks."""
    if n.op.name in ("gather", "scatter", "scatter_add", "scatter_reduce"):
        domain = n.inputs[1].shape
        d = n.params[0] if n.op.name == "scatter_reduce" else n.params
        dims = [None if k == d else k for k in range(len(domain))]
        return (
            domain,
            dims,
            [Pick(index, index.offset, list(index.strides), strides[d], d, shape[d])],
        )
    where, common = n.params
    used = [d for d, k in enumerate(where) if k is not None]
    rest = [d for d, k in enumerate(where) if k is None]
    at = used[0] if used == list(range(used[0], used[-1] + 1)) else 0
    picked: list[int | None] = [None] * len(common)
    dims = [*rest[:at], *picked, *rest[at:]]
    domain = tuple([m if d is None else shape[d] for d, m in zip(dims, _around(at, common, dims))])
    across = [s * index.strides[1] for s in contiguous_strides(common)]
    steps = [0] * at + across + [0] * (len(dims) - at - len(common))
    picks = [
        Pick(index, index.offset + where[d] * index.strides[0], steps, strides[d], d, shape[d])
        for d in used
    ]
    return domain, dims, picks


def _around(at: int, common: tuple[int, ...], dims: list[int | None]) -> list[int]:
    return [0] * at + list(common) + [0] * (len(dims) - at - len(common))


_POSITIONS = ("argmax", "argmin", "argsort", "cummax_index", "cummin_index", "topk_index")


def in_range(index: Place, picks: list[Pick]) -> bool:
    """Whether the indices need no check: they were there at the call, which checked them, or they
    are positions along a dimension that is not longer than what they pick from."""
    n = index.base
    if n.op is INPUT:
        return True
    if n.op.name not in _POSITIONS:
        return False
    d = n.params[0]
    size = n.inputs[0].shape[d[0] if type(d) is tuple else d]
    return all([size <= p.limit for p in picks])


class ScatterKernel(Kernel):
    """A base with elements or rows replaced, or added to, where indices say."""

    def build(self, width: int) -> None:
        """Write the kernel; `width` is that of a vector of float32."""
        n = self.cluster.core
        assert n is not None
        f = self.f
        base, index, source = [self.places[i] for i in n.inputs]
        kind = kind_of(n)
        assert kind is not None
        self.kind, self.size, self.width = kind, SIZE[kind], width
        self.fold, self.own = None, True  # how what is there is joined by what comes, and whether
        if n.op.name in ("scatter_add", "index_put_accumulate"):
            self.fold = Fold(f, "sum", wide(kind), 1)
        elif n.op.name == "scatter_reduce":
            _, how, self.own = n.params
            self.fold = Fold(f, "sum" if how == "mean" else how, kind, 1)
        shape = n.shape
        own = contiguous_strides(shape)
        domain, dims, picks = pattern(n, index, shape, own)
        if source.base in self.constants:
            extra: list[int] = [0] * len(domain)
            value = self.number(source.base.scalar_at, source.base.stypes[0], kind)
            self.fixed: Value | None = value
            from_ = self.buffer(picks[0].base)  # any address: it does not move and is not read
        else:
            extra = strides_in(source, domain)[: len(domain)]
            self.fixed = None
            from_ = f.at(self.buffer(source.base), source.offset * self.size)
        out = self.buffer(n)
        self.flag = "" if in_range(index, picks) else self.status()
        split = min([p.dim for p in picks])
        # Dimensions of the domain: before the first picked one, picked, and the others.
        before = [k for k, d in enumerate(dims) if d is not None and d < split]
        picked = [k for k, d in enumerate(dims) if d is None]
        after = [k for k, d in enumerate(dims) if d is not None and d > split]
        outer = math.prod(shape[:split])
        inner = math.prod(shape[split + 1 :])
        moved = math.prod([domain[k] for k in after])
        rows = all([p.steps[k] == 0 or domain[k] == 1 for p in picks for k in after])
        most = RANGES
        if not rows or moved < 16:
            most = FEW if math.prod(shape) >= LARGE * math.prod(domain) else 1
        work = max(1, (math.prod(domain) + math.prod(shape)) // (CHUNK // 4))
        ranges = max(1, min(-(-most // outer), work, shape[split]))
        per = -(-shape[split] // ranges)
        ranges = -(-shape[split] // per)
        cut = None
        if not rows and outer < RANGES and not (n.op.name == "scatter_reduce" and how == "mean"):
            cut = next((k for k in after if domain[k] >= 2 * COLUMNS), None)
        if cut is not None:
            across = shape[dims[cut]]  # type: ignore[index]
            ranges = max(1, min(RANGES, work, across // COLUMNS))
            per = -(-across // ranges // 16) * 16
            ranges = -(-across // per)
        together = max(1, min(outer, (CHUNK // 4) * outer // max(1, math.prod(domain))))
        blocks = -(-outer // together) if ranges == 1 else outer
        together = together if ranges == 1 else 1
        self.units = blocks * ranges
        starts = [(f.at(self.buffer(p.base), p.offset * SIZE[p.kind]), p) for p in picks]
        fill, apart = self._base(base), ""
        if base.base not in self.constants:  # not written over it, as it may be (memory.py)
            apart = f.let(f"icmp ne ptr {self.buffer(base.base)}, {out}")
        counts = ""
        if n.op.name == "scatter_reduce" and n.params[1] == "mean":
            self.room[("partial", n)] = 4 * math.prod(shape)
            counts = self.buffer(n, "partial")
        with f.loop("%lo", "%hi") as unit:
            low: Index = 0
            high: Index = shape[split]
            part: tuple[Index, Index] | None = None
            if cut is not None:
                left = f.mul(f.rem(unit.index, ranges), per)
                part = left, f.smaller(f.add(left, per), across)
            elif ranges > 1:
                low = f.mul(f.rem(unit.index, ranges), per)
                high = f.smaller(f.add(low, per), shape[split])
            first = f.mul(f.div(unit.index, ranges), together)
            last = f.smaller(f.add(first, together), outer)
            with f.loop(first, last, some=True) as block:
                coordinates: list[Index] = []
                rest: Index = block.index
                for m in reversed(shape[:split]):
                    coordinates.append(f.rem(rest, m))
                    rest = f.div(rest, m)
                coordinates.reverse()
                to = f.at(out, f.mul(block.index, shape[split] * inner * self.size))
                with f.when(apart) if apart else nullcontext():
                    fill(to, coordinates, *((dims[cut], *part) if part else (split, low, high)))
                src, at = from_, [p for p, _ in starts]
                inside: list[str] = []
                for k in before:
                    c = coordinates[dims[k]]  # type: ignore[index]
                    src = f.at(src, f.mul(c, extra[k] * self.size))
                    at = [
                        f.at(q, f.mul(c, p.steps[k] * SIZE[p.kind]))
                        for q, (_, p) in zip(at, starts, strict=True)
                    ]
                    if domain[k] < shape[dims[k]]:  # type: ignore[index]
                        inside.append(f.let(f"icmp slt i64 {c}, {domain[k]}"))
                args = (
                    src,
                    at,
                    to,
                    picks,
                    picked,
                    after,
                    domain,
                    dims,
                    own,
                    extra,
                    low,
                    high,
                    rows,
                    cut,
                    part,
                )
                ok = inside[0] if inside else "true"
                for more in inside[1:]:
                    ok = f.let(f"and i1 {ok}, {more}")
                count = ""
                if counts:
                    count = f.at(counts, f.mul(block.index, shape[split] * inner * 4))
                    self._range([(count, "i32")], inner, low, high, self._first_count)
                with f.when(ok):
                    if not self.own:  # what is there takes no part
                        assert self.fold is not None
                        self._with(self.kind, self.fold.first(Lanes(f, 1))[0], None, args)
                    self._with(self.kind, self.fixed, self.fold, args)
                    if counts:
                        one, adds = Lanes(f, 1).const(1, "i32"), Fold(f, "sum", "i32", 1)
                        self._with("i32", one, adds, (*args[:2], count, *args[3:]))
                if counts:
                    self._means(to, count, inner, low, high)

    def _with(self, kind: str, fixed: Value | None, fold: Fold | None, args: Any) -> None:
        """Go through the indices, with other values than the source's, perhaps of another kind."""
        before = self.kind, self.size, self.fixed, self.fold
        self.kind, self.size, self.fixed, self.fold = kind, SIZE[kind], fixed, fold
        self._indices(*args)
        self.kind, self.size, self.fixed, self.fold = before

    def _range(
        self, pointers: list[tuple[str, str]], inner: int, low: Index, high: Index, body: Any
    ) -> None:
        """Go through a range of the result and of what lies as it does, of these kinds."""
        f = self.f
        sizes = [SIZE[kind] for _, kind in pointers]
        first = f.mul(low, inner)
        at = [f.at(p, f.mul(first, b)) for (p, _), b in zip(pointers, sizes, strict=True)]
        span = f.mul(f.sub(high, low), inner)
        walk(
            f,
            [1],
            at,
            [[b] for b in sizes],
            self.width,
            lambda x, p, steps: body(x, p),
            (0, span),
        )

    def _first_count(self, x: Lanes, p: list[str]) -> None:
        x.store(x.const(int(self.own), "i32"), p[0])

    def _means(self, to: str, count: str, inner: int, low: Index, high: Index) -> None:
        """Divide sums by how many elements they have; of integers down to the next one."""
        kind = self.kind

        def body(x: Lanes, p: list[str]) -> None:
            total, many = x.load(p[0], kind), x.load(p[1], "i32")
            many = x.maximum(many, x.const(1, "i32"))
            if x.floating(total):
                x.store(x.div(total, x.cast(many, kind)), p[0])
                return
            total, many = x.cast(total, "i64"), x.cast(many, "i64")
            q, r = x.op("sdiv", total, many), x.op("srem", total, many)
            down = x.compare("lt", r, x.const(0, "i64"))
            q = x.select(down, x.sub(q, x.const(1, "i64")), q)
            x.store(x.cast(q, kind), p[0])

        self._range([(to, kind), (count, "i32")], inner, low, high, body)

    def _base(self, base: Place) -> Any:
        """A function that writes the base's values over a range of the result."""
        f, size = self.f, self.size
        number: Value | None = None
        if base.base in self.constants:
            number = self.number(base.base.scalar_at, base.base.stypes[0], self.kind)
            source = ""
        else:
            source = f.at(self.buffer(base.base), base.offset * size)

        def fill(to: str, coordinates: list[Index], d: int, low: Index, high: Index) -> None:
            """All that has these coordinates, of dimension `d` from low to high."""
            first = len(coordinates)
            shape, strides = list(base.shape[first:]), list(base.strides[first:])
            tables = [list(contiguous_strides(tuple(shape)))]
            pointers = [to]
            if number is None:
                at = source
                for c, s in zip(coordinates, base.strides, strict=False):
                    at = f.at(at, f.mul(c, s * size))
                pointers.append(at)
                tables.append(strides)
            tables = [[s * size for s in t] for t in tables]
            before = d - first

            def body(x: Lanes, p: list[str], steps: list[int]) -> None:
                v = x.splat(number) if number else load(x, p[1], steps[1], self.kind)
                store(x, v, p[0], steps[0])

            def ranged(_: Lanes, p: list[str], steps: list[int]) -> None:
                inner = [t[before:] for t in tables]
                _part(f, shape[before:], p, inner, self.width, body, (low, high))

            walk(f, shape[:before], pointers, [t[:before] for t in tables], 1, ranged)

        return fill

    def _indices(
        self,
        src: str,
        at: list[str],
        to: str,
        picks: list[Pick],
        picked: list[int],
        after: list[int],
        domain: tuple[int, ...],
        dims: list[int | None],
        own: tuple[int, ...],
        extra: list[int],
        low: Index,
        high: Index,
        rows: bool,
        cut: int | None,
        part: tuple[Index, Index] | None,
    ) -> None:
        """Go through the indices in order; move what they name. Of dimension `cut` of the domain
        only a part, if there is one."""
        f, size = self.f, self.size

        def tables(ks: list[int]) -> list[list[int]]:
            out = [[extra[k] * size for k in ks]]
            out += [[p.steps[k] * SIZE[p.kind] for k in ks] for p in picks]
            out.append([0 if dims[k] is None else own[dims[k]] * size for k in ks])  # type: ignore
            return out

        def move(x: Lanes, p: list[str], steps: list[int]) -> None:
            v = x.splat(self.fixed) if self.fixed else load(x, p[0], steps[0], self.kind)
            if self.fold is not None:
                there = x.widened(load(x, p[-1], steps[-1], self.kind))
                v = self.fold.add(x, [there], [x.widened(v)])[0]
                v = x.rounded(v, self.kind) if self.kind in NARROW else v
            store(x, v, p[-1], steps[-1])

        def target(p: list[str]) -> tuple[str, str]:
            """Whether the indices name a place of this range, and where."""
            one = Lanes(f, 1)
            q, ok, bad = p[-1], "", ""
            split = min([x.dim for x in picks])
            for pick, where in zip(picks, p[1:-1], strict=True):
                i = one.cast(one.load(where, pick.kind), "i64").name
                wrong = f.let(f"icmp uge i64 {i}, {pick.limit}")
                bad = f.let(f"or i1 {bad}, {wrong}") if bad else wrong
                if pick.dim == split and (low, high) != (0, pick.limit):
                    mine = f.let(f"icmp ult i64 {f.sub(i, low)}, {f.sub(high, low)}")
                    ok = f.let(f"and i1 {ok}, {mine}") if ok else mine
                q = f.at(q, f.mul(i, pick.step * size))
            if self.flag:
                with f.when(bad):
                    f.do(f"store i64 1, ptr {self.flag}, align 8")
            good = f.let(f"xor i1 {bad}, true")
            return f.let(f"and i1 {ok}, {good}") if ok else good, q

        if cut is not None:
            assert part is not None
            at_cut = after.index(cut)
            picked, after = picked + after[:at_cut], after[at_cut:]
            part = part[0], f.smaller(part[1], domain[cut])
        outer_sizes, outer_tables = merged([domain[k] for k in picked], tables(picked))
        inner_sizes, inner_tables = merged([domain[k] for k in after], tables(after))

        def one_index(_: Lanes, p: list[str], steps: list[int]) -> None:
            if rows:
                ok, q = target(p)
                with f.when(ok):
                    ends = [inner_tables[0], inner_tables[-1]]
                    walk(f, inner_sizes, [p[0], q], ends, self.width, move)
                return

            def element(x: Lanes, r: list[str], steps: list[int]) -> None:
                ok, q = target(r)
                with f.when(ok):
                    move(x, [r[0], q], steps)

            if part is None:
                walk(f, inner_sizes, p, inner_tables, 1, element)
            else:
                _part(f, [domain[k] for k in after], p, tables(after), 1, element, part)

        walk(f, outer_sizes, [src, *at, to], outer_tables, 1, one_index)


def _part(
    f: Function,
    sizes: list[int],
    pointers: list[str],
    tables: list[list[int]],
    width: int,
    body: Body,
    part: tuple[Index, Index],
) -> None:
    """`walk` over part of the outermost dimension, all that can be joined being joined."""
    first = sizes[0]
    sizes, tables = merged(sizes, tables)
    m = sizes[0] // first if first > 1 else 1
    bounds = (f.mul(part[0], m), f.mul(part[1], m)) if first > 1 else None
    walk(f, sizes, pointers, tables, width, body, bounds)


class Scatter:
    """The emitter of operations that write where indices say."""

    joins = False
    relocates = False
    constants = (0, 2)

    def accepts(self, n: Node) -> bool:
        """Any dtype that kernels know, in one dimension at least."""
        if n.op.name == "scatter_reduce" and kind_of(n) in ("b", *NARROW):
            return False
        return kind_of(n) is not None and len(n.shape) > 0

    def kernels(self, args: Any, guards: dict[int, Any], width: int) -> list[Kernel]:
        """One kernel."""
        kernel = ScatterKernel(*args)
        kernel.build(width)
        return [kernel]
