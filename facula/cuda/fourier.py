"""Fourier transforms on the device: lines whose length is divided by small primes, one by one.

A step (T. Stockham, 1966; the self-sorting form) makes of each r elements that are a stretch apart
r others. Lines that fit go through all steps in shared memory, some of them to a block; longer ones
are a launch for each step. A prime factor r takes r terms for each element, so lengths that are
large primes are slow.
"""

from __future__ import annotations

from math import prod
from typing import Any

from facula.compiler.cluster import kind_of
from facula.compiler.layout import Place
from facula.cuda.cores import Core, _each, _operands
from facula.cuda.kernels import BLOCK, Kernel, Launch, blocks
from facula.cuda.lanes import TYPE
from facula.cuda.pairs import Pairs, Parts, rule
from facula.trace.node import Node, contiguous_strides

SHARED = 48 << 10  # bytes that a block has
FEW = 1024  # elements of the lines of a block, where several have one


class _Fourier:
    """One dimension is transformed. Operands: real parts, and imaginary ones if there are any.

    Parameters: the dimension, the length of a whole line, whether the result is real (the operand
    then is one half of a line), the sign of the exponent, what results are multiplied with. A
    complex result has its parts side by side in a last dimension, and as many elements as fit.
    """

    name = "fourier"
    view = pointwise = False


FOURIER = _Fourier()


def factors(n: int) -> list[int]:
    """Fours, and prime numbers, whose product is n."""
    out, r = [], 4
    while n > 1:
        if n % r == 0:
            out.append(r)
            n //= r
        else:
            r = 2 if r == 4 else 3 if r == 2 else r + 2
            if r * r > n and r > 3:
                r = n
    return out


class Lines(Core):
    """The kernels."""

    def accepts(self, n: Node) -> bool:
        return all([kind_of(i) in ("f32", "f64") for i in n.inputs])

    def launches(self, low: Any, n: Node) -> list[Any]:
        length = n.params[1]
        size = n.dtype.itemsize
        many = max(1, FEW // length)
        if (2 * many + 1) * length * 2 * size <= SHARED and length > 1:
            return [self._together(low, n, many)]
        return self._apart(low, n)

    # Reading and writing.
    def _lines(self, k: Kernel, n: Node, places: list[Place], line: str) -> list[str]:
        """Where a line begins in each operand, and in the result."""
        d = n.params[0]
        rest = [j for j in range(len(places[0].shape)) if j != d]
        tables = [[p.strides[j] for j in rest] for p in places]
        own = contiguous_strides(n.shape)
        tables.append([own[j] for j in rest])
        return k.offsets(line, [places[0].shape[j] for j in rest], tables)

    def _read(self, k: Kernel, n: Node, places: list[Place], starts: list[str], i: str) -> str:
        """Element `i` of a line, as a pair."""
        d, length, half = n.params[:3]
        kind = kind_of(n)
        assert kind is not None
        at = f"({i} <= {length // 2} ? {i} : {length} - {i})" if half else i
        found = []
        for p, start in zip(places, starts, strict=False):
            where = f"{start} + {at} * (I){p.strides[d]}"
            found.append(f"{k.pointer(p.base, p.offset)}[{where}]")
        t = TYPE[kind]
        if len(found) == 1:
            found.append("0")
        elif half:
            found[1] = f"({i} <= {length // 2} ? {found[1]} : -{found[1]})"
        return f"Pair<{t}>{{{found[0]}, ({t}){found[1]}}}"

    def _write(self, k: Kernel, n: Node, start: str, i: str, v: str) -> str:
        """Store the element `i` of a line, where it is one of the result."""
        d, length, real, _, scale = n.params
        kind = kind_of(n)
        assert kind is not None
        made = k.pointer(n, made=True)
        step = contiguous_strides(n.shape)[d]
        by = "" if scale == 1 else f" * {k.x.const(scale, kind).name}"
        where = f"{start} + {i} * (I){step}"
        text = f"{made}[{where}] = {v}.x{by};"
        if not real:
            text += f" {made}[{where} + 1] = {v}.y{by};"
        return text if n.shape[d] == length else f"if ({i} < {n.shape[d]}) {{ {text} }}"

    def _together(self, low: Any, n: Node, many: int) -> Launch:
        """Some lines in one block."""
        places = _operands(low, n)
        length, sign = n.params[1], n.params[3]
        kind = kind_of(n)
        assert kind is not None
        t = f"Pair<{TYPE[kind]}>"
        count = prod(places[0].shape) // places[0].shape[n.params[0]]
        k = Kernel({})
        lines = k.f.lines
        here = many * length
        lines.append(f"__shared__ {t} a[{here}]; __shared__ {t} b[{here}];")
        lines.append(f"__shared__ {t} turn[{length}];")
        lines.append(f"for (I j = threadIdx.x; j < {length}; j += {BLOCK})")
        real = TYPE[kind]
        angle = f"2.0 * j / {length}"
        lines.append(f"turn[j] = {t}{{({real})cospi({angle}), ({real})({sign} * sinpi({angle}))}};")

        begin = [
            f"for (I t = threadIdx.x; t < {here}; t += {BLOCK}) {{",
            f"const I own = t / {length}, i = t % {length};",
            f"const I line = blockIdx.x * (I){many} + own;",
        ]
        lines += [*begin, f"if (line >= {count}) continue;"]
        starts = self._lines(k, n, places, "line")
        lines.append(f"a[t] = {self._read(k, n, places, starts, 'i')};\n  }}")
        source, to, done, left = "a", "b", 1, length
        for r in factors(length):
            m = left // r
            lines += ["__syncthreads();", *begin]
            lines.append(f"const I q = i % {done}, j = i / {done} % {r}, p = i / {done * r};")
            lines.append(f"const {t}* from = {source} + own * {length} + q; {t} v = {{0, 0}};")
            lines.append(f"for (I k = 0; k < {r}; k++) {{")
            lines.append(f"const I x = p + k * {m};")
            lines.append(f"const {t} e = from[x * {done}], w = turn[j * x % {left} * {done}];")
            lines.append("v.x += e.x * w.x - e.y * w.y; v.y += e.x * w.y + e.y * w.x; }")
            lines.append(f"{to}[t] = v;\n  }}")
            source, to, done, left = to, source, done * r, m
        lines += ["__syncthreads();", *begin, f"if (line >= {count}) continue;"]
        start = self._lines(k, n, places, "line")[-1]
        lines.append(self._write(k, n, start, "i", f"{source}[t]"))
        lines.append("}")
        k.most = max(k.most, *[prod(p.base.shape) for p in places], 2 * prod(n.shape))
        return Launch(k.text(), k.args, (-(-count // many), 1), (BLOCK, 1))

    def _apart(self, low: Any, n: Node) -> list[Any]:
        """Every step by itself: from the operands, by way of scratch memory, to the result."""
        places = _operands(low, n)
        length, sign = n.params[1], n.params[3]
        kind = kind_of(n)
        assert kind is not None
        real = TYPE[kind]
        t = f"Pair<{real}>"
        count = prod(places[0].shape) // places[0].shape[n.params[0]]
        size = count * length
        steps = factors(length) or [1]
        out = []
        done, left = 1, length
        for which, r in enumerate(steps):
            first, last, m = which == 0, which == len(steps) - 1, left // r
            k = Kernel({})
            lines = k.f.lines
            lines.append(_each(size))
            lines.append(f"const I line = i / {length}, t = i % {length};")
            lines.append(f"const I q = t % {done}, j = t / {done} % {r}, p = t / {done * r};")
            starts = self._lines(k, n, places, "line")
            lines.append(f"double x = 0, y = 0; const double over = 2.0 / {left};")
            lines.append(f"for (I k = 0; k < {r}; k++) {{")
            lines.append(f"const I at = p + k * {m};")
            if first:
                lines.append(f"const {t} e = {self._read(k, n, places, starts, 'at')};")
            else:
                k.params.append(f"const {t}* __restrict__ from")
                k.args.append((f"step{which - 1}", n, 0))
                lines.append(f"const {t} e = from[line * (I){length} + q + at * {done}];")
            lines.append(f"const double angle = (long long)j * at % {left} * over;")
            lines.append(f"const double c = cospi(angle), s = {sign} * sinpi(angle);")
            lines.append("x += e.x * c - e.y * s; y += e.x * s + e.y * c; }")
            lines.append(f"const {t} v = {{({real})x, ({real})y}};")
            if last:
                lines.append(self._write(k, n, starts[-1], "t", "v"))
            else:
                k.params.append(f"{t}* __restrict__ to")
                k.args.append((f"step{which}", n, 0))
                lines.append("to[i] = v;")
            lines.append("}")
            k.most = max(k.most, size + blocks(size) * BLOCK, *[prod(p.base.shape) for p in places])
            made = Launch(k.text(), k.args, (blocks(size), 1), (BLOCK, 1))
            made.room = {
                (what, n): size * 2 * n.dtype.itemsize
                for what, _, _ in k.args
                if what.startswith("step")
            }
            out.append(made)
            done, left = done * r, m
        return out


TRANSFORMS: dict[str, Core] = {"fourier": Lines()}


# What transforms of complex values become (`pairs.py`).
def _scale(mode: int, n: int) -> float:
    return float((1, n**-0.5, 1 / n)[mode])


def _transformed(p: Pairs, z: tuple[Node, ...], d: int, count: int, params: Any) -> Node:
    shape = (*z[0].shape[:d], count, *z[0].shape[d + 1 :], 2)
    if params[2]:
        shape = shape[:-1]
    return p.put(FOURIER, z, params=params, shape=shape, dtype=z[0].dtype)


@rule("fft_c2c")
def _c2c(p: Pairs, n: Node) -> Parts:
    dims, forward, mode = n.params
    z = p.of(n.inputs[0])
    for d in dims:
        m = n.shape[d]
        params = (d, m, False, -1 if forward else 1, _scale(mode, m))
        whole = _transformed(p, z, d, m, params)
        z = p.halves(whole)
        p.wholes[n] = whole
    return z


@rule("fft_r2c")
def _r2c(p: Pairs, n: Node) -> Parts:
    d, forward, mode = n.params
    a = p.real(n.inputs[0])
    m = a.shape[d]
    params = (d, m, False, -1 if forward else 1, _scale(mode, m))
    whole = p.wholes[n] = _transformed(p, (a,), d, m // 2 + 1, params)
    return p.halves(whole)


@rule("fft_c2r")
def _c2r(p: Pairs, n: Node) -> Node:
    d, m, forward, mode = n.params
    params = (d, m, True, -1 if forward else 1, _scale(mode, m))
    return _transformed(p, p.of(n.inputs[0]), d, m, params)


__all__ = ["FOURIER", "TRANSFORMS", "factors"]
