"""What every part of the maker of programs builds on: choices, literals, names."""

from __future__ import annotations

import random

import numpy as np

FLOATS = ("float64", "float32")
ORDER = (
    *("bool", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"),
    *("complex64", "complex128"),
)


class Var:
    """What is known of a name while the program is made."""

    __slots__ = ("dtype", "hooked", "leaf", "name", "rg", "shape")

    def __init__(self, name, shape, dtype, rg=False, leaf=False):
        self.name, self.shape, self.dtype, self.rg, self.leaf = name, tuple(shape), dtype, rg, leaf
        self.hooked = False


class Maker:
    """Draws from one seeded generator; follows shapes and dtypes, not values."""

    def __init__(self, seed: int) -> None:
        self.r = random.Random(seed)
        self.seed = seed
        self.vars: list[Var] = []
        self.arrays: list[Var] = []
        self.handles = 0
        self.steps: list[str] = []
        self.count = 0
        self.grad = True

    # Small choices.
    def chance(self, p: float) -> bool:
        return self.r.random() < p

    def choice(self, *options):
        return self.r.choice(options)

    def num(self) -> float:
        return self.choice(-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 0.25)

    def scalar(self, v: Var) -> str:
        """A number that can be written to v, mostly."""
        if v.dtype == "bool" and self.chance(0.8):
            return self.choice("True", "False")
        if v.dtype == "int64" and self.chance(0.9):
            return str(self.r.randint(-3, 3))
        return repr(self.num()) if self.chance(0.8) else str(self.r.randint(-2, 3))

    def dim(self, rank: int) -> int:
        """A dimension, seldom one too large."""
        n = rank or 1
        return self.r.randint(-n, n - 1) if self.chance(0.97) else n

    def shape(self) -> tuple[int, ...]:
        rank = self.choice(0, 1, 1, 2, 2, 2, 2, 3)
        return tuple(
            self.choice(1, 2, 2, 3, 3, 4, 0 if self.chance(0.3) else 2) for _ in range(rank)
        )

    # Literals.
    def values(self, shape: tuple[int, ...], dtype: str) -> str:
        n = int(np.prod(shape))
        if dtype == "int64":
            flat = [self.r.randint(-4, 4) for _ in range(n)]
        elif dtype == "bool":
            flat = [self.chance(0.5) for _ in range(n)]
        else:
            flat = [round(self.r.uniform(-2, 2), 2) or 0.5 for _ in range(n)]
        return repr(np.array(flat, object).reshape(shape).tolist())

    def literal(self, shape: tuple[int, ...], dtype: str) -> str:
        if 0 in shape:  # an empty list forgets the dimensions after the first empty one
            return f"torch.zeros({list(shape)}, dtype=torch.{dtype})"
        return f"torch.tensor({self.values(shape, dtype)}, dtype=torch.{dtype})"

    def mask(self, shape: tuple[int, ...]) -> str:
        return self.literal(shape, "bool")

    # Names.
    def pick(self, **want) -> Var:
        """A name; the wishes narrow the choice where possible."""
        pool = self.vars
        for key, value in want.items():
            if key == "rg":
                narrowed = [v for v in pool if v.rg]
            elif key == "leaf":
                narrowed = [v for v in pool if v.rg and v.leaf]
            elif key == "rank":
                narrowed = [v for v in pool if len(v.shape) >= value]
            elif key == "float":
                narrowed = [v for v in pool if v.dtype in FLOATS]
            elif key == "dtype":
                narrowed = [v for v in pool if v.dtype == value]
            else:  # write: leaves that require grad refuse
                narrowed = [v for v in pool if not (v.rg and v.leaf)]
            if narrowed and self.chance(0.95):
                pool = narrowed
        if self.chance(0.6):  # rather what came last
            pool = pool[-6:]
        return self.r.choice(pool)

    def like(self, v: Var, shape=None) -> str:
        """An operand of v's dtype and of just this shape."""
        shape = v.shape if shape is None else tuple(shape)
        same = [o.name for o in self.vars if o.shape == shape and o.dtype == v.dtype]
        return self.r.choice(same) if same and self.chance(0.7) else self.literal(shape, v.dtype)

    def other(self, v: Var) -> str:
        """An operand that (mostly) broadcasts to v."""
        if self.chance(0.04):
            o = self.r.choice(self.vars)
            if v.dtype in FLOATS or not o.rg:  # a bool with a history is nobody's business
                return o.name
        fits = [
            o
            for o in self.vars
            if fits_in(o.shape, v.shape) and (v.dtype in FLOATS or o.dtype not in FLOATS)
        ]
        if fits and self.chance(0.8):
            o = self.r.choice(fits)
            return o.name if o.dtype == v.dtype else f"{o.name}.clone()"
        shape = list(v.shape)[self.r.randint(0, len(v.shape)) :]
        return self.literal(tuple(1 if self.chance(0.2) else n for n in shape), v.dtype)

    def named(self, name: str) -> Var | None:
        name = name.removesuffix(".clone()")
        return next((v for v in self.vars if v.name == name), None)

    # Statements.
    def add(self, source: str, shape, dtype: str, rg: bool, leaf: bool = False) -> Var:
        """Name a new tensor."""
        v = Var(f"v{self.count}", shape, dtype, rg, leaf)
        self.count += 1
        self.steps.append(f"{v.name} = {source}")
        self.vars.append(v)
        return v

    def result(self, v: Var, source: str, dummy, rg=None, dtype=None) -> None:
        """Name what comes of v; a source whose shape rule fails is a wrong statement."""
        try:
            shape = dummy(np.empty(v.shape)).shape
        except Exception:
            if self.chance(0.5):
                self.do(source)
            return
        self.add(source, shape, dtype or v.dtype, v.rg if rg is None else rg)

    def do(self, source: str) -> None:
        """A statement for its effect, at times while gradients are not recorded."""
        if self.grad and self.chance(0.1) and "backward" not in source:
            source = f"with torch.no_grad(): {source}"
        self.steps.append(source)

    def wrote(self, v: Var, *operands: str | None) -> None:
        """After a write: v requires grad if an operand does."""
        if self.grad and any(o is not None and (w := self.named(o)) and w.rg for o in operands):
            v.rg, v.leaf = True, False


def fits_in(small: tuple[int, ...], big: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(small, big) == big
    except ValueError:
        return False


def joined(*dtypes: str) -> str:
    """The dtype of an operation on tensors of these."""
    return max(dtypes, key=ORDER.index)
