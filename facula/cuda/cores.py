"""Operations with launches of their own: products, reductions of any dimensions, parts, scans.

What `cpu/emitters.py` is for the CPU. A core says whether it `accepts` an entry and gives the
launches that compute it; nothing joins its cluster yet.
"""

from __future__ import annotations

from collections.abc import Container
from math import prod
from typing import Any

from facula.compiler.assembly import SCATTERS
from facula.compiler.builder import NARROW
from facula.compiler.cluster import kind_of
from facula.compiler.layout import Place, place
from facula.cpu.kernels import merged, strides_in
from facula.cpu.text import NotCompiled
from facula.cuda.blas import KINDS, Product
from facula.cuda.kernels import (
    BLOCK,
    BUSY,
    FOLD,
    Kernel,
    Launch,
    _first,
    _sum_kind,
    blocks,
    partial,
    split_rows,
)
from facula.cuda.lanes import TYPE, Value
from facula.trace.node import Node, contiguous_strides


class Core:
    """One kind of operation."""

    joins = False
    relocates = True
    constants: Container[int] = ()

    def accepts(self, n: Node) -> bool:
        """Whether an entry of this kind has a kernel: by shapes, dtypes and parameters alone."""
        return None not in [kind_of(i) for i in (n, *n.inputs)]

    def launches(self, low: Any, n: Node) -> list[Any]:
        """What computes it."""
        raise NotImplementedError


def _operands(low: Any, n: Node) -> list[Place]:
    return [place(i, low.grouping.places) for i in n.inputs]


def aside(shape: tuple[int, ...], d: int) -> list[int]:
    """The dimensions beside one."""
    return [j for j in range(len(shape)) if j != d]


def copied(p: Place, to: Node, what: str = "buffer", into: Place | None = None) -> Launch:
    """The elements of a place, in order, to the buffer `to` (or to a place in it)."""
    k = Kernel({})
    n = prod(p.shape)
    tables = [list(p.strides), list(into.strides if into else contiguous_strides(p.shape))]
    k.f.lines.append(_each(n))
    a, b = k.offsets("i", list(p.shape), tables)
    source = k.pointer(p.base, p.offset)
    kind = kind_of(p.base)
    assert kind is not None
    if what == "buffer":
        target = k.pointer(to, into.offset if into else 0, made=True)
    else:
        from facula.cuda.lanes import STORED

        target = f"p{len(k.params)}"
        k.params.append(f"{STORED[kind]}* __restrict__ {target}")
        k.args.append((what, to, 0))
    k.f.lines.append(f"{target}[{b}] = {source}[{a}];\n  }}")
    k.most = max(k.most, n + blocks(n) * BLOCK)
    out = Launch(k.text(), k.args, (blocks(n), 1), (BLOCK, 1))
    if what != "buffer":
        out.room[(what, to)] = n * p.base.dtype.itemsize
    return out


class Matmul(Core):
    """Products by cuBLAS. An operand that has neither rows nor columns of adjacent elements, or
    batches that no single step leads through, is copied first. Those of integers have a kernel."""

    def accepts(self, n: Node) -> bool:
        kind = kind_of(n.inputs[0])
        same = all([kind_of(i) == kind for i in n.inputs])
        if n.op.name == "matmul_wide":
            return same and kind in NARROW
        return same and kind not in (None, "b") and kind_of(n) == kind

    def launches(self, low: Any, n: Node) -> list[Any]:
        if kind_of(n) not in KINDS:
            return [self._integers(n, *_operands(low, n))]
        out: list[Any] = []
        batch = n.shape[:-2]
        sides = []
        for which, p in enumerate(_operands(low, n)):
            rows, columns = p.shape[-2:]
            steps = strides_in(p, (*batch, rows, columns))
            side = _matrix(rows, columns, *steps[-2:])
            _, (jump,) = merged(list(batch), [steps[:-2]])
            if side is None or len(jump) > 1:
                what, shape = f"operand{which}", [rows, columns]
                turned = abs(steps[-2]) < abs(steps[-1])  # copied in the order in which it lies
                if turned:
                    shape.reverse()
                    steps = [*steps[:-2], steps[-1], steps[-2]]
                full = Place(p.base, p.offset, (*batch, *shape), tuple(steps))
                copy = copied(full, n, what)
                out.append(copy)
                sides.append(((what, n, 0), turned, shape[1], rows * columns, dict(copy.room)))
            else:
                key = ("buffer", p.base, p.offset)
                sides.append((key, *side, jump[0] if jump else 0, {}))
        m, k = _operands(low, n)[0].shape[-2:]
        many = prod(batch)
        _, by_columns, step, apart, _ = sides[0]
        if sides[1][3] == 0 and not by_columns and apart == m * step:
            m, many = m * many, 1  # the rows of all matrices, one after the other
        kind = kind_of(n.inputs[0])
        out.append(Product(sides[0], sides[1], n, m, n.shape[-1], k, many, kind))
        return out

    @staticmethod
    def _integers(n: Node, a: Place, b: Place) -> Launch:
        """Each element adds up its products; they wrap around."""
        *batch, rows, columns = n.shape
        size, many = prod(n.shape), a.shape[-1]
        left = strides_in(a, (*batch, rows, many))
        right = strides_in(b, (*batch, many, columns))
        kind = kind_of(n)
        assert kind is not None
        k = Kernel({})
        lines = k.f.lines
        lines.append(_each(size))
        tables = [[*left[:-1], 0], [*right[:-2], 0, right[-1]]]
        x, y = k.offsets("i", list(n.shape), tables)
        lines.append(f"const I x = {x}, y = {y}; {TYPE[kind]} a = 0;")
        lines.append(f"for (I j = 0; j < {many}; j++) {{")
        v = k.x.load(f"{k.pointer(a.base, a.offset)}[x + j * (I){left[-1]}]", kind)
        w = k.x.load(f"{k.pointer(b.base, b.offset)}[y + j * (I){right[-2]}]", kind)
        lines.append(f"a = {k.x.add(Value('a', kind), k.x.mul(v, w)).name};\n  }}")
        lines.append(f"{k.pointer(n, made=True)}[i] = a;\n  }}")
        k.most = max(size + blocks(size) * BLOCK, prod(a.base.shape), prod(b.base.shape))
        return Launch(k.text(), k.args, (blocks(size), 1), (BLOCK, 1))


def _matrix(rows: int, columns: int, down: int, across: int) -> tuple[bool, int] | None:
    """Whether a matrix lies column by column, and the step from one to the next; None: neither."""
    if across == 1 or columns == 1:
        step = down if rows > 1 else columns
        if step >= columns and (across == 1 or step >= 1):
            return False, max(step, 1)
    if down == 1 or rows == 1:
        step = across if columns > 1 else rows
        if step >= rows:
            return True, max(step, 1)
    return None


class Fold(Core):
    """Reductions over any dimensions: a thread for each result where neighbours lie side by side,
    otherwise a warp or a block."""

    def launches(self, low: Any, n: Node) -> list[Any]:
        (p,) = _operands(low, n)
        dims, rank = n.params[0], len(p.shape)
        gone = [d for d in range(rank) if d in dims]
        kept = [d for d in range(rank) if d not in dims]
        results, length = prod([p.shape[d] for d in kept]), prod([p.shape[d] for d in gone])
        real = [d for d in kept if p.shape[d] != 1]
        beside = results >= 32 and real and abs(p.strides[real[-1]]) == 1
        if n.op.name in FOLD and beside and length >= 32 and results < BUSY:
            return self._columns(n, p, gone, kept)
        alone = results >= 1024 and real and abs(p.strides[real[-1]]) == 1
        each = 1 if alone else 32 if length <= 512 else 256
        along = 256 if each == 1 else 8 if each == 32 else 1
        k = Kernel({})
        lines = k.f.lines
        if each == 1:
            lines.append(f"const I row = blockIdx.x * (I){along} + threadIdx.x;")
        else:
            lines.append(f"const I row = blockIdx.x * (I){along} + threadIdx.y;")
        if along > 1:
            lines.append(f"if (row >= {results}) return;")
        (begin,) = k.offsets("row", [p.shape[d] for d in kept], [[p.strides[d] for d in kept]])
        lines.append(f"const I begin = {begin};")
        state, loop, finish = self._fold(k, n, p, each)
        lines += state
        lane = "0" if each == 1 else "threadIdx.x"
        lines.append(f"for (I j = {lane}; j < {length}; j += {each}) {{")
        (at,) = k.offsets("j", [p.shape[d] for d in gone], [[p.strides[d] for d in gone]])
        kind = kind_of(p.base)
        assert kind is not None
        v = k.x.load(f"{k.pointer(p.base, p.offset)}[begin + {at}]", kind)
        loop(v)
        lines.append("}")
        result = finish()
        who = "" if each == 1 else "if (threadIdx.x == 0) "
        lines.append(f"{who}{k.pointer(n, made=True)}[row] = {k.x.pack(result)};")
        k.most = max(k.most, prod(p.shape) + along)
        grid = (-(-results // along), 1)
        block = (along, 1) if each == 1 else (each, along)
        return [Launch(k.text(), k.args, grid, block)]

    def _columns(self, n: Node, p: Place, gone: list[int], kept: list[int]) -> list[Any]:
        """Threads side by side have results whose elements lie side by side, eight have one."""
        results, length = prod([p.shape[d] for d in kept]), prod([p.shape[d] for d in gone])
        many, each = split_rows(length, results) if n.op.name == "sum" else (1, length)
        k = Kernel({})
        lines = k.f.lines
        lines.append("const I c = blockIdx.x * 32 + threadIdx.x;")
        state, loop, finish = self._fold(k, n, p, 1)
        lines += state
        lines.append(f"if (c < {results}) {{")
        (begin,) = k.offsets("c", [p.shape[d] for d in kept], [[p.strides[d] for d in kept]])
        lines.append(f"const I begin = {begin};")
        lines.append(f"const I end = min((I){length}, (I)(blockIdx.y + 1) * {each});")
        lines.append("#pragma unroll 4")
        lines.append(f"for (I j = blockIdx.y * (I){each} + threadIdx.y; j < end; j += 8) {{")
        (at,) = k.offsets("j", [p.shape[d] for d in gone], [[p.strides[d] for d in gone]])
        kind = kind_of(p.base)
        assert kind is not None
        loop(k.x.load(f"{k.pointer(p.base, p.offset)}[begin + {at}]", kind))
        register = state[0].partition(" a = ")[0]
        lines.append("}\n  }")
        lines.append(f"__shared__ {register} side[8][32];")
        lines.append("side[threadIdx.y][threadIdx.x] = a;")
        lines.append("__syncthreads();")
        lines.append(f"if (c >= {results} || threadIdx.y > 0) return;")
        fold = f"{FOLD[n.op.name]}::of(a, side[k][threadIdx.x])"
        lines.append(f"for (int k = 1; k < 8; k++) a = {fold};")
        k.most = max(k.most, prod(p.shape), length + 8 * each)
        grid, block = (-(-results // 32), many), (32, 8)
        if many > 1:
            where = f"blockIdx.y * (I){results} + c"
            return partial(k, n, _sum_kind(n), where, grid, block, many, results)
        lines.append(f"{k.pointer(n, made=True)}[c] = {k.x.pack(finish())};")
        return [Launch(k.text(), k.args, grid, block)]

    def _fold(self, k: Kernel, n: Node, p: Place, each: int) -> Any:
        name, kind = n.op.name, kind_of(p.base)
        assert kind is not None
        lines = k.f.lines
        if name in ("argmax", "argmin"):
            return self._arg(k, n, "f32" if kind in ("bf16", "f16") else kind, each)
        if name in ("any", "all"):
            how = "||" if name == "any" else "&&"
            fold = "Max" if name == "any" else "Min"

            def either(v: Value) -> None:
                lines.append(f"a = a {how} ({v.name} != 0);")

            def known() -> Value:
                if each > 1:
                    lines.append(f"a = together<{fold}, {each}>((int)a) != 0;")
                return k.x.cast(Value("a", "b"), kind_of(n) or "b")

            return [f"bool a = {'false' if name == 'any' else 'true'};"], either, known
        wide = _sum_kind(n)
        first = _extreme(k, n, wide)
        fold = FOLD[name]
        register = "int" if wide in ("i16", "i8", "u8", "b", "i32") else TYPE[wide]

        def more(v: Value) -> None:
            lines.append(f"a = {fold}::of(a, ({register}){k.x.cast(v, wide).name});")

        def total() -> Value:
            if each > 1:
                lines.append(f"a = together<{fold}, {each}>(a);")
            v = k.x.let(f"({TYPE[wide]})a", wide)
            return k.x.cast(v, kind_of(n) or wide)

        return [f"{register} a = {first};"], more, total

    def _arg(self, k: Kernel, n: Node, kind: str, each: int) -> Any:
        lines = k.f.lines
        sign = ">" if n.op.name == "argmax" else "<"
        t = "int" if kind in ("i16", "i8", "u8", "b") else TYPE[kind]
        # NaN wins; of equals the first.
        better = (
            f"(w != w ? (a == a || i < at) : a != a ? false : w {sign} a || (w == a && i < at))"
        )

        def more(v: Value) -> None:
            lines.append(f"{{ const {t} w = {v.name}; const long long i = j;")
            lines.append(f"if (at < 0 || {better}) {{ a = w; at = i; }} }}")

        def total() -> Value:
            if each > 1:
                lines.append("for (int m = 16; m; m >>= 1) {")
                lines.append(f"const {t} w = __shfl_xor_sync(~0u, a, m);")
                lines.append("const long long i = __shfl_xor_sync(~0u, at, m);")
                lines.append(f"if (i >= 0 && (at < 0 || {better})) {{ a = w; at = i; }} }}")
            if each > 32:
                many = each // 32
                lines.append(f"__shared__ {t} values[{many}]; __shared__ long long places[{many}];")
                lines.append("if (threadIdx.x % 32 == 0) { values[threadIdx.x / 32] = a;")
                lines.append("places[threadIdx.x / 32] = at; }")
                lines.append("__syncthreads();")
                lines.append(f"for (int q = 0; q < {many}; q++) {{")
                lines.append(f"const {t} w = values[q]; const long long i = places[q];")
                lines.append(f"if (i >= 0 && (at < 0 || {better})) {{ a = w; at = i; }} }}")
            return Value("at", "i64")

        return [f"{t} a = 0; long long at = -1;"], more, total


def _extreme(k: Kernel, n: Node, kind: str) -> str:
    name = n.op.name
    if name in ("sum", "prod") or kind in ("f32", "f64"):
        return _first(k, n, kind)
    low = {"i64": "(-9223372036854775807ll - 1)", "i32": "(-2147483647 - 1)", "i16": "-32768"}
    low |= {"i8": "-128", "u8": "0", "b": "0"}
    high = {"i64": "9223372036854775807ll", "i32": "2147483647", "i16": "32767"}
    high |= {"i8": "127", "u8": "255", "b": "1"}
    return (low if name == "amax" else high)[kind]


def _each(n: int) -> str:
    return (
        f"for (I i = blockIdx.x * (I)blockDim.x + threadIdx.x; i < {n}; "
        "i += (I)gridDim.x * blockDim.x) {"
    )


class Parts(Core):
    """Values put together from parts: each is copied to its place."""

    def launches(self, low: Any, n: Node) -> list[Any]:
        operands = _operands(low, n)
        parts = n.params[1:]
        based = len(operands) > len(parts)
        out = [copied(operands[0], n)] if based else []
        for p, (shape, strides, offset) in zip(operands[based:], parts, strict=True):
            if 0 in shape:
                continue
            if p.shape != shape:
                raise NotCompiled("assemble: a part of another shape")
            out.append(copied(p, n, into=Place(n, offset, shape, strides)))
        return out


class Unfilled(Core):
    """Parts put together of which one has no elements (`program._empty`). It is among the cores so
    that a constant which it copies is in memory."""

    def accepts(self, n: Node) -> bool:
        return 0 not in n.shape and any([0 in i.shape for i in n.inputs])


class Scan(Core):
    """Running sums and products: one thread for each line, or a block where lines are few and long,
    of which each thread has a stretch: it adds up what is before its own and goes over it again."""

    def accepts(self, n: Node) -> bool:
        return kind_of(n) in ("f32", "f64", "i64", "i32", *NARROW) and bool(n.shape)

    def launches(self, low: Any, n: Node) -> list[Any]:
        (p,) = _operands(low, n)
        (d,) = n.params
        rest = [j for j in range(len(n.shape)) if j != d]
        lines_, length = prod([n.shape[j] for j in rest]), n.shape[d]
        together = lines_ < 2048 and length > BLOCK
        kind = kind_of(n)
        assert kind is not None
        t = TYPE[kind]
        own = contiguous_strides(n.shape)
        first, fold = ("0", "Sum") if n.op.name == "cumsum" else ("1", "Prod")
        k = Kernel({})
        lines = k.f.lines
        if together:
            lines.append("const I i = blockIdx.x;\n  {")
        else:
            lines.append(_each(lines_))
        tables = [[s[j] for j in rest] for s in (p.strides, own)]
        source, to = k.offsets("i", [n.shape[j] for j in rest], tables)
        lines.append(f"{t} a = {first};")

        def over(begin: str, end: str, store: bool) -> None:
            lines.append(f"for (I j = {begin}; j < {end}; j++) {{")
            where = f"{k.pointer(p.base, p.offset)}[{source} + j * (I){p.strides[d]}]"
            v = k.x.load(where, kind)
            lines.append(f"a = {fold}::of(a, {v.name});")
            if store:
                target = f"{k.pointer(n, made=True)}[{to} + j * (I){own[d]}]"
                lines.append(f"{target} = {k.x.pack(Value('a', kind))};")
            lines.append("}")

        if together:
            each = -(-length // BLOCK)
            lines.append(f"const I begin = min((I)threadIdx.x * {each}, (I){length});")
            lines.append(f"const I end = min(begin + {each}, (I){length});")
            over("begin", "end", False)
            lines.append(f"__shared__ {t} part[{BLOCK}];")
            lines.append("part[threadIdx.x] = a;")
            lines.append("__syncthreads();")
            lines.append(f"a = {first};")
            lines.append(f"for (int q = 0; q < threadIdx.x; q++) a = {fold}::of(a, part[q]);")
            over("begin", "end", True)
        else:
            over("0", str(length), True)
        lines.append("}")
        k.most = max(k.most, prod(n.shape) + BLOCK, lines_ + blocks(lines_, 64) * 64)
        grid = lines_ if together else blocks(lines_, 64)
        return [Launch(k.text(), k.args, (grid, 1), (BLOCK if together else 64, 1))]


class Sort(Core):
    """Where the elements of a line go when it is sorted: each counts those that come before it, the
    equal ones with a smaller index among them. A NaN is the largest."""

    def launches(self, low: Any, n: Node) -> list[Any]:
        (p,) = _operands(low, n)
        d, (most, down) = n.params[0], (p.shape[n.params[0]], n.params[-1])
        size, kind = prod(p.shape), kind_of(p.base)
        assert kind is not None
        many = n.shape[d]
        own = contiguous_strides(n.shape)
        rest = [j for j in range(len(n.shape)) if j != d]
        k = Kernel({})
        lines = k.f.lines
        lines.append(_each(size))
        lines.append(f"const I line = i / {most}, here = i % {most};")
        tables = [[s[j] for j in rest] for s in (p.strides, own)]
        source, to = k.offsets("line", [n.shape[j] for j in rest], tables)
        lines.append(f"const I from = {source};")
        at = k.pointer(p.base, p.offset)
        a = k.x.load(f"{at}[from + here * (I){p.strides[d]}]", kind)
        lines.append("I rank = 0;")
        lines.append(f"for (I j = 0; j < {most}; j++) {{")
        b = k.x.load(f"{at}[from + j * (I){p.strides[d]}]", kind)
        x, y = (a.name, b.name) if down else (b.name, a.name)
        before = f"({x} < {y} || ({y} != {y} && {x} == {x}))"
        after = f"({y} < {x} || ({x} != {x} && {y} == {y}))"
        lines.append(f"rank += {before} || (!{after} && j < here);\n  }}")
        result = k.pointer(n, made=True)
        lines.append(f"if (rank < {many}) {result}[{to} + rank * (I){own[d]}] = here;\n  }}")
        k.most = max(k.most, size + blocks(size) * BLOCK, prod(p.base.shape))
        return [Launch(k.text(), k.args, (blocks(size), 1), (BLOCK, 1))]

    def accepts(self, n: Node) -> bool:
        return super().accepts(n) and bool(n.shape)


CORES: dict[str, Core] = {
    **dict.fromkeys(("matmul", "matmul_wide"), Matmul()),
    "assemble": Parts(),
    **dict.fromkeys(("cat", *SCATTERS), Unfilled()),
    **dict.fromkeys(
        ("sum", "prod", "amax", "amin", "any", "all", "argmax", "argmin"),
        Fold(),
    ),
    **dict.fromkeys(("cumsum", "cumprod"), Scan()),
    **dict.fromkeys(("argsort", "topk_index"), Sort()),
}

__all__ = ["CORES", "Core", "aside", "copied"]
