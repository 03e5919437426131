"""Statements that training programs are full of: updates of leaves, toggles of what requires grad,
masks and indices in place, results into given memory, dtypes that meet, parts of complex numbers,
hooks that change gradients, and derivatives of derivatives through all that.

Templates as in `wide.py`; {d} is another dtype, {g} a gradient by {x}.
"""

from __future__ import annotations

from fuzz.maker import Var
from fuzz.wide import MODES, SAME, Wide

# Of a leaf.
UPDATES = [
    *("with torch.no_grad(): {x} -= 0.1 * {o}", "with torch.no_grad(): {x}.sub_({x}.grad)"),
    *("with torch.no_grad(): {x}.clamp_(-1, 1)", "{x}.data.add_({o}, alpha=-0.1)"),
    *("with torch.no_grad(): {x}.lerp_({o}, 0.1)", "{x}.data = {x}.data * 0.5"),
    "with torch.no_grad(): {x}.addcdiv_({o}, {o}.abs() + 1, value=-0.1)",
    *("with torch.no_grad(): {x}[..., :1].mul_(0.5)", "with torch.no_grad(): {x}[...] = {o}"),
    *("with torch.no_grad(): {x}.view(-1)[:2].zero_()", "{x}.detach().mul_(0.9)"),
    *("with torch.no_grad(): torch._foreach_add_([{x}], [{o}], alpha=-0.1)", "{x}.grad = None"),
    *("{x}.grad.mul_(0.5)", "{x}.grad.zero_()", "{x}.grad = {x}.grad * 2", "{x}.grad += {o}"),
    "{x}.grad.data.clamp_(-0.1, 0.1)",
    *("torch.nn.init.constant_({x}, 0.5)", "{x}.add_(1)", "{x}[..., 0] = 0", "{x}.detach_()"),
    "torch.nn.utils.vector_to_parameters(torch.nn.utils.parameters_to_vector([{x}]) * 2, [{x}])",
    *("out({x}.grad is None)", "out(torch.nn.utils.clip_grad_norm_([{x}], 0.5).item())"),
]
TOGGLES = [
    *("{x}.requires_grad_()", "{x}.requires_grad_(False)", "{x}.requires_grad = True"),
    *("{x}.detach_()", "{x}.retain_grad()", "{x}.detach().requires_grad_().sum().backward()"),
    *("out([{x}.requires_grad, {x}.is_leaf, {x}.grad_fn is None])", "{x}.grad = {o}"),
    *("{x} = {x}.detach().requires_grad_()", "{x} = {x}.detach()", "{x} = torch.zeros_like({x})"),
    *("del {x}", "{x} = {x} * 2", "{x} = {x}.clone()", "{x} += {o}", "{x} = {x}.requires_grad_()"),
]
# Of what may be written.
WRITES = [
    *("{x}.masked_fill_({x} > 0, 0.5)", "{x}.masked_fill_({x}[..., :1] > 0, {o}.sum())"),
    *("{x}.masked_fill_(torch.tensor(True), 1)", "{x}.masked_fill_({x} > 0, {x}.sum() * 0.1)"),
    *("{x}.index_put_((torch.tensor([0]),), {o}.sum())", "{x}[{x} > 0] = 0.25"),
    "{x}.index_put_((torch.tensor([0, 0]),), {o}[:1] * 2, accumulate=True)",
    "{x}.scatter_(0, torch.zeros_like({x}, dtype=torch.int64)[:1], {o}[:1] * 2)",
    "{x}.scatter_(-1, torch.zeros([1] * {x}.dim(), dtype=torch.int64), 3.0)",
    "{x}.scatter_add_(0, torch.zeros_like({x}, dtype=torch.int64), {o} * 0.5)",
    "{x}.scatter_reduce_(0, torch.zeros_like({x}, dtype=torch.int64), {o}, 'sum')",
    *("{x}.copy_(torch.where({x} > 0, {x}, -{x}))", "{x}[{x} > 0] *= 2", "{x}[..., -1] *= {x}"),
    *("{x}[..., -1] = {x}[..., 0] * 2", "{x}[[0]] += {x}[[0]] * 0.5", "{x}[0] = {y}"),
    *("{x}.masked_scatter_({x} > 0, {o} * 2)", "{x}.index_fill_(0, torch.tensor([0]), {o}.sum())"),
    *("{x}.index_copy_(0, torch.tensor([0]), {x}[:1] * 2)", "{x}.fill_diagonal_(0.5)"),
    *("{x}.expand(2, *{x}.shape).add_(1)", "{x}[None].expand(2, *{x}.shape)[0].mul_(2)"),
    *("{x}[:1].expand_as({x}).mul_(2)", "{x}.unsqueeze(-1).squeeze(-1).mul_(2)", "{x}.t_()"),
    *("{x}.transpose(0, -1).copy_({o}.transpose(0, -1))", "{x}.flatten()[0] = 1", "{x}.resize_(1)"),
    *("{x}.view(-1).index_add_(0, torch.tensor([0]), {o}.sum()[None])", "{x}.diagonal().zero_()"),
    *("{x}.unbind(0)[0].mul_(2)", "{x}.chunk(2)[0].add_(1)", "{x}.split(1)[0][:] = 0"),
    *("{x}.put_(torch.tensor([0]), {o}.sum()[None])", "{x}.swapaxes_(0, -1)", "{x}.squeeze_()"),
    *("{x}.addcmul_({o}, {o}, value=0.5)", "{x}.lerp_({o}, 0.5)", "{x}.cumsum_(0)", "{x}.tril_()"),
    *("{x}.renorm_(2, 0, 1.0)", "{x}.clamp_(min={o})", "{x}.sub_({o}.mean())", "{x}.relu_()"),
    *("torch.nn.functional.relu({x}, inplace=True)", "{x}.div_({x}.norm())", "{x}.mul_({x})"),
    *("torch.nn.functional.dropout({x}, 0.0, True, True)", "{x}.exp_().mul_({x})"),
    *("torch.nn.functional.leaky_relu_({x})", "torch.nn.functional.elu({x}, inplace=True)"),
    *("{x}.copysign_({o})", "{x}.atan2_({o})", "{x}.hypot_({o})"),
    *("{x}.addmm_({x}, {x})", "{x}.addmv_({x}, {x}[0])", "{x}.addr_({x}[0], {x}[0])"),
]
OUT = [
    *("torch.add({x}, {o}, out={w})", "torch.mul({o}, 2, out={x})", "torch.sum({o}, 0, out={w})"),
    *(
        "torch.cat([{o}, {o}], out={w})",
        "torch.matmul({o}, {o}, out={w})",
        "torch.neg({o}, out={x})",
    ),
    *(
        "torch.where({x} > 0, {o}, 0.5, out={w})",
        "torch.exp({x}, out={x})",
        "torch.clamp({x}, 0, 1, out={o})",
    ),
    "torch.max({o}, 0, out=(torch.empty(0, dtype={x}.dtype), torch.empty(0, dtype=torch.int64)))",
    *("torch.add({x}, 1, out=torch.empty(0, dtype=torch.{d}))", "torch.mean({o}, -1, out={w})"),
    *("torch.stack([{o}, {o}], out={w})", "torch.index_select({o}, 0, torch.tensor([0]), out={w})"),
    *(
        "torch.sub({o}, {o}, out={x}[...])",
        "torch.div({o}, 2, out={x}.t())",
        "torch.gt({x}, 0, out={w})",
    ),
]
# What they are like: x, or a number.
MIXES = [
    *(
        "{x} * {o}.to(torch.{d})",
        "{o}.to(torch.{d}) - {x}",
        "{x} + torch.tensor(2, dtype=torch.{d})",
    ),
    *("torch.where({x} > 0, {x}, {o}.to(torch.{d}))", "torch.cat([{x}, {o}.to(torch.{d})])[:1]"),
    *("{x}.to(torch.{d}) @ {o}.to(torch.{d})", "torch.maximum({x}, {o}.to(torch.{d}))"),
    *("{x}.to(torch.{d}).to({x}.dtype)", "torch.lerp({x}, {o}, 0.5)", "{x}.float() * {x}.double()"),
    *("{x}.add({o}.to(torch.{d}), alpha=2)", "torch.stack([{x}, {o}.to(torch.{d})])[0]"),
    *("{x}.sum(dtype=torch.{d}) * {x}", "{x}.softmax(0, dtype=torch.float64)", "{x} ** 2 / 3"),
    *("torch.addcmul({x}, {o}, {o}.to(torch.{d}))", "{x}.type_as({o}.to(torch.{d})) + {x}"),
]
MIXED_WRITES = [
    *(
        "{x} += {o}.to(torch.{d})",
        "{x}.mul_(torch.tensor(2, dtype=torch.{d}))",
        "{x}.copy_({o}.to(torch.{d}))",
    ),
    *("{x}[0] = torch.tensor(1, dtype=torch.{d})", "{x}[...] = {o}.to(torch.{d})", "{x}.add_(1j)"),
    *(
        "{x}.masked_fill_({x} > 0, torch.tensor(1, dtype=torch.{d}))",
        "{x}.fill_(torch.tensor(2, dtype=torch.{d}))",
    ),
    *(
        "{x}[[0]] = {o}[:1].to(torch.{d})",
        "{x}.index_put_((torch.tensor([0]),), {o}[0].to(torch.{d}))",
    ),
]
COMPLEX = [
    *("{z}.real.mul_(2)", "{z}.imag.add_(1)", "{z}.real.copy_({z}.imag)", "{z}.imag[...] = 0.5"),
    *("torch.view_as_real({z})[..., 0].neg_()", "{z}.real = {z}.real * 2", "{z}.imag = {z}.real"),
    *("{z}.mul_(1j)", "{z}[..., :1].imag.zero_()", "{z}.real[..., 0] = 3", "{z}.real.detach_()"),
    *("({z} * {z}.conj()).real.sum().backward(retain_graph=True)", "{z}.abs().sum().backward()"),
    *("torch.view_as_real({z}).sum().backward()", "({z}.real * {z}.imag).sum().backward()"),
]
COMPLEX_RESULTS = [
    *("{z}.real * {z}.imag", "torch.view_as_real({z})[..., 1]", "{z}.abs()", "({z} * {z}).imag"),
    *("torch.view_as_complex(torch.stack([{z}.real, {z}.real], -1)).imag", "{z}.angle()"),
]
HOOKS = [
    *("{x}.register_hook(lambda g: g * 2)", "{x}.register_hook(lambda g: g.clone().zero_())"),
    *("{x}.register_hook(lambda g: torch.clamp(g, -1, 1))", "{x}.register_hook(lambda g: -g)"),
    *("{x}.register_hook(lambda g: g * {o})", "{x}.register_hook(lambda g: g.to(torch.{d}))"),
    *(
        "{x}.register_hook(lambda g: g[..., :1])",
        "{x}.register_hook(lambda g: out(g.sum().item()))",
    ),
    *("{x}.register_hook(lambda g: g * {x})", "{x}.register_hook(lambda g: g.expand_as(g))"),
    "{x}.register_hook(lambda g: (g * 3).requires_grad_(g.requires_grad))",
]
NESTED = [
    "{c}(lambda x: {c}(lambda x: {same}, x, use_reentrant=False) * 2, {x}, use_reentrant=False)",
    "{c}(lambda x, y: x * y + ({same}), {x}, {o}, use_reentrant=False)",
    "{c}(lambda x: ({same}).clone().mul_(x), {x}, use_reentrant=False)",
    "{c}(lambda x: x.mul(2).add_({x}), {x}, use_reentrant=False)",
]
GRADS = [
    "torch.autograd.grad(({same}).sum(), [x], create_graph=True, allow_unused=True)[0]",
    "torch.autograd.grad((x * ({same})).sum(), [x], create_graph=True)[0]",
    "torch.autograd.grad({same}, [x], [torch.ones_like(x)], create_graph=True, allow_unused=True)"
    "[0]",
]
TWICE = [
    *("({g} ** 2).sum().backward()", "{g}.sum().backward(retain_graph=True)"),
    *("({g} * {x}).sum().backward()", "(({g}.norm() - 1) ** 2).backward()"),
    "out([None if g is None else g.tolist() for g in torch.autograd.grad(({g} * {g}).sum(), [{x}], "
    "allow_unused=True)])",
]


def make(seed: int) -> dict:
    """The program of a seed."""
    return Usual(seed).program()


class Usual(Wide):
    """Makes one program."""

    def kind(self) -> str:
        return self.r.choice(MORE)

    def filled(self, text: str, v: Var, **more: str) -> str:
        d = self.choice("float32", "float64", "int64", "bool", "float16", "complex64", "int32")
        return self.fill(text, v, d=d, **more)

    def update(self) -> None:
        v = self.pick(leaf=True, float=True)
        self.do(self.filled(self.r.choice(UPDATES), v))

    def toggle(self) -> None:
        v = self.pick(float=True)
        text = self.filled(self.r.choice(TOGGLES), v)
        if self.chance(0.2) and "=" not in text and "del" not in text:
            text = f"with {self.r.choice(MODES)}: {text}"
        self.steps.append(text)

    def place(self) -> None:
        v = self.pick(write=True, float=True, rank=1)
        text = self.filled(self.r.choice(WRITES), v)
        if self.chance(0.2):  # a view of a leaf, or of what comes of one, while nothing is recorded
            view = self.choice("[...]", "[:1]", ".t()", ".view(-1)", ".detach()", "[..., :1]")
            text = text.replace(v.name, f"{v.name}{view}", 1)
            text = f"with torch.no_grad(): {text}" if self.chance(0.7) else text
        self.do(text)

    def into(self) -> None:
        v = self.pick(float=True, rank=1)
        w = self.pick(dtype=v.dtype)  # a resized result of an error is nobody's business
        if w.dtype == v.dtype:
            self.do(self.filled(self.r.choice(OUT), v, w=w.name))

    def mix(self) -> None:
        v = self.pick(rank=1)
        if self.chance(0.4):
            self.do(self.filled(self.r.choice(MIXED_WRITES), v))
        else:
            self.add(self.filled(self.r.choice(MIXES), v), v.shape, v.dtype, v.rg)

    def parts(self) -> None:
        known = [v for v in self.vars if v.dtype == "complex128"]
        if not known or self.chance(0.3):
            v = self.pick(float=True)
            text = f"torch.complex({v.name}.double(), {self.like(v)}.double())"
            self.add(text, v.shape, "complex128", v.rg)
            return
        z = self.r.choice(known)
        if self.chance(0.6):
            self.do(self.r.choice(COMPLEX).format(z=z.name))
        else:
            text = self.r.choice(COMPLEX_RESULTS).format(z=z.name)
            self.add(text, z.shape, "float64", z.rg)

    def hooked(self) -> None:
        v = self.pick(rg=True, float=True)
        self.steps.append(f"h{self.handles} = {self.filled(self.r.choice(HOOKS), v)}")
        self.handles += 1

    def checkpoints(self) -> None:
        v = self.pick(float=True, rank=1)
        if 0 not in v.shape:
            text = self.filled(self.r.choice(NESTED), v, c="torch.utils.checkpoint.checkpoint")
            self.add(text, v.shape, v.dtype, v.rg)

    def twice(self) -> None:
        v = self.pick(rg=True, float=True, rank=1)
        if 0 in v.shape:
            return
        g = self.r.choice(GRADS).format(same=self.r.choice(SAME))
        self.do(self.fill(self.r.choice(TWICE), v, g=f"(lambda x: {g})({v.name})"))


MORE = (
    ["place"] * 16
    + ["update", "toggle", "mix"] * 8
    + ["into", "parts", "twice"] * 5
    + ["hooked", "checkpoints"] * 3
    + ["pure"] * 12
    + ["view"] * 8
    + ["backward"] * 8
    + ["read", "mode", "grads"]
)
