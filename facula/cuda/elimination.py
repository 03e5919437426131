"""Systems of equations, inverses and determinants on the device, by Gauss's elimination.

A block has one matrix, which it copies to scratch memory beside the right-hand sides, in float64.
Pivots are the largest of their columns, the first of equals. Right and the same bits each time, and
far from the speed of a library for large matrices: a block is one of the device's many processors.
"""

from __future__ import annotations

from math import prod
from typing import Any

from facula.compiler.cluster import kind_of
from facula.cpu.kernels import strides_in
from facula.cuda.cores import Core, _operands
from facula.cuda.kernels import BLOCK, Kernel, Launch
from facula.cuda.lanes import Value
from facula.trace.node import Node, contiguous_strides


class Elimination(Core):
    """One of the four."""

    def accepts(self, n: Node) -> bool:
        return all([kind_of(i) in ("f32", "f64") for i in n.inputs])

    def launches(self, low: Any, n: Node) -> list[Any]:
        name, places = n.op.name, _operands(low, n)
        a = places[0]
        size = a.shape[-1]
        solves = name in ("solve", "inverse")
        batch = n.shape[:-2] if solves else n.shape
        right = n.shape[-1] if solves else 0
        width, many = size + right, prod(batch)
        kind = kind_of(n)
        assert kind is not None
        k = Kernel({})
        lines = k.f.lines
        made = k.pointer(n, made=True)
        k.params.append("double* __restrict__ room")
        k.args.append(("scratch", n, 0))
        steps = [strides_in(p, (*batch, *p.shape[-2:])) for p in places]
        tables = [[*s[: len(batch)]] for s in steps]
        tables.append([*contiguous_strides(batch)])
        lines.append("const I matrix = blockIdx.x;")
        starts = k.offsets("matrix", list(batch), tables)
        lines.append(f"double* w = room + matrix * (I){size * width};")
        lines.append("__shared__ I pivot; __shared__ double det; __shared__ I zero;")
        lines.append("if (threadIdx.x == 0) { det = 1; zero = 0; }")
        lines.append(f"for (I t = threadIdx.x; t < {size * width}; t += {BLOCK}) {{")
        lines.append(f"const I i = t / {width}, j = t % {width};")
        for p, s, start, which in zip(places, steps, starts, ("j < S", "j >= S"), strict=False):
            column = "j" if which == "j < S" else f"(j - {size})"
            element = (
                f"{k.pointer(p.base, p.offset)}[{start} + i * (I){s[-2]} + {column} * (I){s[-1]}]"
            )
            lines.append(f"if ({which.replace('S', str(size))}) w[t] = {element};")
        if name == "inverse":
            lines.append(f"if (j >= {size}) w[t] = j - {size} == i;")
        lines.append("}\n  __syncthreads();")
        lines.append(f"for (I p = 0; p < {size}; p++) {{")
        lines.append("if (threadIdx.x == 0) { I best = p;")
        lines.append(f"for (I i = p + 1; i < {size}; i++)")
        lines.append(f"if (fabs(w[i * {width} + p]) > fabs(w[best * {width} + p])) best = i;")
        lines.append(f"const double d = w[best * {width} + p]; pivot = best;")
        lines.append("det = best == p ? det * d : -(det * d);")
        lines.append("if (d == 0 && zero == 0) zero = p + 1; }")
        lines.append("__syncthreads();")
        lines.append(f"if (pivot != p) for (I j = threadIdx.x; j < {width}; j += {BLOCK}) {{")
        lines.append(f"const double held = w[p * {width} + j];")
        lines.append(
            f"w[p * {width} + j] = w[pivot * {width} + j]; w[pivot * {width} + j] = held; }}"
        )
        lines.append("__syncthreads();")
        lines.append(f"const I below = {size} - p - 1, beside = {width} - p - 1;")
        skip = "" if solves else f" && w[p * {width} + p] != 0"
        lines.append(f"for (I t = threadIdx.x; t < below * beside{skip}; t += {BLOCK}) {{")
        lines.append("const I i = p + 1 + t / beside, j = p + 1 + t % beside;")
        factor = f"w[i * {width} + p] / w[p * {width} + p]"
        lines.append(f"w[i * {width} + j] -= {factor} * w[p * {width} + j]; }}")
        lines.append("__syncthreads(); }")
        if solves:
            lines.append(f"for (I p = {size - 1}; p >= 0; p--) {{")
            lines.append(f"for (I j = {size} + threadIdx.x; j < {width}; j += {BLOCK})")
            lines.append(f"w[p * {width} + j] /= w[p * {width} + p];")
            lines.append("__syncthreads();")
            lines.append(f"for (I t = threadIdx.x; t < p * {right}; t += {BLOCK}) {{")
            lines.append(f"const I i = t / {right}, j = {size} + t % {right};")
            lines.append(f"w[i * {width} + j] -= w[i * {width} + p] * w[p * {width} + j]; }}")
            lines.append("__syncthreads(); }")
            lines.append(f"for (I t = threadIdx.x; t < {size * right}; t += {BLOCK}) {{")
            lines.append(f"const double x = w[t / {right} * {width} + {size} + t % {right}];")
            v = k.x.cast(Value("x", "f64"), kind)
            lines.append(f"{made}[{starts[-1]} * (I){size * right} + t] = {k.x.pack(v)}; }}")
        else:
            v = Value("det", "f64") if name == "det" else Value("zero", "i64")
            lines.append(f"if (threadIdx.x == 0) {made}[{starts[-1]}] = {k.x.cast(v, kind).name};")
        k.most = max(many * size * width + BLOCK, *[prod(p.base.shape) for p in places])
        out = Launch(k.text(), k.args, (many, 1), (BLOCK, 1))
        out.room[("scratch", n)] = many * size * width * 8
        return [out]


ELIMINATION: dict[str, Core] = dict.fromkeys(
    ("solve", "inverse", "det", "zero_pivot"), Elimination()
)

__all__ = ["ELIMINATION"]
