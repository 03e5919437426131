"""A trace as one native program: a table of kernel calls, with interpreted steps where needed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula.compiler.assembly import Assembly
from facula.compiler.cluster import Cluster
from facula.compiler.grouping import Grouping, same_element
from facula.compiler.layout import Place, place
from facula.cpu.emitters import EMITTERS
from facula.cpu.kernels import CombineKernel, Kernel, MapKernel, NotCompiled
from facula.trace.node import ASSIGN, INPUT, Node

_kernels: dict[tuple[str, int], int] = {}  # text and vector width -> address
ALIGN = 64
NOT_MEMORY = ("number", "literal", "status")  # entries of a descriptor that name no buffer


class Call:
    """One kernel call: text, descriptor entries, units."""

    __slots__ = ("descriptor", "room", "text", "units")

    def __init__(self, kernel: Kernel) -> None:
        self.text = (
            "\n".join(sorted(kernel.declarations))
            + "\n"
            + "".join(kernel.functions)
            + kernel.f.text()
        )
        self.descriptor = kernel.slots
        self.units = kernel.units
        self.room = kernel.room


class Lowered:
    """The kernels and interpreted steps of a program, before addresses are known."""

    def __init__(self, entries: list[Node], roots: list[Node], scalars: list[Any], width: int):
        self.width = width
        self.n_scalars = len(scalars)
        self.guards: dict[int, Any] = {}
        for n in entries:
            if n.op is not ASSIGN and n.op.name == "pow_s":
                self.guards[n.scalar_at] = scalars[n.scalar_at]
        places: dict[Node, Place] = {}
        entries = Assembly(entries, roots, scalars, self.guards, places).entries
        self.grouping = g = Grouping(entries, places)
        self.roots = [place(n, g.places) for n in roots]
        while not self._lower_all():
            pass

    def _lower_all(self) -> bool:
        """Write every kernel. A cluster that can't be written is left to the interpreter, and
        then everything is written again, since it needs its operands in memory."""
        g = self.grouping
        outside = {p.base for p in self.roots}
        for c in g.clusters:
            for n in c.nodes:
                if c.fallback:
                    outside.add(n)
                for p in g.operands(n):
                    if c.fallback or p.base not in c.level or n is c.core:
                        outside.add(p.base)
        self.stored = {b for b in outside if b in g.home}
        self.steps: list[tuple[Cluster, list[Call] | None]] = []
        for c in g.clusters:
            if c.fallback:
                self.steps.append((c, None))
                continue
            try:
                self.steps.append((c, self._lower(c)))
            except NotCompiled:
                c.fallback = True
                return False
        return True

    def _lower(self, c: Cluster) -> list[Call]:
        g = self.grouping
        stored = {n for n in c.nodes if n in self.stored}
        for n in c.nodes:
            if n.op.name == "pow_s" and type(self.guards[n.scalar_at]) not in (int, float):
                raise NotCompiled("complex exponent")
        args = (c, g.places, stored, g.constants)
        kernels: list[Kernel]
        if c.core is not None:
            kernels = EMITTERS[c.core.op.name].kernels(args, self.guards, self.width)
        else:
            kernel = MapKernel(*args, guards=self.guards)
            kernel.build(self.width)
            kernels = [kernel]
            for n in kernel.partials:
                combine = CombineKernel(*args)
                combine.combine(n, kernel, self.width)
                kernels.append(combine)
        return [Call(k) for k in kernels]


class CompiledProgram:
    """A program that is run by native code. Takes the interpreter's place for one live set."""

    def __init__(self, program: Any, r: Any, scalars: list[Any]) -> None:
        from facula.cpu.jit import vector_width

        self.outputs = program.outputs
        self.size = program.size
        width = vector_width()
        entries = program.entries
        roots = [n for n, _ in program.roots]
        low = Lowered(entries, roots, scalars, width)
        if all([calls is None for _, calls in low.steps]):
            raise NotCompiled("no operation of this program has a kernel")
        self.guards = list(low.guards.items())
        self.low = low
        self.n_inputs = len(r.inputs)
        self._compile(low, width)
        self._plan(low, program)

    def _compile(self, low: Lowered, width: int) -> None:
        """Native code for every distinct kernel, in one module."""
        from facula.cpu.jit import compile_functions

        fresh: dict[str, str] = {}
        for _, calls in low.steps:
            for call in calls or ():
                key = (call.text, width)
                if key not in _kernels and call.text not in fresh:
                    fresh[call.text] = f"k{len(fresh)}"
        if not fresh:
            return
        parts = []
        declared: set[str] = set()
        for text, name in fresh.items():
            lines = text.split("\n")
            for line in lines:
                if line.startswith("declare"):
                    declared.add(line)
            body = "\n".join([x for x in lines if not x.startswith("declare")])
            body = body.replace("@NAME(", f"@{name}(").replace("@tile", f"@{name}_tile")
            parts.append(body)
        module = "\n".join(sorted(declared)) + "\n" + "\n".join(parts)
        addresses = compile_functions(module, list(fresh.values()))
        for text, name in fresh.items():
            _kernels[(text, width)] = addresses[name]

    # Memory.
    def _plan(self, low: Lowered, program: Any) -> None:
        g = low.grouping
        n_inputs = self.n_inputs
        slot: dict[Any, int] = {}
        sizes: dict[Any, int] = {}
        last: dict[Any, int] = {}
        first: dict[Any, int] = {}
        outputs = {p.base for p in low.roots if p.base in g.home}

        def touch(key: Any, step: int, nbytes: int) -> None:
            if key not in slot:
                slot[key] = n_inputs + len(slot)
                sizes[key] = nbytes
                first[key] = step
            last[key] = step

        def bytes_of(n: Node) -> int:
            return math.prod(n.shape) * n.dtype.itemsize

        for i, (c, calls) in enumerate(low.steps):
            if calls is None:
                for n in c.nodes:
                    for p in g.operands(n):
                        if p.base in g.home:
                            touch(("buffer", p.base), i, bytes_of(p.base))
                    touch(("buffer", n), i, bytes_of(n))
                continue
            for call in calls:
                for what, n in call.descriptor:
                    if what in NOT_MEMORY or (n.__class__ is Node and n.op is INPUT):
                        continue
                    if what == "buffer":
                        touch((what, n), i, bytes_of(n))
                    else:
                        touch((what, n), i, call.room[(what, n)])
        for p in low.roots:
            if p.base in g.home:
                touch(("buffer", p.base), len(low.steps), bytes_of(p.base))
        # Offsets in the arena: first fit among what is free by then.
        fallback = {n for c, calls in low.steps if calls is None for n in c.nodes}
        order = sorted(slot, key=lambda k: first[k])
        offsets: dict[Any, int] = {}
        held: list[tuple[int, int, int]] = []  # offset, size, last use
        total = 0
        for key in order:
            if key[0] == "buffer" and (key[1] in outputs or key[1] in fallback):
                continue
            size = -(-max(sizes[key], 1) // ALIGN) * ALIGN
            held = [h for h in held if h[2] >= first[key]]
            held.sort()
            at = 0
            for offset, length, _ in held:
                if offset - at >= size:
                    break
                at = max(at, offset + length)
            offsets[key] = at
            held.append((at, size, last[key]))
            total = max(total, at + size)
        self.arena = np.empty(total + ALIGN, np.uint8)
        start = self.arena.ctypes.data
        base = -start % ALIGN
        self.pointers = np.zeros(n_inputs + len(slot) + 1, np.int64)
        self.slot = slot
        self.arrays: dict[int, Any] = {}  # slot -> array of what lies in the arena
        for key, at in offsets.items():
            self.pointers[slot[key]] = start + base + at
            if key[0] == "buffer":
                n = key[1]
                raw = self.arena[base + at : base + at + sizes[key]]
                self.arrays[slot[key]] = raw.view(n.dtype.np).reshape(n.shape)
        self.fresh = [
            (slot[("buffer", n)], n.shape, n.dtype.np) for n in outputs if n not in fallback
        ]
        self._tables(low, slot)
        self._results(low, program)

    def _tables(self, low: Lowered, slot: dict[Any, int]) -> None:
        from facula.cpu.runtime import Sharing

        self.segments: list[Any] = []
        self.keep: list[Any] = []
        records: list[list[int]] = []
        parallel = False

        def close() -> None:
            nonlocal records, parallel
            if records:
                table = np.array(records, np.int64)
                self.keep.append(table)
                sharing = Sharing() if parallel else None
                self.segments.append((table.ctypes.data, len(records), sharing))
            records, parallel = [], False

        for c, calls in low.steps:
            if calls is None:
                close()
                for n in c.nodes:
                    self.segments.append(self._interpreted(n, low))
                continue
            for call in calls:
                ids = []
                for what, n in call.descriptor:
                    if what in NOT_MEMORY:
                        ids.append(n if what != "status" else low.n_scalars)
                    elif n.op is INPUT:
                        ids.append(n.index)
                    else:
                        ids.append(slot[(what, n)])
                d = np.array(ids or [0], np.int64)
                self.keep.append(d)
                address = _kernels[(call.text, low.width)]
                records.append([address, d.ctypes.data, call.units, 1])
                parallel = parallel or call.units > 1
        close()

    def _reader(self, p: Place, low: Lowered) -> Any:
        """How the interpreter gets at an operand: (where, index, shape, strides, offset)."""
        b = p.base
        index: Any
        if b.op is INPUT:
            where, index = "input", b.index
        elif b in low.grouping.constants:
            where, index = "constant", (b.scalar_at, b.dtype.np)
        else:
            where, index = "slot", self.slot[("buffer", b)]
        plain = same_element(p) and p.shape == b.shape
        return where, index, p.shape, None if plain else p.strides, p.offset

    def _interpreted(self, n: Node, low: Lowered) -> Any:
        readers = [self._reader(p, low) for p in low.grouping.operands(n)]
        at, end = n.scalar_at, n.scalar_at + len(n.stypes)
        return n.op.body, n.params, at, end, readers, self.slot[("buffer", n)], n.shape, n.dtype.np

    def _results(self, low: Lowered, program: Any) -> None:
        self.results = [
            (index, self._reader(p, low))
            for (_, index), p in zip(program.roots, low.roots, strict=True)
        ]

    # Running.
    def matches(self, scalars: list[Any]) -> bool:
        """Whether the numbers that were folded in are as they were."""
        for at, value in self.guards:
            if scalars[at] != value or type(scalars[at]) is not type(value):
                return False
        return True

    def run(self, inputs: list[Any], scalars: list[Any]) -> list[Any]:
        """The values of the outputs, by the interpreter's slots."""
        from facula.cpu.runtime import run

        pointers = self.pointers
        for i, a in enumerate(inputs):
            pointers[i] = a.ctypes.data
        numbers = np.empty(len(scalars) + 1, np.int64)
        numbers[-1] = 0  # the status: a kernel that meets an index out of range sets it
        floats = numbers.view(np.float64)
        for i, x in enumerate(scalars):
            if type(x) is float:
                floats[i] = x
            elif type(x) is complex or not -(1 << 63) <= x < 1 << 63:
                numbers[i] = 0  # an interpreted step reads it from the list
            else:
                numbers[i] = x
        arrays = dict(self.arrays)
        for s, shape, dtype in self.fresh:
            a = np.empty(shape, dtype)
            arrays[s] = a
            pointers[s] = a.ctypes.data
        p, q = pointers.ctypes.data, numbers.ctypes.data
        for segment in self.segments:
            if len(segment) == 3:
                run(segment[0], segment[1], p, q, segment[2])
                continue
            body, params, at, end, readers, s, shape, dtype = segment
            args = [self._read(x, inputs, scalars, arrays) for x in readers]
            with np.errstate(all="ignore"):
                out = body(params, scalars[at:end], *args)
            out = np.ascontiguousarray(out, dtype).reshape(shape)
            if any([np.may_share_memory(out, x) for x in args]):
                out = out.copy()  # it must outlive what it was made from
            arrays[s] = out
            pointers[s] = out.ctypes.data
        if numbers[-1]:
            raise IndexError("an index that a program computed is out of range")
        values: list[Any] = [None] * self.size
        for index, reader in self.results:
            values[index] = self._read(reader, inputs, scalars, arrays)
        return values

    def _read(self, reader: Any, inputs: Any, scalars: Any, arrays: Any) -> Any:
        where, index, shape, strides, offset = reader
        if where == "input":
            a = inputs[index]
        elif where == "slot":
            a = arrays[index]
        else:
            at, dtype = index
            value = np.asarray(scalars[at]).astype(dtype)
            return np.full(shape, value, dtype)
        if strides is None:
            return a
        step = a.itemsize
        if a.size == 0:
            return np.empty(shape, a.dtype)
        flat = _whole(a) if where == "input" else a.reshape(-1)
        return np.lib.stride_tricks.as_strided(
            flat[offset:], shape, tuple([x * step for x in strides])
        )


def _whole(a: Any) -> Any:
    """The memory under an array, from its first element to its last."""
    span = 1 + sum([(n - 1) * (s // a.itemsize) for n, s in zip(a.shape, a.strides, strict=True)])
    return np.lib.stride_tricks.as_strided(a, (span,), (a.itemsize,))


__all__ = ["CompiledProgram"]
