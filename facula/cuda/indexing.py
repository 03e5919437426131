"""Elements picked and put by indices.

Sums that several indices go to are made in the order of the indices, so that the bits are the same
each time: by one thread for each line, or by each element, which looks for itself.
"""

from __future__ import annotations

from math import prod
from typing import Any

from facula.compiler.builder import NARROW
from facula.compiler.cluster import kind_of
from facula.compiler.layout import Place
from facula.cpu.kernels import strides_in
from facula.cuda.cores import Core, _each, _operands, aside, copied
from facula.cuda.kernels import (
    BLOCK,
    Kernel,
    Launch,
    blocks,
)
from facula.cuda.lanes import TYPE, Value
from facula.trace.node import Node, contiguous_strides


def _checked(k: Kernel, index: str, size: int, name: str) -> str:
    """An index counted from the front; one that is out of range is reported, and 0."""
    lines = k.f.lines
    k.f.used = True
    lines.append(f"long long {name} = {index}; if ({name} < 0) {name} += {size};")
    lines.append(f"if ({name} < 0 || {name} >= {size}) {{ *status = 1; {name} = 0; }}")
    return name


class Gather(Core):
    """Elements picked along one dimension by an index of the result's shape."""

    def launches(self, low: Any, n: Node) -> list[Any]:
        a, b = _operands(low, n)
        if not a.shape:
            return [copied(Place(a.base, a.offset, n.shape, (0,) * len(n.shape)), n)]
        d, size = n.params, prod(n.shape)
        k = Kernel({})
        k.f.lines.append(_each(size))
        along = [0 if j == d else s for j, s in enumerate(a.strides)]
        at, where = k.offsets("i", list(n.shape), [list(b.strides), along])
        index = _checked(k, f"{k.pointer(b.base, b.offset)}[{at}]", a.shape[d], "q")
        source = k.pointer(a.base, a.offset)
        k.f.lines.append(
            f"{k.pointer(n, made=True)}[i] = {source}[{where} + {index} * {a.strides[d]}];\n  }}"
        )
        k.most = max(k.most, prod(a.shape), size + blocks(size) * BLOCK)
        return [Launch(k.text(), k.args, (blocks(size), 1), (BLOCK, 1))]


class Index(Core):
    """Advanced indexing: elements picked by tables of indices along several dimensions."""

    def accepts(self, n: Node) -> bool:
        return super().accepts(n) and bool(n.inputs[0].shape)

    def launches(self, low: Any, n: Node) -> list[Any]:
        a, b = _operands(low, n)
        size = prod(n.shape)
        k = Kernel({})
        k.f.lines.append(_each(size))
        where = _picked(k, n, a, b, n.shape, "i", a.strides)
        source = k.pointer(a.base, a.offset)
        k.f.lines.append(f"{k.pointer(n, made=True)}[i] = {source}[{where}];\n  }}")
        k.most = max(k.most, prod(a.shape), size + blocks(size) * BLOCK)
        return [Launch(k.text(), k.args, (blocks(size), 1), (BLOCK, 1))]


def _picking(n: Node, rank: int) -> tuple[int, list[int], list[int]]:
    """Of advanced indexing: where its dimensions begin, which dimensions it picks along, others."""
    where, _ = n.params
    used = [d for d in range(rank) if where[d] is not None]
    rest = [d for d in range(rank) if where[d] is None]
    begin = used[0] if used == list(range(used[0], used[-1] + 1)) else 0
    return begin, used, rest


def _picked(
    k: Kernel, n: Node, a: Place, b: Place, shape: tuple[int, ...], linear: str, strides: Any
) -> str:
    """The offset in a base with these strides of an element of what is picked from it."""
    where, picked = n.params
    begin, used, rest = _picking(n, len(a.shape))
    plain = [strides[d] for d in rest]
    table = [*plain[:begin], *[0] * len(picked), *plain[begin:]]
    over = contiguous_strides(picked)
    number = [*[0] * begin, *over, *[0] * (len(plain) - begin)]
    base, at = k.offsets(linear, list(shape), [table, number])
    parts = [base]
    for d in used:
        row, step = b.strides
        element = f"{k.pointer(b.base, b.offset)}[{where[d]} * {row} + ({at}) * {step}]"
        parts.append(f"{_checked(k, element, a.shape[d], f'q{d}')} * {strides[d]}")
    return " + ".join(parts)


def _line(p: Place) -> Place:
    """A place without dimensions as a line of one element."""
    return p if p.shape else Place(p.base, p.offset, (1,), (1,))


class Scatter(Core):
    """Writing or adding along one dimension: each line of the result belongs to one thread."""

    def __init__(self, adds: bool) -> None:
        self.adds = adds

    def launches(self, low: Any, n: Node) -> list[Any]:
        a, b, c = [_line(p) for p in _operands(low, n)]
        d, shape = n.params, n.shape or (1,)
        out = [copied(a, n)]
        rest = aside(shape, d)
        lines_, many = prod([b.shape[j] for j in rest]), b.shape[d]
        if not lines_ * many:
            return out
        k = Kernel({})
        own = contiguous_strides(shape)
        k.f.lines.append(_each(lines_))
        tables = [[s[j] for j in rest] for s in (own, b.strides, c.strides)]
        to, at, source = k.offsets("i", [b.shape[j] for j in rest], tables)
        k.f.lines.append(f"for (I j = 0; j < {many}; j++) {{")
        index = f"{k.pointer(b.base, b.offset)}[{at} + j * (I){b.strides[d]}]"
        q = _checked(k, index, shape[d], "q")
        value = f"{k.pointer(c.base, c.offset)}[{source} + j * (I){c.strides[d]}]"
        _put(k, n, f"{to} + {q} * {own[d]}", value, self.adds)
        k.f.lines.append("} }")
        k.most = max(k.most, prod(n.shape), prod(c.shape), lines_ + blocks(lines_, 64) * 64)
        return [*out, Launch(k.text(), k.args, (blocks(lines_, 64), 1), (64, 1))]


def _put(k: Kernel, n: Node, where: str, value: str, adds: bool) -> None:
    """Write or add a value to an element of the result."""
    kind = kind_of(n)
    assert kind is not None
    target = k.pointer(n, made=True)
    if not adds:
        k.f.lines.append(f"{target}[{where}] = {value};")
        return
    k.f.lines.append(f"const long long o = {where};")
    v, before = k.x.load(value, kind), k.x.load(f"{target}[o]", kind)
    total = k.x.add(k.x.widened(before), k.x.widened(v))
    total = k.x.rounded(total, kind) if kind in ("bf16", "f16") else total
    k.f.lines.append(f"{target}[o] = {k.x.pack(total)};")


MOST_LOOKS = 1 << 28  # at indices, by all elements together


class Put(Core):
    """Writing or adding where tables of indices say: each position of the dimensions that are not
    picked along belongs to one thread, which goes over the indices in order."""

    def __init__(self, adds: bool) -> None:
        self.adds = adds

    def accepts(self, n: Node) -> bool:
        return super().accepts(n) and bool(n.shape)

    def launches(self, low: Any, n: Node) -> list[Any]:
        a, b, c = _operands(low, n)
        where, picked = n.params
        begin, used, rest = _picking(n, len(n.shape))
        lines_, many = prod([n.shape[d] for d in rest]), prod(picked)
        if not lines_ * many:
            return [copied(a, n)]
        together = many * many // 32 * -(-lines_ // 32) <= MOST_LOOKS and lines_ < 1 << 20
        if self.adds and together and lines_ >= 16:
            return [copied(a, n), self._gathered(n, b, c)]
        if self.adds and (made := self._searched(n, a, b, c)) is not None:
            return [made]
        out = [copied(a, n)]
        own = contiguous_strides(n.shape)
        seen = tuple([n.shape[d] for d in rest])
        seen = (*seen[:begin], *picked, *seen[begin:])
        value_steps = strides_in(c, seen)
        k = Kernel({})
        k.f.lines.append(_each(lines_))
        plain = [*value_steps[:begin], *value_steps[begin + len(picked) :]]
        tables = [[own[d] for d in rest], plain]
        to, source = k.offsets("i", [n.shape[d] for d in rest], tables)
        k.f.lines.append(f"for (I j = 0; j < {many}; j++) {{")
        steps = value_steps[begin : begin + len(picked)]
        (value_at,) = k.offsets("j", list(picked), [list(steps)])
        parts = [to]
        for d in used:
            row, step = b.strides
            element = f"{k.pointer(b.base, b.offset)}[{where[d]} * {row} + j * {step}]"
            parts.append(f"{_checked(k, element, n.shape[d], f'q{d}')} * {own[d]}")
        value = f"{k.pointer(c.base, c.offset)}[{source} + {value_at}]"
        _put(k, n, " + ".join(parts), value, self.adds)
        k.f.lines.append("} }")
        k.most = max(k.most, prod(n.shape), lines_ * many, lines_ + blocks(lines_, 64) * 64)
        return [*out, Launch(k.text(), k.args, (blocks(lines_, 64), 1), (64, 1))]

    @staticmethod
    def _gathered(n: Node, b: Place, c: Place) -> Launch:
        """Adding where each warp has one of the indices, and 32 of the positions beside: it goes on
        if no index before is the same, and adds, in order, what all that are the same bring."""
        where, picked = n.params
        begin, used, rest = _picking(n, len(n.shape))
        lines_, many = prod([n.shape[d] for d in rest]), prod(picked)
        kind, own = kind_of(n), contiguous_strides(n.shape)
        assert kind is not None
        seen = tuple([n.shape[d] for d in rest])
        steps = strides_in(c, (*seen[:begin], *picked, *seen[begin:]))
        k = Kernel({})
        lines = k.f.lines

        def target(e: str, name: str) -> None:
            parts = []
            for d in used:
                row, step = b.strides
                element = f"{k.pointer(b.base, b.offset)}[{where[d]} * {row} + {e} * {step}]"
                parts.append(f"{_checked(k, element, n.shape[d], f'q{d}')} * {own[d]}")
            lines.append(f"{name} = {' + '.join(parts)};")

        def add(j: str) -> None:
            (at,) = k.offsets(j, list(picked), [list(steps[begin : begin + len(picked)])])
            v = k.x.load(f"{k.pointer(c.base, c.offset)}[from + {at}]", kind)
            total = k.x.add(k.x.widened(Value("a", kind)), k.x.widened(v))
            total = k.x.rounded(total, kind) if kind in NARROW else total
            lines.append(f"a = {k.x.cast(total, kind).name};")

        lines.append("const I i = blockIdx.x * (I)8 + threadIdx.y;")
        lines.append("const I c = blockIdx.y * (I)32 + threadIdx.x;")
        lines.append(f"if (i >= {many}) return;")
        lines.append(f"const bool in = c < {lines_}; long long mine, other;\n  {{")
        target("i", "mine")
        lines.append("}\n  for (I j = 0; j < i; j += 32) {")
        lines.append("const I e = min(j + (I)threadIdx.x, i - 1);")
        target("e", "other")
        lines.append("if (__ballot_sync(~0u, other == mine)) return;\n  }")
        lines.append("const I line = in ? c : 0;")
        plain = [*steps[:begin], *steps[begin + len(picked) :]]
        sizes = [n.shape[d] for d in rest]
        to, source = k.offsets("line", sizes, [[own[d] for d in rest], plain])
        lines.append(f"const long long to = {to} + mine; const I from = {source};")
        made = k.pointer(n, made=True)
        lines.append(f"{TYPE[kind]} a = {k.x.load(f'{made}[to]', kind).name};\n  {{")
        add("i")
        lines.append("}\n  for (I j = i + 1; j < " + f"{many}; j += 32) {{")
        lines.append(f"const I e = min(j + (I)threadIdx.x, (I){many - 1});")
        target("e", "other")
        same = f"j + threadIdx.x < {many} && other == mine"
        lines.append(f"u32 rest = __ballot_sync(~0u, {same});")
        lines.append("while (rest) { const I e = j + __ffs(rest) - 1; rest &= rest - 1;")
        add("e")
        lines.append("} }")
        lines.append(f"if (in) {made}[to] = {k.x.pack(Value('a', kind))};")
        k.most = max(k.most, prod(n.shape), prod(c.base.shape), many + 64)
        return Launch(k.text(), k.args, (-(-many // 8), -(-lines_ // 32)), (32, 8))

    @staticmethod
    def _searched(n: Node, a: Place, b: Place, c: Place) -> Launch | None:
        """Adding along one dimension, where few lines would leave the device idle: each element
        looks for itself among the indices, and adds in the same order. None: too many to look at.
        """
        where, picked = n.params
        begin, used, rest = _picking(n, len(n.shape))
        many, size = prod(picked), prod(n.shape)
        if len(used) != 1 or not many or size * many > MOST_LOOKS:
            return None
        (d,) = used
        kind = kind_of(n)
        assert kind is not None
        seen = tuple([n.shape[j] for j in rest])
        seen = (*seen[:begin], *picked, *seen[begin:])
        steps = strides_in(c, seen)
        plain = [*steps[:begin], *steps[begin + len(picked) :]]
        k = Kernel({})
        lines = k.f.lines
        lines.append(_each(size))
        at = [0] * len(n.shape)
        at[d] = 1
        of_value = [0] * len(n.shape)
        for j, step in zip(rest, plain, strict=True):
            of_value[j] = step
        here, first, source = k.offsets("i", list(n.shape), [at, of_value, list(a.strides)])
        before = k.x.load(f"{k.pointer(a.base, a.offset)}[{source}]", kind)
        lines.append(f"{TYPE[kind]} a = {before.name};")
        lines.append(f"for (I j = 0; j < {many}; j++) {{")
        row, step = b.strides
        element = f"{k.pointer(b.base, b.offset)}[{where[d]} * {row} + j * {step}]"
        lines.append(f"if ({_checked(k, element, n.shape[d], 'q')} != {here}) continue;")
        (value_at,) = k.offsets("j", list(picked), [list(steps[begin : begin + len(picked)])])
        v = k.x.load(f"{k.pointer(c.base, c.offset)}[{first} + {value_at}]", kind)
        total = k.x.add(k.x.widened(Value("a", kind)), k.x.widened(v))
        total = k.x.rounded(total, kind) if kind in ("bf16", "f16") else total
        lines.append(f"a = {k.x.cast(total, kind).name};\n  }}")
        lines.append(f"{k.pointer(n, made=True)}[i] = {k.x.pack(Value('a', kind))};\n  }}")
        k.most = max(k.most, size + blocks(size) * BLOCK, prod(c.shape))
        return Launch(k.text(), k.args, (blocks(size), 1), (BLOCK, 1))


INDEXING: dict[str, Core] = {
    "gather": Gather(),
    "index": Index(),
    "scatter": Scatter(False),
    "scatter_add": Scatter(True),
    "index_put": Put(False),
    "index_put_accumulate": Put(True),
}

__all__ = ["INDEXING"]
