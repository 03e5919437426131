"""Makes random graphs of operations.

A graph is plain data: statements that make inputs (`leaf(shape, dtype, draw, layout)`), statements
that compute, and the names of the results that are looked at. Inputs have every dtype, sizes of 0,
1, primes and powers of two, and layouts with gaps, transposed, expanded and shifted. The maker
records what it makes, so shapes and dtypes are known, and leaves out what is refused.

Where a value is rounded, the tiers may differ in its last bits, and a step function of it may
differ altogether. So the maker knows which values are exact: these alone are rounded to whole
numbers, compared, sorted, looked for and converted to integers.
"""

from __future__ import annotations

import math
import random

import numpy as np
from fuzz.leaves import COMPLEX, FLOATS, LAYOUTS, leaf

import facula as torch
from facula.trace.recorder import TLS, Recorder

SIGNED = ("int8", "int16", "int32", "int64")
INTS = (*SIGNED, "uint8", "uint16", "uint32", "uint64")
SIZES = (1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 17, 31, 32, 37, 64, 67, 128)


class Var:
    """A name of a graph: the pending tensor that tells its shape, and whether it is exact."""

    def __init__(self, name, t, exact):
        self.name, self.t, self.exact = name, t, exact
        self.shape = tuple(t.shape)
        self.dtype = str(t.dtype).removeprefix("torch.")


class Graph:
    """Makes one graph by recording it."""

    LIMIT = 6000  # elements of one value

    def __init__(self, seed: int) -> None:
        self.r = random.Random(seed)
        self.seed = seed
        self.names = {"torch": torch, "leaf": leaf}
        self.vars: list[Var] = []
        self.leaves: list[str] = []
        self.steps: list[str] = []
        self.keep: list[str] = []
        self.grads: list[str] = []

    # Choices.
    def chance(self, p: float) -> bool:
        return self.r.random() < p

    def choice(self, *options):
        return self.r.choice(options)

    def size(self) -> int:
        if self.chance(0.03):
            return 0
        return self.r.choice(SIZES[:9] if self.chance(0.6) else SIZES)

    def shape(self, rank: int | None = None) -> list[int]:
        if rank is None:
            rank = self.choice(0, 1, 1, 2, 2, 2, 3, 3, 4)
        while True:
            out = [self.size() for _ in range(rank)]
            if math.prod(out) <= 2000:
                return out

    def dtype(self) -> str:
        return self.r.choice(
            ["float32"] * 10
            + ["float64"] * 4
            + ["float16", "bfloat16"] * 2
            + ["int64", "int32", "bool"] * 2
            + [*COMPLEX, *INTS]
        )

    def pick(self, test=None) -> Var | None:
        pool = [v for v in self.vars if test is None or test(v)]
        if not pool:
            return None
        return self.r.choice(pool[-6:] if self.chance(0.6) else pool)

    def real(self) -> Var | None:
        return self.pick(lambda v: v.dtype in FLOATS)

    def any(self) -> Var | None:
        return self.pick()

    def dim(self, v: Var) -> int:
        return self.r.randrange(len(v.shape)) if v.shape else 0

    # Statements.
    def new(self, shape=None, dtype=None, layout=None) -> Var:
        """One more input."""
        shape = self.shape() if shape is None else list(shape)
        dtype = dtype or self.dtype()
        layout = layout or self.choice("plain", *LAYOUTS)
        text = f"leaf({shape}, '{dtype}', {self.r.randrange(1 << 16)}, '{layout}')"
        name = f"x{len(self.leaves)}"
        rg = dtype in (*FLOATS, *COMPLEX) and self.chance(0.35)
        self.leaves.append(f"{name} = {text}" + (".requires_grad_()" if rg else ""))
        exec(self.leaves[-1], self.names)
        if rg:
            self.grads.append(name)
        self.vars.append(Var(name, self.names[name], True))
        return self.vars[-1]

    def fitting(self, v: Var) -> Var:
        """An operand that broadcasts with v."""
        o = self.pick(lambda o: _broadcasts(o.shape, v.shape))
        if o is not None and self.chance(0.7):
            return o
        shape = [1 if self.chance(0.25) else n for n in v.shape]
        dtype = v.dtype if self.chance(0.7) else self.dtype()
        return self.new(shape[self.r.randint(0, len(shape)) if self.chance(0.4) else 0 :], dtype)

    def like(self, v: Var, shape, dtype=None) -> Var:
        """An operand of this shape and v's dtype."""
        shape, dtype = tuple(shape), dtype or v.dtype
        o = self.pick(lambda o: o.shape == shape and o.dtype == dtype)
        return o if o is not None and self.chance(0.7) else self.new(shape, dtype)

    def add(self, text: str, exact: bool) -> None:
        """Name the result of an expression, if it is none that is refused."""
        name = f"v{len(self.steps)}"
        try:
            t = eval(text, self.names)
        except (RuntimeError, ValueError, IndexError, TypeError):
            return
        if not isinstance(t, torch.Tensor) or t.numel() > self.LIMIT:
            return
        self.names[name] = t
        self.steps.append(f"{name} = {text}")
        self.vars.append(Var(name, t, exact and t.dtype not in (torch.float16, torch.bfloat16)))

    def index(self, shape, n: int) -> str:
        """Valid indices into a dimension of size n, as the text of a tensor."""
        count = math.prod(shape)
        flat = [self.r.randrange(n) for _ in range(count)] if n else []
        return f"torch.tensor({np.array(flat, np.int64).reshape(shape).tolist()})"

    # Operations.
    def unary(self) -> None:
        v = self.pick(lambda v: v.dtype in FLOATS or v.dtype in COMPLEX)
        if v is None:
            return
        f = self.choice(
            *("{}.tanh()", "{}.sigmoid()", "{}.sin()", "{}.cos()", "torch.exp(-{} * {})"),
            *("({} * {} + 1).sqrt()", "({} * {} + 1).log()", "1 / ({} * {} + 2)", "{}.atan()"),
            *("{} * 0.5 + 1", "{}.square()", "({} * {} + 1).rsqrt()", "{}.erf()", "-{}"),
            *("torch.nn.functional.gelu({})", "torch.nn.functional.silu({})", "{}.abs()"),
            *("torch.nn.functional.softplus({})", "torch.nn.functional.elu({})"),
            *("torch.nn.functional.mish({})", "torch.nn.functional.hardswish({})"),
            *("torch.tanh({}).expm1()", "torch.tanh({}).asinh()", "({} * {}).log1p()"),
        )
        if v.dtype in COMPLEX and "1 / " in f:
            f = "{} / ({}.abs() + 1)"
        self.add(f.replace("{}", v.name), False)

    def exact_unary(self) -> None:
        v = self.pick(lambda v: v.exact)
        if v is None:
            return
        if v.dtype in FLOATS:
            f = self.choice(
                *("{}.floor()", "{}.ceil()", "{}.round()", "{}.trunc()", "{}.sign()", "{}.relu()"),
                *("-{}", "{}.abs()", "{}.clamp(-1, 1)", "{}.isnan()", "{} > 0", "{}.signbit()"),
                *("{} * 2", "{}.nan_to_num()", "torch.nn.functional.relu6({})", "{}.clone()"),
                *("torch.nn.functional.leaky_relu({}, 0.25)", "{}.frac()"),
            )
        elif v.dtype == "bool":
            f = self.choice("~{}", "{}.logical_not()", "{}.long()", "{} ^ True", "{}.float()")
        elif v.dtype in COMPLEX:
            f = self.choice("-{}", "{}.conj()", "{}.real * 1", "{}.imag * 1", "{}.clone()")
        else:
            f = self.choice("-{}", "{}.abs()", "~{}", "{} * 3", "{} // 2", "{} % 3", "{} << 1")
            f = self.choice(f, "{}.clamp(-3, 3)", "{} >> 1", "{} & 5", "{}.bool()", "{}.sign()")
        self.add(f.replace("{}", v.name), True)

    def binary(self) -> None:
        v = self.any()
        o = self.fitting(v)
        if self.chance(0.5):
            v, o = o, v
        op = self.choice("+", "-", "*", "*", "max", "min", "atan2", "div", "hypot")
        if op in ("+", "-", "*"):
            text = f"{v.name} {op} {o.name}"
        elif op in ("max", "min"):
            text = f"torch.{op}imum({v.name}, {o.name})"
        elif op == "div":
            text = f"{v.name} / ({o.name} * {o.name} + 2)"
        else:
            text = f"torch.{op}({v.name}, {o.name}.abs() + 1)"
        whole = v.dtype not in (*FLOATS, *COMPLEX) and o.dtype not in (*FLOATS, *COMPLEX)
        self.add(text, v.exact and o.exact and ((whole and op in "+-*") or op in ("max", "min")))

    def whole(self) -> None:
        """Two integers, or bools."""
        v = self.pick(lambda v: v.exact and v.dtype in (*INTS, "bool"))
        if v is None:
            return
        o = self.like(v, [1 if self.chance(0.2) else n for n in v.shape])
        if not o.exact:
            return
        op = self.choice("&", "|", "^", "// 3 *", "% 5 +", "==", "<")
        if v.dtype != "bool" and self.chance(0.3):
            text = self.choice("{} // ({} + 11)", "{} % ({} + 11)", "torch.fmod({}, {} + 11)")
            self.add(text.replace("{}", v.name, 1).replace("{}", o.name), True)
        else:
            self.add(f"{v.name} {op} {o.name}", True)

    def compare(self) -> None:
        v = self.pick(lambda v: v.exact and v.dtype not in COMPLEX)
        if v is None:
            return
        o = self.fitting(v)
        if o.exact and o.dtype not in COMPLEX:
            self.add(f"{v.name} {self.choice('<', '<=', '>', '==', '!=')} {o.name}", True)

    def where(self) -> None:
        v = self.any()
        o = self.fitting(v)
        c = self.like(v, v.shape, "bool")
        text = self.choice("torch.where({c}, {v}, {o})", "{v}.masked_fill({c}, 2)")
        text = text.format(c=c.name, v=v.name, o=o.name)
        self.add(text, v.exact and o.exact and v.dtype == o.dtype)

    def reduce(self) -> None:
        v = self.any()
        d: object = self.dim(v)
        if v.shape and self.chance(0.3):
            d = tuple(self.r.sample(range(len(v.shape)), self.r.randint(1, len(v.shape))))
        keep = ", keepdim=True" if self.chance(0.3) else ""
        if v.dtype in FLOATS or v.dtype in COMPLEX:
            f = self.choice("sum", "mean", "sum", "mean", "amax", "amin", "var", "std", "logsumexp")
            if f in ("var", "std"):
                keep = ", correction=0" + keep
                f = "({}" + f" + torch.arange({v.shape[-1] if v.shape else 1})).{f}"
            text = f"{v.name}.{f}" if "{" not in f else f.replace("{}", v.name)
        else:
            f = self.choice("sum", "amax", "amin", "any", "all")
            text = f"{v.name}.{f}"
        whole = v.dtype not in FLOATS and v.dtype not in COMPLEX
        self.add(f"{text}({d}{keep})", v.exact and (whole or f in ("amax", "amin")))

    def reduce_all(self) -> None:
        v = self.any()
        if v.dtype in FLOATS:
            f = self.choice("sum()", "mean()", "norm()", "max()", "min()")
        elif v.dtype in COMPLEX:
            f = self.choice("sum()", "mean()")
        else:
            f = self.choice("sum()", "any()", "all()", "count_nonzero()", "max()")
        self.add(f"{v.name}.{f}", v.exact and v.dtype not in (*FLOATS, *COMPLEX))

    def find(self) -> None:
        """Positions of exact values."""
        v = self.pick(lambda v: v.exact and v.dtype not in (*COMPLEX, "bool") and 0 not in v.shape)
        if v is None:
            return
        d = self.dim(v)
        f = self.choice(
            *("argmax({d})", "argmin({d})", "sort({d}, stable=True)[0]", "max({d})[0]"),
            *("sort({d}, stable=True)[1]", "sort({d}, descending=True, stable=True)[0]"),
            *("cummax({d})[0]", "cummin({d})[1]", "min({d})[1]", "median({d})[0]"),
            *("topk(1, {d})[0]", "kthvalue(1, {d})[0]", "argmax()"),
        )
        self.add(f"{v.name}.{f.format(d=d)}", True)

    def scan(self) -> None:
        v = self.any()
        d = self.dim(v)
        f = self.choice("cumsum", "cumsum", "cumprod", "logcumsumexp")
        if f == "cumprod" and v.shape and v.shape[d] > 9:
            f = "cumsum"
        if f == "logcumsumexp" and v.dtype not in ("float32", "float64"):
            f = "cumsum"
        whole = v.dtype not in FLOATS and v.dtype not in COMPLEX
        self.add(f"{v.name}.{f}({d})", v.exact and whole)

    def rows(self) -> None:
        """What normalises along dimensions."""
        v = self.real()
        if v is None:
            return
        d = self.dim(v)
        tail = list(v.shape[-1:])
        f = self.choice(
            *("softmax({v}, {d})", "log_softmax({v}, {d})", "softmin({v}, {d})"),
            *("layer_norm({v}, {t})", "layer_norm({v}, {t}, {w}, {b})", "normalize({v}, dim={d})"),
            *("rms_norm({v}, {t}, {w})", "glu(torch.cat([{v}, {v}], {d}), {d})"),
        )
        w = b = ""
        if "{w}" in f:
            w, b = self.like(v, tail).name, self.like(v, tail).name
        text = f.format(v=v.name, d=d, t=tail, w=w, b=b)
        if "norm" in f and v.shape and v.shape[-1 if "_norm" in f else d] < 3:
            return  # divides by differences of almost nothing
        self.add("torch.nn.functional." + text, False)

    def move(self) -> None:
        v = self.any()
        if not v.shape:
            self.add(f"{v.name}.expand({self.shape(2)})", v.exact)
            return
        d, e = self.dim(v), self.dim(v)
        n = v.shape[d]
        k = self.r.randint(0, n)
        order = self.r.sample(range(len(v.shape)), len(v.shape))
        f = self.choice(
            *(f"transpose({d}, {e})", f"permute({order})", f"flip([{d}])", f"roll({k}, {d})"),
            *(f"narrow({d}, {min(k, n)}, {n - k})", f"unsqueeze({d})", "flatten()", "squeeze()"),
            *(f"reshape([-1, {v.shape[-1] or 1}])", "tril()", "triu(1)", "repeat_interleave(2, 0)"),
            *(f"diagonal({self.r.randint(-1, 1)}, {d}, {e})", f"select({d}, {max(0, k - 1)})"),
            *(f"unfold({d}, {max(1, min(n, 3))}, 2)", f"chunk(2, {d})[0]", f"split(3, {d})[-1]"),
            f"expand([2, {', '.join(str(n) for n in v.shape)}])",
            f"repeat([{', '.join(self.choice('1', '1', '2') for _ in v.shape)}])",
        )
        if self.chance(0.3):
            parts = [self.choice(":", ":", "1:", "::2", "-2:", "0", "None") for _ in v.shape]
            self.add(f"{v.name}[{', '.join(parts)}]", v.exact)
        elif self.chance(0.15) and len(v.shape) <= 3:
            pads = [self.r.randint(-1, 2) for _ in range(2)]
            mode = self.choice("constant", "constant", "reflect", "replicate", "circular")
            self.add(f"torch.nn.functional.pad({v.name}, {pads}, '{mode}')", v.exact)
        else:
            self.add(f"{v.name}.{f}", v.exact)

    def join(self) -> None:
        v = self.any()
        if not v.shape:
            return
        d = self.dim(v)
        o = self.like(v, [self.size() if i == d else n for i, n in enumerate(v.shape)])
        if self.chance(0.5):
            self.add(f"torch.cat([{v.name}, {o.name}, {v.name}], {d})", v.exact and o.exact)
        else:
            o = self.like(v, v.shape, v.dtype if self.chance(0.8) else self.dtype())
            same = o.dtype == v.dtype
            self.add(f"torch.stack([{v.name}, {o.name}], {d})", v.exact and o.exact and same)

    def product(self) -> None:
        v = self.pick(lambda v: 1 <= len(v.shape) <= 4 and v.dtype != "bool")
        if v is None:
            return
        k = v.shape[-1]
        c = self.r.random()
        whole = v.dtype in INTS
        if c < 0.25 and len(v.shape) >= 2:
            w = self.like(v, [self.size(), k])
            b = self.like(v, [w.shape[0]])
            bias = f", {b.name}" if self.chance(0.7) else ""
            text = f"torch.nn.functional.linear({v.name}, {w.name}{bias})"
            exact = w.exact and (b.exact or not bias)
        elif c < 0.4 and len(v.shape) == 2:
            w = self.like(v, [self.size(), k])
            text, exact = f"torch.einsum('ij,kj->ki', {v.name}, {w.name})", w.exact
        elif c < 0.5 and len(v.shape) == 2:
            w = self.like(v, [k, self.size()])
            b = self.like(v, [v.shape[0], w.shape[1]])
            text = f"torch.addmm({b.name}, {v.name}, {w.name}, alpha=2)"
            exact = w.exact and b.exact
        else:
            lead = list(v.shape[:-2]) if self.chance(0.5) else []
            lead = [1 if self.chance(0.2) else n for n in lead]
            w = self.like(v, [*lead, k, self.size()] if self.chance(0.85) else [k])
            text, exact = f"{v.name} @ {w.name}", w.exact
            if self.chance(0.2) and len(v.shape) >= 2:
                text = f"{v.name} @ {v.name}.mT"
        self.add(text, v.exact and exact and whole)

    def gather(self) -> None:
        v = self.pick(lambda v: v.shape and 0 not in v.shape)
        if v is None:
            return
        d = self.dim(v)
        n = v.shape[d]
        shape = [self.r.randint(1, m) for m in v.shape]
        if math.prod(shape) > 300:
            return
        rows = self.index([self.r.randint(0, 5)], n)
        f = self.choice("gather", "select", "item", "embedding", "take", "two", "mask", "put")
        if f == "gather":
            shape[d] = self.r.randint(1, 5)
            self.add(f"{v.name}.gather({d}, {self.index(shape, n)})", v.exact)
        elif f == "select":
            self.add(f"{v.name}.index_select({d}, {rows})", v.exact)
        elif f == "item":
            self.add(f"{v.name}[{':, ' * d}{rows}]", v.exact)
        elif f == "embedding" and len(v.shape) == 2:
            i = self.index([2, 3], v.shape[0])
            self.add(f"torch.nn.functional.embedding({i}, {v.name})", v.exact)
        elif f == "take":
            self.add(f"{v.name}.take({self.index([3], math.prod(v.shape))})", v.exact)
        elif f == "two" and len(v.shape) >= 2:
            i, j = self.index([4], v.shape[0]), self.index([4], v.shape[1])
            self.add(f"{v.name}[{i}, {j}]", v.exact)
        elif f == "mask" and v.shape[0] <= 64:
            bits = [self.chance(0.5) for _ in range(v.shape[0])]
            self.add(f"{v.name}[torch.tensor({bits})]", v.exact)

    def scatter(self) -> None:
        v = self.pick(lambda v: v.shape and 0 not in v.shape)
        if v is None:
            return
        d = self.dim(v)
        n = v.shape[d]
        k = self.r.randint(1, 4)
        shape = [k if i == d else m for i, m in enumerate(v.shape)]
        if math.prod(shape) > 300:
            return
        o = self.like(v, shape)
        f = self.choice("index_add", "scatter_add", "index_copy", "index_put", "put", "scatter")
        whole = v.dtype not in FLOATS and v.dtype not in COMPLEX
        exact = v.exact and o.exact
        once = f"torch.tensor({sorted(self.r.sample(range(n), min(k, n)))})"
        if f == "index_add":
            self.add(f"{v.name}.index_add({d}, {self.index([k], n)}, {o.name})", exact and whole)
        elif f == "scatter_add":
            i = self.index(shape, n)
            self.add(f"{v.name}.scatter_add({d}, {i}, {o.name})", exact and whole)
        elif f == "scatter":
            self.add(f"{v.name}.scatter({d}, {self.index([1] * len(shape), n)}, 2)", v.exact)
        elif f == "index_copy" and k <= n:
            self.add(f"{v.name}.index_copy({d}, {once}, {o.name})", exact)
        elif f == "index_put" and k <= n and d == 0:
            self.add(f"{v.name}.index_put(({once},), {o.name})", exact)
        elif f == "put":
            self.add(f"{v.name}.clone().fill_diagonal_(1)", v.exact)

    def write(self) -> None:
        """In place, on a copy that has no other name."""
        v = self.any()
        o = self.fitting(v)
        f = self.choice("add_({o})", "mul_({o})", "copy_({o})", "sub_({o}, alpha=2)", "zero_()")
        name = f"v{len(self.steps)}"
        if not v.shape or self.chance(0.5):
            parts = ""
        else:
            parts = "[" + self.choice("1:", "::2", "..., 0", "-1", "..., 1:") + "]"
            o = self.new([], v.dtype)
        self.add(f"{v.name} * 1" if v.dtype != "bool" else f"{v.name}.clone()", False)
        if self.steps and self.steps[-1].startswith(name):
            text = f"{name}{parts}.{f.format(o=o.name)}"
            try:
                exec(text, self.names)
            except (RuntimeError, IndexError, TypeError, NotImplementedError):
                return
            self.steps.append(text)
            self.names[f"v{len(self.steps) - 1}"] = None

    def pool(self) -> None:
        n = self.choice(1, 2, 2)
        v = self.pick(lambda v: v.dtype in ("float32", "float64") and len(v.shape) == n + 2)
        if v is None:
            v = self.new(
                [*self.shape(2)[:2], *[self.r.randint(3, 13) for _ in range(n)]], "float32"
            )
        k, s, p = self.r.randint(1, 4), self.r.randint(1, 3), 0
        p = self.r.randint(0, k // 2)
        f = self.choice(
            f"max_pool{n}d({{}}, {k}, {s}, {p})",
            f"avg_pool{n}d({{}}, {k}, {s}, {p})",
            f"avg_pool{n}d({{}}, {k}, {s}, {p}, count_include_pad=False)",
            f"adaptive_avg_pool{n}d({{}}, {self.r.randint(1, 4)})",
            f"adaptive_max_pool{n}d({{}}, {self.r.randint(1, 4)})",
            f"max_pool{n}d({{}}, 2, ceil_mode=True)",
            "interpolate({}, scale_factor=2)",
        )
        self.add("torch.nn.functional." + f.format(v.name), v.exact and "max" in f)

    def convolve(self) -> None:
        n = self.choice(1, 2, 2, 2, 3)
        v = self.pick(lambda v: v.dtype in ("float32", "float64") and len(v.shape) == n + 2)
        if v is None or 0 in v.shape:
            channels = self.choice(1, 2, 3, 4, 8)
            sizes = [self.r.randint(3, 12 if n < 3 else 5) for _ in range(n)]
            dtype = self.choice("float32", "float32", "float64", "bfloat16")
            v = self.new([self.choice(1, 2, 3), channels, *sizes], dtype)
        c = v.shape[1]
        groups = self.choice(1, 1, c) if c % 2 else self.choice(1, 1, 2, c)
        out = groups * self.choice(1, 2, 3, 5)
        k = self.choice(1, 2, 3, 3)
        s, p, d = self.choice(1, 1, 2), self.choice(0, 1, 2), self.choice(1, 1, 2)
        bias = self.like(v, [out]).name if self.chance(0.5) else "None"
        if self.chance(0.25):
            w = self.like(v, [c, out // groups, *[k] * n])
            bias = self.like(v, [out]).name if bias != "None" else bias
            text = (
                f"conv_transpose{n}d({v.name}, {w.name}, {bias}, {s}, {min(p, k - 1)}, 0, {groups})"
            )
        else:
            w = self.like(v, [out, c // groups, *[k] * n])
            text = f"conv{n}d({v.name}, {w.name}, {bias}, {s}, {p}, {d}, {groups})"
        self.add("torch.nn.functional." + text, False)

    def loss(self) -> None:
        v = self.pick(lambda v: v.dtype in ("float32", "float64") and len(v.shape) == 2)
        if v is None or 0 in v.shape or v.shape[0] > 64:
            return
        rows, classes = v.shape
        target = self.index([rows], classes)
        f = self.choice("cross_entropy", "mse_loss", "smooth_l1_loss", "attention")
        if f == "cross_entropy":
            text = f"cross_entropy({v.name}, {target}, label_smoothing={self.choice(0.0, 0.1)})"
        elif f == "attention":
            q = f"{v.name}[None, None]"
            text = f"scaled_dot_product_attention({q}, {q}, {q}, is_causal={self.chance(0.5)})"
        else:
            text = f"{f}({v.name}, {self.like(v, v.shape).name})"
        self.add("torch.nn.functional." + text, False)

    def convert(self) -> None:
        v = self.any()
        want = self.dtype()
        if want in FLOATS or want in COMPLEX:
            self.add(f"{v.name}.to(torch.{want})", v.exact and v.dtype not in COMPLEX)
        elif v.exact and v.dtype not in COMPLEX:
            if v.dtype in FLOATS and want[0] == "u":
                return  # of a negative number the standard says nothing
            self.add(f"{v.name}.to(torch.{want})", True)

    def graph(self) -> dict:
        for _ in range(self.choice(1, 2, 2, 3)):
            self.new()
        length = self.r.randint(3, 16)
        for _ in range(10 * length):
            if len(self.steps) >= length:
                break
            getattr(self, self.r.choice(KINDS))()
        names = [s.split(" = ")[0] for s in self.steps if " = " in s]
        last = set(names[-3:])
        self.keep = [n for n in names if n in last or self.chance(0.2)]
        return {
            "seed": self.seed,
            "leaves": self.leaves,
            "steps": self.steps,
            "keep": self.keep,
            "grads": self.grads,
            "dtypes": sorted({v.dtype for v in self.vars}),
        }


KINDS = (
    ["unary", "binary", "move"] * 6
    + ["exact_unary", "reduce", "product"] * 4
    + ["where", "join", "gather", "rows", "convert"] * 3
    + ["compare", "whole", "scan", "scatter", "write", "find", "pool", "convolve"] * 2
    + ["reduce_all", "loss"]
)


def _broadcasts(a, b) -> bool:
    try:
        shape = np.broadcast_shapes(a, b)
    except ValueError:
        return False
    return math.prod(shape) <= 4000


def make(seed: int) -> dict:
    """The graph of a seed."""
    TLS.r = Recorder()
    try:
        return Graph(seed).graph()
    finally:
        TLS.r = Recorder()
