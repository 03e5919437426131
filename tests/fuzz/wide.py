"""Statements that programs make seldom: transforms of functions, modes in each other, other dtypes,
memory that changes hands, hooks of nodes, functions of the user, optimisers and modules.

Most are templates. In them {x} is a tensor, {y} another, {o} one of x's shape and dtype that
requires no grad, {same} an expression of `x` of the same shape, {loss} one without dimensions.
"""

from __future__ import annotations

from fuzz.maker import FLOATS, Var
from fuzz.programs import KINDS, Programs


def make(seed: int) -> dict:
    """The program of a seed."""
    return Wide(seed).program()


OTHERS = ("float16", "bfloat16", "int32", "uint8", "complex128", "complex64", "int16")
SAME = [
    *("x * x", "x.sin()", "x.clone().mul_(2)", "x[..., :1] * x", "x.exp().cumsum(-1)", "x * 2"),
    *("(lambda y: y.add_(x))(x * 3)", "x.detach() * x", "x.flip(-1) * x", "x.clone()", "x"),
    *("(lambda y: (y[..., 0].mul_(x[..., 0]), y)[1])(x * 2)", "x.sigmoid() / 3", "x ** 3"),
    *("(lambda y: (y.select(-1, 0).zero_(), y)[1])(x * x)", "torch.where(x > 0, x, x * x)"),
    *("x.relu()", "x.softmax(-1)", "x.t().sin().t()"),
]
LOSS = ["({same}).sum()", "({same}).sum()", "({same}).mean()"]
# A statement, and what its result is like: x, nothing, or x twice. "out" tells values and no more.
TRANSFORMS = [
    ("tidy(torch.func.grad(lambda x: {loss})({x}))", "same"),
    ("torch.func.grad(torch.func.grad(lambda x: {loss}))({x}.sum()).detach()", "scalar"),
    ("torch.func.jvp(lambda x: {same}, ({x},), ({o},))[0]", "same"),
    ("firm(torch.func.jvp(lambda x: {same}, ({x},), ({o},))[1], {x})", "same"),
    ("tidy(torch.func.vjp(lambda x: {same}, {x})[1]({o})[0])", "same"),
    ("tidy(torch.func.jacrev(lambda x: {same})({x}))", "twice"),
    ("firm(torch.func.jacfwd(lambda x: {same})({x}), {x})", "twice"),
    ("tidy(torch.vmap(lambda x: {same})({x}))", "same"),
    ("tidy(torch.vmap(torch.func.grad(lambda x: {loss}))({x}))", "same"),
    ("tidy(torch.autograd.functional.vjp(lambda x: {same}, {x}, {o})[1])", "detached"),
    (
        "firm(torch.autograd.functional.jvp(lambda x: {same}, {x}, {o}, create_graph=True)[1], "
        "{x})",
        "same",
    ),
    ("torch.utils.checkpoint.checkpoint(lambda x: {same}, {x}, use_reentrant=False)", "same"),
    ("torch.utils.checkpoint.checkpoint(lambda x: {same}, {x}, use_reentrant=True)", "same"),
    ("torch.vmap(lambda x: {same}, in_dims=-1)({x})", "out"),
    ("torch.func.hessian(lambda x: {loss})({x})", "out"),
    ("torch.autograd.functional.hessian(lambda x: {loss}, {x})", "out"),
    ("torch.autograd.functional.jacobian(lambda x: {same}, {x})", "out"),
    ("torch.autograd.functional.jacobian(lambda x: {same}, {x}, create_graph=True)", "out"),
    (
        "torch.autograd.grad(({x} * {x}).flatten(), [{x}], [torch.eye({x}.numel(), "
        "dtype={x}.dtype)], is_grads_batched=True)[0]",
        "out",
    ),
]
MODES = [
    *("torch.no_grad()", "torch.enable_grad()", "torch.set_grad_enabled(False)"),
    *("torch.no_grad(), torch.enable_grad()", "torch.enable_grad(), torch.no_grad()"),
    *("torch.no_grad(), torch.inference_mode(False)", "torch.inference_mode(False)"),
]
ACTS = [
    *("{x} * 2", "{x}.clone()", "{x}[...]", "{x}.detach()", "{x} + {x}", "{x}.add_(1)"),
    *("{x}.requires_grad_()", "{x}.mul_({x})", "{x}.contiguous()", "{x}.view_as({x})"),
]
VIEWS = [
    *("{x}.positive()", "{x}.view_as(torch.zeros_like({x}))", "{x}.squeeze((0, -1))"),
    *("{x}.sum_to_size({x}.shape)", "{x}.cpu()", "{x}.slice_scatter({x}[:1] * 2, 0, 0, 1)"),
    *("{x}.swapaxes(0, -1).diagonal_scatter({x}.diagonal())", "{x}.data.requires_grad_()[...]"),
    *("{x}.new_tensor({x}.tolist())", "{x}.detach().requires_grad_()", "{x}.hsplit(1)[0]"),
    *("{x}.as_strided({x}.shape, {x}.stride())", "{x}.expand_as({y})", "{x}.type_as({y})"),
    *("{x}.adjoint().adjoint()", "{x}.rot90().rot90(-1)", "{x}.unfold(-1, 1, 1).squeeze(-1)"),
    *("torch.empty(0, dtype={x}.dtype).set_({x}.detach())", "{x}.narrow_copy(0, 0, 1)"),
    *("torch.empty(0, dtype={x}.dtype).set_({x}.untyped_storage(), 0, {x}.shape)",),
]
HOOKS = [
    "{x}.grad_fn.register_hook(lambda i, o: out([g.tolist() for g in o if g is not None]))",
    "{x}.grad_fn.register_prehook(lambda o: tuple(None if g is None else g * 3 for g in o))",
    "{x}.grad_fn.register_prehook(lambda o: out([g.tolist() for g in o if g is not None]))",
    "{x}.register_post_accumulate_grad_hook(lambda t: (t.grad.zero_(), None)[1])",
    "{x}.register_post_accumulate_grad_hook(lambda t: setattr(t, 'grad', None))",
    "torch.autograd.graph.register_multi_grad_hook([{x}, {y}], lambda g: out(len(g)))",
    "torch.autograd.graph.register_multi_grad_hook([{x}], lambda g: out(g.tolist()), mode='any')",
]
SAVED = [
    "torch.autograd.graph.saved_tensors_hooks(lambda t: t.detach().clone() * 2, lambda t: t)",
    "torch.autograd.graph.save_on_cpu()",
]
FUNCTIONS = [
    *("pair({x})[0]", "seen({x})", "scaled({x}, {o}, 0.5)", "once({x})", "apart({x})"),
    *("outer({x})", "dirty2({x}, {o})[0]", "scaled({x}, {x}, 2)"),
]
OPTIMISERS = [
    *("SGD([{x}], lr=0.1, momentum=0.9, nesterov=True)", "Adagrad([{x}], lr=0.1)"),
    *("SGD([{x}], lr=0.1, momentum=0.9, weight_decay=0.1, maximize=True)", "Rprop([{x}], lr=0.1)"),
    *("Adam([{x}], lr=0.1)", "AdamW([{x}], lr=0.1, amsgrad=True)", "LBFGS([{x}], max_iter=2)"),
    *("RMSprop([{x}], lr=0.1, centered=True)", "Adamax([{x}], lr=0.1)", "NAdam([{x}], lr=0.1)"),
]
TRAINING = [
    *("{n}.zero_grad()", "{n}.zero_grad(set_to_none=False)", "({x} * {x}).sum().backward()"),
    *("{y}.sum().backward()", "{n}.step(closure({n}, lambda: ({x} * {x}).sum()))"),
    *("{n}.load_state_dict({n}.state_dict())", "torch.nn.utils.clip_grad_norm_([{x}], 0.5)"),
]
MODULES = [
    *("Linear({k}, {k})", "LayerNorm({k})", "BatchNorm1d({k})", "PReLU()", "Softplus()"),
    "Sequential(torch.nn.Linear({k}, 2), torch.nn.ReLU(inplace=True), torch.nn.Linear(2, {k}))",
]
ON_MODULES = [
    "{m}.register_forward_hook(lambda m, i, o: o * 2)",
    "{m}.register_forward_pre_hook(lambda m, i: (i[0] + 1,))",
    "{m}.register_full_backward_hook(lambda m, i, o: out([g is None for g in i]))",
    "{m}.register_full_backward_hook(lambda m, i, o: tuple(g if g is None else g * 2 for g in i))",
    "{m}.register_full_backward_pre_hook(lambda m, o: (o[0] * 2,))",
    *("{m}.eval()", "{m}.requires_grad_(False)", "{m}.zero_grad()"),
    *("[p.data.mul_(0.5) for p in {m}.parameters()]", "{m}.load_state_dict({m}.state_dict())"),
]
QUESTIONS = [
    *("divmod({x}, 2)[1].tolist()", "round({x}.double(), decimals=1).tolist()", "bool({x})"),
    *("hash({x}) == hash({x})", "(2 ** {x}).tolist()", "(~{x}).tolist()", "(+{x}) is {x}"),
    *("0.5 in {x}", "int({x})", "complex({x})", "[*map(float, {x}.flatten())]", "{x}.ndim"),
    *("copy.copy({x}).requires_grad", "pickle.loads(pickle.dumps({x})).requires_grad"),
    *("{x}.as_subclass(Sub).mul(2).__class__ is Sub", "np.asarray({x}).tolist()"),
    *("np.add({x}, 1).tolist()", "{x}.__index__()", "{x}.is_set_to({y})", "{x}.retains_grad"),
    *("torch.is_same_size({x}, {y})", "torch.result_type({x}, {y}) == {x}.dtype"),
    *("torch.can_cast({x}.dtype, {y}.dtype)", "max({x}.flatten()).item()", "sum({x}).tolist()"),
    *("[r.tolist() for r in reversed({x})]", "torch.allclose({x}, {y})", "abs({x}).tolist()"),
]


class Wide(Programs):
    """Makes one program with more kinds of statements."""

    def kind(self) -> str:
        return self.r.choice(ALL)

    def fill(self, text: str, v: Var, **more: str) -> str:
        same = self.r.choice(SAME)
        if same == "x" and "use_reentrant=True" in text:
            same = "x * 1"  # there that is a function of the user, which returns its operand
        loss = self.r.choice(LOSS).format(same=same)
        o = f"{self.like(v)}.detach().clone()"
        y = self.pick().name
        return text.format(x=v.name, y=y, o=o, same=same, loss=loss, **more)

    def transform(self) -> None:
        v = self.pick(float=True, rank=1)
        if 0 in v.shape:
            return
        text, kind = self.r.choice(TRANSFORMS)
        text = self.fill(text, v)
        if "flip" in text and len(v.shape) <= ("vmap" in text):
            return  # PyTorch's rule for batches refuses the dimension -1 of a number
        if kind == "out":
            self.do(f"out({text}.tolist())")
        else:
            shape = {"scalar": (), "twice": v.shape * 2}.get(kind, v.shape)
            self.add(text, shape, v.dtype, v.rg and kind in ("same", "twice"))

    def dual(self) -> None:
        v = self.pick(float=True, rank=1)
        dual = self.fill("(lambda x: {same})(fwAD.make_dual({x}, {o}))", v)
        self.do(f"with fwAD.dual_level(): out(fwAD.unpack_dual({dual}).tangent.tolist())")

    def modes(self) -> None:
        v = self.pick(float=True)
        mode, act = self.r.choice(MODES), self.r.choice(ACTS).format(x=v.name)
        w = self.add(act, v.shape, v.dtype, v.rg)
        self.steps[-1] = f"with {mode}: {self.steps[-1]}"
        if self.chance(0.3):
            self.do(f"out({w.name}.requires_grad)")

    def memory(self) -> None:
        v, o = self.pick(), self.pick()
        x = v.name
        d = self.choice(*OTHERS, *FLOATS)
        self.do(
            self.choice(
                f"{x}.resize_([{self.choice(1, 2, 3)}]).detach().fill_(0.5)",
                f"{x}.copy_({o.name})",
                f"{x}.copy_({self.like(v)}.to(torch.{d}))",
                f"{x}.data = {o.name}",
                f"torch._foreach_mul_([{x}], 2)",
                f"with torch.no_grad(): torch._foreach_copy_([{x}], [{self.like(v)}.clone()])",
            )
        )

    def dtypes(self) -> None:
        v, d = self.pick(), self.choice(*OTHERS)
        c = self.r.random()
        if c < 0.4:
            self.add(f"{v.name}.to(torch.{d})", v.shape, d, v.rg and d[0] in "fbc")
        elif c < 0.5 and v.dtype != "float16":  # there is no complex32
            d = "complex128" if v.dtype == "float64" else "complex64"
            self.add(f"torch.complex({v.name}, {self.like(v)})", v.shape, d, v.rg)
        elif c < 0.9:
            z = self.pick(dtype="complex128")
            part = self.choice("real", "imag", "abs()", "angle()", "conj()", "conj_physical()")
            d = z.dtype if "conj" in part else "float64"
            self.add(f"{z.name}.{part}", z.shape, d, z.rg)
        elif v.dtype == "complex128":
            self.add(f"torch.view_as_real({v.name})", (*v.shape, 2), "float64", v.rg)
        else:
            d = self.choice("int64", "float64", "int32", "float32", "complex64")
            self.add(f"{v.name}.view(torch.{d})", v.shape, d, False)

    def rare_view(self) -> None:
        v = self.pick()
        self.add(self.fill(self.r.choice(VIEWS), v), v.shape, v.dtype, v.rg)

    def node(self) -> None:
        v = self.pick(rg=True, float=True)
        if self.chance(0.7):
            self.steps.append(f"h{self.handles} = {self.fill(self.r.choice(HOOKS), v)}")
            self.handles += 1
        else:
            self.add(f"({v.name}.exp() * {v.name}).sin()", v.shape, v.dtype, v.rg)
            self.steps[-1] = f"with {self.r.choice(SAVED)}: {self.steps[-1]}"

    def function(self) -> None:
        v = self.pick(float=True)
        self.add(self.fill(self.r.choice(FUNCTIONS), v), v.shape, v.dtype, v.rg)

    def train(self) -> None:
        v = self.pick(leaf=True, float=True)
        n = f"o{len(self.steps)}"
        self.steps.append(f"{n} = torch.optim.{self.r.choice(OPTIMISERS).format(x=v.name)}")
        for _ in range(self.choice(1, 2, 3)):
            self.steps.append(self.fill(self.r.choice(TRAINING), v, n=n))
        self.steps.append(f"{n}.step()")

    def module(self) -> None:
        v = self.pick(float=True, rank=1)
        m = f"m{len(self.steps)}"
        made = self.r.choice(MODULES).format(k=v.shape[-1] if v.shape else 1)
        if 0 in v.shape or v.dtype not in FLOATS:
            return
        self.steps.append(f"torch.manual_seed(0); {m} = torch.nn.{made}.to(torch.{v.dtype})")
        for _ in range(self.choice(0, 1, 2)):
            self.steps.append(self.r.choice(ON_MODULES).format(m=m))
        w = self.add(f"{m}({v.name})", v.shape, v.dtype, True)
        if self.chance(0.5):
            self.do(f"{w.name}.sum().backward(retain_graph=True)")
            self.do(
                f"out([p.grad if p.grad is None else p.grad.tolist() for p in {m}.parameters()])"
            )

    def python(self) -> None:
        self.do(f"out({self.fill(self.r.choice(QUESTIONS), self.pick())})")


MORE = (
    ["transform"] * 10
    + ["modes", "memory", "dtypes", "rare_view", "function"] * 7
    + ["node", "python"] * 5
    + ["module"] * 3
    + ["train", "dual"] * 2
)
ALL = KINDS + MORE
