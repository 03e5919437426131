"""Complex numbers on the device: a program of complex values as one of their two real parts.

Kernels know real numbers. This pass goes over the entries of a program that has complex values and
gives each of those two real ones: an operand in memory is seen as real numbers two by two, sums and
everything that moves elements are done to both parts, products and elementary functions are written
with real operations (`analytic.py`). So a chain of complex operations is one kernel like any other.
A result is put together as it is stored (`PAIR`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula import dtypes
from facula.compiler.assembly import ASSEMBLE
from facula.cpu.text import NotCompiled
from facula.interpreter.program import PASSES
from facula.ops.creation import FULL
from facula.ops.movement import EXPAND, RESHAPE, SLICE
from facula.ops.pointwise import CAST
from facula.ops.registry import PRIMITIVES
from facula.trace.node import ASSIGN, INPUT, Node, contiguous_strides

Parts = tuple[Node, Node]
# What the two parts of a number are together, where they are stored; `builder.KINDS` has them too.
STORED = {
    dtypes.complex64: dtypes.named("pair64", dtypes.INT, 8),
    dtypes.complex128: dtypes.named("pair128", dtypes.INT, 16),
}
# Operations that do to a complex value what they do to each of its parts.
APART = frozenset(
    (
        *("add", "sub", "neg", "where", "copy", "triangle", "sum", "cumsum", "clone"),
        *("permute", "reshape", "expand", "slice", "diagonal", "unfold", "flip", "flatten_copy"),
        *("slice_scatter", "diagonal_scatter", "as_strided_scatter", "unfold_scatter", "cat"),
        *("gather", "scatter", "scatter_add", "index", "index_put", "index_put_accumulate"),
        *("unfold_backward", "as_strided_add", "write_through", "im2col", "col2im"),
    )
)
# The same with a number that is real; by what they are made of for one that is complex.
BY_NUMBER = {
    "mul_s": "mul",
    "scale": "mul",
    "div_s": "div",
    "over": "div",
    "lerp_from": None,
    "lerp_back": None,
}
BILINEAR = ("matmul", "conv", "conv_input", "conv_weight")


class Pairs:
    """Goes over entries. `numbers` are those that it needs besides the program's `count`: what is
    taken of one of those (its position, a function), or a number of its own (None, the number)."""

    def __init__(self, scalars: Any, count: int) -> None:
        self.scalars, self.count = scalars, count
        self.entries: list[Node] = []
        self.numbers: list[tuple[Any, Any]] = []
        self.guards: dict[int, Any] = {}
        self.known: dict[Node, Node] = {}  # what a real value has become
        self.parts: dict[Node, Parts] = {}
        self.wholes: dict[Node, Node] = {}  # both parts side by side in memory, where they are that
        self.constants: dict[Any, Node] = {}
        self.index = -1

    # Making entries.
    def put(self, op: Any, inputs: tuple[Node, ...], like: Node | None = None, **more: Any) -> Node:
        """An entry. `like`: whose parameters and Python numbers it has."""
        if isinstance(op, str):
            op = PRIMITIVES[op]
        params = more.get("params", like.params if like is not None else ())
        stypes = more.get("stypes", like.stypes if like is not None else ())
        if "shape" in more:
            shape, dtype = more["shape"], more["dtype"]
        else:
            shape, dtype, _, _ = op.infer(params, stypes, *inputs)
        made = Node(op, shape, dtype)
        made.params, made.stypes, made.inputs = params, stypes, inputs
        made.scalar_at = more.get("at", like.scalar_at if like is not None else 0)
        made.a = inputs[0] if inputs else None
        made.b = inputs[1] if len(inputs) > 1 else None
        made.index = self.index
        self.entries.append(made)
        return made

    def f(self, name: str, *inputs: Node) -> Node:
        """An operation that has operands alone."""
        return self.put(name, inputs)

    def cast(self, a: Node, dtype: Any) -> Node:
        """A real value converted."""
        return a if a.dtype is dtype else self.put(CAST, (a,), params=dtype)

    def number(self, number: float, dtype: Any) -> Node:
        """A constant, without dimensions."""
        key = repr(float(number)), dtype
        found = self.constants.get(key)
        if found is None:
            found = self.constants[key] = self._constant((None, float(number)), dtype, ())
        return found

    def _constant(self, what: tuple[Any, Any], dtype: Any, shape: tuple[int, ...]) -> Node:
        at = self.count + len(self.numbers)
        self.numbers.append(what)
        return self.put(
            FULL, (), params=(shape, dtype), stypes=(float,), at=at, shape=shape, dtype=dtype
        )

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Node:
        """Zeros of a shape."""
        return self._constant((None, 0.0), dtype, shape)

    def scalar(self, n: Node, k: int = 0, shape: tuple[int, ...] = ()) -> Parts:
        """A Python number of an entry, by its parts."""
        dtype, at, t = n.dtype.to_real(), n.scalar_at + k, n.stypes[k]
        if t is complex:
            real = self._constant((at, _real), dtype, shape)
            return real, self._constant((at, _imag), dtype, shape)
        real = self.put(
            FULL, (), params=(shape, dtype), stypes=(t,), at=at, shape=shape, dtype=dtype
        )
        return real, self.zeros(shape, dtype)

    def known_number(self, n: Node) -> Any:
        """A Python number of an entry, for which alone the program is then good."""
        found = self.guards[n.scalar_at] = self.scalars[n.scalar_at]
        return found

    def widened(self, a: Node, shape: tuple[int, ...]) -> Node:
        """A value of a shape, repeated where it is smaller."""
        return a if a.shape == shape else self.put(EXPAND, (a,), params=shape)

    # What values have become.
    def real(self, n: Node) -> Node:
        """A value that is real."""
        return self.known.get(n, n)

    def of(self, n: Node) -> Parts:
        """The parts of a value, of a real one too."""
        if not n.dtype.is_complex:
            a = self.real(n)
            return a, self.zeros(a.shape, a.dtype)
        found = self.parts.get(n)
        if found is None:
            assert n.op is INPUT
            real = n.dtype.to_real()
            steps = n.strides
            if steps is not None:
                steps = (*[2 * s for s in steps], 1)
            whole = Node(INPUT, (*n.shape, 2), real, steps, device=n.device)
            whole.index = n.index
            found = self.parts[n] = self.halves(whole)
            if steps is None:
                self.wholes[n] = whole
        return found

    def halves(self, whole: Node) -> Parts:
        """The parts that lie side by side in the last dimension."""
        every = tuple([(0, m, 1) for m in whole.shape[:-1]])
        made = [self.put(SLICE, (whole,), params=(*every, k)) for k in (0, 1)]
        return made[0], made[1]

    def joined(self, n: Node) -> Node:
        """Both parts side by side in a new last dimension."""
        a, b = self.of(n)
        found = self.wholes.get(n)
        if found is None:
            shape = (*n.shape, 2)
            steps = tuple([2 * s for s in contiguous_strides(n.shape)])
            regions = (
                (shape, contiguous_strides(shape), 0),
                *[(n.shape, steps, k) for k in (0, 1)],
            )
            found = self.put(ASSEMBLE, (a, b), params=regions, shape=shape, dtype=a.dtype)
            self.wholes[n] = found
        return found

    # Going over a program.
    def visit(self, n: Node) -> None:
        """Add what an entry has become."""
        self.index = n.index
        if n.op is ASSIGN or n.op.name in PASSES:
            of = n.b if n.op is ASSIGN else n.a
            table: Any = self.parts if n.dtype.is_complex else self.known
            value = self.of(of) if n.dtype.is_complex else self.real(of)
            if of.shape != n.shape:
                raise NotCompiled(f"{n.op.name} of another shape")
            table[n] = value
            if of in self.wholes:
                self.wholes[n] = self.wholes[of]
            return
        if not n.dtype.is_complex and not any([i.dtype.is_complex for i in n.inputs]):
            inputs = tuple([self.real(i) for i in n.inputs])
            if all([a is b for a, b in zip(inputs, n.inputs)]):
                self.entries.append(n)
            else:
                self.known[n] = self.put(n.op, inputs, n, shape=n.shape, dtype=n.dtype)
            return
        made = self._rule(n)
        if n.dtype.is_complex:
            self.parts[n] = self.widened(made[0], n.shape), self.widened(made[1], n.shape)
        else:
            self.known[n] = made

    def _rule(self, n: Node) -> Any:
        name = n.op.name
        if name in ("full", "fill"):
            return self.scalar(n, 0, n.shape)
        if name in BY_NUMBER and n.stypes[0] is not complex:
            return self._both(n)
        if name in APART:
            return self._both(n)
        rule = RULES.get(name)
        if rule is None:
            raise NotCompiled(f"{n.op} of complex numbers")
        return rule(self, n)

    def _both(self, n: Node) -> Parts:
        table = [self.of(i) if i.dtype.is_complex else (self.real(i),) * 2 for i in n.inputs]
        made = [self.put(n.op, tuple([t[k] for t in table]), n) for k in (0, 1)]
        return made[0], made[1]

    def result(self, n: Node) -> Node:
        """A node that is what a result of the program has become, laid out as that."""
        if not n.dtype.is_complex:
            made = self.real(n)
            if made is n:
                return n
        else:
            a, b = self.of(n)
            whole = self.wholes.get(n)
            if whole is not None and n.strides is None and whole.op is not INPUT:
                return whole
            made = self.put(PAIR, (a, b), shape=n.shape, dtype=STORED[n.dtype])
        out = Node(PRIMITIVES["self"], n.shape, made.dtype, n.strides)
        out.inputs, out.a, out.index = (made,), made, n.index
        self.entries.append(out)
        return out


class _Pair:
    """Puts two parts together as a complex number is stored."""

    name = "pair"
    view = rounds = False
    pointwise = True


PAIR = _Pair()


def _real(x: Any) -> float:
    return float(x.real)


def _imag(x: Any) -> float:
    return float(x.imag)


def is_complex(n: Node) -> bool:
    """Whether an entry has to do with complex numbers."""
    return n.dtype.is_complex or any([i.dtype.is_complex for i in n.inputs])


def separated(
    entries: list[Node], roots: list[Node], scalars: Any, count: int
) -> tuple[list[Node], list[Node], Pairs | None]:
    """The entries and results of a program without complex numbers; None: it had none.
    NotCompiled, with the entry as its second argument, for one that has no rule."""
    if not any([is_complex(n) for n in entries]) and not any([n.dtype.is_complex for n in roots]):
        return entries, roots, None
    p = Pairs(scalars, count)
    for n in entries:
        try:
            p.visit(n)
        except NotCompiled as why:
            raise NotCompiled(str(why), n) from None
    roots = [p.result(n) for n in roots]
    return p.entries, roots, p


def alone(n: Node) -> list[Node] | None:
    """What an entry with complex numbers becomes by itself; None: it has no rule."""
    inputs = []
    for k, i in enumerate(n.inputs):
        stand = Node(INPUT, i.shape, i.dtype, i.strides, device=i.device)
        stand.index = k
        inputs.append(stand)
    made = Node(n.op, n.shape, n.dtype, n.strides)
    made.params, made.stypes, made.scalar_at = n.params, n.stypes, n.scalar_at
    made.inputs = tuple(inputs)
    made.a = inputs[0] if inputs else None
    made.b = inputs[1] if len(inputs) > 1 else None
    try:
        return separated([made], [made], _Any(), n.scalar_at + len(n.stypes))[0]
    except NotCompiled:
        return None


class _Any:
    """Stands for numbers that are not known yet."""

    def __getitem__(self, at: int) -> float:
        return 2.5


# Rules: functions of the pass and an entry, for the value or its parts.
Rule = Callable[[Pairs, Node], Any]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """The rule of some operations."""

    def register(f: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, f))
        return f

    return register


@rule("real_view", "real")
def _real_part(p: Pairs, n: Node) -> Node:
    return p.of(n.inputs[0])[0]


@rule("imag_view", "imag")
def _imag_part(p: Pairs, n: Node) -> Node:
    return p.of(n.inputs[0])[1]


@rule("view_as_real")
def _view_as_real(p: Pairs, n: Node) -> Node:
    return p.joined(n.inputs[0])


@rule("view_as_complex")
def _view_as_complex(p: Pairs, n: Node) -> Parts:
    return p.halves(p.real(n.inputs[0]))


@rule("complex")
def _complex(p: Pairs, n: Node) -> Parts:
    return p.real(n.inputs[0]), p.real(n.inputs[1])


@rule("conj", "conj_physical")
def _conj(p: Pairs, n: Node) -> Parts:
    a, b = p.of(n.inputs[0])
    return a, p.f("neg", b)


@rule("to")
def _to(p: Pairs, n: Node) -> Any:
    of = n.inputs[0]
    if n.dtype.is_complex:
        real = n.dtype.to_real()
        if of.dtype.is_complex:
            a, b = p.of(of)
            return p.cast(a, real), p.cast(b, real)
        return p.cast(p.real(of), real), p.zeros(n.shape, real)
    a, b = p.of(of)
    if n.dtype is dtypes.bool:
        return p.f("bitwise_or", p.cast(a, n.dtype), p.cast(b, n.dtype))
    return p.cast(a, n.dtype)


@rule("add_s", "sub_s", "rsub_s")
def _plus_number(p: Pairs, n: Node) -> Parts:
    a, b = p.of(n.inputs[0])
    if n.stypes[0] is not complex:
        return p.put(n.op, (a,), n), p.f("neg", b) if n.op.name == "rsub_s" else b
    s, t = p.scalar(n)
    if n.op.name == "rsub_s":
        return p.f("sub", s, a), p.f("sub", t, b)
    how = n.op.name[:3]
    return p.f(how, a, s), p.f(how, b, t)


@rule("eq", "ne", "eq_s", "ne_s")
def _compare(p: Pairs, n: Node) -> Node:
    (a, b), (c, d) = [
        p.of(n.inputs[0]),
        p.of(n.inputs[1]) if len(n.inputs) > 1 else _of_input(p, n),
    ]
    how = n.op.name[:2]
    return p.f("bitwise_and" if how == "eq" else "bitwise_or", p.f(how, a, c), p.f(how, b, d))


def _of_input(p: Pairs, n: Node) -> Parts:
    """The number of a comparison, in the operand's precision."""
    like = Node(n.op, (), n.inputs[0].dtype)
    like.scalar_at, like.stypes = n.scalar_at, n.stypes
    return p.scalar(like)


@rule("logical_not", "isnan")
def _of_both(p: Pairs, n: Node) -> Node:
    made = [p.f(n.op.name, x) for x in p.of(n.inputs[0])]
    return p.f("bitwise_and" if n.op.name == "logical_not" else "bitwise_or", *made)


@rule("any", "all")
def _truth(p: Pairs, n: Node) -> Node:
    a, b = [p.cast(x, dtypes.bool) for x in p.of(n.inputs[0])]
    return p.put(n.op, (p.f("bitwise_or", a, b),), n)


@rule(*BILINEAR)
def _bilinear(p: Pairs, n: Node) -> Parts:
    (a, b), (c, d) = [p.of(i) for i in n.inputs]

    def times(x: Node, y: Node) -> Node:
        return p.put(n.op, (x, y), n)

    return p.f("sub", times(a, c), times(b, d)), p.f("add", times(a, d), times(b, c))


@rule("as_strided")
def _as_strided(p: Pairs, n: Node) -> Parts:
    of = n.inputs[0]
    p.of(of)
    whole = p.wholes.get(of)
    if whole is None:
        return p._both(n)
    size, strides, offset = n.params[:3]
    steps = tuple([2 * s for s in strides])
    made = [p.put(n.op, (whole,), params=(size, steps, 2 * offset + k)) for k in (0, 1)]
    return made[0], made[1]


@rule("prod", "cumprod")
def _product(p: Pairs, n: Node) -> Parts:
    """Products of a line: of pairs of its elements, of pairs of those, and so on."""
    from facula.cuda.analytic import times

    a, b = p.of(n.inputs[0])
    rank = len(a.shape)
    dims = n.params[0] if n.op.name == "prod" else n.params
    gone = [d for d in range(rank) if d in dims]
    kept = [d for d in range(rank) if d not in dims]
    order = (*kept, *gone)
    long = 1
    for d in gone:
        long *= a.shape[d]
    flat = (*[a.shape[d] for d in kept], long)

    def lined(x: Node) -> Node:
        return p.put(RESHAPE, (p.put("permute", (x,), params=order),), params=flat)

    z = lined(a), lined(b)

    def part(x: Node, begin: int, count: int, step: int = 1) -> Node:
        every = tuple([(0, m, 1) for m in flat[:-1]])
        return p.put(SLICE, (x,), params=(*every, (begin, count, step)))

    if n.op.name == "cumprod":
        reach = 1
        while reach < long:
            rest = times(
                p,
                (part(z[0], reach, long - reach), part(z[1], reach, long - reach)),
                (part(z[0], 0, long - reach), part(z[1], 0, long - reach)),
            )
            z = tuple(  # type: ignore[assignment]
                [
                    p.put("cat", (part(x, 0, reach), r), params=len(flat) - 1)
                    for x, r in zip(z, rest, strict=True)
                ]
            )
            reach *= 2
        back = [0] * rank
        for k, d in enumerate(order):
            back[d] = k
        shaped = tuple([a.shape[d] for d in order])
        made = [
            p.put("permute", (p.put(RESHAPE, (x,), params=shaped),), params=tuple(back)) for x in z
        ]
        return made[0], made[1]
    if long == 0:
        one = p.number(1.0, a.dtype)
        return p.widened(one, n.shape), p.zeros(n.shape, a.dtype)
    while long > 1:
        half, odd = long // 2, long % 2
        w = times(
            p,
            (part(z[0], 0, half), part(z[1], 0, half)),
            (part(z[0], half, half), part(z[1], half, half)),
        )
        if odd:
            w = tuple(  # type: ignore[assignment]
                [
                    p.put("cat", (x, part(y, long - 1, 1)), params=len(flat) - 1)
                    for x, y in zip(w, z, strict=True)
                ]
            )
        z, long = w, half + odd
    made = [p.put(RESHAPE, (x,), params=n.shape) for x in z]
    return made[0], made[1]


__all__ = ["PAIR", "STORED", "Pairs", "Parts", "alone", "is_complex", "rule"]
__all__ += ["separated"]
