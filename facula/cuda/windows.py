"""Convolutions and pooling, written down as they are defined: one thread for each result.

Convolutions are cuDNN's (`dnn.py`) where it is installed. These kernels read every operand as often
as it is used, from the caches: right and the same bits each time, and several times slower than a
library that lays windows out for the tensor cores. Sums over a whole batch (the gradient by the
weights) have a block for each result.
"""

from __future__ import annotations

from math import prod
from typing import Any

from facula.compiler.cluster import kind_of
from facula.compiler.layout import Place
from facula.cuda import dnn
from facula.cuda.cores import Core, _each, _operands
from facula.cuda.indexing import _put
from facula.cuda.kernels import BLOCK, Kernel, Launch, blocks
from facula.cuda.lanes import TYPE
from facula.trace.node import Node


class _Windows(Core):
    """What the kernels of this file share: positions, loops, and the elements of operands."""

    def accepts(self, n: Node) -> bool:
        return kind_of(n) in ("f32", "f64") and 0 not in n.shape

    @staticmethod
    def _positions(k: Kernel, linear: str, names: list[str], sizes: list[int]) -> None:
        """Variables for the position of an element, the last one fastest."""
        k.f.lines.append(f"I rest = {linear};")
        for name, size in list(zip(names, sizes, strict=True))[:0:-1]:
            k.f.lines.append(f"const I {name} = rest % {size}; rest /= {size};")
        k.f.lines.append(f"const I {names[0]} = rest;")

    @staticmethod
    def _loops(k: Kernel, names: list[str], sizes: list[int]) -> None:
        for name, size in zip(names, sizes, strict=True):
            k.f.lines.append(f"for (I {name} = 0; {name} < {size}; {name}++) {{")

    @staticmethod
    def _end(k: Kernel, n: int) -> None:
        k.f.lines.append("}" * n)

    @staticmethod
    def _element(k: Kernel, p: Place, at: list[str]) -> str:
        steps = [f"{a} * (I){s}" for a, s in zip(at, p.strides, strict=True)]
        return f"{k.pointer(p.base, p.offset)}[{' + '.join(steps)}]"

    @staticmethod
    def _launch(k: Kernel, size: int, operands: list[Place]) -> list[Any]:
        k.most = max(size + blocks(size) * BLOCK, *[prod(p.base.shape) for p in operands])
        return [Launch(k.text(), k.args, (blocks(size), 1), (BLOCK, 1))]


def _names(letter: str, n: int) -> list[str]:
    return [f"{letter}{d}" for d in range(n)]


def _inside(k: Kernel, n: int, size: Any, stride: Any, padding: Any, dilation: Any) -> None:
    """The positions i under element k of window l; the element is passed over if there is none."""
    for d in range(n):
        k.f.lines.append(
            f"const I i{d} = l{d} * {stride[d]} - {padding[d]} + k{d} * {dilation[d]};"
        )
        k.f.lines.append(f"if (i{d} < 0 || i{d} >= {size[d]}) continue;")


def _reached(k: Kernel, n: int, out: Any, stride: Any, padding: Any, dilation: Any) -> None:
    """The windows l of which element k lies at position i."""
    for d in range(n):
        k.f.lines.append(f"const I t{d} = i{d} + {padding[d]} - k{d} * {dilation[d]};")
        k.f.lines.append(f"if (t{d} < 0 || t{d} % {stride[d]} != 0) continue;")
        k.f.lines.append(f"const I l{d} = t{d} / {stride[d]}; if (l{d} >= {out[d]}) continue;")


class _Convolves(_Windows):
    """What cuDNN computes, also of 16-bit floats, where it is there."""

    def accepts(self, n: Node) -> bool:
        return super().accepts(n) or (0 not in n.shape and dnn.possible(n))


class Convolution(_Convolves):
    """Results of a convolution."""

    def launches(self, low: Any, n: Node) -> list[Any]:
        a, b = _operands(low, n)
        if (by_library := dnn.launches(low, n, [a, b])) is not None:
            return by_library
        d = len(n.shape) - 2
        p = n.params
        stride, padding, dilation, groups = p[:d], p[d : 2 * d], p[2 * d : 3 * d], p[3 * d]
        k = Kernel({})
        k.f.lines.append(_each(prod(n.shape)))
        self._positions(k, "i", ["b", "o", *_names("l", d)], list(n.shape))
        each = b.shape[1]
        k.f.lines.append(f"const I g = o / {n.shape[1] // groups} * {each};")
        k.f.lines.append(f"{TYPE[kind_of(n) or 'f32']} a = 0;")
        self._loops(k, ["c", *_names("k", d)], list(b.shape[1:]))
        _inside(k, d, a.shape[2:], stride, padding, dilation)
        x = self._element(k, a, ["b", "(g + c)", *_names("i", d)])
        w = self._element(k, b, ["o", "c", *_names("k", d)])
        k.f.lines.append(f"a += {x} * {w};")
        self._end(k, d + 1)
        k.f.lines.append(f"{k.pointer(n, made=True)}[i] = a;\n  }}")
        return self._launch(k, prod(n.shape), [a, b])


class ConvolutionInput(_Convolves):
    """The transposed convolution."""

    def launches(self, low: Any, n: Node) -> list[Any]:
        a, b = _operands(low, n)
        if (by_library := dnn.launches(low, n, [a, b])) is not None:
            return by_library
        d = len(n.shape) - 2
        p = n.params
        stride, padding, dilation, groups = p[:d], p[d : 2 * d], p[2 * d : 3 * d], p[3 * d]
        each, made = b.shape[1], b.shape[0] // groups
        k = Kernel({})
        k.f.lines.append(_each(prod(n.shape)))
        self._positions(k, "i", ["b", "channel", *_names("i", d)], list(n.shape))
        k.f.lines.append(f"const I c = channel % {each}, first = channel / {each} * {made};")
        k.f.lines.append(f"{TYPE[kind_of(n) or 'f32']} a = 0;")
        self._loops(k, ["m", *_names("k", d)], [made, *b.shape[2:]])
        _reached(k, d, a.shape[2:], stride, padding, dilation)
        y = self._element(k, a, ["b", "(first + m)", *_names("l", d)])
        w = self._element(k, b, ["(first + m)", "c", *_names("k", d)])
        k.f.lines.append(f"a += {y} * {w};")
        self._end(k, d + 1)
        k.f.lines.append(f"{k.pointer(n, made=True)}[i] = a;\n  }}")
        return self._launch(k, prod(n.shape), [a, b])


class ConvolutionWeight(_Convolves):
    """The gradient by the weights: a sum over batch and positions, by a block for each."""

    def launches(self, low: Any, n: Node) -> list[Any]:
        a, b = _operands(low, n)
        if (by_library := dnn.launches(low, n, [a, b])) is not None:
            return by_library
        d = len(n.shape) - 2
        p = n.params
        stride, padding, dilation, groups = p[:d], p[d : 2 * d], p[2 * d : 3 * d], p[3 * d]
        each = n.shape[1]
        many = b.shape[0] * prod(b.shape[2:])
        k = Kernel({})
        self._positions(k, "blockIdx.x", ["o", "c", *_names("k", d)], list(n.shape))
        k.f.lines.append(f"const I g = o / {n.shape[0] // groups} * {each};")
        k.f.lines.append(f"{TYPE[kind_of(n) or 'f32']} a = 0;")
        k.f.lines.append(f"for (I j = threadIdx.x; j < {many}; j += {BLOCK}) {{")
        self._positions(k, "j", ["b", *_names("l", d)], [b.shape[0], *b.shape[2:]])
        _inside(k, d, a.shape[2:], stride, padding, dilation)
        x = self._element(k, a, ["b", "(g + c)", *_names("i", d)])
        y = self._element(k, b, ["b", "o", *_names("l", d)])
        k.f.lines.append(f"a += {x} * {y};\n  }}")
        k.f.lines.append(f"a = together<Sum, {BLOCK}>(a);")
        k.f.lines.append(f"if (threadIdx.x == 0) {k.pointer(n, made=True)}[blockIdx.x] = a;")
        k.most = max(prod(n.shape), many + BLOCK, prod(a.base.shape), prod(b.base.shape))
        return [Launch(k.text(), k.args, (prod(n.shape), 1), (BLOCK, 1))]


def _maximum(w: _Windows, k: Kernel, a: Place, kernel: Any, p: Any, d: int) -> None:
    """`best` and its place `at` in window l: of equals the first, of NaN the last."""
    kind = kind_of(a.base) or "f32"
    k.f.lines.append(f"{TYPE[kind]} best = 0; long long at = -1;")
    w._loops(k, _names("k", d), list(kernel))
    _inside(k, d, a.shape[2:], p[d : 2 * d], p[2 * d : 3 * d], p[3 * d : 4 * d])
    x = w._element(k, a, ["b", "c", *_names("i", d)])
    k.f.lines.append(f"const {TYPE[kind]} v = {x};")
    flat = "i0"
    for j in range(1, d):
        flat = f"({flat} * (long long){a.shape[2 + j]} + i{j})"
    k.f.lines.append(f"if (at < 0 || v > best || v != v) {{ best = v; at = {flat}; }}")
    w._end(k, d)


class MaxPool(_Windows):
    """The maximum of each window, or where it is."""

    def accepts(self, n: Node) -> bool:
        return kind_of(n.inputs[0]) in ("f32", "f64") and 0 not in n.shape

    def launches(self, low: Any, n: Node) -> list[Any]:
        (a,) = _operands(low, n)
        d = len(n.shape) - 2
        k = Kernel({})
        k.f.lines.append(_each(prod(n.shape)))
        self._positions(k, "i", ["b", "c", *_names("l", d)], list(n.shape))
        _maximum(self, k, a, n.params[:d], n.params, d)
        found = "at" if n.op.name == "max_pool_index" else "best"
        k.f.lines.append(f"{k.pointer(n, made=True)}[i] = {found};\n  }}")
        return self._launch(k, prod(n.shape), [a])


class MaxPut(_Windows):
    """The gradient of a maximum, where it was found: each element asks the windows over it."""

    def launches(self, low: Any, n: Node) -> list[Any]:
        a, b = _operands(low, n)
        d = len(n.shape) - 2
        p = n.params
        kernel, stride, padding, dilation = [p[j * d : (j + 1) * d] for j in range(4)]
        k = Kernel({})
        k.f.lines.append(_each(prod(n.shape)))
        self._positions(k, "i", ["b", "c", *_names("e", d)], list(n.shape))
        k.f.lines.append(f"{TYPE[kind_of(n) or 'f32']} a = 0; const long long here = ")
        flat = "e0"
        for j in range(1, d):
            flat = f"({flat} * (long long){a.shape[2 + j]} + e{j})"
        k.f.lines.append(f"{flat};")
        self._loops(k, _names("q", d), list(kernel))
        for j in range(d):
            k.f.lines.append(f"const I t{j} = e{j} + {padding[j]} - q{j} * {dilation[j]};")
            k.f.lines.append(f"if (t{j} < 0 || t{j} % {stride[j]} != 0) continue;")
            k.f.lines.append(f"const I l{j} = t{j} / {stride[j]};")
            k.f.lines.append(f"if (l{j} >= {b.shape[2 + j]}) continue;")
        _maximum(self, k, a, kernel, p, d)
        y = self._element(k, b, ["b", "c", *_names("l", d)])
        k.f.lines.append(f"if (at == here) a += {y};")
        self._end(k, d)
        k.f.lines.append(f"{k.pointer(n, made=True)}[i] = a;\n  }}")
        return self._launch(k, prod(n.shape), [a, b])


class Carry(_Windows):
    """Values along indices into planes: taken from there, or added up in them, by one thread for
    each plane so that the order is that of the indices."""

    def accepts(self, n: Node) -> bool:
        return kind_of(n.inputs[1]) is not None and 0 not in n.shape

    def launches(self, low: Any, n: Node) -> list[Any]:
        a, b = _operands(low, n)
        takes = n.op.name == "pool_take"
        planes, many = prod(a.shape[:2]), prod(a.shape[2:])
        plane = prod((b if takes else n).shape[2:])
        size = planes * many if takes else planes
        k = Kernel({})
        lines = k.f.lines
        lines.append(_each(size))
        if takes:
            lines.append(f"const I plane = i / {many}, j = i % {many};")
        else:
            lines.append("const I plane = i;")
            result = k.pointer(n, made=True)
            lines.append(f"for (I j = 0; j < {plane}; j++) {result}[plane * (I){plane} + j] = 0;")
            lines.append(f"for (I j = 0; j < {many}; j++) {{")
        (index,) = k.offsets(f"(plane * (I){many} + j)", list(a.shape), [list(a.strides)])
        lines.append(f"const long long q = {k.pointer(a.base, a.offset)}[{index}];")
        if takes:
            (value,) = k.offsets(f"(plane * (I){plane} + (I)q)", list(b.shape), [list(b.strides)])
            made = k.pointer(n, made=True)
            lines.append(f"{made}[i] = {k.pointer(b.base, b.offset)}[{value}];\n  }}")
        else:
            (value,) = k.offsets(f"(plane * (I){many} + j)", list(b.shape), [list(b.strides)])
            where = f"plane * (I){plane} + q"
            _put(k, n, where, f"{k.pointer(b.base, b.offset)}[{value}]", True)
            lines.append("} }")
        return self._launch(k, max(size, prod(n.shape)), [a, b])


class AdaptiveMax(_Windows):
    """Where the maximum of each window is that shares a dimension evenly."""

    def accepts(self, n: Node) -> bool:
        return kind_of(n.inputs[0]) in ("f32", "f64") and 0 not in n.shape

    def launches(self, low: Any, n: Node) -> list[Any]:
        (a,) = _operands(low, n)
        d = len(n.shape) - 2
        size, out = a.shape[2:], n.shape[2:]
        k = Kernel({})
        lines = k.f.lines
        lines.append(_each(prod(n.shape)))
        self._positions(k, "i", ["b", "c", *_names("l", d)], list(n.shape))
        kind = TYPE[kind_of(a.base) or "f32"]
        lines.append(f"{kind} best = 0; long long at = -1;")
        flat = "0"
        for j in range(d):
            first = f"(l{j} * (I){size[j]} / {out[j]})"
            end = f"(((l{j} + 1) * (I){size[j]} + {out[j] - 1}) / {out[j]})"
            lines.append(f"for (I i{j} = {first}; i{j} < {end}; i{j}++) {{")
            flat = f"({flat} * (long long){size[j]} + i{j})"
        x = self._element(k, a, ["b", "c", *_names("i", d)])
        lines.append(f"const {kind} v = {x};")
        lines.append(f"if (at < 0 || v > best || v != v) {{ best = v; at = {flat}; }}")
        self._end(k, d)
        lines.append(f"{k.pointer(n, made=True)}[i] = at;\n  }}")
        return self._launch(k, prod(n.shape), [a])


class AvgPool(_Windows):
    """Means of windows, and what they pass back."""

    def launches(self, low: Any, n: Node) -> list[Any]:
        (a,) = _operands(low, n)
        d = len(n.shape) - 2
        p = n.params
        kernel, stride, padding = [p[j * d : (j + 1) * d] for j in range(3)]
        spread = n.op.name == "avg_pool_spread"
        size = n.shape[2:] if spread else a.shape[2:]
        own, other = ("i", "l") if spread else ("l", "i")
        k = Kernel({})
        k.f.lines.append(_each(prod(n.shape)))
        self._positions(k, "i", ["b", "c", *_names(own, d)], list(n.shape))
        kind = TYPE[kind_of(n) or "f32"]
        k.f.lines.append(f"{kind} a = 0;")
        if not spread:
            self._divisor(k, kind, p, size, kernel, stride, padding)
        self._loops(k, _names("k", d), list(kernel))
        ones = (1,) * d
        if spread:
            _reached(k, d, a.shape[2:], stride, padding, ones)
            self._divisor(k, kind, p, size, kernel, stride, padding)
        else:
            _inside(k, d, size, stride, padding, ones)
        x = self._element(k, a, ["b", "c", *_names(other, d)])
        k.f.lines.append(f"a += {x}{' / divisor' if spread else ''};")
        self._end(k, d)
        k.f.lines.append(f"{k.pointer(n, made=True)}[i] = a{'' if spread else ' / divisor'};\n  }}")
        return self._launch(k, prod(n.shape), [a])

    @staticmethod
    def _divisor(
        k: Kernel, kind: str, p: Any, size: Any, kernel: Any, stride: Any, padding: Any
    ) -> None:
        include, given = p[-2:]
        parts = [str(given)] if given else []
        for j in range(0 if given else len(size)):
            first = f"(l{j} * {stride[j]} - {padding[j]})"
            last = f"min({first} + {kernel[j]}, (I){size[j] + (padding[j] if include else 0)})"
            begin = first if include else f"max({first}, (I)0)"
            parts.append(f"({last} - {begin})")
        k.f.lines.append(f"const {kind} divisor = {' * '.join(parts)};")


class AdaptiveAvg(_Windows):
    """Means of windows that share a dimension evenly, and what they pass back."""

    def launches(self, low: Any, n: Node) -> list[Any]:
        (a,) = _operands(low, n)
        d = len(n.shape) - 2
        spread = n.op.name == "adaptive_avg_spread"
        size, out = (n.shape[2:], a.shape[2:]) if spread else (a.shape[2:], n.shape[2:])
        own, other = ("i", "l") if spread else ("l", "i")
        k = Kernel({})
        k.f.lines.append(_each(prod(n.shape)))
        self._positions(k, "i", ["b", "c", *_names(own, d)], list(n.shape))
        kind = TYPE[kind_of(n) or "f32"]
        k.f.lines.append(f"{kind} a = 0;")
        window = []
        for j in range(d):
            first = f"(l{j} * (I){size[j]} / {out[j]})"
            end = f"(((l{j} + 1) * (I){size[j]} + {out[j] - 1}) / {out[j]})"
            window.append((first, end))
        for j, (first, end) in enumerate(window):
            if spread:
                k.f.lines.append(f"for (I l{j} = 0; l{j} < {out[j]}; l{j}++) {{")
                k.f.lines.append(f"if (i{j} < {first} || i{j} >= {end}) continue;")
            else:
                k.f.lines.append(f"for (I i{j} = {first}; i{j} < {end}; i{j}++) {{")
        count = " * ".join([f"({end} - {first})" for first, end in window])
        x = self._element(k, a, ["b", "c", *_names(other, d)])
        k.f.lines.append(f"a += {x}{f' / ({kind})({count})' if spread else ''};")
        self._end(k, d)
        made = k.pointer(n, made=True)
        k.f.lines.append(f"{made}[i] = a{'' if spread else f' / ({kind})({count})'};\n  }}")
        return self._launch(k, prod(n.shape), [a])


WINDOWS: dict[str, Core] = {
    "conv": Convolution(),
    "conv_input": ConvolutionInput(),
    "conv_weight": ConvolutionWeight(),
    **dict.fromkeys(("max_pool", "max_pool_index"), MaxPool()),
    "max_pool_put": MaxPut(),
    **dict.fromkeys(("pool_take", "pool_put"), Carry()),
    "adaptive_max_index": AdaptiveMax(),
    **dict.fromkeys(("avg_pool", "avg_pool_spread"), AvgPool()),
    **dict.fromkeys(("adaptive_avg_pool", "adaptive_avg_spread"), AdaptiveAvg()),
}

__all__ = ["WINDOWS"]
