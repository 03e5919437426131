"""From the entries of a program to the kernels that compute it, before addresses are known."""

from __future__ import annotations

from typing import Any

from facula.compiler.bags import Bags
from facula.compiler.cluster import ALL, COLUMN, FULL, Cluster
from facula.compiler.gathered import Gathered
from facula.compiler.grouping import Grouping
from facula.compiler.hidden import Masks
from facula.compiler.layout import place
from facula.compiler.order import copied_across, in_memory_order
from facula.compiler.passes import prepared
from facula.compiler.recompute import recompute
from facula.compiler.simplify import in_parts, long_dots, turned_once, with_copies, without_copies
from facula.compiler.timing import describe
from facula.cpu.emitters import EMITTERS, REVISITING
from facula.cpu.general import general
from facula.cpu.kernels import Kernel
from facula.cpu.maps import MapKernel
from facula.cpu.partial import CombineKernel
from facula.cpu.text import NotCompiled
from facula.trace.node import INPUT, Node

AS_IS = ("literal", "status")  # entries of a descriptor that depend on shapes alone
LOOSE = ("matmul",)  # what is written once for all sizes
NOT_MEMORY = ("number", "offset", *AS_IS)  # those that name no buffer


class KernelCall:
    """One kernel call: text, descriptor entries, units, what it does (see `timing.describe`)."""

    __slots__ = ("descriptor", "does", "general", "room", "text", "units")

    def __init__(self, kernel: Kernel) -> None:
        self.text = kernel.written or kernel.text()
        self.general = bool(kernel.written)  # whether the text is one for all sizes
        self.descriptor = kernel.slots
        self.units = kernel.units
        self.room = kernel.room
        self.does: tuple[Any, ...] = ()


class Lowered:
    """The kernels and interpreted steps of a program, before addresses are known.

    `loose`: kernels for these sizes that are not there take sizes as arguments.
    """

    def __init__(
        self,
        entries: list[Node],
        roots: list[Node],
        scalars: list[Any],
        width: int,
        loose: bool = False,
    ):
        self.width = width
        self.loose = loose
        self.n_scalars = len(scalars)
        entries, places, self.guards = prepared(entries, roots, scalars)
        entries = Gathered(entries, roots, scalars, self.guards, places).entries
        entries = Bags(entries, roots, places).entries
        entries = without_copies(entries, roots, places)
        entries = turned_once(long_dots(entries, places), roots, places)
        entries = in_parts(entries, places)
        entries = copied_across(in_memory_order(entries, roots, places), places)
        entries, roots = with_copies(entries, roots, places)
        self.grouping = g = Grouping(entries, places)
        self.roots = [place(n, g.places) for n in roots]
        self.strides = [n.strides for n in roots]  # that their tensors have
        recompute(g, {p.base for p in self.roots})
        self.masks = Masks(entries, self.roots, g.places, scalars, self.guards)
        while not self._lower_all():
            pass

    def may_fail(self) -> bool:
        """Whether running the program can raise: an interpreted step, an index to be checked."""
        return any(
            [
                calls is None or any([what == "status" for k in calls for what, _ in k.descriptor])
                for _, calls in self.steps
            ]
        )

    def single_pass(self, c: Cluster) -> bool:
        """Whether each element of the domain is visited once, operands and results alike."""
        if c.core is not None:
            return c.core.op.name not in REVISITING
        return all([level in (FULL, ALL) for level in c.level.values()])

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
        self.steps: list[tuple[Cluster, list[KernelCall] | None]] = []
        for c in g.clusters:
            if not c.nodes:
                continue
            if c.fallback:
                self.steps.append((c, None))
                continue
            c.hidden, c.reach = self.masks.of(c, self.stored), self.masks.reach(c)
            try:
                self.steps.append((c, self._lower(c)))
            except NotCompiled:
                if not self._columns_apart(c):
                    c.fallback = True
                    # What it computes again is made elsewhere too, and is read from there.
                    c.nodes = [n for n in c.nodes if g.home[n] is c]
                return False
        return True

    def _columns_apart(self, c: Cluster) -> bool:
        """Give the sums of columns a cluster of their own. Where operands are spread over only some
        of the dimensions that are kept, columns have no common step; those of a stored value do."""
        columns = [n for n in c.nodes if c.level[n] == COLUMN]
        if not columns or len(columns) == len(c.nodes):
            return False
        g = self.grouping
        own = Cluster(c.index, c.shape)
        own.split = c.split
        for n in columns:
            c.nodes.remove(n)
            del c.level[n]
            own.add(n, COLUMN)
            g.home[n] = own
        g.clusters.insert(g.clusters.index(c) + 1, own)
        return True

    def _lower(self, c: Cluster) -> list[KernelCall]:
        """The kernel calls of a cluster: written once for all clusters that are built alike."""
        alike = Likeness(self, c)
        key = (alike.key, "loose") if self.loose else alike.key
        known = _written.get(alike.key) or _written.get(key)
        if known is None:
            try:
                known = alike.general(self._write(c), c)
            except NotCompiled as no:
                known = str(no)
            _remember(key, known)
        if isinstance(known, str):
            raise NotCompiled(known)
        return alike.own(known)

    def _write(self, c: Cluster) -> list[KernelCall]:
        if self.loose and c.core is not None and c.core.op.name in LOOSE:
            try:
                return self._kernels(c, loose=True)
            except NotCompiled:  # by kernels for these sizes, then
                pass
        calls = self._kernels(c)
        if self.loose:
            for k in calls:
                if not k.general:
                    k.text = general(k.text, k.descriptor)
        return calls

    def _kernels(self, c: Cluster, **how: bool) -> list[KernelCall]:
        g = self.grouping
        stored = {n for n in c.nodes if n in self.stored}
        for n in c.nodes:
            if n.op.name == "pow_s" and type(self.guards[n.scalar_at]) not in (int, float):
                raise NotCompiled("complex exponent")
        args = (c, g.places, stored, g.constants)
        kernels: list[Kernel]
        if c.core is not None:
            emitter = EMITTERS[c.core.op.name]
            kernels = emitter.kernels(args, self.guards, self.width, **how)
        else:
            kernel = MapKernel(*args, guards=self.guards, loose=self.loose)
            kernel.build(self.width)
            kernels = [kernel]
            for n in kernel.partials:
                combine = CombineKernel(*args)
                combine.combine(n, kernel, self.width)
                kernels.append(combine)
        return [KernelCall(k) for k in kernels]


class Likeness:
    """What the text of a cluster's kernels depends on, with its own nodes and numbers counted off.

    Two clusters of one `key` have the same kernels: what a layer's are, the next one's are too.
    Operations, dtypes and types stand in it by their names: tuples of nothing but numbers and texts
    are none of the garbage collector's business, and many keys are remembered.
    """

    def __init__(self, low: Lowered, c: Cluster) -> None:
        g = low.grouping
        self.nodes: dict[Node, int] = {}
        self.relocates = c.core is None or EMITTERS[c.core.op.name].relocates
        self.starts: dict[tuple[Node, int], int] = {}
        self.numbers: dict[int, int] = {}  # index of a Python number -> how manieth it is here
        parts: list[Any] = [low.width, c.shape, c.split, c.open]
        for n in c.nodes:
            self._count(n)
            operands = []
            for i in n.inputs:
                p = place(i, g.places)
                b = p.base
                constant = b in g.constants
                operands.append(
                    (
                        *(
                            self._count(b),
                            constant,
                            b.op is INPUT,
                            b.dtype._name,
                            b.shape,
                            b.strides,
                        ),
                        *(self._start(b, p.offset), p.strides, p.shape, i.dtype._name, i.shape),
                        self._numbers(low, b) if constant else (),
                    )
                )
            parts.append(
                (
                    *(self.nodes[n], n.op.name, n.params, n.dtype._name, n.shape, n.strides),
                    *(c.level[n], n in low.stored, n is c.core, tuple(operands)),
                    self._numbers(low, n),
                )
            )
        if c.hidden is not None:
            parts.append(
                (c.hidden.diagonal, *[(self.nodes[n], x) for n, x in c.hidden.fills.items()])
            )
        parts.append(c.reach)
        self.key = tuple(parts)
        self.back = list(self.nodes)
        self.back_numbers = list(self.numbers)
        self.back_starts = list(self.starts)

    def _count(self, n: Node) -> int:
        return self.nodes.setdefault(n, len(self.nodes))

    def _start(self, b: Node, offset: int) -> int:
        """Where in its buffer an operand begins, as far as the text depends on it."""
        count = self.starts.setdefault((b, offset), len(self.starts))
        return count if self.relocates else offset

    def _numbers(self, low: Lowered, n: Node) -> tuple[Any, ...]:
        out = []
        for at, t in enumerate(n.stypes, n.scalar_at):
            count = self.numbers.setdefault(at, len(self.numbers))
            folded = low.guards.get(at)
            zero = repr(folded) if folded == 0 else ""  # its sign
            out.append((t.__name__, count, type(folded).__name__, folded, zero))
        return tuple(out)

    def general(self, calls: list[KernelCall], c: Cluster) -> list[Any]:
        """Calls in terms of counts."""
        count: dict[str, Any] = {"number": self.numbers, "offset": self.starts}
        return [
            (
                _once(k.text),
                k.units,
                [(w, n if w in AS_IS else count.get(w, self.nodes)[n]) for w, n in k.descriptor],
                [(w, self.nodes[n], size) for (w, n), size in k.room.items()],
                does,
            )
            for k, does in zip(calls, describe(c, calls), strict=True)
        ]

    def own(self, calls: list[Any]) -> list[KernelCall]:
        """Calls in terms of this cluster's nodes and numbers."""
        back: dict[str, Any] = {"number": self.back_numbers, "offset": self.back_starts}
        out = []
        for text, units, descriptor, room, does in calls:
            k = KernelCall.__new__(KernelCall)
            k.text, k.units, k.does = text, units, does
            k.descriptor = [
                (w, n if w in AS_IS else back.get(w, self.back)[n]) for w, n in descriptor
            ]
            k.room = {(w, self.back[n]): size for w, n, size in room}
            out.append(k)
        return out


MAX_TEXT = 64 << 20  # characters of kernels that are remembered
_written: dict[Any, Any] = {}
_texts: dict[str, str] = {}  # of those, each once
_characters = 0


def _remember(key: Any, known: Any) -> None:
    """Keep the kernels that were written for clusters of this key, within a bound."""
    global _characters
    if _characters > MAX_TEXT:
        _written.clear()
        _texts.clear()
        _characters = 0
    _written[key] = known
    _characters += 2000  # the key's own size, about


def _once(text: str) -> str:
    """The text as it was written before, if it was: kernels of many sizes share theirs."""
    global _characters
    found = _texts.setdefault(text, text)
    if found is text:
        _characters += len(text)
    return found
