"""Systems of equations, inverses, determinants and factorisations on the device.

A block has one matrix, which it copies to scratch memory in float64 (`matrices.py`). Right and the
same bits each time, and far from the speed of a library for large matrices: a block is one of the
device's many processors. Complex matrices have the same functions; their operands are pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from facula.compiler.cluster import kind_of
from facula.compiler.layout import Place
from facula.cpu.kernels import strides_in
from facula.cuda.cores import Core, _operands
from facula.cuda.kernels import BLOCK, Kernel, Launch
from facula.cuda.lanes import TYPE, Value
from facula.cuda.pairs import Pairs, rule
from facula.trace.node import Node

Size = tuple[int, ...]


def _truth(x: Any) -> str:
    return str(bool(x)).lower()


def _row(p: Place) -> Place:
    """A row as a matrix of one row."""
    shape, steps = (*p.shape[:-1], 1, p.shape[-1]), (*p.strides[:-1], 0, p.strides[-1])
    return Place(p.base, p.offset, shape, steps)


def _svd_room(m: int, n: int) -> int:
    few, most = min(m, n), max(m, n)
    return 2 * few * most + few * few + 3 * few + 2 * most * most


def _pinv(p: Any, s: Size, r: int) -> tuple[str, int]:
    m, n = s
    text = f"pinv_(a, o, x, {m}, {n}, {_truth(p[2])}, {float(p[0])!r}, {float(p[1])!r});"
    k = min(m, n)
    room = n + 3 * n * n + n if p[2] else m * k + k + k * n + _svd_room(m, n)
    return text, room


# By operation: the functions it needs, how many dimensions its result has beside those of the
# batch, and of its parameters, the size of a matrix and the columns of the second operand: its
# call, and how many elements of room that takes.
Call = Callable[[Any, Size, int], tuple[str, int]]
CALLS: dict[str, tuple[str, int, Call]] = {
    "cholesky": ("cholesky", 1, lambda p, s, r: (f"cholesky_(a, o, {s[0]}, {_truth(p)});", 0)),
    "lu_factor": ("lu", 1, lambda p, s, r: (f"lu_factor_(a, o, {s[0]}, {s[1]}, {_truth(p)});", 0)),
    "solve": ("lu", 2, lambda p, s, r: (f"solve_(a, b, o, x, {s[0]}, {r});", s[0] * (s[0] + r))),
    "inverse": (
        "lu",
        2,
        lambda p, s, r: (f"solve_(a, (const S*)0, o, x, {s[0]}, {s[0]});", 2 * s[0] * s[0]),
    ),
    "det": (
        "lu",
        0,
        lambda p, s, r: (f"const S d = det_(a, {s[0]}); if (threadIdx.x == 0) o[0] = d;", 0),
    ),
    "zero_pivot": ("lu", 0, lambda p, s, r: (f"zero_pivot_(a, o, {s[0]});", 0)),
    "slogdet": ("lu", 1, lambda p, s, r: (f"slogdet_(a, o, {s[0]});", 0)),
    "pivots_to_permutation": (
        "lu",
        2,
        lambda p, s, r: (f"permutation_(a, o, {s[1]}, {p[0]});", 0),
    ),
    "geqrf": ("qr", 1, lambda p, s, r: (f"geqrf_(a, o, {s[0]}, {s[1]});", 0)),
    "qr": (
        "qr",
        1,
        lambda p, s, r: (
            f"qr_(a, o, x, {s[0]}, {s[1]}, {s[0] if p == 'complete' else min(s)});",
            min(s),
        ),
    ),
    "eigh": (
        "jacobi",
        1,
        lambda p, s, r: (f"eigh_(a, o, x, {s[0]}, true);", 2 * s[0] * s[0] + s[0]),
    ),
    "eigvalsh": (
        "jacobi",
        1,
        lambda p, s, r: (f"eigh_(a, o, x, {s[0]}, false);", 2 * s[0] * s[0] + s[0]),
    ),
    "svd": (
        "jacobi",
        1,
        lambda p, s, r: (f"svd_(a, o, x, {s[0]}, {s[1]}, {_truth(p)}, true);", _svd_room(*s)),
    ),
    "svdvals": (
        "jacobi",
        1,
        lambda p, s, r: (f"svd_(a, o, x, {s[0]}, {s[1]}, false, false);", _svd_room(*s)),
    ),
    "eig": ("eigenvalues", 1, lambda p, s, r: (f"eig_(a, o, x, {s[0]});", 2 * s[0] * (s[0] + 1))),
    "ldl_factor": ("ldl", 1, lambda p, s, r: (f"ldl_factor_(a, o, {s[0]}, {_truth(p)});", 0)),
    "ldl_solve": (
        "ldl",
        2,
        lambda p, s, r: (f"ldl_solve_(a, b, c, o, {s[0]}, {r}, {_truth(p)});", 0),
    ),
    "pinv": ("inverses", 2, _pinv),
    "cofactors": (
        "inverses",
        2,
        lambda p, s, r: (
            f"cofactors_(a, o, x, {s[0]});",
            2 * s[0] * s[0] + s[0] + max(_svd_room(*s), 2 * s[0] * s[0]),
        ),
    ),
    "matrix_exp": (
        "exponential",
        2,
        lambda p, s, r: (f"matrix_exp_(a, o, x, {s[0]});", 2 * s[0] * s[0]),
    ),
}


PIVOTS = {"pivots_to_permutation": 0, "ldl_solve": 1}  # which operand is of rows


class OfPairs:
    """The operation on complex matrices: twice the operands, and results with a last dimension of
    both parts."""

    view = pointwise = False

    def __init__(self, name: str) -> None:
        self.name = f"{name} of pairs"
        self.real = name


PAIRED = {name: OfPairs(name) for name in CALLS}


class Decomposition(Core):
    """One of them."""

    def accepts(self, n: Node) -> bool:
        if n.op.name.startswith("pinv") and tuple in [type(x) for x in n.params]:
            return False  # a tolerance for each matrix
        whole = ("i32", "i64") if n.op.name.startswith(("pivots", "ldl_solve")) else ()
        return all([kind_of(i) in ("f32", "f64", *whole) for i in n.inputs])

    def launches(self, low: Any, n: Node) -> list[Any]:
        paired = isinstance(n.op, OfPairs)
        name = n.op.real if isinstance(n.op, OfPairs) else n.op.name
        which, rank, call = CALLS[name]
        made = n.shape[:-1] if paired else n.shape
        cut = len(made) - rank
        batch, results = made[:cut], prod(made[cut:])
        places = _operands(low, n)
        operands = [places[k : k + 1 + paired] for k in range(0, len(places), 1 + paired)]
        if name in PIVOTS:
            operands[PIVOTS[name]] = [_row(p) for p in operands[PIVOTS[name]]]
        sizes = [o[0].shape[-2:] for o in operands]
        text, more = call(n.params, sizes[0], sizes[-1][1])
        many = prod(batch)
        each = sum([prod(s) for s in sizes]) + results + more
        k = Kernel({})
        lines = k.f.lines
        kind = kind_of(n)
        assert kind is not None
        target = k.pointer(n, made=True)
        k.params.append("double* __restrict__ room")
        k.args.append(("scratch", n, 0))
        lines.append(f"// matrices: {which}")
        lines.append(f"typedef {'Cx' if paired else 'double'} S;")
        lines.append("const I matrix = blockIdx.x;")
        lines.append(f"S* a = (S*)room + matrix * (I){each};")
        lines.append(f"S* b = a + {prod(sizes[0])}; S* c = b + {prod(sizes[1 % len(sizes)])};")
        lines.append(f"S* o = a + {each - results - more}; S* x = o + {results};")
        for letter, o, size in zip("abc", operands, sizes, strict=False):
            if 0 in size:
                continue
            steps = [strides_in(p, (*batch, *size)) for p in o]
            starts = k.offsets("matrix", list(batch), [s[:cut] for s in steps])
            lines.append(f"for (I t = threadIdx.x; t < {prod(size)}; t += {BLOCK}) {{")
            lines.append(f"const I i = t / {size[1]}, j = t % {size[1]};")
            elements = [
                f"(double){k.pointer(p.base, p.offset)}[{start} + i * (I){s[-2]} + j * (I){s[-1]}]"
                for p, s, start in zip(o, steps, starts, strict=True)
            ]
            lines.append(f"{letter}[t] = S{{{', '.join(elements)}}};\n  }}")
        lines += ["__syncthreads();", text, "__syncthreads();"]
        lines.append(f"for (I t = threadIdx.x; t < {results}; t += {BLOCK}) {{")
        where = f"matrix * (I){results} + t"
        if paired:
            t = TYPE[kind]
            lines.append(f"{target}[({where}) * 2] = ({t})o[t].x;")
            lines.append(f"{target}[({where}) * 2 + 1] = ({t})o[t].y;\n  }}")
        else:
            lines.append("const double v = o[t];")
            v = k.x.cast(Value("v", "f64"), kind)
            lines.append(f"{target}[{where}] = {k.x.pack(v)};\n  }}")
        k.most = max(many * each * (1 + paired) + BLOCK, *[prod(p.base.shape) for p in places])
        out = Launch(k.text(), k.args, (many, 1), (BLOCK, 1))
        out.room[("scratch", n)] = many * each * 8 * (1 + paired)
        return [out]


DECOMPOSITIONS: dict[str, Core] = dict.fromkeys(
    (*CALLS, *[op.name for op in PAIRED.values()]), Decomposition()
)


@rule(*CALLS)
def _of_pairs(p: Pairs, n: Node) -> Any:
    """What a decomposition of complex matrices becomes."""
    dtype = n.inputs[0].dtype.to_real()
    inputs = tuple([p.cast(x, dtype) for i in n.inputs for x in p.of(i)])
    op = PAIRED[n.op.name]
    whole = p.put(op, inputs, params=n.params, shape=(*n.shape, 2), dtype=dtype)
    if not n.dtype.is_complex:
        return p.cast(p.halves(whole)[0], n.dtype)
    p.wholes[n] = whole
    return p.halves(whole)


__all__ = ["CALLS", "DECOMPOSITIONS"]
