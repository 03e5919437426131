"""Tier 1: a trace run node by node with NumPy. Simple, instant, and the oracle of every test."""

from __future__ import annotations

import itertools
import math
import os
import warnings
import weakref
from collections.abc import Iterable
from typing import Any

from facula.dtypes import INT
from facula.interpreter.parts import add_part, parts_of
from facula.quiet import quietly
from facula.trace.flight import COMPILING, land
from facula.trace.node import ASSIGN, INPUT, LEAF, MODE, ROOT, STALE, Node, Pick, pick, placed
from facula.trace.resting import resting

# After how many interpreted occurrences a program is compiled; -1: as `_worthwhile` says, from
# shapes alone, so that the switch comes at the same occurrence in every run.
COMPILE_AFTER = int(os.environ.get("FACULA_COMPILE_AFTER", "-1"))
# Programs that do some work are compiled at their fourth run at the latest, since compiled ones
# round otherwise and losses show when; those that take long to compile wait until it pays.
MAX_AFTER, MAX_AFTER_LONG = 3, 30
LONG = 500_000.0  # microseconds
MATRICES = frozenset(("cholesky", "det", "inverse", "lu_factor", "qr", "slogdet", "solve"))
# Microseconds for an element of what NumPy has no function for; others take 1e-3 or so.
SLOW = {
    "erf": 0.01,
    "erfc": 0.07,
    "lgamma": 0.19,
    "digamma": 0.16,
    "erfinv": 0.025,
    "ndtri": 0.03,
    **dict.fromkeys(("i0", "i1", "i0e", "i1e", "modified_bessel_i0", "modified_bessel_i1"), 0.2),
    "sigmoid": 0.014,
    "gated": 0.017,
    "lstm_state": 0.034,
    **dict.fromkeys(("lstm", "lstm_back", "gru", "gru_back", "rnn_tanh", "rnn_relu"), 0.015),
    **dict.fromkeys(("gate_back", "value_back", "forget_back", "keep_back"), 0.017),
    "max_pool_put": 0.018,
    "argsort": 0.04,
    "topk_index": 0.01,
    **dict.fromkeys(("fft_r2c", "fft_c2c", "fft_c2r"), 0.006),
    "searchsorted": 0.03,
    **dict.fromkeys(("kth_index", "median_index", "nanmedian_index", "mode_index"), 0.035),
    "adaptive_avg_spread": 0.014,
    "avg_pool": 0.003,
    "avg_pool_spread": 0.004,
    "max_pool_index": 0.007,
    **dict.fromkeys(("gather", "scatter", "index"), 0.003),
    **dict.fromkeys(("bag", "bag_sums", "bag_weighted", "index_put"), 0.0025),
    **dict.fromkeys(("cummax_index", "cummin_index"), 0.02),
    "where": 0.0025,  # by branches, which nothing foretells
    "pow": 0.009,
    "floor_divide": 0.02,
    "fmod": 0.019,
    "remainder": 0.019,
    "hypot": 0.004,
    "logaddexp": 0.02,
    "logaddexp2": 0.014,
    "ctc_alpha": 0.05,
    "ctc_alpha_back": 0.05,
    "cumsum": 0.009,
    "cumprod": 0.009,
    "scatter_add": 0.01,
    "scatter_reduce": 0.015,
    "index_put_accumulate": 0.004,
    "adaptive_avg_pool": 0.005,
    "adaptive_max_index": 0.01,
}
NARROW = 4e-3  # what an element of a 16-bit float takes more
# The same for an element of the windows that a convolution lays out beside each other.
WINDOWS = {"conv": 1e-3, "conv_weight": 2e-3, "conv_input": 3e-3}
# Programs of the same operations in so many sizes (a batch, and what is left of an epoch) are
# compiled for their sizes. Once more are met, kernels take sizes as arguments, until a program has
# been run so often that its sizes are worth kernels: once these would have saved (`SAVED` of what
# interpreting takes) what compiling them takes, and after `SETTLED` runs at the latest.
FEW = 2
SETTLED = 2_000
SAVED = 0.1
MAX_KNOWN = 20_000
_known: set[int] = set()  # kinds of operations in programs that were compiled
_met: set[int] = set()  # and in programs that were met at all
_numbers: dict[Any, int] = {}  # of kinds
_new = itertools.count(1)
_families: dict[frozenset[Any], Family] = {}  # by their operations
GENERATIONS = 3  # sizes that came and went, by which the next one is judged
MAX_VARIANTS = 8  # compiled forms of one program, for numbers that are folded in
# What has its value as its first operand and a derivative of its own.
ACTIVATIONS = ("celu", "elu", "gelu", "hardswish", "log_sigmoid", "mish", "silu")
# What gives its first operand as it is.
PASSES = frozenset(
    (
        *("self", "detach", "alias", "copy_slices", "whole", "tied", "watch", "underivable"),
        *("binary_cross_entropy", "instead", "join", "lerp", "norm", "softmax", "std"),
        "var",
        *ACTIVATIONS,
    )
)


def _needed(roots: list[Node]) -> list[Node]:
    """The entries that the roots depend on, in the order of the trace."""
    seen: set[Node] = set()
    stack = list(roots)
    while stack:
        n = stack.pop()
        if n in seen or n.op is INPUT:
            continue
        seen.add(n)
        stack.extend(n.inputs)
    return sorted(seen, key=lambda n: n.index)


def _unwritten(r: Any) -> Pick:
    """A function that picks, of a frame's inputs, those whose tensors may still be inputs at its
    end: nothing was assigned to them."""
    written = set()
    n = r.cur
    while n is not None:
        if n.op is ASSIGN and n.a.op is INPUT:
            written.add(n.a.index)
        n = n.parent
    return pick([i for i in range(len(r.inputs)) if i not in written])


def source(n: Node) -> Node:
    """The node that computes the value: through in-place results and other names for it."""
    while True:
        if n.op is ASSIGN:
            n = n.b
        elif n.op is not INPUT and n.op.name in PASSES:
            n = n.a
        else:
            return n


class Program:
    """The live part of one trace: steps over numbered slots, and where results go."""

    direct: Any = None  # results that need no care (see `compiler/program.py`)
    kept: Any = None  # those of tensors that are kept, if they are handed over as a whole
    skip = untried = 0  # see `trace/ahead.py`

    __slots__ = (
        "after",
        "asked",
        "before",
        "born",
        "compiled",
        "entries",
        "family",
        "first",
        "forms",
        "lead",
        "nodes",
        "outputs",
        "plans",
        "quiet",
        "roots",
        "runs",
        "settles",
        "size",
        "steps",
        "unwritten",
        "watched",
        "work",
    )

    def __init__(self, r: Any, live: tuple[Any, ...]) -> None:
        handles = r.handles
        # From here on, handles stand for tensors that are kept (trace/kept.py).
        self.first = len(live) - r.parts
        roots = []
        seen: set[int] = set()
        chosen: list[tuple[int, Node | None]] = []
        for i, node in enumerate(live):
            if node is None or node.op is LEAF or node.op is INPUT or node.op is STALE:
                continue
            h = handles[i]
            if id(h) in seen:
                continue
            seen.add(id(h))
            if h._storage is not None:
                chosen.append((i, None))
            else:
                roots.append(node)
                chosen.append((i, node))
        # A frame that ended here and wanted the same values of other tensors was the same work: a
        # step that is followed has fewer tensors than when it was recorded.
        programs = {} if r.cur.programs is None else r.cur.programs
        work = "work", frozenset(roots)
        lead = self.lead = programs.get(work, self)
        if lead is self:
            self.entries = [n for n in _needed(roots) if n.op is not MODE and n.op is not ROOT]
            slots, self.steps, self.size = _plan(self.entries, roots, len(r.inputs))
            self.roots = [(n, slots[n]) for n in dict.fromkeys(roots)]
            self.forms: weakref.WeakSet[Any] = weakref.WeakSet()  # of all that are this work
        else:
            self.entries, self.steps, self.size = lead.entries, lead.steps, lead.size
            self.roots, self.forms = lead.roots, lead.forms
            slots = dict(lead.roots)
        self.runs = 0  # the lead's count all
        self.quiet = False  # whether no history outlives the frame
        self.unwritten = _unwritten(r)
        self.watched: list[int] = []  # the live handles that have one
        self.plans: Any = ()  # how its graph is kept until somebody asks (autograd/later.py)
        self.after = 0
        self.settles = SETTLED  # runs after which its sizes are worth kernels of their own
        self.work: Any = None  # what its shapes say, once asked
        self.family: Family | None = None
        self.born = 0  # in which generation of it
        self.before = 0  # how often something like it was interpreted before, for all that is known
        self.asked = -1  # how many kinds of operations had been compiled when that was settled
        self.compiled: list[Any] = []  # replaced, never changed: other threads may let go of some
        owner: dict[Node, Node] = {}
        self.outputs: list[tuple[int, int | None, bool]] = []
        self.nodes = [out for _, out in chosen]
        for i, out in chosen:
            if out is None:
                self.outputs.append((i, None, False))
                continue
            made = source(out)
            copy = made.op is INPUT or owner.setdefault(made, out) is not out
            self.outputs.append((i, slots[out], copy))
        if lead is self:
            programs[work] = self  # complete: what interrupts this leaves no part of it behind

    def choose(self, r: Any) -> Any:
        """What runs this occurrence: itself, or its compiled form once that is worth it."""
        lead = self.lead
        lead.runs += 1
        if not self.entries:
            return self
        if lead.family is not None:
            lead.family.ran(lead.born)
        settled = lead.runs > lead.settles
        for c in self.compiled:
            if not c.guarded or c.matches(r.scalars):
                if settled and c.loose:
                    _let_go(lead)
                    break
                return c
        if lead.asked != len(_known) and not lead.forms:
            if lead.asked < 0:
                lead.work = Work(self.entries, [n for n, _ in lead.roots])
                lead.before = _familiar(lead)
                lead.settles = _settles(lead.work)
            lead.after = _worthwhile(lead.work, lead.family) - lead.before
            lead.asked = len(_known)
        if lead.runs <= (lead.after if COMPILE_AFTER < 0 else COMPILE_AFTER):
            return self
        if len(self.compiled) >= MAX_VARIANTS:
            return self
        with COMPILING:
            try:
                from facula.compiler.keeping import keep
                from facula.compiler.program import CompiledProgram
                from facula.progress import Progress

                for other in list(lead.forms):
                    if other.matches(r.scalars):
                        c = other.arranged(self)
                        break
                else:
                    with Progress(f"compiling {len(self.entries)} operations"):
                        loose = _changing(lead.family) and not settled
                        c = resting(CompiledProgram)(self, r, r.scalars, loose)
            except Exception as err:
                self.entries = []
                if type(err).__name__ != "NotCompiled":
                    r.complaint = err
                return self
            keep(c)
            lead.forms.add(c)
            _remember(_known, lead.work.kinds if lead.work else kinds_of(self.entries))
            return c

    def run(self, inputs: list[Any], scalars: list[Any], waits: Any = None) -> list[Any]:
        """The slots' values; those that no output needs are freed on the way.

        `waits` is for compiled programs: this one is done when it returns."""
        return quietly(self._run, inputs, scalars)  # type: ignore[no-any-return]

    def _run(self, inputs: list[Any], scalars: list[Any]) -> list[Any]:
        values: list[Any] = inputs + [None] * (self.size - len(inputs))
        for body, params, at, end, args, out, frees in zip(*self.steps, strict=True):
            values[out] = body(params, scalars[at:end], *[values[a] for a in args])
            for f in frees:
                values[f] = None
        for _, slot in self.roots:
            if slot >= len(inputs) and values[slot].base is None:
                values[slot] = placed(values[slot])
        return values


def _plan(
    entries: list[Node], roots: list[Node], n_inputs: int
) -> tuple[dict[Node, int], tuple[list[Any], ...], int]:
    """The slots of all values, the columns of the table of steps, and how many slots there are.

    Columns, and tuples of integers within them, because Python's garbage collector looks at every
    list and every tuple of objects again and again: of programs that never come again it would see
    more than all else.
    """
    slots: dict[Node, int] = {}
    last: dict[int, int] = {}
    bodies: list[Any] = []
    params: list[Any] = []
    begins: list[int] = []
    ends: list[int] = []
    operands: list[tuple[int, ...]] = []
    outs: list[int] = []
    size = n_inputs
    parts, spared = parts_of(entries, roots)

    def slot(n: Node) -> int:
        return n.index if n.op is INPUT else slots[n]

    for n in entries:
        if n.op is ASSIGN:
            slots[n] = slot(n.b)
            continue
        if n in spared:
            continue
        body, given, inputs, numbers = n.op.body, n.params, n.inputs, n
        if n in parts:
            body = add_part
            given, inputs, numbers = parts[n]
        args = tuple([slot(i) for i in inputs])
        for a in args:
            last[a] = len(outs)
        slots[n] = size
        if hasattr(body, "exact") and not any([i.dtype.itemsize == 2 for i in n.inputs]):
            body = body.exact
        bodies.append(body)
        params.append(given)
        begins.append(numbers.scalar_at)
        ends.append(numbers.scalar_at + len(numbers.stypes))
        operands.append(args)
        outs.append(size)
        size += 1
    kept = {slot(n) for n in roots}
    frees: list[tuple[int, ...]] = [()] * len(outs)
    for a, step in last.items():
        if a not in kept and a >= n_inputs:
            frees[step] += (a,)
    for n in roots:
        if n.op is INPUT:
            slots[n] = n.index
    return slots, (bodies, params, begins, ends, operands, outs, frees), size


def kinds_of(entries: list[Node]) -> frozenset[int]:
    """The kinds of its operations, about what their kernels depend on: numbers, as a set of tuples
    would be looked at by Python's garbage collector again and again."""
    return Work(entries).kinds


class Work:
    """What the shapes of a program say of its work.

    kinds   of its operations
    windows those that are convolutions
    once    microseconds that it takes to be interpreted
    count   its entries
    family  its operations, whatever their sizes and however many there are
    """

    __slots__ = ("count", "family", "kinds", "once", "windows")

    def __init__(self, entries: list[Node], roots: Iterable[Node] = ()) -> None:
        once = 10.0
        kinds: dict[Any, float] = {}
        ops: set[Any] = set()
        roots = list(roots)
        for n in roots:
            if n.op is not INPUT and n.op.view:  # it is copied, by one thread
                once += 1e-3 * math.prod(n.shape)
        parts, spared = parts_of(entries, roots)
        for n in entries:
            op = n.op
            if op is ASSIGN or op.view:
                once += 1.0
                if not op.view:
                    ops.add(op)
                continue
            ops.add(op)
            inputs = tuple([i.shape for i in n.inputs])
            # NumPy multiplies integers as slowly as 16-bit floats.
            slow = n.dtype.itemsize == 2 or (op.name == "matmul" and n.dtype.category == INT)
            kind = op, n.shape, inputs, slow
            known = kinds.get(kind)
            if known is None:
                kinds[kind] = known = _microseconds(op.name, n.shape, inputs, kind[3])
            if n in parts:
                once += 4.0 + 1e-3 * math.prod(parts[n][1][1].shape)
            elif n not in spared:
                once += known
        self.once, self.count, self.family = once, len(entries), frozenset(ops)
        if len(_numbers) > MAX_KNOWN:
            _numbers.clear()
        numbers = {k: _numbers.get(k) or _numbers.setdefault(k, next(_new)) for k in kinds}
        self.kinds = frozenset(numbers.values())
        self.windows = frozenset([i for k, i in numbers.items() if k[0].name in WINDOWS])


def _microseconds(
    name: str, shape: tuple[int, ...], inputs: tuple[tuple[int, ...], ...], narrow: bool
) -> float:
    """How long an operation takes that is interpreted. `narrow`: of 16-bit floats; of integers, for
    a product."""
    size = math.prod(shape)
    if name == "matmul":
        # What is multiplied, what is read, and each matrix of a batch.
        read = 8e-5 * sum([math.prod(i) for i in inputs])
        once = 4.0 + read + 0.03 * math.prod(shape[:-2])
        return once + size * (1e-3 + inputs[0][-1] * (3e-4 if narrow else 2e-5))
    if name in MATRICES:  # NumPy's library is called for each; what it has not is done by columns
        rows = inputs[0][-1]
        once = 20.0 * rows if name in ("lu_factor", "qr") else 4.0
        return once + math.prod(inputs[0][:-2]) * (0.15 + rows * (0.05 + rows * rows * 2e-5))
    each = SLOW.get(name, 1e-3) + (NARROW if narrow else 0.0)
    once = 4.0 + max([size, *map(math.prod, inputs)]) * each
    if name in WINDOWS:
        # Of the image, the filters and the result each element of a window meets one filter.
        image, result = (shape if name == "conv_input" else inputs[0]), inputs[-1]
        filters = shape if name == "conv_weight" else inputs[-1]
        if name != "conv_weight":
            result = shape if name == "conv" else inputs[0]
        windows = math.prod(image[:2]) * math.prod(filters[2:]) * math.prod(result[2:])
        each = filters[0] * filters[1] / max(1, image[1])  # filters of a group
        once += windows * (WINDOWS[name] + each * 2e-5)
    return once


def _remember(where: set[int], kinds: frozenset[int]) -> None:
    if len(where) > MAX_KNOWN:
        where.clear()
        _families.clear()
    where.update(kinds)


class Family:
    """Programs of the same operations, in sizes that come and perhaps go.

    A batch's sizes come again and again; those of a network that grows, or of a text that is
    written, do not, and are run about as often as the ones before."""

    __slots__ = ("generation", "past", "returns", "runs", "sizes")

    def __init__(self) -> None:
        self.sizes: set[int] = set()  # a few
        self.generation = 0
        self.runs = 0  # of programs, in this generation
        self.past: list[int] = []  # in those before
        self.returns = False  # whether a size came again when another had been met

    def ran(self, born: int) -> None:
        """A program was run that was made in this generation."""
        self.runs += 1
        if born != self.generation:
            self.returns = True

    def succeed(self) -> None:
        """Begin a generation: a program has a size that was not met before."""
        if self.generation:
            self.past = [*self.past[1 - GENERATIONS :], self.runs]
        self.generation += 1
        self.runs = 1

    def expected(self) -> int | None:
        """How often programs of this generation will still be run; None: nothing tells."""
        if self.returns or len(self.past) < GENERATIONS:
            return None
        return max(0, max(self.past) - self.runs)


def _changing(family: Family | None) -> bool:
    """Whether programs of the same operations have been met in more than a few sizes.

    Where the occurrence at which programs are compiled is given, none counts: a test of kernels for
    sizes would be one of others, depending on what ran before it."""
    if not FEW:
        return True
    return COMPILE_AFTER < 0 and family is not None and len(family.sizes) > FEW


def _let_go(lead: Program) -> None:
    """Forget the forms that are not made for the sizes of a program."""
    for c in [c for c in lead.forms if c.loose]:
        c.program.compiled = [x for x in c.program.compiled if x is not c]
        lead.forms.discard(c)


def _familiar(lead: Program) -> int:
    """1 where most operations of a program that was not met before were met in others, 0 otherwise:
    a loop's second step follows one in which an optimiser made its state, and which never comes
    again. It joins its family."""
    kinds = lead.work.kinds
    met = len(kinds & _met)
    _remember(_met, kinds)
    family = lead.family = _families.setdefault(lead.work.family, Family())
    if len(family.sizes) <= FEW:
        family.sizes.add(hash(kinds))
    if met < len(kinds):
        family.succeed()
    lead.born = family.generation
    return int(4 * met >= 3 * len(kinds) > 0)


def _worthwhile(work: Work, family: Family | None = None) -> int:
    """Occurrences after which a program is compiled; 0: at once.

    It is when about half of what compiling takes was spent on it, of a very small one when all of
    that was: what never comes again has cost little then, and what does, not much more. One whose
    work is large is expected to come again. Compiling takes less where programs that were compiled
    had such operations, as a step whose loss is read is nearly one whose loss is not. In
    microseconds, from shapes.
    """
    once, kinds = work.once, work.kinds
    new = len(kinds - _known)
    if once > 100.0:
        compiling = 10_000.0 * (1 + (new > 0)) + 5_000.0 * new + 1_000.0 * len(kinds)
        compiling += 60.0 * work.count
        most = MAX_AFTER if compiling < LONG else MAX_AFTER_LONG
        if new and _changing(family):
            # Plans and descriptors are made for each size, few kernels are. A size that was met
            # once may never come again: it waits until nearly half of that was spent on it.
            compiling = 4_000.0 + 100.0 * len(kinds) + 15.0 * work.count
            compiling += 20_000.0 * len(work.windows - _known)
            after = max(1, min(10_000, int(compiling / (1.5 * once))))
            expected = None if family is None else family.expected()
            if expected is not None and expected * once < compiling:
                return max(after, 2 * expected)
            # What is planned takes half of that, and saves two thirds of what is interpreted.
            return after if expected is None else 1
        return min(most, int(compiling / (2.0 * once)))
    # Few operations are few kernels. Recording them takes as long as running them: less is gained.
    compiling = 8_000.0 + 1_500.0 * new + 500.0 * len(kinds)
    if not _known:
        compiling += 50_000.0  # LLVM has to be started for it, and may serve others
    return max(1, min(10_000, int(compiling / (0.8 * once))))


def _settles(work: Work) -> int:
    """Runs of a program after which its sizes are worth kernels of their own."""
    compiling = 20_000.0 + 5_000.0 * len(work.kinds) + 60.0 * work.count
    return min(SETTLED, int(compiling / (SAVED * work.once)))


@resting
def program_of(r: Any, live: tuple[Any, ...]) -> Any:
    """The program of a frame; of one that has values on another device, that device's."""
    for n in live:
        if n is not None and n.device is not None:
            from facula.cuda.program import DeviceProgram

            return DeviceProgram(r, live)
    return Program(r, live)


_warned = False


def warn_once(err: Exception) -> None:
    """Say once that a program could not be compiled, and what to report."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"facula: a program could not be run compiled and is interpreted instead; please "
            f"report this: {type(err).__name__}: {err}",
            RuntimeWarning,
            stacklevel=2,
        )


def evaluate(node: Node, inputs: list[Any], scalars: list[Any]) -> Any:
    """The value of one pending node, computed on the side without touching the recorder."""
    land()
    values = [i[1] for i in inputs]
    entries = [n for n in _needed([node]) if n.op is not MODE and n.op is not ROOT]
    slots, steps, size = _plan(entries, [node], len(values))
    program = Program.__new__(Program)
    program.steps, program.size, program.outputs, program.roots = steps, size, [], []
    return program.run(values, list(scalars))[slots[node]].copy()
