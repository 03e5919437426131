"""A trace as one native program: a table of kernel calls, with interpreted steps where needed."""

from __future__ import annotations

import ctypes
import re
import struct
import weakref
from collections import Counter
from contextlib import nullcontext
from copy import copy
from itertools import accumulate
from operator import attrgetter, is_
from sys import getrefcount
from typing import Any

import numpy as np
from numpy import ndarray

from facula.compiler import keeping
from facula.compiler.lower import NOT_MEMORY, Lowered
from facula.compiler.memory import ARENA, Memory, Pool, bytes_of, pool_of
from facula.compiler.readers import WHOLE, Readers, constant, memory_under, whole_shapes
from facula.compiler.timing import seconds
from facula.compiler.waiting import free
from facula.cpu import runtime
from facula.cpu.runtime import ALWAYS, Call
from facula.cpu.text import DECLARED, NotCompiled
from facula.quiet import quietly
from facula.trace import ahead
from facula.trace.flight import Interrupted, land
from facula.trace.node import INPUT, OWNED, astray, copied, empty, pick, strided

# By text and vector width, those that a program has.
_kernels: weakref.WeakValueDictionary[tuple[str, int], Kernel] = weakref.WeakValueDictionary()
_NONE = (object(), None)
# References to an input's array when nothing but its tensor needs it: the tensor, the recorder's
# list of inputs, the list handed to `run`, and the question itself.
ALONE = 4
_ALONE_IN_TUPLE = {ALONE + 1}
ARRAYS = {ndarray}
_base = attrgetter("base")
ITEMS = tuple.__basicsize__  # where a tuple's items begin
PIECE, PIECES = 1 << 16, 16  # characters that a module has at least; modules of a program, about
LARGE = 1 << 16  # bytes from which on the memory of results is used again
MOVED = 16 << 20  # bytes of results, at most, that one run does not write over their inputs


class Kernel:
    """A kernel in memory."""

    __slots__ = ("__weakref__", "address", "library")

    def __init__(self, library: Any, name: str) -> None:
        self.library = library  # the code is there as long as this is
        self.address: int = library.addresses[name]


class CompiledProgram:
    """A program that is run by native code. Takes the interpreter's place for one live set."""

    def __init__(self, program: Any, r: Any, scalars: list[Any], loose: bool = False) -> None:
        """`loose`: see `Lowered`."""
        from facula.cpu.jit import vector_width

        self.program = program
        self.loose = loose
        self.used = 0  # when it ran last (facula/compiler/keeping.py)
        self.moving = True  # whether some of what it updates may lie badly
        self.skip = 0  # the record to begin with: those before were done ahead (trace/ahead.py)
        self.untried = ahead.RUNS  # times that it has to run until it may begin early
        self.hits = self.misses = 0  # frames that ended with it, or otherwise, once it had begun
        self.marked: list[Any] = []  # where it may begin
        self.parts: dict[tuple[int, int], Call] = {}
        # Results of one value that this program handed out: the number, and what it became.
        self.constants: dict[Any, tuple[Any, Any]] = {}
        width = vector_width()
        roots = [n for n, _ in program.roots]
        low = Lowered(program.entries, roots, scalars, width, loose)
        if all([calls is None for _, calls in low.steps]):
            raise NotCompiled("no operation of this program has a kernel")
        self.guarded = list(low.guards)
        self.numbers_of = pick(self.guarded)
        self.folded = self.numbers_of(scalars)
        self.folded_types = [type(x) for x in self.folded]
        self.zeros = [(at, x) for at, x in low.guards.items() if x == 0]
        self.n_inputs = n = len(r.inputs)
        self._compile(low, width)
        memory = Memory(low, n, roots)
        self.pointers = memory.table(n)
        # For each result: shape, dtype, the input it may be written over, and for a large one the
        # pool of arrays handed out before.
        shapes = whole_shapes(low)
        self.laid = [shapes[b][1] if b in shapes else None for b in memory.fresh]
        kinds = [
            (shapes[b][0] if b in shapes else b.shape, b.dtype, laid)
            for b, laid in zip(memory.fresh, self.laid, strict=True)
        ]
        pooled = [
            kind[2] is not None or bytes_of(b) >= LARGE for b, kind in zip(memory.fresh, kinds)
        ]
        many = Counter([kind for kind, p in zip(kinds, pooled) if p])
        self.fresh: list[tuple[Any, Any, int, Pool | None]] = []
        for b, kind, p in zip(memory.fresh, kinds, pooled):
            shape, dtype, laid = kind
            steps = laid and tuple([s * dtype.itemsize for s in laid])
            pool = pool_of(shape, dtype.np, many[kind], steps) if p else None
            self.fresh.append((shape, dtype.np, memory.donors.get(b, -1), pool))
        donated = [k for k, x in enumerate(self.fresh) if x[2] >= 0]
        made = [k for k, x in enumerate(self.fresh) if x[2] < 0]
        self.donors = pick([self.fresh[k][2] for k in donated])
        self.others = [self.fresh[k] for k in made]
        places = {k: place for place, k in enumerate(donated + made)}
        self.arrange = pick([places[k] for k in range(len(places))])
        self.plain = not donated and all([x[3] is None for x in self.fresh])
        self._numbers(scalars)
        read = Readers(low, memory, shapes)
        self._tables(low, memory, read)
        self.sources = [
            read.source(slot, p) for (_, slot), p in zip(program.roots, low.roots, strict=True)
        ]
        self._results(program)
        self.memory = memory.placed(read.slots)

    def _compile(self, low: Lowered, width: int) -> None:
        """Native code for every distinct kernel, in modules that are compiled side by side."""
        from facula.cpu.jit import compile_modules

        self.kernels: dict[str, Kernel] = {}
        fresh: dict[str, str] = {}
        for _, calls in low.steps:
            for call in calls or ():
                if call.text in self.kernels or call.text in fresh:
                    continue
                known = _kernels.get((call.text, width))
                if known is not None:
                    self.kernels[call.text] = known
                else:
                    fresh[call.text] = f"k{len(fresh)}"
        if not fresh:
            return
        pieces: list[list[str]] = [[]]
        most = max(PIECE, -(-sum(map(len, fresh)) // PIECES))
        size = 0
        for text in fresh:
            if size > most:
                pieces.append([])
                size = 0
            pieces[-1].append(text)
            size += len(text)
        modules = []
        for texts in pieces:
            declared: set[str] = set()
            parts = []
            for text in texts:
                name = fresh[text]
                head, body = text.split(DECLARED, 1)
                declared.update(re.split(r"\n(?=declare |define )", head))
                parts.append(body.replace("@NAME(", f"@{name}(").replace("@tile", f"@{name}_tile"))
            module = "\n".join(sorted(declared)) + "\n" + "\n".join(parts)
            modules.append((module, [fresh[text] for text in texts]))
        for texts, library in zip(pieces, compile_modules(modules), strict=True):
            for text in texts:
                _kernels[(text, width)] = self.kernels[text] = Kernel(library, fresh[text])

    def _numbers(self, scalars: list[Any]) -> None:
        """Room for the Python numbers, eight bytes each, and then the status: a kernel that meets
        an index out of range sets it."""
        codes = {float: "d", int: "q", bool: "q"}
        self.complex = any([type(x) not in codes for x in scalars])
        self.count = len(scalars)
        packing = struct.Struct("=" + "".join([codes.get(type(x), "8x") for x in scalars]) + "q")
        self.pack = packing.pack_into
        self.numbers = ctypes.create_string_buffer(packing.size)
        self.status = ctypes.c_int64.from_buffer(self.numbers, packing.size - 8)

    def _tables(self, low: Lowered, memory: Memory, read: Readers) -> None:
        self.fails = any(
            [
                what == "status"
                for _, calls in low.steps
                for c in calls or ()
                for what, _ in c.descriptor
            ]
        )
        slot = memory.slot
        calls_ = [call for _, calls in low.steps for call in calls or ()]
        apart = iter(free(low, memory))
        words = np.zeros(sum([max(1, len(call.descriptor)) for call in calls_]), np.int64)
        start, used = words.ctypes.data, 0
        self.segments: list[Any] = []
        # For each record up to the first that needs memory of a result: how many inputs and
        # Python numbers there have to be for this one and those before it.
        self.needs: list[tuple[int, int]] = []
        many, numbers, passing = 0, 0, True
        results = range(self.n_inputs, self.n_inputs + len(self.fresh))
        self.keep: list[Any] = [words]  # the descriptors, one after the other
        records: list[list[int]] = []
        kernels: list[Any] = []
        parallel = False

        def close() -> None:
            nonlocal records, kernels, parallel
            if records:
                table = np.array(records, np.int64)
                self.keep.append(table)
                call = Call(
                    *(table.ctypes.data, len(records), parallel),
                    *(self.pointers.ctypes.data, ctypes.addressof(self.numbers)),
                    self.n_inputs + len(self.fresh),
                )
                call.kernels = tuple(kernels)
                self.segments.append(call)
            records, kernels, parallel = [], [], False

        for c, calls in low.steps:
            if calls is None:
                close()
                for n in c.nodes:
                    self.segments.append(read.interpreted(n))
                continue
            for call in calls:
                kernels.append(call.does)
                ids = []
                for what, n in call.descriptor:
                    if what == "offset":
                        ids.append(n[1] * n[0].dtype.itemsize)
                    elif what in NOT_MEMORY:
                        ids.append(n if what != "status" else low.n_scalars)
                        if what == "number":
                            numbers = max(numbers, n + 1)
                    elif n.op is INPUT:
                        ids.append(n.index)
                        many = max(many, n.index + 1)
                    else:
                        ids.append(slot[(what, n)])
                        passing = passing and ids[-1] not in results
                if passing:
                    self.needs.append((many, numbers))
                words[used : used + len(ids)] = ids
                address = self.kernels[call.text].address
                records.append([address, start + 8 * used, call.units, next(apart)])
                used += max(1, len(ids))
                parallel = parallel or call.units > 1
        close()

    def _results(self, program: Any) -> None:
        """How the results are found. Those that are arrays of their own, laid out as their tensors
        are to be, are `direct`: picked from the tensors and from what `run` returns. The others, in
        `results`, follow in that list: how each is read, and whether it has to be copied from
        what others see too. Where all of the tensors that are kept (trace/kept.py) are direct, they
        are picked apart: `kept`."""
        sources = {x[0]: x[1:] for x in self.sources}
        taken: set[int] = set()
        self.results: list[Any] = []
        self.outputs: list[tuple[int, int | None, bool]] = []
        found: list[tuple[int, int]] = []
        for (position, slot, _), node in zip(program.outputs, program.nodes, strict=True):
            if slot is None:
                self.outputs.append((position, None, False))
                continue
            base, own, reader = sources[slot]
            own = own and base not in taken
            taken.add(base)
            where, index, _, strides, _ = reader
            direct = own and where == "slot" and strides is None
            direct = direct and index < self.n_inputs + len(self.fresh)
            if direct and node.strides == self.laid[index - self.n_inputs]:
                found.append((position, index - self.n_inputs))
                continue
            at = len(self.fresh) + len(self.results)
            if where == "constant" and strides is None and node.strides is None:
                found.append((position, at))
            else:
                self.outputs.append((position, at, False))
            self.results.append((reader, not own and where != "constant"))
        kept = [x for x in found if x[0] >= program.first]
        self.kept: Any = None
        if kept and len(kept) == sum([at >= program.first for at, _, _ in program.outputs]):
            found = [x for x in found if x[0] < program.first]
            self.kept = pick([k for _, k in kept])
        self.direct = pick([at for at, _ in found]), pick([k for _, k in found])

    def arranged(self, program: Any) -> CompiledProgram:
        """This code for a program that hands the same values to other tensors."""
        other = copy(self)
        other.program = program
        other.skip, other.untried, other.hits, other.misses = 0, ahead.RUNS, 0, 0
        other.marked = []
        other._results(program)
        return other

    # Running.
    def matches(self, scalars: list[Any]) -> bool:
        """Whether the numbers that were folded in are as they were."""
        found = self.numbers_of(scalars)
        if all(map(is_, found, self.folded)):
            return True
        if found != self.folded or list(map(type, found)) != self.folded_types:
            return False
        for at, zero in self.zeros:  # 0.0 and -0.0 are equal, and not the same factor
            if scalars[at] is not zero and str(scalars[at]) != str(zero):
                return False
        return True

    def run(self, inputs: list[Any], scalars: list[Any], waits: Any = None) -> list[Any]:
        """The values of the results. `waits`: the recorder that does not wait for them, if any."""
        self.used = keeping.clock
        arena = self._arena()
        if self.plain:
            fresh = [np.empty(shape, dtype) for shape, dtype, _, _ in self.fresh]
        else:
            fresh = self._results_memory(inputs)
        # Anything but an array would be a wild address.
        if not ARRAYS.issuperset(map(type, inputs)):
            if not all([isinstance(a, ndarray) for a in inputs]):
                raise TypeError("facula: an input of a program is no array")
        objects = (*inputs, *fresh)
        if self.complex:
            scalars_ = [x for x in scalars if type(x) is not complex]
            self.pack(self.numbers, 0, *scalars_, 0)
        elif scalars or self.fails:
            self.pack(self.numbers, 0, *scalars, 0)
        segments = self.segments
        if len(segments) > 1:
            arrays = self._run_mixed(inputs, scalars, fresh, objects)
            return self._values(inputs, scalars, fresh, arrays)
        call = segments[0]
        if self.skip:
            call, self.skip = self._part(self.skip, call.count, call.many, call.sharing), 0
        call.objects = id(objects) + ITEMS
        call.ran = False
        try:
            if waits is None or self.fails or not call.depart(waits, objects, fresh, (self, arena)):
                call.run()
            if self.results or self.fails:
                return self._values(inputs, scalars, fresh, self.memory.arrays)
            return fresh
        except BaseException as error:
            if not call.ran:
                raise
            # From a signal's handler. The program has run, and may have written over its inputs.
            values = self._values(inputs, scalars, fresh, self.memory.arrays)
            raise Interrupted(values, error) from None

    def _arena(self) -> Any:
        """The memory for what passes, where the pointers say that it is."""
        memory = self.memory
        arena = memory.arena
        if arena is None or (memory.total and arena is not ARENA.array):
            arena = ARENA.of(memory.total)
            if arena is not memory.arena:
                memory.settle(arena, self.pointers)
        return arena

    # Beginning early (trace/ahead.py).
    def ready(self, inputs: int, numbers: int) -> int:
        """How many records need no more than so many inputs and Python numbers."""
        return sum([need[0] <= inputs and need[1] <= numbers for need in self.needs])

    def spent(self) -> list[float]:
        """About how many seconds of one thread go by up to the end of each record that can begin
        early."""
        if len(self.segments) != 1 or self.fails or self.complex:
            return []
        return list(
            accumulate([seconds(*does) for does in self.segments[0].kernels[: len(self.needs)]])
        )

    def begin(self, r: Any, first: int, last: int) -> bool:
        """Leave records to the workers, all before them being done; whether they have them."""
        if not self.segments[0].sharing.better:
            return False
        inputs, numbers = self.needs[last - 1]
        objects = tuple([x[1] for x in r.inputs[:inputs]])
        if not ARRAYS.issuperset(map(type, objects)):
            return False
        arena = self._arena()
        if numbers:
            rest = (0,) * (self.count - numbers)
            self.pack(self.numbers, 0, *r.scalars[:numbers], *rest, 0)
        call = self._part(first, last, inputs, ALWAYS)
        call.objects = id(objects) + ITEMS
        call.ran = False
        return call.depart(r, objects, [], (self, arena))

    def _part(self, first: int, last: int, many: int, sharing: Any) -> Call:
        """Some records, for which so many of the pointers are to be found anew."""
        call = self.parts.get((first, last))
        if call is None:
            call = self.parts[first, last] = self.segments[0].part(first, last, many, sharing)
        return call

    def _values(
        self, inputs: list[Any], scalars: list[Any], fresh: list[Any], arrays: Any
    ) -> list[Any]:
        """The values of the results, once all has run."""
        if self.fails and self.status.value:
            raise IndexError("an index that a program computed is out of range")
        if not self.results:
            return fresh
        return fresh + [
            self._result(reader, copy, inputs, scalars, arrays, fresh)
            for reader, copy in self.results
        ]

    def _results_memory(self, inputs: list[Any]) -> list[Any]:
        """An array for each result: one that it may be written over, or another."""
        donors = self.donors(inputs)
        # Nearly always nobody else has any of them, which is seen without a loop. (Views of a view
        # would count as its base's.)
        alone = _ALONE_IN_TUPLE.issuperset(map(getrefcount, donors))
        bases = [a for a in map(_base, donors) if a is not None]
        if alone and not self.moving and OWNED.issuperset(map(type, bases)):
            others = [
                np.empty(shape, dtype) if pool is None else pool.take()
                for shape, dtype, _, pool in self.others
            ]
            return list(self.arrange((*donors, *others)))
        del donors, bases
        moved = self._moved(inputs) if self.moving else ()
        fresh = []
        for shape, dtype, donor, pool in self.fresh:
            if donor in moved:  # from now on it begins at a line of the caches
                fresh.append(empty(shape, dtype))
            elif (
                donor >= 0
                and getrefcount(inputs[donor]) == ALONE
                and type(inputs[donor].base) in OWNED
            ):
                fresh.append(inputs[donor])
            elif pool is None:
                fresh.append(np.empty(shape, dtype))
            elif donor < 0:
                fresh.append(pool.take())
            elif (
                getrefcount(inputs[donor]) == ALONE + 1  # whose memory the pool has too
                and type(inputs[donor].base) in OWNED
                and pool.lose(inputs[donor])
            ):
                fresh.append(inputs[donor])
            else:  # not kept in the pool: what the pool holds as well is never alone
                pool.give(inputs[donor])
                fresh.append(pool.take(keep=False))
        return fresh

    def _moved(self, inputs: list[Any]) -> set[int]:
        """Inputs whose results get memory of their own, since they lie badly: what a loop updates
        stays where it is, and parameters begin where NumPy put them. Of many some in each run, or
        all would be there twice."""
        found: set[int] = set()
        room, self.moving = MOVED, False
        for _, _, donor, pool in self.fresh:
            if donor < 0 or pool is None:
                continue
            a = inputs[donor]
            if a.base is not None or a.nbytes > MOVED or not astray(a):
                continue
            if a.nbytes <= room:
                found.add(donor)
                room -= a.nbytes
            else:
                self.moving = True
        return found

    def _run_mixed(
        self, inputs: list[Any], scalars: list[Any], fresh: list[Any], objects: tuple[Any, ...]
    ) -> Any:
        """Native parts and interpreted steps in turn; the arrays of all slots."""
        pointers, n = self.pointers, self.n_inputs
        arrays = dict(self.memory.arrays)
        for k, a in enumerate(fresh):
            arrays[n + k] = a
        for segment in self.segments:
            if segment.__class__ is Call:
                segment.objects = id(objects) + ITEMS
                segment.run()
                continue
            name, body, params, at, end, readers, slot, shape, dtype = segment
            args = [self._read(x, inputs, scalars, arrays) for x in readers]
            listener = runtime.LISTENER
            timed = nullcontext() if listener is None else listener.region(name, "step", shape)
            with timed:
                out = quietly(body, params, scalars[at:end], *args)
            out = np.ascontiguousarray(out, dtype).reshape(shape)
            if any([np.may_share_memory(out, x) for x in args]):
                out = out.copy()  # it must outlive what it was made from
            arrays[slot] = out
            pointers[slot] = out.ctypes.data
        return arrays

    def _result(
        self, reader: Any, copy: bool, inputs: Any, scalars: Any, arrays: Any, fresh: Any
    ) -> Any:
        where, index, shape, strides, _ = reader
        if where == "constant" and strides is None:
            value = scalars[index[0]]
            before, made = self.constants.get((index[0], shape), _NONE)
            a = made() if before is value else None
            if a is None:
                a = constant(value, shape, index[1])
                self.constants[index[0], shape] = value, weakref.ref(a)
            return a
        k = index - self.n_inputs if where == "slot" else -1
        if 0 <= k < len(fresh):
            arrays = {index: fresh[k]}
        a = self._read(reader, inputs, scalars, arrays)
        if copy:
            land()
            return copied(a)
        return a

    def _read(self, reader: Any, inputs: Any, scalars: Any, arrays: Any) -> Any:
        where, index, shape, strides, offset = reader
        if where == "input":
            a = inputs[index]
        elif where == "slot":
            a = arrays[index]
        else:
            at, dtype = index
            return constant(scalars[at], shape, dtype)
        if strides is None:
            return a
        if strides is WHOLE:
            return a.reshape(shape)
        step = a.itemsize
        if a.size == 0:
            return np.empty(shape, a.dtype)
        flat = memory_under(a) if where == "input" else a.reshape(-1)
        return strided(flat, shape, tuple([x * step for x in strides]), offset * step)


__all__ = ["CompiledProgram"]
