"""A trace on the device: launches over a table of addresses, replayed as one graph once it repeats.

A program with the same inputs at the same addresses as before, as those of a loop soon are, is
captured the second time and replayed from then on: one call of the driver for the whole step. What
changes from step to step and is no address, Python numbers, lies in memory of the device that is
written before the replay where a number is another one than before.
"""

from __future__ import annotations

import ctypes
import math
import struct
from typing import Any

import numpy as np

from facula.compiler.assembly import ASSEMBLE, SCATTERS
from facula.compiler.builder import NARROW
from facula.compiler.cluster import ALL, COLUMN, ROW, Cluster, kind_of
from facula.compiler.grouping import Grouping, same_element
from facula.compiler.layout import VIEWS, Place, place
from facula.compiler.memory import Memory, bytes_of
from facula.compiler.passes import prepared
from facula.compiler.recompute import recompute
from facula.compiler.widen import WIDENED
from facula.cpu.text import NotCompiled
from facula.cuda import (
    analytic,  # noqa: F401  (it declares rules)
    arrays,
    blas,
    cores,
    dnn,
    driver,
    lines,
    modules,
    pairs,
    status,
    windows,
)
from facula.cuda.arrays import Block, DeviceArray
from facula.cuda.blas import Product
from facula.cuda.decompositions import DECOMPOSITIONS
from facula.cuda.fourier import TRANSFORMS
from facula.cuda.functions import FUNCTIONS
from facula.cuda.general import SETTLED, changing, general
from facula.cuda.indexing import INDEXING
from facula.cuda.kernels import Launch, kernels
from facula.cuda.overlaps import OVERLAPS
from facula.interpreter.program import MAX_VARIANTS, Program
from facula.ops.movement import CONTIGUOUS, PERMUTE
from facula.trace.node import ASSIGN, INPUT, Node, contiguous_strides

CORES = {
    **cores.CORES,
    **INDEXING,
    **lines.LINES,
    **windows.WINDOWS,
    **OVERLAPS,
    **FUNCTIONS,
    **DECOMPOSITIONS,
    **TRANSFORMS,
}  # the operations that have launches of their own
GRAPHS = 16  # captured graphs of a program
MASK = (1 << 64) - 1
LIBRARIES = (Product, dnn.Convolve)  # calls that are no kernels of this project


class Clear:
    """Fills a result with zero bytes."""

    __slots__ = ("args", "nbytes", "room")

    def __init__(self, n: Node) -> None:
        self.args = [("buffer", n, 0)]
        self.nbytes = math.prod(n.shape) * n.dtype.itemsize
        self.room: dict[Any, int] = {}


class _Call:
    """A launch as the memory plan (`compiler/memory.py`) wants to see it."""

    __slots__ = ("descriptor", "made", "room")

    def __init__(self, made: Any) -> None:
        self.made = made
        self.descriptor = [(what, n) for what, n, _ in made.args]
        self.room = made.room


class Lowered:
    """The launches of a program, before addresses are known. `loose`: by kernels for many sizes."""

    def __init__(
        self, entries: list[Node], roots: list[Node], scalars: list[Any], loose: bool = False
    ) -> None:
        count = self.n_scalars = len(scalars)
        try:
            entries, roots, parts = pairs.separated(entries, roots, scalars, count)
        except NotCompiled as why:
            raise no_kernel(why.args[1], why.args[0]) from None
        self.more = parts.numbers if parts else []  # numbers besides the program's
        numbers = [*scalars, *taken(self.more, scalars)]
        entries, places, guards = prepared(entries, roots, numbers, _narrow)
        if parts:  # what they are taken of decides of those
            of = [at if at < count else self.more[at - count][0] for at in guards]
            guards = {at: scalars[at] for at in of if at is not None} | parts.guards
        self.guards = guards
        self.results = _own(entries, roots, places)
        self.grouping = g = Grouping(entries, places, CORES)
        self.roots = [place(n, g.places) for n in self.results]
        held = {p.base for p in self.roots}
        recompute(g, held)
        self.stored = held & (set(g.home) | g.constants)
        for c in g.clusters:
            for n in c.nodes:
                apart = c.level[n] in (ALL, COLUMN)
                for p in g.operands(n):
                    inside = p.base in c.level and n is not c.core and not c.fallback
                    if not inside or (apart and c.level[p.base] == ROW):
                        self.stored.add(p.base)
                    elif apart:  # its kernel computes again what it adds up, of rows too
                        self._rows_below(c, p.base)
        self.steps: list[tuple[Cluster, list[_Call]]] = []
        for c in g.clusters:
            if not c.nodes:
                continue
            made = self._lower(c)
            for x in made:
                if isinstance(x, Launch):
                    x.text = general(x.text, x.args, loose)
            self.steps.append((c, [_Call(x) for x in made]))

    def _rows_below(self, c: Cluster, n: Node) -> None:
        for p in self.grouping.operands(n):
            level = c.level.get(p.base)
            if level == ROW:
                self.stored.add(p.base)
            elif level is not None:
                self._rows_below(c, p.base)

    def _lower(self, c: Cluster) -> list[Any]:
        try:
            if c.fallback:
                return _empty(self, c.nodes[0])
            if c.core is not None:
                return CORES[c.core.op.name].launches(self, c.core)
            return kernels(self, c)
        except NotCompiled as why:
            raise no_kernel(c.core or c.nodes[-1], str(why)) from None

    def may_fail(self) -> bool:
        """True: inputs are not written over."""
        return True


def taken(more: list[Any], scalars: list[Any]) -> list[Any]:
    """The values of numbers that are taken of others (`pairs.Pairs.numbers`)."""
    return [f if at is None else f(scalars[at]) for at, f in more]


def _narrow(n: Node) -> bool:
    """Whether a library computes a product or convolution of 16-bit floats as it is."""
    if n.op.name in dnn.NAMES:
        return dnn.possible(n)
    return n.op.name in ("matmul", "matmul_wide") and CORES["matmul"].accepts(n)


def _settings() -> Any:
    """The switches that decide how the libraries compute."""
    return *dnn.settings(), blas.tf32()


def no_kernel(n: Node, why: str = "") -> NotImplementedError:
    """What to raise for an operation that the device can't compute."""
    operands = ", ".join([f"{i.dtype} {list(i.shape)}" for i in n.inputs]) or "nothing"
    return NotImplementedError(
        f"'{n.op.name}' of {operands} has no CUDA kernel in Facula"
        + (f" ({why})" if why else "")
        + "; move the operands to the CPU with .cpu() to compute it there"
    )


EMPTY_IS_ZERO = ("sum", "matmul", "any", "histc")
EMPTY_IS_ONE = ("prod", "all")  # whose kernels begin with it
EMPTY_IS_COPY = ("scatter", "scatter_add", "index_put", "index_put_accumulate")


def _empty(low: Lowered, n: Node) -> list[Any]:
    """An operation on no elements."""
    if 0 in n.shape:
        return []
    if n.op.name in EMPTY_IS_ZERO:
        return [Clear(n)]
    if n.op.name in EMPTY_IS_ONE:
        return CORES[n.op.name].launches(low, n)
    if n.op.name in (*EMPTY_IS_COPY, *SCATTERS):
        return [cores.copied(place(n.inputs[0], low.grouping.places), n)]
    if n.op is ASSEMBLE or n.op.name in DECOMPOSITIONS:
        return CORES[n.op.name].launches(low, n)
    if n.op.name == "cat":
        return _joined(low, n)
    raise no_kernel(n)


def _joined(low: Lowered, n: Node) -> list[Any]:
    """Parts side by side, some of them without elements."""
    strides, at, out = contiguous_strides(n.shape), 0, []
    for i in n.inputs:
        if 0 not in i.shape:
            to = Place(n, at * strides[n.params], i.shape, strides)
            out.append(cores.copied(place(i, low.grouping.places), n, into=to))
            at += i.shape[n.params]
    return out


def supported(n: Node) -> bool:
    """Whether the device can compute an entry."""
    from facula.interpreter.program import PASSES

    if n.op is ASSIGN or n.op.name in (*VIEWS, *PASSES, "cat", "full"):
        return True
    if 0 in n.shape or any([0 in i.shape for i in n.inputs]):
        known = (*EMPTY_IS_ZERO, *EMPTY_IS_ONE, *EMPTY_IS_COPY, *SCATTERS, *DECOMPOSITIONS)
        return 0 in n.shape or n.op.name in known
    if pairs.is_complex(n):
        made = pairs.alone(n)
        return made is not None and all([supported(e) for e in made])
    if n.op.name in WIDENED and kind_of(n.inputs[0]) in NARROW:
        return n.op.name in CORES  # `widen` makes it one of float32
    if n.op.name.endswith("_scatter"):
        return n.op.name in SCATTERS
    (c,) = _Alone([n], {}, CORES).clusters
    return not c.fallback


class _Alone(Grouping):
    """Where one operation would go, by itself."""

    def operands(self, n: Node) -> list[Place]:
        return [Place(i, 0, i.shape, contiguous_strides(i.shape)) for i in n.inputs]

    def _visit(self, n: Node) -> None:
        self.places[n] = Place(n, 0, n.shape, contiguous_strides(n.shape))
        super()._visit(n)


def _own(entries: list[Node], roots: list[Node], places: dict[Node, Place]) -> list[Node]:
    """The nodes whose buffers the results are: where one would be a part of another's buffer, or
    lie in another order, a copy is recorded behind the entries."""
    taken: set[Node] = set()
    out = []
    for n in roots:
        p = place(n, places)
        whole = same_element(p) and math.prod(p.shape) == math.prod(p.base.shape)
        own = p.base.op is not INPUT and p.base.op.name != "full" and p.base not in taken
        if n.strides is None and own and whole:
            taken.add(p.base)
            out.append(n)
            continue
        order = _order(n)
        if order is NO_ORDER:
            made = _spread(n)
            entries.append(made)
            out.append(made)
            continue
        inner = n
        if order is not None:
            inner = _made(PERMUTE, tuple([n.shape[d] for d in order]), n, order)
            entries.append(inner)
        made = _made(CONTIGUOUS, inner.shape, inner, 0)
        entries.append(made)
        taken.add(made)
        out.append(made)
    return out


def _made(op: Any, shape: tuple[int, ...], of: Node, params: Any) -> Node:
    made = Node(op, shape, of.dtype)
    made.params = params
    made.inputs = (of,)
    made.a = of
    made.index = of.index
    return made


NO_ORDER = (-1,)


def _order(n: Node) -> tuple[int, ...] | None:
    """The order in which the dimensions of a result lie in memory; None: as they come; NO_ORDER:
    with gaps between them, or several at one place."""
    if n.strides is None or 0 in n.shape:
        return None
    steps = n.strides
    order = sorted(range(len(n.shape)), key=lambda d: (-steps[d], n.shape[d] == 1))
    step = 1
    for d in reversed(order):
        if n.shape[d] != 1 and steps[d] != step:
            return NO_ORDER
        step *= n.shape[d]
    return tuple(order)


def _spread(n: Node) -> Node:
    """A result in memory with gaps: as the part of a row of elements that it is."""
    made = Node(ASSEMBLE, (arrays.span(n.shape, n.strides),), n.dtype)
    made.inputs = (n,)
    made.a, made.index = n, n.index
    made.params = ((made.shape, (1,), 0), (n.shape, n.strides, 0))
    return made


class _Memory(Memory):
    """The same plan, with addresses of the device."""

    def _donors(self, roots: list[Node]) -> dict[Node, int]:
        return {}


class Runner:
    """A compiled program, for the numbers that are folded in."""

    direct = Program.direct
    kept = Program.kept
    skip = untried = 0

    def __init__(self, program: Program, r: Any, scalars: list[Any], loose: bool = False) -> None:
        self.program, self.loose = program, loose
        roots = [n for n, _ in program.roots]
        low = Lowered(program.entries, roots, scalars, loose)
        self.guarded, self.folded = list(low.guards), list(low.guards.values())
        self.types = [type(x) for x in self.folded]
        self.more = low.more
        scalars = [*scalars, *taken(self.more, scalars)]
        self.n_inputs = len(r.inputs)
        self.memory = _Memory(low, self.n_inputs, roots)  # type: ignore[arg-type]
        self.fresh = [arrays.POOL.rounded(bytes_of(b)) for b in self.memory.fresh]
        self._numbers(scalars)
        self._bind(low)
        self._results(low, program, r)
        switched = any([n.op.name in ("matmul", *dnn.NAMES) for n in program.entries])
        self.settings = _settings() if switched else None
        self.graphs: dict[Any, int] = {}
        self.seen: dict[Any, int] = {}

    def _numbers(self, scalars: list[Any]) -> None:
        codes = {float: "d", int: "q", bool: "q"}
        self.plain = [type(x) in codes for x in scalars]
        packing = struct.Struct("=" + "".join([codes.get(type(x), "8x") for x in scalars]))
        self.pack = packing.pack
        self.packed = b""
        self.numbers = Block(max(packing.size, 8))

    def _bind(self, low: Lowered) -> None:
        """The calls with what they need at run time."""
        slot = self.memory.slot
        made = [x.made for _, calls in low.steps for x in calls]
        texts = [x.text for x in made if not isinstance(x, (*LIBRARIES, Clear))]
        found = modules.load(texts)
        self.calls: list[Any] = []
        for x in made:
            where: list[tuple[str, int, int]] = []  # what, slot or number, bytes on
            for what, n, offset in x.args:
                if what == "number":
                    where.append(("fixed", self.numbers.address + 8 * n, 0))
                elif what == "status":
                    where.append(("fixed", status.address(), 0))
                elif what == "literal":
                    where.append(("fixed", n & MASK, 0))
                else:
                    at = n.index if n.op is INPUT and what == "buffer" else slot[(what, n)]
                    where.append(("slot", at, offset * n.dtype.itemsize))
            self.calls.append(_Bound(x, where, found))

    def _results(self, low: Lowered, program: Program, r: Any) -> None:
        places = dict(zip([n for n, _ in program.roots], low.roots, strict=True))
        self.outputs: list[tuple[int, int | None, bool]] = []
        self.results: list[tuple[int, tuple[int, ...], Any, Any]] = []
        for position, slot, _ in program.outputs:
            if slot is None:
                self.outputs.append((position, None, False))
                continue
            n = r.handles[position].node
            at = self.memory.slot[("buffer", places[n].base)] - self.n_inputs
            self.outputs.append((position, len(self.results), False))
            self.results.append((at, n.shape, n.dtype, n.strides))

    # Running.
    def matches(self, scalars: list[Any]) -> bool:
        """Whether the numbers that were folded in, and the switches, are as they were."""
        if self.settings is not None and self.settings != _settings():
            return False
        found = [scalars[at] for at in self.guarded]
        return found == self.folded and [type(x) for x in found] == self.types

    def run(self, inputs: list[Any], scalars: list[Any], waits: Any = None) -> list[Any]:
        """Queue the program; the arrays of its results. `waits`: see the interpreter."""
        device = driver.get()
        if self.more:
            scalars = [*scalars, *taken(self.more, scalars)]
        if len(self.plain) and not all(self.plain):
            scalars = [x for x, plain in zip(scalars, self.plain, strict=True) if plain]
        packed = self.pack(*scalars)
        if packed != self.packed:
            self.packed = packed
            device.upload(self.numbers.address, _address(packed), len(packed))
        fresh = [Block(size, True) for size in self.fresh]
        arena = ARENA.of(self.memory.total)
        addresses = [a.address if a.__class__ is DeviceArray else 0 for a in inputs]
        addresses += [a.address for a in fresh]
        key = (arena, *addresses)
        graph = self.graphs.get(key)
        if graph is None:
            self._first(device, key, addresses, arena)
        else:
            device.replay(graph)
        return [
            DeviceArray(shape, dtype, strides, fresh[at], fresh[at].address)
            for at, shape, dtype, strides in self.results
        ]

    def _first(self, device: Any, key: Any, addresses: list[int], arena: int) -> None:
        """Run by single launches, or capture what is met for the second time."""
        for k, at in self.memory.offsets.items():
            i = self.memory.slot[k]
            while len(addresses) <= i:
                addresses.append(0)
            addresses[i] = arena + at
        for c in self.calls:
            c.aim(addresses)

        def work() -> None:
            for c in self.calls:
                c.queue(device)

        times = self.seen.get(key, 0)
        if times < 1 or len(self.calls) < 2 or not CAPTURE:
            if len(self.seen) > 1000:
                self.seen.clear()
            self.seen[key] = times + 1
            work()
            return
        if len(self.graphs) >= GRAPHS:
            device.synchronize()
            for graph in self.graphs.values():
                device.discard(graph)
            self.graphs.clear()
        self.graphs[key] = device.capture(work)
        device.replay(self.graphs[key])


CAPTURE = True  # whether programs that repeat become graphs


def _address(data: bytes) -> int:
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0


class _Bound:
    """A call with its kernel, and where its arguments come from."""

    __slots__ = ("argv", "keep", "kernel", "made", "run", "values", "where")

    def __init__(self, made: Any, where: Any, found: dict[str, int]) -> None:
        self.made, self.where = made, where
        self.values = (ctypes.c_uint64 * max(len(where), 1))()
        first = ctypes.addressof(self.values)
        self.argv = (ctypes.c_void_p * max(len(where), 1))(
            *[first + 8 * i for i in range(len(where))]
        )
        self.run = made.bound() if isinstance(made, LIBRARIES) else None
        self.kernel = 0 if isinstance(made, (*LIBRARIES, Clear)) else found[made.text]

    def aim(self, addresses: list[int]) -> None:
        """Set the arguments."""
        for i, (what, at, further) in enumerate(self.where):
            self.values[i] = at if what == "fixed" else addresses[at] + further

    def queue(self, device: Any) -> None:
        """Queue the call."""
        if self.run is not None:
            self.run(*self.values)
        elif self.kernel:
            device.launch(self.kernel, self.made.grid, self.made.block, self.argv)
        else:
            device.clear(self.values[0], self.made.nbytes)


class _Arena:
    """Memory for what passes, one for all programs: they run one after the other."""

    block: Any = None

    def of(self, size: int) -> int:
        """Its address, made larger where it is too small. A graph that knows the old one is not
        found again, since the address is part of what it is found by."""
        if size == 0:
            return 0
        if self.block is None or self.block.size < size:
            self.block = None
            self.block = Block(max(size, 1 << 22))
        return int(self.block.address)


ARENA = _Arena()


class DeviceProgram:
    """The part of a trace that lies on the device, and the part on the CPU beside it."""

    def __init__(self, r: Any, live: tuple[Any, ...]) -> None:
        away = tuple([n if n is None or _is_away(n) else None for n in live])
        home = tuple([None if n is None or _is_away(n) else n for n in live])
        self.away = Program(r, away)
        self.home = Program(r, home) if any([n is not None for n in home]) else None
        if self.home is not None and not self.home.outputs:
            self.home = None
        self.runners: list[Runner] = []
        self.runs = 0
        self.quiet = False
        self.watched: list[int] = []
        self.unwritten = self.away.unwritten
        self.entries = self.away.entries
        self.changing = changing(self.entries)

    def choose(self, r: Any) -> Any:
        """What runs this occurrence."""
        chosen = None
        if self.away.entries or self.away.outputs:
            self.runs += 1
            settled = self.runs > SETTLED
            for c in self.runners:
                if c.matches(r.scalars):
                    chosen = c
                    break
            if chosen is None or (chosen.loose and settled):
                if chosen is not None:
                    self.runners.remove(chosen)
                elif len(self.runners) >= MAX_VARIANTS:
                    del self.runners[0]
                chosen = Runner(self.away, r, r.scalars, self.changing and not settled)
                self.runners.append(chosen)
        if self.home is None:
            return self.away if chosen is None else chosen
        return _Both(chosen, self.home.choose(r))


class _Both:
    """The programs of one frame on the device and on the CPU: no value of one is an operand of the
    other."""

    skip = untried = 0

    def __init__(self, away: Any, home: Any) -> None:
        self.away, self.home = away, home
        self.outputs: list[Any] = []
        self.direct: Any = None

    def run(self, inputs: list[Any], scalars: list[Any], waits: Any = None) -> list[Any]:
        """The values of both. `waits`: see the interpreter."""
        out = [] if self.away is None else self.away.run(inputs, scalars)
        self.outputs = [] if self.away is None else list(self.away.outputs)
        at = len(out)
        own = [NOTHING if a.__class__ is DeviceArray else a for a in inputs]  # arrays of the CPU
        del inputs[:]
        out += self.home.run(own, scalars)
        if self.home.direct is not None:
            handles, arrays = self.home.direct
            self.direct = handles, lambda values: arrays(values[at:])
        self.outputs += [
            (position, None if slot is None else slot + at, copy)
            for position, slot, copy in self.home.outputs
        ]
        return out


NOTHING = np.empty(0)


def _is_away(n: Node) -> bool:
    return n.device is not None


__all__ = ["CAPTURE", "DeviceProgram", "Lowered", "Runner", "no_kernel", "supported"]
