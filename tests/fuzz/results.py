"""Results: statements that compute new tensors from what is there."""

from __future__ import annotations

import numpy as np
from fuzz.maker import FLOATS, Var, joined
from fuzz.views import Views

UNARY = [
    *("neg", "exp", "sin", "cos", "sigmoid", "tanh", "relu", "sqrt", "square", "abs", "log1p"),
    *("erf", "expm1", "reciprocal", "atan", "sign", "floor", "rsqrt", "nan_to_num"),
]
REDUCTIONS = ["sum", "mean", "amax", "amin"]
# Mostly compositions here: what PyTorch saves of these is declared in `facula/ops/composed.py`.
# An operand {} is a tensor of the program, {o} another of its shape and dtype.
COMPOSED = [
    *("nn.functional.softmax({}, -1)", "nn.functional.log_softmax({}, -1)", "prod({}, {d})"),
    *("nn.functional.gelu({})", "nn.functional.softplus({})", "nn.functional.silu({})"),
    *("nn.functional.leaky_relu({}, 0.1)", "nn.functional.elu({})", "nn.functional.hardtanh({})"),
    *("nn.functional.normalize({}, dim=-1)", "logsumexp({}, {d})", "var({}, {d})", "std({}, {d})"),
    *("norm({}, 2, {d})", "cummax({}, {d}).values", "logcumsumexp({}, {d})", "norm({})"),
    *("nn.functional.mse_loss({}, {o})", "var({})", "prod({})", "dist({}, {o})"),
    *("nn.functional.mish({})", "nn.functional.relu6({})", "nn.functional.hardshrink({}, 0.1)"),
    *("nn.functional.softshrink({}, 0.1)", "nn.functional.celu({})", "nn.functional.hardswish({})"),
    *("nn.functional.logsigmoid({})", "cross({}, {o}, -1)"),
    *("nn.functional.threshold({}, 0.1, 0.2)", "nn.functional.layer_norm({}, {}.shape[-1:])"),
    *("nn.functional.smooth_l1_loss({}, {o})", "nn.functional.huber_loss({}, {o})"),
    *("nn.functional.l1_loss({}, {o})", "nn.functional.soft_margin_loss({}, {o}.detach())"),
    *("nn.functional.binary_cross_entropy_with_logits({}, {o})", "nansum({})", "nanmean({})"),
    *("cdist({}[None], {o}[None])", "nn.functional.kl_div({}, {o}, reduction='sum')"),
    *("nn.functional.gaussian_nll_loss({}, {o}, {o}.abs() + 1)", "kthvalue({}, 1, {d}).values"),
]
WITHOUT_SHAPE = ("loss", "kl_div", "entropy", "dist", "nansum({})", "nanmean({})", "kthvalue")


class Results(Views):
    """The part of the maker that computes."""

    def pure(self) -> None:
        v = self.pick()
        getattr(self, "make_" + self.r.choice(RESULTS))(v)

    def make_binary(self, v: Var) -> None:
        o = self.other(v)
        w = self.named(o)
        op = self.choice("+", "-", "*", "*", "/")
        rg = v.rg or (w is not None and w.rg)
        dtype = joined(v.dtype, w.dtype) if w else v.dtype
        shape = v.shape
        if w:
            try:
                shape = np.broadcast_shapes(v.shape, w.shape)
            except ValueError:
                self.do(f"{v.name} {op} {o}")
                return
        if op == "-" and "bool" in (v.dtype, w.dtype if w else v.dtype):
            self.do(f"{v.name} {op} {o}")
            return
        if op == "/" and dtype not in FLOATS:
            dtype = "float32"
        self.add(f"{v.name} {op} {o}", shape, dtype, rg)

    def make_scalar(self, v: Var) -> None:
        op = self.choice("*", "+", "-", "/", "**", "//", "%")
        s = self.choice("2", "3", "1.5") if op in ("**", "//", "%") else self.scalar(v)
        if v.dtype in FLOATS:
            left, right = (v.name, s) if self.chance(0.7) or op == "**" else (s, v.name)
            self.add(f"{left} {op} {right}", v.shape, v.dtype, v.rg)

    def make_compare(self, v: Var) -> None:
        op = self.choice(">", "<", "==", "!=", ">=")
        self.add(f"{v.name} {op} {self.other(v)}", v.shape, "bool", False)

    def make_unary(self, v: Var) -> None:
        if v.dtype in FLOATS:
            self.add(f"{v.name}.{self.r.choice(UNARY)}()", v.shape, v.dtype, v.rg)

    def make_composed(self, v: Var) -> None:
        if v.dtype not in FLOATS:
            return
        f, d = self.r.choice(COMPOSED), self.dim(len(v.shape))
        o = self.named(self.like(v))
        if o is None:
            f = f.replace("{o}", "{}.detach().clone()")
        n = f.count("{}")
        text = "torch." + f.format(*[v.name] * n, d=d, o=o.name if o else "")
        rg = v.rg or ("{o}" in f and o.rg)
        if "cdist" in f:
            if len(v.shape) == 2:
                self.add(text, (1, v.shape[0], v.shape[0]), v.dtype, rg)
        elif "{d}" in f and "cum" not in f:
            self.result(v, text, lambda a: a.sum(d) if a.ndim else a)
        elif any([w in f for w in WITHOUT_SHAPE]) or f in ("norm({})", "var({})", "prod({})"):
            self.add(text, (), v.dtype, rg)
        elif "cross" not in f or (v.shape and v.shape[-1] == 3):
            self.result(v, text, lambda a: a, rg)

    def make_all(self, v: Var) -> None:
        f = self.choice("sum", "mean", "sum", "max", "min") if v.dtype in FLOATS else "sum"
        dtype = v.dtype if v.dtype in FLOATS else "int64"
        self.add(f"{v.name}.{f}()", (), dtype, v.rg)

    def make_reduce(self, v: Var) -> None:
        f = self.r.choice(REDUCTIONS if v.dtype in FLOATS else ["sum", "amax"])
        d = self.dim(len(v.shape))
        keep = self.chance(0.3)
        text = f"{v.name}.{f}({d}{', keepdim=True' if keep else ''})"
        dtype = "int64" if v.dtype == "bool" and f != "amax" else v.dtype
        self.result(v, text, lambda a: a.sum(d if a.ndim else None, keepdims=keep), dtype=dtype)

    def make_pair(self, v: Var) -> None:
        """Values of operations that give values and indices."""
        d = self.dim(len(v.shape))
        f = self.choice("max", "min", "sort", "median")
        of = f"{v.name}.clone()" if f == "median" else v.name  # PyTorch's of spread ones is wrong
        text = f"{of}.{f}({d}){self.choice('.values', '[0]')}"
        reduced = f in ("max", "min", "median")
        self.result(v, text, lambda a: a.sum(d) if reduced and a.ndim else a)

    def make_product(self, v: Var) -> None:
        o, w = self.pick(rank=1, float=True), self.pick(rank=1, float=True)
        if len(o.shape) == 2 and self.chance(0.3):
            text = self.choice("{0} @ {0}.t()", "torch.mm({0}, {0}.T)", "{0}.matmul({0}.mT)")
            self.add(text.format(o.name), (o.shape[0],) * 2, o.dtype, o.rg)
            return
        if len(o.shape) == 3 and self.chance(0.5):
            n, a, _ = o.shape
            self.add(f"torch.bmm({o.name}, {o.name}.mT)", (n, a, a), o.dtype, o.rg)
            return
        try:
            shape = (np.empty(o.shape) @ np.empty(w.shape)).shape
        except ValueError:
            if self.chance(0.2):
                self.do(f"{o.name} @ {w.name}")
            return
        self.add(f"{o.name} @ {w.name}", shape, o.dtype, o.rg or w.rg)

    def make_outer(self, v: Var) -> None:
        if len(v.shape) == 1:
            n = v.shape[0]
            text = self.choice(
                "torch.outer({0}, {0})",
                "torch.einsum('i,j->ij', {0}, {0}).clone()",
                "{0}[:, None] * {0}",
            )
            self.add(text.format(v.name), (n, n), v.dtype, v.rg)
        elif len(v.shape) == 2 and v.dtype in FLOATS:
            m, n = v.shape
            if self.chance(0.5):
                text = f"torch.einsum('ij,kj->ik', {v.name}, {v.name}).clone()"
                self.add(text, (m, m), v.dtype, v.rg)
            else:
                w, b = self.like(v, (2, n)), self.like(v, (2,))
                text = f"torch.nn.functional.linear({v.name}, {w}, {b})"
                self.add(text, (m, 2), v.dtype, v.rg)

    def make_join(self, v: Var) -> None:
        name = self.choice("cat", "stack")
        same = [o for o in self.vars if o.shape == v.shape]
        parts = [self.r.choice(same) for _ in range(self.choice(1, 2, 2, 3))]
        if not v.shape and name == "cat":
            return
        d = self.dim(len(v.shape) + (name == "stack"))
        text = f"torch.{name}([{', '.join(p.name for p in parts)}], {d})"
        f = np.concatenate if name == "cat" else np.stack
        dtype = joined(*[p.dtype for p in parts])
        self.result(v, text, lambda a: f([a] * len(parts), d), any(p.rg for p in parts), dtype)

    def make_copy(self, v: Var) -> None:
        text = self.choice("clone()", "clone()", "contiguous()", "detach().clone()", "deepcopy")
        if text == "deepcopy":
            self.add(f"copy.deepcopy({v.name})", v.shape, v.dtype, v.rg, v.leaf)
        else:
            self.add(f"{v.name}.{text}", v.shape, v.dtype, v.rg and "detach" not in text)

    def make_like(self, v: Var) -> None:
        f = self.choice("torch.zeros_like({})", "torch.ones_like({})", "{}.new_ones(2, 3)")
        shape = (2, 3) if "new" in f else v.shape
        rg = v.dtype in FLOATS and "new" not in f and self.chance(0.3)
        text = f.format(v.name)
        if rg:
            text = text[:-1] + ", requires_grad=True)"
        self.add(text, shape, v.dtype, rg, rg)

    def make_where(self, v: Var) -> None:
        o = self.other(v)
        cond = self.condition(v) if v.dtype != "bool" else v.name
        self.add(f"torch.where({cond}, {v.name}, {o})", v.shape, v.dtype, v.rg)

    def make_same(self, v: Var) -> None:
        """Two of one shape and dtype."""
        o = self.like(v)
        w = self.named(o)
        if v.dtype not in FLOATS:
            f = "maximum"
        else:
            f = self.choice("maximum", "minimum", "lerp", "atan2", "fmod", "hypot", "pow")
        extra = ", 0.3" if f == "lerp" else ""
        text = f"torch.{f}({v.name}, {o}{extra})"
        self.add(text, v.shape, v.dtype, v.rg or (w is not None and w.rg))

    def make_scan(self, v: Var) -> None:
        f = self.choice("cumsum", "cumprod", "cumsum")
        if v.dtype in FLOATS:
            self.result(v, f"{v.name}.{f}({self.dim(len(v.shape))})", lambda a: a)

    def make_convert(self, v: Var) -> None:
        d = self.choice("float64", "float32", "float64", "int64", "bool")
        text = {"float64": "double()", "float32": "float()", "int64": "long()", "bool": "bool()"}[d]
        if self.chance(0.7):
            text = f"to(torch.{d})"
        self.add(f"{v.name}.{text}", v.shape, d, v.rg and d in FLOATS)

    def make_clamp(self, v: Var) -> None:
        f = self.choice("clamp(-1, 1)", "clamp(min=0)", "clamp(max=0.5)", "clamp_min(0)")
        if v.dtype in FLOATS:
            self.add(f"{v.name}.{f}", v.shape, v.dtype, v.rg)

    def make_gather(self, v: Var) -> None:
        if not v.shape or 0 in v.shape:
            return
        d = self.r.randrange(len(v.shape))
        n = v.shape[d]
        f = self.choice("index_select", "gather", "take", "take_along_dim")
        if f == "index_select":
            idx = [self.r.randrange(n) for _ in range(2)]
            shape = (*v.shape[:d], 2, *v.shape[d + 1 :])
            self.add(f"{v.name}.index_select({d}, torch.tensor({idx}))", shape, v.dtype, v.rg)
        elif f == "take":
            size = int(np.prod(v.shape))
            idx = [self.r.randrange(size) for _ in range(3)]
            self.add(f"{v.name}.take(torch.tensor({idx}))", (3,), v.dtype, v.rg)
        else:
            i = np.array([self.r.randrange(n) for _ in range(int(np.prod(v.shape)))])
            index = f"torch.tensor({i.reshape(v.shape).tolist()})"
            args = f"{d}, {index}" if f == "gather" else f"{index}, {d}"
            self.add(f"{v.name}.{f}({args})", v.shape, v.dtype, v.rg)

    def make_move(self, v: Var) -> None:
        if not v.shape:
            return
        d = self.r.randrange(len(v.shape))
        f = self.choice(
            f"flip([{d}])", f"roll(1, {d})", "repeat", "tril", f"repeat_interleave(2, {d})"
        )
        if f == "repeat":
            times = [self.choice(1, 2) for _ in v.shape]
            self.result(v, f"{v.name}.repeat({times})", lambda a: np.tile(a, times))
        elif f == "tril":
            if len(v.shape) >= 2:
                self.add(f"{v.name}.{self.choice('tril', 'triu')}()", v.shape, v.dtype, v.rg)
        elif "interleave" in f:
            self.result(v, f"{v.name}.{f}", lambda a: a.repeat(2, d))
        else:
            self.add(f"{v.name}.{f}", v.shape, v.dtype, v.rg)

    def make_written(self, v: Var) -> None:
        """The operations that return what a write would have made."""
        if v.dtype not in FLOATS:
            return
        c = self.r.random()
        if c < 0.3:
            o = self.scalar(v)
            self.add(f"{v.name}.masked_fill({self.mask(v.shape)}, {o})", v.shape, v.dtype, v.rg)
        elif v.shape and 0 not in v.shape and c < 0.65:
            d = self.r.randrange(len(v.shape))
            i = self.r.randrange(v.shape[d])
            o = self.like(v, (*v.shape[:d], *v.shape[d + 1 :]))
            self.add(f"torch.select_scatter({v.name}, {o}, {d}, {i})", v.shape, v.dtype, v.rg)
        elif v.shape and 0 not in v.shape:
            d = self.r.randrange(len(v.shape))
            o = self.like(v, (*v.shape[:d], 1, *v.shape[d + 1 :]))
            index = f"torch.tensor([{self.r.randrange(v.shape[d])}])"
            f = self.choice("index_add", "index_copy")
            self.add(f"{v.name}.{f}({d}, {index}, {o})", v.shape, v.dtype, v.rg)

    def make_custom(self, v: Var) -> None:
        if v.dtype in FLOATS:
            self.add(f"cube({v.name})", v.shape, v.dtype, v.rg)

    def make_out(self, v: Var) -> None:
        """A new tensor that `out=` gives its shape."""
        w = self.add(f"torch.empty(0, dtype=torch.{v.dtype})", v.shape, v.dtype, False)
        self.steps.append(f"torch.add({v.name}, {self.scalar(v)}, out={w.name})")

    # Questions.
    def read(self) -> None:
        v, w = self.pick(), self.pick()
        self.do(
            self.choice(
                f"out({v.name}.tolist())",
                f"out({v.name}.sum().item())",
                f"out({v.name}.requires_grad)",
                f"out({v.name}.is_leaf)",
                f"out(steps({v.name}))",
                f"out({v.name}.is_contiguous())",
                f"out({v.name}.grad_fn is None)",
                f"out(bool(({v.name} > 0).any()))",
                f"out({v.name}.data_ptr() == {w.name}.data_ptr())",
                f"out({v.name}.contiguous() is {v.name})",
                f"out({v.name}.to(torch.{w.dtype}) is {v.name})",
                f"out({v.name}._base is None)",
                f"out({v.name}._base is {w.name})",
                f"out(torch.equal({v.name}, {w.name}))",
                f"out(len({v.name}))",
                f"out(float({v.name}))",
            )
        )

    def mode(self) -> None:
        if self.chance(0.5):
            self.grad = not self.grad
            self.steps.append(f"torch.set_grad_enabled({self.grad})")


RESULTS = (
    ["binary"] * 6
    + ["unary"] * 4
    + ["scalar", "all", "reduce", "product", "join", "copy"] * 3
    + ["composed"] * 5
    + ["where", "same", "gather", "move"] * 2
    + ["compare", "pair", "outer", "like", "scan", "convert", "clamp", "written", "custom", "out"]
)
