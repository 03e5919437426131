"""Programs over complex tensors: conjugates and parts, which are views, and writes there."""

from __future__ import annotations

from fuzz.maker import Var
from fuzz.programs import Programs

C, R = "complex128", "float64"
# Views of what is complex, and of what is real. Shapes are not followed: errors are compared too.
OF_COMPLEX = [
    *[("{x}.conj()", C)] * 6,
    *[("{x}.imag", R), ("{x}.conj().imag", R), ("{x}.real", R)] * 2,
    *(("{x}.mH", C), ("{x}.H", C), ("{x}.adjoint()", C), ("torch.adjoint({x})", C)),
    *(("torch.view_as_real({x})", R), ("{x}.conj().real", R), ("torch._neg_view({x})", C)),
    *(("{x}.resolve_conj()", C), ("{x}.conj_physical()", C), ("torch._conj({x})", C)),
    ("torch.view_as_real({x})[..., 1]", R),
]
OF_REAL = [
    *(("torch._neg_view({x})", R), ("{x}.resolve_neg()", R), ("torch.view_as_complex({x})", C)),
    *(("torch.complex({x}, {x} * 2)", C), ("{x}.conj()", R), ("{x}.mH", R)),
]
OF_BOTH = [
    *("{x}[0]", "{x}[..., :2]", "{x}[..., ::2]", "{x}.t()", "{x}.mT", "{x}.view(-1)", "{x}[None]"),
    *("{x}.reshape(-1)", "{x}.unsqueeze(-1)", "{x}.squeeze()", "{x}.detach()", "{x}.data"),
    *("{x}.diagonal()", "{x}.expand(2, *{x}.shape)", "{x}.unfold(-1, 2, 1)", "{x}.permute(1, 0)"),
    *("{x}.as_strided((2,), (1,))", "{x}.as_strided((2, 2), (1, 0), 1)", "{x}.view_as({x})"),
    *(
        "{x}.contiguous()",
        "{x}.clone()",
        "copy.deepcopy({x}.detach())",
        "tidy(stored({x}.detach()))",
    ),
    *("tidy(pickle.loads(pickle.dumps({x}.detach())))", "{x}.unbind(0)[0]", "{x}.split(1, -1)[0]"),
    *("copy.copy({x})", "{x}.to({x}.dtype)", "{x}.detach().requires_grad_()", "{x}.flatten()"),
]
RESULTS = [
    *(("{x} * 2", None), ("{x} * {y}", C), ("{x} + {y}", C), ("{x}.abs()", R), ("{x} * {x}", None)),
    *(("({x} @ {y})", C), ("torch.vmap(lambda t: t.conj() * 2j)({x})", C), ("{x}.exp()", None)),
    *(
        ("torch.where({x}.abs() > 1, {x}, {x} * 2)", C),
        ("torch.cat([{x}, {y}])", C),
        ("-{x}", None),
    ),
    ("torch.stack([{x}, {x}])", None),
    *(("torch.func.grad(lambda t: (t.conj() * t).real.sum())({x}.detach())", C),),
    ("torch.vdot({x}, {y})", C),
    *(("{x}.sum(-1)", None), ("torch.mul({x}, {x}, out=torch.empty_like({x}))", None)),
]
WRITES = [
    *("{x}.mul_(2)", "{x}.add_({y})", "{x}[0] = 3", "{x}[..., 0] = {y}[..., 0]", "{x}.mul_({x})"),
    *("{x}.copy_({y})", "{x}.conj().mul_(1j)", "{x}.conj()[0] = {n}", "{x}.imag.add_(1)"),
    *("{x}.conj().imag.mul_(2)", "{x}.real = {x}.imag", "{x}.imag = 0.5", "{x}.conj_physical_()"),
    *("{x}.zero_()", "{x}.fill_({n})", "{x}.t_()", "{x}.neg_()", "{x}[..., 1:].conj().add_({n})"),
    *("{x}.data.mul_(2)", "{x}.detach().add_(1)"),
    *("torch.mul({x}, 2, out={x})", "{x}.masked_fill_({m}, {n})"),
    *("{x}.index_put_((torch.tensor([0]),), {y}[:1])", "{x}.mH.add_({n})", "{x} += {y}"),
    *("{x}.detach().numpy()[...] *= 2", "{x}.resolve_conj().mul_(2)", "{x}.unsqueeze_(0)"),
    *("{x}.detach().conj().conj().numpy()[...] = 1", "{x}.expand(2, *{x}.shape).conj()[0] = {n}"),
    *("{x}[[0]] = {y}[:1]", "{x}.sqrt_()", "{x}.diagonal().conj().add_({n})", "{x}.index_add_(0, "
      "torch.tensor([0]), {y}[:1])"),
]  # fmt: skip
PASSES = [
    *("({x} * {x}.conj()).real.sum().backward(retain_graph=True)", "{x}.abs().sum().backward()"),
    *("{x}.conj().imag.sum().backward()", "({x} * {y}).imag.sum().backward(retain_graph=True)"),
    *("torch.view_as_real({x}.resolve_conj()).sum().backward()", "{x}.real.sum().backward()"),
    *(
        "{x}.backward({x}.detach().conj().clone())",
        "{x}.backward(torch.ones_like({x}), retain_graph=True)",
    ),
]
LOOKS = [
    *(
        "out(({x}.is_conj(), {x}.is_neg()))",
        "out({x}.data_ptr() == {y}.data_ptr())",
    ),
    *("out({x}.tolist())", "{x}.numpy()", "{x}.detach().numpy(force=True)", "out(str({x}))"),
    *(
        "out(stored({x}.detach()).is_conj())",
        "out({x}.storage_offset())",
        "{x}.view(torch.float64)",
        "out(torch.is_conj({x}))",
    ),
    *("out({x}.untyped_storage().data_ptr() == {y}.untyped_storage().data_ptr())",),
    *("{x}.requires_grad_()", "out(float({x}.real.sum()))", "out({x}.is_set_to({y}))"),
    *("{x}.register_hook(lambda g: g.conj())", "{x}.retain_grad()", "out({x}.grad_fn is None)"),
]
KINDS = ["turn"] * 8 + ["change"] * 7 + ["use"] * 4 + ["through"] * 3 + ["look"] * 3 + ["pause"]


def make(seed: int) -> dict:
    """The program of a seed."""
    return Conjugates(seed).program()


class Conjugates(Programs):
    """Makes one program."""

    def kind(self) -> str:
        return self.r.choice(KINDS)

    def base(self) -> None:
        shape = self.choice((3,), (2, 2), (2, 3), (2, 2), (1, 3), (2, 2, 2), ())
        parts = f"{self.literal(shape, R)}, {self.literal(shape, R)}"
        rg = self.chance(0.4)
        source = f"torch.complex({parts})" + (".requires_grad_()" if rg else "")
        if not rg and self.chance(0.15):
            source = f"torch.from_numpy({source}.numpy())"
        self.add(source, shape, C, rg, rg)

    def formed(self, text: str, v: Var) -> str:
        like = [o.name for o in self.vars if o.shape == v.shape and o.dtype == v.dtype]
        y = self.r.choice(like) if self.chance(0.8) else self.pick().name
        n = self.choice("2.0", "1j", "(1 + 2j)", "-1", f"{y}.sum()")
        return text.format(x=v.name, y=y, n=n, m=f"{v.name}.abs() > 1")

    def turn(self) -> None:
        v = self.pick()
        if self.chance(0.5):
            text, d = self.r.choice(OF_COMPLEX if v.dtype == C else OF_REAL)
        else:
            text, d = self.r.choice(OF_BOTH), v.dtype
        self.add(self.formed(text, v), v.shape, d, v.rg)

    def change(self) -> None:
        v = self.pick(write=True)
        text = self.formed(self.r.choice(WRITES), v)
        if "expand" in text and v.dtype == R:  # writing through parts of such is not in Facula
            return
        self.steps.append(f"with torch.no_grad(): {text}" if self.chance(0.15) else text)

    def use(self) -> None:
        v = self.pick()
        text, d = self.r.choice(RESULTS)
        self.add(self.formed(text, v), v.shape, d or v.dtype, v.rg)

    def through(self) -> None:
        self.steps.append(self.formed(self.r.choice(PASSES), self.pick(rg=True)))

    def look(self) -> None:
        self.steps.append(self.formed(self.r.choice(LOOKS), self.pick()))

    def pause(self) -> None:
        mode = self.choice("False", "True", "True")
        self.steps.append(f"torch.set_grad_enabled({mode})")
