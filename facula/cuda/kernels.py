"""Kernels of clusters in CUDA C++: pointwise chains, rows that are reduced, sums over all.

The main kernel of a cluster computes its elements, or its rows: a block (or a warp, of short rows)
goes over a row once for each reduction that waits for another, and once more to store; values are
computed again in each pass rather than kept. Sums over all elements and over columns have kernels
of their own, which compute again what they add up, and write partial sums that a second kernel
adds in the order of the blocks. Grids follow from shapes alone, so the bits do too.
"""

from __future__ import annotations

from math import prod
from typing import Any

from facula.compiler.cluster import (
    ALL,
    COLUMN,
    FULL,
    REDUCTIONS,
    ROW,
    Cluster,
    kind_of,
    number_kind,
    wide,
)
from facula.compiler.expressions import COPIES, computed
from facula.compiler.layout import Place, place
from facula.cpu.kernels import merged, strides_in
from facula.cpu.text import NotCompiled
from facula.cuda.lanes import STORED, TYPE, Report, Thread, Value
from facula.trace.node import Node, contiguous_strides

BLOCK = 256
MOST_BLOCKS = 1 << 16
FOLD = {"sum": "Sum", "amax": "Max", "amin": "Min", "prod": "Prod"}
PER_BLOCK = 4096  # elements that a block of a sum over all adds up
PER_COLUMN = 32  # rows that a block of a sum over columns adds up, at least
FILLED = 512  # blocks that fill a device


class Launch:
    """One launch: the kernel's text, its arguments, and how many threads. The text says how many
    a block has, without which the compiler might give each more registers than a block can have.

    arguments: ("buffer", node, offset) | ("scratch", node, 0) | ("number", i, 0) | ("status", 0, 0)
    """

    __slots__ = ("args", "block", "grid", "room", "text")

    def __init__(
        self, text: str, args: list[Any], grid: tuple[int, int], block: tuple[int, int]
    ) -> None:
        self.text = bounded(text, block[0] * block[1])
        self.args = args
        self.grid = grid
        self.block = block
        self.room: dict[Any, int] = {}  # bytes of the scratch buffers that its arguments name


def bounded(text: str, threads: int) -> str:
    """The text of a kernel whose blocks have so many threads."""
    return text.replace("void NAME(", f"void __launch_bounds__({threads}) NAME(", 1)


class Kernel:
    """A kernel being written."""

    def __init__(self, guards: dict[int, Any]) -> None:
        self.guards = guards
        self.f = Report()
        self.x = Thread(self.f)
        self.head: list[str] = []
        self.params: list[str] = []
        self.args: list[Any] = []
        self.names: dict[Any, str] = {}
        self.numbers: dict[Any, Value] = {}
        self.most = 0  # the largest offset that an index reaches

    def pointer(self, n: Node, offset: int = 0, what: str = "buffer", made: bool = False) -> str:
        """The name of the parameter that points to an element of a buffer."""
        key = (what, n, offset)
        if key not in self.names:
            kind = kind_of(n)
            if kind is None:
                raise NotCompiled(f"{n.dtype}")
            name = self.names[key] = f"p{len(self.params)}"
            const = "" if made else "const "
            self.params.append(f"{const}{STORED[kind]}* __restrict__ {name}")
            self.args.append(key)
        return self.names[key]

    def number(self, at: int, stype: type, kind: str) -> Value:
        """A Python number of the program."""
        key = (at, stype, kind)
        if key not in self.numbers:
            name = f"n{len(self.numbers)}"
            self.params.append(f"const long long* {name}")
            self.args.append(("number", at, 0))
            raw = f"__longlong_as_double(*{name})" if stype is float else f"*{name}"
            self.head.append(f"const {TYPE[kind]} s{name} = ({TYPE[kind]})({raw});")
            if kind == "b":
                self.head[-1] = f"const bool s{name} = {raw} != 0;"
            self.numbers[key] = Value(f"s{name}", kind)
        return self.numbers[key]

    def compute(self, n: Node, args: list[Value]) -> Value:
        """The expression of one entry on operands that are there."""
        kind = number_kind(n)
        if n.inputs and not self.x.rounds:
            kind = wide(kind)
        numbers = [(n.scalar_at + k, t, kind) for k, t in enumerate(n.stypes)]
        try:
            return computed(
                n, self.x, args, lambda: [self.number(*a) for a in numbers], self.guards
            )
        except KeyError as missing:
            raise NotCompiled(f"{n.op} ({missing})") from None

    def offsets(self, linear: str, sizes: list[int], tables: list[list[int]]) -> list[str]:
        """Where each table of steps leads to, from the number of an element."""
        sizes, tables = merged(sizes, tables)
        if not sizes:
            return ["0"] * len(tables)
        for t in tables:
            self.most = max(self.most, sum([(n - 1) * abs(s) for n, s in zip(sizes, t)]))
        self.most = max(self.most, prod(sizes))
        if len(sizes) == 1:
            return [_times(linear, t[0]) for t in tables]
        lines = self.f.lines
        at: list[str] = []
        rest = linear
        for d in range(len(sizes) - 1, 0, -1):
            self.x.count += 1
            name = f"d{self.x.count}"
            lines.append(f"const I {name} = {rest} % {sizes[d]};")
            lines.append(f"const I {name}_ = {rest} / {sizes[d]};")
            at.insert(0, name)
            rest = name + "_"
        at.insert(0, rest)
        return [
            " + ".join([_times(a, s) for a, s in zip(at, t, strict=True) if s]) or "0"
            for t in tables
        ]

    def text(self) -> str:
        """The whole kernel."""
        wide_index = self.most >= 1 << 31
        params = list(self.params)
        if self.f.used:
            params.append("int* status")
            self.args.append(("status", 0, 0))
        body = "\n  ".join([*self.head, *self.f.lines])
        return (
            f'extern "C" __global__ void NAME({", ".join(params)}) {{\n'
            f"  typedef {'long long' if wide_index else 'int'} I;\n  {body}\n}}\n"
        )


def _times(a: str, step: int) -> str:
    return "0" if step == 0 else a if step == 1 else f"{a} * {step}"


def blocks(n: int, each: int = BLOCK) -> int:
    """How many blocks go over n elements."""
    return max(1, min(-(-n // each), MOST_BLOCKS))


class ClusterKernel(Kernel):
    """Computes members of a cluster, each where it is needed first."""

    def __init__(self, low: Any, c: Cluster) -> None:
        super().__init__(low.guards)
        self.low, self.c = low, c
        self.rows: dict[Node, Value] | None = None  # values of the row, in kernels over rows
        self.memo: dict[Node, Value] = {}
        self.where: dict[Any, str] = {}  # place -> its offset at the present element

    # Which elements of memory the members read.
    def reads(self, targets: list[Node], seen: set[Node] | None = None) -> list[Place]:
        """The places that computing these members at every element reads."""
        seen = set() if seen is None else seen
        out = []
        for n in targets:
            if n in seen:
                continue
            seen.add(n)
            for i in n.inputs:
                p = place(i, self.low.grouping.places)
                if p.base in self.low.grouping.constants:
                    continue
                level = self.c.level.get(p.base)
                if level == FULL:
                    out += self.reads([p.base], seen)
                elif level is None or self.rows is None:
                    out.append(p)
        return out

    def _operand(self, p: Place, row: bool) -> Value:
        b = p.base
        if b in self.low.grouping.constants:
            kind = kind_of(b)
            assert kind is not None
            v = self.number(b.scalar_at, b.stypes[0], wide(kind))
            return self.x.cast(v, kind)
        level = self.c.level.get(b)
        if level == FULL and not row:
            return self.full(b)
        if level == ROW and self.rows is not None:
            return self.rows[b]
        kind = kind_of(b)
        assert kind is not None
        return self.x.load(f"{self.pointer(b, p.offset)}[{self.where[_key(p)]}]", kind)

    def full(self, n: Node) -> Value:
        """The value of a member at the present element."""
        found = self.memo.get(n)
        if found is None:
            args = [self._operand(p, False) for p in self.low.grouping.operands(n)]
            found = self.memo[n] = self.compute(n, args)
        return found

    def at(self, linear: str, sizes: list[int], dims: list[int], places: list[Place]) -> None:
        """Set where the places are at an element of some dimensions of the domain."""
        unique = {_key(p): p for p in places}
        tables = [[strides_in(p, self.c.shape)[d] for d in dims] for p in unique.values()]
        found = self.offsets(linear, sizes, tables)
        for key, text in zip(unique, found, strict=True):
            before = self.where.get(key)
            self.where[key] = text if before in (None, "0") else f"{before} + {text}"

    def store(self, n: Node, v: Value, where: str, when: str = "") -> None:
        """Write the value of a member, always or when something holds."""
        guard = f"if ({when}) " if when else ""
        self.f.lines.append(f"{guard}{self.pointer(n, made=True)}[{where}] = {self.x.pack(v)};")


def _key(p: Place) -> Any:
    return p.base, p.offset, p.shape, p.strides


def kernels(low: Any, c: Cluster) -> list[Launch]:
    """The launches that compute a cluster without a core."""
    stored = [n for n in c.nodes if n in low.stored]
    out = []
    rows = [n for n in stored if c.level[n] == ROW]
    full = [n for n in stored if c.level[n] == FULL]
    if rows or (full and any([level == ROW for level in c.level.values()])):
        out.append(_rows(low, c, rows, full))
    elif full:
        out.append(_elements(low, c, full))
    for n in stored:
        if c.level[n] == ALL:
            out += _sum_all(low, c, n)
        elif c.level[n] == COLUMN:
            out += _sum_columns(low, c, n)
    return out


def _whole(shape: tuple[int, ...]) -> Place:
    """Where a result that fills the domain lies."""
    return Place(None, 0, shape, contiguous_strides(shape))  # type: ignore[arg-type]


def _elements(low: Any, c: Cluster, full: list[Node]) -> Launch:
    k = ClusterKernel(low, c)
    n = prod(c.shape)
    k.f.lines.append(f"for (I i = blockIdx.x * (I)blockDim.x + threadIdx.x; i < {n}; "
                     "i += (I)gridDim.x * blockDim.x) {")  # fmt: skip
    k.at("i", list(c.shape), list(range(len(c.shape))), k.reads(full))
    for m in full:
        k.store(m, k.full(m), "i")
    k.f.lines.append("}")
    k.most = max(k.most, n + MOST_BLOCKS * BLOCK)
    return Launch(k.text(), k.args, (blocks(n), 1), (BLOCK, 1))


BUSY = 1 << 17  # threads that keep a device busy


def _threads(count: int, length: int) -> int:
    """How many threads have a row of so many: at least a warp, and more where there are few rows.
    Rows that are gone over by few threads, many at a time, would not stay in the cache."""
    each = 32
    while each < 1024 and (length > 16 * each or (count * each < BUSY and length > 4 * each)):
        each *= 2
    return each


def _go_over(length: int, each: int) -> tuple[str, str]:
    """The loop of a thread over its elements of a row, and what says whether there is one. The loop
    is unrolled where they are few: all are on their way at once, and the compiler keeps what it has
    loaded and computed from one pass to the next. For that the last turn loads something always."""
    if length > 16 * each:
        return f"for (I j = threadIdx.x; j < {length}; j += {each}) {{", ""
    turns = -(-length // each)
    begin = f"#pragma unroll\n  for (int t = 0; t < {turns}; t++) {{\n  "
    if length % each == 0:
        return f"{begin}const I j = t * {each} + threadIdx.x;", ""
    inside = f"const bool in = t * {each} + threadIdx.x < {length};"
    return f"{begin}{inside}\n  const I j = in ? t * {each} + threadIdx.x : 0;", "in"


def _stages(c: Cluster, low: Any) -> dict[Node, int]:
    """How many reductions a member of the cluster waits for, one after the other."""
    out: dict[Node, int] = {}
    for n in c.nodes:
        before = [out.get(p.base, 0) for p in low.grouping.operands(n)]
        out[n] = max(before, default=0) + (n.op.name in REDUCTIONS and c.level[n] == ROW)
    return out


def _rows(low: Any, c: Cluster, rows: list[Node], full: list[Node]) -> Launch:
    """The kernel of a cluster in which rows are reduced."""
    k = ClusterKernel(low, c)
    k.rows = {}
    split = list(c.split or ())
    rest = [d for d in range(len(c.shape)) if d not in split]
    count, length = prod([c.shape[d] for d in split]), prod([c.shape[d] for d in rest])
    each = _threads(count, length)
    along = 8 if each == 32 else 1
    lines = k.f.lines
    lines.append(f"const I row = blockIdx.x * (I){along} + threadIdx.y;")
    if along > 1:
        lines.append(f"if (row >= {count}) return;")
    stage = _stages(c, low)
    level = c.level
    row_nodes = [n for n in c.nodes if level[n] == ROW]
    reduced = [n for n in row_nodes if n.op.name in REDUCTIONS]
    sizes, lengths = [c.shape[d] for d in split], [c.shape[d] for d in rest]
    # Where each place begins in this row.
    targets = [*full, *list(reduced)]
    places = {_key(p): p for p in [*k.reads(targets), *([_whole(c.shape)] if full else [])]}
    k.at("row", sizes, split, list(places.values()))
    starts = {}
    for j, (key, text) in enumerate(k.where.items()):
        if text != "0":
            lines.append(f"const I r{j} = {text};")
            text = f"r{j}"
        starts[key] = text
    values = k.rows
    for s in range(max(stage.values(), default=0) + 1):
        for n in row_nodes:  # what follows from the reductions so far
            if stage[n] == s and n not in reduced and n not in values:
                values[n] = _row_value(k, low, n)
        now = [n for n in reduced if stage[n] == s + 1]
        if not now:
            continue
        for n in now:
            kind = _sum_kind(n)
            lines.append(f"{TYPE[kind]} a{reduced.index(n)} = {_first(k, n, kind)};")
        begin, inside = _go_over(length, each)
        lines.append(begin)
        k.memo, k.where = {}, dict(starts)
        k.at("j", lengths, rest, k.reads(now))
        for n in now:
            (p,) = low.grouping.operands(n)
            v = k.x.cast(k._operand(p, False), _sum_kind(n))
            a = f"a{reduced.index(n)}"
            more = f"{FOLD[n.op.name]}::of({a}, {v.name})"
            lines.append(f"{a} = {f'in ? {more} : {a}' if inside else more};")
        lines.append("}")
        for n in now:
            kind, a = _sum_kind(n), f"a{reduced.index(n)}"
            v = k.x.let(f"together<{FOLD[n.op.name]}, {each}>({a})", kind)
            values[n] = k.x.cast(v, kind_of(n) or kind)
    if rows:
        lines.append("if (threadIdx.x == 0) {")
        for n in rows:
            k.store(n, values[n], "row")
        lines.append("}")
    if full:
        begin, inside = _go_over(length, each)
        lines.append(begin)
        k.memo, k.where = {}, dict(starts)
        whole = _whole(c.shape)
        k.at("j", lengths, rest, [*k.reads(full), whole])
        for n in full:
            k.store(n, k.full(n), k.where[_key(whole)], inside)
        lines.append("}")
    k.most = max(k.most, prod(c.shape), count + along)
    return Launch(k.text(), k.args, (-(-count // along), 1), (each, along))


def _sum_kind(n: Node) -> str:
    """The kind in which a reduction is computed."""
    return wide(kind_of(n) or "f32")


def _first(k: Kernel, n: Node, kind: str) -> str:
    """What a reduction begins with."""
    name = n.op.name
    if name in ("sum", "prod"):
        return k.x.const(name == "prod", kind).name
    if kind in ("f32", "f64"):
        return k.x.const(float("-inf" if name == "amax" else "inf"), kind).name
    raise NotCompiled(f"{name} of {kind}")


def _row_value(k: ClusterKernel, low: Any, n: Node) -> Value:
    """A member that has one value for each row."""
    args = []
    for p in low.grouping.operands(n):
        b = p.base
        if c_level := k.c.level.get(b):
            if c_level == ROW:
                assert k.rows is not None
                args.append(k.rows[b])
                continue
        if b in low.grouping.constants:
            args.append(k._operand(p, True))
            continue
        shape = p.shape if n.op.name in COPIES else n.shape
        steps = strides_in(p, shape)
        real = [d for d in range(len(shape)) if shape[d] != 1]
        (text,) = k.offsets("row", [shape[d] for d in real], [[steps[d] for d in real]])
        kind = kind_of(b)
        assert kind is not None
        args.append(k.x.load(f"{k.pointer(b, p.offset)}[{text}]", kind))
    return k.compute(n, args)


def _sum_all(low: Any, c: Cluster, n: Node) -> list[Launch]:
    """A sum over all elements: partial sums of blocks, then their sum."""
    size, kind = prod(c.shape), _sum_kind(n)
    many = max(1, min(-(-size // PER_BLOCK), 1024))
    k = ClusterKernel(low, c)
    lines = k.f.lines
    lines.append(f"{TYPE[kind]} a = {_first(k, n, kind)};")
    lines.append(
        f"for (I i = blockIdx.x * {BLOCK} + threadIdx.x; i < {size}; i += {many * BLOCK}) {{"
    )
    k.at("i", list(c.shape), list(range(len(c.shape))), k.reads([n]))
    (p,) = low.grouping.operands(n)
    lines.append(f"a += {k.x.cast(k._operand(p, False), kind).name};")
    lines.append("}")
    lines.append(f"a = together<Sum, {BLOCK}>(a);")
    k.most = max(k.most, size + many * BLOCK)
    if many == 1:
        v = k.x.cast(Value("a", kind), kind_of(n) or kind)
        lines.append(f"if (threadIdx.x == 0) {k.pointer(n, made=True)}[0] = {k.x.pack(v)};")
        return [Launch(k.text(), k.args, (1, 1), (BLOCK, 1))]
    return partial(k, n, kind, "blockIdx.x", (many, 1), (BLOCK, 1), many, 1)


def partial(
    k: Kernel, n: Node, kind: str, at: str, grid: Any, block: Any, many: int, columns: int
) -> list[Launch]:
    """The launch that writes partial sums to scratch memory, and the one that adds them up."""
    who = "threadIdx.x == 0" if columns == 1 else "threadIdx.y == 0"
    k.params.append(f"{TYPE[kind]}* __restrict__ part")
    k.args.append(("scratch", n, 0))
    k.f.lines.append(f"if ({who}) part[{at}] = a;")
    first = Launch(k.text(), k.args, grid, block)
    room = {("scratch", n): many * columns * (4 if kind == "f32" else 8)}
    first.room = room
    s = Kernel({})
    s.params.append(f"const {TYPE[kind]}* __restrict__ part")
    s.args.append(("scratch", n, 0))
    lines = s.f.lines
    if columns == 1:
        lines.append(f"{TYPE[kind]} a = 0;")
        lines.append(f"for (I i = threadIdx.x; i < {many}; i += {BLOCK}) a += part[i];")
        lines.append(f"a = together<Sum, {BLOCK}>(a);")
        where, guard = "0", "if (threadIdx.x == 0) "
        launch = ((1, 1), (BLOCK, 1))
    else:
        lines.append("const I c = blockIdx.x * 32 + threadIdx.x;")
        lines.append(f"{TYPE[kind]} a = 0;")
        lines.append("#pragma unroll 4")
        each = f"for (I i = threadIdx.y; i < {many}; i += 8) a += part[i * {columns} + c];"
        lines.append(f"if (c < {columns}) {each}")
        _eight(lines, kind)
        where, guard = "c", f"if (threadIdx.y == 0 && c < {columns}) "
        launch = ((-(-columns // 32), 1), (32, 8))
    s.most = (many + 8) * columns + 64
    v = s.x.cast(Value("a", kind), kind_of(n) or kind)
    lines.append(f"{guard}{s.pointer(n, made=True)}[{where}] = {s.x.pack(v)};")
    second = Launch(s.text(), s.args, *launch)
    second.room = room
    return [first, second]


def _eight(lines: list[str], kind: str) -> None:
    """Add up what the eight threads of each column have, in the first of them."""
    lines.append(f"__shared__ {TYPE[kind]} side[8][32];")
    lines.append("side[threadIdx.y][threadIdx.x] = a;")
    lines.append("__syncthreads();")
    lines.append("if (threadIdx.y == 0) for (int k = 1; k < 8; k++) a += side[k][threadIdx.x];")


def split_rows(rows: int, columns: int) -> tuple[int, int]:
    """Over how many blocks rows are divided that are added up in columns, and how many each has."""
    many = max(1, min(-(-rows // PER_COLUMN), -(-FILLED // -(-columns // 32)), 256))
    each = -(-rows // many)
    return -(-rows // each), each


def _sum_columns(low: Any, c: Cluster, n: Node) -> list[Launch]:
    """A sum over the leading dimensions: threads side by side have columns side by side."""
    kind = _sum_kind(n)
    dims = n.params[0]
    (p,) = low.grouping.operands(n)
    gone = [d for d in range(len(c.shape)) if d in dims]
    kept = [d for d in range(len(c.shape)) if d not in dims]
    rows, columns = prod([c.shape[d] for d in gone]), prod([c.shape[d] for d in kept])
    many, each = split_rows(rows, columns)
    k = ClusterKernel(low, c)
    lines = k.f.lines
    lines.append("const I c = blockIdx.x * 32 + threadIdx.x;")
    lines.append(f"{TYPE[kind]} a = {_first(k, n, kind)};")
    lines.append(f"if (c < {columns}) {{")
    places = k.reads([n])
    k.at("c", [c.shape[d] for d in kept], kept, places)
    lines.append(f"const I end = min((I){rows}, (I)(blockIdx.y + 1) * {each});")
    lines.append("#pragma unroll 4")
    lines.append(f"for (I r = blockIdx.y * (I){each} + threadIdx.y; r < end; r += 8) {{")
    k.at("r", [c.shape[d] for d in gone], gone, places)
    lines.append(f"a += {k.x.cast(k._operand(p, False), kind).name};")
    lines.append("}\n  }")
    _eight(lines, kind)
    lines.append(f"if (c >= {columns}) return;")
    k.most = max(k.most, prod(c.shape), rows + 8 * each)
    grid, block = (-(-columns // 32), many), (32, 8)
    if many == 1:
        v = k.x.cast(Value("a", kind), kind_of(n) or kind)
        where = k.pointer(n, made=True)
        lines.append(f"if (threadIdx.y == 0) {where}[c] = {k.x.pack(v)};")
        return [Launch(k.text(), k.args, grid, block)]
    return partial(k, n, kind, f"blockIdx.y * (I){columns} + c", grid, block, many, columns)


__all__ = ["BLOCK", "COPIES", "ClusterKernel", "Kernel", "Launch", "NotCompiled", "blocks"]
__all__ += ["bounded", "kernels", "partial", "split_rows"]
