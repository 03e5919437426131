"""Operations along lines: running extremes, medians, searches, reductions where an index points.

Each thread goes over a line, or over what may concern its element, in order: right and the same
bits each time, and slow where lines are long and few.
"""

from __future__ import annotations

from math import prod
from typing import Any

from facula.compiler.builder import NARROW
from facula.compiler.cluster import kind_of, wide
from facula.compiler.layout import Place
from facula.cuda.cores import Core, _each, _operands, aside
from facula.cuda.indexing import _checked
from facula.cuda.kernels import BLOCK, Kernel, Launch, blocks
from facula.cuda.lanes import TYPE, Value
from facula.trace.node import Node, contiguous_strides


def _less(a: str, b: str) -> str:
    """Whether a comes before b where NaN is the largest."""
    return f"({a} < {b} || ({b} != {b} && {a} == {a}))"


def _same(a: str, b: str) -> str:
    return f"({a} == {b} || ({a} != {a} && {b} != {b}))"


def _launch(k: Kernel, size: int, *shapes: tuple[int, ...]) -> list[Any]:
    k.most = max(size + blocks(size) * BLOCK, *[prod(s) for s in shapes])
    return [Launch(k.text(), k.args, (blocks(size), 1), (BLOCK, 1))]


def _kind(n: Node) -> str:
    kind = kind_of(n)
    assert kind is not None
    return kind


def _at(k: Kernel, p: Place, where: str) -> str:
    """The value of an element of a place, as it is computed with."""
    v = k.x.load(f"{k.pointer(p.base, p.offset)}[{where}]", _kind(p.base))
    return k.x.widened(v).name


class Running(Core):
    """Where the running extremes of a line are, and running sums of logarithms' powers."""

    def accepts(self, n: Node) -> bool:
        kind = kind_of(n.inputs[0])
        if not n.shape or kind is None:
            return False
        return n.op.name != "logcumsumexp" or kind in ("f32", "f64")

    def launches(self, low: Any, n: Node) -> list[Any]:
        (p,) = _operands(low, n)
        (d,) = n.params
        kind = wide(_kind(p.base))
        rest = aside(n.shape, d)
        own = contiguous_strides(n.shape)
        k = Kernel({})
        lines = k.f.lines
        count = prod([n.shape[j] for j in rest])
        lines.append(_each(count))
        tables = [[s[j] for j in rest] for s in (p.strides, own)]
        source, to = k.offsets("i", [n.shape[j] for j in rest], tables)
        lines.append(f"const I from = {source}, to = {to};")
        lines.append(f"{TYPE[kind]} a = 0; long long at = 0;")
        lines.append(f"for (I j = 0; j < {n.shape[d]}; j++) {{")
        v = _at(k, p, f"from + j * (I){p.strides[d]}")
        result = f"{k.pointer(n, made=True)}[to + j * (I){own[d]}]"
        if n.op.name == "logcumsumexp":
            f = "" if kind == "f64" else "f"
            more = f"{v} > a ? {v} + log1p{f}(exp{f}(a - {v})) : a + log1p{f}(exp{f}({v} - a))"
            lines.append(f"a = j == 0 ? {v} : a == {v} ? a + log{f}(({TYPE[kind]})2) : {more};")
            lines.append(f"{result} = a + 0;")
        else:
            sign = ">=" if n.op.name == "cummax_index" else "<="
            lines.append(f"if (j == 0 || {v} != {v} || {v} {sign} a) {{ a = {v}; at = j; }}")
            lines.append(f"{result} = at;")
        lines.append("} }")
        return _launch(k, count, n.shape, p.base.shape)


class Middle(Core):
    """Medians: of a line, by position, or the value of all. Each element counts those that come
    before it, the equal ones with a smaller index among them."""

    def accepts(self, n: Node) -> bool:
        return None not in (kind_of(n), kind_of(n.inputs[0]))

    def launches(self, low: Any, n: Node) -> list[Any]:
        (p,) = _operands(low, n)
        value = not n.op.name.endswith("_index")
        dims = list(range(len(p.shape))) if value else [n.params[0][0]]
        rest = [j for j in range(len(p.shape)) if j not in dims]
        size, most = prod(p.shape), prod([p.shape[j] for j in dims])
        k = Kernel({})
        lines = k.f.lines
        lines.append(_each(size))
        lines.append(f"const I line = i / {most}, here = i % {most};")
        (start,) = k.offsets("line", [p.shape[j] for j in rest], [[p.strides[j] for j in rest]])
        sizes, steps = [p.shape[j] for j in dims], [p.strides[j] for j in dims]
        lines.append(f"const I from = {start};")
        (own,) = k.offsets("here", sizes, [steps])
        a = _at(k, p, f"from + {own}")
        lines.append("I rank = 0, nans = 0;")
        lines.append(f"for (I j = 0; j < {most}; j++) {{")
        (other,) = k.offsets("j", sizes, [steps])
        b = _at(k, p, f"from + {other}")
        lines.append(f"nans += {b} != {b};")
        lines.append(f"rank += {_less(b, a)} || (!{_less(a, b)} && j < here);\n  }}")
        if n.op.name.startswith("nan"):
            wanted = f"(max((I){most} - nans - 1, (I)0) / 2)"
        else:
            wanted = f"(nans > 0 ? (I){most} - nans : (I){(most - 1) // 2})"
        made = k.pointer(n, made=True)
        result = k.x.pack(Value(a, _kind(n))) if value else "here"
        lines.append(f"if (rank == {wanted}) {made}[line] = {result};\n  }}")
        return _launch(k, size, p.base.shape)


class Mode(Core):
    """Where the most common value of a line is: the smallest of several, its last position."""

    def accepts(self, n: Node) -> bool:
        return kind_of(n.inputs[0]) is not None

    def launches(self, low: Any, n: Node) -> list[Any]:
        (p,) = _operands(low, n)
        d = n.params[0][0]
        rest, most = aside(p.shape, d), p.shape[d]
        count = prod([p.shape[j] for j in rest])
        k = Kernel({})
        lines = k.f.lines
        lines.append(_each(count))
        (start,) = k.offsets("i", [p.shape[j] for j in rest], [[p.strides[j] for j in rest]])
        lines.append(f"const I from = {start};")
        kind = wide(_kind(p.base))
        lines.append(f"{TYPE[kind]} best = 0; long long at = 0; I times = 0;")
        lines.append(f"for (I j = 0; j < {most}; j++) {{")
        a = _at(k, p, f"from + j * (I){p.strides[d]}")
        lines.append("I same = 0;")
        lines.append(f"for (I l = 0; l < {most}; l++) {{")
        b = _at(k, p, f"from + l * (I){p.strides[d]}")
        lines.append(f"same += {_same(a, b)};\n  }}")
        better = f"same > times || (same == times && !{_less('best', a)})"
        lines.append(f"if ({better}) {{ best = {a}; at = j; times = same; }}\n  }}")
        lines.append(f"{k.pointer(n, made=True)}[i] = at;\n  }}")
        return _launch(k, count, p.base.shape)


class Search(Core):
    """Where values would be inserted in sorted lines, and whether they are among others."""

    def accepts(self, n: Node) -> bool:
        kinds = [kind_of(i) for i in n.inputs]
        return None not in kinds and kind_of(n) is not None and len(set(kinds)) == 1

    def launches(self, low: Any, n: Node) -> list[Any]:
        a, b = _operands(low, n)
        size = prod(n.shape)
        k = Kernel({})
        lines = k.f.lines
        lines.append(_each(size))
        made = k.pointer(n, made=True)
        if n.op.name == "isin":
            (own,) = k.offsets("i", list(a.shape), [list(a.strides)])
            v = _at(k, a, own)
            lines.append("bool found = false;")
            lines.append(f"for (I j = 0; j < {prod(b.shape)} && !found; j++) {{")
            (other,) = k.offsets("j", list(b.shape), [list(b.strides)])
            lines.append(f"found = {_at(k, b, other)} == {v};\n  }}")
            lines.append(f"{made}[i] = found;\n  }}")
            return _launch(k, size, a.base.shape, b.base.shape)
        shared = len(a.shape) == 1
        steps = [0] * len(b.shape) if shared else [*a.strides[:-1], 0]
        own, start = k.offsets("i", list(b.shape), [list(b.strides), steps])
        v = _at(k, b, own)
        lines.append(f"const I from = {start}; I low = 0, high = {a.shape[-1]};")
        lines.append("while (low < high) { const I j = (low + high) / 2;")
        w = _at(k, a, f"from + j * (I){a.strides[-1]}")
        before = _less(w, v) if n.params[0] == "left" else f"!{_less(v, w)}"
        lines.append(f"if ({before}) low = j + 1; else high = j;\n  }}")
        lines.append(f"{made}[i] = low;\n  }}")
        return _launch(k, size, a.base.shape, b.base.shape)


class Reduce(Core):
    """Elements combined where an index points: each element of the result looks for itself among
    the indices of its line."""

    def accepts(self, n: Node) -> bool:
        return super().accepts(n) and bool(n.shape) and kind_of(n) != "b"

    def launches(self, low: Any, n: Node) -> list[Any]:
        a, b, c = _operands(low, n)
        d, how, own = n.params
        rest = aside(n.shape, d)
        kind = _kind(n)
        t = wide(kind)
        size = prod(n.shape)
        k = Kernel({})
        lines = k.f.lines
        lines.append(_each(size))
        of_line = [[0 if j == d else s for j, s in enumerate(p.strides)] for p in (b, c)]
        ones = [[int(j == e) for j in range(len(n.shape))] for e in (*rest, d)]
        tables = [list(a.strides), *of_line, *ones]
        first, index, source, *at = k.offsets("i", list(n.shape), tables)
        lines.append(f"const I here = {at[-1]};")
        lines.append(f"{TYPE[t]} a = {_at(k, a, first)}; bool some = {str(own).lower()};")
        lines.append(f"long long times = {int(own)};")
        inside = [f"{x} < {b.shape[j]}" for x, j in zip(at, rest) if b.shape[j] < n.shape[j]]
        lines.append(f"if ({' && '.join(inside) or 'true'})")
        lines.append(f"for (I j = 0; j < {b.shape[d]}; j++) {{")
        element = f"{k.pointer(b.base, b.offset)}[{index} + j * (I){b.strides[d]}]"
        lines.append(f"if ({_checked(k, element, n.shape[d], 'q')} != here) continue;")
        v = _at(k, c, f"{source} + j * (I){c.strides[d]}")
        held = Value("a", t)
        fold = {
            "sum": lambda: k.x.add(held, Value(v, t)),
            "mean": lambda: k.x.add(held, Value(v, t)),
            "prod": lambda: k.x.mul(held, Value(v, t)),
            "amax": lambda: k.x.maximum(held, Value(v, t)),
            "amin": lambda: k.x.minimum(held, Value(v, t)),
        }[how]()
        lines.append(f"a = some ? {fold.name} : {v}; some = true; times++;\n  }}")
        if how == "mean":
            lines.append("if (times > 1) {")
            if k.x.floating(held):
                lines.append(f"a = a / ({TYPE[t]})times;\n  }}")
            else:
                lines.append(f"const {TYPE[t]} q = a / times;")
                lines.append("a = q - (a % times != 0 && a < 0);\n  }")
        total = k.x.rounded(held, kind) if kind in NARROW else held
        lines.append(f"{k.pointer(n, made=True)}[i] = {k.x.pack(Value(total.name, kind))};\n  }}")
        return _launch(k, size, *[p.base.shape for p in (a, b, c)])


LINES: dict[str, Core] = {
    **dict.fromkeys(("cummax_index", "cummin_index", "logcumsumexp"), Running()),
    **dict.fromkeys(("median", "median_index", "nanmedian", "nanmedian_index"), Middle()),
    "mode_index": Mode(),
    **dict.fromkeys(("searchsorted", "isin"), Search()),
    "scatter_reduce": Reduce(),
}

__all__ = ["LINES"]
