"""Writes: assignments to indices, in-place operations, `out=`, NumPy's side of shared memory."""

from __future__ import annotations

import numpy as np
from fuzz.maker import FLOATS, Var, joined
from fuzz.views import Views

# What needs nothing but the tensor.
PLAIN = {
    "float": [
        *("neg_", "relu_", "abs_", "exp_", "sigmoid_", "tanh_", "sqrt_", "sin_", "cos_", "zero_"),
        *("square_", "reciprocal_", "floor_", "round_", "sign_", "log1p_", "erf_", "nan_to_num_"),
        *("trunc_", "frac_", "expm1_", "rsqrt_", "atan_"),
    ],
    "int64": ["neg_", "abs_", "zero_", "sign_", "square_", "bitwise_not_", "relu_", "exp_"],
    "bool": ["zero_", "logical_not_", "bitwise_not_", "neg_"],
}


class Writes(Views):
    """The part of the maker that writes to memory."""

    def setitem(self) -> None:
        v = self.pick(write=True)
        c = self.r.random()
        if c < 0.14 and v.dtype != "bool":
            index, shape = self.condition(v), ()
        elif c < 0.55:
            index = self.basic(v)
            shape = self.index_shape(v, index)
        else:
            index = self.advanced(v, 0)  # PyTorch would have written a part before it fails
            shape = self.index_shape(v, index)
        if shape is None or self.chance(0.4):
            value = self.scalar(v)
        elif c < 0.14 and self.chance(0.4):
            value = f"{self.like(v)}[{index}]"
        else:
            value = self.other(Var("", shape, v.dtype))
        self.do(f"{v.name}[{index}] {self.choice(*['='] * 6, '+=', '*=', '-=', '/=')} {value}")
        self.wrote(v, value)

    def inplace(self) -> None:
        v = self.pick(write=True)
        if v.dtype == "bool":
            names = BOOL_WRITES
        elif v.dtype == "int64":
            names = WRITES + ["integer"] * 6
        else:
            names = WRITES
        getattr(self, "write_" + self.r.choice(names))(v)

    def write_arithmetic(self, v: Var) -> None:
        name = self.choice("add_", "sub_", "mul_", "div_")
        o = self.other(v) if self.chance(0.65) else self.scalar(v)
        if name in ("add_", "sub_") and self.chance(0.15):
            self.do(f"{v.name}.{name}({o}, alpha={self.scalar(v)})")
        elif name == "div_" and v.dtype in FLOATS and self.chance(0.2):
            mode = self.choice("floor", "trunc")
            self.do(f"{v.name}.div_({o}, rounding_mode='{mode}')")
        else:
            self.do(f"{v.name}.{name}({o})")
        self.wrote(v, o)

    def write_operator(self, v: Var) -> None:
        o = self.other(v) if self.chance(0.65) else self.scalar(v)
        self.do(f"{v.name} {self.choice('+=', '-=', '*=', '*=', '/=')} {o}")
        self.wrote(v, o)

    def write_remainder(self, v: Var) -> None:
        name = self.choice("remainder_", "fmod_", "//=", "%=")
        o = self.choice("2", "1.5", "-2", self.other(v)) if v.dtype in FLOATS else "2"
        self.do(f"{v.name} {name} {o}" if "=" in name else f"{v.name}.{name}({o})")
        self.wrote(v, o)

    def write_integer(self, v: Var) -> None:
        name = self.choice("&=", "|=", "^=", "<<=", ">>=", "bitwise_and_", "bitwise_xor_")
        o = "1" if "<" in name or ">" in name else self.choice(self.whole(v), "3", "1", "True")
        self.do(f"{v.name} {name} {o}" if "=" in name else f"{v.name}.{name}({o})")

    def whole(self, v: Var) -> str:
        """An operand that is no floating-point number."""
        o = self.other(v)
        w = self.named(o)
        return o if w is None or w.dtype not in FLOATS else "1"

    def write_logical(self, v: Var) -> None:
        name = self.choice("&=", "|=", "^=", "logical_and_", "logical_or_")
        o = self.choice(self.whole(v), "True", "False")
        self.do(f"{v.name} {name} {o}" if "=" in name else f"{v.name}.{name}({o})")

    def write_compare(self, v: Var) -> None:
        name = self.choice("gt_", "le_", "eq_", "ne_", "logical_not_", "logical_xor_")
        o = "" if name == "logical_not_" else self.literal(v.shape, v.dtype)
        self.do(f"{v.name}.{name}({o})")

    def write_copy(self, v: Var) -> None:
        o = self.other(v)
        self.do(f"{v.name}.copy_({o})")
        self.wrote(v, o)

    def write_fill(self, v: Var) -> None:
        zero_d = [o.name for o in self.vars if not o.shape]
        zero_d = zero_d if v.dtype in FLOATS else []
        o = self.r.choice(zero_d) if zero_d and self.chance(0.3) else self.scalar(v)
        self.do(f"{v.name}.fill_({o})")
        self.wrote(v, o)

    def write_plain(self, v: Var) -> None:
        whole = "bool" if v.dtype == "bool" else "int64" if "int" in v.dtype else "float"
        table = PLAIN[whole]
        self.do(f"{v.name}.{self.r.choice(table)}()")

    def write_clamp(self, v: Var) -> None:
        call = self.choice(
            *("clamp_(-1, 1)", "clamp_(min=0)", "clamp_(max=0.5)", "clip_(-1, 2)"),
            *("clamp_min_(0)", "clamp_max_(1)", f"clamp_(min={self.other(v)})"),
        )
        self.do(f"{v.name}.{call}")

    def write_power(self, v: Var) -> None:
        if self.chance(0.4):
            self.do(f"{v.name} **= {self.choice('2', '3', '2.0')}")
        else:
            self.do(f"{v.name}.pow_({self.choice('2', '3', '2.0', self.other(v))})")

    def write_masked(self, v: Var) -> None:
        m = self.condition(v) if self.chance(0.5) else self.mask(v.shape)
        if self.chance(0.2):
            o = self.like(v)
            self.do(f"{v.name}.masked_scatter_({m}, {o})")
        else:
            o = self.other(Var("", (), v.dtype)) if self.chance(0.4) else self.scalar(v)
            self.do(f"{v.name}.masked_fill_({m}, {o})")
        self.wrote(v, o)

    def write_index_put(self, v: Var) -> None:
        if not v.shape or not v.shape[0]:
            return
        n = v.shape[0]
        if self.chance(0.25):
            m = self.mask((n,))
            o = self.choice(
                self.other(Var("", (), v.dtype)), self.other(Var("", v.shape[1:], v.dtype))
            )
            acc = self.choice("", ", accumulate=True")
            self.do(f"{v.name}.index_put_(({m},), {o}{acc})")
            self.wrote(v, o)
            return
        idx = [self.r.randrange(n) for _ in range(self.r.randint(1, 3))]
        acc = self.choice("", ", accumulate=True", ", True")
        if not acc:
            idx = sorted(set(idx))
        o = self.other(Var("", (len(idx), *v.shape[1:]), v.dtype))
        self.do(f"{v.name}.index_put_((torch.tensor({idx}),), {o}{acc})")
        self.wrote(v, o)

    def write_index(self, v: Var) -> None:
        name = self.choice(
            "index_fill_", "index_add_", "index_copy_", "index_add_", "index_reduce_"
        )
        if not v.shape or (name == "index_reduce_" and v.dtype == "bool"):
            return
        d = self.r.randrange(len(v.shape))
        n = v.shape[d]
        if not n:
            return
        idx = self.r.sample(range(n), self.r.randint(1, n))
        if self.chance(0.03) and name != "index_add_":  # which of two errors depends on strides
            idx = [n]
        if name == "index_fill_":
            o = self.other(Var("", (), v.dtype)) if self.chance(0.3) else self.scalar(v)
            self.do(f"{v.name}.index_fill_({d}, torch.tensor({idx}), {o})")
        else:
            shape = list(v.shape)
            shape[d] = len(idx)
            o = self.like(v, shape) if n not in idx else self.literal(tuple(shape), v.dtype)
            extra = ""
            if name == "index_add_" and self.chance(0.2):
                extra = f", alpha={self.scalar(v)}"
            elif name == "index_reduce_":
                extra = f", '{self.choice('amax', 'amin', 'mean')}'"
                if v.rg:
                    return
            self.do(f"{v.name}.{name}({d}, torch.tensor({idx}), {o}{extra})")
        self.wrote(v, o)

    def write_scatter(self, v: Var) -> None:
        if not v.shape or 0 in v.shape:
            return
        d = self.r.randrange(len(v.shape))
        shape = [self.r.randint(1, n) for n in v.shape]
        size = int(np.prod(shape))
        name = self.choice("scatter_", "scatter_", "scatter_add_", "scatter_reduce_")
        if name == "scatter_":  # an index that is there twice has no answer
            order = [self.r.sample(range(v.shape[d]), shape[d]) for _ in range(size // shape[d])]
            i = np.moveaxis(np.array(order).reshape(*shape[:d], *shape[d + 1 :], shape[d]), -1, d)
        else:
            i = np.array([self.r.randrange(v.shape[d]) for _ in range(size)]).reshape(shape)
        index = f"torch.tensor({i.tolist()})"
        if name == "scatter_" and self.chance(0.3):
            o = self.scalar(v)
        else:
            o = self.like(v, shape)
        extra = ""
        if name == "scatter_reduce_":
            extra = f", '{self.choice('sum', 'amax', 'amin', 'mean')}'"
            if v.rg and "sum" not in extra:
                return
        self.do(f"{v.name}.{name}({d}, {index}, {o}{extra})")
        self.wrote(v, o)

    def write_put(self, v: Var) -> None:
        n = int(np.prod(v.shape))
        if not n:
            return
        idx = self.r.sample(range(n), self.r.randint(1, min(n, 3)))
        o = self.like(v, (len(idx),))
        extra = self.choice("", ", accumulate=True")
        self.do(f"{v.name}.put_(torch.tensor({idx}), {o}{extra})")
        self.wrote(v, o)

    def write_out(self, v: Var) -> None:
        """`out=`, of the result's shape: what another one does to views is not worth having."""
        a = self.pick()
        c = self.r.random()
        if c < 0.45:
            f = self.choice("add", "mul", "sub", "maximum")
            v = self.target(a.shape, a.dtype)
            o = self.choice(a.name, self.literal(a.shape, a.dtype), v)
            self.do(f"torch.{f}({a.name}, {o}, out={v})")
        elif c < 0.65:
            f = self.choice("exp", "neg", "abs", "sigmoid", "square", "cumsum")
            extra = ", 0" if f == "cumsum" else ""
            self.do(f"torch.{f}({a.name}{extra}, out={self.target(a.shape, a.dtype)})")
        elif c < 0.8 and a.shape:
            shape = (2 * a.shape[0], *a.shape[1:])
            self.do(f"torch.cat([{a.name}, {self.like(a)}], out={self.target(shape, a.dtype)})")
        elif c < 0.95:
            out = self.target(a.shape[1:], joined(a.dtype, "int64"))
            self.do(f"torch.sum({a.name} * 1, 0, out={out})")
        else:
            w = self.add(f"torch.ones({list(self.shape())}, dtype=torch.{a.dtype})", (), a.dtype, 0)
            self.steps.append(f"torch.mul({a.name}, 2, out={w.name})")
            w.shape = a.shape

    def target(self, shape, dtype: str) -> str:
        same = [o.name for o in self.vars if o.shape == tuple(shape) and o.dtype == dtype]
        return self.r.choice(same) if same else f"torch.empty(0, dtype=torch.{dtype})"

    def write_fused(self, v: Var) -> None:
        if v.dtype not in FLOATS:
            return
        name = self.choice("addcmul_", "addcdiv_", "lerp_", "lerp_", "addmm_", "addmv_", "addr_")
        if name in ("addcmul_", "addcdiv_"):
            a = self.other(v)
            b = self.other(v) if name == "addcmul_" else self.literal(v.shape, v.dtype)
            self.do(f"{v.name}.{name}({a}, {b}, value=0.5)")
            self.wrote(v, a, b)
        elif name == "lerp_":
            a = self.other(v)
            self.do(f"{v.name}.lerp_({a}, {self.choice('0.5', '0.25', '2')})")
            self.wrote(v, a)
        else:
            rank = 1 if name == "addmv_" else 2
            if len(v.shape) != rank:
                return
            k = self.choice(1, 2, 3)
            first, second = {
                "addmm_": ((v.shape[0], k), (k, v.shape[-1])),
                "addmv_": ((v.shape[0], k), (k,)),
                "addr_": ((v.shape[0],), (v.shape[-1],)),
            }[name]
            a, b = self.like(v, first), self.like(v, second)
            extra = self.choice("", ", beta=0.5", ", alpha=2", ", beta=0")
            self.do(f"{v.name}.{name}({a}, {b}{extra})")
            self.wrote(v, a, b)

    def write_scan(self, v: Var) -> None:
        name = self.choice("cumsum_", "cumprod_", "tril_", "triu_", "fill_diagonal_")
        if name in ("cumsum_", "cumprod_"):
            self.do(f"{v.name}.{name}({self.dim(len(v.shape))})")
        elif len(v.shape) >= 2:
            if name == "fill_diagonal_":
                if len(v.shape) == 2:
                    self.do(f"{v.name}.{name}({self.scalar(v)})")
            else:
                self.do(f"{v.name}.{name}({self.r.randint(-1, 1)})")

    def write_random(self, v: Var) -> None:
        call = (
            self.choice("normal_()", "uniform_()", "uniform_(-1, 1)", "bernoulli_(0.5)")
            if v.dtype in FLOATS
            else self.choice("random_(0, 5)", "bernoulli_(0.5)")
        )
        self.do(f"torch.manual_seed({self.r.randrange(9)}); {v.name}.{call}")

    def write_functional(self, v: Var) -> None:
        if v.dtype not in FLOATS:
            return
        f = self.choice(
            "nn.functional.relu({}, inplace=True)",
            "nn.init.constant_({}, 0.25)",
            "nn.init.ones_({})",
            "nn.functional.dropout({}, 0.0, inplace=True)",
        )
        self.do("torch." + f.format(v.name))

    def write_custom(self, v: Var) -> None:
        if v.dtype in FLOATS:
            self.do(f"double_({v.name})")

    def write_data(self, v: Var) -> None:
        c = self.r.random()
        if c < 0.4:
            self.steps.append(f"{v.name}.data.{self.choice('mul_', 'add_')}({self.scalar(v)})")
        elif c < 0.7:
            self.steps.append(f"{v.name}.data[{self.basic(v)}] = {self.scalar(v)}")
        else:
            self.steps.append(f"{v.name}.data.copy_({self.other(v)})")

    # NumPy.
    def numpy(self) -> None:
        """Share memory with NumPy, write on NumPy's side."""
        if self.arrays and self.chance(0.7):
            n = self.r.choice(self.arrays)
            c = self.r.random()
            if c < 0.3:
                self.steps.append(f"{n.name}[...] = {self.scalar(n)}")
            elif c < 0.5:
                self.steps.append(f"{n.name} *= {self.r.randint(0, 3)}")
            elif c < 0.7:
                self.steps.append(f"{n.name}[{self.basic(n)}] = {self.scalar(n)}")
            elif c < 0.85:
                self.add(f"torch.from_numpy({n.name})", n.shape, n.dtype, False)
            else:
                self.steps.append(f"out({n.name}.tolist())")
            return
        v = self.pick()
        if v.dtype == "bfloat16":
            return  # which PyTorch gives NumPy no array of
        source = self.choice(f"{v.name}.numpy()", f"{v.name}.detach().numpy()")
        n = Var(f"n{len(self.arrays)}", v.shape, v.dtype)
        self.steps.append(f"{n.name} = {source}")
        self.arrays.append(n)

    # What a tensor is.
    def meta(self) -> None:
        """In-place changes of what a tensor is, not of its values."""
        v = self.pick()
        if v.rg and not self.grad:
            return  # PyTorch keeps the history of the old shape then
        x = v.name
        c = self.choice(
            *("t_", "transpose_", "squeeze_", "unsqueeze_", "detach_", "requires", "requires"),
            *("frozen", "swapaxes_", "data"),
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
        elif c == "data":  # not of a tensor that has views: they would keep the old memory
            o = self.like(v)
            w = self.add(f"{x}.clone()", v.shape, v.dtype, v.rg)
            self.steps.append(f"{w.name}.data = {o}")


WRITES = (
    ["arithmetic"] * 8
    + ["operator"] * 6
    + ["plain"] * 5
    + ["copy", "fill", "masked", "index", "out"] * 3
    + ["fused", "scatter", "index_put", "clamp"] * 2
    + ["power", "remainder", "put", "scan", "random", "functional", "custom", "data", "compare"]
)
BOOL_WRITES = ["logical"] * 4 + ["plain", "copy", "fill", "masked", "index_put", "compare", "index"]
