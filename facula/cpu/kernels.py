"""What all kernels are made of: addresses, numbers, the expressions of pointwise entries.

A kernel is `void k(ptr P, ptr S, ptr D, i64 lo, i64 hi)`: P are the addresses of the program's
buffers, S its Python numbers, D says which of them this call uses; it does the units lo to hi.
What a unit is depends on shapes alone, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

from facula.compiler.cluster import Cluster, number_kind
from facula.compiler.expressions import computed
from facula.compiler.layout import Place
from facula.cpu.text import DECLARED, Function, Index
from facula.cpu.vector import Lanes, Value
from facula.trace.node import Node

PARAMS = "ptr %P, ptr %S, ptr %D, i64 %lo, i64 %hi"
CHUNK = 16384  # elements that a unit should have at least
UNITS = 64  # units that a kernel has at most
STACK = 8192  # elements of a row that are kept on the stack


class Kernel:
    """One kernel being written: its text, and what its descriptor has to name."""

    def __init__(
        self,
        cluster: Cluster,
        places: Any,
        stored: set[Node],
        constants: set[Node],
        *,
        guards: dict[int, Any] | None = None,
    ):
        self.cluster = cluster
        self.places = places
        self.stored = stored
        self.constants = constants
        self.declarations: set[str] = set()
        self.f = Function("NAME", PARAMS, self.declarations)
        self.f.report = self.report
        self.slots: list[
            Any
        ] = []  # descriptor: ('buffer', node) | ('partial', node) | ('number', i)
        self.buffers: dict[Any, str] = {}
        self.starts: dict[tuple[Node, int], str] = {}
        self.numbers: dict[tuple[int, str, str], Value] = {}
        self.units = 1
        self.room: dict[Any, int] = {}  # bytes of the scratch buffers that its slots name
        self.guards = {} if guards is None else guards
        self.functions: list[str] = []
        self._status = ""
        self.written = ""  # the text, where it is one for all sizes (any_size.py)

    def text(self) -> str:
        """What was written: declarations, functions, the kernel."""
        return (
            "\n".join(sorted(self.declarations))
            + DECLARED
            + "".join(self.functions)
            + self.f.text()
        )

    # Addresses and numbers, loaded once at the beginning.
    def buffer(self, node: Node, what: str = "buffer") -> str:
        """The address of a node's buffer."""
        key = (what, node)
        if key not in self.buffers:
            if what != "buffer" and key not in self.room:
                raise KeyError(f"scratch buffer {key} without a size")
            f = self.f
            d = f.let(f"load i64, ptr {f.at('%D', 8 * len(self.slots))}")
            self.slots.append(key)
            self.buffers[key] = f.let(f"load ptr, ptr {f.at('%P', f.mul(d, 8))}")
        return self.buffers[key]

    def origin(self, node: Node, offset: int) -> str:
        """The address of an element of a node's buffer. Which one it is stands in the descriptor:
        the steps of an unrolled loop have the same kernels."""
        key = (node, offset)
        if key not in self.starts:
            f = self.f
            where = self.buffer(node)
            d = f.let(f"load i64, ptr {f.at('%D', 8 * len(self.slots))}")
            self.slots.append(("offset", key))
            self.starts[key] = f.at(where, d)
        return self.starts[key]

    def literal(self, value: int) -> str:
        """An integer that differs between calls of one kernel: from the descriptor."""
        self.slots.append(("literal", value))
        return self.f.let(f"load i64, ptr {self.f.at('%D', 8 * (len(self.slots) - 1))}")

    def status(self) -> str:
        """Where to store a one if an index is out of range."""
        if not self._status:
            f = self.f
            d = f.let(f"load i64, ptr {f.at('%D', 8 * len(self.slots))}")
            self.slots.append(("status", 0))
            self._status = f.at("%S", f.mul(d, 8))
        return self._status

    def number(self, at: int, stype: type, kind: str) -> Value:
        """A Python number of the program, as one lane of a kind."""
        key = (at, stype.__name__, kind)
        if key not in self.numbers:
            f, one = self.f, Lanes(self.f, 1)
            d = f.let(f"load i64, ptr {f.at('%D', 8 * len(self.slots))}")
            self.slots.append(("number", at))
            where = f.at("%S", f.mul(d, 8))
            if stype is float:
                raw = one.load(where, "f64")
            else:
                raw = one.load(where, "i64")
            self.numbers[key] = one.cast(raw, kind)
        return self.numbers[key]

    def preload(self) -> None:
        """Load the Python numbers of the cluster's pointwise operations, before any loop."""
        for n in self.cluster.nodes:
            if n is self.cluster.core:
                continue
            if n.op.name != "pow_s":
                for k, t in enumerate(n.stypes):
                    self.number(n.scalar_at + k, t, number_kind(n))
            for i in n.inputs:
                b = self.places[i].base
                if b in self.constants:
                    self.number(b.scalar_at, b.stypes[0], number_kind(b))

    def report(self, bad: str) -> None:
        """Set the status word where an i1 holds; the interpreter then says what is wrong."""
        f = self.f
        if ("status", 0) not in self.slots:
            self.slots.append(("status", 0))
        at = 8 * self.slots.index(("status", 0))
        with f.when(bad):
            d = f.let(f"load i64, ptr {f.at('%D', at)}")
            f.do(f"store i64 1, ptr {f.at('%S', f.mul(d, 8))}, align 8")

    def compute(self, n: Node, x: Lanes, args: list[Value]) -> Value:
        """The expression of one entry on operands that are there."""
        numbers = [(n.scalar_at + k, t, number_kind(n)) for k, t in enumerate(n.stypes)]
        return computed(n, x, args, lambda: [self.number(*a) for a in numbers], self.guards)


def units_for(elements: float) -> int:
    """How many units so many elements are worth: as many as few threads can share evenly."""
    wanted = min(float(UNITS), elements / CHUNK)
    if wanted < 1.5:
        return 1
    if wanted < 6:
        return 2 if wanted < 3 else 4
    return 8 * int(wanted / 8 + 0.5)


def merged(sizes: list[int], tables: list[list[int]]) -> tuple[list[int], list[list[int]]]:
    """Dimensions that every table steps through as one are joined; those of size 1 vanish."""
    keep = [d for d, n in enumerate(sizes) if n != 1]
    sizes = [sizes[d] for d in keep]
    tables = [[t[d] for d in keep] for t in tables]
    d = 0
    while d + 1 < len(sizes):
        if all([t[d] == t[d + 1] * sizes[d + 1] for t in tables]):
            sizes[d : d + 2] = [sizes[d] * sizes[d + 1]]
            for t in tables:
                t[d : d + 2] = [t[d + 1]]
        else:
            d += 1
    return sizes, tables


def strides_in(p: Place, shape: tuple[int, ...]) -> list[int]:
    """The place's steps over a domain it may be broadcast to."""
    extra = len(shape) - len(p.shape)
    steps = [s if m != 1 else 0 for m, s in zip(p.shape, p.strides, strict=True)]
    return [0] * extra + steps


class Access:
    """An operand outside the kernel: its buffer and its steps along the loop's dimensions."""

    __slots__ = ("column", "kind", "node", "offset", "pieces", "rows")

    def __init__(
        self, node: Node, kind: str, offset: int, rows: list[Index], pieces: list[int], column: int
    ) -> None:
        self.node = node
        self.kind = kind
        self.offset = offset
        self.rows = rows
        self.pieces = pieces
        self.column = column


def renamed(values: list[Value], names: list[str]) -> list[Value]:
    """Values of the same kinds under other names."""
    return [Value(name, v.kind) for v, name in zip(values, names, strict=True)]


def fused(x: Lanes, a: Value, b: Value, c: Value) -> Value:
    """a b + c, rounded once where the machine can do that."""
    from facula.cpu.jit import has_fma

    return x.fma(a, b, c) if has_fma() else x.add(c, x.mul(a, b))
