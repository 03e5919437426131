"""Random programs over tensors that share memory, as plain data.

A program is {"seed", "bases", "steps"}: statements of Python over the names `v0`, `v1`, ... and
`torch`. A base is a statement that makes a tensor; every step is one statement. Statements are
plain text, so a program can be stored, shortened by leaving steps out, and read.

The maker follows shapes and dtypes (not values), so that most steps are valid; some are wrong on
purpose, because what fails, and that nothing changes then, is compared too.
"""

from __future__ import annotations

import random

import numpy as np

FLOATS = ("float64", "float32")
_NP = {"float64": "f8", "float32": "f4", "int64": "i8", "bool": "?"}


class Var:
    """What is known of a name while the program is made."""

    __slots__ = ("dtype", "leaf", "name", "rg", "shape")

    def __init__(self, name, shape, dtype, rg=False, leaf=False):
        self.name, self.shape, self.dtype, self.rg, self.leaf = name, tuple(shape), dtype, rg, leaf


def make(seed: int) -> dict:
    """The program of a seed."""
    return Maker(seed).program()


class Maker:
    """Makes one program."""

    def __init__(self, seed: int) -> None:
        self.r = random.Random(seed)
        self.seed = seed
        self.vars: list[Var] = []
        self.steps: list[str] = []
        self.count = 0
        self.grad = True

    # Small choices.
    def chance(self, p: float) -> bool:
        return self.r.random() < p

    def num(self) -> float:
        return self.r.choice([-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 0.25])

    def scalar(self, v: Var) -> str:
        if v.dtype == "int64" and self.chance(0.8):
            return str(self.r.randint(-3, 3))
        return repr(self.num()) if self.chance(0.8) else str(self.r.randint(-2, 3))

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
        text = f"torch.tensor({self.values(shape, dtype)}, dtype=torch.{dtype})"
        # An empty list forgets the dimensions after the first empty one.
        return text if 0 not in shape else f"torch.zeros({list(shape)}, dtype=torch.{dtype})"

    def shape(self) -> tuple[int, ...]:
        rank = self.r.choice([0, 1, 1, 2, 2, 2, 2, 3])
        return tuple(
            self.r.choice([1, 2, 2, 3, 3, 4, 0 if self.chance(0.3) else 2]) for _ in range(rank)
        )

    def pick(self, **want) -> Var:
        """A name; `rg`, `rank`, `float`, `write` narrow the choice where possible."""
        pool = self.vars
        for key, value in want.items():
            if key == "rg":
                narrowed = [v for v in pool if v.rg]
            elif key == "rank":
                narrowed = [v for v in pool if len(v.shape) >= value]
            elif key == "float":
                narrowed = [v for v in pool if v.dtype in FLOATS]
            elif key == "dtype":
                narrowed = [v for v in pool if v.dtype == value]
            else:  # write: leaves that require grad refuse
                narrowed = [v for v in pool if not (v.rg and v.leaf)]
            if narrowed and self.chance(0.93):
                pool = narrowed
        if self.chance(0.6):  # rather what came last
            pool = pool[-6:]
        return self.r.choice(pool)

    def other(self, v: Var) -> str:
        """An operand that (mostly) broadcasts to v."""
        if self.chance(0.05):
            return self.r.choice(self.vars).name
        fits = [
            o
            for o in self.vars
            if _fits(o.shape, v.shape) and (v.dtype in FLOATS or o.dtype not in FLOATS)
        ]
        if fits and self.chance(0.8):
            return self.r.choice(fits).name
        shape = list(v.shape)[self.r.randint(0, len(v.shape)) :]
        shape = tuple(1 if self.chance(0.2) else n for n in shape)
        return self.literal(shape, v.dtype)

    def add(self, source: str, shape, dtype: str, rg: bool, leaf: bool = False) -> Var:
        v = Var(f"v{self.count}", shape, dtype, rg, leaf)
        self.count += 1
        self.steps.append(f"{v.name} = {source}")
        self.vars.append(v)
        return v

    def do(self, source: str) -> None:
        if self.grad and self.chance(0.12) and "backward" not in source:
            source = f"with torch.no_grad(): {source}"
        self.steps.append(source)

    def program(self) -> dict:
        for _ in range(self.r.choice([1, 1, 2, 2, 3, 4])):
            shape = self.shape()
            dtype = self.r.choice(["float64"] * 14 + ["float32"] * 2 + ["int64"] * 2 + ["bool"])
            rg = dtype in FLOATS and self.chance(0.5)
            source = self.literal(shape, dtype)
            if rg:
                source += ".requires_grad_()"
            self.add(source, shape, dtype, rg, rg)
        bases, self.steps = self.steps, []
        if any(v.rg for v in self.vars) and self.chance(0.8):  # a first result with a history
            v = next(v for v in self.vars if v.rg)
            self.add(
                self.r.choice(
                    [
                        f"{v.name} * 2",
                        f"{v.name}.clone()",
                        f"{v.name} * {v.name}",
                        f"{v.name}.exp()",
                    ]
                ),
                v.shape,
                v.dtype,
                True,
            )
        for _ in range(self.r.randint(5, 40)):
            getattr(self, self.r.choice(KINDS))()
        return {"seed": self.seed, "bases": bases, "steps": self.steps}

    # Views.
    def view(self) -> None:
        v = self.pick()
        getattr(self, "view_" + self.r.choice(VIEWS))(v)

    def result(self, v: Var, source: str, dummy, rg=None) -> None:
        """Name a view; a source whose shape rule failed is a wrong statement."""
        try:
            shape = dummy(np.empty(v.shape)).shape
        except Exception:
            if self.chance(0.5):
                self.do(source)
            return
        self.add(source, shape, v.dtype, v.rg if rg is None else rg)

    def basic(self, v: Var, integers: bool = True) -> str:
        """A basic index as text."""
        parts, d = [], 0
        rank = len(v.shape)
        stop = self.r.randint(0, rank) if self.chance(0.5) else rank
        while d < stop:
            n = v.shape[d]
            c = self.r.random()
            if c < 0.3 and integers:
                k = self.r.randint(-n, n - 1) if n and self.chance(0.97) else n
                parts.append(str(k))
                d += 1
            elif c < 0.72:
                a = self.r.choice(["", "", str(self.r.randint(-n - 1, n))])
                b = self.r.choice(["", "", str(self.r.randint(-n - 1, n + 1))])
                s = self.r.choice(["", "", "", ":2", ":1", ":3"])
                parts.append(f"{a}:{b}{s}")
                d += 1
            elif c < 0.82 and "..." not in parts:
                parts.append("...")
                stop = min(stop, rank)
                left = rank - d
                used = self.r.randint(0, left)
                d += left - used
            elif c < 0.9:
                parts.append("None")
            else:
                parts.append(":")
                d += 1
        return ", ".join(parts) or self.r.choice(["...", "None", "()"])

    def view_index(self, v: Var) -> None:
        i = self.basic(v)
        self.result(v, f"{v.name}[{i}]", lambda a: eval(f"a[{i}]", {"a": a}))

    def view_t(self, v: Var) -> None:
        self.result(
            v,
            v.name + self.r.choice([".t()", ".T"] if len(v.shape) == 2 else [".t()"]),
            lambda a: a.transpose() if a.ndim < 3 else 1 / 0,
        )

    def dim(self, rank: int) -> int:
        n = rank or 1
        return self.r.randint(-n, n - 1) if self.chance(0.97) else n

    def view_transpose(self, v: Var) -> None:
        i, j = self.dim(len(v.shape)), self.dim(len(v.shape))
        name = self.r.choice(["transpose", "swapaxes"])
        self.result(v, f"{v.name}.{name}({i}, {j})", lambda a: a.swapaxes(i, j) if a.ndim else a)

    def view_permute(self, v: Var) -> None:
        p = list(range(len(v.shape)))
        self.r.shuffle(p)
        self.result(v, f"{v.name}.permute({p})", lambda a: a.transpose(p))

    def view_view(self, v: Var) -> None:
        n = int(np.prod(v.shape))
        shapes = [[n], [1, n], [n, 1], list(reversed(v.shape))]
        shapes += [[k, n // k] for k in (2, 3, 4) if n % k == 0]
        s = self.r.choice(shapes)
        given = list(s)
        if self.chance(0.3) and s and n:
            given[self.r.randrange(len(s))] = -1
        name = self.r.choice(["view", "view", "reshape"])
        if self.chance(0.04):
            given.append(2)
        self.result(v, f"{v.name}.{name}({given})", lambda a: a.reshape(given))

    def view_expand(self, v: Var) -> None:
        s = [n if n != 1 or self.chance(0.4) else self.r.choice([1, 2, 3]) for n in v.shape]
        s = [self.r.choice([1, 2])] * self.chance(0.4) + s
        self.result(v, f"{v.name}.expand({s})", lambda a: np.broadcast_to(a, s))

    def view_squeeze(self, v: Var) -> None:
        if self.chance(0.5):
            self.result(v, f"{v.name}.squeeze()", lambda a: a.squeeze())
            return
        d = self.dim(len(v.shape))
        self.result(
            v, f"{v.name}.squeeze({d})", lambda a: a.squeeze(d) if a.ndim and a.shape[d] == 1 else a
        )

    def view_unsqueeze(self, v: Var) -> None:
        d = self.dim(len(v.shape) + 1)
        self.result(v, f"{v.name}.unsqueeze({d})", lambda a: np.expand_dims(a, d))

    def view_unbind(self, v: Var) -> None:
        d = self.dim(len(v.shape))
        if not v.shape or d >= len(v.shape):
            self.do(f"{v.name}.unbind({d})")
            return
        n = v.shape[d]
        if not n:
            return
        i, j = self.r.randrange(n), self.r.randrange(n)
        names = [f"v{self.count}", f"v{self.count + 1}"]
        self.count += 2
        self.steps.append(f"{names[0]}, {names[1]} = [{v.name}.unbind({d})[k] for k in ({i}, {j})]")
        shape = np.empty(v.shape).take(0, d).shape
        self.vars += [Var(k, shape, v.dtype, v.rg) for k in names]

    def view_split(self, v: Var) -> None:
        d = self.dim(len(v.shape))
        k = self.r.choice([1, 2, 2, 3])
        if not v.shape or d >= len(v.shape) or not v.shape[d]:
            self.do(f"{v.name}.split({k}, {d})")
            return
        n = v.shape[d]
        how = self.r.choice(["split", "chunk", "tensor_split"])
        part = {"split": k, "chunk": -(-n // k), "tensor_split": 0}[how]
        sizes = (
            [min(part, n - i) for i in range(0, n, part)]
            if part
            else [n // k + (i < n % k) for i in range(k)]
        )
        i = self.r.randrange(len(sizes))
        shape = list(v.shape)
        shape[d] = sizes[i]
        self.add(f"{v.name}.{how}({k}, {d})[{i}]", shape, v.dtype, v.rg)

    def view_diagonal(self, v: Var) -> None:
        k = self.r.randint(-2, 2)
        if len(v.shape) < 2:
            return self.view_index(v)
        i, j = self.r.sample(range(len(v.shape)), 2)
        self.result(v, f"{v.name}.diagonal({k}, {i}, {j})", lambda a: a.diagonal(k, i, j))

    def view_select(self, v: Var) -> None:
        d = self.dim(len(v.shape))
        n = v.shape[d] if v.shape and d < len(v.shape) else 1
        i = self.r.randint(-n, n - 1) if n and self.chance(0.95) else n
        self.result(v, f"{v.name}.select({d}, {i})", lambda a: a.take(i, d))

    def view_narrow(self, v: Var) -> None:
        d = self.dim(len(v.shape))
        n = v.shape[d] if v.shape and d < len(v.shape) else 1
        a = self.r.randint(0, n)
        k = self.r.randint(0, n - a) if self.chance(0.95) else n + 1
        if not v.shape or d >= len(v.shape) or a + k > n:
            self.do(f"{v.name}.narrow({d}, {a}, {k})")
            return
        shape = list(v.shape)
        shape[d] = k
        self.add(f"{v.name}.narrow({d}, {a}, {k})", shape, v.dtype, v.rg)

    def view_strided(self, v: Var) -> None:
        n = int(np.prod(v.shape))
        if n < 2:
            return self.view_index(v)
        s, st, off = self.r.choice(
            [
                ([n // 2], [2], 0),
                ([n // 2, 2], [2, 1], 0),
                ([2, 2], [1, 1], 0),
                ([n - 1], [1], 1),
                ([2, n // 2], [n // 2, 1], 0),
                ([2, n // 2], [1, 2], 0),
            ]
        )
        text = f"{v.name}.as_strided({s}, {st}{', ' + str(off) if off else ''})"
        self.add(text, s, v.dtype, v.rg)

    def view_detach(self, v: Var) -> None:
        self.add(v.name + ".detach()", v.shape, v.dtype, False)

    def view_data(self, v: Var) -> None:
        self.add(v.name + ".data", v.shape, v.dtype, False)

    def view_as(self, v: Var) -> None:
        o = self.r.choice([x for x in self.vars if np.prod(x.shape) == np.prod(v.shape)])
        self.add(f"{v.name}.view_as({o.name})", o.shape, v.dtype, v.rg)

    def view_flatten(self, v: Var) -> None:
        self.result(
            v,
            v.name + self.r.choice([".flatten()", ".ravel()", ".reshape(-1)"]),
            lambda a: a.reshape(-1),
        )

    def view_unfold(self, v: Var) -> None:
        if not v.shape:
            return self.view_index(v)
        d = self.r.randrange(len(v.shape))
        n = v.shape[d]
        k, s = self.r.randint(1, max(n, 1)), self.r.choice([1, 1, 2])
        if k > n:
            self.do(f"{v.name}.unfold({d}, {k}, {s})")
            return
        shape = list(v.shape)
        shape[d] = (n - k) // s + 1
        self.add(f"{v.name}.unfold({d}, {k}, {s})", [*shape, k], v.dtype, v.rg)

    def view_movedim(self, v: Var) -> None:
        i, j = self.dim(len(v.shape)), self.dim(len(v.shape))
        self.result(
            v, f"{v.name}.movedim({i}, {j})", lambda a: np.moveaxis(a, i, j) if a.ndim else a
        )

    # Advanced indices.
    def advanced(self, v: Var) -> str:
        """An index with tensors, as text; numpy understands it with torch.tensor = np.array."""
        parts, d = [], 0
        rank = len(v.shape)
        size = self.r.choice([1, 2, 2, 3])
        while d < rank:
            n = v.shape[d]
            c = self.r.random()
            if c < 0.45 and n:
                shape = self.r.choice([(size,), (size,), (2, size), ()])
                hi = n - 1 if self.chance(0.98) else n
                flat = [self.r.randint(-n, hi) for _ in range(int(np.prod(shape)))]
                a = np.array(flat, object).reshape(shape).tolist()
                parts.append(f"torch.tensor({a})" if self.chance(0.8) or not shape else repr(a))
                d += 1
            elif c < 0.6:
                bits = [self.chance(0.5) for _ in range(n)]
                parts.append(f"torch.tensor({bits}, dtype=torch.bool)")
                d += 1
            elif c < 0.7 and rank - d >= 2:
                m = [[self.chance(0.5) for _ in range(v.shape[d + 1])] for _ in range(n)]
                parts.append(f"torch.tensor({m}, dtype=torch.bool).reshape({n}, {v.shape[d + 1]})")
                d += 2
            elif c < 0.76 and n:
                parts.append(str(self.r.randrange(n)))
                d += 1
            elif c < 0.81:
                parts.append("None")
            else:
                parts.append(self.r.choice([":", ":", "1:", "::2"]))
                d += 1
        if self.chance(0.3):
            parts = parts[: self.r.randint(1, max(1, len(parts)))]
        return ", ".join(parts) or "..."

    def index_shape(self, v: Var, index: str):
        try:
            return eval(f"a[{index}]", {"a": np.empty(v.shape), "torch": _Numpy}).shape
        except Exception:
            return None

    def mask(self, v: Var) -> str:
        return self.r.choice([f"{v.name} > 0", f"{v.name} < 0.5", f"{v.name} != 0"])

    def read_index(self) -> None:
        v = self.pick(rank=1)
        if self.chance(0.15) and v.dtype != "bool":
            self.steps.append(f"v{self.count} = {v.name}[{self.mask(v)}]")
            self.steps.append(f"v{self.count + 1} = v{self.count}.sum()")
            self.count += 2
            self.vars.append(Var(f"v{self.count - 1}", (), v.dtype, v.rg))
            return
        i = self.advanced(v)
        shape = self.index_shape(v, i)
        if shape is None:
            self.do(f"{v.name}[{i}]")
        else:
            self.add(f"{v.name}[{i}]", shape, v.dtype, v.rg)

    def setitem(self) -> None:
        v = self.pick(write=True)
        c = self.r.random()
        if c < 0.12 and v.dtype != "bool":
            index, shape = self.mask(v), ()
        elif c < 0.55:
            index = self.basic(v)
            shape = self.index_shape(v, index)
        else:
            index = self.advanced(v)
            shape = self.index_shape(v, index)
        if shape is None or self.chance(0.4):
            value = self.scalar(v)
            written = None
        else:
            value = self.other(Var("", shape, v.dtype))
            written = value
        op = self.r.choice(["="] * 6 + ["+=", "*=", "-="])
        self.do(f"{v.name}[{index}] {op} {value}")
        self.mark(v, written)

    def mark(self, v: Var, *operands: str | None) -> None:
        """After a write: v requires grad if an operand does."""
        if self.grad and any(o.rg and o.name in operands for o in self.vars):
            v.rg, v.leaf = True, False

    # Writes.
    def inplace(self) -> None:
        v = self.pick(write=True)
        if v.dtype == "bool" and self.chance(0.9):
            return
        name = self.r.choice(
            [
                "add_",
                "sub_",
                "mul_",
                "mul_",
                "div_",
                "add_",
                "copy_",
                "+=",
                "-=",
                "*=",
                "/=",
                "fill_",
                "zero_",
                "clamp_",
                "neg_",
                "relu_",
                "abs_",
                "exp_",
                "sigmoid_",
                "tanh_",
                "pow_",
                "**=",
                "masked_fill_",
                "masked",
                "index_put_",
                "index_fill_",
                "index_add_",
                "index_copy_",
                "out",
                "out",
                "addcmul_",
                "scatter_",
                "sqrt_",
                "lerp_",
                "sin_",
            ]
        )
        x = v.name
        if name in ("add_", "sub_", "mul_", "div_"):
            o = self.other(v) if self.chance(0.65) else self.scalar(v)
            extra = (
                f", alpha={self.scalar(v)}"
                if name[:3] in ("add", "sub") and self.chance(0.15)
                else ""
            )
            self.do(f"{x}.{name}({o}{extra})")
            self.mark(v, o)
        elif name in ("+=", "-=", "*=", "/="):
            o = self.other(v) if self.chance(0.65) else self.scalar(v)
            self.do(f"{x} {name} {o}")
            self.mark(v, o)
        elif name == "copy_":
            o = self.other(v)
            self.do(f"{x}.copy_({o})")
            self.mark(v, o)
        elif name == "fill_":
            zero_d = [o.name for o in self.vars if not o.shape]
            o = self.r.choice(zero_d) if zero_d and self.chance(0.3) else self.scalar(v)
            self.do(f"{x}.fill_({o})")
            self.mark(v, o)
        elif name == "clamp_":
            self.do(f"{x}." + self.r.choice(["clamp_(-1, 1)", "clamp_(min=0)", "clamp_(max=0.5)"]))
        elif name == "**=":
            self.do(f"{x} **= 2")
        elif name == "pow_":
            self.do(f"{x}.pow_({self.r.choice(['2', '3', '2.0'])})")
        elif name == "masked_fill_":
            self.do(f"{x}.masked_fill_({x} > 0, {self.scalar(v)})")
        elif name == "masked":
            m = self.literal(v.shape, "bool")
            o = self.other(Var("", (), v.dtype)) if self.chance(0.4) else self.scalar(v)
            self.do(f"{x}.masked_fill_({m}, {o})")
            self.mark(v, o)
        elif name == "index_put_":
            if not v.shape or not v.shape[0]:
                return
            n = v.shape[0]
            idx = [self.r.randrange(n) for _ in range(self.r.randint(1, 3))]
            o = self.other(Var("", (len(idx), *v.shape[1:]), v.dtype))
            acc = self.r.choice(["", ", accumulate=True", ", True"])
            if not acc:
                idx = sorted(set(idx))
                o = self.other(Var("", (len(idx), *v.shape[1:]), v.dtype))
            self.do(f"{x}.index_put_((torch.tensor({idx}),), {o}{acc})")
            self.mark(v, o)
        elif name in ("index_fill_", "index_add_", "index_copy_", "scatter_"):
            if not v.shape:
                return
            d = self.r.randrange(len(v.shape))
            n = v.shape[d]
            if not n:
                return
            idx = self.r.sample(range(n), self.r.randint(1, n))
            if name == "index_fill_":
                self.do(f"{x}.index_fill_({d}, torch.tensor({idx}), {self.scalar(v)})")
                return
            shape = list(v.shape)
            shape[d] = len(idx)
            same = [o.name for o in self.vars if o.shape == tuple(shape) and o.dtype == v.dtype]
            o = (
                self.r.choice(same)
                if same and self.chance(0.7)
                else self.literal(tuple(shape), v.dtype)
            )
            if name == "scatter_":
                i = np.broadcast_to(
                    np.array(idx).reshape([-1 if k == d else 1 for k in range(len(shape))]), shape
                ).tolist()
                self.do(
                    f"{x}.scatter_({d}, torch.tensor({i}, dtype=torch.int64).reshape({shape}), {o})"
                )
            else:
                self.do(f"{x}.{name}({d}, torch.tensor({idx}), {o})")
            self.mark(v, o)
        elif name == "out":
            a = self.pick()
            f = self.r.choice(["add", "mul", "sub"])
            target = [o for o in self.vars if o.shape == a.shape and o.dtype == a.dtype]
            v = self.r.choice(target)
            o = self.r.choice([a.name, self.literal(a.shape, a.dtype), v.name])
            self.do(f"torch.{f}({a.name}, {o}, out={v.name})")
        elif name in ("addcmul_", "lerp_") and v.dtype not in FLOATS:
            return
        elif name == "addcmul_":
            a, b = self.other(v), self.other(v)
            self.do(f"{x}.addcmul_({a}, {b}, value=0.5)")
            self.mark(v, a, b)
        elif name == "lerp_":
            a = self.other(v)
            self.do(f"{x}.lerp_({a}, 0.5)")
            self.mark(v, a)
        else:
            self.do(f"{x}.{name}()")

    def meta(self) -> None:
        """In-place changes of what a tensor is, not of its values."""
        v = self.pick()
        if v.rg and not self.grad:
            return  # PyTorch keeps the history of the old shape then
        x = v.name
        c = self.r.choice(
            [
                "t_",
                "transpose_",
                "squeeze_",
                "unsqueeze_",
                "detach_",
                "requires",
                "requires",
                "frozen",
                "swapaxes_",
            ]
        )
        if c == "t_" and len(v.shape) <= 2:
            self.steps.append(f"{x}.t_()")
            v.shape = v.shape[::-1]
        elif c in ("transpose_", "swapaxes_") and v.shape:
            i, j = self.dim(len(v.shape)), self.dim(len(v.shape))
            self.steps.append(f"{x}.{c}({i}, {j})")
            if max(i, j) < len(v.shape):
                v.shape = np.empty(v.shape).swapaxes(i, j).shape
        elif c == "squeeze_":
            self.steps.append(f"{x}.squeeze_()")
            v.shape = tuple(n for n in v.shape if n != 1)
        elif c == "unsqueeze_":
            d = self.dim(len(v.shape) + 1)
            self.steps.append(f"{x}.unsqueeze_({d})")
            if d <= len(v.shape):
                v.shape = np.expand_dims(np.empty(v.shape), d).shape
        elif c == "detach_":
            self.steps.append(f"{x}.detach_()")
            v.rg = False
        elif c == "requires":
            self.steps.append(f"{x}.requires_grad_()")
            if not v.rg and v.dtype in FLOATS:
                v.rg = v.leaf = True
        elif c == "frozen":
            self.steps.append(f"{x}.requires_grad_(False)")
            if v.leaf:
                v.rg = v.leaf = False

    # New tensors.
    def pure(self) -> None:
        v = self.pick()
        x = v.name
        name = self.r.choice(
            [
                "add",
                "mul",
                "sub",
                "div",
                "neg",
                "exp",
                "sin",
                "sigmoid",
                "tanh",
                "relu",
                "sum",
                "sumdim",
                "mean",
                "matmul",
                "cat",
                "stack",
                "clone",
                "contiguous",
                "where",
                "maximum",
                "cumsum",
                "to",
                "pow",
                "clamp",
                "scalar",
                "select",
                "mul",
                "add",
                "square",
                "sum0",
                "amax",
                "sqrt",
                "lerp",
                "tril",
                "gather",
                "flip",
                "roll",
            ]
        )
        dtype = v.dtype
        if dtype == "bool" and name not in ("clone", "contiguous", "cat", "stack", "to", "like"):
            return
        if name in ("add", "mul", "sub", "div"):
            if self.chance(0.2) or dtype == "bool":
                return self.pure()
            o = self.other(v)
            known = [w for w in self.vars if w.name == o]
            op = {"add": "+", "mul": "*", "sub": "-", "div": "/"}[name]
            rg = v.rg or any(w.rg for w in known)
            both = {dtype, *[w.dtype for w in known]}
            dtype = "float64" if "float64" in both else "float32" if "float32" in both else dtype
            shape = v.shape
            if known:
                try:
                    shape = np.broadcast_shapes(v.shape, known[0].shape)
                except ValueError:
                    self.do(f"{x} {op} {o}")
                    return
            if name == "div" and dtype == "int64":
                dtype = "float32"
            self.add(f"{x} {op} {o}", shape, dtype, rg and self.grad)
            return
        if name in ("sum", "mean", "sum0"):
            if dtype == "bool":
                return
            self.add(f"{x}.{'sum' if name != 'mean' else name}()", (), dtype, v.rg)
        elif name in ("sumdim", "amax"):
            d = self.dim(len(v.shape))
            keep = self.chance(0.3)
            f = "sum" if name == "sumdim" else "amax"
            text = f"{x}.{f}({d}{', keepdim=True' if keep else ''})"
            self.result(v, text, lambda a: a.sum(d if a.ndim else None, keepdims=keep))
        elif name == "matmul":
            o = self.pick(rank=1, float=True)
            w = self.pick(rank=1, float=True)
            try:
                shape = (np.empty(o.shape) @ np.empty(w.shape)).shape
            except ValueError:
                if len(o.shape) == 2:
                    self.add(f"{o.name} @ {o.name}.t()", (o.shape[0],) * 2, o.dtype, o.rg)
                return
            self.add(f"{o.name} @ {w.name}", shape, o.dtype, o.rg or w.rg)
        elif name in ("cat", "stack"):
            same = [o for o in self.vars if o.shape == v.shape]
            parts = [self.r.choice(same) for _ in range(self.r.choice([1, 2, 2, 3]))]
            if not v.shape and name == "cat":
                return
            d = self.dim(len(v.shape) + (name == "stack"))
            text = f"torch.{name}([{', '.join(p.name for p in parts)}], {d})"
            f = np.concatenate if name == "cat" else np.stack
            order = ["bool", "int64", "float32", "float64"]
            v = Var(v.name, v.shape, max([p.dtype for p in parts], key=order.index))
            self.result(v, text, lambda a: f([a] * len(parts), d), any(p.rg for p in parts))
        elif name == "where":
            if dtype == "bool":
                return
            o = self.other(v)
            self.add(f"torch.where({x} > 0, {x}, {o})", v.shape, dtype, v.rg)
        elif name == "lerp" and dtype not in FLOATS:
            return
        elif name in ("maximum", "lerp"):
            same = [o for o in self.vars if o.shape == v.shape and o.dtype == dtype]
            o = self.r.choice(same)
            extra = ", 0.3" if name == "lerp" else ""
            self.add(f"torch.{name}({x}, {o.name}{extra})", v.shape, dtype, v.rg or o.rg)
        elif name == "cumsum":
            self.result(v, f"{x}.cumsum({self.dim(len(v.shape))})", lambda a: a)
        elif name == "to":
            d = self.r.choice(["float64", "float32", "float64", "int64"])
            self.add(f"{x}.to(torch.{d})", v.shape, d, v.rg and d != "int64")
        elif name == "clamp":
            self.add(f"{x}.clamp(-1, 1)", v.shape, dtype, v.rg)
        elif name == "scalar":
            op = self.r.choice(["*", "+", "-", "/"])
            s = self.scalar(v)
            if dtype in FLOATS:
                left, right = (x, s) if self.chance(0.7) else (s, x)
                self.add(f"{left} {op} {right}", v.shape, dtype, v.rg)
        elif name == "pow":
            self.add(f"{x} ** {self.r.choice(['2', '3', '2.0', '1'])}", v.shape, dtype, v.rg)
        elif name == "select":
            if not v.shape or not v.shape[0]:
                return
            n = v.shape[0]
            idx = [self.r.randrange(n) for _ in range(2)]
            self.add(f"{x}.index_select(0, torch.tensor({idx}))", (2, *v.shape[1:]), dtype, v.rg)
        elif name == "gather":
            if len(v.shape) != 1 or not v.shape[0]:
                return
            idx = [self.r.randrange(v.shape[0]) for _ in range(3)]
            self.add(f"{x}.gather(0, torch.tensor({idx}))", (3,), dtype, v.rg)
        elif name == "tril":
            if len(v.shape) >= 2:
                self.add(f"{x}.tril()", v.shape, dtype, v.rg)
        elif name == "like":
            f = self.r.choice(["zeros_like", "ones_like"])
            self.add(f"torch.{f}({x})", v.shape, dtype, False)
        elif name in ("flip", "roll"):
            if v.shape:
                d = self.r.randrange(len(v.shape))
                arg = f"[{d}]" if name == "flip" else f"1, {d}"
                self.add(f"{x}.{name}({arg})", v.shape, dtype, v.rg)
        elif name in ("clone", "contiguous") or dtype in FLOATS:
            self.add(f"{x}.{name}()", v.shape, dtype, v.rg)

    # Autograd.
    def backward(self) -> None:
        v = self.pick(rg=True, float=True)
        x = v.name
        c = self.r.random()
        keep = self.r.choice(
            [
                "",
                "",
                "retain_graph=True",
                "retain_graph=True",
                "create_graph=True" if self.chance(0.15) else "",
            ]
        )
        o = self.pick(rg=True, float=True)
        root = self.r.choice(
            [f"{x}.sum()", f"{x}.sum()", f"({x} * {x}).sum()", f"({x}.sum() * {o.name}.sum())", x]
        )
        if c < 0.1:
            self.do(f"{x}.backward({self.literal(v.shape, v.dtype)}{', ' + keep if keep else ''})")
        elif c < 0.16:
            self.do(f"{root}.backward(inputs=[{o.name}]{', ' + keep if keep else ''})")
        elif c < 0.75:
            self.do(f"{root}.backward({keep})")
        else:
            create = self.chance(0.5)
            args = ", create_graph=True" if create else (", " + keep if keep else "")
            unused = ", allow_unused=True" if self.chance(0.6) else ""
            source = f"some(torch.autograd.grad({root}, [{o.name}]{args}{unused})[0])"
            g = self.add(source, o.shape, o.dtype, create)
            if create and self.chance(0.7):
                self.do(f"({g.name} * {g.name}).sum().backward({keep})")

    def hook(self) -> None:
        v = self.pick(rg=True, float=True)
        self.do(
            v.name
            + self.r.choice(
                [
                    ".register_hook(lambda g: g * 2)",
                    ".retain_grad()",
                    ".register_hook(lambda g: None)",
                    ".retain_grad()",
                    ".register_hook(lambda g: g + g)",
                ]
            )
        )

    def grads(self) -> None:
        v = self.pick(rg=True, float=True)
        c = self.r.random()
        if c < 0.4:
            self.add(f"some({v.name}.grad)", v.shape, v.dtype, False)
        elif c < 0.7:
            self.do(f"{v.name}.grad = None")
        else:
            self.do(f"{v.name}.grad.{self.r.choice(['zero_()', 'mul_(2)', 'add_(1)'])}")

    def read(self) -> None:
        v = self.pick()
        x = v.name
        self.do(
            self.r.choice(
                [
                    f"out({x}.tolist())",
                    f"out({x}._version)",
                    f"out({x}.sum().item())",
                    f"out({x}.requires_grad)",
                    f"out({x}.is_leaf)",
                    f"out({x}.stride())",
                    f"out({x}.storage_offset())",
                    f"out({x}.is_contiguous())",
                    f"out({x}.grad_fn is None)",
                    f"out(bool(({x} > 0).any()))",
                ]
            )
        )

    def mode(self) -> None:
        if self.chance(0.5):
            self.grad = not self.grad
            self.steps.append(f"torch.set_grad_enabled({self.grad})")


def _fits(small: tuple[int, ...], big: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(small, big) == big
    except ValueError:
        return False


class _Numpy:
    """What an index needs of `torch`, for finding the shape with NumPy."""

    bool = bool

    @staticmethod
    def tensor(x, dtype=None):
        a = np.array(x, dtype)
        return a.astype(np.int64) if a.size == 0 and dtype is None else a


KINDS = (
    ["view"] * 28
    + ["inplace"] * 24
    + ["setitem"] * 10
    + ["read_index"] * 5
    + ["pure"] * 18
    + ["backward"] * 9
    + ["hook"] * 2
    + ["grads"] * 3
    + ["read"] * 5
    + ["mode"] * 2
    + ["meta"] * 4
)
VIEWS = (
    ["index"] * 8
    + ["t"] * 3
    + ["transpose"] * 2
    + ["permute"] * 2
    + ["view"] * 4
    + ["expand"] * 3
    + ["squeeze", "unsqueeze", "unsqueeze"]
    + ["unbind"] * 2
    + ["split"] * 2
    + ["diagonal"] * 2
    + ["select"] * 2
    + ["narrow"] * 2
    + ["strided"]
    + ["detach"] * 3
    + ["data"]
    + ["as"]
    + ["flatten"] * 2
    + ["unfold"]
    + ["movedim"]
)
