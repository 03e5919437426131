"""Windows laid side by side, and windows that overlap added up again, in the order of their parts.

Each element of the result looks for the elements that lie on it.
"""

from __future__ import annotations

from math import prod
from typing import Any

from facula.compiler.builder import NARROW
from facula.compiler.cluster import kind_of, wide
from facula.compiler.layout import Place
from facula.cuda.cores import Core, _each, _operands
from facula.cuda.kernels import BLOCK, Kernel, Launch, blocks
from facula.cuda.lanes import TYPE, Value
from facula.cuda.windows import _inside, _names, _reached, _Windows
from facula.ops.windows import split
from facula.trace.node import Node


class _Added(Core):
    """A sum of elements for each element of the result."""

    def accepts(self, n: Node) -> bool:
        return super().accepts(n) and kind_of(n) != "b"

    @staticmethod
    def _begin(k: Kernel, n: Node) -> None:
        k.f.lines.append(_each(prod(n.shape)))
        k.f.lines.append(f"{TYPE[wide(kind_of(n) or 'f32')]} a = 0;")

    @staticmethod
    def _add(k: Kernel, n: Node, p: Place, where: str) -> None:
        kind = kind_of(n)
        assert kind is not None
        v = k.x.widened(k.x.load(f"{k.pointer(p.base, p.offset)}[{where}]", kind))
        k.f.lines.append(f"a = {k.x.add(Value('a', v.kind), v).name};")

    @staticmethod
    def _end(k: Kernel, n: Node, p: Place, loops: int) -> list[Any]:
        kind = kind_of(n)
        assert kind is not None
        size = prod(n.shape)
        k.f.lines.append("}" * loops)
        v = Value("a", wide(kind))
        v = k.x.rounded(v, kind) if kind in NARROW else v
        k.f.lines.append(f"{k.pointer(n, made=True)}[i] = {k.x.pack(Value(v.name, kind))};\n  }}")
        k.most = max(size + blocks(size) * BLOCK, prod(p.base.shape), prod(p.shape))
        return [Launch(k.text(), k.args, (blocks(size), 1), (BLOCK, 1))]


class Unfolded(_Added):
    """The windows along one dimension (`Tensor.unfold`) added up."""

    def launches(self, low: Any, n: Node) -> list[Any]:
        (p,) = _operands(low, n)
        (d, size, step), _ = n.params
        k = Kernel({})
        self._begin(k, n)
        beside = [0 if j == d else s for j, s in enumerate(p.strides[:-1])]
        along = [int(j == d) for j in range(len(n.shape))]
        start, at = k.offsets("i", list(n.shape), [beside, along])
        k.f.lines.append(f"const I from = {start}, at = {at};")
        # In the order of the windows: of an element those that begin last hold it first.
        k.f.lines.append(f"for (I t = {size - 1}; t >= 0; t--) {{")
        k.f.lines.append(f"if (at < t || (at - t) % {step} != 0) continue;")
        k.f.lines.append(f"const I l = (at - t) / {step}; if (l >= {p.shape[d]}) continue;")
        self._add(k, n, p, f"from + l * (I){p.strides[d]} + t * (I){p.strides[-1]}")
        return self._end(k, n, p, 1)


class Strided(_Added):
    """The elements of `as_strided` added up where they were seen."""

    def launches(self, low: Any, n: Node) -> list[Any]:
        (p,) = _operands(low, n)
        (shape, strides, offset), _ = n.params
        k = Kernel({})
        self._begin(k, n)
        seen = [(m, s, t) for m, s, t in zip(shape, strides, p.strides) if m != 1]
        last = max(range(len(seen)), key=lambda j: seen[j][1], default=None)
        loops = [j for j in range(len(seen)) if j != last or seen[j][1] == 0]
        for j in loops:
            k.f.lines.append(f"for (I j{j} = 0; j{j} < {seen[j][0]}; j{j}++) {{")
        used = " - ".join([f"j{j} * (I){seen[j][1]}" for j in loops])
        rest = f"i - {offset}" + (f" - {used}" if used else "")
        k.f.lines.append(f"const I rest = {rest};")
        if last is None or last in loops:
            k.f.lines.append("if (rest == 0) {")
        else:
            most, step, _ = seen[last]
            k.f.lines.append(f"if (rest >= 0 && rest % {step} == 0 && rest / {step} < {most}) {{")
            k.f.lines.append(f"const I j{last} = rest / {step};")
        where = " + ".join([f"j{j} * (I){seen[j][2]}" for j in range(len(seen))]) or "0"
        self._add(k, n, p, where)
        return self._end(k, n, p, len(loops) + 1)


class Columns(_Added):
    """im2col, and its columns added up in the image again."""

    def launches(self, low: Any, n: Node) -> list[Any]:
        (p,) = _operands(low, n)
        kernel, stride, padding, dilation, _ = split(n.params, 5)
        d = len(kernel)
        k = Kernel({})
        self._begin(k, n)
        if n.op.name == "im2col":
            names = ["b", "c", *_names("k", d), *_names("l", d)]
            _Windows._positions(k, "i", names, list(n.shape))
            k.f.lines.append("do {")  # what `continue` leaves
            _inside(k, d, p.shape[2:], stride, padding, dilation)
            steps = zip(["b", "c", *_names("i", d)], p.strides, strict=True)
            self._add(k, n, p, " + ".join([f"{a} * (I){s}" for a, s in steps]))
            k.f.lines.append("} while (false);")
            return self._end(k, n, p, 0)
        _Windows._positions(k, "i", ["b", "c", *_names("i", d)], list(n.shape))
        _Windows._loops(k, _names("k", d), list(kernel))
        _reached(k, d, p.shape[2 + d :], stride, padding, dilation)
        steps = zip(["b", "c", *_names("k", d), *_names("l", d)], p.strides, strict=True)
        self._add(k, n, p, " + ".join([f"{a} * (I){s}" for a, s in steps]))
        return self._end(k, n, p, d)


class Histogram(_Added):
    """How many elements fall into each part of a range: each part counts its own."""

    def accepts(self, n: Node) -> bool:
        return kind_of(n) in ("f32", "f64")

    def launches(self, low: Any, n: Node) -> list[Any]:
        (p,) = _operands(low, n)
        bins, first, last = n.params
        size = prod(p.shape)
        k = Kernel({})
        self._begin(k, n)
        lines = k.f.lines
        kind = kind_of(p.base) or "f32"
        lines.append(f"double low = {first!r}, high = {last!r};")
        if first == last:
            lines.append(f"for (I j = 0; j < {size}; j++) {{")
            (at,) = k.offsets("j", list(p.shape), [list(p.strides)])
            v = k.x.load(f"{k.pointer(p.base, p.offset)}[{at}]", kind).name
            lines.append(f"if (j == 0 || {v} < low) low = {v};")
            lines.append(f"if (j == 0 || {v} > high) high = {v};\n  }}")
            lines.append("if (low == high) { low -= 1; high += 1; }")
        lines.append(f"const double each = {bins} / (high - low);")
        lines.append(f"for (I j = 0; j < {size}; j++) {{")
        (at,) = k.offsets("j", list(p.shape), [list(p.strides)])
        v = k.x.load(f"{k.pointer(p.base, p.offset)}[{at}]", kind).name
        lines.append(f"if ({v} >= low && {v} <= high) {{")
        lines.append(f"const long long own = (long long)(((double){v} - low) * each);")
        lines.append(f"a += (own < {bins} ? own : {bins - 1}) == i;")
        return self._end(k, n, p, 2)


OVERLAPS: dict[str, Core] = {
    "unfold_backward": Unfolded(),
    "as_strided_add": Strided(),
    **dict.fromkeys(("im2col", "col2im"), Columns()),
    "histc": Histogram(),
}

__all__ = ["OVERLAPS"]
